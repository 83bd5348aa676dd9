"""A register-level twin of the ICM-42688-P.

Written from TDK's datasheet DS-000347 as public headers and drivers quote it, the quirks from the
Linux driver inv_icm42600. What is left open is marked "assumed". Not modelled: filters, 20-bit
packets, FIFO_HOLD_LAST_DATA_EN, FSYNC, APEX, interrupts, self-test, an external clock, the header's
two bits that announce another rate, and data registers that go on while a stopped FIFO is full.
"""

from collections import deque
from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler

G_M_S2 = 9.80665
FIFO_BYTES = 2048

REG_BANK_SEL = 0x76  # in every bank; bits 2:0

# Registers are numbered bank << 8 | address; all that is modelled lies in bank 0.
DEVICE_CONFIG = 0x11
FIFO_CONFIG = 0x16
ACCEL_DATA_X1 = 0x1F  # 0x1F … 0x2A: accel X Y Z, gyro X Y Z, two bytes each
INT_STATUS = 0x2D
FIFO_COUNTH, FIFO_COUNTL = 0x2E, 0x2F
FIFO_DATA = 0x30
SIGNAL_PATH_RESET = 0x4B
INTF_CONFIG0 = 0x4C
PWR_MGMT0 = 0x4E
GYRO_CONFIG0, ACCEL_CONFIG0 = 0x4F, 0x50
TMST_CONFIG = 0x54
FIFO_CONFIG1 = 0x5F
FIFO_LOST_PKT0, FIFO_LOST_PKT1 = 0x6C, 0x6D
WHO_AM_I = 0x75

READ_ONLY = frozenset([*range(0x1D, 0x3A), FIFO_LOST_PKT0, FIFO_LOST_PKT1, WHO_AM_I])
POWER_ON = {INTF_CONFIG0: 0x30, GYRO_CONFIG0: 0x06, ACCEL_CONFIG0: 0x06, TMST_CONFIG: 0x23}

SOFT_RESET = 0x01  # DEVICE_CONFIG
FIFO_BYPASS, FIFO_STREAM = 0, 1  # FIFO_CONFIG bits 7:6; 2 and 3: what does not fit is not written
RESET_DONE, DATA_RDY, FIFO_FULL = 0x10, 0x08, 0x02  # INT_STATUS
FIFO_FLUSH = 0x02  # SIGNAL_PATH_RESET
COUNT_IN_RECORDS, COUNT_BIG, DATA_BIG = 0x40, 0x20, 0x10  # INTF_CONFIG0
FIFO_ACCEL_EN, FIFO_GYRO_EN, FIFO_RESUME_PARTIAL_RD = 0x01, 0x02, 0x40  # FIFO_CONFIG1
TMST_RES_16_US = 0x08  # TMST_CONFIG

HEADER_ACCEL, HEADER_GYRO, HEADER_ODR_TIMESTAMP = 0x40, 0x20, 0x08
EMPTY = 0xFF  # assumed, after the ICM-20690's datasheet; its highest bit marks an empty FIFO
NOT_UPDATED = -32768

RESET_S = 0.001  # "wait 1 ms for soft reset to be effective"
DEAF_S = 0.0002  # PWR_MGMT0: no writes for 200 µs after switching on; that they are lost is assumed
ACCEL_START_S, GYRO_START_S = 0.010, 0.030  # typical

ODR_HZ = (
    *(0.0, 32000.0, 16000.0, 8000.0, 4000.0, 2000.0, 1000.0, 200.0),
    *(100.0, 50.0, 25.0, 12.5, 6.25, 3.125, 1.5625, 500.0),
)  # bits 3:0 of both; the gyro has none of 6.25, 3.125 and 1.5625 Hz

# Full scales at code 0 of bits 7:5; each code halves. They are 32768 counts: the 16.4, 524.3 and
# 2097.2 counts per dps of the table are that, rounded, and Linux has it so.
FULL_G, FULL_DPS = 16, 2000

ACCEL, GYRO = slice(0, 3), slice(3, 6)  # of the six words of a sample


class Twin:
    """An ICM-42688-P that is moved by `motion` and samples by its own, not quite exact, clock.

    Its FIFO holds whole packets and drops the oldest whole: an overflow loses time, never step.

        both sensors   header  ax ay az  gx gy gz  temperature(1)  time(2)    16 bytes
        one sensor     header  x y z  temperature(1)                          8 bytes
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
        self._who_am_i = 0x47 if who_am_i is None else who_am_i
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        """Lose power for a moment: every register at its power-on value, both sensors off."""
        self._registers = bytearray(0x800)
        for register, value in POWER_ON.items():
            self._registers[register] = value
        self._bank = 0
        self._status = RESET_DONE
        self._latest = np.full(6, NOT_UPDATED, np.int16)
        self._started_s = [0.0, 0.0]  # when accel and gyro give their first sample
        self._taken = 0  # samples since the rate was set
        self._deaf_until_s = 0.0
        self._flush()
        self._sampler.restart(0.0)

    def _flush(self) -> None:
        self._packets: deque[bytes] = deque()
        self._position = 0  # within the oldest packet
        self._lost = 0  # packets, as FIFO_LOST_PKT tells
        self._count = bytes(2)
        self._count_stale = True  # the first count after a reset is 0, whatever there is

    def write(self, data: bytes) -> None:
        self._advance()
        if not data or self._clock.now_s() < self._deaf_until_s - 1e-9:  # 1 ns: sums of floats
            return
        address = data[0] & 0x7F
        for value in data[1:]:
            if address == REG_BANK_SEL:
                self._bank = value & 7
            else:
                self._store(self._bank << 8 | address, value)
            address = (address + 1) & 0x7F

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        address = register & 0x7F
        if not self._registers[FIFO_CONFIG1] & FIFO_RESUME_PARTIAL_RD:
            self._position = 0  # a packet read in part comes again from its header
        answer = bytearray()
        for _ in range(length):
            if address == REG_BANK_SEL:
                answer.append(self._bank)
            else:
                answer.append(self._load(self._bank << 8 | address))
            if self._bank << 8 | address != FIFO_DATA:
                address = (address + 1) & 0x7F
        return bytes(answer)

    # ---- registers

    def _store(self, register: int, value: int) -> None:
        if register in READ_ONLY:
            return
        if register == SIGNAL_PATH_RESET:
            if value & FIFO_FLUSH:
                self._flush()
            return  # its bits clear themselves
        now_s, rates_hz, was_on = self._clock.now_s(), self._rates_hz(), self._on()
        self._registers[register] = value
        if register == DEVICE_CONFIG and value & SOFT_RESET:
            self.brown_out()
            self._deaf_until_s = now_s + RESET_S
        for sensor, start_s in enumerate((ACCEL_START_S, GYRO_START_S)):
            if self._on()[sensor] and not was_on[sensor]:
                self._started_s[sensor] = now_s + start_s
                self._deaf_until_s = now_s + DEAF_S
        if self._rates_hz() != rates_hz:
            self._sampler.restart(max(self._rates_hz()))
            self._taken = 0

    def _load(self, register: int) -> int:
        if register == FIFO_DATA:
            return self._pop()
        if register == INT_STATUS:
            status, self._status = self._status, 0  # reading clears
            return status
        if register == FIFO_COUNTH:
            self._count = self._count_now()
        first = register - ACCEL_DATA_X1
        if 0 <= first < 12:
            return 0 if self.stuck else self._latest.astype(self._word()).tobytes()[first]
        answers = {
            WHO_AM_I: self._who_am_i,
            FIFO_COUNTH: self._count[0],
            FIFO_COUNTL: self._count[1],
            FIFO_LOST_PKT0: self._lost & 0xFF,
            FIFO_LOST_PKT1: self._lost >> 8 & 0xFF,
        }
        return answers.get(register, self._registers[register])

    def _count_now(self) -> bytes:
        """Both bytes, taken in one transfer; read alone, the second repeats itself (assumed)."""
        interface = self._registers[INTF_CONFIG0]
        count = len(self._packets)
        if not interface & COUNT_IN_RECORDS:
            count = sum(map(len, self._packets))
        if self._count_stale:
            count, self._count_stale = 0, False
        return count.to_bytes(2, "big" if interface & COUNT_BIG else "little")

    def _pop(self) -> int:
        if not self._packets:
            return EMPTY
        byte = self._packets[0][self._position]
        header = self._position == 0
        self._position += 1
        if self._position == len(self._packets[0]):
            self._packets.popleft()
            self._position = 0
        return 0 if self.stuck and not header else byte

    def _word(self) -> str:
        return ">i2" if self._registers[INTF_CONFIG0] & DATA_BIG else "<i2"

    # ---- sampling

    def _on(self) -> tuple[bool, bool]:
        """Accel in low power or low noise; gyro in low noise, for standby gives no samples."""
        power = self._registers[PWR_MGMT0]
        return bool(power & 0b10), power >> 2 & 0b11 == 0b11

    def _rates_hz(self) -> tuple[float, float]:
        accel_on, gyro_on = self._on()
        accel_hz = ODR_HZ[self._registers[ACCEL_CONFIG0] & 0x0F]
        gyro_hz = ODR_HZ[self._registers[GYRO_CONFIG0] & 0x0F]
        return accel_hz * accel_on, gyro_hz * gyro_on

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked."""
        due_s = self._sampler.due()
        if not len(due_s):
            return
        numbers = self._taken + np.arange(len(due_s))  # counted from 0
        self._taken += len(due_s)
        self._status |= DATA_RDY
        enabled = self._registers[FIFO_CONFIG1] & (FIFO_ACCEL_EN | FIFO_GYRO_EN)
        mode = self._registers[FIFO_CONFIG] >> 6
        if mode == FIFO_BYPASS or not enabled:
            self._measure(due_s[-1:], numbers[-1:], enabled)
            return
        most = FIFO_BYTES // (16 if enabled == FIFO_ACCEL_EN | FIFO_GYRO_EN else 8)
        free = max(most - len(self._packets), 0)
        kept = slice(-most, None) if mode == FIFO_STREAM else slice(0, free)
        self._packets.extend(self._measure(due_s[kept], numbers[kept], enabled))
        self._lost += max(len(due_s) - free, 0)
        if len(due_s) >= free:
            self._status |= FIFO_FULL
        while len(self._packets) > most:
            self._packets.popleft()
            self._position = 0

    def _measure(
        self, times_s: NDArray[np.float64], numbers: NDArray[np.int64], enabled: int
    ) -> list[bytes]:
        """Packets; a sensor that is slower, off or starting is marked in those it does not fill.

        The temperature is 0, that is 25 °C. The time is counted in microseconds of the chip's own
        clock; drivers differ on whether one is really 32/30 of that, and here it is not.
        """
        full_g = FULL_G / 2 ** (self._registers[ACCEL_CONFIG0] >> 5)
        full_dps = FULL_DPS / 2 ** (self._registers[GYRO_CONFIG0] >> 5)
        per_count = (full_g * G_M_S2 / 32768, radians(full_dps / 32768))
        counts = self._sampler.counts(times_s, per_count, (32767, 32767))
        pace_hz = max(self._rates_hz())
        for sensor, columns in enumerate((ACCEL, GYRO)):
            share = self._rates_hz()[sensor] / pace_hz
            updated = np.floor((numbers + 1) * share + 1e-9) > np.floor(numbers * share + 1e-9)
            updated &= times_s >= self._started_s[sensor]
            counts[~updated, columns] = NOT_UPDATED
            if updated.any():
                self._latest[columns] = counts[updated][-1, columns]
        resolution = 16 if self._registers[TMST_CONFIG] & TMST_RES_16_US else 1
        ticks = np.rint((numbers + 1) * 1e6 / pace_hz / resolution).astype(np.int64)
        return [
            self._packet(row, int(tick), enabled) for row, tick in zip(counts, ticks, strict=True)
        ]

    def _packet(self, words: NDArray[np.int16], tick: int, enabled: int) -> bytes:
        words = words.astype(self._word())
        if enabled == FIFO_ACCEL_EN:
            return bytes((HEADER_ACCEL,)) + words[ACCEL].tobytes() + b"\0"
        if enabled == FIFO_GYRO_EN:
            return bytes((HEADER_GYRO,)) + words[GYRO].tobytes() + b"\0"
        time = np.array(tick & 0xFFFF, np.uint16).astype(self._word().replace("i", "u"))
        header = HEADER_ACCEL | HEADER_GYRO | HEADER_ODR_TIMESTAMP
        return bytes((header,)) + words.tobytes() + b"\0" + time.tobytes()
