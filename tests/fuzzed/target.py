"""What can be fed, and where its files are."""

import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

NOW_US = 1_800_000_000_000_000
DEEP = b"[" * 3000  # more than Python's stack is deep


class Target(NamedTuple):
    """One parser."""

    feed: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...]
    examples: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()  # that mean something to it


@cache
def workshop() -> Path:
    """A folder, in memory where there is one."""
    shared = Path("/dev/shm")  # noqa: S108 a folder of our own is made in it
    return Path(tempfile.mkdtemp(prefix="fuzz", dir=shared if os.access(shared, os.W_OK) else None))


def in_file(name: str, data: bytes) -> Path:
    path = workshop() / name
    path.write_bytes(data)
    return path
