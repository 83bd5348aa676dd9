"""Bosch BMI160: accelerometer and gyroscope, FIFO with headers.

Document: Bosch BST-BMI160-DS000-07 Rev 0.8 (February 2015); register names are its own. FIFO
headers are section 2.5.1, FIFO_LENGTH is 2.11.9. Registers, bits and commands were cross-checked
against the Linux (bmi160), Klipper and SlimeVR drivers. Not seen on a board: the twin in
`emulated_chips/` is all it has met.

The header costs one byte in thirteen and is the only thing that tells of a loss: this FIFO has no
overflow flag. When it was full, a skip frame leads, and the next byte says how many were lost. A
frame that was read in part is repeated by the chip, so a broken transfer loses nothing.
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

CHIP_ID = 0x00
ERR_REG = 0x02
PMU_STATUS = 0x03
FIFO_LENGTH = 0x22
FIFO_DATA = 0x24
ACC_CONF = 0x40
ACC_RANGE = 0x41
GYR_CONF = 0x42
GYR_RANGE = 0x43
FIFO_CONFIG_1 = 0x47
CMD = 0x7E

ADDRESSES = (0x69, 0x68)  # SDO high, as Klipper expects it; low
IDENTITIES = {0xD1: "BMI160", 0xD3: "BMI160"}  # 0xd3: SlimeVR met it on revision 3
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. A racket or a
# throw turns a wrist faster than 1000 dps, and what is clipped cannot be mended.
ACC_RANGE_8_G = Range(bits=0b1000, per_lsb=STANDARD_GRAVITY / 4096)
GYR_RANGE_2000_DPS = Range(bits=0b000, per_lsb=radians(1 / 16.4))

ODR_100_HZ = 0b1000  # ACC_CONF and GYR_CONF
NORMAL_FILTER = 0b010 << 4  # the same two: no oversampling
FIFO_GYR_EN = 1 << 7  # FIFO_CONFIG_1
FIFO_ACC_EN = 1 << 6
FIFO_HEADER_EN = 1 << 4
BOTH_NORMAL = 0b01 << 4 | 0b01 << 2  # PMU_STATUS: accelerometer | gyroscope

ACC_SUSPEND = 0x10  # CMD
ACC_NORMAL = 0x11
GYR_SUSPEND = 0x14
GYR_NORMAL = 0x15
FIFO_FLUSH = 0xB0
SOFT_RESET = 0xB6

FIFO_BYTES = 1024
FRAME = np.dtype([("header", "u1"), ("gyro", "<i2", 3), ("accel", "<i2", 3)])
HEADER_GYRO_ACCEL = 0x8C
HEADER_SKIP = 0x40

RESET_S = 0.015  # SlimeVR waits 12 ms, Linux 1 ms
COMMAND_S = 0.01  # the accelerometer wakes in 3.8 ms; the other commands take less
GYRO_START_S = 0.1  # 80 ms by Linux
SETTLE_S = 0.1  # 10 samples: the filters' first answers must not reach the FIFO

SETTINGS = (
    (ACC_CONF, NORMAL_FILTER | ODR_100_HZ, "accelerometer 100 Hz"),
    (ACC_RANGE, ACC_RANGE_8_G.bits, "accelerometer 8 g"),
    (GYR_CONF, NORMAL_FILTER | ODR_100_HZ, "gyroscope 100 Hz"),
    (GYR_RANGE, GYR_RANGE_2000_DPS.bits, "gyroscope 2000 dps"),
    (FIFO_CONFIG_1, FIFO_GYR_EN | FIFO_ACC_EN | FIFO_HEADER_EN, "both sensors to the FIFO"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, CHIP_ID, IDENTITIES)


class Driver:
    """Accelerometer ±8 g and gyroscope ±2000 dps at a nominal 100 Hz, by the FIFO."""

    rate_hz = 100.0
    # 78 fit, but FIFO_LENGTH does not tell 78 from 78 after a loss: the last counts as lost.
    fifo_frames = FIFO_BYTES // FRAME.itemsize - 1

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array(
            [ACC_RANGE_8_G.per_lsb] * 3 + [GYR_RANGE_2000_DPS.per_lsb] * 3, np.float32
        )
        self._registers = Registers(bus, address, "BMI160")
        self._sleep_s = sleep_s

    def start(self) -> None:
        self._registers.identity(CHIP_ID, IDENTITIES)
        self._command(SOFT_RESET, RESET_S)
        self._command(ACC_NORMAL, COMMAND_S)
        self._command(GYR_NORMAL, GYRO_START_S)
        self._registers.expect(PMU_STATUS, BOTH_NORMAL, "both sensors awake")
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        self._registers.expect(ERR_REG, 0, "no setting refused")
        self._sleep_s(SETTLE_S)
        self.clear()

    def _command(self, command: int, takes_s: float) -> None:
        self._registers.write(CMD, command)
        self._sleep_s(takes_s)

    def pending(self) -> Pending:
        length = int.from_bytes(self._registers.read(FIFO_LENGTH, 2), "little")
        if length > FIFO_BYTES:
            raise self._registers.impossible(FIFO_LENGTH, length, f"{FIFO_BYTES} bytes at most")
        frames = length // FRAME.itemsize
        return Pending(frames, overrun=frames > self.fifo_frames)

    def read(self, frames: int) -> NDArray[np.int16]:
        # FIFO_DATA, again and again, 13 bytes a frame:
        #   0x8c gxL gxH gyL gyH gzL gzH axL axH ayL ayH azL azH
        raw = self._registers.drain(FIFO_DATA, frames, FRAME.itemsize)
        told = np.frombuffer(raw, FRAME)
        strange = np.flatnonzero(told["header"] != HEADER_GYRO_ACCEL)
        if len(strange):
            header, lost = raw[strange[0] * FRAME.itemsize :][:2]
            seen = f"{lost} frames lost" if header == HEADER_SKIP else "another frame"
            raise FrameLossError(
                f"BMI160 FIFO header 0x{header:02x} says {seen},"
                f" expected 0x{HEADER_GYRO_ACCEL:02x}, gyroscope and accelerometer"
            )
        return np.hstack([told["accel"], told["gyro"]]).astype(np.int16)

    def clear(self) -> None:
        self._registers.write(CMD, FIFO_FLUSH)

    def stop(self) -> None:
        self._registers.write(FIFO_CONFIG_1, 0)
        self._command(FIFO_FLUSH, COMMAND_S)
        # The gyroscope last: it takes its time, and meanwhile the chip drops a second command.
        self._command(ACC_SUSPEND, COMMAND_S)
        self._command(GYR_SUSPEND, COMMAND_S)
