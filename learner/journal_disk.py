"""Transactions on the journal's file, and what becomes of them when the disk is full or failing.

A promise (what was said) raises where it cannot be kept; what is only good to have waits in memory
for better days. Either way `trouble` says what is wrong, until something is written again.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learner.journal_check import schema_version
from learner.journal_file import (
    DamagedError,
    JournalError,
    error_code,
    is_damage,
    open_database,
    refused,
)

log = logging.getLogger(__name__)

SMALL = ("run", "annotation", "wall", "state")
CHECKPOINT_COMMITS = 256  # the WAL is then some MB long

CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full: make room on it",
    sqlite3.SQLITE_READONLY: (
        "its folder can only be read: a worn SD card turns so, then replace the card; else let"
        " budge's user write there"
    ),
    sqlite3.SQLITE_BUSY: "another program holds it: end that one",
}
OTHERWISE = (  # SQLite does not say which of them it was
    "the disk takes nothing ({}): make room where a quota or a limit of file size is met; else see"
    " dmesg, replace a worn SD card"
)


class Disk:
    """The open file. Owned by one thread."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. JournalError: it is something else; DamagedError: see there."""
        self._path = path
        self.trouble: str | None = None  # why nothing can be written just now
        self.rescued: str | None = None  # what there is to tell where the file was damaged
        self._unsure = False  # whether what was written before can be relied upon
        self._commits = 0  # since the last checkpoint
        self._db = open_database(path)
        with self._opening():
            # SQLite would do it by itself, but keep a failure to itself.
            self._db.execute("PRAGMA wal_autocheckpoint = 0")
            self._check_what_is_small()

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """Close the file where something in it is refused."""
        try:
            yield
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.Error):
                raise refused(self._path, error) from error
            raise

    def _check_what_is_small(self) -> None:
        """Read all but the rows, which takes milliseconds; with those it is minutes on an SD card.

        Damage among the rows is found where they are read.
        """
        try:
            schema_version(self._db)
        except JournalError as error:
            raise DamagedError(self._path, str(error)) from error
        for table in SMALL:
            said = str(self._db.execute(f"PRAGMA quick_check({table})").fetchone()[0])
            if said != "ok":
                raise DamagedError(self._path, said.splitlines()[-1])

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        """Commit on leaving, and roll back on an error; `durable` waits for the disk.

        In WAL mode a FULL commit syncs all that NORMAL commits wrote before it, too. Raises
        sqlite3.OperationalError where the disk takes nothing.
        """
        with self._noting():
            if self._unsure:
                self._make_sure()
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")  # on a full disk it is this that fails
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        if self.trouble is not None:
            log.warning("the journal is written again")
            self.trouble = None
        self._commits += 1
        if self._commits >= CHECKPOINT_COMMITS:
            self._checkpoint()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what the disk does not take, and let it be raised."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if is_damage(error):
                raise
            self._unsure = True
            cause = CAUSES.get(error_code(error) & 0xFF, OTHERWISE.format(error))
            if self.trouble is None:
                log.warning("the journal cannot be written, %s", cause)
            self.trouble = f"the journal cannot be written, {cause}"
            raise

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """Leave undone what the disk does not take; `trouble` says why."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if is_damage(error):
                raise

    def _make_sure(self) -> None:
        """Write all that is in the WAL once more, to the file itself.

        When a sync has failed, Linux takes what it could not write for written, and the next sync
        succeeds without it: what is in the WAL may be there until the power goes, and no longer.
        Copied from there it is written anew. The WAL begins again, so that nothing that follows
        stands behind what is not there.
        """
        self._truncate()
        self._unsure = False

    def _truncate(self) -> None:
        """Bring all of the WAL into the file and empty it."""
        ((busy, *_),) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            error = sqlite3.OperationalError("another program reads it")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        self._commits = 0

    def _checkpoint(self) -> None:
        """Bring the WAL's pages into the file, as far as nobody reads them there.

        Where that fails, what was committed is safe in the WAL.
        """
        self._commits = 0
        with self._tolerant(), self._noting():
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
