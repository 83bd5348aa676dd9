"""Tells a sensor that measures from one that only answers.

A chip may acknowledge every transfer, count its frames and yet have died: its outputs read zero,
or keep the last value for ever. Frames alone cannot tell, but a sensor that measures has noise,
and gravity is always there.
"""

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.chip import ImuFaultError

# Exactly zero on all axes is no gravity and no noise. 0.5 s of free fall is a drop of 1.2 m, and
# falling freely a sensor still has its noise and its zero-g offset, which is tens of milli-g.
ZERO_S = 0.5
# With a gyro, 16 bits: at 8 g a count is 0.24 mg and the noise of the quietest of our chips 0.5 mg
# (ICM-42688-P, 75 µg/√Hz in 50 Hz), two counts rms: less than 1 % of frames repeat all of their
# accelerometer, let alone 50 in a row.
SAME_S = 0.5
# Without one, 12 bits: at 8 g a count is 4 mg, and a LIS3DH (220 µg/√Hz in 11 Hz, a figure not
# confirmed: 0.8 mg) that lies where all three values are in the middle of a count repeats itself
# for seconds. With 0.2 counts rms and 22 independent looks a second, all three stay at 96 % of
# the looks, and 20 s of that come once in half a year of lying just so.
SAME_S_WITHOUT_GYRO = 20.0


class StuckError(ImuFaultError):
    """The chip answers and does not measure: only a new start may help."""


class Stuck:
    """Watches the frames of one run, from a chip that samples at `rate_hz`."""

    def __init__(self, rate_hz: float) -> None:
        self.alive = False  # True once two frames of the run differed
        self._rate_hz = rate_hz
        self._last: NDArray[np.int16] | None = None
        self._repeats = 0  # how many frames up to the last were like the one before them

    def push(self, frames: NDArray[np.int16]) -> None:
        """Take the next frames (n, c), at least one. Raises StuckError for a stuck sensor."""
        rows = frames if self._last is None else np.concatenate([self._last, frames])
        changes = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1))
        if len(changes):
            self.alive = True
            self._repeats = len(rows) - 2 - int(changes[-1])
        else:
            self._repeats += len(rows) - 1
        self._last = frames[-1:].copy()
        since_s = self._repeats / self._rate_hz
        if since_s > ZERO_S and not self._last.any():
            raise StuckError(f"stuck: every channel read zero for {ZERO_S} s")
        same_s = SAME_S if frames.shape[1] > 3 else SAME_S_WITHOUT_GYRO
        if since_s > same_s:
            raise StuckError(f"stuck: no channel changed for {same_s} s")
