"""Multilayer perceptron over the features of a window: one hidden layer, taught by descent.

Stochastic gradient descent with momentum (Rumelhart, Hinton & Williams 1986) on the cross-entropy
of a softmax, with softened targets (Szegedy et al. 2016, section 7). Every lesson is a fixed number
of steps, each on a batch drawn evenly from what is remembered of all activities: see
`learner.replay`. Chance is seeded by how many lessons there were: the same lessons in the same
order give the same bits. What descent has learnt, nothing takes back exactly.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from learner import classifier as contract
from learner.classifier import Verdict, WindowShape
from learner.compiled import njit
from learner.described import Describer, Words, words
from learner.features import Floats, Samples
from learner.replay import Replay
from learner.state import State, by_name, checked, from_sorted
from learner.sums import GRID

Singles = NDArray[np.float32]

HIDDEN = 32
STEPS, BATCH = 24, 8  # per lesson
# Constants of the kernels are float32: one float64 would make the loops twice as slow.
RATE, MOMENTUM, DECAY = np.float32(0.02), np.float32(0.9), np.float32(1e-3)
SOFT = 0.1  # of the target goes to all activities alike: it keeps the weights small
STEP = np.float32(GRID)
# A feature that hardly varied yet is not blown up, and none counts more than this many deviations.
LEAST_SPREAD, LIMIT = 0.2, np.float32(4.0)
# Targets were softened, so answers are too: this much sharper they are right as often as they say.
SHARPNESS = 1.6
SEED = 1


@njit
def standardise(row: Words, centre: Singles, scale: Singles, out: Singles) -> None:
    """out[i] = (row[i] · GRID - centre[i]) · scale[i] within ±LIMIT, then a 1 for the biases."""
    for i in range(row.size):
        out[i] = min(max((row[i] * STEP - centre[i]) * scale[i], -LIMIT), LIMIT)
    out[row.size] = np.float32(1.0)


@njit
def forward(
    batch: Singles, inward: Singles, outward: Singles, hidden: Singles, probabilities: Singles
) -> None:
    """Fill hidden = max(0, inward x) and probabilities = softmax(outward hidden) for each x.

    batch (b, d + 1), inward (h, d + 1), outward (k, h + 1), hidden (b, h + 1), probabilities
    (b, k): biases are the weights of a last entry that is 1. The softmax is shifted by the maximum,
    so that exp cannot overflow.
    """
    last = inward.shape[0]
    for b in range(batch.shape[0]):
        for j in range(last):
            total = np.float32(0.0)
            for i in range(batch.shape[1]):
                total += inward[j, i] * batch[b, i]
            hidden[b, j] = max(total, np.float32(0.0))
        hidden[b, last] = np.float32(1.0)
        largest = np.float32(-np.inf)
        for k in range(outward.shape[0]):
            total = np.float32(0.0)
            for j in range(last + 1):
                total += outward[k, j] * hidden[b, j]
            probabilities[b, k] = total
            largest = max(largest, total)
        everything = np.float32(0.0)
        for k in range(outward.shape[0]):
            probabilities[b, k] = np.exp(probabilities[b, k] - largest)
            everything += probabilities[b, k]
        for k in range(outward.shape[0]):
            probabilities[b, k] /= everything


@njit
def carry_back(errors: Singles, outward: Singles, hidden: Singles, out: Singles) -> None:
    """out[b, j] = Σ_k errors[b, k] · outward[k, j] where hidden[b, j] > 0, else 0."""
    for b in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[b, j] = 0.0
            if hidden[b, j] > 0.0:
                for k in range(errors.shape[1]):
                    out[b, j] += errors[b, k] * outward[k, j]


@njit
def descend(errors: Singles, inputs: Singles, weights: Singles, speed: Singles) -> None:
    """Take a step: speed ← MOMENTUM · speed - RATE · (errorsᵀ inputs / b + DECAY · weights).

    errors (b, k) are the slopes of each sample's loss along what the layer's units take in, inputs
    (b, n) what came in; then weights (k, n) ← weights + speed.
    """
    share = RATE / np.float32(errors.shape[0])
    for k in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            speed[k, i] = MOMENTUM * speed[k, i] - RATE * DECAY * weights[k, i]
        for b in range(errors.shape[0]):
            factor = share * errors[b, k]
            if factor != 0.0:  # a hidden unit is off for half of the samples
                for i in range(weights.shape[1]):
                    speed[k, i] -= factor * inputs[b, i]
        for i in range(weights.shape[1]):
            weights[k, i] += speed[k, i]


class Learner:
    """See the module. Takes in one window in STEPS steps of descent, however much came before."""

    order_free: ClassVar[bool] = False
    unlearn, add = contract.no_undo, contract.no_pooling
    lean_on, fade = contract.no_starter, contract.no_decay
    settle, watch, notice = contract.nothing_later, contract.as_judged, contract.unnoticed

    def __init__(self, shape: WindowShape) -> None:
        self._describer = Describer(shape)
        size = self._describer.size
        self.activities: dict[str, int] = {}
        self._replay = Replay(size, _described)
        self._centre, self._scale = np.zeros((2, size), dtype=np.float32)
        # He et al. 2015: with this spread of weights a layer of max(0, ·) keeps its input's spread
        spread = np.sqrt(2.0 / size)
        drawn = np.random.default_rng(SEED).standard_normal((HIDDEN, size + 1)) * spread
        drawn[:, -1] = 0.0
        self._inward = drawn.astype(np.float32)
        self._inward_speed = np.zeros_like(self._inward)
        self._outward = np.zeros((0, HIDDEN + 1), dtype=np.float32)
        self._outward_speed = np.zeros_like(self._outward)
        self._batch = np.empty((BATCH, size + 1), dtype=np.float32)
        self._hidden = np.empty((BATCH, HIDDEN + 1), dtype=np.float32)
        self._errors = np.empty((BATCH, 0), dtype=np.float32)
        self._slopes = np.empty((BATCH, HIDDEN), dtype=np.float32)

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        row = words(self._describer.features(samples))
        if activity not in self.activities:
            row_of_zeros = np.zeros((1, HIDDEN + 1), dtype=np.float32)
            self._outward = np.vstack([self._outward, row_of_zeros])
            self._outward_speed = np.vstack([self._outward_speed, row_of_zeros])
            self._errors = np.empty((BATCH, len(self._outward)), dtype=np.float32)
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._replay.add(activity, row)
        self._follow()
        chance = np.random.default_rng([SEED, sum(self.activities.values())])
        for step in range(STEPS):
            drawn = self._replay.draw(chance, BATCH)
            if step == 0:  # this window need not be among those that are kept
                drawn[0] = (list(self.activities).index(activity), row)
            self._descend(drawn)

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`."""
        contract.relabel(self, old, new)
        self._replay.rename(old, new)

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        row = words(self._describer.features(samples))
        standardise(row, self._centre, self._scale, self._batch[0])
        forward(self._batch[:1], self._inward, self._outward, self._hidden, self._errors)
        sharpened = self._errors[0].astype(np.float64) ** SHARPNESS
        return Verdict(sharpened / sharpened.sum(), self._replay.novelty(row))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`."""
        order = by_name(self.activities)
        return {
            **self._replay.state(),
            "inward": self._inward.copy(),
            "inward_speed": self._inward_speed.copy(),
            "outward": self._outward[order],
            "outward_speed": self._outward_speed[order],
        }

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """See `Classifier`."""
        replay = Replay(self._describer.size, _described)
        replay.restore(activities, state)
        rows, shape = from_sorted(activities), (len(activities), HIDDEN + 1)
        inward = checked(state, "inward", np.float32, self._inward.shape)
        inward_speed = checked(state, "inward_speed", np.float32, self._inward.shape)
        outward = checked(state, "outward", np.float32, shape)
        outward_speed = checked(state, "outward_speed", np.float32, shape)
        self.activities, self._replay = dict(activities), replay
        self._inward, self._inward_speed = inward, inward_speed
        self._outward, self._outward_speed = outward[rows], outward_speed[rows]
        self._errors = np.empty((BATCH, len(activities)), dtype=np.float32)
        self._follow()

    def _follow(self) -> None:
        """Standardise by what is remembered now."""
        if self.activities:
            self._centre[:] = self._replay.centre
            self._scale[:] = 1.0 / np.sqrt(self._replay.variance + LEAST_SPREAD**2)

    def _descend(self, drawn: list[tuple[int, Words]]) -> None:
        for b, (_, row) in enumerate(drawn):
            standardise(row, self._centre, self._scale, self._batch[b])
        forward(self._batch, self._inward, self._outward, self._hidden, self._errors)
        # the slope of the cross-entropy along what goes into a softmax: answer less target
        self._errors -= SOFT / self._errors.shape[1]
        self._errors[range(BATCH), [place for place, _ in drawn]] -= 1.0 - SOFT
        carry_back(self._errors, self._outward, self._hidden, self._slopes)
        descend(self._errors, self._hidden, self._outward, self._outward_speed)
        descend(self._slopes, self._batch, self._inward, self._inward_speed)


def _described(rows: Words) -> Floats:
    return rows.astype(np.float64) * GRID
