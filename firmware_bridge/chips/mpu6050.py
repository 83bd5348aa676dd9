"""InvenSense MPU-6050 and its successors MPU-6500, MPU-9250 and MPU-9255: accelerometer, gyroscope.

Documents: RM-MPU-6000A-00 Rev 4.2 (register map of the MPU-6050), RM-MPU-6500A-00 and
RM-MPU-9250A-00; register names are theirs. They were not at hand: registers, bits and FIFO sizes
are those of the Linux driver (inv_mpu6050), cross-checked against Klipper, SlimeVR and i2cdevlib.
Not confirmed: when the FIFO is full, that the oldest bytes give way while CONFIG bit 6 is 0 (on the
MPU-6500 and later). Not yet seen on a board: the twin in `emulated_chips/` is all it has met.

The magnetometer of the 9250 is left alone; many boards sold with one have none.
"""

import time
from collections.abc import Callable
from math import radians
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus
from firmware_bridge.chip import STANDARD_GRAVITY, Pending, Range, Registers, identified

SMPLRT_DIV = 0x19
CONFIG = 0x1A
GYRO_CONFIG = 0x1B
ACCEL_CONFIG = 0x1C
ACCEL_CONFIG2 = 0x1D
FIFO_EN = 0x23
USER_CTRL = 0x6A
PWR_MGMT_1 = 0x6B
FIFO_COUNT_H = 0x72
FIFO_R_W = 0x74
WHO_AM_I = 0x75


class Variant(NamedTuple):
    name: str
    fifo_bytes: int
    accel_config2: bool  # whether the accelerometer's filter is set apart from the gyroscope's


# What WHO_AM_I says is a zoo: of 20 boards sold as MPU-6050 13 said 0x98 (ElectronicCats/mpu6050
# issue 21). Taken are those the Linux driver knows with these registers. Left out are 0x69 and
# 0x75, clones Klipper calls defective, and whatever nobody has described.
VARIANTS = {
    0x68: Variant("MPU-6050", 1024, accel_config2=False),  # also MPU-6000 and MPU-9150
    0x70: Variant("MPU-6500", 512, accel_config2=True),
    0x71: Variant("MPU-9250", 512, accel_config2=True),
    0x73: Variant("MPU-9255", 512, accel_config2=True),
    0x74: Variant("MPU-6515", 512, accel_config2=True),
    0x98: Variant("ICM-20689", 512, accel_config2=True),  # 4096 if ACCEL_CONFIG2 asked for it
}
ADDRESSES = (0x68, 0x69)  # AD0 low, as most boards have it, and high
IDENTITIES = {value: variant.name for value, variant in VARIANTS.items()}
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. A racket or a
# throw turns a wrist faster than 1000 dps, and what is clipped cannot be mended.
AFS_SEL_8_G = Range(bits=0b10 << 3, per_lsb=STANDARD_GRAVITY / 4096)
# The datasheet's 16.4 counts per dps is 16.384 rounded (PX4 pull request 15094).
FS_SEL_2000_DPS = Range(bits=0b11 << 3, per_lsb=radians(2000 / 32768))

DEVICE_RESET = 1 << 7  # PWR_MGMT_1
SLEEP = 1 << 6  # PWR_MGMT_1
CLKSEL_PLL = 1 << 0  # PWR_MGMT_1: the gyroscope's own clock, 1 % right; the RC oscillator is worse
DLPF_44_HZ = 3  # CONFIG and ACCEL_CONFIG2: below half the rate; the sensors run at 1 kHz then
DIVIDE_BY_10 = 9  # SMPLRT_DIV: 1 kHz / (1 + 9)
FIFO_ACCEL_GYRO = 0b0111_1000  # FIFO_EN: gyroscope x y z, accelerometer
FIFO_ENABLE = 1 << 6  # USER_CTRL
FIFO_RESET = 1 << 2  # USER_CTRL: obeyed while FIFO_ENABLE is 0

FRAME_BYTES = 12
MOST_FIFO_BYTES = 4096  # the largest FIFO of the family
RESET_S = 0.1  # the figure of the Linux driver
SETTLE_S = 0.1  # the gyroscope starts within 70 ms, and that must not reach the FIFO

SETTINGS = (
    (PWR_MGMT_1, CLKSEL_PLL, "awake"),
    (SMPLRT_DIV, DIVIDE_BY_10, "100 Hz"),
    (CONFIG, DLPF_44_HZ, "low-pass at 44 Hz"),
    (GYRO_CONFIG, FS_SEL_2000_DPS.bits, "gyroscope 2000 dps"),
    (ACCEL_CONFIG, AFS_SEL_8_G.bits, "accelerometer 8 g"),
    (FIFO_EN, FIFO_ACCEL_GYRO, "both sensors to the FIFO"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, WHO_AM_I, IDENTITIES)


class Driver:
    """Accelerometer ±8 g and gyroscope ±2000 dps at a nominal 100 Hz, by the FIFO.

    `fifo_frames` is the smallest of the family's until `start` has seen which variant it is.
    """

    rate_hz = 100.0

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = np.array(
            [AFS_SEL_8_G.per_lsb] * 3 + [FS_SEL_2000_DPS.per_lsb] * 3, np.float32
        )
        self.fifo_frames = min(row.fifo_bytes for row in VARIANTS.values()) // FRAME_BYTES
        self._registers = Registers(bus, address, "MPU-6050")
        self._sleep_s = sleep_s

    def start(self) -> None:
        variant = VARIANTS[self._registers.identity(WHO_AM_I, IDENTITIES)]
        self.fifo_frames = variant.fifo_bytes // FRAME_BYTES  # 42: 420 ms; 85: 850 ms
        self._registers.write(PWR_MGMT_1, DEVICE_RESET)
        self._sleep_s(RESET_S)
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        if variant.accel_config2:
            self._registers.keep(ACCEL_CONFIG2, DLPF_44_HZ, "accelerometer low-pass at 44 Hz")
        self._sleep_s(SETTLE_S)
        self.clear()
        self._registers.expect(USER_CTRL, FIFO_ENABLE, "FIFO on")

    def pending(self) -> Pending:
        """Ask for the count, which alone is believed.

        Some MPU-6050 show the overflow flag always (Linux: "fix no data on MPU6050"); no FIFO of
        the family is a multiple of 12 bytes, so the count shows it, too.
        """
        return self._registers.pending_bytes(
            FIFO_COUNT_H, MOST_FIFO_BYTES, frame_bytes=FRAME_BYTES, frames=self.fifo_frames
        )

    def read(self, frames: int) -> NDArray[np.int16]:
        # axH axL ayH ayL azH azL gxH gxL gyH gyL gzH gzL, and again; FIFO_R_W stays where it is
        data = self._registers.drain(FIFO_R_W, frames, FRAME_BYTES)
        return np.frombuffer(data, ">i2").astype(np.int16).reshape(frames, 6)

    def clear(self) -> None:
        self._registers.write(USER_CTRL, FIFO_RESET)
        self._registers.write(USER_CTRL, FIFO_ENABLE)

    def stop(self) -> None:
        self._registers.write(USER_CTRL, FIFO_RESET)
        self._registers.write(PWR_MGMT_1, SLEEP)
