"""A register-level twin of the ADXL345, an accelerometer.

Written from Analog Devices' ADXL345 data sheet Rev. G (register map, FIFO, "Retrieving data from
FIFO", "Operation at voltages other than 2.5 V"). What it leaves open is marked "assumed". Not
modelled: interrupts but for their flags, activity, taps, sleep, self-test, trigger mode.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler

G_M_S2 = 9.80665
ENTRIES = 33  # 32 in the FIFO and one in the output filter behind it

DEVID = 0x00
OFSX = 0x1E  # … 0x20: X, Y, Z, 15.6 mg a count, added to what is measured
BW_RATE, POWER_CTL = 0x2C, 0x2D
INT_SOURCE, DATA_FORMAT = 0x30, 0x31
DATAX0, DATAZ1 = 0x32, 0x37  # X, Y, Z, two bytes each, low byte first
FIFO_CTL, FIFO_STATUS = 0x38, 0x39

WRITABLE = frozenset([*range(0x1D, 0x2B), *range(0x2C, 0x30), DATA_FORMAT, FIFO_CTL])
MEASURE = 0x08  # POWER_CTL
FULL_RES, JUSTIFY_LEFT = 0x08, 0x04  # DATA_FORMAT
FIFO, STREAM = 0b01, 0b10  # FIFO_CTL bits 7:6

LSB_PER_G = 256  # at ±2 g, and in every range with FULL_RES
# A Pi's breakout runs at 3.3 V, where x and y give 265 counts per g and z still gives 256.
GAIN_AT_3V3 = np.array([265 / 256, 265 / 256, 1, 1, 1, 1])


class Twin:
    """An ADXL345 on 3.3 V that is moved by `motion`, its gyro columns unused.

    A sample leaves the FIFO when the address goes from 0x37 on to 0x38, or at the end of a transfer
    that read any of its bytes: one transfer takes one sample at most, and a shorter one loses the
    rest of it. Assumed: the overrun flag, which is for a FIFO that "is filled", is set with the
    33rd entry, and a further sample drops the oldest.
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
        self._motion = motion
        self._who_am_i = 0xE5 if who_am_i is None else who_am_i
        self.stuck = False
        self._registers = bytearray(0x100)
        self._sampler = Sampler(self._felt, clock, rate_error=rate_error, seed=seed)
        self.brown_out()

    def brown_out(self) -> None:
        self._registers = bytearray(0x100)
        self._registers[DEVID] = self._who_am_i
        self._registers[BW_RATE] = 0x0A
        self._fifo: deque[bytes] = deque(maxlen=ENTRIES)
        self._shown = bytes(6)
        self._overrun = False
        self._sampler.restart(0.0)

    def write(self, data: bytes) -> None:
        self._advance()
        for n, value in enumerate(data[1:]):
            self._store((data[0] + n) & 0xFF, value)

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        answer = bytearray()
        taking = False  # a sample's bytes
        for address in range(register, register + length):
            if taking and address > DATAZ1:
                self._pop()
            taking = DATAX0 <= address <= DATAZ1
            answer.append(self._load(address & 0xFF))
        if taking:
            self._pop()
        return bytes(answer)

    # ---- registers

    def _store(self, register: int, value: int) -> None:
        if register not in WRITABLE:
            return
        rate_hz = self._rate_hz()
        self._registers[register] = value
        if self._rate_hz() != rate_hz:
            self._sampler.restart(self._rate_hz())
        if self._mode() not in {FIFO, STREAM}:
            self._fifo.clear()
            self._overrun = False

    def _load(self, register: int) -> int:
        if register == INT_SOURCE:
            watermark = len(self._fifo) >= self._registers[FIFO_CTL] & 0x1F
            return bool(self._fifo) << 7 | watermark << 1 | self._overrun
        if register == FIFO_STATUS:
            return len(self._fifo)
        if DATAX0 <= register <= DATAZ1:
            sample = self._fifo[0] if self._fifo else self._shown
            return 0 if self.stuck else sample[register - DATAX0]
        return self._registers[register]

    def _pop(self) -> None:
        if self._fifo:
            self._shown = self._fifo.popleft()
            self._overrun = False

    def _mode(self) -> int:
        return self._registers[FIFO_CTL] >> 6

    # ---- sampling

    def _rate_hz(self) -> float:
        code = self._registers[BW_RATE] & 0x0F
        return 3200 / 2 ** (15 - code) if self._registers[POWER_CTL] & MEASURE else 0.0

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked, in one call of `motion`."""
        times_s = self._sampler.due()
        if not len(times_s):
            return
        room = ENTRIES - len(self._fifo)
        if self._mode() == FIFO:
            kept_s = times_s[:room]
        elif self._mode() == STREAM:
            kept_s = times_s[-ENTRIES:]
        else:
            self._shown = self._measure(times_s[-1:])[0].tobytes()
            return
        self._overrun |= len(times_s) >= room
        self._fifo.extend(row.tobytes() for row in self._measure(kept_s))

    def _felt(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the element makes of the motion: the supply's gain, the offset registers."""
        felt: NDArray[np.float64] = self._motion(times_s) * GAIN_AT_3V3
        offset = np.frombuffer(self._registers, np.int8, 3, OFSX)
        felt[:, :3] += offset * 15.6e-3 * G_M_S2
        return felt

    def _measure(self, times_s: NDArray[np.float64]) -> NDArray[np.int16]:
        """Counts (n, 3), little endian as the chip keeps them."""
        style = self._registers[DATA_FORMAT]
        full_scale = style & 0b11  # 2, 4, 8, 16 g
        # FULL_RES keeps the count's worth and grows in bits; without, it is the other way round.
        bits = 10 + full_scale if style & FULL_RES else 10
        lsb_per_g = LSB_PER_G if style & FULL_RES else LSB_PER_G >> full_scale
        counts = self._sampler.counts(
            times_s, (G_M_S2 / lsb_per_g, 1.0), (2 ** (bits - 1) - 1, 0.0)
        )[:, :3]
        return np.asarray(counts << (16 - bits if style & JUSTIFY_LEFT else 0), np.dtype("<i2"))
