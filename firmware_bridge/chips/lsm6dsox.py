"""ST LSM6DSOX and LSM6DSO: accelerometer and gyroscope with a tagged FIFO.

Document: ST datasheet DS12140 Rev 2 (LSM6DSO), FIFO reading is section 6.5.7; register names are
its own. Registers and bits were cross-checked against ST's stmemsc headers of both chips, the Linux
(st_lsm6dsx) and the SlimeVR driver; the LSM6DSOX's own datasheet was not at hand. That TAG_CNT
counts time slots, one up each, is how ST's own FIFO utility (st_fifo) dates its words. Not seen on
a board: the twin in `emulated_chips/` is all it has met.

The LSM6DSO32 answers with the same identity and means 16 g by the bits that mean 8 g here: it
would read half of what is there, and cannot be told apart.

INTERNAL_FREQ_FINE (0x63) tells how far off the oscillator is, in steps of 0.15 %. It is left
alone: `rate.py` measures it closer than a step within seconds, as on every other chip.
"""

import time
from collections.abc import Callable
from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus
from firmware_bridge.chip import (
    STANDARD_GRAVITY,
    FrameLossError,
    Pending,
    Range,
    Registers,
    identified,
)

FIFO_CTRL3 = 0x09
FIFO_CTRL4 = 0x0A
WHO_AM_I = 0x0F
CTRL1_XL = 0x10
CTRL2_G = 0x11
CTRL3_C = 0x12
FIFO_STATUS1 = 0x3A
FIFO_DATA_OUT_TAG = 0x78

ADDRESSES = (0x6A, 0x6B)
IDENTITIES = {0x6C: "LSM6DSOX"}  # and LSM6DSO
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. A racket or a
# throw turns a wrist faster than 1000 dps, and what is clipped cannot be mended.
FS_XL_8_G = Range(bits=0b11 << 2, per_lsb=0.244e-3 * STANDARD_GRAVITY)
FS_G_2000_DPS = Range(bits=0b110 << 1, per_lsb=radians(70e-3))

ODR_104_HZ = 0b0100 << 4  # CTRL1_XL and CTRL2_G; one oscillator drives both
POWER_DOWN = 0b0000 << 4
BDR_104_HZ = 0b0100 << 4 | 0b0100  # FIFO_CTRL3: gyroscope | accelerometer, each sample once
SW_RESET = 1 << 0  # CTRL3_C
IF_INC = 1 << 2  # CTRL3_C: the register address counts up within a read
BDU = 1 << 6  # CTRL3_C: low and high byte are of one sample
BYPASS = 0b000  # FIFO_CTRL4: empties the FIFO
CONTINUOUS = 0b110  # FIFO_CTRL4: when full, the oldest word is overwritten

DIFF_FIFO = 0x03FF  # FIFO_STATUS1 and 2, low byte first: words that wait
FIFO_OVR_IA = 1 << 14  # the same two: the FIFO is completely filled
FIFO_WORDS = 512  # 3 KB
WORD = np.dtype([("tag", "u1"), ("xyz", "<i2", 3)])
GYRO, ACCEL = 0x01, 0x02  # TAG_SENSOR, bits 7:3 of the tag

RESET_S = 0.02  # SlimeVR's and Adafruit's figure
SETTLE_S = 0.1  # 10 samples: the gyroscope's start-up must not reach the FIFO

SETTINGS = (
    (CTRL3_C, BDU | IF_INC, "bytes in order"),
    (FIFO_CTRL3, BDR_104_HZ, "both sensors to the FIFO at 104 Hz"),
    (CTRL1_XL, ODR_104_HZ | FS_XL_8_G.bits, "accelerometer 104 Hz, 8 g"),
    (CTRL2_G, ODR_104_HZ | FS_G_2000_DPS.bits, "gyroscope 104 Hz, 2000 dps"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, WHO_AM_I, IDENTITIES)


class Driver:
    """Accelerometer ±8 g and gyroscope ±2000 dps at a nominal 104 Hz, by the FIFO."""

    rate_hz = 104.0
    # Two words each. FIFO_OVR_IA does not tell a full FIFO from one that lost words, so the last
    # pair that would fit counts as lost.
    fifo_frames = FIFO_WORDS // 2 - 1

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array(
            [FS_XL_8_G.per_lsb] * 3 + [FS_G_2000_DPS.per_lsb] * 3, np.float32
        )
        self._registers = Registers(bus, address, "LSM6DSOX")
        self._sleep_s = sleep_s
        self._last_slot = np.empty(0, np.uint8)  # of the frame read last; none since clear

    def start(self) -> None:
        self._registers.identity(WHO_AM_I, IDENTITIES)
        self._registers.write(CTRL3_C, SW_RESET | IF_INC)
        self._sleep_s(RESET_S)
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        self._sleep_s(SETTLE_S)
        self.clear()
        self._registers.expect(FIFO_CTRL4, CONTINUOUS, "FIFO continuous")

    def pending(self) -> Pending:
        status = int.from_bytes(self._registers.read(FIFO_STATUS1, 2), "little")
        words = status & DIFF_FIFO
        if words > FIFO_WORDS:
            raise self._registers.impossible(FIFO_STATUS1, status, f"{FIFO_WORDS} words at most")
        return Pending(words // 2, overrun=words == FIFO_WORDS or bool(status & FIFO_OVR_IA))

    def read(self, frames: int) -> NDArray[np.int16]:
        # A word is one sample of one sensor, a frame two words in either order:
        #   tag xL xH yL yH zL zH      tag: sensor 7:3, time slot 2:1, parity 0
        raw = self._registers.drain(FIFO_DATA_OUT_TAG, frames, 2 * WORD.itemsize)
        words = np.frombuffer(raw, WORD).reshape(frames, 2).copy()
        gyro_first = words["tag"][:, 0] >> 3 == GYRO
        words[gyro_first] = words[gyro_first, ::-1]
        self._check(words["tag"])
        return words["xyz"].astype(np.int16).reshape(frames, 6)

    def _check(self, tags: NDArray[np.uint8]) -> None:
        """Raise FrameLossError unless every row is a pair of one time slot, slot after slot."""
        slots = tags >> 1 & 0b11
        paired = (tags >> 3 == (ACCEL, GYRO)).all(axis=1) & (slots[:, 0] == slots[:, 1])
        if not paired.all():
            accel, gyro = tags[~paired][0]
            raise FrameLossError(
                f"LSM6DSOX FIFO words tagged 0x{accel:02x} and 0x{gyro:02x} follow each other,"
                " expected accelerometer and gyroscope of one time slot: words are missing"
            )
        in_order = np.concatenate([self._last_slot, slots[:, 0]])
        steps = np.diff(in_order) & 0b11
        if (steps != 1).any():
            raise FrameLossError(
                f"LSM6DSOX FIFO time slots step by {steps[steps != 1][0]} (modulo 4), expected 1:"
                " frames are missing"
            )
        self._last_slot = in_order[-1:]

    def clear(self) -> None:
        self._registers.write(FIFO_CTRL4, BYPASS)
        self._registers.write(FIFO_CTRL4, CONTINUOUS)
        self._last_slot = np.empty(0, np.uint8)

    def stop(self) -> None:
        self._registers.write(FIFO_CTRL4, BYPASS)
        self._registers.write(CTRL2_G, POWER_DOWN)
        self._registers.write(CTRL1_XL, POWER_DOWN)
