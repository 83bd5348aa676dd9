"""Logistic regression, one activity against all others, by online Newton steps.

Every lesson moves each activity's weights along P x, where P = (λ I + Σ h x xᵀ)⁻¹ is the inverse of
the curvature of all lessons so far (Hazan, Agarwal, Kale 2007, figure 2). The curvature of a lesson
is taken for the same wherever the weights are (Böhning 1992), so one P serves all activities. What
was taught has narrowed P along its own direction, and a block of other labels no longer moves the
weights there: that keeps it from forgetting where first-order steps forget. A lesson costs
O(d² + k d): P is kept, not solved for (Sherman and Morrison 1950).

One more row of weights belongs to no activity and has been told "not this one" by every lesson. A
new activity begins with it, as if it had been there, and denied, from the start.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from learner import classifier as contract
from learner import kernels
from learner.classifier import Verdict, WindowShape
from learner.compiled import njit
from learner.described import Describer
from learner.features import Floats, Samples
from learner.state import State, by_name, checked, from_sorted

RIDGE = 1.0  # λ: the precision of weights nothing is known about
# h: half of the most that p (1 - p) can be; with all of it, the first windows of an activity teach
# too little (hapt, ten_seconds: 3 % less), with a quarter the confidence is too high.
CURVATURE = 0.125
LAPSE = 0.01  # one window in a hundred is something that no score foresees
HALF_NOVEL = 16.0  # xᵀ P x, the variance of a score at this window, of novelty 0.5


@njit
def multiply(lower: Floats, x: Floats, out: Floats) -> None:
    """Multiply, out = A x; of a symmetric A (d, d) only the lower triangle is read; out (d,)."""
    for i in range(x.size):
        total = lower[i, i] * x[i]
        for j in range(i):
            total += lower[i, j] * x[j]
            out[j] += lower[i, j] * x[i]
        out[i] = total


@njit
def correct(weights: Floats, x: Floats, taught: int, gain: Floats) -> None:
    """weights[k] += ([k = taught] - s(weights[k]·x)) · gain, s the logistic; weights (k, d)."""
    for k in range(weights.shape[0]):
        score = 0.0
        for j in range(x.size):
            score += weights[k, j] * x[j]
        residual = -1.0 / (1.0 + math.exp(min(-score, 700.0)))  # exp(710) is infinite
        if k == taught:
            residual += 1.0
        for j in range(x.size):
            weights[k, j] += residual * gain[j]


class Learner:
    """See the module. Not free of order: undo, merging and pooling rebuild."""

    order_free: ClassVar[bool] = False
    unlearn, add, rename = contract.no_undo, contract.no_pooling, contract.relabel
    lean_on, fade = contract.no_starter, contract.no_decay
    settle, watch, notice = contract.nothing_later, contract.as_judged, contract.unnoticed

    def __init__(self, shape: WindowShape) -> None:
        self._describer = Describer(shape)
        self._x = np.ones(self._describer.size + 1)  # the last is the constant
        self._gain = np.empty(self._x.size)
        self._weights = np.zeros((1, self._x.size))  # of no activity, then of each in their order
        self._covariance = np.eye(self._x.size) / RIDGE  # P; the lower triangle is kept
        self.activities: dict[str, int] = {}

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        if activity not in self.activities:
            self.activities[activity] = 0
            self._weights = np.vstack([self._weights, self._weights[:1]])
        self.activities[activity] += 1
        x = self._describe(samples)
        shrunk = 1.0 + CURVATURE * self._variance(x)
        kernels.add_outers(self._gain[None], np.array([-CURVATURE / shrunk]), self._covariance)
        self._gain /= shrunk
        correct(self._weights, x, 1 + list(self.activities).index(activity), self._gain)

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`. New is where the weights are still free."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        x = self._describe(samples)
        scores = self._weights[1:] @ x
        scores = np.exp(scores - scores.max())
        probabilities = (1.0 - LAPSE) * scores / scores.sum() + LAPSE / len(scores)
        variance = self._variance(x)
        return Verdict(probabilities, variance / (variance + HALF_NOVEL))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`. weights (1 + k, d): of no activity first; P is packed row by row."""
        return {
            "weights": self._weights[[0, *(1 + row for row in by_name(self.activities))]],
            "covariance": self._covariance[np.tril_indices(self._x.size)],
        }

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """See `Classifier`."""
        triangle = np.tril_indices(self._x.size)
        shape = (1 + len(activities), self._x.size)
        weights = checked(state, "weights", np.float64, shape)
        covariance = checked(state, "covariance", np.float64, triangle[0].shape)
        self._weights = weights[[0, *(1 + row for row in from_sorted(activities))]]
        self._covariance[triangle] = covariance
        self.activities = dict(activities)

    def _describe(self, samples: Samples) -> Floats:
        """The vector of a window and a constant one; overwritten by the next call."""
        self._x[:-1] = self._describer.features(samples)
        return self._x

    def _variance(self, x: Floats) -> float:
        """xᵀ P x, and P x in `_gain`."""
        multiply(self._covariance, x, self._gain)
        return max(float(self._gain @ x), 0.0)  # rounding may leave a little less than nothing
