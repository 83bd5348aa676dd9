"""ST LSM6DS3 (LSM6DS33, LSM6DS3US) and LSM6DSL, LSM6DSM, LSM6DS3TR-C, ISM330DLC: untagged FIFO.

Documents: ST datasheet DocID028475 Rev 7 (LSM6DSL) and application note AN4650, DocID027415 Rev 5
(LSM6DS3); register names are theirs. Registers and bits were cross-checked against the Linux
(st_lsm6dsx) and the SlimeVR driver. Not seen on a board: the twin in `emulated_chips/` is all it
has met.

Words in this FIFO carry no name: the third is the gyroscope's z only because of where it lies.
FIFO_PATTERN says which word is read next. Owners report on ST's forum that words go missing when a
sample is stored during a read (LSM6DS3, LSM6DSM), and one that FIFO_PATTERN stays 0 (LSM6DSL): it
shows that frames are out of step, it does not prove that they are in step.

Not confirmed: how far FIFO_PATTERN can be trusted, and that FIFO_STATUS reads right at 0x69 on the
LSM6DS3H, which has half the FIFO of its namesakes; OVER_RUN is what its losses are told by.
"""

import time
from collections.abc import Callable
from math import radians
from typing import NamedTuple

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

FIFO_CTRL3 = 0x08
FIFO_CTRL5 = 0x0A
WHO_AM_I = 0x0F
CTRL1_XL = 0x10
CTRL2_G = 0x11
CTRL3_C = 0x12
FIFO_STATUS1 = 0x3A
FIFO_STATUS3 = 0x3C
FIFO_DATA_OUT_L = 0x3E


class Variant(NamedTuple):
    """What differs between the chips."""

    name: str
    fifo_words: int  # of 16 bits


ADDRESSES = (0x6A, 0x6B)
VARIANTS = {
    0x69: Variant("LSM6DS3", 4096),  # 8 KB
    0x6A: Variant("LSM6DSL", 2048),  # 4 KB
}
IDENTITIES = {identity: variant.name for identity, variant in VARIANTS.items()}
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. A racket or a
# throw turns a wrist faster than 1000 dps, and what is clipped cannot be mended.
FS_XL_8_G = Range(bits=0b11 << 2, per_lsb=0.244e-3 * STANDARD_GRAVITY)
FS_G_2000_DPS = Range(bits=0b110 << 1, per_lsb=radians(70e-3))

ODR_104_HZ = 0b0100 << 4  # CTRL1_XL and CTRL2_G
POWER_DOWN = 0b0000 << 4
NO_DECIMATION = 0b001 << 3 | 0b001  # FIFO_CTRL3: gyroscope | accelerometer, each sample once
SW_RESET = 1 << 0  # CTRL3_C
IF_INC = 1 << 2  # CTRL3_C: the register address counts up within a read
BDU = 1 << 6  # CTRL3_C: low and high byte are of one sample
BYPASS = 0b000  # FIFO_CTRL5: empties the FIFO
CONTINUOUS_104_HZ = 0b0100 << 3 | 0b110  # FIFO_CTRL5: when full, the oldest word is overwritten

FIFO_EMPTY = 1 << 12  # FIFO_STATUS1 and 2, low byte first; DIFF_FIFO in the bits below
OVER_RUN = 1 << 14
FIFO_PATTERN = 0x03FF  # FIFO_STATUS3 and 4
FRAME_WORDS = 6

RESET_S = 0.02  # SlimeVR's figure
SETTLE_S = 0.1  # 10 samples: the gyroscope's start-up must not reach the FIFO

SETTINGS = (
    (CTRL3_C, BDU | IF_INC, "bytes in order"),
    (FIFO_CTRL3, NO_DECIMATION, "both sensors to the FIFO"),
    (CTRL1_XL, ODR_104_HZ | FS_XL_8_G.bits, "accelerometer 104 Hz, 8 g"),
    (CTRL2_G, ODR_104_HZ | FS_G_2000_DPS.bits, "gyroscope 104 Hz, 2000 dps"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, WHO_AM_I, IDENTITIES)


class Driver:
    """Accelerometer ±8 g and gyroscope ±2000 dps at a nominal 104 Hz, by the FIFO."""

    rate_hz = 104.0

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array(
            [FS_XL_8_G.per_lsb] * 3 + [FS_G_2000_DPS.per_lsb] * 3, np.float32
        )
        self._registers = Registers(bus, address, "LSM6DS3")
        self._sleep_s = sleep_s
        self._holds(min(variant.fifo_words for variant in VARIANTS.values()))  # until it is known

    def _holds(self, words: int) -> None:
        self._fifo_words = words
        self.fifo_frames = words // FRAME_WORDS

    def start(self) -> None:
        identity = self._registers.identity(WHO_AM_I, IDENTITIES)
        self._holds(VARIANTS[identity].fifo_words)
        self._registers.write(CTRL3_C, SW_RESET | IF_INC)
        self._sleep_s(RESET_S)
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        self._sleep_s(SETTLE_S)
        self.clear()
        self._registers.expect(FIFO_CTRL5, CONTINUOUS_104_HZ, "FIFO continuous, 104 Hz")

    def pending(self) -> Pending:
        status = int.from_bytes(self._registers.read(FIFO_STATUS1, 2), "little")
        if status & FIFO_EMPTY and status & OVER_RUN:
            raise self._registers.impossible(FIFO_STATUS1, status, "empty or overrun, not both")
        # DIFF_FIFO is just too narrow for a full FIFO: it says 0 then, and OVER_RUN that it is not.
        words = status & (self._fifo_words - 1)
        return Pending(words // FRAME_WORDS, overrun=bool(status & OVER_RUN))

    def read(self, frames: int) -> NDArray[np.int16]:
        # FIFO_DATA_OUT_L and _H, again and again, 12 bytes a frame:
        #   gxL gxH gyL gyH gzL gzH axL axH ayL ayH azL azH
        self._check_pattern()
        raw = self._registers.drain(FIFO_DATA_OUT_L, frames, 2 * FRAME_WORDS)
        gyro_first = np.frombuffer(raw, "<i2").astype(np.int16).reshape(frames, 6)
        return np.roll(gyro_first, 3, axis=1)

    def _check_pattern(self) -> None:
        """Raise FrameLossError unless the word that is read next is the gyroscope's x."""
        status = int.from_bytes(self._registers.read(FIFO_STATUS3, 2), "little")
        word = status & FIFO_PATTERN
        if word:
            raise FrameLossError(
                f"the next word in the LSM6DS3 FIFO is number {word} of {FRAME_WORDS}, expected"
                " number 0, the gyroscope's x: words are missing"
            )

    def clear(self) -> None:
        self._registers.write(FIFO_CTRL5, BYPASS)
        self._registers.write(FIFO_CTRL5, CONTINUOUS_104_HZ)

    def stop(self) -> None:
        self._registers.write(FIFO_CTRL5, BYPASS)
        self._registers.write(CTRL2_G, POWER_DOWN)
        self._registers.write(CTRL1_XL, POWER_DOWN)
