"""What somebody who knows numpy would make of a window: the features of the rivals in the race.

Nothing of budge's kernels is in it, so that the race compares all of one with all of the other.
Once it is a compact set, and once the very features that budge has.
"""

import numpy as np

from learner import features as f
from learner.features import Floats, Samples

EDGES_HZ = np.array([0.3, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0])


def compact(samples: Samples, rate_hz: float) -> Floats:
    """Describe a window (n, c) by some 150 numbers for six channels, 75 for three."""
    triads = [samples[:, k : k + 3] for k in range(0, samples.shape[1], 3)]
    lengths = [np.sqrt(np.einsum("ij,ij->i", triad, triad))[:, None] for triad in triads]
    tracks = np.ascontiguousarray(np.hstack([samples, *lengths]).T, dtype=np.float64)
    mean = tracks.mean(axis=1)
    centred = tracks - mean[:, None]
    spread = centred.std(axis=1)
    ordered = np.sort(tracks, axis=1)
    places = (np.array([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]) * (len(samples) - 1)).astype(int)
    rough = np.abs(np.diff(tracks, axis=1)).mean(axis=1)
    power = np.abs(np.fft.rfft(centred * np.hanning(len(samples)), axis=1)) ** 2
    lines = np.fft.rfftfreq(len(samples), 1.0 / rate_hz)
    edges = np.searchsorted(lines, EDGES_HZ[lines[-1] > EDGES_HZ])
    bands = np.log1p(np.add.reduceat(power, edges, axis=1))
    share = power / np.maximum(power.sum(axis=1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=1)
    scaled = centred / np.maximum(spread, 1e-9)[:, None]
    together = (scaled @ scaled.T / len(samples))[np.triu_indices(len(tracks), 1)]
    return np.concatenate(
        [
            *(mean, spread, rough, lines[power.argmax(axis=1)], entropy),
            *(ordered[:, places].ravel(), bands.ravel(), together),
        ]
    )


class Same:
    """Describes windows as `learner.features.Features` does, to the last digits."""

    def __init__(self, rate_hz: float, n_channels: int, rows: int) -> None:
        self._units = np.array([f.ACCEL_UNIT] * 3 + [f.GYRO_UNIT] * 3)[:n_channels]
        levels = np.array([f.ACCEL_LEVEL / f.ACCEL_UNIT, f.GYRO_LEVEL / f.GYRO_UNIT])
        levels = levels[: n_channels // 3]
        self._levels = np.concatenate([np.repeat(levels, 3), levels, levels, levels])
        self._step = min(max(1, round(f.STEP_S * rate_hz)), rows // 2)
        self._lags = np.maximum(1, np.rint(f.LAGS_S * rate_hz)).astype(int)
        self._bounds = np.arange(f.PARTS + 1) * rows // f.PARTS
        frequencies = np.fft.rfftfreq(rows, 1.0 / rate_hz)[1:]
        self._octaves = np.log2(frequencies)
        taper = np.hanning(rows + 1)[:-1]
        self._taper = taper * np.sqrt(2.0 / (rows * np.sum(taper**2)))
        half = rate_hz / rows / 2.0  # of the width of a spectral line
        above = np.minimum(f.BAND_EDGES_HZ[1:, None], frequencies + half)
        below = np.maximum(f.BAND_EDGES_HZ[:-1, None], frequencies - half)
        self._shares = np.maximum(above - below, 0.0).T / (2.0 * half)
        self._plain = n_channels + n_channels // 3
        self._pairs = np.triu_indices(2 * n_channels, 1)

    def __call__(self, samples: Samples) -> Floats:
        """Describe samples (rows, n_channels)."""
        tracks = self._tracks(samples)
        mean = tracks.mean(axis=1)
        tracks -= mean[:, None]
        square = np.square(tracks).mean(axis=1)
        steps = tracks[:, self._step :] - tracks[:, : -self._step]
        steps -= steps.mean(axis=1)[:, None]
        rough = np.square(steps).mean(axis=1)
        variance = square + f.FLOOR**2
        together = tracks @ tracks.T / (len(samples) * np.sqrt(np.outer(variance, variance)))
        level = _quantiles(tracks[: self._plain], f.QUANTILES)
        step = _quantiles(steps[: self._plain], f.STEP_QUANTILES)
        blocks = [
            mean / self._levels,
            np.log(np.sqrt([square, rough]) + f.FLOOR),
            *self._spectral(tracks),
            self._autocorrelation(tracks) / variance[:, None],
            together[self._pairs],
            (level + mean[: self._plain, None]) / self._levels[: self._plain, None],
            np.arcsinh(step),
            *self._parts(tracks[: self._plain]),
        ]
        return np.concatenate([block.ravel() for block in blocks])

    def _tracks(self, samples: Samples) -> Floats:
        """Channels, then lengths, then what lies along gravity, then across: (2c, rows)."""
        scaled = (samples / self._units).T
        total = scaled[:3].sum(axis=1)
        down = total / max(np.sqrt(total @ total), len(samples))
        triads = scaled.reshape(-1, 3, len(samples))
        along = np.einsum("tci,c->ti", triads, down)
        squared = np.einsum("tci,tci->ti", triads, triads)
        across = np.sqrt(np.maximum(squared - along**2, 0.0))
        return np.concatenate([scaled, np.sqrt(squared), along, across])

    def _spectral(self, tracks: Floats) -> tuple[Floats, Floats]:
        """Return bands and rhythm."""
        spectrum = np.fft.rfft(tracks * self._taper)[:, 1:]
        power = spectrum.real**2 + spectrum.imag**2
        share = power / (power.sum(axis=1) + f.FLOOR**2)[:, None]
        logs = np.log(share, out=np.zeros_like(share), where=share > 0.0)
        peak = power.argmax(axis=1)
        rhythm = [
            self._octaves[peak] * share.sum(axis=1),
            share[np.arange(len(share)), peak],
            share @ self._octaves,
            np.einsum("tf,tf->t", share, logs) / -np.log(max(len(self._octaves), 2)),
        ]
        return np.log(np.sqrt(power @ self._shares) + f.FLOOR), np.stack(rhythm, axis=1)

    def _autocorrelation(self, tracks: Floats) -> Floats:
        """Mean product of each track with itself so many rows later, 0 beyond half the window."""
        rows = tracks.shape[1]
        products = np.zeros((len(tracks), len(self._lags)))
        for k, lag in enumerate(self._lags[2 * self._lags <= rows]):
            products[:, k] = np.einsum("ti,ti->t", tracks[:, :-lag], tracks[:, lag:]) / (rows - lag)
        return products

    def _parts(self, tracks: Floats) -> tuple[Floats, Floats]:
        """Level and log spread of parts of each track, in the order of time and sorted."""
        rows = np.diff(self._bounds)
        level = np.add.reduceat(tracks, self._bounds[:-1], axis=1) / rows
        off = tracks - np.repeat(level, rows, axis=1)
        variance = np.add.reduceat(np.square(off), self._bounds[:-1], axis=1) / rows
        squeezed, spread = np.arcsinh(level), np.log(np.sqrt(variance) + f.FLOOR)
        return (
            np.hstack([squeezed, np.sort(squeezed, axis=1)]),
            np.hstack([spread, np.sort(spread, axis=1)]),
        )


def _quantiles(tracks: Floats, at: Floats) -> Floats:
    """As np.quantile does it, which takes several times as long over so few."""
    ordered = np.sort(tracks, axis=1)
    place = (ordered.shape[1] - 1) * at
    low = np.minimum(place.astype(int), ordered.shape[1] - 2)
    part = place - low
    quantiles: Floats = ordered[:, low] * (1.0 - part) + ordered[:, low + 1] * part
    return quantiles
