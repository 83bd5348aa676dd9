"""A register-level twin of the LSM6DSOX; the LSM6DSO differs in nothing that is modelled.

Written from the FIFO and register chapters of ST's LSM6DSOX datasheet (DS12814 Rev 4), as ST's own
register header (stmemsc, lsm6dsox_reg.h) and the Linux driver st_lsm6dsx repeat them. What they
leave open is marked "assumed". Not modelled: interrupts, filters, start-up, embedded functions,
sensor hub, compression, timestamp and temperature in the FIFO, XL_FS_MODE, BDU,
STATUS_REG.
"""

from collections import deque
from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler, load_each, store_each

G_M_S2 = 9.80665
WORDS = 512  # 3 KB

FIFO_CTRL1, FIFO_CTRL2, FIFO_CTRL3, FIFO_CTRL4 = 0x07, 0x08, 0x09, 0x0A
WHO_AM_I = 0x0F
CTRL1_XL, CTRL2_G, CTRL3_C = 0x10, 0x11, 0x12
OUTX_L_G, OUTX_L_A = 0x22, 0x28  # X, Y, Z, two bytes each, low byte first
FIFO_STATUS1, FIFO_STATUS2 = 0x3A, 0x3B
INTERNAL_FREQ_FINE = 0x63
FIFO_DATA_OUT_TAG, FIFO_DATA_OUT_Z_H = 0x78, 0x7E

WRITABLE = frozenset(
    [*range(0x01, 0x0F), *range(0x10, 0x1A), *range(0x56, 0x60), 0x62, *range(0x73, 0x76)]
)
POWER_ON = {0x02: 0x3F, CTRL3_C: 0x04, 0x18: 0xE0}  # all others zero: both sensors off, FIFO off
BOOT, IF_INC, SW_RESET = 0x80, 0x04, 0x01  # CTRL3_C
STOP_ON_WTM = 0x80  # FIFO_CTRL2
FIFO, CONTINUOUS = 0b001, 0b110  # FIFO_CTRL4; the modes that wait for an interrupt stay bypassed

# By code: the same for both sensors and for their batch rates.
RATES_HZ = (0.0, 12.5, 26, 52, 104, 208, 417, 833, 1667, 3333, 6667, 1.6, 0, 0, 0, 0)
FS_XL = ((2, 0.061), (16, 0.488), (4, 0.122), (8, 0.244))  # g, mg/count: not in order
FS_G = ((250, 8.75), (500, 17.5), (1000, 35.0), (2000, 70.0))  # dps, mdps/count
FS_125 = 0x02  # CTRL2_G: 125 dps, 4.375 mdps/count, whatever FS_G says
FREQ_FINE_STEP = 0.0015
GYRO, ACCEL = 1, 2  # TAG_SENSOR


class Twin:
    """An LSM6DSOX that is moved by `motion` and samples by its own, not quite exact, clock.

    One clock drives both sensors; the slower takes part in every so many of the faster's slots.
    Within a slot gyro comes before accel, and a word leaves the FIFO when its last byte is read:
    both assumed.
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
        self._sampler = Sampler(motion, clock, rate_error=rate_error, seed=seed)
        # What the chip can say of its clock ends at 19 %.
        self._freq_fine = min(max(round(rate_error / FREQ_FINE_STEP), -128), 127)
        self._who_am_i = 0x6C if who_am_i is None else who_am_i
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        self._registers = bytearray(0x80)
        for register, value in POWER_ON.items():
            self._registers[register] = value
        self._registers[WHO_AM_I] = self._who_am_i
        self._registers[INTERNAL_FREQ_FINE] = self._freq_fine & 0xFF
        self._fifo: deque[bytes] = deque()
        self._overrun = self._overrun_latched = False
        self._slot = 0  # of the faster sensor
        self._batches = 0  # slots that put a word into the FIFO: TAG_CNT
        self._sampler.restart(0.0)

    def write(self, data: bytes) -> None:
        self._advance()
        if data:  # else an address probe
            store_each(data[0], data[1:], self._store, self._next)

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        return load_each(register, length, self._load, self._next)

    def _next(self, register: int) -> int:
        if not self._registers[CTRL3_C] & IF_INC:
            return register
        if register == FIFO_DATA_OUT_Z_H:
            return FIFO_DATA_OUT_TAG  # a burst goes on with the next word
        return (register + 1) & 0x7F

    # ---- registers

    def _store(self, register: int, value: int) -> None:
        if register not in WRITABLE:
            return
        rate_hz = self._rate_hz()
        self._registers[register] = value
        if register == CTRL3_C:
            if value & SW_RESET:
                self.brown_out()
            self._registers[CTRL3_C] &= 0xFF ^ (BOOT | SW_RESET)  # both clear themselves
        if self._rate_hz() != rate_hz:
            self._slot = 0
            self._sampler.restart(self._rate_hz())
        if self._mode() not in {FIFO, CONTINUOUS}:
            self._fifo.clear()
            self._overrun = self._overrun_latched = False

    def _load(self, register: int) -> int:
        if register == FIFO_STATUS1:
            return len(self._fifo) & 0xFF
        if register == FIFO_STATUS2:
            return self._fifo_status2()
        if register >= FIFO_DATA_OUT_TAG:
            return self._load_fifo(register - FIFO_DATA_OUT_TAG)
        if self.stuck and OUTX_L_G <= register < OUTX_L_A + 6:
            return 0
        return self._registers[register]

    def _fifo_status2(self) -> int:
        count = len(self._fifo)
        # ST's application notes: filled, and a word overwritten; its register tables say "filled".
        answer = self._overrun << 6 | self._overrun_latched << 3 | count >> 8
        answer |= (count >= self._watermark()) << 7
        answer |= (count + len(self._batched()) >= WORDS) << 5  # this or the next slot fills it
        self._overrun_latched = False  # reading it does
        return answer

    def _load_fifo(self, byte: int) -> int:
        if not self._fifo:
            return 0  # assumed
        word = self._fifo[0]
        if byte == len(word) - 1:
            self._fifo.popleft()
            self._overrun = False
        return 0 if self.stuck and byte else word[byte]

    def _mode(self) -> int:
        return self._registers[FIFO_CTRL4] & 0b111

    def _watermark(self) -> int:
        return self._registers[FIFO_CTRL1] | (self._registers[FIFO_CTRL2] & 1) << 8

    # ---- sampling

    def _rate_hz(self) -> float:
        return max(RATES_HZ[self._registers[register] >> 4] for register in (CTRL1_XL, CTRL2_G))

    def _every(self, code: int) -> int:
        """A batch rate as "every so many slots"; 0: never."""
        return max(round(self._rate_hz() / RATES_HZ[code]), 1) if RATES_HZ[code] else 0

    def _batched(self) -> dict[int, int]:
        """The sensors that are on and batched, and in every how many slots."""
        batch = self._registers[FIFO_CTRL3]
        every = {}
        for sensor, control, code in ((GYRO, CTRL2_G, batch >> 4), (ACCEL, CTRL1_XL, batch & 0x0F)):
            if RATES_HZ[self._registers[control] >> 4] and self._every(code):
                every[sensor] = self._every(code)
        return every

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked, in one call of `motion`."""
        times_s = self._sampler.due()
        if not len(times_s):
            return
        every = self._batched()
        for row in self._measure(times_s):
            self._slot += 1
            halves = {GYRO: row[3:].tobytes(), ACCEL: row[:3].tobytes()}
            words = [s for s in every if self._slot % every[s] == 0]
            for sensor in words:
                self._push(bytes([self._tag(sensor)]) + halves[sensor])
            self._batches += bool(words)
        self._registers[OUTX_L_G : OUTX_L_G + 12] = halves[GYRO] + halves[ACCEL]

    def _tag(self, sensor: int) -> int:
        """TAG_SENSOR in bits 7:3, TAG_CNT in 2:1, and in bit 0 what makes the ones even."""
        tag = sensor << 3 | (self._batches & 0b11) << 1
        return tag | tag.bit_count() & 1

    def _push(self, word: bytes) -> None:
        stop = self._registers[FIFO_CTRL2] & STOP_ON_WTM
        depth = self._watermark() if stop else WORDS
        if self._mode() == CONTINUOUS:
            if len(self._fifo) >= depth:
                self._fifo.popleft()
                self._overrun = self._overrun_latched = True
            self._fifo.append(word)
        elif self._mode() == FIFO and len(self._fifo) < depth:
            self._fifo.append(word)

    def _measure(self, times_s: NDArray[np.float64]) -> NDArray[np.int16]:
        """Counts (n, 6), accel first, little endian as the chip keeps them."""
        full_g, mg = FS_XL[self._registers[CTRL1_XL] >> 2 & 3]
        full_dps, mdps = FS_G[self._registers[CTRL2_G] >> 2 & 3]
        if self._registers[CTRL2_G] & FS_125:
            full_dps, mdps = 125, 4.375
        counts = self._sampler.counts(
            times_s,
            (mg * 1e-3 * G_M_S2, radians(mdps * 1e-3)),
            (full_g / (mg * 1e-3), full_dps / (mdps * 1e-3)),
        )
        on = [RATES_HZ[self._registers[register] >> 4] > 0 for register in (CTRL1_XL, CTRL2_G)]
        return np.asarray(counts * np.repeat(on, 3), np.dtype("<i2"))
