"""What an emulated chip promises: registers that remember, a FIFO that fills by its own clock.

One twin is one file in `emulated_chips/`, named like the driver's file, its class called `Twin`.
A twin is written from the datasheet and shares no constant with the driver it tests.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Times (n,) in seconds of the host's clock -> (n, 6): ax ay az in m/s² with gravity, gx gy gz in
# rad/s, in the frame of the sensor. A pure function of time.
Motion = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class EmulatedChip(Protocol):
    """A chip as the bus sees it; made as `Twin(motion, clock, rate_error=..., seed=...)`."""

    def write(self, data: bytes) -> None:
        """Take the bytes of one write transfer, register first."""

    def read(self, register: int, length: int) -> bytes:
        """Answer one combined transfer."""

    def brown_out(self) -> None:
        """Lose power for a moment: every register at its power-on value, the FIFO empty."""
