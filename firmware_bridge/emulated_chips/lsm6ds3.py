"""A register-level twin of the LSM6DS3 (0x69) and of the LSM6DSL, DSM, DS3TR-C, ISM330DLC (0x6A).

Written from ST's datasheet of the LSM6DSL (DocID028475 Rev 7: FIFO §5.5, registers §9), ST's own
register headers (stmemsc, lsm6ds3_reg.h and lsm6dsl_reg.h) and the Linux driver st_lsm6dsx. What
they leave open is marked "assumed". Not modelled: interrupts, filters, start-up, axis enables, step
counter, sensor hub and temperature in the FIFO, BDU, STATUS_REG.
"""

from collections import deque
from math import lcm, radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler, load_each, store_each

G_M_S2 = 9.80665
FIFO_WORDS = {0x69: 4096, 0x6A: 2048}  # by identity: 8 KB and 4 KB of 16-bit words

FIFO_CTRL1, FIFO_CTRL2, FIFO_CTRL3, FIFO_CTRL5 = 0x06, 0x07, 0x08, 0x0A
WHO_AM_I = 0x0F
CTRL1_XL, CTRL2_G, CTRL3_C, CTRL4_C = 0x10, 0x11, 0x12, 0x13
OUTX_L_G, OUTX_L_XL = 0x22, 0x28  # X, Y, Z, two bytes each
FIFO_STATUS1, FIFO_STATUS2, FIFO_STATUS3, FIFO_STATUS4 = 0x3A, 0x3B, 0x3C, 0x3D
FIFO_DATA_OUT_L, FIFO_DATA_OUT_H = 0x3E, 0x3F

WRITABLE = frozenset([0x01, *range(0x04, 0x0F), *range(0x10, 0x1B), *range(0x56, 0x60)])
BOOT, IF_INC, BLE, SW_RESET = 0x80, 0x04, 0x02, 0x01  # CTRL3_C
STOP_ON_FTH = 0x01  # CTRL4_C
FIFO, CONTINUOUS = 0b001, 0b110  # FIFO_CTRL5; the modes that wait for an interrupt stay bypassed

RATES_HZ = (0.0, 12.5, 26, 52, 104, 208, 416, 833, 1660, 3330, 6660, 0, 0, 0, 0, 0)
DECIMATION = (0, 1, 2, 3, 4, 8, 16, 32)  # FIFO_CTRL3; 0: not in the FIFO
FS_XL = ((2, 0.061), (16, 0.488), (4, 0.122), (8, 0.244))  # g, mg/count: not in order
FS_G = ((250, 8.75), (500, 17.5), (1000, 35.0), (2000, 70.0))  # dps, mdps/count
FS_125 = 0x02  # CTRL2_G: 125 dps, 4.375 mdps/count, whatever FS_G says


class Twin:
    """An LSM6DS3 that is moved by `motion` and samples by its own, not quite exact, clock.

    The FIFO is a ring of 16-bit words without tags. Neither 4096 nor 2048 is a multiple of the six
    words of a gyro-accel pair: once full, it begins in the middle of one, and only FIFO_STATUS3 and
    4 tell where. Assumed: words are overwritten one by one, the overrun flag says that it was so
    and ends when a word is read, and a word leaves when its high byte is read.
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
        self._who_am_i = 0x69 if who_am_i is None else who_am_i
        self._words = FIFO_WORDS.get(self._who_am_i, 4096)
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        self._registers = bytearray(0x80)
        self._registers[WHO_AM_I] = self._who_am_i
        self._registers[CTRL3_C] = IF_INC
        self._empty()
        self._sampler.restart(0.0)

    def _empty(self) -> None:
        self._fifo: deque[tuple[int, bytes]] = deque()  # place in the pattern, word
        self._overrun = False
        self._ticks = 0  # samples since the FIFO began

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
        if register == FIFO_DATA_OUT_H:
            return FIFO_DATA_OUT_L  # a burst goes on with the next word
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
            self._sampler.restart(self._rate_hz())
        if self._mode() not in {FIFO, CONTINUOUS}:
            self._empty()

    def _load(self, register: int) -> int:
        if FIFO_STATUS1 <= register <= FIFO_STATUS4:
            return self._fifo_status()[register - FIFO_STATUS1]
        if register in {FIFO_DATA_OUT_L, FIFO_DATA_OUT_H}:
            return self._load_fifo(register - FIFO_DATA_OUT_L)
        if OUTX_L_G <= register < OUTX_L_XL + 6:
            swapped = register ^ bool(self._registers[CTRL3_C] & BLE)
            return 0 if self.stuck else self._registers[swapped]
        return self._registers[register]

    def _fifo_status(self) -> bytes:
        """FIFO_STATUS1 to 4.

        DIFF_FIFO has one bit too few for a full FIFO and then reads 0, as the owner of an LSM6DSM
        saw (ST Community, "FIFO_Pattern seems desynchronized"); assumed of the others as well.
        """
        count = len(self._fifo)
        threshold = self._registers[FIFO_CTRL1] | (self._registers[FIFO_CTRL2] & 0x0F) << 8
        difference = count % self._words
        flags = (count >= threshold) << 7 | self._overrun << 6 | (count == 0) << 4
        flags |= (count + 6 >= self._words) << 5  # this or the next pair fills it
        pattern = self._fifo[0][0] if self._fifo else 0
        return bytes([difference & 0xFF, flags | difference >> 8, pattern & 0xFF, pattern >> 8])

    def _load_fifo(self, byte: int) -> int:
        if not self._fifo:
            return 0  # assumed
        _, word = self._fifo[0]
        if byte == 1:
            self._fifo.popleft()
            self._overrun = False
        return 0 if self.stuck else word[byte ^ bool(self._registers[CTRL3_C] & BLE)]

    def _mode(self) -> int:
        return self._registers[FIFO_CTRL5] & 0b111

    # ---- sampling

    def _rate_hz(self) -> float:
        """One clock drives both sensors, the faster one sets its pace."""
        return max(RATES_HZ[self._registers[register] >> 4] for register in (CTRL1_XL, CTRL2_G))

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked, in one call of `motion`."""
        times_s = self._sampler.due()
        if not len(times_s):
            return
        counts = self._measure(times_s)
        for row in counts:
            self._batch(row)
        self._registers[OUTX_L_G : OUTX_L_G + 12] = np.roll(counts[-1], 3).tobytes()

    def _batch(self, row: NDArray[np.int16]) -> None:
        """Put a sample's words, gyro before accel, where FIFO_CTRL5 and 3 want them."""
        fifo_hz = RATES_HZ[self._registers[FIFO_CTRL5] >> 3 & 0x0F]
        if self._mode() not in {FIFO, CONTINUOUS} or fifo_hz == 0:
            return
        slot, between = divmod(self._ticks, max(round(self._rate_hz() / fifo_hz), 1))
        self._ticks += 1
        if between:
            return
        decimation = self._registers[FIFO_CTRL3]
        sets = ((DECIMATION[decimation >> 3 & 7], row[3:]), (DECIMATION[decimation & 7], row[:3]))
        if slot % lcm(*(every or 1 for every, _ in sets)) == 0:
            self._pattern = 0
        for every, axes in sets:
            if every and slot % every == 0:
                for value in axes:
                    self._push(self._pattern, value.tobytes())
                    self._pattern += 1

    def _push(self, pattern: int, word: bytes) -> None:
        stop = self._registers[CTRL4_C] & STOP_ON_FTH
        threshold = self._registers[FIFO_CTRL1] | (self._registers[FIFO_CTRL2] & 0x0F) << 8
        depth = threshold if stop else self._words
        if len(self._fifo) < depth:
            self._fifo.append((pattern, word))
        elif self._mode() == CONTINUOUS:
            self._fifo.popleft()
            self._overrun = True
            self._fifo.append((pattern, word))

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
