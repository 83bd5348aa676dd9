"""What a network remembers of its lessons, so that it does not forget them.

Labels from a button come in blocks, and descent on a block unlearns the one before. So every step
is taken on a batch drawn evenly from all activities (experience replay: Robins 1995).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from learner.described import Words
from learner.features import Floats
from learner.gaussians import doubted
from learner.sample import Sample
from learner.state import State

KEPT = 100  # windows of each activity: two minutes that have nothing in common
HALF_NOVEL = 2.5  # squared distance per feature, relative to its expectation, of novelty 0.5


class Replay:
    """Rows of every activity, at most KEPT of each, whatever order they came in.

    `describe` turns rows (n, size) into (n, d) numbers of order one, from which follow `centre`
    (d,) and `variance` (d,), every activity counted the same however long it was taught.
    """

    def __init__(self, size: int, describe: Callable[[Words], Floats]) -> None:
        self._size, self._describe = size, describe
        self._sample = Sample(KEPT, KEPT)  # no reserve, since nothing is taken back
        # of every activity, in the order first known
        self._rows: dict[str, list[Words]] = {}
        self._moments: dict[str, Floats] = {}  # (2, d): mean and variance
        self.centre, self.variance = np.empty(0), np.empty(0)

    def add(self, activity: str, row: Words) -> None:
        """Take a row (size,), which the caller gives away, into the sample."""
        self._sample.put(activity, row)
        self._measure(activity)
        self._follow()

    def draw(self, chance: np.random.Generator, count: int) -> list[tuple[int, Words]]:
        """Draw rows and the places of their activities, as evenly among these as `count` allows."""
        rows = list(self._rows.values())
        places = (chance.integers(len(rows)) + np.arange(count)) % len(rows)
        return [
            (place, rows[place][int(at * len(rows[place]))])
            for place, at in zip(places.tolist(), chance.random(count).tolist(), strict=True)
        ]

    def novelty(self, row: Words) -> float:
        """Say how far a row is from the nearest activity's mean, from 0 to 1."""
        unlike = np.square(self._describe(row[None]) - self._means) / self._doubted
        ratio = float(unlike.mean(axis=1).min())
        return ratio / (ratio + HALF_NOVEL)

    def rename(self, old: str, new: str) -> None:
        """Call an activity by a name that no other has."""
        self._sample.rename(old, new)
        self._rows = {new if a == old else a: rows for a, rows in self._rows.items()}
        self._moments = {new if a == old else a: both for a, both in self._moments.items()}

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return all that is kept, activities sorted by name."""
        return self._sample.state(sorted(self._rows), self._size)

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """Become what `state` was taken from. KeyError, ValueError: not a state of this shape."""
        self._sample.restore(sorted(activities), self._size, state)
        self._rows, self._moments = {}, {}
        for activity in activities:
            if not self._sample.used(activity):
                raise ValueError(f"nothing is kept of {activity!r}, expected 1 to {KEPT} windows")
            self._measure(activity)
        if activities:
            self._follow()

    def _measure(self, activity: str) -> None:
        self._rows[activity] = self._sample.used(activity)
        described = self._describe(np.array(self._rows[activity]))
        self._moments[activity] = np.array([described.mean(axis=0), described.var(axis=0)])

    def _follow(self) -> None:
        means, variances = np.stack(list(self._moments.values()), axis=1)
        self.centre = means.mean(axis=0)
        self.variance = variances.mean(axis=0) + means.var(axis=0)

        n = np.array([len(rows) for rows in self._rows.values()], dtype=np.float64)[:, None]
        within = doubted((n * variances).sum(axis=0), float(n.sum()) - len(n))
        self._means = means
        self._doubted = within * (1.0 + 1.0 / n)  # a mean of n windows errs by 1 / n more
