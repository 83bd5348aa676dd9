"""Multinomial logistic regression by online first-order steps (AdaGrad), with rehearsal.

Labels from a button come in blocks, and a gradient step has no memory: ten minutes of sitting
undo what was learnt of walking. So with every lesson the mean window of each other activity is
taught again. The means, and the spread about them, are learnt too; features are standardised by
them. The second-order `newton` needs no rehearsal and learns more from few windows.

AdaGrad (Duchi, Hazan, Singer 2011, figure 1, diagonal): weight w moves by RATE · g / √Σ g².
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from learner import classifier as contract
from learner.classifier import Verdict, WindowShape
from learner.compiled import njit
from learner.described import Describer
from learner.features import Floats, Samples
from learner.gaussians import doubted
from learner.state import State, by_name, checked, from_sorted

FAR = 5.0  # a standardised feature beyond ±5 says no more than 5 does
RATE = 0.01  # how far a first step moves a weight: |z|·w of several hundred features is then some 5
REHEARSED = 8  # means per lesson at most, in turn, so that hundreds of activities stay affordable
LAPSE = 0.01  # one window in a hundred is something that no score foresees
HALF_NOVEL = (
    2.5  # squared distance per feature, over the variance within activities, of novelty 0.5
)


@njit
def standardise(x: Floats, centre: Floats, scale: Floats, far: float, out: Floats) -> None:
    """out[j] = (x[j] - centre[j]) · scale[j] within ±far, and a constant 1 behind; out (d + 1,)."""
    for j in range(x.size):
        out[j] = min(max((x[j] - centre[j]) * scale[j], -far), far)
    out[x.size] = 1.0


@njit
def softmax(weights: Floats, z: Floats, out: Floats) -> None:
    """out[k] = exp(weights[k]·z) / Σ exp(...), shifted by the maximum so that exp cannot overflow.

    weights (k, d), z (d,), out (k,).
    """
    highest = -np.inf
    for k in range(out.size):
        score = 0.0
        for j in range(z.size):
            score += weights[k, j] * z[j]
        out[k] = score
        highest = max(highest, score)
    total = 0.0
    for k in range(out.size):
        out[k] = math.exp(out[k] - highest)
        total += out[k]
    for k in range(out.size):
        out[k] /= total


@njit
def descend(weights: Floats, squares: Floats, z: Floats, residuals: Floats, rate: float) -> None:
    """Move weights by rate · g / √squares, once g² is in squares; g[k, j] = residuals[k] · z[j].

    weights and squares (k, d), z (d,), residuals (k,). Nothing moves while squares are 0, as
    they may be where g is not: 1e-200² is.
    """
    for k in range(residuals.size):
        for j in range(z.size):
            gradient = residuals[k] * z[j]
            squares[k, j] += gradient * gradient
            if squares[k, j] > 0.0:
                weights[k, j] += rate * gradient / math.sqrt(squares[k, j])


class Learner:
    """See the module. Not free of order: undo, merging and pooling rebuild."""

    order_free: ClassVar[bool] = False
    unlearn, add, rename = contract.no_undo, contract.no_pooling, contract.relabel
    lean_on, fade = contract.no_starter, contract.no_decay
    settle, watch, notice = contract.nothing_later, contract.as_judged, contract.unnoticed

    def __init__(self, shape: WindowShape) -> None:
        self._describer = Describer(shape)
        size = self._describer.size
        self.activities: dict[str, int] = {}
        # rows of activities in the order first taught
        self._means = np.zeros((0, size))
        self._scatter = np.zeros(size)  # Σ (x - mean of its activity)²
        self._weights = np.zeros((0, size + 1))
        self._squares = np.zeros((0, size + 1))
        self._centre, self._scale = np.zeros(size), np.zeros(size)
        self._z = np.zeros(size + 1)

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        x = self._describer.features(samples)
        if activity not in self.activities:
            self.activities[activity] = 0
            self._means = np.vstack([self._means, x])
            self._weights = np.pad(self._weights, ((0, 1), (0, 0)))
            self._squares = np.pad(self._squares, ((0, 1), (0, 0)))
        self.activities[activity] += 1
        taught = list(self.activities).index(activity)
        self._follow(x, taught)
        others = len(self.activities) - 1
        for turn in range(min(REHEARSED, others)):
            lap = (sum(self.activities.values()) + turn) % others
            other = (taught + 1 + lap) % len(self.activities)
            self._step(self._means[other], other)
        self._step(x, taught)

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`. New is what is far from the mean of every activity."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        x = self._describer.features(samples)
        probabilities = np.empty(len(self.activities))
        standardise(x, self._centre, self._scale, FAR, self._z)
        softmax(self._weights, self._z, probabilities)
        probabilities = (1.0 - LAPSE) * probabilities + LAPSE / len(probabilities)
        distances = np.square((x - self._means) * self._scale).mean(axis=1)
        ratio = float(distances.min())
        return Verdict(probabilities, ratio / (ratio + HALF_NOVEL))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`."""
        order = by_name(self.activities)
        return {
            "means": self._means[order],
            "scatter": self._scatter.copy(),
            "weights": self._weights[order],
            "squares": self._squares[order],
        }

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """See `Classifier`."""
        k, size, rows = len(activities), self._describer.size, from_sorted(activities)
        means = checked(state, "means", np.float64, (k, size))
        scatter = checked(state, "scatter", np.float64, (size,))
        weights = checked(state, "weights", np.float64, (k, size + 1))
        squares = checked(state, "squares", np.float64, (k, size + 1))
        self._means, self._scatter = means[rows], scatter
        self._weights, self._squares = weights[rows], squares[rows]
        self.activities = dict(activities)
        if activities:
            self._standard()

    def _follow(self, x: Floats, taught: int) -> None:
        """Take x into the mean of its activity and the spread about it (Welford 1962)."""
        off = x - self._means[taught]
        self._means[taught] += off / list(self.activities.values())[taught]
        self._scatter += off * (x - self._means[taught])
        self._standard()

    def _standard(self) -> None:
        """Say by what features are standardised: every activity counts the same in the centre."""
        free = sum(self.activities.values()) - len(self.activities)
        self._centre = self._means.mean(axis=0)
        self._scale = 1.0 / np.sqrt(doubted(self._scatter, free))

    def _step(self, x: Floats, taught: int) -> None:
        residuals = np.empty(len(self.activities))
        standardise(x, self._centre, self._scale, FAR, self._z)
        softmax(self._weights, self._z, residuals)
        residuals *= -1.0
        residuals[taught] += 1.0
        descend(self._weights, self._squares, self._z, residuals, RATE)
