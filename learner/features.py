"""What a window looks like, in numbers that mean the same on every sensor and at every rate.

Nothing here is fitted to data: every number is divided by a fixed physical unit and squeezed by a
fixed function (asinh, log) to the order of one. That is what lets the learner's sums be exact: see
`learner.classifiers.discriminant`.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]  # (n, c) ax ay az in m/s² with gravity, and gx gy gz in rad/s

STANDARD_GRAVITY = 9.80665  # m/s²

# The unit of a channel is a gentle motion: a hand that sways. Below it asinh is a straight line,
# far above it a logarithm, so that a tremble and a jump are both about one.
ACCEL_UNIT = 0.1 * STANDARD_GRAVITY  # m/s²
GYRO_UNIT = 0.3  # rad/s
ACCEL_LEVEL = STANDARD_GRAVITY  # m/s² that are a level of 1
GYRO_LEVEL = 3.0  # rad/s
# Added to whatever a logarithm is taken of, in units: 1 mg and 3 mrad/s, about the noise of a cheap
# chip, so that a sensor at rest looks like one and a washing machine (some mg) does not.
FLOOR = 0.01

STEP_S = 0.02  # a difference is taken over one row at 50 Hz and below, over several above
QUANTILES = np.linspace(0.0, 1.0, 11)
STEP_QUANTILES = np.array([0.0, 0.2, 0.8, 1.0])
LAGS_S = 0.1 * 2.0 ** (np.arange(10) / 2)  # 0.1 s to 2.3 s
# Steps of a walk come at 1.4 to 2.5 Hz, of a run to 3.2 Hz, their harmonics above; machines further
BAND_EDGES_HZ = np.array(
    [0.3, 0.8, 1.3, 1.8, 2.4, 3.2, 4.5, 6.5, 10.0, 15.0, 22.0, 35.0, 60.0, 100.0]
)
PARTS = 4

# How far apart the activities of one person are in each block, root mean square: measured on
# waists, wrists and pockets. The units in which windows are compared before much is taught.
TYPICAL_SPREADS = {
    "mean": 0.2,
    "spread": 1.3,
    "band": 1.2,
    "rhythm": 0.4,
    "autocorrelation": 0.2,
    "correlation": 0.3,
    "quantile": 0.45,
    "step_quantile": 0.7,
    "part_level": 0.6,
    "part_spread": 1.5,
}


class Features:
    """Describes windows of one shape. Owns its workspace, so it serves one thread.

    What cannot be seen at this rate or in this length (a band above half the rate, a lag beyond
    half the window) is constant and costs nothing but its place.
    """

    def __init__(self, rate_hz: float, n_channels: int, rows: int) -> None:
        from learner import looking

        self._looking = looking
        self._units = np.array([ACCEL_UNIT] * 3 + [GYRO_UNIT] * 3)[:n_channels]
        levels = [ACCEL_LEVEL / ACCEL_UNIT, GYRO_LEVEL / GYRO_UNIT][: n_channels // 3]
        self._levels = np.concatenate([np.repeat(levels, 3), levels, levels, levels])
        self._lag = min(max(1, round(STEP_S * rate_hz)), rows // 2)
        self._lags = np.maximum(1, np.rint(LAGS_S * rate_hz)).astype(np.intp)
        self._bounds = (np.arange(PARTS + 1) * rows // PARTS).astype(np.intp)

        frequencies = np.fft.rfftfreq(rows, 1.0 / rate_hz)[1:]
        self._octaves = np.log2(frequencies)
        taper = np.hanning(rows + 1)[:-1]
        # Parseval: scaled so, the lines of the one-sided spectrum add up to the mean square
        self._taper = taper * np.sqrt(2.0 / (rows * np.sum(taper**2)))
        line = rate_hz / rows  # the width of a spectral line
        above = np.minimum(BAND_EDGES_HZ[1:, None], frequencies + line / 2)
        below = np.maximum(BAND_EDGES_HZ[:-1, None], frequencies - line / 2)
        self._shares = np.maximum(above - below, 0.0) / line

        every = 2 * n_channels  # tracks, see kernels.tracks
        self._plain = n_channels + n_channels // 3  # the first of them: channels and lengths
        width = -(-rows // looking.LANES) * looking.LANES
        self._tracks = np.zeros((every, width + rows // 2))
        self._steps = np.zeros((every, width))
        # The steps are fewer; what is beyond them is sorted to the end, where it is already
        self._ordered = np.full((2 * self._plain, rows), np.inf)
        self._tapered = np.empty((every, rows))
        self._power, self._raised, self._logs = np.empty((3, every, len(frequencies)))
        self._moments = np.empty((4, every))  # mean and variance of the tracks, and of their steps

        shapes: dict[str, tuple[int, ...]] = {
            "mean": (every,),
            "spread": (2, every),
            "band": (every, len(BAND_EDGES_HZ) - 1),
            "rhythm": (every, 4),
            "autocorrelation": (every, len(LAGS_S)),
            "correlation": (every * (every - 1) // 2,),
            "quantile": (self._plain, len(QUANTILES)),
            "step_quantile": (self._plain, len(STEP_QUANTILES)),
            "part_level": (self._plain, 2 * PARTS),
            "part_spread": (self._plain, 2 * PARTS),
        }
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()]).tolist()
        self.size: int = ends[-1]
        self.blocks = {
            name: slice(end - math.prod(shape), end)
            for (name, shape), end in zip(shapes.items(), ends, strict=True)
        }
        self.spreads = np.empty(self.size)  # how far apart activities typically are
        for name, block in self.blocks.items():
            self.spreads[block] = TYPICAL_SPREADS[name]
        self._vector = np.zeros(self.size)
        self._room = np.empty((2, self.size))
        self._out = {
            name: self._vector[self.blocks[name]].reshape(shape) for name, shape in shapes.items()
        }
        self._unsqueezed = [  # levels, spreads, more spreads: neighbours in the vector, so one view
            self._vector[self.blocks[first].start : self.blocks[last].stop]
            for first, last in (
                ("step_quantile", "part_level"),
                ("spread", "band"),
                ("part_spread", "part_spread"),
            )
        ]

    def __call__(self, samples: Samples) -> Floats:
        """Describe samples (rows, n_channels); the answer (size,) is overwritten by the next."""
        looking, out = self._looking, self._out
        looking.look(
            samples,
            self._units,
            self._taper,
            self._lag,
            self._lags,
            self._bounds,
            FLOOR,
            self._levels,
            self._tracks,
            self._steps,
            self._tapered,
            self._ordered,
            self._moments,
            out["mean"],
            out["spread"],
            out["autocorrelation"],
            out["correlation"],
            out["part_level"],
            out["part_spread"],
        )
        self._ordered.sort()
        looking.listen(
            np.fft.rfft(self._tapered),
            self._ordered,
            self._lag,
            self._moments[0],
            self._shares,
            self._octaves,
            QUANTILES,
            STEP_QUANTILES,
            FLOOR,
            self._levels,
            self._power,
            self._raised,
            self._logs,
            out["band"],
            out["rhythm"],
            out["quantile"],
            out["step_quantile"],
        )
        looking.squeeze(*self._unsqueezed, FLOOR, *self._room)
        return self._vector
