"""Synthetic windows with physical names: a sensor that is held, swayed or shaken."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
GRAVITY = 9.80665  # m/s²


def shaken(
    hz: float,
    amplitude: float,
    *,
    rate_hz: float = 50.0,
    n_channels: int = 6,
    window_s: float = 2.56,
    seed: int = 0,
) -> Samples:
    """Gravity along z, a swing of `amplitude` m/s² along x and a third of it in rad/s about y.

    `seed` draws the phase, one part in ten of the strength and the noise of a cheap chip.
    """
    rng = np.random.default_rng(seed)
    seconds = np.arange(round(rate_hz * window_s)) / rate_hz
    swing = amplitude * rng.uniform(0.95, 1.05)
    wave = swing * np.sin(2.0 * np.pi * (hz * seconds + rng.uniform()))
    samples = rng.standard_normal((len(seconds), 6)) * [0.02, 0.02, 0.02, 0.004, 0.004, 0.004]
    samples[:, 2] += GRAVITY
    samples[:, 0] += wave
    samples[:, 4] += wave / 3.0
    return samples[:, :n_channels].astype(np.float32)


def held(*, seed: int = 0, n_channels: int = 6) -> Samples:
    """A sensor at rest, z up."""
    return shaken(1.0, 0.0, seed=seed, n_channels=n_channels)
