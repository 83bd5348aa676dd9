"""What a network remembers of its lessons, so that it does not forget them.

Labels from a button come in blocks, and descent on a block unlearns the one before. So every step
is taken on a batch drawn evenly from all activities (experience replay: Robins 1995).
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from learner.features import Floats

Row = NDArray[np.int16]  # (size,) in units of GRID
Rows = NDArray[np.int16]  # (n, size)
State = Mapping[str, NDArray[np.generic]]
Kind = TypeVar("Kind", bound=np.generic)

GRID = 2.0**-12
LARGEST = 32767  # what int16 holds, ±8 in units of GRID

KEPT = 100  # windows of each activity: two minutes that have nothing in common
# For novelty the spread within an activity is not trusted before it has been seen for a while:
# it counts as this many windows of this variance (what is stored is of order one by design).
DOUBT_WINDOWS, DOUBT_VARIANCE = 5.0, 0.2**2
HALF_NOVEL = 2.5  # squared distance per feature, relative to its expectation, of novelty 0.5


def on_grid(x: Floats) -> Row:
    """Round x to the grid, in int16; beyond ±8 it saturates."""
    return np.rint(np.clip(x / GRID, -LARGEST, LARGEST)).astype(np.int16)


def checked(state: State, name: str, kind: type[Kind], shape: tuple[int, ...]) -> NDArray[Kind]:
    """Return a copy of the array `name`. KeyError, ValueError: it is missing, or not such a one."""
    array = state[name]
    if array.dtype != kind or array.shape != shape:
        expected = f"{np.dtype(kind)} {shape}"
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {expected}")
    return cast("NDArray[Kind]", array.copy())


class Replay:
    """Rows of every activity, at most KEPT of each.

    Those are kept whose hash is smallest: a fair sample that does not depend on the order they came
    in. `describe` turns rows (n, size) into (n, d) numbers of order one, from which follow `centre`
    (d,) and `variance` (d,), every activity counted the same however long it was taught.
    """

    def __init__(self, size: int, describe: Callable[[Rows], Floats]) -> None:
        self._size, self._describe = size, describe
        self._hashes: dict[str, list[bytes]] = {}
        self._rows: dict[str, list[Row]] = {}
        self._moments: dict[str, Floats] = {}  # (2, d): mean and variance
        self.centre, self.variance = np.empty(0), np.empty(0)

    def add(self, activity: str, row: Row) -> None:
        """Keep a row, which the caller gives away, if its hash is among the smallest."""
        self._insert(activity, row)
        self._measure(activity)
        self._follow()

    def draw(self, chance: np.random.Generator, count: int) -> list[tuple[int, Row]]:
        """Draw rows and the places of their activities, as evenly among these as `count` allows."""
        rows = list(self._rows.values())
        places = (chance.integers(len(rows)) + np.arange(count)) % len(rows)
        return [
            (place, rows[place][int(at * len(rows[place]))])
            for place, at in zip(places.tolist(), chance.random(count).tolist(), strict=True)
        ]

    def novelty(self, row: Row) -> float:
        """Say how far a row is from the nearest activity's mean, from 0 to 1."""
        unlike = np.square(self._describe(row[None]) - self._means) / self._doubted
        ratio = float(unlike.mean(axis=1).min())
        return ratio / (ratio + HALF_NOVEL)

    def rename(self, old: str, new: str) -> None:
        """Call an activity by a name that no other has."""
        self._hashes = {new if a == old else a: hashes for a, hashes in self._hashes.items()}
        self._rows = {new if a == old else a: rows for a, rows in self._rows.items()}
        self._moments = {new if a == old else a: both for a, both in self._moments.items()}

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return all that is kept: activities sorted by name, their rows by hash."""
        rows = [row for name in sorted(self._rows) for row in self._rows[name]]
        kept = [len(self._rows[name]) for name in sorted(self._rows)]
        return {
            "kept": np.array(kept, dtype=np.int64),
            "rows": np.array(rows, dtype=np.int16).reshape(len(rows), self._size),
        }

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """Become what `state` was taken from. KeyError, ValueError: not a state of this shape."""
        kept = checked(state, "kept", np.int64, (len(activities),)).tolist()
        rows = checked(state, "rows", np.int16, (sum(kept), self._size))
        if not all(1 <= count <= KEPT for count in kept):
            raise ValueError(f"kept is {kept}, expected 1 to {KEPT} rows of every activity")
        ends = np.cumsum(kept)
        parts = dict(zip(sorted(activities), np.split(rows, ends[:-1]), strict=True))
        self._hashes, self._rows, self._moments = {}, {}, {}
        for activity in activities:
            for row in parts[activity]:
                self._insert(activity, row)
            self._measure(activity)
        if activities:
            self._follow()

    def _insert(self, activity: str, row: Row) -> None:
        hashes = self._hashes.setdefault(activity, [])
        rows = self._rows.setdefault(activity, [])
        key = blake2b(row.tobytes(), digest_size=8).digest()
        place = bisect_left(hashes, key)
        if place == len(hashes) or hashes[place] != key:  # what looks the same is kept once
            hashes.insert(place, key)
            rows.insert(place, row)
            del hashes[KEPT:], rows[KEPT:]

    def _measure(self, activity: str) -> None:
        described = self._describe(np.array(self._rows[activity]))
        self._moments[activity] = np.array([described.mean(axis=0), described.var(axis=0)])

    def _follow(self) -> None:
        means, variances = np.stack(list(self._moments.values()), axis=1)
        self.centre = means.mean(axis=0)
        self.variance = variances.mean(axis=0) + means.var(axis=0)

        n = np.array([len(rows) for rows in self._rows.values()], dtype=np.float64)[:, None]
        scatter = (n * variances).sum(axis=0) + DOUBT_WINDOWS * DOUBT_VARIANCE
        within = scatter / (n.sum() - len(n) + DOUBT_WINDOWS)
        self._means = means
        self._doubted = within * (1.0 + 1.0 / n)  # a mean of n windows errs by 1 / n more
