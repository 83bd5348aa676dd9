"""The loops over features, one formula each: arrays in, `out` filled, nothing allocated.

Every kernel has a slow and obvious twin of the same name in `tests/naive.py`. Import this module
inside the function that needs it: it brings numba with it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learner.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

FEW = 128


@njit
def finite(x: NDArray[np.float32]) -> bool:
    """Tell whether there is no NaN and no infinity in x (n,): nothing else times 0 is not 0."""
    total = np.float32(0.0)
    for i in range(x.size):
        total += x[i] * np.float32(0.0)
    return bool(total == 0.0)


@njit
def settle(x: Floats, limit: float, grid: float) -> None:
    """Clip x to ±limit and round it to multiples of `grid`, in place."""
    for i in range(x.size):
        x[i] = np.rint(min(max(x[i], -limit), limit) / grid) * grid


@njit
def add_outers(rows: Floats, weights: Floats, out: Floats) -> None:
    """Add Σ_k weights[k] · x_k x_kᵀ to the lower triangle of out (d, d); rows x_k (k, d).

    It is `out` that takes the time, since it does not fit in the cache: all of `rows` are added to
    a line of it, four at once.
    """
    count = rows.shape[0]
    fours = count - count % 4
    for i in range(out.shape[0]):
        line = out[i]
        for first in range(0, fours, 4):
            a, b, c, d = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
            by_a, by_b = weights[first] * a[i], weights[first + 1] * b[i]
            by_c, by_d = weights[first + 2] * c[i], weights[first + 3] * d[i]
            for j in range(i + 1):
                line[j] += by_a * a[j] + by_b * b[j] + by_c * c[j] + by_d * d[j]
        for k in range(fours, count):
            row, by = rows[k], weights[k] * rows[k, i]
            for j in range(i + 1):
                line[j] += by * row[j]


@njit
def block_squares(x: Floats, firsts: Ints, weight: float, out: Floats) -> None:
    """Add weight · |x|² over each block of x (d,) to out (b,).

    firsts (b + 1,): where each block begins, and d.
    """
    for b in range(out.size):
        total = 0.0
        for i in range(firsts[b], firsts[b + 1]):
            total += x[i] * x[i]
        out[b] += weight * total


@njit
def two_highest(scores: Floats) -> tuple[int, int]:
    """Return the places of the two highest of scores (k,); the one there is, twice."""
    first, second = 0, min(1, scores.size - 1)
    if scores[second] > scores[first]:
        first, second = second, first
    for k in range(2, scores.size):
        if scores[k] > scores[first]:
            first, second = k, first
        elif scores[k] > scores[second]:
            second = k
    return first, second


@njit
def weighted_square(x: Floats, centre: Floats, weights: Floats) -> float:
    """Return Σ_i weights[i] (x[i] - centre[i])²; all (d,)."""
    total = 0.0
    for i in range(x.size):
        total += weights[i] * (x[i] - centre[i]) ** 2
    return total


@njit
def agree(
    scores: Floats, sureness: float, shares: Floats, doubt: float, company: float, out: Floats
) -> None:
    """out[k] ∝ exp(sureness · scores[k]) · (shares[k] + doubt) ^ company, summing to 1.

    Shifted by the maximum, so that exp cannot overflow.
    """
    highest, total = -math.inf, 0.0
    for k in range(scores.size):
        out[k] = sureness * scores[k] + company * math.log(shares[k] + doubt)
        highest = max(highest, out[k])
    for k in range(scores.size):
        out[k] = math.exp(out[k] - highest)
        total += out[k]
    for k in range(scores.size):
        out[k] /= total


@njit
def lapse(probabilities: Floats, chance: float, order: Ints, out: Floats) -> float:
    """out[k] = probability of order[k], or with this chance anything; all (k,).

    Returns the entropy of out, nat.
    """
    entropy = 0.0
    for k in range(out.size):
        out[k] = (1.0 - chance) * probabilities[order[k]] + chance / out.size
        entropy -= out[k] * math.log(out[k])
    return entropy


@njit
def off_by_blocks(x: Floats, mean: Floats, firsts: Ints, spreads: Floats) -> float:
    """Return the largest, over blocks of features, of the mean of (x - mean)² over its spread.

    x and mean (d,), firsts (b + 1,): where each block begins, and d; spreads (b,).
    """
    largest = 0.0
    for b in range(spreads.size):
        total = 0.0
        for i in range(firsts[b], firsts[b + 1]):
            total += (x[i] - mean[i]) ** 2
        largest = max(largest, total / ((firsts[b + 1] - firsts[b]) * spreads[b]))
    return largest


@njit
def projected_square(
    projection: NDArray[np.float32], x: Floats, mean: NDArray[np.float32]
) -> float:
    """Return |projection · x - mean|²; projection (p, d), mean (p,) as projected already.

    In single precision: it is an estimate, and half the memory to go through.
    """
    single = x.astype(np.float32)
    squares = 0.0
    for p in range(projection.shape[0]):
        total = np.float32(0.0)
        for i in range(single.size):
            total += projection[p, i] * single[i]
        squares += (total - mean[p]) ** 2
    return squares


@njit
def nearest_square(
    x: NDArray[np.int16],
    weights: NDArray[np.float32],
    windows: NDArray[np.float32],
    weighted: NDArray[np.float32],
) -> float:
    """Return the least over windows of Σ_i (weights[i] x[i] - window[i])²; x and weights (d,).

    windows (n, w): weighted already, and behind the d numbers of each zeros; weighted (w,) is
    overwritten but for its zeros. A window that is further off than another after so many numbers
    (FEW) is not looked at to its end. In single precision, as `projected_square`.
    """
    for i in range(x.size):
        weighted[i] = weights[i] * x[i]
    nearest = np.float32(np.inf)
    for n in range(windows.shape[0]):
        window = windows[n]
        total = np.float32(0.0)
        for first in range(0, window.size, FEW):
            these, those = weighted[first : first + FEW], window[first : first + FEW]
            for i in range(these.size):
                total += (these[i] - those[i]) * (these[i] - those[i])
            if total >= nearest:
                break
        nearest = min(nearest, total)
    return float(nearest)
