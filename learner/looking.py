"""The loops over a window, one formula each: samples in, features out, nothing allocated.

Each has a slow and obvious twin of the same name in `tests/naive.py`. Import this module inside
the function that needs it: it brings numba with it.

Tracks are rows of a wider array: behind the last row of the window there are zeros, so that sums
may run on to a whole number of vector registers (LANES), and a lag needs no end.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learner.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# What a compiler sums side by side of float64: four registers of eight (AVX-512), the widest there
# are. What is left over of a sum it adds up one by one, which may take longer than all the rest.
LANES = 32

LOG_2 = math.log(2.0)
ROOT_OF_HALF = 0x3FE6A09E667F3BCD  # √½ as float64, bit for bit
TINY = 1e-300  # has a logarithm, and times that is nothing


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
    unordered: Floats,
    moments: Floats,
    means: Floats,
    spreads: Floats,
    autocorrelations: Floats,
    correlations: Floats,
    part_levels: Floats,
    part_spreads: Floats,
) -> None:
    """Fill in all that is seen of a window in time, not squeezed: the kernels below, in one call.

    samples (n, c), tracks_ (2c, wider than any lag reaches), steps_ (2c, width), tapered (2c, n),
    unordered (2p, n): the first p tracks, and their n - lag steps; moments (4, 2c): mean and
    variance of the tracks, mean and variance of the steps.
    """
    rows, plain, width = samples.shape[0], part_levels.shape[0], steps_.shape[1]
    tracks(samples, units, tracks_)
    centre(tracks_, rows, moments[0], moments[1])
    steps(tracks_, rows, lag, steps_)
    centre(steps_, rows - lag, moments[2], moments[3])
    for t in range(tracks_.shape[0]):
        means[t] = moments[0, t] / levels[t]
        spreads[0, t] = math.sqrt(moments[1, t])
        spreads[1, t] = math.sqrt(moments[3, t])
        track, out = tracks_[t], tapered[t]
        for i in range(rows):
            out[i] = taper[i] * track[i]
    for t in range(plain):
        unordered[t, :] = tracks_[t, :rows]
        unordered[plain + t, : rows - lag] = steps_[t, : rows - lag]
    autocorrelation(tracks_, width, rows, moments[1], lags, floor, autocorrelations)
    correlation(tracks_, width, rows, moments[1], floor, correlations)
    parts(tracks_[:plain], bounds, part_levels, part_spreads)


@njit
def listen(
    spectrum: NDArray[np.complex128],
    ordered: Floats,
    lag: int,
    mean: Floats,
    shares: Floats,
    octaves: Floats,
    at: Floats,
    at_steps: Floats,
    floor: float,
    levels: Floats,
    power: Floats,
    raised: Floats,
    logs: Floats,
    bands_: Floats,
    rhythms: Floats,
    quantiles_: Floats,
    step_quantiles: Floats,
) -> None:
    """Fill in what is seen of a window by frequency and by rank, not squeezed, in one call.

    spectrum (t, f + 1) with the constant first, power, raised, logs (t, f); ordered (2p, n): sorted
    rows of the first p tracks, centred on `mean`, and of their n - lag steps.
    """
    for t in range(power.shape[0]):
        for f in range(power.shape[1]):
            power[t, f] = spectrum[t, f + 1].real ** 2 + spectrum[t, f + 1].imag ** 2
            raised[t, f] = max(power[t, f], TINY)
    logarithms(raised.reshape(-1), logs.reshape(-1))
    rhythm(power, logs, octaves, floor, rhythms)
    bands(power, shares, bands_)
    plain, rows = quantiles_.shape[0], ordered.shape[1]
    quantiles(ordered[:plain], rows, at, quantiles_)
    quantiles(ordered[plain:], rows - lag, at_steps, step_quantiles)
    for t in range(plain):
        for q in range(at.size):
            quantiles_[t, q] = (quantiles_[t, q] + mean[t]) / levels[t]


@njit
def squeeze(
    levels: Floats,
    spreads: Floats,
    more_spreads: Floats,
    floor: float,
    raised: Floats,
    logs: Floats,
) -> None:
    """Replace levels by their asinh, log(|x| + √(x² + 1)), and spreads by log(x + floor).

    raised and logs are room for as many numbers.
    """
    for i in range(levels.size):
        raised[i] = abs(levels[i]) + math.sqrt(levels[i] * levels[i] + 1.0)
    logarithms(raised[: levels.size], logs)
    for i in range(levels.size):
        levels[i] = math.copysign(logs[i], levels[i])
    for above in (spreads, more_spreads):
        for i in range(above.size):
            raised[i] = above[i] + floor
        logarithms(raised[: above.size], above)


@njit
def tracks(samples: NDArray[np.float32], units: Floats, out: Floats) -> None:
    """Split every triad of channels into six tracks: x, y, z, length, along and across gravity.

    samples (n, c), units (c,), out (2c, n, and then zeros): first the c channels as they are, then
    the length of every triad, then what lies along gravity, then across. All is divided by its
    channel's unit. Down is the mean acceleration; when that is shorter than one unit (a sensor
    without gravity) it fades out instead of pointing at random.
    """
    rows, channels = samples.shape
    triads = channels // 3
    for c in range(channels):
        track, per_unit = out[c], 1.0 / units[c]
        for i in range(rows):
            track[i] = samples[i, c] * per_unit
    x, y, z = out[0], out[1], out[2]
    down_x, down_y, down_z = 0.0, 0.0, 0.0
    for i in range(out.shape[1]):
        down_x += x[i]
        down_y += y[i]
        down_z += z[i]
    size = max(math.sqrt(down_x**2 + down_y**2 + down_z**2), float(rows))
    down_x, down_y, down_z = down_x / size, down_y / size, down_z / size
    for triad in range(triads):
        x, y, z = out[3 * triad], out[3 * triad + 1], out[3 * triad + 2]
        lengths, alongs = out[channels + triad], out[channels + triads + triad]
        acrosses = out[channels + 2 * triads + triad]
        for i in range(rows):
            along = x[i] * down_x + y[i] * down_y + z[i] * down_z
            squared = x[i] * x[i] + y[i] * y[i] + z[i] * z[i]
            lengths[i] = math.sqrt(squared)
            alongs[i] = along
            acrosses[i] = math.sqrt(max(squared - along * along, 0.0))


@njit
def steps(tracks: Floats, rows: int, lag: int, out: Floats) -> None:
    """out[t, i] = tracks[t, i + lag] - tracks[t, i], of the rows of the window."""
    for t in range(out.shape[0]):
        track, steps = tracks[t], out[t]
        for i in range(rows - lag):
            steps[i] = track[i + lag] - track[i]


@njit
def centre(tracks: Floats, rows: int, mean: Floats, variance: Floats) -> None:
    """Take the mean out of every track, and say what it was and what (population) variance is left.

    In two passes, so that gravity cancels before anything is squared.
    """
    for t in range(tracks.shape[0]):
        track = tracks[t]
        total = 0.0
        for i in range(track.size):
            total += track[i]
        mean[t] = total / rows
        for i in range(rows):
            track[i] -= mean[t]
        squares = 0.0
        for i in range(track.size):
            squares += track[i] * track[i]
        variance[t] = squares / rows


@njit
def quantiles(ordered: Floats, rows: int, at: Floats, out: Floats) -> None:
    """out[t, q] = the quantile at[q] of track t.

    ordered (t, n): sorted, the first `rows` of each count; at (q,) from 0, the minimum, to 1, the
    maximum. Between two rows a quantile is interpolated (type 7 of Hyndman & Fan 1996).
    """
    last = rows - 1
    for q in range(at.size):
        place = last * at[q]
        low = min(int(place), last - 1)
        part = place - low
        for t in range(ordered.shape[0]):
            out[t, q] = ordered[t, low] * (1.0 - part) + ordered[t, low + 1] * part


@njit
def autocorrelation(
    centred: Floats,
    width: int,
    rows: int,
    variance: Floats,
    lags: Ints,
    floor: float,
    out: Floats,
) -> None:
    """out[t, k] = covariance of track t with itself `lags[k]` rows later over its variance.

    The variance is raised by floor², so that the noise of a sensor at rest has no rhythm. A lag of
    more than half of the window is 0. Sums run over `width`, into the zeros behind the rows.
    """
    for t in range(centred.shape[0]):
        track = centred[t]
        for k in range(lags.size):
            lag = lags[k]
            out[t, k] = 0.0
            if 2 * lag > rows:
                continue
            later = track[lag:]
            total = 0.0
            for i in range(width):
                total += track[i] * later[i]
            out[t, k] = total / ((rows - lag) * (variance[t] + floor * floor))


@njit
def correlation(
    centred: Floats, width: int, rows: int, variance: Floats, floor: float, out: Floats
) -> None:
    """Correlate every pair of tracks, in the order (0, 1), (0, 2), ... (1, 2), ...

    Variances are raised by floor², and sums run over `width`, as in `autocorrelation`.
    """
    pair = 0
    for a in range(centred.shape[0]):
        one = centred[a]
        for b in range(a + 1, centred.shape[0]):
            other = centred[b]
            total = 0.0
            for i in range(width):
                total += one[i] * other[i]
            scale = math.sqrt((variance[a] + floor * floor) * (variance[b] + floor * floor))
            out[pair] = total / (rows * scale)
            pair += 1


@njit
def bands(power: Floats, shares: Floats, out: Floats) -> None:
    """out[t, b] = rms of track t within band b.

    power (t, f), shares (b, f): how much of each spectral line belongs to each band.
    """
    for t in range(power.shape[0]):
        lines = power[t]
        for b in range(shares.shape[0]):
            share = shares[b]
            total = 0.0
            for f in range(share.size):
                total += share[f] * lines[f]
            out[t, b] = math.sqrt(total)


@njit
def rhythm(power: Floats, logs: Floats, octaves: Floats, floor: float, out: Floats) -> None:
    """Where the spectrum of each track peaks, where its centre is, and how spread out it is.

    power (t, f) without the constant, logs (t, f) of it, octaves (f,): log2 of the frequency of
    each line in Hz, out (t, 4): octave of the peak, share of the power in it, power-weighted mean
    octave, entropy over its maximum, Σ p/P log(P/p). All four fade to 0 when the power does not
    exceed floor².
    """
    for t in range(power.shape[0]):
        lines, their_logs = power[t], logs[t]
        everything, centre, surprise = 0.0, 0.0, 0.0
        for f in range(lines.size):
            everything += lines[f]
            centre += lines[f] * octaves[f]
            surprise += lines[f] * their_logs[f]
        peak = 0
        for f in range(lines.size):
            if lines[f] > lines[peak]:
                peak = f
        total = everything + floor * floor
        out[t, 0] = octaves[peak] * everything / total
        out[t, 1] = lines[peak] / total
        out[t, 2] = centre / total
        entropy = (everything * math.log(total) - surprise) / total
        out[t, 3] = entropy / math.log(max(lines.size, 2))


@njit
def logarithms(x: Floats, out: Floats) -> None:
    """out[i] = log(x[i]), of what is positive and not all but zero; x (n,) is overwritten.

    The library's cannot be vectorised. x = 2ᵏ · m with m from √½ to √2, and with s = (m - 1) /
    (m + 1), log m = 2 s + 2 s³/3 + 2 s⁵/5 + ...: the coefficients, which make up for where that
    ends, are those of Sun's fdlibm (e_log.c).
    """
    bits = x.view(np.int64)
    for i in range(bits.size):
        k = (bits[i] - ROOT_OF_HALF) >> 52
        bits[i] -= k << 52
        out[i] = k
    for i in range(x.size):
        s = (x[i] - 1.0) / (x[i] + 1.0)
        z = s * s
        late = 0.2222219843214978396 + z * (
            0.1818357216161805012 + z * (0.1531383769920937332 + z * 0.1479819860511658591)
        )
        early = 0.6666666666666735130 + z * (
            0.3999999999940941908 + z * (0.2857142874366239149 + z * late)
        )
        out[i] = out[i] * LOG_2 + s * (2.0 + z * early)


@njit
def parts(centred: Floats, bounds: Ints, levels: Floats, spreads: Floats) -> None:
    """Level over the window's mean, and spread (rms), of consecutive parts of each track.

    bounds (p + 1,) rows; levels and spreads (t, 2p): first in the order of time, then sorted.
    """
    count = bounds.size - 1
    for t in range(centred.shape[0]):
        for p in range(count):
            part = centred[t, bounds[p] : bounds[p + 1]]
            total = 0.0
            for i in range(part.size):
                total += part[i]
            level = total / part.size
            squares = 0.0
            for i in range(part.size):
                squares += (part[i] - level) ** 2
            levels[t, p] = level
            spreads[t, p] = math.sqrt(squares / part.size)
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
