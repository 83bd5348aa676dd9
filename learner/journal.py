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

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from learner.journal_file import (
    DamagedError,
    JournalError,
    as_damage,
    mark_damaged,
    set_aside,
)
from learner.journal_rows import SAME_RATE, SECOND_US, Rows, Span, merged

log = logging.getLogger(__name__)

WALL_MOVED_US = 250_000  # less is the drift that NTP takes away
TO_WIPE = "to wipe"  # in `state`: where rows of what was forgotten still are


class Annotation(NamedTuple):
    """From `start_us` to `end_us` this was `activity`; still so when `end_us` is None."""

    id: int
    activity: str
    start_us: int
    end_us: int | None
    origin: str


class Journal(Rows):
    """One SQLite file: rows, and what was said of them. Owned by one thread; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make the journal. Raises JournalError on a file that is something else."""
        super().__init__(path)
        self._overfull = False  # as it was told
        # What is to be written when the disk takes it: things to remember, ends by annotation.
        self._unkept: dict[str, bytes] = {}
        self._unended: dict[int, int] = {}
        with self._opening():
            self._wall: list[tuple[int, int]] = self._db.execute(
                "SELECT from_us, offset_us FROM wall ORDER BY from_us"
            ).fetchall()
            self._read_annotations()
            try:
                int(self.recall("revision") or b"0")
            except ValueError as error:
                raise DamagedError(path, "no count of revisions") from error

    @property
    def horizon_us(self) -> int:
        """Journal time that nothing known reaches beyond, neither a row nor an annotation."""
        return max(self.end_us, self.said_until_us)

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

    def prune(self, before_us: int, most_bytes: int = 2**63) -> None:
        """Drop rows that no annotation covers: those older than `before_us`.

        And then the oldest of the others, until the file needs at most `most_bytes`.
        """
        excess = self._prune(before_us, self._covered(), most_bytes)
        if excess > 0 and not self._overfull:
            log.warning(
                "what was taught alone needs %.0f MB more than max_mb in [journal] allows: nothing"
                " else is kept for longer than some minutes, and nothing taught is dropped",
                excess / 1e6,
            )
        self._overfull = excess > 0

    def _covered(self) -> list[Span]:
        """Return what annotations cover, as disjoint stretches in order."""
        return merged(
            (a.start_us, self.end_us if a.end_us is None else a.end_us) for a in self._annotations
        )

    # -- the wall clock --------------------------------------------------------------------------

    def note_wall(self, at_us: int, offset_us: int) -> None:
        """Note that from `at_us` on the wall clock is `offset_us` ahead, if that is news.

        Where the disk takes nothing it is news again the next time.
        """
        if self._wall and abs(self._wall[-1][1] - offset_us) <= WALL_MOVED_US:
            return
        with self._tolerant():
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
        """Give an open annotation its end; None opens it again. On the disk when this returns."""
        self.flush()
        with self._transaction(durable=True):
            self._db.execute("UPDATE annotation SET end_us = ? WHERE id = ?", (end_us, said.id))
            self._revise()
        return self._finished(said, end_us)

    def finish_later(self, said: Annotation, end_us: int) -> Annotation:
        """Give an open annotation its end, and write that before any further row.

        For when the disk takes nothing: a power cut meanwhile leaves it open, and no row that lies
        beyond its end.
        """
        self._unended[said.id] = end_us
        self.keep(durable=True)
        return self._finished(said, end_us)

    def _finished(self, said: Annotation, end_us: int | None) -> Annotation:
        finished = said._replace(end_us=end_us)
        self._know(tuple(finished if a == said else a for a in self._annotations))
        return finished

    def retract(self, said: Annotation) -> None:
        """Take back what was said. The row stays, marked, until the activity is forgotten."""
        self.flush()
        until_us = max(said.start_us, self.end_us)
        with self._transaction(durable=True):
            self._db.execute(
                "UPDATE annotation SET retracted = 1, end_us = coalesce(end_us, ?) WHERE id = ?",
                (until_us, said.id),
            )
            self._revise()
        self._know(tuple(a for a in self._annotations if a != said))
        self._pruned_us = min(self._pruned_us, said.start_us)  # its rows may go now

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name; where that is another's, the two are one from then on.

        Also where it was taken back. On the disk when this returns.
        """
        self.flush()
        with self._transaction(durable=True):
            self._db.execute("UPDATE annotation SET activity = ? WHERE activity = ?", (new, old))
            self._revise()
        self._read_annotations()

    def _read_annotations(self) -> None:
        self._know(
            tuple(
                Annotation(*row)
                for row in self._db.execute(
                    "SELECT id, activity, start_us, end_us, origin FROM annotation"
                    " WHERE NOT retracted ORDER BY id"
                )
            )
        )

    def _know(self, annotations: tuple[Annotation, ...]) -> None:
        self._annotations = annotations
        self._being_taught = next((a for a in reversed(annotations) if a.end_us is None), None)
        # The last end of what was said; rows that come later may still lie before it.
        self.said_until_us = max((a.end_us or 0 for a in annotations), default=0)

    # -- what is to be forgotten -----------------------------------------------------------------

    def ever_said(self) -> list[str]:
        """Every activity that the file names, also where it was taken back."""
        named = self._db.execute(
            "SELECT activity FROM annotation GROUP BY activity ORDER BY min(id)"
        )
        return [activity for (activity,) in named]

    def forget(self, activity: str) -> None:
        """Delete what was said of an activity, also where it was taken back.

        On the disk when this returns. Its rows are left for the model to unlearn, until `wipe`.
        """
        self.flush()
        with self._transaction(durable=True):
            spans = self._db.execute(
                "DELETE FROM annotation WHERE activity = ? RETURNING start_us, end_us", (activity,)
            ).fetchall()
            self._to_wipe((start, self.end_us if end is None else end) for start, end in spans)
        self._read_annotations()

    def forget_between(self, start_us: int, end_us: int) -> None:
        """Delete what was said of the time between the two; what reaches beyond is cut there.

        On the disk when this returns. The rows are left for the model to unlearn, until `wipe`.
        """
        self.flush()
        with self._transaction(durable=True):
            said = self._db.execute(
                "SELECT id, activity, start_us, end_us, origin, retracted FROM annotation"
                " ORDER BY id"
            ).fetchall()
            left: list[tuple[object, ...]] = []
            split = False  # then all that was said later needs a new number, to stay later
            for id_, activity, start, end, *more in said:
                if start < start_us:
                    before_us = start_us if end is None else min(end, start_us)
                    left.append((None if split else id_, activity, start, before_us, *more))
                if end is None or end > end_us:
                    split = split or start < start_us
                    after_us = max(start, end_us)
                    left.append((None if split else id_, activity, after_us, end, *more))
            self._db.execute("DELETE FROM annotation")
            self._db.executemany("INSERT INTO annotation VALUES (?, ?, ?, ?, ?, ?)", left)
            self._to_wipe([(start_us, end_us)])
        self._read_annotations()

    def _to_wipe(self, spans: Iterable[Span]) -> None:
        waiting = json.loads(self.recall(TO_WIPE) or b"[]")
        self._put(TO_WIPE, json.dumps([*waiting, *spans]).encode())
        self._revise()

    @property
    def to_wipe(self) -> bool:
        """Whether the file still has traces of what was forgotten."""
        return self.recall(TO_WIPE) is not None

    def wipe(self, *spared: str) -> None:
        """Take what was forgotten out of the file, byte by byte: it is written anew.

        So go the rows that no annotation covers any more, and whatever was `remember`ed, which may
        name it, but for what is `spared`. That takes seconds where there are hundreds of MB. When
        runs began and when the wall clock was set stays. Does nothing where nothing was forgotten
        since.

        Raises sqlite3.OperationalError where the disk is full or another program reads the file;
        the next call tries again, and a kill in between leaves it to that one.
        """
        spans = self.recall(TO_WIPE)
        if spans is None:
            return
        self.flush()
        covered = self._covered()
        with self._transaction(durable=True):
            for start_us, end_us in json.loads(spans):
                self._cut(start_us, end_us, covered)
            keys = self._db.execute("SELECT key FROM state").fetchall()
            gone = [key for key in keys if key[0] not in ("revision", TO_WIPE, *spared)]
            self._db.executemany("DELETE FROM state WHERE key = ?", gone)
        self._unkept.clear()
        # A deleted row leaves its bytes in free pages and between the others: VACUUM copies what
        # is live into new ones. The old ones are in the WAL until it is cut.
        with self._noting():
            self._db.execute("VACUUM")
            self._truncate()
        for file in set_aside(self._path):
            file.unlink()
        with self._transaction(durable=False):
            self._db.execute("DELETE FROM state WHERE key = ?", (TO_WIPE,))

    # -- small things to remember ----------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Counts every change of the annotations; a snapshot of the model names its revision."""
        return int(self.recall("revision") or b"0")

    def _revise(self) -> None:
        self._put("revision", str(self.revision + 1).encode())

    def remember(self, key: str, value: bytes, *, durable: bool = False) -> None:
        """Keep `value` under `key` until something is forgotten; `durable` waits for the disk.

        Else, where the disk takes nothing, it is kept in memory and written before the next rows.
        """
        if durable:
            with self._transaction(durable=True):
                self._put(key, value)
            self._unkept.pop(key, None)
            return
        self._unkept[key] = value
        with self._tolerant():
            self._write_late(durable=False)

    def flush(self, *, durable: bool = False) -> None:
        if self._unkept or self._unended:
            self._write_late(durable=bool(self._unended))
        super().flush(durable=durable)

    def _write_late(self, *, durable: bool) -> None:
        with self._transaction(durable=durable):
            for id_, end_us in self._unended.items():
                self._db.execute("UPDATE annotation SET end_us = ? WHERE id = ?", (end_us, id_))
                self._revise()
            for key, value in self._unkept.items():
                self._put(key, value)
        self._unended.clear()
        self._unkept.clear()

    def recall(self, key: str) -> bytes | None:
        if key in self._unkept:
            return self._unkept[key]
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def _put(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; where damage was met, see that the next opening knows, and raise DamagedError."""
        damage = as_damage(self._path, error)
        if damage is None:
            self.close()
            return
        mark_damaged(self._path)
        self._db.close()
        if damage is not error:
            raise damage from error
