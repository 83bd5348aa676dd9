"""The journal's file: made, recognised, or refused with what to do; never thrown away."""

import sqlite3
from pathlib import Path

APPLICATION_ID = 0x62756467  # "budg": tells our file from a stranger's
SCHEMA_VERSION = 1

SCHEMA = """
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
"""


class JournalError(RuntimeError):
    """The file is not a journal this version can use; the sentence says what to do."""


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, or make it. Raises JournalError on one that cannot be used."""
    try:
        db = sqlite3.connect(path, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise JournalError(f"{path} cannot be opened: {error}") from error
    try:
        _prepare(db, path)
    except sqlite3.OperationalError as error:  # full, busy, read only: the file is not to blame
        db.close()
        raise JournalError(
            f"{path} cannot be used now: {error}. Nothing in it is lost: make room on the disk,"
            " see that no other program holds it and that this user may write it, then try again"
        ) from error
    except sqlite3.DatabaseError as error:
        db.close()
        raise JournalError(
            f"{path} is not a budge journal ({error}): move it away and start again"
        ) from error
    except JournalError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    application_id = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    elif application_id != APPLICATION_ID:
        raise JournalError(
            f"{path} is a database of another program"
            f" (application id 0x{application_id:08x}, expected 0x{APPLICATION_ID:08x}):"
            " name another state folder"
        )
    elif version != SCHEMA_VERSION:
        raise JournalError(
            f"{path} has schema version {version}, this budge reads {SCHEMA_VERSION}:"
            " install the budge that wrote it, or a newer one"
        )
