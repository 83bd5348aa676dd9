"""State folders as a budge leaves them, and backups that somebody tampered with."""

import os
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.journal import Journal

S = 1_000_000
START_US = 1_764_000_000 * S
SCALE = np.full(6, 0.002, np.float32)


def rows(n: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-3000, 3000, (n, 6)).astype(np.int16)


def teach(state: Path, *activities: str, minutes: float = 0.5) -> Path:
    """Make a state folder, or go on with one: a run, and one stretch of it for each activity."""
    state.mkdir(exist_ok=True)
    with Journal(state / "journal.sqlite") as journal:
        start_us = max(START_US, journal.end_us)
        journal.begin_run(start_us, 50.0, SCALE, "start")
        journal.append(rows(round(minutes * 3000)))
        for number, activity in enumerate(activities):
            said_us = start_us + number * S
            journal.annotate(activity, said_us, said_us + S, "test")
    return state


def taught(state: Path) -> list[str]:
    """What a journal knows, in the order it was said."""
    with Journal(state / "journal.sqlite") as journal:
        return [said.activity for said in journal.annotations]


def in_file(path: Path) -> list[str]:
    """Read the same without opening it for writing."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [name for (name,) in db.execute("SELECT activity FROM annotation ORDER BY id")]
    finally:
        db.close()


def rebuilt(
    backup: Path, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED
) -> Path:
    """Write a backup anew with its members changed; the manifest is as `change` leaves it."""
    with zipfile.ZipFile(backup) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    other = backup.with_name("changed.budge")
    with zipfile.ZipFile(other, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return other


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """Mount a disk that is soon full."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(at)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root, who may mount a small disk")
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)
