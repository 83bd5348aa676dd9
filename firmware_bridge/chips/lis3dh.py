"""ST LIS3DH: an accelerometer.

Document: ST datasheet DocID17530 Rev 2; register names are its own. The FIFO is section 5.1.
Registers, bits and sensitivities were cross-checked against ST's stmemsc header and Klipper's
driver. Not seen on a board: the twin in `emulated_chips/` is all it has met.

FSS has five bits for 32 levels: a full FIFO says 31 and OVRN, as one that lost samples does
(an owner on ST's forum reads 31 when OVRN fires). So 31 levels is what can be counted on.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus
from firmware_bridge.chip import STANDARD_GRAVITY, Pending, Range, Registers, identified

WHO_AM_I = 0x0F
CTRL_REG1 = 0x20
CTRL_REG2 = 0x21
CTRL_REG4 = 0x23
CTRL_REG5 = 0x24
OUT_X_L = 0x28
FIFO_CTRL_REG = 0x2E
FIFO_SRC_REG = 0x2F
AUTO_INCREMENT = 0x80  # of the register address; without it every byte is OUT_X_L

ADDRESSES = (0x18, 0x19)
IDENTITIES = {0x33: "LIS3DH"}
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it.
FS_8_G = Range(bits=0b10 << 4, per_lsb=4e-3 * STANDARD_GRAVITY)  # high resolution, 12 bits

ODR_100_HZ = 0b0101 << 4  # CTRL_REG1
AXES_ON = 0b111  # CTRL_REG1
POWER_DOWN = 0b0000 << 4  # CTRL_REG1
NO_HIGH_PASS = 0  # CTRL_REG2: gravity is wanted
HR = 1 << 3  # CTRL_REG4: high resolution
BDU = 1 << 7  # CTRL_REG4: low and high byte are of one sample
FIFO_EN = 1 << 6  # CTRL_REG5
BYPASS = 0b00 << 6  # FIFO_CTRL_REG: empties the FIFO
STREAM = 0b10 << 6  # FIFO_CTRL_REG: when full, the oldest level is overwritten
OVRN_FIFO = 1 << 6  # FIFO_SRC_REG
EMPTY = 1 << 5
FSS = 0b0001_1111

SETTLE_S = 0.1  # 10 samples; the datasheet asks for 7 in high resolution (from memory)

# There is no reset: what another program may have left behind is set as well.
SETTINGS = (
    (CTRL_REG2, NO_HIGH_PASS, "no high-pass filter"),
    (CTRL_REG4, BDU | FS_8_G.bits | HR, "8 g, high resolution"),
    (CTRL_REG5, FIFO_EN, "FIFO on"),
    (CTRL_REG1, ODR_100_HZ | AXES_ON, "three axes at 100 Hz"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, WHO_AM_I, IDENTITIES)


class Driver:
    """Accelerometer ±8 g at a nominal 100 Hz, by the FIFO."""

    rate_hz = 100.0
    fifo_frames = 31

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array([FS_8_G.per_lsb] * 3, np.float32)
        self._registers = Registers(bus, address, "LIS3DH")
        self._sleep_s = sleep_s

    def start(self) -> None:
        self._registers.identity(WHO_AM_I, IDENTITIES)
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        self._sleep_s(SETTLE_S)
        self.clear()
        self._registers.expect(FIFO_CTRL_REG, STREAM, "FIFO stream")

    def pending(self) -> Pending:
        (source,) = self._registers.read(FIFO_SRC_REG)
        levels = source & FSS
        if source & EMPTY and levels:
            raise self._registers.impossible(FIFO_SRC_REG, source, "empty or levels, not both")
        return Pending(levels, overrun=bool(source & OVRN_FIFO))

    def read(self, frames: int) -> NDArray[np.int16]:
        # After 0x2d the address rolls back to 0x28, and the level leaves the FIFO:
        #   xL xH yL yH zL zH      12 bits each, left-justified
        raw = self._registers.drain(OUT_X_L | AUTO_INCREMENT, frames, 6)
        left_justified = np.frombuffer(raw, "<i2").astype(np.int16).reshape(frames, 3)
        return left_justified >> 4

    def clear(self) -> None:
        self._registers.write(FIFO_CTRL_REG, BYPASS)
        self._registers.write(FIFO_CTRL_REG, STREAM)

    def stop(self) -> None:
        self._registers.write(FIFO_CTRL_REG, BYPASS)
        self._registers.write(CTRL_REG1, POWER_DOWN)
