"""The same motion on another day: the sensor sits differently, the person is slower or stronger.

A lesson shows a motion once. Of each window taught, this makes copies as it might have been
another time: turned by a few degrees about an axis at random, slowed down a little, and a little
larger or smaller. What the copy changes in the features is no difference between activities, and
the learner is told so (tangent distance: Simard, LeCun, Denker 1993; here its scatter is learnt).
"""

import math

import numpy as np
from numpy.typing import NDArray

from learner.compiled import njit

Samples = NDArray[np.float32]
Draws = NDArray[np.float64]

DRAWS = 6
# What a displacement changes is estimated from windows taught times these. Little is taught where
# ten seconds are. A power of two, so that the mean over copies is exact.
COPIES = 2
TURN_RAD = math.radians(3.0)  # root mean square, about each axis
SLOWER = 0.07  # of the tempo: half-normal, this is its scale
LARGER = 0.15  # of the movement about its mean: standard deviation of the logarithm
SLOWEST = 0.5
LARGEST = 3e38  # the largest float32, rounded down: absurd samples stay finite


def draws(seed: int) -> Draws:
    """Draw what each copy needs, (COPIES, DRAWS): standard normal, the last one uniform in 0..1."""
    chance = np.random.Generator(np.random.PCG64(seed))
    drawn = np.empty((COPIES, DRAWS))
    drawn[:, :-1] = chance.standard_normal((COPIES, DRAWS - 1))
    drawn[:, -1] = chance.random(COPIES)
    return drawn


@njit
def displace(samples: Samples, draws: Draws, out: Samples) -> None:
    """Fill out (n, c) with samples (n, c) as they might have been another time.

    draws (6,): turn about x, y, z, tempo, size, and which part of the window is stretched. With
    the tempo a rotation gets slower, too; an acceleration is left as large as it was.
    """
    rows, channels = samples.shape
    turn = np.empty((3, 3))
    rotation(TURN_RAD * draws[0], TURN_RAD * draws[1], TURN_RAD * draws[2], turn)
    tempo = max(1.0 - SLOWER * abs(draws[3]), SLOWEST)
    size = math.exp(LARGER * draws[4])
    first = (1.0 - tempo) * (rows - 1) * draws[5]
    moved = np.empty((rows, channels))
    for c in range(channels):
        slower = tempo if c >= 3 else 1.0
        mean = 0.0
        for i in range(rows):
            place = first + tempo * i
            low = min(int(place), rows - 2)
            part = place - low
            moved[i, c] = slower * (samples[low, c] * (1.0 - part) + samples[low + 1, c] * part)
            mean += moved[i, c]
        mean /= rows
        for i in range(rows):
            moved[i, c] = mean + size * (moved[i, c] - mean)
    for i in range(rows):
        for triad in range(0, channels, 3):
            for a in range(3):
                turned = (
                    turn[a, 0] * moved[i, triad]
                    + turn[a, 1] * moved[i, triad + 1]
                    + turn[a, 2] * moved[i, triad + 2]
                )
                out[i, triad + a] = min(max(turned, -LARGEST), LARGEST)


@njit
def rotation(x: float, y: float, z: float, out: NDArray[np.float64]) -> None:
    """Fill out (3, 3) with the turn by the vector (x, y, z) in radians (Rodrigues' formula)."""
    angle = math.sqrt(x * x + y * y + z * z)
    sine = math.sin(angle) / angle if angle > 0.0 else 1.0
    cosine = (1.0 - math.cos(angle)) / (angle * angle) if angle > 0.0 else 0.5
    vector = (x, y, z)
    for a in range(3):
        for b in range(3):
            out[a, b] = cosine * vector[a] * vector[b]
        out[a, a] += math.cos(angle)
    out[0, 1] -= sine * z
    out[1, 0] += sine * z
    out[0, 2] += sine * y
    out[2, 0] -= sine * y
    out[1, 2] -= sine * x
    out[2, 1] += sine * x
