"""The loops of the learner, one formula each: arrays in, `out` filled, nothing allocated.

Every kernel has a slow and obvious twin of the same name in `tests/naive.py`. Import this module
inside the function that needs it: it brings numba with it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learner.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@njit
def tracks(samples: NDArray[np.float32], units: Floats, out: Floats) -> None:
    """Split every triad of channels into six tracks: x, y, z, length, along and across gravity.

    samples (n, c), units (c,), out (2c, n). Everything is divided by its channel's unit first. Down
    is the mean acceleration; when that is shorter than one unit (a sensor without gravity) it fades
    out instead of pointing at random.
    """
    rows, channels = samples.shape
    down_x, down_y, down_z = 0.0, 0.0, 0.0
    for i in range(rows):
        down_x += samples[i, 0] / units[0]
        down_y += samples[i, 1] / units[1]
        down_z += samples[i, 2] / units[2]
    length = max(math.sqrt(down_x**2 + down_y**2 + down_z**2), float(rows))
    down_x, down_y, down_z = down_x / length, down_y / length, down_z / length
    for triad in range(channels // 3):
        for i in range(rows):
            x = samples[i, 3 * triad] / units[3 * triad]
            y = samples[i, 3 * triad + 1] / units[3 * triad + 1]
            z = samples[i, 3 * triad + 2] / units[3 * triad + 2]
            along = x * down_x + y * down_y + z * down_z
            squared = x * x + y * y + z * z
            out[6 * triad, i] = x
            out[6 * triad + 1, i] = y
            out[6 * triad + 2, i] = z
            out[6 * triad + 3, i] = math.sqrt(squared)
            out[6 * triad + 4, i] = along
            out[6 * triad + 5, i] = math.sqrt(max(squared - along * along, 0.0))


@njit
def steps(tracks: Floats, lag: int, out: Floats) -> None:
    """out[t, i] = tracks[t, i + lag] - tracks[t, i]."""
    for t in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[t, i] = tracks[t, i + lag] - tracks[t, i]


@njit
def moments(tracks: Floats, mean: Floats, variance: Floats) -> None:
    """Mean and (population) variance of every track, in two passes, so that gravity cancels."""
    rows = tracks.shape[1]
    for t in range(tracks.shape[0]):
        total = 0.0
        for i in range(rows):
            total += tracks[t, i]
        mean[t] = total / rows
        squares = 0.0
        for i in range(rows):
            squares += (tracks[t, i] - mean[t]) ** 2
        variance[t] = squares / rows


@njit
def quantiles(ordered: Floats, quantile_count: int, out: Floats) -> None:
    """out[t, q] = asinh of the q-th of `quantile_count` evenly spaced quantiles over the median.

    ordered (t, n) sorted rows, out (t, quantile_count); the first is the minimum, the last the
    maximum, between two rows a quantile is interpolated (type 7 of Hyndman & Fan 1996).
    """
    last = ordered.shape[1] - 1
    half = last // 2
    for t in range(ordered.shape[0]):
        median = 0.5 * (ordered[t, half] + ordered[t, last - half])
        for q in range(quantile_count):
            place = last * (q / (quantile_count - 1.0))
            low = min(int(place), last - 1)
            part = place - low
            value = ordered[t, low] * (1.0 - part) + ordered[t, low + 1] * part
            out[t, q] = math.asinh(value - median)


@njit
def autocorrelation(
    tracks: Floats, mean: Floats, variance: Floats, lags: Ints, floor: float, out: Floats
) -> None:
    """out[t, k] = covariance of track t with itself `lags[k]` rows later over its variance.

    The variance is raised by floor², so that the noise of a sensor at rest has no rhythm. A lag
    that leaves less than half of the window to compare is 0.
    """
    rows = tracks.shape[1]
    for t in range(tracks.shape[0]):
        for k in range(lags.size):
            lag = lags[k]
            out[t, k] = 0.0
            if 2 * lag > rows:
                continue
            total = 0.0
            for i in range(rows - lag):
                total += (tracks[t, i] - mean[t]) * (tracks[t, i + lag] - mean[t])
            out[t, k] = total / ((rows - lag) * (variance[t] + floor * floor))


@njit
def correlation(
    tracks: Floats, mean: Floats, variance: Floats, floor: float, out: Floats
) -> None:
    """Correlation of every pair of tracks, pairs in the order (0, 1), (0, 2), ... (1, 2), ...

    Variances are raised by floor² as in `autocorrelation`.
    """
    rows = tracks.shape[1]
    pair = 0
    for a in range(tracks.shape[0]):
        for b in range(a + 1, tracks.shape[0]):
            total = 0.0
            for i in range(rows):
                total += (tracks[a, i] - mean[a]) * (tracks[b, i] - mean[b])
            scale = math.sqrt((variance[a] + floor * floor) * (variance[b] + floor * floor))
            out[pair] = total / (rows * scale)
            pair += 1


@njit
def bands(power: Floats, shares: Floats, floor: float, out: Floats) -> None:
    """out[t, b] = log(rms of track t within band b + floor).

    power (t, f), shares (b, f): how much of each spectral line belongs to each band; a line lies in
    few bands, so zeros are skipped.
    """
    for t in range(power.shape[0]):
        for b in range(shares.shape[0]):
            total = 0.0
            for f in range(shares.shape[1]):
                total += shares[b, f] * power[t, f]
            out[t, b] = math.log(math.sqrt(total) + floor)


@njit
def rhythm(power: Floats, octaves: Floats, floor: float, out: Floats) -> None:
    """Where the spectrum of each track peaks, where its centre is, and how spread out it is.

    power (t, f) without the constant, octaves (f,): log2 of the frequency of each line in Hz,
    out (t, 4): octave of the peak, share of the power in it, power-weighted mean octave, entropy
    over its maximum. All four fade to 0 when the power does not exceed floor².
    """
    for t in range(power.shape[0]):
        total = floor * floor
        peak = 0
        for f in range(power.shape[1]):
            total += power[t, f]
            if power[t, f] > power[t, peak]:
                peak = f
        centre = 0.0
        entropy = 0.0
        everything = 0.0
        for f in range(power.shape[1]):
            share = power[t, f] / total
            everything += share
            centre += share * octaves[f]
            if share > 0.0:
                entropy -= share * math.log(share)
        out[t, 0] = octaves[peak] * everything
        out[t, 1] = power[t, peak] / total
        out[t, 2] = centre
        out[t, 3] = entropy / math.log(max(power.shape[1], 2))


@njit
def parts(
    tracks: Floats, mean: Floats, bounds: Ints, floor: float, levels: Floats, spreads: Floats
) -> None:
    """Level over the window's mean, and log spread, of consecutive parts of each track.

    bounds (p + 1,) rows; levels and spreads (t, 2p): first in the order of time, then sorted.
    """
    count = bounds.size - 1
    for t in range(tracks.shape[0]):
        for p in range(count):
            rows = bounds[p + 1] - bounds[p]
            total = 0.0
            for i in range(bounds[p], bounds[p + 1]):
                total += tracks[t, i]
            level = total / rows
            squares = 0.0
            for i in range(bounds[p], bounds[p + 1]):
                squares += (tracks[t, i] - level) ** 2
            levels[t, p] = math.asinh(level - mean[t])
            spreads[t, p] = math.log(math.sqrt(squares / rows) + floor)
        insert_sorted(levels[t, :count], levels[t, count:])
        insert_sorted(spreads[t, :count], spreads[t, count:])


@njit
def insert_sorted(values: Floats, out: Floats) -> None:
    """`out` = `values` in ascending order (insertion sort: made for a handful)."""
    for i in range(values.size):
        k = i
        while k > 0 and out[k - 1] > values[i]:
            out[k] = out[k - 1]
            k -= 1
        out[k] = values[i]


@njit
def rectified(weights: Floats, biases: Floats, x: Floats, out: Floats) -> None:
    """out = max(0, weights · x + biases): weights (u, d), x (d,), out (u,)."""
    for u in range(out.size):
        total = biases[u]
        for i in range(x.size):
            total += weights[u, i] * x[i]
        out[u] = max(total, 0.0)


@njit
def settle(x: Floats, limit: float, grid: float) -> None:
    """Clip x to ±limit and round it to multiples of `grid`, in place."""
    for i in range(x.size):
        x[i] = np.rint(min(max(x[i], -limit), limit) / grid) * grid


@njit
def add_outer(x: Floats, weight: float, out: Floats) -> None:
    """out += weight · x xᵀ in the lower triangle, the diagonal included; out (d, d)."""
    for i in range(x.size):
        factor = weight * x[i]
        for j in range(i + 1):
            out[i, j] += factor * x[j]


@njit
def substitute(root: Floats, x: Floats) -> None:
    """x = root⁻¹ x in place, root (d, d) lower triangular (forward substitution)."""
    for i in range(x.size):
        total = 0.0
        for j in range(i):
            total += root[i, j] * x[j]
        x[i] = (x[i] - total) / root[i, i]
