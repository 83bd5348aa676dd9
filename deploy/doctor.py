"""`budge doctor`: one look at everything from the bus to the broker, each with what mends it.

A check is a file in `checks/`: `check(case)` yields a Finding for each thing it looked at. It only
looks: nothing is started, stopped, written to a device or taken from a service that runs.
"""

import fcntl
import importlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from deploy.messages import Health
from deploy.settings import Settings

# In this order: the broker knows what a service that runs says of its sensor.
CHECKS = ("settings", "broker", "service", "sensor", "storage", "clock", "machine")
COMMAND_S = 10.0

Level = Literal["good", "note", "bad", "none"]  # "none": there is no such thing here


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do."""

    name: str
    level: Level
    found: str
    mend: str | None = None  # a command, or what to change where

    def json(self) -> dict[str, str | None]:
        return {"name": self.name, "level": self.level, "found": self.found, "mend": self.mend}


@dataclass
class Case:
    """What there is to look at, and what one check found out that another wants to know."""

    settings: Settings
    config: Path  # where the settings are, or would be
    trouble: str | None = None  # why the settings could not be read; they are the defaults then
    root: Path = field(default_factory=lambda: Path("/"))
    health: Health | None = None  # what a running service said last, if the broker knows it

    @property
    def state(self) -> Path:
        return self.settings.state_path().absolute()

    @cached_property
    def running(self) -> bool | None:
        """Whether a budge runs on the state folder; None: this user may not know."""
        return runs_on(self.state)

    def text(self, path: str) -> str | None:
        """Return what a small file below the root says; None where there is none."""
        try:
            return (self.root / path).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None

    def output(self, *command: str) -> str | None:
        """Return what a command prints; None where there is no such command, or it fails."""
        if shutil.which(command[0]) is None:
            return None
        try:
            return subprocess.run(  # noqa: S603  # our own words, and no shell
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_S,
                check=True,
                env={**os.environ, "LC_ALL": "C"},
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None


def runs_on(state: Path) -> bool | None:
    """Say whether a budge runs on a state folder; None: this user may not know."""
    try:
        with (state / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except PermissionError:
        return None
    except OSError:
        return False
    return False


def examine(case: Case) -> Iterator[Finding]:
    """Look at everything, in order. A check that fails is itself a finding."""
    for name in CHECKS:
        try:
            yield from importlib.import_module(f"deploy.checks.{name}").check(case)
        except Exception as error:  # noqa: BLE001  # the others are still worth it
            yield Finding(name, "bad", f"could not be looked at ({type(error).__name__}: {error})")


def report(findings: list[Finding], version: str) -> dict[str, Any]:
    """Write findings for a program."""
    return {
        "v": 1,
        "budge": version,
        "exit": exit_code(findings),
        "checks": [finding.json() for finding in findings],
    }


def exit_code(findings: list[Finding]) -> int:
    """0: nothing is bad, 1: something is."""
    return int(any(finding.level == "bad" for finding in findings))
