"""What a driver promises: an IMU read through its FIFO, in whole frames, in the chip's own counts.

One chip is one file in `chips/`; the name in the settings is the name of the file, the file's class
is called `Driver`, and `ADDRESSES` beside it are where it answers, the usual one first. A driver
knows registers, never time: the source (`sources/i2c.py`) owns the clock, measures the rate and
decides what a gap is.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

STANDARD_GRAVITY = 9.80665  # m/s², CGPM 1901: what datasheets mean by g


class Range(NamedTuple):
    """One full scale: the bits that select it and what one count is then worth."""

    bits: int
    per_lsb: float  # m/s² or rad/s per count


class Pending(NamedTuple):
    """What the FIFO holds at this moment."""

    frames: int  # whole frames, oldest first
    overrun: bool  # frames were lost since the last look


class ImuNotFoundError(RuntimeError):
    """No chip answered, or another one than was asked for. The sentence says what to check."""


class ImuFaultError(RuntimeError):
    """The right chip answered, and did not keep what was written to it."""


class Chip(Protocol):
    """An IMU behind a FIFO. Every method may raise the OSError of the bus."""

    rate_hz: float  # nominal output data rate; the true one is measured
    scale: NDArray[np.float32]  # (c,) m/s² per count for ax ay az, rad/s for gx gy gz
    fifo_frames: int  # how many frames fit: the deadline is fifo_frames / rate_hz

    def start(self) -> None:
        """Check the identity before anything is written, reset, configure, read back, run.

        Raises ImuNotFoundError on another identity, ImuFaultError when a register did not keep.
        """

    def pending(self) -> Pending:
        """Ask how much waits, in one short transfer: its moment is the clock's anchor."""

    def read(self, frames: int) -> NDArray[np.int16]:
        """Take `frames` whole frames that are pending: (frames, c) counts, a new array."""

    def clear(self) -> None:
        """Empty the FIFO and begin again, frames aligned."""

    def stop(self) -> None:
        """Put the chip to sleep."""
