"""Whether a journal's file can be trusted: one that is whole, ours, and holds what we would write.

A file from elsewhere may be anything: torn, made by another program, or made to do harm when it is
opened. So it is only read here, nothing in its schema is trusted, and the schema must be ours to
the letter: no trigger, no view, no expression that was added to a table.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from learner.journal_file import APPLICATION_ID, STEPS, JournalError, take_steps

LONGEST_BLOB = 2**27  # bytes, of a model's snapshot; SQLite would take 2**30

# What no budge writes; each names a row where there is one. Only columns of every schema so far.
IMPOSSIBLE = {
    "a run without a time, rate or scale": """
        SELECT id FROM run WHERE NOT (start_us BETWEEN 0 AND :latest_us)
        OR NOT (rate_hz BETWEEN 0.1 AND 100000)
        OR length(scale) % 4 OR NOT (length(scale) BETWEEN 4 AND 4 * 64)""",
    "runs that are not one after the other": """
        SELECT id FROM (SELECT id, start_us, lag(start_us) OVER (ORDER BY id) AS before FROM run)
        WHERE start_us < before""",
    "rows of no run, or not as many as they say": """
        SELECT run FROM rows LEFT JOIN run ON run.id = rows.run
        WHERE scale IS NULL OR n < 1 OR NOT (first BETWEEN 0 AND :most_rows)
        OR length(counts) != n * 2 * (length(scale) / 4)""",
    "an annotation without a name or with an impossible end": """
        SELECT id FROM annotation WHERE NOT (start_us BETWEEN 0 AND :latest_us)
        OR end_us NOT BETWEEN start_us AND start_us + :longest_us
        OR NOT (length(activity) BETWEEN 1 AND 64) OR length(origin) > 64
        OR retracted NOT IN (0, 1)""",
    "a wall clock beyond all calendars": """
        SELECT from_us FROM wall WHERE NOT (from_us BETWEEN 0 AND :latest_us)
        OR NOT (offset_us BETWEEN -:latest_us AND :latest_us)""",
    "a count of revisions that is no number": """
        SELECT key FROM state WHERE key = 'revision'
        AND (length(value) NOT BETWEEN 1 AND 18 OR CAST(value AS TEXT) GLOB '*[^0-9]*')""",
}
BOUNDS = {
    "latest_us": 10**16,  # the year 2286: later is no date everywhere
    "longest_us": 400 * 86400 * 10**6,  # more than a year: the button takes no older press
    "most_rows": 10**11,  # of a run: three years at 1 kHz
}


@contextmanager
def read_only(path: Path, *, at_rest: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a database to look at it, trusting nothing in it; sqlite3.Error for what is wrong.

    Another process may write it meanwhile, unless it is `at_rest`: then nothing is put beside it.
    """
    options = "immutable=1" if at_rest else "mode=ro"
    db = sqlite3.connect(
        f"file:{quote(str(path))}?{options}", uri=True, timeout=30.0, isolation_level=None
    )
    try:
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_BLOB)
        yield db
    finally:
        db.close()


def verify(path: Path) -> int:
    """Check a journal at rest, from the first byte to the last; returns its schema version.

    That takes about as long as reading the file. Raises JournalError.
    """
    try:
        with read_only(path, at_rest=True) as db:
            version = schema_version(db)
            damage = damaged(db)
            if damage is not None:
                raise JournalError(f"its journal is damaged ({damage})")
            for what, query in IMPOSSIBLE.items():
                if found := db.execute(f"{query} LIMIT 1", BOUNDS).fetchone():
                    raise JournalError(f"its journal holds {what} (number {str(found[0])[:20]})")
            return version
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise JournalError(f"its journal cannot be read ({error})") from error


def schema_version(db: sqlite3.Connection) -> int:
    """Return the version of a journal's schema, which is ours to the letter. JournalError."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalError("its journal is a database of another program")
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(STEPS):
        raise JournalError(
            f"its journal has schema version {version}, this budge reads {len(STEPS)} and older:"
            " upgrade this budge first"
        )
    if version < 1 or _schema(db) != _our_schema(version):
        raise JournalError(
            "its journal holds tables, triggers or views that budge does not make:"
            " it was changed by somebody"
        )
    return version


def damaged(db: sqlite3.Connection) -> str | None:
    """Say what is wrong with the pages and indexes of a database; None: nothing."""
    said = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
    return None if said == "ok" else said.splitlines()[-1][:100]


def _schema(db: sqlite3.Connection) -> set[tuple[object, ...]]:
    return set(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))


def _our_schema(version: int) -> set[tuple[object, ...]]:
    ours = sqlite3.connect(":memory:", isolation_level=None)
    try:
        take_steps(ours, 0, version)
        return _schema(ours)
    finally:
        ours.close()
