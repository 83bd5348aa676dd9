"""A bounded sample of what was taught that does not depend on the order it was taught in.

Every window has a key, a hash of its vector, and of each activity the windows with the lowest keys
are kept: a fair draw, since a hash knows nothing of the activity, and the same one whatever came
first (a bottom-k sketch: Cohen & Kaplan 2007). Twice as many are kept as are used, so that windows
can be taken back:

    key   0 |x x xx x  x x|x  x xx  x x| . .. .  what was here was dropped      2⁶⁴
             used: CAP      in reserve  ^ bound

What is used is exactly what it would be had the others never been taught, until more than half
of an activity has been taken back: then `discard` refuses.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from learner.classifier import InexactError

Vector = NDArray[np.int16]

CAP = 100  # distinct windows used, of each activity
KEPT = 2 * CAP
FADED = 0.25  # a window that counts for less is not worth its place: two half-lives
NO_BOUND = 2**64


class Entry(NamedTuple):
    key: int
    vector: Vector
    times: float  # the same window may be taught more than once; less where it faded


class Sample:
    """Vectors are int16 of one length. They are kept, not copied, and must not change."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}
        self._bounds: dict[str, int] = {}

    @staticmethod
    def key(vector: Vector) -> int:
        return int.from_bytes(blake2b(vector.tobytes(), digest_size=8).digest(), "little")

    def used(self, activity: str, most: int = CAP) -> list[Vector]:
        """Return the vectors of an activity with the lowest keys, `most` or all there are."""
        return [entry.vector for entry in self._entries.get(activity, ())[:most]]

    def put(self, activity: str, vector: Vector) -> None:
        """Take one more window of an activity."""
        self._put(activity, Entry(self.key(vector), vector, 1))

    def _put(self, activity: str, new: Entry) -> None:
        entries = self._entries.setdefault(activity, [])
        if new.key >= self._bounds.get(activity, NO_BOUND):
            return
        at = bisect_left(entries, new.key, key=lambda entry: entry.key)
        if at < len(entries) and entries[at].key == new.key:
            entries[at] = new._replace(times=entries[at].times + new.times)
        else:
            entries.insert(at, new)
        if len(entries) > KEPT:
            self._bounds[activity] = entries.pop().key

    def discard(self, activity: str, vector: Vector) -> None:
        """Take back one window of an activity.

        Raises InexactError, and changes nothing, where what is used would miss one dropped before.
        """
        key, entries = self.key(vector), self._entries.get(activity, [])
        at = bisect_left(entries, key, key=lambda entry: entry.key)
        if at == len(entries) or entries[at].key != key:
            return
        if entries[at].times > 1:
            entries[at] = entries[at]._replace(times=entries[at].times - 1)
        elif len(entries) <= CAP and activity in self._bounds:
            raise InexactError(
                f"more than half of what was taught as {activity!r} was taken back, and not all of"
                " it is kept: teach an empty recognizer what is to remain"
            )
        else:
            del entries[at]

    def fade(self, factor: float) -> None:
        """Let every window count `factor` times as much; what counts too little is dropped."""
        for activity, entries in self._entries.items():
            faded = [entry._replace(times=entry.times * factor) for entry in entries]
            self._entries[activity] = [entry for entry in faded if entry.times > FADED]

    def drop(self, activity: str) -> None:
        """Forget an activity."""
        self._entries.pop(activity, None)
        self._bounds.pop(activity, None)

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name, or put it to the one that has the name."""
        self._take(new, self._entries.pop(old, []), self._bounds.pop(old, NO_BOUND))

    def add(self, other: Self) -> None:
        """Become the sample of everything both have seen."""
        for activity, entries in other._entries.items():
            self._take(activity, entries, other._bounds.get(activity, NO_BOUND))

    def _take(self, activity: str, entries: list[Entry], bound: int) -> None:
        bound = min(bound, self._bounds.get(activity, NO_BOUND))
        if bound < NO_BOUND:
            self._bounds[activity] = bound
            own = self._entries.get(activity, [])
            del own[bisect_left(own, bound, key=lambda entry: entry.key) :]
        for entry in entries:
            self._put(activity, entry)

    def state(self, activities: list[str], size: int) -> dict[str, NDArray[np.generic]]:
        """Return what is used, and apart from it what is in reserve, as arrays.

        The reserve depends on what was taught and taken back; it is no part of what was learnt.
        """
        of = [self._entries.get(name, []) for name in activities]
        arrays: dict[str, NDArray[np.generic]] = {}
        for name, low, high in (("sample", 0, CAP), ("reserve", CAP, KEPT)):
            parts = [entries[low:high] for entries in of]
            flat = [entry for part in parts for entry in part]
            arrays[f"{name}_windows"] = np.array([len(part) for part in parts], dtype=np.int64)
            arrays[f"{name}_times"] = np.array([e.times for e in flat], dtype=np.float64)
            vectors = np.array([e.vector for e in flat], dtype=np.int16)
            arrays[f"{name}_vectors"] = vectors.reshape(len(flat), size)
        bounds = [self._bounds.get(name, NO_BOUND) for name in activities]
        # 2⁶⁴ does not fit: a bound is kept as the highest key below it
        arrays["reserve_bounds"] = np.array([b - 1 for b in bounds], dtype=np.uint64)
        return arrays

    def restore(
        self, activities: list[str], size: int, state: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """Become what `state` was taken from. KeyError, ValueError: not a state of this size."""
        entries: dict[str, list[Entry]] = {name: [] for name in activities}
        for part in ("sample", "reserve"):
            windows = _checked(state, f"{part}_windows", "int64", (len(activities),))
            count = int(windows.sum())
            times = _checked(state, f"{part}_times", "float64", (count,))
            vectors = _checked(state, f"{part}_vectors", "int16", (count, size))
            rows = zip(times.tolist(), vectors.copy(), strict=True)
            for name, many in zip(activities, windows.tolist(), strict=True):
                entries[name] += [
                    Entry(self.key(vector), vector, n) for n, vector in _first(many, rows)
                ]
        bounds = _checked(state, "reserve_bounds", "uint64", (len(activities),)).tolist()
        for name in activities:
            keys = [entry.key for entry in entries[name]]
            if keys != sorted(set(keys)):
                raise ValueError(f"the sample of {name!r} is out of order, expected rising keys")
        self._entries = entries
        self._bounds = {
            name: bound + 1
            for name, bound in zip(activities, bounds, strict=True)
            if bound + 1 < NO_BOUND
        }


def _first(many: int, rows: Iterator[tuple[float, Vector]]) -> Iterator[tuple[float, Vector]]:
    for _ in range(many):
        yield next(rows)


def _checked(
    state: Mapping[str, NDArray[np.generic]], name: str, dtype: str, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    array = state[name]
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {dtype} {shape}")
    return array
