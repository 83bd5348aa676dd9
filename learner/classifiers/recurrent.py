"""Recurrent network: a small GRU that reads the window itself, in at most 20 moments.

What its units hold (`learner.gru`) is averaged over the window and read by a softmax with softened
targets. Every lesson is a fixed number of steps, each on a batch drawn evenly from what is
remembered of all activities: see `learner.replay`. A window is turned a little every time it is
drawn, for a sensor is never put on twice the same way. Chance is seeded by how many lessons there
were: the same lessons in the same order give the same bits. What descent has learnt, nothing takes
back exactly.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from learner import classifier as contract
from learner import gru
from learner.classifier import Verdict, WindowShape
from learner.described import Words, words
from learner.features import ACCEL_UNIT, GYRO_UNIT, Floats, Samples
from learner.gru import Singles
from learner.replay import Replay
from learner.state import State, by_name, checked, from_sorted
from learner.sums import GRID, LIMIT

MOMENTS = 20  # a window of 2.56 s has eight a second; what is faster is in the spread of each
UNITS = 24
STEPS, BATCH = 5, 8  # per lesson
TURN = np.radians(10.0)  # standard deviation of the turn about each axis
SOFT = 0.1  # of the target goes to all activities alike: it keeps the weights small
LEAST_SPREAD = 0.1  # a channel that hardly varied yet is not blown up
# Targets were softened, so answers are too: this much sharper they are right as often as they say.
SHARPNESS = 1.2
RATE = 0.01
SEED = 1

UNTURNED = np.eye(3, dtype=np.float32)[None]


class Learner:
    """See the module. Takes in one window in STEPS steps of descent, however much came before."""

    order_free: ClassVar[bool] = False
    unlearn, add = contract.no_undo, contract.no_pooling
    lean_on, fade = contract.no_starter, contract.no_decay
    settle, watch, notice = contract.nothing_later, contract.as_judged, contract.unnoticed

    def __init__(self, shape: WindowShape) -> None:
        from learner import kernels, looking

        self._kernels, self._looking = kernels, looking
        moments = min(MOMENTS, shape.rows)
        self._bounds = (np.arange(moments + 1) * shape.rows // moments).astype(np.intp)
        self._units = np.array([ACCEL_UNIT] * 3 + [GYRO_UNIT] * 3)[: shape.n_channels]
        self._tracks = np.empty((2 * shape.n_channels, shape.rows))
        inputs = 3 + 2 * shape.n_channels
        self._shown = np.empty((moments, inputs))
        self._presented = np.empty((moments, inputs), dtype=np.float32)
        self._centre, self._scale = np.zeros((2, inputs), dtype=np.float32)

        self._seen = np.zeros((moments + 1, inputs + 1 + UNITS, BATCH), dtype=np.float32)
        self._seen[:, inputs] = 1.0
        self._gates = np.empty((moments, 4 * UNITS, BATCH), dtype=np.float32)
        self._slopes = np.empty((5 * UNITS, BATCH), dtype=np.float32)
        self._pooled = np.ones((UNITS + 1, BATCH), dtype=np.float32)  # and a 1 for the biases

        self.activities: dict[str, int] = {}
        self._replay = Replay(moments * inputs, self._described)
        spread = np.repeat([0.5 * inputs**-0.5, 0.0, UNITS**-0.5], [inputs, 1, UNITS])
        drawn = np.random.default_rng(SEED).standard_normal((3 * UNITS, spread.size)) * spread
        drawn[UNITS : 2 * UNITS, inputs] = 1.0  # at first, units hold on to what they hold
        self._weights = drawn.astype(np.float32)
        self._gradient = np.empty_like(self._weights)
        self._moments = np.zeros((2, *self._weights.shape), dtype=np.float32)
        self._outward = np.zeros((0, UNITS + 1), dtype=np.float32)
        self._outward_moments = np.zeros((2, 0, UNITS + 1), dtype=np.float32)

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        row = self._row(samples)
        if activity not in self.activities:
            self._outward = np.pad(self._outward, ((0, 1), (0, 0)))
            self._outward_moments = np.pad(self._outward_moments, ((0, 0), (0, 1), (0, 0)))
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._replay.add(activity, row)
        self._follow()
        lessons = sum(self.activities.values())
        chance = np.random.default_rng([SEED, lessons])
        for step in range(STEPS):
            drawn = self._replay.draw(chance, BATCH)
            if step == 0:  # this window need not be among those that are kept
                drawn[0] = (list(self.activities).index(activity), row)
            turns = _turns(chance.standard_normal((BATCH, 3)) * TURN)
            self._descend(drawn, turns, (lessons - 1) * STEPS + step + 1)

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`."""
        contract.relabel(self, old, new)
        self._replay.rename(old, new)

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        row = self._row(samples)
        answer = self._answers([row], UNTURNED)[:, 0].astype(np.float64) ** SHARPNESS
        return Verdict(answer / answer.sum(), self._replay.novelty(row))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`."""
        order = by_name(self.activities)
        return {
            **self._replay.state(),
            "weights": self._weights.copy(),
            "moments": self._moments.copy(),
            "outward": self._outward[order],
            "outward_moments": self._outward_moments[:, order],
        }

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """See `Classifier`."""
        replay = Replay(self._shown.size, self._described)
        replay.restore(activities, state)
        readout = (len(activities), UNITS + 1)
        weights = checked(state, "weights", np.float32, self._weights.shape)
        moments = checked(state, "moments", np.float32, self._moments.shape)
        outward = checked(state, "outward", np.float32, readout)
        outward_moments = checked(state, "outward_moments", np.float32, (2, *readout))
        self.activities, self._replay = dict(activities), replay
        self._weights, self._moments = weights, moments
        rows = from_sorted(activities)
        self._outward, self._outward_moments = outward[rows], outward_moments[:, rows]
        self._follow()

    def _row(self, samples: Samples) -> Words:
        shown = self._shown.reshape(-1)
        self._looking.tracks(samples, self._units, self._tracks)
        gru.decimate(self._tracks, self._bounds, self._shown)
        self._kernels.settle(shown, LIMIT, GRID)
        return words(shown)

    def _described(self, rows: Words) -> Floats:
        """The mean over time of every channel, then its standard deviation: (n, 2c)."""
        shown = rows.reshape(len(rows), *self._shown.shape) * np.float64(GRID)
        return np.concatenate([shown.mean(axis=1), shown.std(axis=1)], axis=1)

    def _follow(self) -> None:
        """Standardise by what is remembered now: a channel's variance is within and of its mean."""
        if self.activities:
            centre, spread = np.split(self._replay.centre, 2)
            variance = np.split(self._replay.variance, 2)
            self._centre[:] = centre
            total = variance[0] + variance[1] + spread**2
            self._scale[:] = 1.0 / np.sqrt(total + LEAST_SPREAD**2)

    def _answers(self, rows: list[Words], turns: Singles) -> Singles:
        """Probabilities (k, BATCH) of as many rows as there are; the rest says nothing."""
        inputs = self._centre.size
        for b, row in enumerate(rows):
            gru.present(row, turns[b], self._centre, self._scale, self._presented)
            self._seen[:-1, :inputs, b] = self._presented
        gru.forward(self._seen, self._weights, self._gates, self._pooled[:-1])
        scores = self._outward @ self._pooled
        answers = np.exp(scores - scores.max(axis=0))
        return np.asarray(answers / answers.sum(axis=0), dtype=np.float32)

    def _descend(self, drawn: list[tuple[int, Words]], turns: Singles, step: int) -> None:
        errors = self._answers([row for _, row in drawn], turns)
        # the slope of the cross-entropy along what goes into a softmax: answer less target
        errors -= SOFT / len(errors)
        errors[[place for place, _ in drawn], range(BATCH)] -= 1.0 - SOFT
        errors /= BATCH
        pull = np.ascontiguousarray(self._outward[:, :-1].T @ errors)
        gru.backward(self._seen, self._weights, self._gates, pull, self._slopes, self._gradient)
        correction = np.sqrt(1.0 - gru.SECOND_DECAY**step) / (1.0 - gru.FIRST_DECAY**step)
        rate = np.array([RATE * correction], dtype=np.float32)
        gru.adapt(self._gradient, rate, self._moments, self._weights)
        gru.adapt(errors @ self._pooled.T, rate, self._outward_moments, self._outward)


def _turns(vectors: Floats) -> Singles:
    """Rotations (n, 3, 3) about vectors (n, 3) by about their length in radians (Cayley)."""
    half = np.cross(np.eye(3), 0.5 * vectors[:, None])
    return np.asarray(np.linalg.solve(np.eye(3) - half, np.eye(3) + half), dtype=np.float32)
