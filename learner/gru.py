"""The loops of a recurrent network: what its units hold, the gradient, and the step.

Gated recurrent units (Cho et al. 2014), with the reset gate applied to the product, as Chung et al.
2014 and cuDNN do. Gradients go back through the whole window, steps are Adam's (Kingma & Ba 2015).
Every loop is tested against a slow and obvious twin in `tests/naive_networks.py`.
"""

import numpy as np
from numpy.typing import NDArray

from learner.compiled import njit
from learner.described import Words
from learner.features import Floats
from learner.sums import GRID

Singles = NDArray[np.float32]
Ints = NDArray[np.intp]

LEVEL = 10.0  # units: 1 g, or 3 rad/s, is a level of 1
FLOOR = 0.05  # units, added to a spread before its logarithm is taken: 5 mg, 15 mrad/s

# Constants of the kernels are float32: one float64 would make the loops twice as slow.
STEP, HALF, ONE = np.float32(GRID), np.float32(0.5), np.float32(1.0)
FAR = np.float32(4.0)  # deviations; no input counts more
FIRST_DECAY, SECOND_DECAY = np.float32(0.9), np.float32(0.99)
TINY = np.float32(1e-6)


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
def present(row: Words, turn: Singles, centre: Singles, scale: Singles, out: Singles) -> None:
    """Fill out (m, c) with a row's moments, accelerations turned, less centre, times scale, ±FAR.

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
            out[m, j] = min(max((value - centre[j]) * scale[j], -FAR), FAR)


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
