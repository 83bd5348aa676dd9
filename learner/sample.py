"""A bounded sample of what was taught that does not depend on the order it was taught in.

Every window has a key, a hash of its vector, and of each activity the windows with the lowest keys
are kept: a fair draw, since a hash knows nothing of the activity, and the same one whatever came
first (a bottom-k sketch: Cohen & Kaplan 2007). More are kept than are used, so that windows can be
taken back:

    key   0 |x x xx x  x x|x  x xx  x x| . .. .  what was here was dropped      2⁶⁴
             used: cap      in reserve  ^ bound

What is used is exactly what it would be had the others never been taught, until so many of an
activity have been taken back that the reserve is spent: then `discard` refuses.
"""

from bisect import bisect_left
from hashlib import blake2b
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from learner.classifier import InexactError
from learner.state import State, checked

Vector = NDArray[np.int16]

CAP = 100  # distinct windows used, of each activity
KEPT = 2 * CAP  # so that half of what was taught can be taken back
FADED = 0.25  # a window that counts for less is not worth its place: two half-lives
NO_BOUND = 2**64


class Entry(NamedTuple):
    key: int
    vector: Vector
    times: float  # the same window may be taught more than once; less where it faded


class Sample:
    """Vectors are int16 of one length. They are kept, not copied, and must not change."""

    def __init__(self, cap: int = CAP, kept: int = KEPT) -> None:
        """`cap`: distinct windows used, of each activity; `kept`: these and the reserve."""
        self._cap, self._kept = cap, kept
        self._entries: dict[str, list[Entry]] = {}
        self._bounds: dict[str, int] = {}

    @staticmethod
    def key(vector: Vector) -> int:
        return int.from_bytes(blake2b(vector.tobytes(), digest_size=8).digest(), "little")

    def used(self, activity: str, most: int | None = None) -> list[Vector]:
        """Return the vectors of an activity with the lowest keys: `most`, or all that are used."""
        last = self._cap if most is None else most
        return [entry.vector for entry in self._entries.get(activity, ())[:last]]

    def windows(self, activity: str) -> float:
        """Return how many windows of an activity are kept, each as often as it was taught."""
        return sum(entry.times for entry in self._entries.get(activity, ()))

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
        if len(entries) > self._kept:
            self._bounds[activity] = entries.pop().key

    def discard(self, activity: str, vector: Vector) -> bool:
        """Take back one window of an activity. False: it would be here, had it been taught.

        Raises InexactError, and changes nothing, where what is used would miss one dropped before.
        """
        key, entries = self.key(vector), self._entries.get(activity, [])
        at = bisect_left(entries, key, key=lambda entry: entry.key)
        if at == len(entries) or entries[at].key != key:
            return key >= self._bounds.get(activity, NO_BOUND)
        if entries[at].times > 1:
            entries[at] = entries[at]._replace(times=entries[at].times - 1)
        elif len(entries) <= self._cap and activity in self._bounds:
            raise InexactError(
                f"more than half of what was taught as {activity!r} was taken back, and not all of"
                " it is kept: teach an empty recognizer what is to remain"
            )
        else:
            del entries[at]
        return True

    def fade(self, factor: float) -> None:
        """Let every window count `factor` times as much; what counts too little is dropped.

        But for one, so that what is known has been seen.
        """
        for activity, entries in self._entries.items():
            faded = [entry._replace(times=entry.times * factor) for entry in entries]
            counting = [entry for entry in faded if entry.times > FADED]
            self._entries[activity] = counting or faded[:1]
            if len(counting) < self._cap:  # what was dropped has faded, too: there is room again
                self._bounds.pop(activity, None)

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
        for name, low, high in (("sample", 0, self._cap), ("reserve", self._cap, self._kept)):
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

    def restore(self, activities: list[str], size: int, state: State) -> None:
        """Become what `state` was taken from. KeyError, ValueError: not a state of this size."""
        entries: dict[str, list[Entry]] = {name: [] for name in activities}
        for part, most in (("sample", self._cap), ("reserve", self._kept - self._cap)):
            windows = checked(state, f"{part}_windows", np.int64, (len(activities),))
            if not all(0 <= count <= most for count in windows.tolist()):
                raise ValueError(f"{part}_windows is {windows}, expected 0 to {most} of every one")
            ends = np.cumsum(windows)
            times = checked(state, f"{part}_times", np.float64, (int(windows.sum()),))
            vectors = checked(state, f"{part}_vectors", np.int16, (len(times), size))
            for name, ts, vs in zip(
                activities, np.split(times, ends)[:-1], np.split(vectors, ends)[:-1], strict=True
            ):
                entries[name] += map(Entry, map(self.key, vs), vs, ts.tolist())
        bounds = checked(state, "reserve_bounds", np.uint64, (len(activities),)).tolist()
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
