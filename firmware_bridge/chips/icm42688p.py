"""TDK ICM-42688-P: accelerometer and gyroscope, and a FIFO whose packets carry the time.

Document: TDK DS-000347; register names are its own. It was not at hand: registers, bits and the
packet are those of the Linux driver (inv_icm42600), cross-checked against PX4, ArduPilot and
SlimeVR; the filter's bandwidths are those of five register headers. FIFO size: 2048 bytes in Linux,
2080 by section 6.3 as TDK's own driver quotes it. Not confirmed: whether a tick of the packet's
time is 16 µs or 32/30 of that (TDK's driver scales by the clock in use); either will do here.
Not yet seen on a board: the twin in `emulated_chips/` is all it has met.
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

DEVICE_CONFIG = 0x11
FIFO_CONFIG = 0x16
FIFO_COUNTH = 0x2E
FIFO_DATA = 0x30
SIGNAL_PATH_RESET = 0x4B
INTF_CONFIG0 = 0x4C
PWR_MGMT0 = 0x4E
GYRO_CONFIG0 = 0x4F
ACCEL_CONFIG0 = 0x50
GYRO_ACCEL_CONFIG0 = 0x52
TMST_CONFIG = 0x54
FIFO_CONFIG1 = 0x5F
WHO_AM_I = 0x75
REG_BANK_SEL = 0x76

ADDRESSES = (0x68, 0x69)  # AP_AD0 low and high
IDENTITIES = {0x47: "ICM-42688-P"}
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. A racket or a
# throw turns a wrist faster than 1000 dps, and what is clipped cannot be mended.
ACCEL_FS_8_G = Range(bits=0b001 << 5, per_lsb=STANDARD_GRAVITY / 4096)
# The datasheet's 16.4 counts per dps is 16.384 rounded, and Linux has that.
GYRO_FS_2000_DPS = Range(bits=0b000 << 5, per_lsb=radians(2000 / 32768))

SOFT_RESET = 1 << 0  # DEVICE_CONFIG
BIG_ENDIAN = 0b11 << 4  # INTF_CONFIG0: count and data; the count in bytes; bit 7 would hide -32768
ODR_100_HZ = 8  # GYRO_CONFIG0, ACCEL_CONFIG0
BW_40_HZ = 4 << 4 | 4  # GYRO_ACCEL_CONFIG0: max(400 Hz, rate) / 10, for accelerometer and gyroscope
TMST_16_US = 1 << 5 | 1 << 3 | 1 << 0  # TMST_CONFIG: reserved, as at power-on; resolution; on
ACCEL_GYRO_TEMP = 0b111  # FIFO_CONFIG1
LOW_NOISE = 0b1111  # PWR_MGMT0: both sensors on
BYPASS = 0b00 << 6  # FIFO_CONFIG
STREAM = 0b01 << 6  # FIFO_CONFIG: when full, the oldest packets give way
FIFO_FLUSH = 1 << 1  # SIGNAL_PATH_RESET

# One packet, 16 bytes: header axH axL ayH ayL azH azL gxH gxL gyH gyL gzH gzL temp tmstH tmstL
PACKET = np.dtype(
    [("header", "u1"), ("counts", ">i2", 6), ("temperature", "i1"), ("time", ">u2")],
)
# Header: empty, accel, gyro, 20 bit, time (2), rate changed (2). The last two may be as they like.
HEADER, HEADER_MASK = 0b0110_1000, 0b1111_1100
NOT_UPDATED = -32768
# A 16-bit time of 16 µs comes round after 1.05 s: between two packets, any 1 to 103 that are
# missing show. With the 1 µs of power-on it would be 66 ms, and 7 missing packets look like none.
PERIOD_TICKS = 625  # 10 ms; 586 if a tick is 32/30 of 16 µs
TICKS = 1 << 16

MOST_FIFO_BYTES = 2080
RESET_S = 0.01  # the datasheet's figure is 1 ms
SETTLE_S = 0.1  # the gyroscope starts within 60 ms, and that must not reach the FIFO

SETTINGS = (
    (INTF_CONFIG0, BIG_ENDIAN, "high byte first"),
    (GYRO_CONFIG0, GYRO_FS_2000_DPS.bits | ODR_100_HZ, "gyroscope 100 Hz, 2000 dps"),
    (ACCEL_CONFIG0, ACCEL_FS_8_G.bits | ODR_100_HZ, "accelerometer 100 Hz, 8 g"),
    (GYRO_ACCEL_CONFIG0, BW_40_HZ, "low-pass at 40 Hz"),
    (TMST_CONFIG, TMST_16_US, "time in packets"),
    (FIFO_CONFIG1, ACCEL_GYRO_TEMP, "both sensors to the FIFO"),
    (PWR_MGMT0, LOW_NOISE, "sensors on"),  # last: no write may follow within 200 µs
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, WHO_AM_I, IDENTITIES)


class Driver:
    """Accelerometer ±8 g and gyroscope ±2000 dps at a nominal 100 Hz, by the FIFO."""

    rate_hz = 100.0
    fifo_frames = 127  # 1.27 s; 128 fit, but then a full FIFO and one that ran over look the same

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array(
            [ACCEL_FS_8_G.per_lsb] * 3 + [GYRO_FS_2000_DPS.per_lsb] * 3, np.float32
        )
        self._registers = Registers(bus, address, "ICM-42688-P")
        self._sleep_s = sleep_s
        self._last_time = np.empty(0, np.int64)  # of the packet before, if there was one

    def start(self) -> None:
        self._registers.identity(WHO_AM_I, IDENTITIES)
        # Bank 0's by the datasheet, the identity of its sister IIM-42652 shows in every bank, and a
        # program that died may have left another (PX4 pull request 25894).
        self._registers.write(REG_BANK_SEL, 0)
        self._registers.write(DEVICE_CONFIG, SOFT_RESET)
        self._sleep_s(RESET_S)
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        self._sleep_s(SETTLE_S)
        self._registers.keep(FIFO_CONFIG, STREAM, "FIFO stream")
        self.clear()

    def pending(self) -> Pending:
        count = self._registers.fifo_bytes(FIFO_COUNTH, MOST_FIFO_BYTES)
        whole = count // PACKET.itemsize
        return Pending(min(whole, self.fifo_frames), overrun=whole > self.fifo_frames)

    def read(self, frames: int) -> NDArray[np.int16]:
        data = self._registers.drain(FIFO_DATA, frames, PACKET.itemsize)
        packets = np.frombuffer(data, PACKET)
        for header in packets["header"]:
            if header & HEADER_MASK != HEADER:
                raise FrameLossError(
                    f"a packet's header is 0x{header:02x}, expected 0x{HEADER:02x}: it is empty or"
                    " out of step"
                )
        counts = packets["counts"].astype(np.int16)
        if (counts == NOT_UPDATED).any():
            raise FrameLossError("a packet lacks the value of a sensor (-32768)")
        times = np.append(self._last_time, packets["time"].astype(np.int64))
        for ticks in np.diff(times) % TICKS:
            if abs(ticks - PERIOD_TICKS) > PERIOD_TICKS / 2:
                raise FrameLossError(
                    f"{ticks} ticks lie between two packets, expected {PERIOD_TICKS}: some are"
                    " missing"
                )
        self._last_time = times[-1:]
        return counts

    def clear(self) -> None:
        self._registers.write(SIGNAL_PATH_RESET, FIFO_FLUSH)
        self._registers.read(FIFO_COUNTH, 2)  # the first count after it is always 0 (Linux)
        self._last_time = self._last_time[:0]

    def stop(self) -> None:
        self._registers.write(FIFO_CONFIG, BYPASS)
        self.clear()
        self._registers.write(PWR_MGMT0, 0)
