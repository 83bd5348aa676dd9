"""A register-level twin of the MPU-6050 and of its successors MPU-6500, 9250 and 9255.

Written from InvenSense's register maps: RM-MPU-6000A-00 rev 4.0 (MPU-6050) and RM-MPU-9250A-00
rev 1.4 (MPU-9250), as others quote them; of the MPU-6500's own map nothing was at hand but what
drivers say of it. `who_am_i` chooses the variant. What the maps leave open is marked "assumed".
Not modelled: filters, the low-power CYCLE mode, the DMP, the auxiliary bus and with it the
magnetometer, interrupts, self-test, the gyro's start-up, and that above 1 kHz accel repeats itself.
"""

from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler, load_each, store_each

G_M_S2 = 9.80665

MPU_6050 = 0x68  # in WHO_AM_I; a successor has a smaller FIFO and a few bits more
FIFO_BYTES = {MPU_6050: 1024, 0x70: 512, 0x71: 512, 0x73: 512}  # 6050, 6500, 9250, 9255

SMPLRT_DIV = 0x19
CONFIG = 0x1A
GYRO_CONFIG = 0x1B
ACCEL_CONFIG = 0x1C
FIFO_EN = 0x23
INT_STATUS = 0x3A
ACCEL_XOUT_H = 0x3B  # 0x3B … 0x48: accel X Y Z, temperature, gyro X Y Z, two bytes each
SIGNAL_PATH_RESET = 0x68
USER_CTRL = 0x6A
PWR_MGMT_1 = 0x6B
PWR_MGMT_2 = 0x6C
FIFO_COUNT_H, FIFO_COUNT_L = 0x72, 0x73
FIFO_R_W = 0x74
WHO_AM_I = 0x75

READ_ONLY = frozenset([*range(INT_STATUS, 0x61), FIFO_COUNT_H, FIFO_COUNT_L, FIFO_R_W, WHO_AM_I])

FIFO_MODE = 0x40  # CONFIG, successors only: what does not fit any more is not written
FCHOICE_B = 0x03  # GYRO_CONFIG, successors only: past the filter
FIFO_OFLOW_INT, DATA_RDY_INT = 0x10, 0x01  # INT_STATUS
USER_FIFO_EN, FIFO_RESET = 0x40, 0x04  # USER_CTRL
SELF_CLEARING = 0x07  # USER_CTRL: FIFO_RESET, I2C_MST_RESET, SIG_COND_RESET
DEVICE_RESET, SLEEP = 0x80, 0x40  # PWR_MGMT_1
CLOCK_STOPPED = 0x07  # PWR_MGMT_1 CLKSEL

# Assumed: the maps give no time, only the advice to wait 100 ms, which the Linux driver follows.
RESET_S = 0.1

# A full scale is 32768 counts. The maps' 131, 65.5, 32.8 and 16.4 counts per dps are that, rounded.
FS_G = (2, 4, 8, 16)  # ACCEL_CONFIG bits 4:3
FS_DPS = (250, 500, 1000, 2000)  # GYRO_CONFIG bits 4:3


class Twin:
    """An MPU-6050, or a successor, that is moved by `motion` and samples by its own clock.

    Its FIFO is a row of bytes without marks. A write to the full FIFO pushes the oldest bytes out
    (the maps say "data"; that it is bytes is assumed, and agrees with what users see), and since
    1024 and 512 are no multiples of 12 the row then begins in the middle of a sample.
    """

    def __init__(
        self,
        motion: Motion,
        clock: Clock,
        *,
        rate_error: float = 0.0,
        seed: int = 0,
        who_am_i: int | None = None,
    ) -> None:
        """An unknown identity is a clone: it answers so and is an MPU-6050 in all else."""
        self._clock = clock
        self._sampler = Sampler(motion, clock, rate_error=rate_error, seed=seed)
        self._who_am_i = MPU_6050 if who_am_i is None else who_am_i
        self._successor = self._who_am_i in FIFO_BYTES and self._who_am_i != MPU_6050
        self._fifo_bytes = FIFO_BYTES.get(self._who_am_i, 1024)
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        """Lose power for a moment; awake to the bus at once (assumed), and asleep otherwise.

        A successor sleeps or not as its fuses say; asleep is assumed.
        """
        self._registers = bytearray(0x80)
        self._registers[PWR_MGMT_1] = SLEEP
        self._fifo = bytearray()
        self._last_byte = 0  # what an empty FIFO answers
        self._shadow = bytes(2)  # FIFO_COUNT as it was when its high byte was read
        self._status = 0
        self._shown = bytes(14)
        self._resetting_until_s = 0.0
        self._sampler.restart(0.0)

    def write(self, data: bytes) -> None:
        self._advance()
        if not data or self._resetting():
            return  # an address probe, or nobody is listening (assumed)
        store_each(data[0] & 0x7F, data[1:], self._store, self._next)

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        return load_each(register & 0x7F, length, self._load, self._next)

    @staticmethod
    def _next(register: int) -> int:
        return register if register == FIFO_R_W else (register + 1) & 0x7F

    # ---- registers

    def _resetting(self) -> bool:
        return self._clock.now_s() < self._resetting_until_s - 1e-9  # 1 ns: sums of floats

    def _store(self, register: int, value: int) -> None:
        if register in READ_ONLY or register == SIGNAL_PATH_RESET:
            return
        rate_hz = self._rate_hz()
        self._registers[register] = value
        if register == USER_CTRL:
            # The older map promises a reset only "while FIFO_EN equals 0", and is taken at its
            # word; the MPU-9250's has no such condition.
            if value & FIFO_RESET and (self._successor or not value & USER_FIFO_EN):
                self._fifo.clear()
                self._status &= ~FIFO_OFLOW_INT  # assumed
            self._registers[USER_CTRL] &= ~SELF_CLEARING
        elif register == PWR_MGMT_1 and value & DEVICE_RESET:
            self.brown_out()
            self._resetting_until_s = self._clock.now_s() + RESET_S
        if self._rate_hz() != rate_hz:
            self._sampler.restart(self._rate_hz())

    def _load(self, register: int) -> int:
        if register == INT_STATUS:
            return self._load_status()
        if register == FIFO_R_W:
            return self._pop()
        if register == FIFO_COUNT_H:
            self._shadow = len(self._fifo).to_bytes(2, "big")
        first = register - ACCEL_XOUT_H
        if 0 <= first < len(self._shown):
            return 0 if self.stuck else self._shown[first]
        answers = {
            PWR_MGMT_1: self._registers[PWR_MGMT_1] | DEVICE_RESET * self._resetting(),
            FIFO_COUNT_H: self._shadow[0],
            FIFO_COUNT_L: self._shadow[1],
            WHO_AM_I: self._who_am_i,
        }
        return answers.get(register, self._registers[register])

    def _load_status(self) -> int:
        """Reading clears. INT_ENABLE chooses what moves the pin, not what shows here (assumed).

        On some MPU-6050 the overflow bit is always set (Linux, "fix no data on MPU6050"): so here.
        """
        status = self._status | (0 if self._successor else FIFO_OFLOW_INT)
        self._status = 0
        return status

    def _pop(self) -> int:
        if self._fifo and self._registers[USER_CTRL] & USER_FIFO_EN:
            self._last_byte = self._fifo.pop(0)
        return 0 if self.stuck else self._last_byte

    # ---- sampling

    def _rate_hz(self) -> float:
        if self._registers[PWR_MGMT_1] & SLEEP:
            return 0.0
        if self._registers[PWR_MGMT_1] & CLOCK_STOPPED == CLOCK_STOPPED:
            return 0.0
        divider = 1 + self._registers[SMPLRT_DIV]
        bypassed = self._successor and self._registers[GYRO_CONFIG] & FCHOICE_B
        if self._registers[CONFIG] & 7 in range(1, 7) and not bypassed:
            return 1000.0 / divider
        if self._successor:  # its divider works on 1 kHz alone
            return 32000.0 if bypassed else 8000.0
        return 8000.0 / divider

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked."""
        times_s = self._sampler.due()
        if not len(times_s):
            return
        self._status |= DATA_RDY_INT
        self._shown = self._measure(times_s[-1:]).tobytes()
        chosen = self._chosen()
        if not self._registers[USER_CTRL] & USER_FIFO_EN or not any(chosen):
            return
        sample_bytes = 2 * sum(chosen)
        if len(self._fifo) + len(times_s) * sample_bytes > self._fifo_bytes:
            self._status |= FIFO_OFLOW_INT
        most = self._fifo_bytes // sample_bytes + 1  # more would be lost anyway
        if self._successor and self._registers[CONFIG] & FIFO_MODE:
            self._fifo += self._measure(times_s[:most])[:, chosen].tobytes()
            del self._fifo[self._fifo_bytes :]
        else:
            self._fifo += self._measure(times_s[-most:])[:, chosen].tobytes()
            del self._fifo[: -self._fifo_bytes]

    def _chosen(self) -> list[bool]:
        """Which of the seven words of a sample FIFO_EN sends to the FIFO, in register order."""
        enabled = self._registers[FIFO_EN]
        return [bool(enabled & bit) for bit in (0x08, 0x08, 0x08, 0x80, 0x40, 0x20, 0x10)]

    def _measure(self, times_s: NDArray[np.float64]) -> NDArray[np.int16]:
        """Words (n, 7), big endian: accel, temperature, gyro. An axis on standby is 0 (assumed).

        So is the temperature: 36.5 °C of an MPU-6050, 21 °C of a successor.
        """
        full_g = FS_G[self._registers[ACCEL_CONFIG] >> 3 & 3]
        full_dps = FS_DPS[self._registers[GYRO_CONFIG] >> 3 & 3]
        counts = self._sampler.counts(
            times_s,
            (full_g * G_M_S2 / 32768, radians(full_dps / 32768)),
            (32767, 32767),
        )
        running = [~self._registers[PWR_MGMT_2] >> bit & 1 for bit in (5, 4, 3, 2, 1, 0)]
        counts *= np.array(running, np.int16)
        words = np.zeros((len(times_s), 7), ">i2")
        words[:, :3], words[:, 4:] = counts[:, :3], counts[:, 3:]
        return words
