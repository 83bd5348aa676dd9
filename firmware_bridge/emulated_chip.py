"""What an emulated chip promises: registers that remember, a FIFO that fills by its own clock.

One twin is one file in `emulated_chips/`, named like the driver's file, its class called `Twin`.
A twin is written from the datasheet and shares no constant with the driver it tests. What twins
share is here: `Sampler`, the part that moves and measures.
"""

from collections.abc import Callable, Sequence
from math import radians
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock

# Assumed: about what consumer parts show at 100 Hz; datasheets give densities, not these.
ACCEL_NOISE_M_S2 = 0.0015 * 9.80665  # rms
GYRO_NOISE_RAD_S = radians(0.1)  # rms

# Times (n,) in seconds of the host's clock -> (n, 6): ax ay az in m/s² with gravity, gx gy gz in
# rad/s, in the frame of the sensor. A pure function of time.
Motion = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class EmulatedChip(Protocol):
    """A chip as the bus sees it.

    Made as `Twin(motion, clock, *, rate_error=0.0, seed=0, who_am_i=None)`: its clock runs
    `rate_error` fast (0.02: 2 %), and it may be made to answer with another identity.
    """

    stuck: bool  # True: every output register and the FIFO's data read zero, as of a dead sensor

    def write(self, data: bytes) -> None:
        """Take the bytes of one write transfer, register first."""

    def read(self, register: int, length: int) -> bytes:
        """Answer one combined transfer."""

    def brown_out(self) -> None:
        """Lose power for a moment: every register at its power-on value, the FIFO empty."""


def store_each(
    register: int,
    values: bytes,
    store: Callable[[int, int], None],
    following: Callable[[int], int],
) -> None:
    """Store the bytes of a write transfer, each in the register that follows the last."""
    for value in values:
        store(register, value)
        register = following(register)


def load_each(
    register: int, length: int, load: Callable[[int], int], following: Callable[[int], int]
) -> bytes:
    """Load the bytes of a read transfer, each from the register that follows the last."""
    answer = bytearray()
    for _ in range(length):
        answer.append(load(register))
        register = following(register)
    return bytes(answer)


class Sampler:
    """Samples `motion` by a clock that is a little wrong, with noise, and says what fell due."""

    def __init__(
        self,
        motion: Motion,
        clock: Clock,
        *,
        rate_error: float,
        seed: int,
        accel_noise_m_s2: float = ACCEL_NOISE_M_S2,
        gyro_noise_rad_s: float = GYRO_NOISE_RAD_S,
        gyro_offset_rad_s: float = 0.0,
    ) -> None:
        """The offset is the gyro's zero-rate level, the same about every axis."""
        self._motion = motion
        self._clock = clock
        self._rate_error = rate_error
        self._rng = np.random.default_rng(seed)
        self._noise = np.repeat([accel_noise_m_s2, gyro_noise_rad_s], 3)
        self._offset = np.repeat([0.0, gyro_offset_rad_s], 3)
        self.restart(0.0)

    def restart(self, nominal_hz: float) -> None:
        """Begin to count anew, at another rate; 0: asleep."""
        self.rate_hz = nominal_hz * (1 + self._rate_error)
        self._since_s = self._clock.now_s()
        self._sampled = 0

    def due(self) -> NDArray[np.float64]:
        """Times of the samples that fell due since the last call, oldest first."""
        elapsed_s = self._clock.now_s() - self._since_s
        numbers = np.arange(self._sampled + 1, int(elapsed_s * self.rate_hz) + 1)
        self._sampled += len(numbers)
        return self._since_s + numbers / self.rate_hz if len(numbers) else np.empty(0)

    def counts(
        self, times_s: NDArray[np.float64], per_count: Sequence[float], most: Sequence[float]
    ) -> NDArray[np.int16]:
        """Measure at these times: (n, 6), accel first.

        `per_count` is what a count of accel and of gyro is worth in m/s² and rad/s, `most` the
        count at which each saturates.
        """
        si = self._motion(times_s) + self._offset
        si = si + self._noise * self._rng.standard_normal((len(times_s), 6))
        limit = np.repeat(np.minimum(most, 32767), 3)
        counts = np.rint(np.clip(si / np.repeat(per_count, 3), -limit, limit))
        return np.asarray(counts, np.int16)
