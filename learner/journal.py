"""What the sensor saw and what the user said, on disk: the model is only what follows from them.

Time here is *journal time*: whole microseconds that only go forward. They start from the wall
clock when a process starts and are counted by the source from then on, so that a Pi whose wall
clock jumps (it has no RTC) still has one order of events.

    run         |-- uniform rows, rate_hz apart, no gap --|      |-- the next run --|
    annotation        |---- "walking" ----|        |-- "stairs" (open: no end yet)

An annotation is on the disk (WAL, synchronous=FULL) when `annotate` returns. Rows are written in
batches without waiting for the disk, since an SD card wears, and with the wait when `flush` is
told so: what an annotation covers must not be lost.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

APPLICATION_ID = 0x62756467  # "budg": tells our file from a stranger's
SCHEMA_VERSION = 1
SECOND_US = 1_000_000
BLOB_ROWS = 1024  # at most this many rows in one blob: bounds what a look-up must search
SAME_RATE = 0.005  # a recording's measured rate is as good as the grid's if it differs less
BLOCK_WINDOWS = 256  # windows fetched at once: bounds the memory of a long stretch

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
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
"""


class JournalError(RuntimeError):
    """The file is not a journal this version can use; the sentence says what to do."""


class Annotation(NamedTuple):
    """From `start_us` to `end_us` this was `activity`; still so when `end_us` is None."""

    id: int
    activity: str
    start_us: int
    end_us: int | None
    origin: str


class StoredWindow(NamedTuple):
    """Window `number` of run `run`, the same numbers the live line saw."""

    run: int
    number: int  # k of the grid k·hop
    start_us: int
    end_us: int
    samples: NDArray[np.float32]  # (length, c) m/s², rad/s


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    id: int
    start_us: int
    rate_hz: float
    scale: NDArray[np.float32]
    rows: int  # stored or waiting

    def at_us(self, row: int) -> int:
        return self.start_us + round(row * SECOND_US / self.rate_hz)

    def row_at(self, time_us: int) -> float:
        return (time_us - self.start_us) * self.rate_hz / SECOND_US

    @property
    def end_us(self) -> int:
        return self.at_us(self.rows)


class Journal:
    """One SQLite file; owned by one thread. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make the journal. Raises JournalError on a file that is something else."""
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise JournalError(
                f"{path} is not a budge journal ({error}): move it away and start again"
            ) from error
        except JournalError:
            self._db.close()
            raise
        self._annotations = [
            Annotation(*row)
            for row in self._db.execute(
                "SELECT id, activity, start_us, end_us, origin FROM annotation"
                " WHERE NOT retracted ORDER BY id"
            )
        ]
        self._runs = [
            _Run(id_, start_us, rate_hz, np.frombuffer(scale, "<f4").astype(np.float32), rows or 0)
            for id_, start_us, rate_hz, scale, rows in self._db.execute(
                "SELECT id, start_us, rate_hz, scale,"
                " (SELECT max(first + n) FROM rows WHERE run = run.id) FROM run ORDER BY id"
            )
        ]
        self._waiting: list[NDArray[np.int16]] = []  # rows of the last run, not yet in the file
        self._waiting_rows = 0

    def _open(self) -> None:
        application_id = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        empty = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if empty:
            self._db.execute("PRAGMA journal_mode = WAL")
            with self._transaction(durable=True):
                for statement in SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application_id != APPLICATION_ID:
            raise JournalError(
                f"{self._path} is a database of another program"
                f" (application id 0x{application_id:08x}, expected 0x{APPLICATION_ID:08x}):"
                " name another state folder"
            )
        elif version != SCHEMA_VERSION:
            raise JournalError(
                f"{self._path} has schema version {version}, this budge reads {SCHEMA_VERSION}:"
                " install the budge that wrote it, or a newer one"
            )

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        """Commit on leaving, and roll back on an error; `durable` waits for the disk.

        In WAL mode a FULL commit syncs all that NORMAL commits wrote before it, too.
        """
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- what the sensor saw ---------------------------------------------------------------------

    @property
    def end_us(self) -> int:
        """Journal time one row past the last one known; 0 in a new journal."""
        return self._runs[-1].end_us if self._runs else 0

    def begin_run(
        self, start_us: int, rate_hz: float, scale: NDArray[np.float32], cause: str
    ) -> None:
        """Begin a run after the last one: never before its end, since time only goes forward."""
        self.flush()
        start_us = max(start_us, self.end_us)
        with self._transaction(durable=False):
            cursor = self._db.execute(
                "INSERT INTO run (start_us, rate_hz, scale, cause) VALUES (?, ?, ?, ?)",
                (start_us, rate_hz, scale.astype("<f4").tobytes(), cause),
            )
        if cursor.lastrowid is None:  # only a failed INSERT has none
            raise JournalError(f"{self._path} took no run")
        self._runs.append(_Run(cursor.lastrowid, start_us, rate_hz, scale, 0))

    def append(self, counts: NDArray[np.int16]) -> None:
        """Add (n, c) rows to the last run. They are kept in memory until `flush`."""
        run = self._runs[-1]
        if counts.ndim != 2 or counts.shape[1] != len(run.scale):
            raise ValueError(f"rows have shape {counts.shape}, expected (n, {len(run.scale)})")
        self._waiting.append(counts)
        self._waiting_rows += len(counts)
        self._runs[-1] = replace(run, rows=run.rows + len(counts))

    def flush(self, *, durable: bool = False) -> None:
        """Write the rows that wait; `durable` returns only when they are on the disk."""
        if not self._waiting:
            return
        run = self._runs[-1]
        counts = np.concatenate(self._waiting).astype("<i2")
        first = run.rows - self._waiting_rows
        with self._transaction(durable=durable):
            self._db.executemany(
                "INSERT INTO rows (run, first, n, counts) VALUES (?, ?, ?, ?)",
                [
                    (run.id, first + at, len(part), part.tobytes())
                    for at in range(0, len(counts), BLOB_ROWS)
                    for part in [counts[at : at + BLOB_ROWS]]
                ],
            )
        self._waiting.clear()
        self._waiting_rows = 0

    def recorded(self, start_us: int, end_us: int) -> bool:
        """Tell whether any row between the two is still kept."""
        self.flush()
        return any(
            self._db.execute(
                "SELECT 1 FROM rows WHERE run = ? AND first + n > ? AND first < ? LIMIT 1",
                (run.id, run.row_at(start_us), run.row_at(end_us)),
            ).fetchone()
            for run in self._runs
            if run.start_us < end_us and run.end_us > start_us
        )

    def windows(
        self, start_us: int, end_us: int, *, length: int, hop: int, rate_hz: float, channels: int
    ) -> Iterator[StoredWindow]:
        """Yield the windows wholly inside [start_us, end_us], on the grid k·hop of their run.

        Runs of another rate or number of channels are passed over, and so are windows whose rows
        are no longer kept. Flushes first, so that a window seen is a window stored.
        """
        self.flush()
        for run in self._runs:
            if run.start_us >= end_us or run.end_us <= start_us:
                continue
            another_rate = abs(run.rate_hz / rate_hz - 1) > SAME_RATE
            if another_rate or len(run.scale) != channels:
                continue
            # One too many at both ends, for the rounding; the comparison below is the exact one.
            low = max(0, int(run.row_at(start_us)) // hop - 1)
            high = min(int(run.row_at(end_us)) // hop + 1, (run.rows - length) // hop + 1)
            for block in range(low, high, BLOCK_WINDOWS):
                indices = range(block, min(block + BLOCK_WINDOWS, high))
                rows, kept = self._rows(run, indices[0] * hop, indices[-1] * hop + length)
                for index in indices:
                    at = (index - block) * hop
                    first_us, past_us = run.at_us(index * hop), run.at_us(index * hop + length)
                    inside = start_us <= first_us and past_us <= end_us
                    if inside and kept[at : at + length].all():
                        samples = rows[at : at + length].astype(np.float32) * run.scale
                        yield StoredWindow(run.id, index, first_us, past_us, samples)

    def _rows(
        self, run: _Run, first: int, past: int
    ) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Fetch rows first … past of `run`, and which of them are still kept."""
        rows = np.zeros((past - first, len(run.scale)), np.int16)
        kept = np.zeros(past - first, np.bool_)
        for at, blob in self._db.execute(
            "SELECT first, counts FROM rows WHERE run = ? AND first > ? AND first < ?",
            (run.id, first - BLOB_ROWS, past),
        ):
            part = np.frombuffer(blob, "<i2").reshape(-1, len(run.scale))
            low, high = max(at, first), min(at + len(part), past)
            if low < high:
                rows[low - first : high - first] = part[low - at : high - at]
                kept[low - first : high - first] = True
        return rows, kept

    def prune(self, before_us: int) -> None:
        """Drop rows older than `before_us` that no annotation covers."""
        covered = [
            (a.start_us, self.end_us if a.end_us is None else a.end_us) for a in self._annotations
        ]
        with self._transaction(durable=False):
            for run in self._runs:
                if run.start_us >= before_us:
                    break
                found = self._db.execute(
                    "SELECT first, n FROM rows WHERE run = ?", (run.id,)
                ).fetchall()
                drop = [
                    (run.id, first)
                    for first, n in found
                    if run.at_us(first + n) <= before_us
                    and not any(
                        start < run.at_us(first + n) and run.at_us(first) < end
                        for start, end in covered
                    )
                ]
                self._db.executemany("DELETE FROM rows WHERE run = ? AND first = ?", drop)

    # -- what the user said ----------------------------------------------------------------------

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """All that was said and not taken back, in the order it was committed."""
        return tuple(self._annotations)

    @property
    def open_annotation(self) -> Annotation | None:
        """What is being taught now."""
        return next((a for a in reversed(self._annotations) if a.end_us is None), None)

    def annotate(self, activity: str, start_us: int, end_us: int | None, origin: str) -> Annotation:
        """Say what was done. On the disk when this returns, with the rows up to now."""
        self.flush()
        with self._transaction(durable=True):
            cursor = self._db.execute(
                "INSERT INTO annotation (activity, start_us, end_us, origin) VALUES (?, ?, ?, ?)",
                (activity, start_us, end_us, origin),
            )
            self._revise()
        if cursor.lastrowid is None:
            raise JournalError(f"{self._path} took no annotation")
        said = Annotation(cursor.lastrowid, activity, start_us, end_us, origin)
        self._annotations.append(said)
        return said

    def finish(self, said: Annotation, end_us: int) -> Annotation:
        """Give an open annotation its end."""
        self.flush()
        with self._transaction(durable=True):
            self._db.execute("UPDATE annotation SET end_us = ? WHERE id = ?", (end_us, said.id))
            self._revise()
        finished = said._replace(end_us=end_us)
        self._annotations[self._annotations.index(said)] = finished
        return finished

    def retract(self, said: Annotation) -> None:
        """Take back what was said. The row stays, marked: the history is kept for good."""
        with self._transaction(durable=True):
            self._db.execute("UPDATE annotation SET retracted = 1 WHERE id = ?", (said.id,))
            self._revise()
        self._annotations.remove(said)

    # -- small things to remember ----------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Counts every change of the annotations; a snapshot of the model names its revision."""
        return int(self.recall("revision") or b"0")

    def _revise(self) -> None:
        self._put("revision", str(self.revision + 1).encode())

    def remember(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`, without waiting for the disk: what can be had again."""
        with self._transaction(durable=False):
            self._put(key, value)

    def recall(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def _put(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))

    def close(self) -> None:
        self.flush()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
