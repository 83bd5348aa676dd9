"""What a window looks like, in numbers that mean the same on every sensor and at every rate.

Nothing here is fitted to data: every number is divided by a fixed physical unit and squeezed by a
fixed function (asinh, log) to the order of one. That is what lets the learner's sums be exact: see
`learner.recognizer`.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STANDARD_GRAVITY = 9.80665  # m/s²

# The unit of a channel is a gentle motion: a hand that sways. Below it asinh is a straight line,
# far above it a logarithm, so that a tremble and a jump are both about one.
ACCEL_UNIT = 0.1 * STANDARD_GRAVITY  # m/s²
GYRO_UNIT = 0.3  # rad/s
# What a sensor at rest shows, in units: 5 mg and 0.015 rad/s, some times the noise of cheap chips.
FLOOR = 0.05

STEP_S = 0.02  # a difference is taken over one row at 50 Hz, several above
QUANTILES = 11
LAGS_S = tuple(0.1 * 2 ** (k / 2) for k in range(10))  # 0.1 s to 2.3 s
BAND_EDGES_HZ = (0.3, 0.8, 1.3, 1.8, 2.4, 3.2, 4.5, 6.5, 10.0, 15.0, 22.0, 35.0, 60.0, 100.0)
PARTS = 4


class Features:
    """The description of windows of one shape; it owns its workspace and is used by one thread."""

    def __init__(self, rate_hz: float, n_channels: int, window_rows: int) -> None:
        from learner import kernels

        self._kernels = kernels
        triads, rows, t = n_channels // 3, window_rows, 2 * n_channels
        self._units = np.array([ACCEL_UNIT] * 3 + [GYRO_UNIT] * 3)[:n_channels]
        self._lag = max(1, round(STEP_S * rate_hz))
        self._lags = np.array([max(1, round(s * rate_hz)) for s in LAGS_S], dtype=np.intp)
        self._bounds = np.array([p * rows // PARTS for p in range(PARTS + 1)], dtype=np.intp)

        frequencies = np.fft.rfftfreq(rows, 1 / rate_hz)[1:]
        self._octaves = np.log2(frequencies)
        self._taper = np.hanning(rows + 1)[:-1]
        # Parseval: with this scale the lines of the one-sided spectrum add up to the mean square
        self._taper *= np.sqrt(2.0 / (rows * np.sum(self._taper**2)))
        half = 0.5 * rate_hz / rows
        low = np.array(BAND_EDGES_HZ[:-1])[:, None]
        high = np.array(BAND_EDGES_HZ[1:])[:, None]
        covered = np.minimum(high, frequencies + half) - np.maximum(low, frequencies - half)
        self._shares = np.clip(covered / (2 * half), 0.0, 1.0)

        self._tracks = np.empty((t, rows))
        self._steps = np.empty((t, rows - self._lag))
        self._mean, self._variance = np.empty(t), np.empty(t)
        self._step_mean, self._step_variance = np.empty(t), np.empty(t)

        shapes = {
            "mean": (t,),
            "spread": (2, t),
            "quantile": (t, QUANTILES),
            "step_quantile": (t, QUANTILES),
            "band": (t, len(BAND_EDGES_HZ) - 1),
            "rhythm": (t, 4),
            "autocorrelation": (t, len(LAGS_S)),
            "correlation": (t * (t - 1) // 2,),
            "part_level": (t, 2 * PARTS),
            "part_spread": (t, 2 * PARTS),
        }
        self.size = sum(int(np.prod(shape)) for shape in shapes.values())
        self._vector = np.zeros(self.size)
        self._block: dict[str, Floats] = {}
        self.slices: dict[str, slice] = {}
        start = 0
        for name, shape in shapes.items():
            stop = start + int(np.prod(shape))
            self.slices[name] = slice(start, stop)
            self._block[name] = self._vector[start:stop].reshape(shape)
            start = stop
        _ = triads

    def __call__(self, samples: NDArray[np.float32]) -> Floats:
        """Describe samples (n, c); the answer (size,) is overwritten by the next call."""
        k, block = self._kernels, self._block
        tracks, mean, variance = self._tracks, self._mean, self._variance
        k.tracks(samples, self._units, tracks)
        k.moments(tracks, mean, variance)
        k.steps(tracks, self._lag, self._steps)
        k.moments(self._steps, self._step_mean, self._step_variance)
        np.divide(mean, 10.0, out=block["mean"])
        np.log(np.sqrt(variance) + FLOOR, out=block["spread"][0])
        np.log(np.sqrt(self._step_variance) + FLOOR, out=block["spread"][1])
        spectrum = np.fft.rfft((tracks - mean[:, None]) * self._taper)[:, 1:]
        power = spectrum.real**2 + spectrum.imag**2
        k.bands(power, self._shares, FLOOR, block["band"])
        k.rhythm(power, self._octaves, FLOOR, block["rhythm"])
        k.autocorrelation(tracks, mean, variance, self._lags, FLOOR, block["autocorrelation"])
        k.correlation(tracks, mean, variance, FLOOR, block["correlation"])
        k.parts(tracks, mean, self._bounds, FLOOR, block["part_level"], block["part_spread"])
        k.quantiles(np.sort(tracks), QUANTILES, block["quantile"])
        k.quantiles(np.sort(self._steps), QUANTILES, block["step_quantile"])
        return self._vector
