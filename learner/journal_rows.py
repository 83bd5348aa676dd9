"""What the sensor saw: runs of uniform rows in the journal's file, never a splice over a gap."""

import logging
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.journal_disk import Disk
from learner.journal_file import DamagedError

log = logging.getLogger(__name__)

SECOND_US = 1_000_000
BLOB_ROWS = 1024  # at most this many rows in one blob: bounds what a look-up must search
BATCH_ROWS = 16 * BLOB_ROWS  # at most this many rows in one transaction, and …
MAX_BATCHES = (
    16  # … this many batches in memory while the disk is full: an hour and a half at 50 Hz
)
BLOB_OVERHEAD = 300  # bytes in the file that a blob's rows do not account for, about
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


# The last blob of a run ends where the run does: all of them would be a third of the file to read.
RUNS = """
SELECT id, start_us, rate_hz, scale,
(SELECT first + n FROM rows WHERE run = run.id ORDER BY first DESC LIMIT 1) FROM run ORDER BY id"""
DROP_EMPTY = """
DELETE FROM run WHERE id < ? AND NOT EXISTS (SELECT 1 FROM rows WHERE run = run.id) RETURNING id"""
SCALE_BYTES = {4 * channels for channels in range(1, 65)}
MOST_ROWS = 10**11  # of a run
LATEST_US = 10**16  # the year 2286


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


@dataclass(slots=True, eq=False)
class _Batch:
    """Rows of one run that are not in the file yet."""

    run: int
    first: int
    rows: int = 0
    parts: list[NDArray[np.int16]] = field(default_factory=list)

    def blobs(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield what goes into the table: run, first row, number of rows, counts."""
        counts = np.concatenate(self.parts).astype("<i2")
        for at in range(0, len(counts), BLOB_ROWS):
            part = counts[at : at + BLOB_ROWS]
            yield self.run, self.first + at, len(part), part.tobytes()


class Rows(Disk):
    """The file, and the rows in it; what was said of them is the Journal's."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises JournalError on one that is something else."""
        super().__init__(path)
        self.dropped_rows = 0  # that waited for room on the disk until there were too many
        with self._opening():
            self._runs = [self._checked_run(*row) for row in self._db.execute(RUNS)]
        self._new_runs: list[tuple[int, int, float, bytes, str]] = []  # not yet in the file
        self._pruned_us = 0  # older rows than this were looked at already
        self._waiting: deque[_Batch] = deque()

    def _checked_run(
        self, id_: int, start_us: int, rate_hz: float, scale: bytes, rows: int | None
    ) -> _Run:
        """What a torn or a stranger's file says may be no run: then nothing follows from it."""
        whole = (
            abs(start_us) < LATEST_US
            and 0.1 <= rate_hz <= 1e5
            and len(scale) in SCALE_BYTES
            and 0 <= (rows or 0) < MOST_ROWS
        )
        if not whole:
            raise DamagedError(self._path, f"run {id_} is none")
        return _Run(
            id_, start_us, rate_hz, np.frombuffer(scale, "<f4").astype(np.float32), rows or 0
        )

    @property
    def end_us(self) -> int:
        """Journal time one row past the last one known; 0 in a new journal."""
        return self._runs[-1].end_us if self._runs else 0

    def begin_run(
        self, start_us: int, rate_hz: float, scale: NDArray[np.float32], cause: str
    ) -> None:
        """Begin a run after the last one: never before its end, since time only goes forward."""
        start_us = max(start_us, self.end_us)
        id_ = self._runs[-1].id + 1 if self._runs else 1
        self._new_runs.append((id_, start_us, rate_hz, scale.astype("<f4").tobytes(), cause))
        self._runs.append(_Run(id_, start_us, rate_hz, scale, 0))
        self.keep()

    def append(self, counts: NDArray[np.int16]) -> None:
        """Add (n, c) rows to the last run. They are kept in memory until `flush`.

        While the disk takes nothing the oldest of those that wait are dropped when there are too
        many: a hole in the run, as where rows were pruned, and no window is looked for across it.
        """
        run = self._runs[-1]
        if counts.ndim != 2 or counts.shape[1] != len(run.scale):
            raise ValueError(f"rows have shape {counts.shape}, expected (n, {len(run.scale)})")
        batch = self._waiting[-1] if self._waiting else None
        if batch is None or batch.run != run.id or batch.rows + len(counts) > BATCH_ROWS:
            if len(self._waiting) >= MAX_BATCHES and not self.keep():
                self.dropped_rows += self._waiting.popleft().rows
            batch = _Batch(run.id, run.rows)
            self._waiting.append(batch)
        batch.parts.append(counts)
        batch.rows += len(counts)
        self._runs[-1] = replace(run, rows=run.rows + len(counts))

    def keep(self, *, durable: bool = False) -> bool:
        """Flush if the disk lets it. False where not: the rows wait, and `trouble` says why."""
        with self._tolerant():
            self.flush(durable=durable)
            return True
        return False

    def flush(self, *, durable: bool = False) -> None:
        """Write the rows that wait; `durable` returns only when they are on the disk.

        Raises sqlite3.OperationalError where the disk does not take them: they wait on.
        """
        while self._waiting or self._new_runs:
            batch = self._waiting[0] if self._waiting else None
            with self._transaction(durable=durable and len(self._waiting) <= 1):
                self._db.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?)", self._new_runs)
                if batch is not None:
                    self._db.executemany(
                        "INSERT INTO rows (run, first, n, counts) VALUES (?, ?, ?, ?)",
                        batch.blobs(),
                    )
            self._new_runs.clear()
            if batch is not None:
                self._waiting.popleft()

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
            while low < high:
                past = min(low + BLOCK_WINDOWS, high)
                rows, kept = self._rows(run, low * hop, (past - 1) * hop + length)
                for index in range(low, past):
                    at = (index - low) * hop
                    first_us, past_us = run.at_us(index * hop), run.at_us(index * hop + length)
                    inside = start_us <= first_us and past_us <= end_us
                    if inside and kept[at : at + length].all():
                        samples = rows[at : at + length].astype(np.float32) * run.scale
                        yield StoredWindow(run.id, index, first_us, past_us, samples)
                # On to where there are rows again, which may be far.
                low = past if kept.any() else max(past, self._next_stored(run, past * hop) // hop)

    def _next_stored(self, run: _Run, row: int) -> int:
        """Return `row`, or the next one that is kept if that is later."""
        (first,) = self._db.execute(
            "SELECT min(first) FROM rows WHERE run = ? AND first > ?", (run.id, row - BLOB_ROWS)
        ).fetchone()
        return run.rows if first is None else max(row, int(first))

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
            part = self._counts(run, blob)
            low, high = max(at, first), min(at + len(part), past)
            if low < high:
                rows[low - first : high - first] = part[low - at : high - at]
                kept[low - first : high - first] = True
        return rows, kept

    def _counts(self, run: _Run, blob: bytes) -> NDArray[np.int16]:
        if len(blob) % (2 * len(run.scale)):
            raise DamagedError(self._path, f"rows of run {run.id} that are not whole")
        return np.frombuffer(blob, "<i2").reshape(-1, len(run.scale))

    def _prune(self, before_us: int, covered: list[Span], most_bytes: int) -> int:
        """Drop the blobs older than `before_us` that nothing covered reaches into.

        Then the next oldest ones until the file needs at most `most_bytes`. Returns by how many
        it still needs more. Runs that are left without a row go, too, but for the last one, from
        which time goes on. Does nothing while the disk takes nothing.
        """
        excess = self._used_bytes() - most_bytes
        drop, looked_us = [], self.end_us
        for run, first, n in self._blobs_since(self._pruned_us):
            start_us, end_us = run.at_us(first), run.at_us(first + n)
            if end_us > before_us and excess <= 0:
                looked_us = start_us
                break
            next_one = bisect_right(covered, start_us, key=lambda stretch: stretch[1])
            if not (next_one < len(covered) and covered[next_one][0] < end_us):
                drop.append((run.id, first))
                excess -= n * 2 * len(run.scale) + BLOB_OVERHEAD
        with self._tolerant():
            with self._transaction(durable=False):
                self._db.executemany("DELETE FROM rows WHERE run = ? AND first = ?", drop)
                empty = {id_ for (id_,) in self._db.execute(DROP_EMPTY, (self._first_to_come(),))}
            self._runs = [run for run in self._runs if run.id not in empty]
            self._pruned_us = max(self._pruned_us, min(looked_us, max(before_us, 0)))
        return excess

    def _first_to_come(self) -> int:
        """Return the first run of which there are, or may be, rows that are not in the file yet."""
        waiting = [batch.run for batch in self._waiting]
        return min([*waiting, *(run.id for run in self._runs[-1:])], default=0)

    def _blobs_since(self, time_us: int) -> Iterator[tuple[_Run, int, int]]:
        """Yield run, first row and number of rows of every blob that ends after then, in order."""
        for run in self._runs_between(time_us, self.end_us):
            for first, n in self._db.execute(
                "SELECT first, n FROM rows WHERE run = ? AND first > ? ORDER BY first",
                (run.id, run.row_at(time_us) - BLOB_ROWS),
            ):
                if run.at_us(first + n) > time_us:
                    yield run, first, n

    def _used_bytes(self) -> int:
        page_bytes, pages, free = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
        return page_bytes * (pages - free)

    def _cut(self, start_us: int, end_us: int, covered: list[Span]) -> None:
        """Delete the rows between the two that nothing covers, to the row; in a transaction."""
        for run in self._runs_between(start_us, end_us):
            low, past = run.rows_touched(start_us, end_us)
            spared = [run.rows_touched(*span) for span in covered if span[1] > run.start_us]
            for first, blob in self._db.execute(
                "SELECT first, counts FROM rows WHERE run = ? AND first > ? AND first < ?",
                (run.id, low - BLOB_ROWS, past),
            ).fetchall():
                counts = self._counts(run, blob)
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
        if not self.keep():
            log.warning("%d rows were not kept", sum(batch.rows for batch in self._waiting))
        self._db.close()
