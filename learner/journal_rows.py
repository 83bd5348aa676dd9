"""What the sensor saw: runs of uniform rows in the journal's file, never a splice over a gap."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.journal_file import JournalError, open_database

SECOND_US = 1_000_000
BLOB_ROWS = 1024  # at most this many rows in one blob: bounds what a look-up must search
SAME_RATE = 0.005  # a recording's measured rate is as good as the grid's if it differs less
BLOCK_WINDOWS = 256  # windows fetched at once: bounds the memory of a long stretch

Span = tuple[int, int]  # from … to, journal time in µs


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return disjoint spans in order that cover what these do."""
    disjoint: list[Span] = []
    for start, end in sorted(spans):
        if disjoint and start <= disjoint[-1][1]:
            disjoint[-1] = disjoint[-1][0], max(disjoint[-1][1], end)
        else:
            disjoint.append((start, end))
    return disjoint


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

    def rows_touched(self, start_us: int, end_us: int) -> tuple[int, int]:
        return floor(self.row_at(start_us)), ceil(self.row_at(end_us))

    @property
    def end_us(self) -> int:
        return self.at_us(self.rows)


class Rows:
    """The file, and the rows in it; what was said of them is the Journal's."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises JournalError on one that is something else."""
        self._path = path
        self._db = open_database(path)
        self._runs = [
            _Run(id_, start_us, rate_hz, np.frombuffer(scale, "<f4").astype(np.float32), rows or 0)
            for id_, start_us, rate_hz, scale, rows in self._db.execute(
                "SELECT id, start_us, rate_hz, scale,"
                " (SELECT max(first + n) FROM rows WHERE run = run.id) FROM run ORDER BY id"
            )
        ]
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

    def _prune(self, before_us: int, covered: list[Span]) -> None:
        """Drop the blobs older than `before_us` that nothing covered reaches into."""
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

    def _cut(self, start_us: int, end_us: int, covered: list[Span]) -> None:
        """Delete the rows between the two that nothing covers, to the row; in a transaction."""
        for run in self._runs_between(start_us, end_us):
            low, past = run.rows_touched(start_us, end_us)
            spared = [run.rows_touched(*span) for span in covered if span[1] > run.start_us]
            for first, blob in self._db.execute(
                "SELECT first, counts FROM rows WHERE run = ? AND first > ? AND first < ?",
                (run.id, low - BLOB_ROWS, past),
            ).fetchall():
                counts = np.frombuffer(blob, "<i2").reshape(-1, len(run.scale))
                kept = np.ones(len(counts), np.bool_)
                kept[max(low - first, 0) : past - first] = False
                for spared_low, spared_past in spared:
                    kept[max(spared_low - first, 0) : max(spared_past - first, 0)] = True
                self._db.execute("DELETE FROM rows WHERE run = ? AND first = ?", (run.id, first))
                edges = np.flatnonzero(np.diff(kept, prepend=False, append=False)).reshape(-1, 2)
                self._db.executemany(
                    "INSERT INTO rows (run, first, n, counts) VALUES (?, ?, ?, ?)",
                    [(run.id, first + a, b - a, counts[a:b].tobytes()) for a, b in edges.tolist()],
                )
        self._pruned_us = 0  # what is left of their blobs was kept by what covered them

    def close(self) -> None:
        self.flush()
        self._db.close()
