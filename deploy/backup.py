"""A copy of all that was taught, made while budge runs, and the way back to it.

    backup   journal.sqlite ──> one file
    stage    one file, checked ──> restore.sqlite, beside the journal
    take     at the next start: journal.sqlite ──> before-restore-….sqlite,
             restore.sqlite ──> journal.sqlite

`take` only renames, so a power cut at any instant leaves one whole journal or the other, and the
next start goes on from there. Neither tokens nor settings travel: what a backup holds is data,
opens nothing, and may be restored on another Pi.
"""

import contextlib
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import msgspec

from deploy.archive import (
    JOURNAL,
    SMALL,
    BackupError,
    Manifest,
    Progress,
    need_room,
    read_archive,
    write_archive,
)
from deploy.controls import Switches
from deploy.messages import rfc3339
from deploy.record import Record
from firmware_bridge.commissioning import calibration
from learner.journal import Journal
from learner.journal_check import read_only, schema_version, verify
from learner.journal_file import BEFORE_RESTORE, JournalError

log = logging.getLogger(__name__)

STAGED = "restore.sqlite"
ASIDE_KEPT = 2
PENDING = ("-shm", ".damaged", ".rescue", ".rescued")  # about a journal that is no longer there
UNFINISHED = ".budge-"  # folders of a backup or restore that is being made
ABANDONED_S = 86400.0
STEPS_BETWEEN_NEWS = 1000  # of SQLite's machine


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A backup that was checked to the last byte, in a folder that goes away."""

    manifest: Manifest
    folder: Path
    activities: tuple[str, ...]
    stretches: int


def _silent(_doing: str, _share: float) -> None:
    """Nobody watches."""


def backup(state: Path, to: Path, *, device: str | None = None, told: Progress = _silent) -> None:
    """Write all that a state folder holds to one file `to`, as it is at one moment.

    A budge that runs there goes on. Needs room for twice the journal beside `to`; what was there
    by that name is replaced, once the new one is whole. Raises BackupError.
    """
    journal = state / JOURNAL
    try:
        if not journal.is_file():
            raise BackupError(
                f"{state} holds no {JOURNAL}, so there is nothing to back up: name the state folder"
                " of a budge with --state-dir"
            )
        need_room(to.parent, 2 * journal.stat().st_size)
        with _workshop(to.parent) as folder:
            schema = _copy(journal, folder / JOURNAL, told)
            manifest = Manifest(
                budge=version("budge"),
                device=device,
                created=rfc3339(time.time_ns() // 1000),
                schema=schema,
                members={},
            )
            small = {name: state / name for name in SMALL if (state / name).is_file()}
            whole = folder / "whole"
            write_archive(whole, manifest, {JOURNAL: folder / JOURNAL, **small}, told)
            _put(whole, to)
    except OSError as error:
        raise BackupError(_why(error, to)) from error


def check(file: Path) -> None:
    """Check a backup, to the last byte. Needs room for it beside it. Raises BackupError."""
    with unpacked(file, file.parent):
        pass


def stage(file: Path, state: Path, told: Progress = _silent) -> None:
    """Check a backup and put it where the next start takes it. Raises BackupError."""
    with unpacked(file, state, told) as found:
        put_in_place(found, state)


@contextlib.contextmanager
def unpacked(file: Path, within: Path, told: Progress = _silent) -> Iterator[Unpacked]:
    """Unpack a backup into a folder of its own in `within`, and check it. Raises BackupError."""
    try:
        within.mkdir(parents=True, exist_ok=True)
        with _workshop(within) as folder:
            manifest = read_archive(file, folder, told)
            told("checking", 0.0)
            verify(folder / JOURNAL)
            activities, stretches = _opened(folder)
            yield Unpacked(manifest, folder, activities, stretches)
    except (BackupError, JournalError) as error:
        raise BackupError(f"{file} cannot be restored: {error}") from error
    except OSError as error:
        raise BackupError(_why(error, within)) from error


def put_in_place(found: Unpacked, state: Path) -> None:
    """Put what was unpacked where the next start takes it.

    What is known here of the sensor stays: it may be another one than the backup's.
    """
    for name in found.manifest.members:
        if name in SMALL and not (state / name).exists():
            _put(found.folder / name, state / name)
    _put(found.folder / JOURNAL, state / STAGED)


def take(state: Path) -> bool:
    """Take a staged backup for the journal; call it with the lock held and the journal closed.

    The journal that was there is set aside; the newest two of those are kept. Returns whether
    there was one to take.
    """
    for folder in state.glob(f"{UNFINISHED}*"):
        if time.time() - folder.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
    staged, journal = state / STAGED, state / JOURNAL
    if not staged.is_file():
        return False
    # Named after the staged file: after a power cut the next start finds the same name.
    since = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(staged.stat().st_mtime))
    aside = state / f"{BEFORE_RESTORE}{since}.sqlite"
    # The WAL second: where it is missing a reader makes another. It must not stay, or it would be
    # read into the new journal.
    for part in ("", "-wal"):
        if (moving := Path(f"{journal}{part}")).exists():
            moving.rename(f"{aside}{part}")
    for part in PENDING:
        Path(f"{journal}{part}").unlink(missing_ok=True)
    _sync(state)
    staged.rename(journal)
    _sync(state)
    for old in sorted({*state.glob(f"{BEFORE_RESTORE}*.sqlite")} - {aside})[: 1 - ASIDE_KEPT]:
        for part in ("", "-wal"):
            Path(f"{old}{part}").unlink(missing_ok=True)
    log.info("took the backup in the place of the journal")
    if aside.exists():
        log.info("what was here before is in %s", aside)
    return True


def _copy(journal: Path, to: Path, told: Progress) -> int:
    """Copy a journal as it is at one moment, without what was deleted; its schema version."""
    try:
        with read_only(journal) as db:
            schema = schema_version(db)
            pages, page_bytes = (
                db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size")
            )

            def look() -> None:
                with contextlib.suppress(FileNotFoundError):
                    told("copying", min(1.0, to.stat().st_size / (pages * page_bytes)))

            db.set_progress_handler(look, STEPS_BETWEEN_NEWS)
            # A network drive or a FAT stick cannot lock; nobody else has the copy open.
            db.execute("VACUUM INTO ?", (f"file:{quote(str(to))}?nolock=1",))
    except JournalError as error:
        raise BackupError(f"{journal.parent} cannot be backed up: {error}") from error
    except sqlite3.Error as error:
        raise BackupError(
            f"{journal} could not be copied ({error}): run `budge doctor`, which looks at the"
            " journal, the disk and who may read it"
        ) from error
    return schema


def _opened(folder: Path) -> tuple[tuple[str, ...], int]:
    """Open what was unpacked as the service will, which also brings an old schema up to date.

    So whatever would stop the service stops here, where there is still the other journal.
    """
    try:
        with Journal(folder / JOURNAL) as journal:
            Record(journal)
            Switches(journal)
            activities = tuple(dict.fromkeys(said.activity for said in journal.annotations))
            stretches = len(journal.annotations)
        for name in SMALL:
            if (folder / name).exists():
                _check_small(folder / name)
    except Exception as error:  # a stranger's file may be wrong in any way
        raise BackupError(f"it holds what this budge cannot use ({error})") from error
    return activities, stretches


def _check_small(path: Path) -> None:
    """Raise ValueError unless it is a table by device."""
    for device in msgspec.json.decode(path.read_bytes(), type=dict[str, object]):
        if path.name == "calibration.json":
            calibration.load(path, device)


@contextlib.contextmanager
def _workshop(within: Path) -> Iterator[Path]:
    """Make a folder on the same disk, so that what is made there can be renamed into place."""
    with TemporaryDirectory(dir=within, prefix=UNFINISHED) as folder:
        yield Path(folder)


def _put(made: Path, to: Path) -> None:
    """Give a file its name once it is on the disk, and to whom the folder belongs.

    What somebody does all day is nobody else's business; but what root puts into the folder of a
    service must be the service's to write.
    """
    made.chmod(0o600)
    with made.open("rb") as file:
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        owner = to.parent.stat()
        with contextlib.suppress(OSError):  # a FAT stick has no owners
            os.chown(made, owner.st_uid, owner.st_gid)
    made.replace(to)
    _sync(to.parent)


def _sync(folder: Path) -> None:
    """Wait until names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network drives cannot; they are not where the journal lives
        log.debug("%s: %s", folder, error)
    finally:
        os.close(descriptor)


def _why(error: OSError, to: Path) -> str:
    what = f"{error.filename or to}: {error.strerror}"
    if isinstance(error, PermissionError):
        return f"{what}. If the service runs as another user, try again with sudo"
    return what
