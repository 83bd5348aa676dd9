"""A machine for the doctor to look at, of which there is only what a test puts there."""

from pathlib import Path

import pytest

from deploy.doctor import Case, Finding, examine
from deploy.settings import I2c, Settings


def settings(tmp_path: Path, **changes: object) -> Settings:
    """Return settings that need nothing of this machine; `changes`: other values of them."""
    usual: dict[str, object] = {
        "device": "pi",
        "state_dir": str(tmp_path / "state"),
        "outputs": (),
        "i2c": I2c(bus="emulated"),
    }
    return Settings(**{**usual, **changes})  # type: ignore[arg-type]


def case(tmp_path: Path, **changes: object) -> Case:
    """A machine of which there is only what a test puts below `root`."""
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    return Case(settings(tmp_path, **changes), tmp_path / "budge.toml", root=root)


def found(check: str, of: Case) -> dict[str, Finding]:
    """Look at one subject only; by the name of what was looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deploy.doctor.CHECKS", (check,))
        return {finding.name: finding for finding in examine(of)}


def put(of: Case, path: str, content: str = "") -> Path:
    file = of.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def command(
    patch: pytest.MonkeyPatch, folder: Path, name: str, prints: str, status: int = 0
) -> None:
    """Put a program where it is found before the machine's own."""
    patch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (folder / f"{name}.out").write_text(prints)
    file = folder / name
    file.write_text(f'#!/bin/sh\ncat "{folder / name}.out"\nexit {status}\n')
    file.chmod(0o755)
