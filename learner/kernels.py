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
def look(
    samples: NDArray[np.float32],
    units: Floats,
    taper: Floats,
    lag: int,
    lags: Ints,
    bounds: Ints,
    floor: float,
    levels: Floats,
    tracks_: Floats,
    steps_: Floats,
    tapered: Floats,
    moments: Floats,
    means: Floats,
    spreads: Floats,
    autocorrelations: Floats,
    correlations: Floats,
    part_levels: Floats,
    part_spreads: Floats,
) -> None:
    """Fill in all that is seen of a window in time: the kernels below, in one call from Python.

    samples (n, c), tracks_ and tapered (2c, n), steps_ (2c, n - lag), moments (4, 2c): mean and
    variance of the tracks, mean and variance of the steps.
    """
    tracks(samples, units, tracks_)
    centre(tracks_, moments[0], moments[1])
    steps(tracks_, lag, steps_)
    centre(steps_, moments[2], moments[3])
    for t in range(tracks_.shape[0]):
        means[t] = moments[0, t] / levels[t]
        spreads[0, t] = math.log(math.sqrt(moments[1, t]) + floor)
        spreads[1, t] = math.log(math.sqrt(moments[3, t]) + floor)
        for i in range(taper.size):
            tapered[t, i] = taper[i] * tracks_[t, i]
    autocorrelation(tracks_, moments[1], lags, floor, autocorrelations)
    correlation(tracks_, moments[1], floor, correlations)
    parts(tracks_[: part_levels.shape[0]], bounds, floor, part_levels, part_spreads)


@njit
def listen(
    spectrum: NDArray[np.complex128],
    ordered: Floats,
    ordered_steps: Floats,
    mean: Floats,
    shares: Floats,
    octaves: Floats,
    at: Floats,
    at_steps: Floats,
    floor: float,
    levels: Floats,
    power: Floats,
    bands_: Floats,
    rhythms: Floats,
    quantiles_: Floats,
    step_quantiles: Floats,
) -> None:
    """Fill in what is seen of a window by frequency and by rank, in one call from Python.

    spectrum (t, f + 1) with the constant first, power (t, f); ordered and ordered_steps: sorted
    rows of the first tracks, centred on `mean`. Quantiles are levels, those of steps are squeezed.
    """
    for t in range(power.shape[0]):
        for f in range(power.shape[1]):
            power[t, f] = spectrum[t, f + 1].real ** 2 + spectrum[t, f + 1].imag ** 2
    bands(power, shares, floor, bands_)
    rhythm(power, octaves, floor, rhythms)
    quantiles(ordered, at, quantiles_)
    quantiles(ordered_steps, at_steps, step_quantiles)
    for t in range(quantiles_.shape[0]):
        for q in range(at.size):
            quantiles_[t, q] = (quantiles_[t, q] + mean[t]) / levels[t]
        for q in range(at_steps.size):
            step_quantiles[t, q] = math.asinh(step_quantiles[t, q])


@njit
def tracks(samples: NDArray[np.float32], units: Floats, out: Floats) -> None:
    """Split every triad of channels into six tracks: x, y, z, length, along and across gravity.

    samples (n, c), units (c,), out (2c, n): first the c channels as they are, then the length of
    every triad, then what lies along gravity, then across. All is divided by its channel's unit.
    Down is the mean acceleration; when that is shorter than one unit (a sensor without gravity) it
    fades out instead of pointing at random.
    """
    rows, channels = samples.shape
    triads = channels // 3
    down_x, down_y, down_z = 0.0, 0.0, 0.0
    for i in range(rows):
        down_x += samples[i, 0] / units[0]
        down_y += samples[i, 1] / units[1]
        down_z += samples[i, 2] / units[2]
    size = max(math.sqrt(down_x**2 + down_y**2 + down_z**2), float(rows))
    down_x, down_y, down_z = down_x / size, down_y / size, down_z / size
    for triad in range(triads):
        first = 3 * triad
        for i in range(rows):
            x = samples[i, first] / units[first]
            y = samples[i, first + 1] / units[first + 1]
            z = samples[i, first + 2] / units[first + 2]
            along = x * down_x + y * down_y + z * down_z
            squared = x * x + y * y + z * z
            out[first, i], out[first + 1, i], out[first + 2, i] = x, y, z
            out[channels + triad, i] = math.sqrt(squared)
            out[channels + triads + triad, i] = along
            out[channels + 2 * triads + triad, i] = math.sqrt(max(squared - along * along, 0.0))


@njit
def steps(tracks: Floats, lag: int, out: Floats) -> None:
    """out[t, i] = tracks[t, i + lag] - tracks[t, i]."""
    for t in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[t, i] = tracks[t, i + lag] - tracks[t, i]


@njit
def centre(tracks: Floats, mean: Floats, variance: Floats) -> None:
    """Take the mean out of every track, and say what it was and what (population) variance is left.

    In two passes, so that gravity cancels before anything is squared.
    """
    rows = tracks.shape[1]
    for t in range(tracks.shape[0]):
        total = 0.0
        for i in range(rows):
            total += tracks[t, i]
        mean[t] = total / rows
        squares = 0.0
        for i in range(rows):
            tracks[t, i] -= mean[t]
            squares += tracks[t, i] ** 2
        variance[t] = squares / rows


@njit
def quantiles(ordered: Floats, at: Floats, out: Floats) -> None:
    """out[t, q] = the quantile at[q] of track t.

    ordered (t, n): sorted rows; at (q,) from 0, the minimum, to 1, the maximum. Between two rows a
    quantile is interpolated (type 7 of Hyndman & Fan 1996).
    """
    last = ordered.shape[1] - 1
    for q in range(at.size):
        place = last * at[q]
        low = min(int(place), last - 1)
        part = place - low
        for t in range(ordered.shape[0]):
            out[t, q] = ordered[t, low] * (1.0 - part) + ordered[t, low + 1] * part


@njit
def autocorrelation(
    centred: Floats, variance: Floats, lags: Ints, floor: float, out: Floats
) -> None:
    """out[t, k] = covariance of track t with itself `lags[k]` rows later over its variance.

    The variance is raised by floor², so that the noise of a sensor at rest has no rhythm. A lag of
    more than half of the window is 0.
    """
    rows = centred.shape[1]
    for t in range(centred.shape[0]):
        for k in range(lags.size):
            lag = lags[k]
            out[t, k] = 0.0
            if 2 * lag > rows:
                continue
            total = 0.0
            for i in range(rows - lag):
                total += centred[t, i] * centred[t, i + lag]
            out[t, k] = total / ((rows - lag) * (variance[t] + floor * floor))


@njit
def correlation(centred: Floats, variance: Floats, floor: float, out: Floats) -> None:
    """Correlate every pair of tracks, in the order (0, 1), (0, 2), ... (1, 2), ...

    Variances are raised by floor² as in `autocorrelation`.
    """
    rows = centred.shape[1]
    pair = 0
    for a in range(centred.shape[0]):
        for b in range(a + 1, centred.shape[0]):
            total = 0.0
            for i in range(rows):
                total += centred[a, i] * centred[b, i]
            scale = math.sqrt((variance[a] + floor * floor) * (variance[b] + floor * floor))
            out[pair] = total / (rows * scale)
            pair += 1


@njit
def bands(power: Floats, shares: Floats, floor: float, out: Floats) -> None:
    """out[t, b] = log(rms of track t within band b + floor).

    power (t, f), shares (b, f): how much of each spectral line belongs to each band.
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
def parts(centred: Floats, bounds: Ints, floor: float, levels: Floats, spreads: Floats) -> None:
    """Level over the window's mean, and log spread, of consecutive parts of each track.

    bounds (p + 1,) rows; levels and spreads (t, 2p): first in the order of time, then sorted.
    """
    count = bounds.size - 1
    for t in range(centred.shape[0]):
        for p in range(count):
            rows = bounds[p + 1] - bounds[p]
            total = 0.0
            for i in range(bounds[p], bounds[p + 1]):
                total += centred[t, i]
            level = total / rows
            squares = 0.0
            for i in range(bounds[p], bounds[p + 1]):
                squares += (centred[t, i] - level) ** 2
            levels[t, p] = math.asinh(level)
            spreads[t, p] = math.log(math.sqrt(squares / rows) + floor)
        insert_sorted(levels[t, :count], levels[t, count:])
        insert_sorted(spreads[t, :count], spreads[t, count:])


@njit
def insert_sorted(values: Floats, out: Floats) -> None:
    """Fill `out` with `values` in ascending order (insertion sort: made for a handful)."""
    for i in range(values.size):
        k = i
        while k > 0 and out[k - 1] > values[i]:
            out[k] = out[k - 1]
            k -= 1
        out[k] = values[i]


@njit
def settle(x: Floats, limit: float, grid: float) -> None:
    """Clip x to ±limit and round it to multiples of `grid`, in place."""
    for i in range(x.size):
        x[i] = np.rint(min(max(x[i], -limit), limit) / grid) * grid


@njit
def add_outer(x: Floats, weight: float, out: Floats) -> None:
    """Add weight · x xᵀ to the lower triangle of `out` (d, d), the diagonal included."""
    for i in range(x.size):
        factor = weight * x[i]
        for j in range(i + 1):
            out[i, j] += factor * x[j]


@njit
def add_outers(rows: Floats, weights: Floats, out: Floats) -> None:
    """Add Σ_k weights[k] · x_k x_kᵀ, four rows x_k of `rows` at once, to the lower triangle of out.

    rows (k, d), weights (k,), out (d, d), k a multiple of four. It is `out` that takes the time:
    it does not fit in the cache.
    """
    for first in range(0, rows.shape[0], 4):
        a, b, c, d = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
        for i in range(out.shape[0]):
            by_a, by_b = weights[first] * a[i], weights[first + 1] * b[i]
            by_c, by_d = weights[first + 2] * c[i], weights[first + 3] * d[i]
            for j in range(i + 1):
                out[i, j] += by_a * a[j] + by_b * b[j] + by_c * c[j] + by_d * d[j]


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
def agree(scores: Floats, shares: Floats, doubt: float, company: float, out: Floats) -> int:
    """out[k] ∝ exp(scores[k]) · (shares[k] + doubt) ^ company, summing to 1; returns the largest.

    Shifted by the maximum, so that exp cannot overflow.
    """
    best = 0
    for k in range(scores.size):
        out[k] = scores[k] + company * math.log(shares[k] + doubt)
        if out[k] > out[best]:
            best = k
    highest, total = out[best], 0.0
    for k in range(scores.size):
        out[k] = math.exp(out[k] - highest)
        total += out[k]
    for k in range(scores.size):
        out[k] /= total
    return best


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
    x: NDArray[np.int16], windows: NDArray[np.int16], weights: NDArray[np.float32]
) -> float:
    """Return the least over windows (n, d) of Σ_i weights[i] (x[i] - window[i])²; x, weights (d,).

    In single precision, as `projected_square`.
    """
    nearest = np.float32(np.inf)
    for n in range(windows.shape[0]):
        total = np.float32(0.0)
        for i in range(x.size):
            off = np.float32(np.int32(x[i]) - np.int32(windows[n, i]))
            total += weights[i] * off * off
        nearest = min(nearest, total)
    return float(nearest)
