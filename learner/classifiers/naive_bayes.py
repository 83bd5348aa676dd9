"""Gaussian naive Bayes over the features of a window, learnt as exact sums.

Learnt are three sums per activity: how many windows, Σ x and Σ x². They have no order, can be taken
back and be added, and they are exact, up to eight million windows: see `learner.sums`. What follows
from them is in `learner.gaussians`.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learner import classifier as contract
from learner.classifier import Verdict, WindowShape
from learner.described import Describer
from learner.features import Floats, Samples
from learner.gaussians import Gaussians
from learner.state import State, checked


class Learner:
    """See the module. `judge` works the distributions out when something was learnt since."""

    order_free: ClassVar[bool] = True
    lean_on, fade = contract.no_starter, contract.no_decay
    watch, notice = contract.as_judged, contract.unnoticed

    def __init__(self, shape: WindowShape) -> None:
        self._describer = Describer(shape)
        self.activities: dict[str, int] = {}
        self._sums: dict[str, Floats] = {}  # (2, d) each: Σ x and Σ x²
        self._gaussians: Gaussians | None = None

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        self._sums[activity] = self._sums.get(activity, 0.0) + self._powers(samples)
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._gaussians = None

    def unlearn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`. A window that was not taught is found out when it would be the last."""
        powers = self._powers(samples)
        if self.activities[activity] > 1:
            self._sums[activity] -= powers
            self.activities[activity] -= 1
        elif np.array_equal(self._sums[activity], powers):
            del self.activities[activity], self._sums[activity]
        else:
            raise ValueError(f"this is not the window that was taught as {activity!r}")
        self._gaussians = None

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`. Sums add, so a merge is exact."""
        if new in self.activities:
            self.activities[new] += self.activities.pop(old)
            self._sums[new] = self._sums[new] + self._sums.pop(old)
        else:
            self.activities = {new if a == old else a: n for a, n in self.activities.items()}
            self._sums[new] = self._sums.pop(old)
        self._gaussians = None

    def settle(self) -> None:
        """See `Classifier`."""
        if self._gaussians is None and self.activities:
            counts = np.array(list(self.activities.values()), dtype=np.float64)
            sums = np.array([self._sums[name] for name in self.activities])
            self._gaussians = Gaussians(counts, sums[:, 0], sums[:, 1])

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        self.settle()
        if self._gaussians is None:
            return Verdict(np.empty(0), 1.0)
        return self._gaussians.judge(self._describer.features(samples))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`. sums (k, 2, d): Σ x and Σ x²."""
        sums = [self._sums[name] for name in sorted(self._sums)]
        return {"sums": np.array(sums).reshape(len(sums), 2, self._describer.size)}

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """See `Classifier`."""
        sums = checked(state, "sums", np.float64, (len(activities), 2, self._describer.size))
        self._sums = dict(zip(sorted(activities), sums, strict=True))
        self.activities = dict(activities)
        self._gaussians = None

    def add(self, other: Self) -> None:
        """See `Classifier`."""
        for activity, count in other.activities.items():
            self.activities[activity] = self.activities.get(activity, 0) + count
            self._sums[activity] = self._sums.get(activity, 0.0) + other._sums[activity]
        self._gaussians = None

    def _powers(self, samples: Samples) -> Floats:
        x = self._describer.features(samples)
        return np.array([x, x * x])
