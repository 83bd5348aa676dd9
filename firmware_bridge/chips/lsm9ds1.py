"""ST LSM9DS1, the IMU of the Raspberry Pi Sense HAT (v1, v2): accelerometer and gyroscope.

Document: ST datasheet DocID025715 Rev 3 (March 2015); register names are its own. Registers, bits
and sensitivities were cross-checked against ST's stmemsc header and the Linux (st_lsm6dsx), PX4 and
ArduPilot drivers. Not yet seen on a board: the twin in `emulated_chips/` is all it has met.

Axes are the chip's own, unturned. Whether they are right-handed is not settled: ArduPilot's driver
negates z of both sensors, which would make the raw frame left-handed; no datasheet figure was at
hand and no board. Features do not care, but `axes` in the settings cannot mend a left-handed chip:
if a board shows it, negate z of both here and in the twin.

The 12-byte burst 0x18 to 0x2D, rolling over from gyro to accel, is left alone: no driver read
relies on it. Two reads of 6 bytes a FIFO level are 24 ms of a 100 kHz bus for 10 levels.
"""

import time
from collections.abc import Callable
from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus
from firmware_bridge.chip import (
    STANDARD_GRAVITY,
    ImuFaultError,
    Pending,
    Range,
    Registers,
    identified,
)

WHO_AM_I = 0x0F
CTRL_REG1_G = 0x10
OUT_X_L_G = 0x18
CTRL_REG6_XL = 0x20
OUT_X_L_XL = 0x28
CTRL_REG8 = 0x22
CTRL_REG9 = 0x23
FIFO_CTRL = 0x2E
FIFO_SRC = 0x2F

ADDRESSES = (0x6A, 0x6B)  # the Sense HAT's, and most breakouts'
IDENTITIES = {0x68: "LSM9DS1"}
# Table 3. Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. A
# racket or a throw turns a wrist faster than 500 dps, and what is clipped cannot be mended, while
# 70 mdps a count is still finer than any movement of a person.
FS_XL_8_G = Range(bits=0b11 << 3, per_lsb=0.244e-3 * STANDARD_GRAVITY)
FS_G_2000_DPS = Range(bits=0b11 << 3, per_lsb=radians(70e-3))

ODR_119_HZ = 0b011 << 5  # the same in CTRL_REG1_G and CTRL_REG6_XL; one clock drives both
POWER_DOWN = 0b000 << 5

SW_RESET = 1 << 0  # CTRL_REG8
IF_ADD_INC = 1 << 2  # CTRL_REG8: the register address counts up within a read
BDU = 1 << 6  # CTRL_REG8: low and high byte are of one sample
FIFO_EN = 1 << 1  # CTRL_REG9
BYPASS = 0b000 << 5  # FIFO_CTRL: empties the FIFO
CONTINUOUS = 0b110 << 5  # FIFO_CTRL: when full, the oldest level is overwritten
OVRN = 1 << 6  # FIFO_SRC
FSS = 0b0011_1111  # FIFO_SRC: levels that wait, 0 to 32

RESET_S = 0.01  # Adafruit's and Arduino's figure, the datasheet has none
SETTLE_S = 0.1  # 12 samples: the gyroscope's start-up must not reach the FIFO

SETTINGS = (
    (CTRL_REG8, BDU | IF_ADD_INC, "bytes in order"),
    (CTRL_REG6_XL, ODR_119_HZ | FS_XL_8_G.bits, "accelerometer 119 Hz, 8 g"),
    (CTRL_REG1_G, ODR_119_HZ | FS_G_2000_DPS.bits, "gyroscope 119 Hz, 2000 dps"),
    (CTRL_REG9, FIFO_EN, "FIFO on"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, WHO_AM_I, IDENTITIES)


class Driver:
    """Accelerometer ±8 g and gyroscope ±2000 dps at a nominal 119 Hz, by the FIFO."""

    rate_hz = 119.0
    fifo_frames = 32  # 269 ms: the tightest deadline of all our chips

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array(
            [FS_XL_8_G.per_lsb] * 3 + [FS_G_2000_DPS.per_lsb] * 3, np.float32
        )
        self._registers = Registers(bus, address, "LSM9DS1")
        self._sleep_s = sleep_s

    def start(self) -> None:
        self._registers.identity(WHO_AM_I, IDENTITIES)
        self._registers.write(CTRL_REG8, SW_RESET | IF_ADD_INC)
        self._sleep_s(RESET_S)
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        self._sleep_s(SETTLE_S)
        self.clear()
        self._registers.expect(FIFO_CTRL, CONTINUOUS, "FIFO continuous")

    def pending(self) -> Pending:
        (source,) = self._registers.read(FIFO_SRC)
        frames = source & FSS
        if frames > self.fifo_frames:  # 0xFF is what a line nobody drives reads like
            raise ImuFaultError(
                f"LSM9DS1 register 0x{FIFO_SRC:02x} says 0x{source:02x}, {frames} frames, expected"
                f" {self.fifo_frames} at most: check SDA and SCL for a loose wire"
            )
        return Pending(frames, overrun=bool(source & OVRN))

    def read(self, frames: int) -> NDArray[np.int16]:
        # A level leaves the FIFO when both sensors' registers were read:
        #   0x18  gxL gxH gyL gyH gzL gzH     0x28  axL axH ayL ayH azL azH
        levels = bytearray()
        for _ in range(frames):
            gyro = self._registers.read(OUT_X_L_G, 6)
            levels += self._registers.read(OUT_X_L_XL, 6) + gyro
        return np.frombuffer(levels, "<i2").astype(np.int16).reshape(frames, 6)

    def clear(self) -> None:
        self._registers.write(FIFO_CTRL, BYPASS)
        self._registers.write(FIFO_CTRL, CONTINUOUS)

    def stop(self) -> None:
        self._registers.write(FIFO_CTRL, BYPASS)
        self._registers.write(CTRL_REG1_G, POWER_DOWN)
        self._registers.write(CTRL_REG6_XL, POWER_DOWN)
