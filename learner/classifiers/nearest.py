"""k nearest neighbours among a bounded sample of what was taught: see `learner.sample`.

`unlearn` and `add` are exact in the sense told there. An activity of up to 2·USED different windows
is kept whole: every one of them can be taken back.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learner import classifier as contract
from learner.classifier import Verdict, WindowShape
from learner.compiled import njit
from learner.described import Describer, Words, words
from learner.features import Floats, Samples
from learner.gaussians import doubted
from learner.sample import Sample
from learner.state import State
from learner.sums import GRID

USED = 256  # windows per activity: 5.5 minutes at a hop of 1.28 s, 0.65 MB with the reserve
NEIGHBOURS = 5
# A neighbour further away than the nearest, by so much of the nearest's squared distance (of which
# each feature has this much at least), counts e times less.
FALL, LEAST = 0.2, 1e-3
LAPSE = 0.03  # three windows in a hundred are something that no neighbour foresees
HALF_NOVEL = (
    2.0  # squared distance per feature, over the variance within activities, of novelty 0.5
)


@njit
def row_distances(x: Floats, rows: Words, grid: float, precision: Floats, out: Floats) -> None:
    """out[i] = mean over j of precision[j] · (x[j] - grid · rows[i, j])²; rows (n, d), x (d,)."""
    for i in range(rows.shape[0]):
        total = 0.0
        for j in range(x.size):
            total += precision[j] * (x[j] - grid * rows[i, j]) ** 2
        out[i] = total / x.size


class Learner:
    """See the module. `judge` collects what to compare with when something was learnt since."""

    order_free: ClassVar[bool] = True
    lean_on, fade = contract.no_starter, contract.no_decay
    watch, notice = contract.as_judged, contract.unnoticed

    def __init__(self, shape: WindowShape) -> None:
        self._describer = Describer(shape)
        self.activities: dict[str, int] = {}
        self._sample = Sample(USED, 2 * USED)
        self._table: _Table | None = None

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        self._sample.put(activity, words(self._describer.features(samples)))
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._table = None

    def unlearn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`. Raises InexactError where too many were taken back already."""
        left = self.activities[activity] - 1
        vector = words(self._describer.features(samples))
        # it may have been dropped, but not where all that were taught are there still
        if not self._sample.discard(activity, vector) or self._sample.windows(activity) > left:
            raise ValueError(f"this is not the window that was taught as {activity!r}")
        self.activities[activity] = left
        if not left:
            del self.activities[activity]
        self._table = None

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`. The sample of both is that of what was taught of either."""
        if new in self.activities:
            self.activities[new] += self.activities.pop(old)
        else:
            self.activities = {new if a == old else a: n for a, n in self.activities.items()}
        self._sample.rename(old, new)
        self._table = None

    def settle(self) -> None:
        """See `Classifier`."""
        if self._table is None and self.activities:
            self._table = _Table([self._sample.used(name) for name in self.activities])

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        self.settle()
        if self._table is None:
            return Verdict(np.empty(0), 1.0)
        table, x = self._table, self._describer.features(samples)
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

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`."""
        return self._sample.state(sorted(self.activities), self._describer.size)

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """See `Classifier`."""
        self._sample.restore(sorted(activities), self._describer.size, state)
        self.activities = dict(activities)
        self._table = None

    def add(self, other: Self) -> None:
        """See `Classifier`."""
        for activity, count in other.activities.items():
            self.activities[activity] = self.activities.get(activity, 0) + count
        self._sample.add(other._sample)
        self._table = None


class _Table:
    """What a window is compared with: what is used of every activity, in their order."""

    def __init__(self, used: list[list[Words]]) -> None:
        parts = [np.array(vectors) for vectors in used]
        self.rows = np.concatenate(parts)
        self.owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        scatter = sum(len(part) * part.var(axis=0) for part in parts) * GRID**2
        self.precision = 1.0 / doubted(scatter, len(self.rows) - len(parts))
        self.distances = np.empty(len(self.rows))
