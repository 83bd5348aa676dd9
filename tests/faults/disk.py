"""From the log of what was written and synced: the files as a power cut may leave them.

A sync makes lasting what was written to that file before. What came after the last one may have
reached the disk or not, each write by itself and each sector of it by itself. A sync that failed
makes nothing lasting, and what it should have is given up by Linux: written again it lasts, but no
later sync brings it back.
"""

import random
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

HEAD = struct.Struct("<BBHIq")
SECTOR = 512


class Record(NamedTuple):
    kind: str  # W, T, S, U, D, N, as in shim.c
    failed: bool
    name: str
    offset: int
    data: bytes


def read_log(path: Path) -> list[Record]:
    log, at, records = path.read_bytes(), 0, []
    while at + HEAD.size <= len(log):
        kind, failed, name, data, offset = HEAD.unpack_from(log, at)
        at += HEAD.size
        text = log[at : at + name].decode()
        records.append(
            Record(
                chr(kind),
                bool(failed),
                Path(text).name,
                offset,
                log[at + name : at + name + data],
            )
        )
        at += name + data
    return records


class Disk:
    """What lasts of each file, and what may."""

    def __init__(self) -> None:
        self._lasting: dict[str, bytearray] = {}
        self._pending: dict[str, list[Record]] = {}

    def take(self, record: Record) -> None:
        if record.kind in "WTU":
            self._pending.setdefault(record.name, []).append(record)
        elif record.kind == "S" and record.failed:
            self._pending.pop(record.name, None)
        elif record.kind == "S":
            for written in self._pending.pop(record.name, []):
                _apply(self._lasting, written)
        elif record.kind == "D" and not record.failed:
            for pending in self._pending.values():
                if pending and pending[0].kind == "U":
                    _apply(self._lasting, pending.pop(0))

    def cut(self, folder: Path, rng: random.Random, how: str) -> None:
        """Write the files as they may be found; `how`: nothing, all, the first, any of what may."""
        files = {name: bytearray(data) for name, data in self._lasting.items()}
        for records in self._pending.values():
            kept = rng.randint(0, len(records))
            for at, record in enumerate(records):
                if how == "all" or (how == "first" and at < kept):
                    _apply(files, record)
                elif how == "any" or (how == "first" and at == kept):
                    for part in _torn(record, rng):
                        _apply(files, part)
        for name, data in files.items():
            (folder / name).write_bytes(data)


def _torn(record: Record, rng: random.Random) -> Iterator[Record]:
    """Yield the sectors of a write that got through; another call did or did not."""
    if record.kind != "W":
        yield from [record][rng.randint(0, 1) :]
        return
    chance = rng.choice([0.0, 0.5, 1.0])
    first = -record.offset % SECTOR
    edges = sorted({0, *range(first, len(record.data), SECTOR), len(record.data)})
    for low, high in pairwise(edges):
        if rng.random() < chance:
            yield record._replace(offset=record.offset + low, data=record.data[low:high])


def _apply(files: dict[str, bytearray], record: Record) -> None:
    if record.kind == "U":
        files.pop(record.name, None)
        return
    file = files.setdefault(record.name, bytearray())
    end = record.offset + len(record.data)
    if len(file) < end:
        file.extend(bytes(end - len(file)))
    if record.kind == "T":
        del file[record.offset :]
    else:
        file[record.offset : end] = record.data
