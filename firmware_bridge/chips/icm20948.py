"""TDK ICM-20948, as on Waveshare's Sense HAT (B): accelerometer and gyroscope.

Document: TDK DS-000189 Rev 1.3; register names are its own. It was not at hand: registers and bits
are those of PX4 and Klipper, the filters' bandwidths and the power-on values those of two more
register headers. Not confirmed: the base rate (1125 Hz for both sensors in SparkFun's, SlimeVR's
and Pimoroni's code, 1.1 kHz for the gyroscope in the datasheet's text), the FIFO's size (512 bytes
in the datasheet, PX4 and Klipper; the author of ICM20948_WE found 4096) and the time a reset takes.
Not yet seen on a board: the twin in `emulated_chips/` is all it has met.

Most registers lie in one of four banks, and the identity shows in bank 0 only. A program that died
half-way, or has no manners, leaves another bank selected, and the chip keeps it until its power is
cut. Nothing may be written to a chip that has not shown its identity, since a clock may live at
0x68. So this driver works in bank 0 and is in bank 2 for a moment of `start` only; if it died
there, the seven registers it finds say so better than an identity would, and it goes on. Whatever
else another program left, the sentence says what the person may write by hand.

The magnetometer is left alone.
"""

import time
from collections.abc import Callable
from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus
from firmware_bridge.chip import (
    STANDARD_GRAVITY,
    ImuNotFoundError,
    Pending,
    Range,
    Registers,
    identified,
)

WHO_AM_I = 0x00  # bank 0, as the next
USER_CTRL = 0x03
PWR_MGMT_1 = 0x06
FIFO_EN_2 = 0x67
FIFO_RST = 0x68
FIFO_COUNTH = 0x70
FIFO_R_W = 0x72
GYRO_SMPLRT_DIV = 0x00  # bank 2, as the next
GYRO_CONFIG_1 = 0x01
ODR_ALIGN_EN = 0x09
ACCEL_SMPLRT_DIV_1 = 0x10
ACCEL_SMPLRT_DIV_2 = 0x11
ACCEL_CONFIG = 0x14
REG_BANK_SEL = 0x7F  # every bank

ADDRESSES = (0x68, 0x69)  # AD0 low, as on Waveshare's HAT, and high
IDENTITIES = {0xEA: "ICM-20948"}
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. A racket or a
# throw turns a wrist faster than 1000 dps, and what is clipped cannot be mended.
ACCEL_FS_SEL_8_G = Range(bits=0b10 << 1, per_lsb=STANDARD_GRAVITY / 4096)
# The datasheet's 16.4 counts per dps is 16.384 rounded (PX4 pull request 15094).
GYRO_FS_SEL_2000_DPS = Range(bits=0b11 << 1, per_lsb=radians(2000 / 32768))

BANK_0 = 0 << 4  # REG_BANK_SEL
BANK_2 = 2 << 4
OTHER_BANKS = (1 << 4, BANK_2, 3 << 4)
DEVICE_RESET = 1 << 7  # PWR_MGMT_1
SLEEP = 1 << 6  # PWR_MGMT_1
CLKSEL_AUTO = 1 << 0  # PWR_MGMT_1: the gyroscope's own clock where it runs
FIFO_ACCEL_GYRO = 0b0001_1110  # FIFO_EN_2: accelerometer, gyroscope z y x
FIFO_ENABLE = 1 << 6  # USER_CTRL
FIFO_EMPTY = 0b0001_1111  # FIFO_RST: held while set
DLPF_50_HZ = 3 << 3 | 1  # GYRO_CONFIG_1, ACCEL_CONFIG: 51.2 and 50.4 Hz, half the rate; FCHOICE
DIVIDE_BY_11 = 10  # 1125 Hz / (1 + 10); were the two unlike, the FIFO would repeat samples

FRAME_BYTES = 12
FIFO_BYTES = 512
MOST_FIFO_BYTES = 4096  # what has been seen
RESET_S = 0.1
SETTLE_S = 0.1  # the gyroscope's start-up must not reach the FIFO

# Register, value, value at power-on, meaning; the divisors last, as they start both in step.
BANK_2_SETTINGS = (
    (GYRO_CONFIG_1, DLPF_50_HZ | GYRO_FS_SEL_2000_DPS.bits, 0x01, "gyroscope 2000 dps, 51 Hz"),
    (ACCEL_CONFIG, DLPF_50_HZ | ACCEL_FS_SEL_8_G.bits, 0x01, "accelerometer 8 g, 50 Hz"),
    (ODR_ALIGN_EN, 1, 0x00, "both sensors start together"),
    (GYRO_SMPLRT_DIV, DIVIDE_BY_11, 0x00, "gyroscope 102 Hz"),
    (ACCEL_SMPLRT_DIV_1, 0, 0x00, "accelerometer 102 Hz, high byte"),
    (ACCEL_SMPLRT_DIV_2, DIVIDE_BY_11, 0x00, "accelerometer 102 Hz"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the chip at `address`, or None, as in another bank than 0: reads only."""
    return identified(bus, address, WHO_AM_I, IDENTITIES)


class Driver:
    """Accelerometer ±8 g and gyroscope ±2000 dps at a nominal 102 Hz, by the FIFO."""

    rate_hz = 1125 / 11
    fifo_frames = FIFO_BYTES // FRAME_BYTES  # 42: 411 ms

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array(
            [ACCEL_FS_SEL_8_G.per_lsb] * 3 + [GYRO_FS_SEL_2000_DPS.per_lsb] * 3, np.float32
        )
        self._bus = bus
        self._address = address
        self._registers = Registers(bus, address, "ICM-20948")
        self._sleep_s = sleep_s

    def start(self) -> None:
        if identify(self._bus, self._address) is None:
            self._leave_bank()
        self._registers.identity(WHO_AM_I, IDENTITIES)
        self._registers.write(PWR_MGMT_1, DEVICE_RESET)
        self._sleep_s(RESET_S)
        self._registers.keep(PWR_MGMT_1, CLKSEL_AUTO, "awake")
        self._registers.keep(REG_BANK_SEL, BANK_2, "bank 2")
        try:
            for register, value, _, meaning in BANK_2_SETTINGS:
                self._registers.keep(register, value, meaning)
        finally:
            self._registers.write(REG_BANK_SEL, BANK_0)
        self._registers.keep(FIFO_EN_2, FIFO_ACCEL_GYRO, "both sensors to the FIFO")
        self._registers.keep(USER_CTRL, FIFO_ENABLE, "FIFO on")
        self._sleep_s(SETTLE_S)
        self.clear()
        self._registers.expect(FIFO_RST, 0, "FIFO runs")

    def _leave_bank(self) -> None:
        """Go back to bank 0 if a start of ours died in bank 2.

        Raises ImuNotFoundError if another program may have left a bank selected.
        """
        try:
            (bank,) = self._registers.read(REG_BANK_SEL)
        except OSError:
            return  # nobody is there: the identity says so
        if bank == BANK_2 and all(
            self._registers.read(register)[0] in {value, at_power_on}
            for register, value, at_power_on, _ in BANK_2_SETTINGS
        ):
            self._registers.write(REG_BANK_SEL, BANK_0)
        elif bank in OTHER_BANKS:
            where = f"0x{self._address:02x}"
            raise ImuNotFoundError(
                f"no ICM-20948 shows at {where}, but register 0x{REG_BANK_SEL:02x} says"
                f" 0x{bank:02x}, expected 0x00: another program may have left it in bank"
                f" {bank >> 4}; cut its power for a moment or, if you know that it is an ICM-20948,"
                f" run `i2cset -y 1 {where} 0x{REG_BANK_SEL:02x} 0`"
            )

    def pending(self) -> Pending:
        """Ask for the count: neither 512 nor 4096 bytes is a multiple of 12, so it shows a loss."""
        return self._registers.pending_bytes(
            FIFO_COUNTH, MOST_FIFO_BYTES, frame_bytes=FRAME_BYTES, frames=self.fifo_frames
        )

    def read(self, frames: int) -> NDArray[np.int16]:
        # axH axL ayH ayL azH azL gxH gxL gyH gyL gzH gzL, and again; FIFO_R_W stays where it is
        data = self._registers.drain(FIFO_R_W, frames, FRAME_BYTES)
        return np.frombuffer(data, ">i2").astype(np.int16).reshape(frames, 6)

    def clear(self) -> None:
        self._registers.write(FIFO_RST, FIFO_EMPTY)
        self._registers.write(FIFO_RST, 0)

    def stop(self) -> None:
        self._registers.write(USER_CTRL, 0)
        self.clear()
        self._registers.write(PWR_MGMT_1, SLEEP | CLKSEL_AUTO)
