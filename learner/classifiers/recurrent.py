"""Recurrent network: a small GRU that reads the window itself, in at most 20 moments.

Gated recurrent units (Cho et al. 2014), with the reset gate applied to the product, as Chung et al.
2014 and cuDNN do; what they hold is averaged over the window and read by a softmax. Gradients go
back through the whole window, steps are Adam's (Kingma & Ba 2015), targets are softened, and every
lesson is a fixed number of steps, each on a batch drawn evenly from what is remembered of all
activities: see `learner.replay`. A window is turned a little every time it is drawn, for a sensor
is never put on twice the same way. Chance is seeded by how many lessons there were: the same
lessons in the same order give the same bits. What descent has learnt, nothing takes back exactly.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learner.classifier import InexactError, Verdict, WindowShape
from learner.compiled import njit
from learner.features import ACCEL_UNIT, GYRO_UNIT, Floats, Samples
from learner.replay import GRID, Replay, Row, Rows, checked, on_grid

Singles = NDArray[np.float32]
Ints = NDArray[np.intp]

MOMENTS = 20  # a window of 2.56 s has eight a second; what is faster is in the spread of each
UNITS = 24
STEPS, BATCH = 5, 8  # per lesson
TURN = np.radians(10.0)  # standard deviation of the turn about each axis
SOFT = 0.1  # of the target goes to all activities alike: it keeps the weights small
# A channel that hardly varied yet is not blown up, and none counts more than so many deviations.
LEAST_SPREAD, LIMIT = 0.1, np.float32(4.0)
# Targets were softened, so answers are too: this much sharper they are right as often as they say.
SHARPNESS = 1.2
LEVEL = 10.0  # units: 1 g, or 3 rad/s, is a level of 1
FLOOR = 0.05  # units, added to a spread before its logarithm is taken: 5 mg, 15 mrad/s
SEED = 1

# Constants of the kernels are float32: one float64 would make the loops twice as slow.
STEP, HALF, ONE = np.float32(GRID), np.float32(0.5), np.float32(1.0)
FIRST_DECAY, SECOND_DECAY = np.float32(0.9), np.float32(0.99)
RATE, TINY = 0.01, np.float32(1e-6)

UNTURNED = np.eye(3, dtype=np.float32)[None]
REMEDY = "what descent has learnt cannot be taken apart; teach an empty one what is to remain"
ALONE = "recurrent knows no starter and no decay: leave them out, or use the discriminant"


@njit
def decimate(tracks: Floats, bounds: Ints, out: Floats) -> None:
    """Fill out (m, 3 + 2c) with what each moment, rows bounds[m] to bounds[m + 1], shows.

    tracks (2c, n) as `learner.kernels.tracks` makes them: the mean acceleration x, y, z, which
    turns with the sensor, then of the c tracks that do not, the mean and the log of the spread.
    """
    channels = tracks.shape[0] // 2
    for m in range(bounds.size - 1):
        rows = bounds[m + 1] - bounds[m]
        for t in range(3 + channels):
            track = t if t < 3 else channels + t - 3
            total = 0.0
            for i in range(bounds[m], bounds[m + 1]):
                total += tracks[track, i]
            mean = total / rows
            out[m, t] = mean / LEVEL
            if t >= 3:
                squares = 0.0
                for i in range(bounds[m], bounds[m + 1]):
                    squares += (tracks[track, i] - mean) ** 2
                out[m, channels + t] = 0.5 * np.log(np.sqrt(squares / rows) + FLOOR)


@njit
def present(row: Row, turn: Singles, centre: Singles, scale: Singles, out: Singles) -> None:
    """Fill out (m, c) with a row's moments, accelerations turned, less centre, times scale, ±LIMIT.

    row (m · c,) is in units of GRID, turn (3, 3) a rotation.
    """
    channels = centre.size
    for m in range(out.shape[0]):
        for j in range(channels):
            value = row[m * channels + j] * STEP
            if j < 3:
                value = np.float32(0.0)
                for i in range(3):
                    value += turn[j, i] * (row[m * channels + i] * STEP)
            out[m, j] = min(max((value - centre[j]) * scale[j], -LIMIT), LIMIT)


@njit
def forward(seen: Singles, weights: Singles, gates: Singles, pooled: Singles) -> None:
    """Run the units over the moments, from what comes in, x, and what they hold, h.

    reset and update = logistic(W x + V h), candidate = tanh(W x + reset · V h), each with its own
    weights [W V]; what is held next is (1 - update) · candidate + update · h.
    seen (m + 1, c + 1 + u, b): for every moment its inputs, a 1 for the biases and what the units
    held before, which is filled in from the second moment on; at the end only what they hold.
    weights (3u, c + 1 + u): reset, update, candidate. gates (m, 4u, b) is filled with these three
    and the candidate's product with what was held. pooled (u, b) is the mean of what is held.
    The batch is the last axis, so that vector units work across it.
    """
    moments, quads, size = gates.shape
    units = quads // 4
    first = weights.shape[1] - units  # of what the units held
    pooled[:] = 0.0
    gates[:] = 0.0
    for m in range(moments):
        for j in range(3 * units):
            for i in range(weights.shape[1]):
                weight = weights[j, i]
                out = j if j < 2 * units or i < first else j + units
                for b in range(size):
                    gates[m, out, b] += weight * seen[m, i, b]
        for j in range(units):
            for b in range(size):
                # the logistic function, which so cannot overflow
                reset = HALF + HALF * np.tanh(HALF * gates[m, j, b])
                update = HALF + HALF * np.tanh(HALF * gates[m, units + j, b])
                recalled = gates[m, 3 * units + j, b]
                candidate = np.tanh(gates[m, 2 * units + j, b] + reset * recalled)
                held = (ONE - update) * candidate + update * seen[m, first + j, b]
                gates[m, j, b], gates[m, units + j, b] = reset, update
                gates[m, 2 * units + j, b] = candidate
                seen[m + 1, first + j, b] = held
                pooled[j, b] += held / np.float32(moments)


@njit
def backward(  # noqa: PLR0917 - all that `forward` left, and where to put the gradient
    seen: Singles, weights: Singles, gates: Singles, pull: Singles, slopes: Singles, out: Singles
) -> None:
    """Fill out, like weights, with the gradient that follows from `pull` (u, b) along `pooled`.

    seen and gates as `forward` left them; slopes (5u, b) is workspace: along what goes into the
    four gates, then along what is held.
    """
    moments, quads, size = gates.shape
    units = quads // 4
    first = weights.shape[1] - units
    out[:] = 0.0
    slopes[:] = 0.0
    for m in range(moments - 1, -1, -1):
        for j in range(units):
            for b in range(size):
                slope = slopes[4 * units + j, b] + pull[j, b] / np.float32(moments)
                reset, update = gates[m, j, b], gates[m, units + j, b]
                candidate = gates[m, 2 * units + j, b]
                into = slope * (ONE - update) * (ONE - candidate * candidate)
                recalled = gates[m, 3 * units + j, b]
                slopes[j, b] = into * recalled * reset * (ONE - reset)
                before = seen[m, first + j, b]
                slopes[units + j, b] = slope * (before - candidate) * update * (ONE - update)
                slopes[2 * units + j, b] = into
                slopes[3 * units + j, b] = into * reset
                slopes[4 * units + j, b] = slope * update
        for j in range(3 * units):
            for i in range(weights.shape[1]):
                gate = j if j < 2 * units or i < first else j + units
                total = np.float32(0.0)
                for b in range(size):
                    total += slopes[gate, b] * seen[m, i, b]
                out[j, i] += total
                if i >= first:
                    weight = weights[j, i]
                    for b in range(size):
                        slopes[4 * units + i - first, b] += weight * slopes[gate, b]


@njit
def adapt(gradient: Singles, rate: Singles, moments: Singles, weights: Singles) -> None:
    """Take Adam's step: moments (2, ...) follow the gradient and its square, weights their ratio.

    rate (1,) carries the bias corrections (Kingma & Ba 2015, end of section 2).
    """
    for j in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            slope = gradient[j, i]
            mean = moments[0, j, i] + (ONE - FIRST_DECAY) * (slope - moments[0, j, i])
            square = moments[1, j, i] + (ONE - SECOND_DECAY) * (slope * slope - moments[1, j, i])
            moments[0, j, i], moments[1, j, i] = mean, square
            weights[j, i] -= rate[0] * mean / (np.sqrt(square) + TINY)


class Learner:
    """See the module. Takes in one window in STEPS steps of descent, however much came before."""

    order_free: ClassVar[bool] = False

    def __init__(self, shape: WindowShape) -> None:
        from learner import kernels

        self._tracks_of = kernels.tracks
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

    def unlearn(self, samples: Samples, activity: str) -> None:  # noqa: ARG002 - the contract's
        """See `Classifier`. Raises InexactError always."""
        raise InexactError(f"recurrent cannot take back a window of {activity!r}: {REMEDY}")

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`. Raises InexactError where the two would become one."""
        if new in self.activities:
            raise InexactError(f"recurrent cannot make {old!r} and {new!r} one: {REMEDY}")
        self.activities = {new if a == old else a: n for a, n in self.activities.items()}
        self._replay.rename(old, new)

    def lean_on(self, starter: Self) -> None:  # noqa: ARG002 - the contract's
        """See `Classifier`. Raises InexactError always."""
        raise InexactError(ALONE)

    def fade(self, factor: float) -> None:  # noqa: ARG002 - the contract's
        """See `Classifier`. Raises InexactError always."""
        raise InexactError(ALONE)

    def settle(self) -> None:
        """See `Classifier`. No lesson leaves anything for later."""

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        row = self._row(samples)
        answer = self._answers([row], UNTURNED)[:, 0].astype(np.float64) ** SHARPNESS
        return Verdict(answer / answer.sum(), self._replay.novelty(row))

    def watch(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        return self.judge(samples)

    def notice(self, activity: str) -> None:
        """See `Classifier`. It sees nothing without a label."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`."""
        order = np.argsort(list(self.activities))
        return {
            **self._replay.state(),
            "weights": self._weights.copy(),
            "moments": self._moments.copy(),
            "outward": self._outward[order],
            "outward_moments": self._outward_moments[:, order],
        }

    def restore(
        self, activities: Mapping[str, int], state: Mapping[str, NDArray[np.generic]]
    ) -> None:
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
        rank = np.argsort(np.argsort(list(activities)))  # rows came sorted by name
        self._outward, self._outward_moments = outward[rank], outward_moments[:, rank]
        self._follow()

    def add(self, other: Self) -> None:  # noqa: ARG002 - the contract's
        """See `Classifier`. Raises InexactError always."""
        raise InexactError(f"recurrent cannot take in what another has learnt: {REMEDY}")

    def _row(self, samples: Samples) -> Row:
        self._tracks_of(samples, self._units, self._tracks)
        decimate(self._tracks, self._bounds, self._shown)
        return on_grid(self._shown.ravel())

    def _described(self, rows: Rows) -> Floats:
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

    def _answers(self, rows: list[Row], turns: Singles) -> Singles:
        """Probabilities (k, BATCH) of as many rows as there are; the rest says nothing."""
        inputs = self._centre.size
        for b, row in enumerate(rows):
            present(row, turns[b], self._centre, self._scale, self._presented)
            self._seen[:-1, :inputs, b] = self._presented
        forward(self._seen, self._weights, self._gates, self._pooled[:-1])
        scores = self._outward @ self._pooled
        answers = np.exp(scores - scores.max(axis=0))
        return np.asarray(answers / answers.sum(axis=0), dtype=np.float32)

    def _descend(self, drawn: list[tuple[int, Row]], turns: Singles, step: int) -> None:
        errors = self._answers([row for _, row in drawn], turns)
        # the slope of the cross-entropy along what goes into a softmax: answer less target
        errors -= SOFT / len(errors)
        errors[[place for place, _ in drawn], range(BATCH)] -= 1.0 - SOFT
        errors /= BATCH
        pull = np.ascontiguousarray(self._outward[:, :-1].T @ errors)
        backward(self._seen, self._weights, self._gates, pull, self._slopes, self._gradient)
        correction = np.sqrt(1.0 - SECOND_DECAY**step) / (1.0 - FIRST_DECAY**step)
        rate = np.array([RATE * correction], dtype=np.float32)
        adapt(self._gradient, rate, self._moments, self._weights)
        adapt(errors @ self._pooled.T, rate, self._outward_moments, self._outward)


def _turns(vectors: Floats) -> Singles:
    """Rotations (n, 3, 3) about vectors (n, 3) by about their length in radians (Cayley)."""
    half = np.cross(np.eye(3), 0.5 * vectors[:, None])
    return np.asarray(np.linalg.solve(np.eye(3) - half, np.eye(3) + half), dtype=np.float32)
