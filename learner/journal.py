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

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from learner.journal_file import JournalError, open_database

SECOND_US = 1_000_000
BLOB_ROWS = 1024  # at most this many rows in one blob: bounds what a look-up must search
WALL_MOVED_US = 250_000  # less is the drift that NTP takes away
SAME_RATE = 0.005  # a recording's measured rate is as good as the grid's if it differs less
BLOCK_WINDOWS = 256  # windows fetched at once: bounds the memory of a long stretch


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
        self._db = open_database(path)
        self._know(
            tuple(
                Annotation(*row)
                for row in self._db.execute(
                    "SELECT id, activity, start_us, end_us, origin FROM annotation"
                    " WHERE NOT retracted ORDER BY id"
                )
            )
        )
        self._runs = [
            _Run(id_, start_us, rate_hz, np.frombuffer(scale, "<f4").astype(np.float32), rows or 0)
            for id_, start_us, rate_hz, scale, rows in self._db.execute(
                "SELECT id, start_us, rate_hz, scale,"
                " (SELECT max(first + n) FROM rows WHERE run = run.id) FROM run ORDER BY id"
            )
        ]
        self._wall: list[tuple[int, int]] = self._db.execute(
            "SELECT from_us, offset_us FROM wall ORDER BY from_us"
        ).fetchall()
        self._pruned_us = 0  # older rows than this were looked at already
        self._waiting: list[NDArray[np.int16]] = []  # rows of the last run, not yet in the file
        self._waiting_rows = 0

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        """Commit on leaving, and roll back on an error; `durable` waits for the disk.

        In WAL mode a FULL commit syncs all that NORMAL commits wrote before it, too.
        """
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")  # on a full disk it is this that fails
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # -- what the sensor saw ---------------------------------------------------------------------

    @property
    def end_us(self) -> int:
        """Journal time one row past the last one known; 0 in a new journal."""
        return self._runs[-1].end_us if self._runs else 0

    @property
    def horizon_us(self) -> int:
        """Journal time that nothing known reaches beyond, neither a row nor an annotation."""
        return max(self.end_us, self.said_until_us)

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
            for run in self._runs_between(start_us, end_us)
        )

    def _runs_between(self, start_us: int, end_us: int) -> list[_Run]:
        """Return the runs that overlap start … end."""
        low = bisect_right(self._runs, start_us, key=lambda run: run.end_us)
        high = bisect_left(self._runs, end_us, key=lambda run: run.start_us)
        return self._runs[low:high]

    def windows(
        self, start_us: int, end_us: int, *, length: int, hop: int, rate_hz: float, channels: int
    ) -> Iterator[StoredWindow]:
        """Yield the windows wholly inside [start_us, end_us], on the grid k·hop of their run.

        Runs of another rate or number of channels are passed over, and so are windows whose rows
        are no longer kept. Flushes first, so that a window seen is a window stored.
        """
        self.flush()
        for run in self._runs_between(start_us, end_us):
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

    def unusable_s(self, *, rate_hz: float, channels: int) -> float:
        """Seconds of annotated rows that `windows` passes over, being of another rate or sensor."""
        return (
            sum(
                min(run.end_us, end_us) - max(run.start_us, start_us)
                for start_us, end_us in self._covered()
                for run in self._runs_between(start_us, end_us)
                if abs(run.rate_hz / rate_hz - 1) > SAME_RATE or len(run.scale) != channels
            )
            / SECOND_US
        )

    def _covered(self) -> list[tuple[int, int]]:
        """Return what annotations cover, as disjoint stretches in order."""
        covered: list[tuple[int, int]] = []
        for start, end in sorted(
            (a.start_us, self.end_us if a.end_us is None else a.end_us) for a in self._annotations
        ):
            if covered and start <= covered[-1][1]:
                covered[-1] = covered[-1][0], max(covered[-1][1], end)
            else:
                covered.append((start, end))
        return covered

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
        covered = self._covered()
        drop = []
        for run in self._runs_between(self._pruned_us, before_us):
            for first, n in self._db.execute(
                "SELECT first, n FROM rows WHERE run = ? AND first + n > ?",
                (run.id, run.row_at(self._pruned_us)),
            ):
                start_us, end_us = run.at_us(first), run.at_us(first + n)
                next_one = bisect_right(covered, start_us, key=lambda stretch: stretch[1])
                kept = next_one < len(covered) and covered[next_one][0] < end_us
                if end_us <= before_us and not kept:
                    drop.append((run.id, first))
        with self._transaction(durable=False):
            self._db.executemany("DELETE FROM rows WHERE run = ? AND first = ?", drop)
        self._pruned_us = max(self._pruned_us, before_us)

    # -- the wall clock --------------------------------------------------------------------------

    def note_wall(self, at_us: int, offset_us: int) -> None:
        """Note that from `at_us` on the wall clock is `offset_us` ahead, if that is news."""
        if self._wall and abs(self._wall[-1][1] - offset_us) <= WALL_MOVED_US:
            return
        with self._transaction(durable=False):
            self._db.execute("INSERT OR REPLACE INTO wall VALUES (?, ?)", (at_us, offset_us))
        self._wall.append((at_us, offset_us))

    def at_wall(self, wall_us: int) -> int:
        """Return the journal time at which the wall clock showed this; the latest, if twice."""
        until_us = None
        for from_us, offset_us in reversed(self._wall):
            at_us = wall_us - offset_us
            if from_us <= at_us and (until_us is None or at_us < until_us):
                return at_us
            until_us = from_us
        return wall_us - (self._wall[0][1] if self._wall else 0)

    # -- what the user said ----------------------------------------------------------------------

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """All that was said and not taken back, in the order it was committed."""
        return self._annotations

    @property
    def open_annotation(self) -> Annotation | None:
        """What is being taught now."""
        return self._being_taught

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
        self._know((*self._annotations, said))
        return said

    def finish(self, said: Annotation, end_us: int | None) -> Annotation:
        """Give an open annotation its end; None opens it again."""
        self.flush()
        with self._transaction(durable=True):
            self._db.execute("UPDATE annotation SET end_us = ? WHERE id = ?", (end_us, said.id))
            self._revise()
        finished = said._replace(end_us=end_us)
        self._know(tuple(finished if a == said else a for a in self._annotations))
        return finished

    def retract(self, said: Annotation) -> None:
        """Take back what was said. The row stays, marked: the history is kept for good."""
        with self._transaction(durable=True):
            self._db.execute("UPDATE annotation SET retracted = 1 WHERE id = ?", (said.id,))
            self._revise()
        self._know(tuple(a for a in self._annotations if a != said))
        self._pruned_us = min(self._pruned_us, said.start_us)  # its rows may go now

    def _know(self, annotations: tuple[Annotation, ...]) -> None:
        self._annotations = annotations
        self._being_taught = next((a for a in reversed(annotations) if a.end_us is None), None)
        # The last end of what was said; rows that come later may still lie before it.
        self.said_until_us = max((a.end_us or 0 for a in annotations), default=0)

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
