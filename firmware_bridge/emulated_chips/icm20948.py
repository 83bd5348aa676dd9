"""A register-level twin of the ICM-20948's accelerometer and gyroscope.

Written from TDK's datasheet DS-000189 as public register headers quote it (the document itself was
not at hand, so no section numbers). What is left open is marked "assumed". Not modelled: filters,
low-power modes, the DMP, the auxiliary bus and with it the magnetometer, interrupts, self-test and
the gyro's start-up.
"""

from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler

G_M_S2 = 9.80665
FIFO_BYTES = 512  # PX4 and Klipper; a text with 4 KB exists, which nobody's driver believes

REG_BANK_SEL = 0x7F  # in every bank; bits 5:4

# Registers are numbered bank << 8 | address.
WHO_AM_I = 0x000
USER_CTRL = 0x003
LP_CONFIG = 0x005
PWR_MGMT_1 = 0x006
PWR_MGMT_2 = 0x007
INT_STATUS_1 = 0x01A
INT_STATUS_2 = 0x01B
ACCEL_XOUT_H = 0x02D  # 0x2D … 0x3A: accel X Y Z, gyro X Y Z, temperature, two bytes each
FIFO_EN_2 = 0x067
FIFO_RST = 0x068
FIFO_MODE = 0x069
FIFO_COUNTH, FIFO_COUNTL = 0x070, 0x071
FIFO_R_W = 0x072
GYRO_SMPLRT_DIV = 0x200
GYRO_CONFIG_1 = 0x201
ACCEL_SMPLRT_DIV_1, ACCEL_SMPLRT_DIV_2 = 0x210, 0x211
ACCEL_CONFIG = 0x214

READ_ONLY = frozenset(
    [WHO_AM_I, *range(0x017, 0x01D), *range(0x02D, 0x053), FIFO_COUNTH, FIFO_COUNTL, FIFO_R_W]
)
POWER_ON = {LP_CONFIG: 0x40, PWR_MGMT_1: 0x41, GYRO_CONFIG_1: 0x01, ACCEL_CONFIG: 0x01}

USER_FIFO_EN = 0x40  # USER_CTRL
DEVICE_RESET, SLEEP = 0x80, 0x40  # PWR_MGMT_1
RAW_DATA_RDY_INT = 0x01  # INT_STATUS_1
FIFO_OVERFLOW_INT = 0x01  # INT_STATUS_2 bits 4:0; that bit 0 is the one is assumed
FIFO_RST_ALL = 0x1F  # FIFO_RST: while any is set the FIFO is held empty
SNAPSHOT = 0x01  # FIFO_MODE: what does not fit any more is not written
FCHOICE = 0x01  # GYRO_CONFIG_1, ACCEL_CONFIG: through the filter, which the divider needs

RESET_S = 0.011  # typical time from power-up to registers; that a reset takes as long is assumed

# The formula for the gyro reads 1.1 kHz and its table of filters 1125 Hz; drivers measure the same
# rate for both sensors, so the first is taken for a rounded figure.
DIVIDED_HZ = 1125.0
UNFILTERED_ACCEL_HZ, UNFILTERED_GYRO_HZ = 4500.0, 9000.0

# A full scale is 32768 counts; the datasheet's 131 to 16.4 counts per dps are that, rounded.
FS_G = (2, 4, 8, 16)  # ACCEL_CONFIG bits 2:1
FS_DPS = (250, 500, 1000, 2000)  # GYRO_CONFIG_1 bits 2:1

ACCEL, GYRO = slice(0, 3), slice(3, 6)  # of the seven words of a sample


class Twin:
    """An ICM-20948 that is moved by `motion` and samples by its own, not quite exact, clock.

    The FIFO is a row of bytes without marks; a write to the full FIFO pushes the oldest bytes out
    (the datasheet says "data", bytes are assumed), after which the row begins within a sample.
    Power lost and DEVICE_RESET select bank 0, its reset value; a host that died leaves its own.
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
        self._clock = clock
        self._sampler = Sampler(motion, clock, rate_error=rate_error, seed=seed)
        self._who_am_i = 0xEA if who_am_i is None else who_am_i
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        """Lose power for a moment; awake to the bus at once (assumed), and asleep otherwise."""
        self._registers = bytearray(0x400)
        for register, value in POWER_ON.items():
            self._registers[register] = value
        self._bank = 0
        self._fifo = bytearray()
        self._last_byte = 0  # what an empty FIFO answers (assumed)
        self._shadow = bytes(2)  # FIFO_COUNT as it was when its high byte was read
        self._overflow = self._ready = 0
        self._words = np.zeros(7, ">i2")  # the latest sample
        self._taken = 0  # samples since the rate was set
        self._resetting_until_s = 0.0
        self._sampler.restart(0.0)

    def write(self, data: bytes) -> None:
        self._advance()
        if not data or self._resetting():
            return  # an address probe, or nobody is listening (assumed)
        address = data[0] & 0x7F
        for value in data[1:]:
            if address == REG_BANK_SEL:
                self._bank = value >> 4 & 3
            else:
                self._store(self._bank << 8 | address, value)
            address = self._next(address)

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        address = register & 0x7F
        answer = bytearray()
        for _ in range(length):
            answer.append(
                self._bank << 4
                if address == REG_BANK_SEL
                else self._load(self._bank << 8 | address)
            )
            address = self._next(address)
        return bytes(answer)

    def _next(self, address: int) -> int:
        return address if self._bank << 8 | address == FIFO_R_W else (address + 1) & 0x7F

    # ---- registers

    def _resetting(self) -> bool:
        return self._clock.now_s() < self._resetting_until_s - 1e-9  # 1 ns: sums of floats

    def _store(self, register: int, value: int) -> None:
        if register in READ_ONLY:
            return
        rates_hz = self._rates_hz()
        self._registers[register] = value
        if register == PWR_MGMT_1 and value & DEVICE_RESET:
            self.brown_out()
            self._resetting_until_s = self._clock.now_s() + RESET_S
        if self._registers[FIFO_RST] & FIFO_RST_ALL:
            self._fifo.clear()
        if self._rates_hz() != rates_hz:
            self._sampler.restart(max(self._rates_hz()))
            self._taken = 0

    def _load(self, register: int) -> int:
        if register == FIFO_R_W:
            return self._pop()
        if register == FIFO_COUNTH:
            self._shadow = len(self._fifo).to_bytes(2, "big")
        if register == INT_STATUS_1:
            ready, self._ready = self._ready, 0  # reading clears, here and below
            return ready
        if register == INT_STATUS_2:
            overflow, self._overflow = self._overflow, 0
            return overflow
        first = register - ACCEL_XOUT_H
        if 0 <= first < 14:
            return 0 if self.stuck else self._words.tobytes()[first]
        answers = {
            WHO_AM_I: self._who_am_i,
            PWR_MGMT_1: self._registers[PWR_MGMT_1] | DEVICE_RESET * self._resetting(),
            FIFO_COUNTH: self._shadow[0],
            FIFO_COUNTL: self._shadow[1],
        }
        return answers.get(register, self._registers[register])

    def _pop(self) -> int:
        if self._fifo and self._registers[USER_CTRL] & USER_FIFO_EN:
            self._last_byte = self._fifo.pop(0)
        return 0 if self.stuck else self._last_byte

    # ---- sampling

    def _rates_hz(self) -> tuple[float, float]:
        """Of accel and gyro; 0: off, asleep or, as PWR_MGMT_2 knows it, all its axes disabled."""
        registers = self._registers
        asleep = registers[PWR_MGMT_1] & SLEEP
        accel_div = (registers[ACCEL_SMPLRT_DIV_1] & 0x0F) << 8 | registers[ACCEL_SMPLRT_DIV_2]
        accel_hz = DIVIDED_HZ / (1 + accel_div)
        gyro_hz = DIVIDED_HZ / (1 + registers[GYRO_SMPLRT_DIV])
        if not registers[ACCEL_CONFIG] & FCHOICE:
            accel_hz = UNFILTERED_ACCEL_HZ
        if not registers[GYRO_CONFIG_1] & FCHOICE:
            gyro_hz = UNFILTERED_GYRO_HZ
        return (
            0.0 if asleep or registers[PWR_MGMT_2] & 0x38 == 0x38 else accel_hz,
            0.0 if asleep or registers[PWR_MGMT_2] & 0x07 == 0x07 else gyro_hz,
        )

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked."""
        times_s = self._sampler.due()
        if not len(times_s):
            return
        chosen = self._chosen()
        filling = self._registers[USER_CTRL] & USER_FIFO_EN and any(chosen)
        if self._registers[FIFO_RST] & FIFO_RST_ALL or not filling:
            self._take(times_s[-1:], len(times_s))
            return
        sample_bytes = 2 * sum(chosen)
        if len(self._fifo) + len(times_s) * sample_bytes > FIFO_BYTES:
            self._overflow = FIFO_OVERFLOW_INT
        most = FIFO_BYTES // sample_bytes + 1  # more would be lost anyway
        if self._registers[FIFO_MODE] & SNAPSHOT:
            self._fifo += self._take(times_s[:most], len(times_s))[:, chosen].tobytes()
            del self._fifo[FIFO_BYTES:]
        else:
            self._fifo += self._take(times_s[-most:], len(times_s))[:, chosen].tobytes()
            del self._fifo[:-FIFO_BYTES]

    def _chosen(self) -> list[bool]:
        """Which of the seven words of a sample FIFO_EN_2 sends to the FIFO, in register order."""
        enabled = self._registers[FIFO_EN_2]
        return [bool(enabled & bit) for bit in (0x10, 0x10, 0x10, 0x02, 0x04, 0x08, 0x01)]

    def _take(self, times_s: NDArray[np.float64], due: int) -> NDArray[np.int16]:
        """Measure: words (n, 7), big endian. At unequal rates the slower sensor repeats itself.

        That the faster one sets the FIFO's pace is assumed, from PX4's "accel data is doubled".
        The temperature is 0, that is 21 °C.
        """
        full_g = FS_G[self._registers[ACCEL_CONFIG] >> 1 & 3]
        full_dps = FS_DPS[self._registers[GYRO_CONFIG_1] >> 1 & 3]
        words = np.zeros((len(times_s), 7), ">i2")
        words[:, :6] = self._sampler.counts(
            times_s,
            (full_g * G_M_S2 / 32768, radians(full_dps / 32768)),
            (32767, 32767),
        )
        numbers = self._taken + due - np.arange(len(times_s), 0, -1)  # counted from 0
        for columns, rate_hz in zip((ACCEL, GYRO), self._rates_hz(), strict=True):
            share = rate_hz / max(self._rates_hz())
            old = np.floor((numbers + 1) * share + 1e-9) == np.floor(numbers * share + 1e-9)
            previous = self._words
            for row in range(len(words)):
                if old[row]:
                    words[row, columns] = previous[columns]
                previous = words[row]
        self._taken += due
        self._ready = RAW_DATA_RDY_INT
        self._words = words[-1].copy()
        return words
