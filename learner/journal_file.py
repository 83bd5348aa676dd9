"""The journal's file: made, recognised, or refused with what to do; never thrown away."""

import sqlite3
from contextlib import suppress
from pathlib import Path

APPLICATION_ID = 0x62756467  # "budg": tells our file from a stranger's
BEFORE_RESTORE = "before-restore-"  # how names of journals begin that a backup took the place of

# The first schema, and what made each later one of the one before. A new file takes the same steps
# as an old one, so all files of a version look alike; a step that was released never changes.
STEPS = (
    """
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    start_us INTEGER NOT NULL,      -- of row 0
    rate_hz REAL NOT NULL,
    scale BLOB NOT NULL,            -- float32 little-endian, one a channel: counts to SI
    cause TEXT NOT NULL             -- why it began: "start", "fifo overrun"
) STRICT;
CREATE TABLE rows (
    run INTEGER NOT NULL REFERENCES run (id),
    first INTEGER NOT NULL,         -- which row of the run the blob begins with
    n INTEGER NOT NULL,
    counts BLOB NOT NULL,           -- int16 little-endian, (n, channels)
    PRIMARY KEY (run, first)
) STRICT;
CREATE TABLE annotation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    activity TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    end_us INTEGER,                 -- NULL while it is being taught
    origin TEXT NOT NULL,           -- who said it: "mqtt", "page", "wearer"
    retracted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE wall (
    from_us INTEGER PRIMARY KEY,    -- from this moment of journal time on …
    offset_us INTEGER NOT NULL      -- … the wall clock was so far ahead of it
) STRICT;
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
""",
)


PAGE_BYTES = 1024  # a third less is written than with SQLite's 4096: commits are small

# SQLite's codes for a file that is not what it was, or that the card does not give back.
DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}

# … for the memory that is shared through a file beside it, where the disk takes nothing.
NO_ROOM_FOR_SHM = {sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN}


class JournalError(RuntimeError):
    """The file is not a journal this version can use; the sentence says what to do."""


class DamagedError(JournalError):
    """The file was a journal and is not whole any more; `journal_rescue` knows what to do."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} is not a whole budge journal ({what}): start budge again, which sets it aside"
            " and goes on with what can still be read of it"
        )
        self.what = what


def is_damage(error: sqlite3.Error) -> bool:
    """Tell damage from what passes: a full disk, another program."""
    code = error_code(error)
    return code in DAMAGE or code & 0xFF in DAMAGE


def error_code(error: sqlite3.Error) -> int:
    """Return SQLite's extended code; what Python itself finds wrong has none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR))


def damage_mark(path: Path) -> Path:
    """Name the file that says: damage was met in the journal beside it."""
    return path.with_name(path.name + ".damaged")


def set_aside(path: Path) -> list[Path]:
    """Find what was set aside when it was damaged, or a backup restored over it; all files."""
    folder = path.parent
    return sorted([*folder.glob(f"{path.name}.damaged-*"), *folder.glob(f"{BEFORE_RESTORE}*")])


def mark_damaged(path: Path) -> None:
    """Leave word that damage was met, where the next opening may not meet it by itself."""
    with suppress(OSError):  # then it is met once more
        damage_mark(path).touch()


def as_damage(path: Path, error: BaseException | None) -> DamagedError | None:
    """Find the damage that led to an error, if that was it."""
    while error is not None:
        if isinstance(error, DamagedError):
            return error
        if isinstance(error, sqlite3.Error) and is_damage(error):
            return DamagedError(path, str(error))
        error = error.__context__
    return None


def refused(path: Path, error: sqlite3.Error) -> JournalError:
    """Say why a file cannot be used: it is not whole, or full, busy, read only."""
    if is_damage(error) or error_code(error) == sqlite3.SQLITE_ERROR:  # a format of the future
        return DamagedError(path, str(error))
    return JournalError(
        f"{path} cannot be used now: {error}. Nothing in it is lost: make room on the disk,"
        " see that no other program holds it and that this user may write it, then try again"
    )


def open_database(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """Open the file, or make it. Raises JournalError on one that cannot be used.

    `alone`: as the only process, which needs no memory shared through a file beside it.
    """
    try:
        db = sqlite3.connect(path, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise JournalError(f"{path} cannot be opened: {error}") from error
    db.text_factory = lambda text: text.decode(errors="replace")
    try:
        if alone:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
        _prepare(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        if not alone and error_code(error) in NO_ROOM_FOR_SHM:
            return open_database(path, alone=True)
        raise refused(path, error) from error
    except UnicodeDecodeError as error:  # SQLite's own sentence quotes what it found
        db.close()
        raise DamagedError(path, "its schema is no text") from error
    except JournalError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    application_id = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        version = 0
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    elif application_id != APPLICATION_ID:
        raise JournalError(
            f"{path} is a database of another program"
            f" (application id 0x{application_id:08x}, expected 0x{APPLICATION_ID:08x}):"
            " name another state folder"
        )
    elif not 1 <= version <= len(STEPS):
        raise JournalError(
            f"{path} has schema version {version}, this budge reads {len(STEPS)}:"
            " install the budge that wrote it, or a newer one"
        )
    db.execute("PRAGMA journal_mode = WAL")  # a file out of a backup is in none yet
    if version < len(STEPS):
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        take_steps(db, version, len(STEPS))
        db.execute("COMMIT")


def take_steps(db: sqlite3.Connection, version: int, to: int) -> None:
    """Make a database of one schema version one of another; 0: an empty one."""
    for step in STEPS[version:to]:
        for statement in step.split(";\n"):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {to}")
