"""Disks that take nothing for a while: 4 MB in memory that are filled, a limit that is met."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest


class SmallDisk(Protocol):
    """Takes nothing from `fill` until `make_room`."""

    folder: Path
    refusal: str  # SQLite's
    cause: str  # in budge's words

    def fill(self) -> None: ...

    def make_room(self) -> None: ...


class Mounted:
    """A real file system of 4 MB, and something that fills it: ENOSPC."""

    refusal = "full"
    cause = "the disk is full: make room on it"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    def fill(self) -> None:
        file = os.open(self._filling, os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(file, bytes(4096)):
                pass
        except OSError:
            pass
        finally:
            os.close(file)

    def make_room(self) -> None:
        self._filling.unlink()


class Limited:
    """A process whose files may not be written: EFBIG, for SQLite the same as a quota's EDQUOT."""

    refusal = "disk I/O error"
    cause = (
        "the disk takes nothing (disk I/O error): make room where a quota or a limit of file size"
        " is met; else see dmesg, replace a worn SD card"
    )

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self._pid = pid
        _, self._most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, self._most))

    def make_room(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (self._most, self._most))


@contextmanager
def small_disk(folder: Path) -> Iterator[Mounted]:
    """Mount one; skips where this user may not."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "budge-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield Mounted(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
