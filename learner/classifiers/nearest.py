"""k nearest neighbours among a bounded store of taught windows.

Of each activity the windows with the lowest hashes are kept (a bottom-k sketch: Cohen & Kaplan
2007). The hash is of the window's vector, so the sample is as good as random, and which windows are
in it does not depend on the order of the lessons. The lowest KEPT of them are compared with; as
many again are held in reserve and move up when windows are taken back:

    hash   0 -------- KEPT -------- 2·KEPT -------- of all that was taught
           | compared |   reserve   ^ bound: from here on all is forgotten

So `unlearn` leaves the verdicts that would be, had the window never been taught, until so many
below the bound have been taken back that fewer than KEPT are left there. Then none could move up,
and InexactError is raised. An activity of up to 2·KEPT different windows is held whole: every one
of them can be taken back. `add` is the sketch of the union, and exact in the same sense.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from learner import kernels
from learner.classifier import InexactError, Verdict, WindowShape
from learner.compiled import njit
from learner.features import Features, Floats, Samples

Rows = NDArray[np.int16]  # (n, d) vectors in steps of GRID
Counts = NDArray[np.int64]

GRID = 2.0**-12
LIMIT = 8.0 - GRID  # the largest of an int16 in steps of GRID
KEPT = 256  # windows per activity: 5.5 minutes at a hop of 1.28 s, 0.65 MB with the reserve
FORGOTTEN_NOTHING = np.uint64(2**64 - 1)  # as a bound

NEIGHBOURS = 5
# A neighbour further away than the nearest, by so much of the nearest's squared distance (of which
# each feature has this much at least), counts e times less.
FALL, LEAST = 0.2, 1e-3
LAPSE = 0.03  # three windows in a hundred are something that no neighbour foresees
# The spread within activities counts as so many more windows of this variance (features are of
# order one): the spread seen in three windows is not yet the spread of an activity.
DOUBT_WINDOWS, DOUBT_VARIANCE = 5.0, 0.2**2
HALF_NOVEL = 2.0  # the squared distance per feature, relative to that spread, of novelty 0.5

ALONE = "nearest knows no starter and no decay: leave them out, or use the discriminant"


@njit
def row_distances(x: Floats, rows: Rows, grid: float, precision: Floats, out: Floats) -> None:
    """out[i] = mean over j of precision[j] · (x[j] - grid · rows[i, j])²; rows (n, d), x (d,)."""
    for i in range(rows.shape[0]):
        total = 0.0
        for j in range(x.size):
            total += precision[j] * (x[j] - grid * rows[i, j]) ** 2
        out[i] = total / x.size


class Sketch(NamedTuple):
    """The different windows of one activity with hashes below `bound`."""

    hashes: NDArray[np.uint64]  # (n,) ascending
    rows: Rows
    times: Counts  # (n,) how often each was taught
    bound: np.uint64

    def union(self, other: "Sketch") -> "Sketch":
        """Return the sketch of what either is a sketch of."""
        hashes, first, back = np.unique(
            np.concatenate([self.hashes, other.hashes]), return_index=True, return_inverse=True
        )
        rows = np.concatenate([self.rows, other.rows])[first]
        times = np.zeros(len(hashes), dtype=np.int64)
        np.add.at(times, back, np.concatenate([self.times, other.times]))
        bound = min(self.bound, other.bound, *hashes[2 * KEPT : 2 * KEPT + 1])
        held = int(np.searchsorted(hashes, bound))
        return Sketch(hashes[:held], rows[:held], times[:held], bound)

    def without(self, window: int) -> "Sketch":
        """Return the sketch of what was taught but for one window; `window` is its place here."""
        times = self.times.copy()
        times[window] -= 1
        held = times > 0
        return self._replace(hashes=self.hashes[held], rows=self.rows[held], times=times[held])


class Learner:
    """See the module. `judge` collects what to compare with when something was learnt since."""

    order_free: ClassVar[bool] = True

    def __init__(self, shape: WindowShape) -> None:
        self._features = Features(*shape)
        self.activities: dict[str, int] = {}
        self._sketches: dict[str, Sketch] = {}
        self._table: _Table | None = None

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        self._take_in(activity, 1, self._sketch(samples))

    def unlearn(self, samples: Samples, activity: str) -> None:
        """See `Classifier` and the module.

        Raises InexactError where too many of an activity were taken back already.
        """
        if activity not in self.activities:
            taught = ", ".join(self.activities) or "nothing"
            raise ValueError(f"{activity!r} was never taught; taught: {taught}")
        sketch, hash_ = self._sketches[activity], self._sketch(samples).hashes[0]
        window = int(np.searchsorted(sketch.hashes, hash_))
        if hash_ < sketch.bound:
            if window == len(sketch.hashes) or sketch.hashes[window] != hash_:
                raise ValueError(f"this is not the window that was taught as {activity!r}")
            sketch = sketch.without(window)
            if sketch.bound < FORGOTTEN_NOTHING and len(sketch.hashes) < KEPT:
                raise InexactError(
                    f"nearest holds only {len(sketch.hashes) + 1} windows of {activity!r} still,"
                    f" expected more than {KEPT}: teach an empty one what is to remain"
                )
        elif self.activities[activity] == sketch.times.sum():
            raise ValueError(f"this is not the window that was taught as {activity!r}")
        self.activities[activity] -= 1
        self._sketches[activity] = sketch
        if self.activities[activity] == 0:
            del self.activities[activity], self._sketches[activity]
        self._table = None

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`."""
        if new in self.activities:
            self._take_in(new, self.activities.pop(old), self._sketches.pop(old))
        else:
            self.activities = {new if a == old else a: n for a, n in self.activities.items()}
            self._sketches[new] = self._sketches.pop(old)
        self._table = None

    def lean_on(self, starter: Self) -> None:  # noqa: ARG002
        """See `Classifier`."""
        raise InexactError(ALONE)

    def fade(self, factor: float) -> None:  # noqa: ARG002
        """See `Classifier`."""
        raise InexactError(ALONE)

    def settle(self) -> None:
        """See `Classifier`."""
        if self._table is None and self.activities:
            self._table = _Table([self._sketches[name] for name in self.activities])

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        self.settle()
        if self._table is None:
            return Verdict(np.empty(0), 1.0)
        table, x = self._table, self._describe(samples)
        row_distances(x, table.rows, GRID, table.precision, table.distances)
        nearest = float(table.distances.min())
        last = min(NEIGHBOURS, len(table.rows)) - 1
        # all that are as near as the last of them: which comes first must not matter
        chosen = table.distances <= np.partition(table.distances, last)[last]
        further = table.distances[chosen] - nearest
        votes = np.bincount(
            table.owners[chosen],
            weights=np.exp(-further / (FALL * max(nearest, LEAST))),
            minlength=len(self.activities),
        )
        probabilities = (1.0 - LAPSE) * votes / votes.sum() + LAPSE / len(votes)
        return Verdict(probabilities, nearest / (nearest + HALF_NOVEL))

    def watch(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        return self.judge(samples)

    def notice(self, activity: str) -> None:
        """See `Classifier`. It sees nothing without a label."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`. Rows of an activity by ascending hash; held (k,): how many of each.

        Which are in reserve depends on what was taught and taken back.
        """
        sketches = [self._sketches[name] for name in sorted(self._sketches)]
        arrays: dict[str, NDArray[np.generic]] = {
            "reserve_bounds": np.array([sketch.bound for sketch in sketches], dtype=np.uint64)
        }
        none = np.empty((0, self._features.size), dtype=np.int16)
        for part, kept in [("", slice(KEPT)), ("reserve_", slice(KEPT, None))]:
            rows = [sketch.rows[kept] for sketch in sketches]
            times = [sketch.times[kept] for sketch in sketches]
            arrays[f"{part}rows"] = np.concatenate([none, *rows])
            arrays[f"{part}times"] = np.concatenate([np.empty(0, np.int64), *times])
            arrays[f"{part}held"] = np.array([len(r) for r in rows], dtype=np.int64)
        return arrays

    def restore(
        self, activities: Mapping[str, int], state: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """See `Classifier`."""
        names, size = sorted(activities), self._features.size
        bounds = _checked(state, "reserve_bounds", np.uint64, (len(names),)).astype(np.uint64)
        rows: dict[str, list[Rows]] = {name: [] for name in names}
        times: dict[str, list[Counts]] = {name: [] for name in names}
        for part in ["", "reserve_"]:
            held = _checked(state, f"{part}held", np.int64, (len(names),)).astype(np.int64)
            ends = held.cumsum()
            count = int(held.sum())
            all_rows = _checked(state, f"{part}rows", np.int16, (count, size)).astype(np.int16)
            all_times = _checked(state, f"{part}times", np.int64, (count,)).astype(np.int64)
            for name, end, n in zip(names, ends, held, strict=True):
                rows[name].append(all_rows[end - n : end])
                times[name].append(all_times[end - n : end])
        self._sketches = {}
        for name, bound in zip(names, bounds, strict=True):
            of_name = np.concatenate(rows[name])
            hashes = np.array([_hash(row) for row in of_name], dtype=np.uint64)
            self._sketches[name] = Sketch(hashes, of_name, np.concatenate(times[name]), bound)
        self.activities = dict(activities)
        self._table = None

    def add(self, other: Self) -> None:
        """See `Classifier`."""
        for activity, count in other.activities.items():
            self._take_in(activity, count, other._sketches[activity])

    def _take_in(self, activity: str, count: int, sketch: Sketch) -> None:
        if activity in self._sketches:
            sketch = self._sketches[activity].union(sketch)
        self._sketches[activity] = sketch
        self.activities[activity] = self.activities.get(activity, 0) + count
        self._table = None

    def _describe(self, samples: Samples) -> Floats:
        """The vector of a window, on the grid; overwritten by the next call."""
        x = self._features(samples)
        kernels.settle(x, LIMIT, GRID)
        return x

    def _sketch(self, samples: Samples) -> Sketch:
        """The sketch of one window."""
        row = (self._describe(samples) / GRID).astype(np.int16)
        hashes = np.array([_hash(row)], dtype=np.uint64)
        return Sketch(hashes, row[None], np.ones(1, dtype=np.int64), FORGOTTEN_NOTHING)


class _Table:
    """What a window is compared with: the lowest KEPT of every sketch, in their order."""

    def __init__(self, sketches: list[Sketch]) -> None:
        parts = [sketch.rows[:KEPT] for sketch in sketches]
        self.rows = np.concatenate(parts)
        self.owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        scatter = sum(len(part) * part.var(axis=0) for part in parts) * GRID**2
        doubted = scatter + DOUBT_WINDOWS * DOUBT_VARIANCE
        self.precision = (len(self.rows) - len(parts) + DOUBT_WINDOWS) / doubted
        self.distances = np.empty(len(self.rows))


def _hash(row: NDArray[np.int16]) -> int:
    """64 bits of BLAKE2b, the same on every machine; never as high as FORGOTTEN_NOTHING."""
    digest = blake2b(row.astype("<i2").tobytes(), digest_size=8).digest()
    return min(int.from_bytes(digest, "little"), 2**64 - 2)


def _checked(
    state: Mapping[str, NDArray[np.generic]], name: str, kind: type, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    array, expected = state[name], np.dtype(kind)
    if array.dtype != expected or array.shape != shape:
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} is {found}, expected {expected} {shape}")
    return array
