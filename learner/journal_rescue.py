"""A damaged journal is set aside, and what can still be read of it goes into a new one.

journal.sqlite            damaged: a card that forgets, half a file, a stranger's
journal.sqlite.damaged    damage was met where opening does not look, see `Disk`
journal.sqlite.rescue     a new one is being filled; begun again if that is cut off
journal.sqlite.rescued    it is whole: now the two change places, also after a power cut
journal.sqlite.damaged-20261124T125300
                          the old one, for who knows more; `Journal.wipe` takes it away
"""

import logging
import os
import shutil
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from learner.journal import Journal
from learner.journal_check import read_only, schema_version
from learner.journal_file import (
    PAGE_BYTES,
    DamagedError,
    JournalError,
    damage_mark,
    error_code,
    mark_damaged,
    open_database,
    refused,
)
from learner.journal_rows import LATEST_US, MOST_ROWS, SCALE_BYTES, SECOND_US, Span, merged

log = logging.getLogger(__name__)

UNREADABLE = sqlite3.DatabaseError, UnicodeDecodeError  # SQLite may quote what it found
SCHEMA = ".schema"
BATCH = 256  # rows of a table in one transaction
LAST_ROWID = 2**62
LONGEST_NAME = 64
ROOM = 1.3  # times the file: what SQLite needs beside it
DERIVED = ("snapshot", "snapshot of")  # follow from the rest, which may be less now
# Where in the first page the file's changes are counted, and for which count its size is said.
CHANGES, SIZE_OF = slice(24, 28), slice(92, 96)


def open_or_rescue(path: Path) -> Journal:
    """Open the journal; where it is damaged, another one with all that is intact in it.

    `rescued` of the journal says so. Only for who keeps others off the folder. Raises JournalError
    where the disk or a newer version is in the way.
    """
    if _beside(path, ".rescued").exists():  # a power cut came between
        _change_places(path)
    what = "damage was met in it"
    try:
        if not damage_mark(path).exists():
            return Journal(path)
    except DamagedError as error:
        what = error.what
        mark_damaged(path)
    log.warning("%s is damaged (%s): reading what is intact", path, what)
    try:
        saved = _rescue(path)
    except sqlite3.Error as error:
        raise refused(path, error) from error
    aside = _change_places(path)
    journal = Journal(path)
    journal.rescued = (
        f"the journal was damaged ({what}): {saved} could be read and are in use. The old file is"
        f" set aside as {aside.name} and may be deleted. Is the SD card worn?"
    )
    log.warning("%s", journal.rescued)
    return journal


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _change_places(path: Path) -> Path:
    """Put the new file in the place of the old one, as far as that is not done yet."""
    rescued = _beside(path, ".rescued")
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(rescued.stat().st_mtime))
    aside = _beside(path, f".damaged-{stamp}")
    for end in ("", "-wal", SCHEMA):  # a WAL that stays would be taken for the new file's
        with suppress(FileNotFoundError):
            _beside(path, end).rename(_beside(aside, end))
    _beside(path, "-shm").unlink(missing_ok=True)
    damage_mark(path).unlink(missing_ok=True)
    _sync(path.parent)
    rescued.rename(path)
    _sync(path.parent)
    return aside


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _rescue(path: Path) -> str:
    """Fill a new file with what can be read; returns how much that is."""
    rescue = _beside(path, ".rescue")
    for end in ("", "-wal", "-shm"):
        _beside(rescue, end).unlink(missing_ok=True)
    with closing(open_database(rescue)) as new:
        _mend_schema(path, rescue)
        try:
            with read_only(path) as old:
                old.text_factory = lambda text: text.decode(errors="replace")
                old.execute("PRAGMA writable_schema = ON")  # a file may be shorter than it says
                enough = shutil.disk_usage(path.parent).free > ROOM * path.stat().st_size
                saved = _Salvage(old, new).all(enough=enough)
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_CANTOPEN:
                raise
            saved = "nothing"
        new.execute("PRAGMA synchronous = FULL")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _sync(rescue)
    rescue.rename(_beside(path, ".rescued"))
    _sync(path.parent)
    return saved


def _mend_schema(path: Path, fresh: Path) -> None:
    """Where a file's schema cannot be read, write a new file's there, which says the same.

    It lies on the same pages in every file of one version, and tables begin on the same ones.
    What was there before is kept in a file beside.
    """
    if path.stat().st_size % PAGE_BYTES:
        return  # this never was ours
    with suppress(*UNREADABLE, JournalError), read_only(path) as old:
        old.execute("PRAGMA writable_schema = ON")
        schema_version(old)
        return
    with closing(sqlite3.connect(fresh)) as new:
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        tables = {page for (page,) in new.execute("SELECT rootpage FROM sqlite_schema")}
    pages = bytearray(fresh.read_bytes())
    pages[CHANGES], pages[SIZE_OF] = bytes(4), b"\1\0\0\0"  # then SQLite sees for itself
    with path.open("r+b") as file:
        _beside(path, SCHEMA).write_bytes(file.read(len(pages)))
        for page in {*range(len(pages) // PAGE_BYTES)} - {page - 1 for page in tables}:
            file.seek(page * PAGE_BYTES)
            file.write(pages[page * PAGE_BYTES :][:PAGE_BYTES])


class _Salvage:
    """Copies what is whole, and would be written by us, from one file into another."""

    def __init__(self, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
        self._old, self._new = old, new
        self._runs: dict[int, tuple[int, float, int]] = {}  # start_us, rate_hz, channels
        self._said: list[Span] = []
        self._covered: list[Span] = []
        self._recorded_s = 0.0

    def all(self, *, enough: bool) -> str:
        """Copy what was said first; `enough` room: also rows that nothing said covers."""
        labels = self._copy("annotation", 6, self._is_said)
        self._copy("wall", 2, _is_time)
        self._copy("state", 2, lambda key, _: key not in DERIVED)
        self._copy("run", 5, self._is_run)
        self._covered = merged(self._said)
        try:
            self._copy("rows", 4, self._is_whole if enough else self._is_covered)
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_FULL:
                raise
            log.warning("the disk is full: not all of what was recorded is in the new journal")
        return f"{labels} labels and {self._recorded_s / 3600:.1f} h of recording"

    def _copy(self, table: str, columns: int, whole: Callable[..., bool]) -> int:
        insert = f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608 our names
        copied = 0
        rows = (row for row in self._readable(table) if whole(*row))
        while batch := list(islice(rows, BATCH)):
            self._new.execute("BEGIN")
            try:
                for row in batch:
                    with suppress(sqlite3.IntegrityError):  # twice the same, or of no such type
                        self._new.execute(insert, row)
                        copied += 1
                self._new.execute("COMMIT")
            except BaseException:
                self._new.execute("ROLLBACK")
                raise
        return copied

    def _readable(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table in order, stepping over those that cannot be read.

        One by one at first; in a hole that goes on, by a sixteenth of it.
        """
        query = f"SELECT rowid, * FROM {table} WHERE rowid >= ? ORDER BY rowid"  # noqa: S608 ours
        at = hole = 0
        while at < LAST_ROWID:
            try:
                for rowid, *row in self._old.execute(query, (at,)):
                    if rowid < at:
                        break  # pages that lead back to each other
                    yield tuple(row)
                    at = hole = rowid + 1
                else:
                    return
            except UNREADABLE:
                pass
            at += max(1, (at - hole) // 16)

    def _is_said(
        self, _id: Any, activity: Any, start_us: Any, end_us: Any, origin: Any, retracted: Any
    ) -> bool:
        whole = (
            isinstance(activity, str)
            and 1 <= len(activity) <= LONGEST_NAME
            and isinstance(origin, str)
            and _is_time(start_us, start_us if end_us is None else end_us)
            and (end_us is None or start_us <= end_us)
            and retracted in (0, 1)
        )
        if whole and not retracted:
            self._said.append((start_us, LATEST_US if end_us is None else end_us))
        return whole

    def _is_run(self, id_: Any, start_us: Any, rate_hz: Any, scale: Any, cause: Any) -> bool:
        whole = (
            _is_time(start_us)
            and isinstance(rate_hz, float)
            and 0.1 <= rate_hz <= 1e5
            and isinstance(scale, bytes)
            and len(scale) in SCALE_BYTES
            and isinstance(cause, str)
        )
        if whole:
            self._runs[id_] = start_us, rate_hz, len(scale) // 4
        return whole

    def _is_whole(self, run: Any, first: Any, n: Any, counts: Any) -> bool:
        if run not in self._runs or not (isinstance(first, int) and 0 <= first < MOST_ROWS):
            return False
        _, rate_hz, channels = self._runs[run]
        whole = isinstance(counts, bytes) and n != 0 and len(counts) == n * 2 * channels
        if whole:
            self._recorded_s += n / rate_hz
        return whole

    def _is_covered(self, run: Any, first: Any, n: Any, counts: Any) -> bool:
        if not self._is_whole(run, first, n, counts):
            return False
        start_us, rate_hz, _ = self._runs[run]
        begins, ends = (start_us + at * SECOND_US / rate_hz for at in (first, first + n))
        at = bisect_right(self._covered, begins, key=lambda stretch: stretch[1])
        return at < len(self._covered) and self._covered[at][0] < ends


def _is_time(*times_us: Any) -> bool:
    return all(isinstance(time_us, int) and abs(time_us) < LATEST_US for time_us in times_us)
