"""A register-level twin of the LSM9DS1's accelerometer and gyroscope.

Written from ST's datasheet DocID025715 rev 3: register map (§6), FIFO (§3.3), sensitivities
(table 3). What the datasheet leaves open is marked "assumed". Not modelled: interrupts, filters,
ORIENT_CFG_G, the magnetometer (an I2C device of its own) and the settling after power-up.
"""

from collections import deque
from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import (
    ACCEL_NOISE_M_S2,
    GYRO_NOISE_RAD_S,
    Motion,
    Sampler,
    load_each,
    store_each,
)

G_M_S2 = 9.80665
LEVELS = 32

WHO_AM_I = 0x0F
CTRL_REG1_G = 0x10
OUT_TEMP_L, OUT_TEMP_H = 0x15, 0x16
STATUS_REG = (0x17, 0x27)  # the same register at two addresses
OUT_X_G = 0x18  # 0x18 … 0x1D: X, Y, Z, two bytes each
CTRL_REG4 = 0x1E
CTRL_REG5_XL = 0x1F
CTRL_REG6_XL = 0x20
CTRL_REG8 = 0x22
CTRL_REG9 = 0x23
OUT_X_XL = 0x28  # 0x28 … 0x2D
FIFO_CTRL = 0x2E
FIFO_SRC = 0x2F

WRITABLE = frozenset(
    [*range(0x04, 0x0E), *range(0x10, 0x14), *range(0x1E, 0x25), FIFO_CTRL, *range(0x30, 0x38)]
)
# All others are zero: both sensors off, FIFO off.
POWER_ON = {CTRL_REG4: 0x38, CTRL_REG5_XL: 0x38, CTRL_REG8: 0x04}

BOOT, BDU, IF_ADD_INC, BLE, SW_RESET = 0x80, 0x40, 0x04, 0x02, 0x01  # CTRL_REG8
FIFO_EN, STOP_ON_FTH = 0x02, 0x01  # CTRL_REG9

ODR_G_HZ = (0.0, 14.9, 59.5, 119.0, 238.0, 476.0, 952.0, 0.0)  # CTRL_REG1_G bits 7:5
ODR_XL_HZ = (0.0, 10.0, 50.0, 119.0, 238.0, 476.0, 952.0, 0.0)  # CTRL_REG6_XL bits 7:5
FS_G = ((245, 8.75), (500, 17.5), (500, 17.5), (2000, 70.0))  # dps, mdps/count; 0b10 is reserved
FS_XL = ((2, 0.061), (16, 0.732), (4, 0.122), (8, 0.244))  # g, mg/count: not in order


class Twin:
    """An LSM9DS1 that is moved by `motion` and samples by its own, not quite exact, clock.

    A level of the FIFO holds a gyro and an accel half, each read in its own transfer. Real drivers
    read G XL G XL … or all G and then all XL, and both work on the chip; so here each half has its
    own read pointer, a half moves on when its last byte is read, and a level is free when both
    halves have been read. That is assumed, and so is that the address does not wrap within a burst.
    """

    def __init__(
        self,
        motion: Motion,
        clock: Clock,
        *,
        rate_error: float = 0.0,
        seed: int = 0,
        accel_noise_m_s2: float = ACCEL_NOISE_M_S2,
        gyro_noise_rad_s: float = GYRO_NOISE_RAD_S,
        gyro_offset_rad_s: float = 0.0,
        who_am_i: int | None = None,
    ) -> None:
        """The offset is the gyro's zero-rate level."""
        self._sampler = Sampler(
            motion,
            clock,
            rate_error=rate_error,
            seed=seed,
            accel_noise_m_s2=accel_noise_m_s2,
            gyro_noise_rad_s=gyro_noise_rad_s,
            gyro_offset_rad_s=gyro_offset_rad_s,
        )
        self._who_am_i = 0x68 if who_am_i is None else who_am_i
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        """Lose power for a moment: every register back at its power-on value, FIFO empty."""
        self._registers = bytearray(0x80)
        for register, value in POWER_ON.items():
            self._registers[register] = value
        self._halves: dict[int, deque[bytes]] = {  # by the address of the first byte
            OUT_X_G: deque(maxlen=LEVELS),
            OUT_X_XL: deque(maxlen=LEVELS),
        }
        self._shown = {OUT_X_G: bytes(6), OUT_X_XL: bytes(6)}  # what an empty FIFO answers
        self._held: dict[int, int] = {}  # BDU: the other byte of a value half read
        self._new: set[int] = set()  # halves with data not yet read, for STATUS_REG
        self._overrun = False
        self._sampler.restart(0.0)

    def write(self, data: bytes) -> None:
        self._advance()
        if not data:
            return  # an address probe
        store_each(data[0] & 0x7F, data[1:], self._store, self._next)

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        register &= 0x7F  # bit 7 means auto-increment to the magnetometer only
        return load_each(register, length, self._load, self._next)

    def _next(self, register: int) -> int:
        increment = bool(self._registers[CTRL_REG8] & IF_ADD_INC)
        return (register + increment) & 0x7F

    # ---- registers

    def _store(self, register: int, value: int) -> None:
        if register not in WRITABLE:
            return
        rate_hz = self._rate_hz()
        self._registers[register] = value
        if register == CTRL_REG8:
            if value & SW_RESET:
                self.brown_out()
            self._registers[CTRL_REG8] &= 0xFF ^ (BOOT | SW_RESET)  # both clear themselves
        if self._rate_hz() != rate_hz:
            self._sampler.restart(self._rate_hz())
        if self._mode() == "bypass":
            for half in self._halves.values():
                half.clear()
            self._overrun = False

    def _load(self, register: int) -> int:
        if register == WHO_AM_I:
            return self._who_am_i
        if register == FIFO_SRC:
            return self._fifo_src()
        if register in STATUS_REG:
            return (OUT_X_XL in self._new) | (OUT_X_G in self._new) << 1
        for first in (OUT_X_G, OUT_X_XL):
            if first <= register < first + 6:
                return self._load_output(first, register - first)
        return self._registers[register]

    def _load_output(self, first: int, byte: int) -> int:
        half = self._halves[first]
        value = half[0] if half else self._shown[first]
        swapped = byte ^ bool(self._registers[CTRL_REG8] & BLE)
        answer = 0 if self.stuck else self._held.pop(first + byte, value[swapped])
        if self._registers[CTRL_REG8] & BDU and byte % 2 == 0:
            self._held[first + byte + 1] = value[swapped ^ 1]
        if byte == 5:
            self._new.discard(first)
            if half:
                self._shown[first] = half.popleft()
                # Assumed: the flag says "full, and one overwritten", so a free level ends it.
                self._overrun = self._overrun and self._count() == LEVELS
        return answer

    def _fifo_src(self) -> int:
        threshold = self._registers[FIFO_CTRL] & 0x1F
        count = self._count()
        return (count >= threshold) << 7 | self._overrun << 6 | count

    def _count(self) -> int:
        return max(len(half) for half in self._halves.values())

    def _mode(self) -> str:
        """Continuous-to-FIFO and bypass-to-continuous wait here for an interrupt, for ever."""
        if not self._registers[CTRL_REG9] & FIFO_EN:
            return "bypass"
        fmode = self._registers[FIFO_CTRL] >> 5
        return {0b001: "fifo", 0b011: "continuous", 0b110: "continuous"}.get(fmode, "bypass")

    # ---- sampling

    def _gyro_on(self) -> bool:
        return ODR_G_HZ[self._registers[CTRL_REG1_G] >> 5] > 0

    def _rate_hz(self) -> float:
        """The gyro, when on, sets the pace of both; ODR_XL counts only while it is off."""
        codes = ODR_G_HZ if self._gyro_on() else ODR_XL_HZ
        register = CTRL_REG1_G if self._gyro_on() else CTRL_REG6_XL
        return codes[self._registers[register] >> 5]

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked, in one call of `motion`."""
        times_s = self._sampler.due()
        if not len(times_s):
            return
        mode = self._mode()
        if mode == "fifo":
            stop = self._registers[CTRL_REG9] & STOP_ON_FTH
            depth = self._registers[FIFO_CTRL] & 0x1F if stop else LEVELS
            times_s = times_s[: max(depth - self._count(), 0)]
        elif mode == "continuous":
            self._overrun |= self._count() + len(times_s) > LEVELS
            times_s = times_s[-LEVELS:]
        else:
            times_s = times_s[-1:]
        self._take(times_s, into_fifo=mode != "bypass")

    def _take(self, times_s: NDArray[np.float64], *, into_fifo: bool) -> None:
        counts = self._measure(times_s)
        halves = {OUT_X_XL: counts[:, :3]}
        if self._gyro_on():
            halves[OUT_X_G] = counts[:, 3:]
        for first, columns in halves.items():
            rows = [row.tobytes() for row in columns]
            if into_fifo:
                self._halves[first].extend(rows)
            elif rows:
                self._shown[first] = rows[-1]
            self._new.add(first)

    def _measure(self, times_s: NDArray[np.float64]) -> NDArray[np.int16]:
        """Counts (n, 6), accel first, little endian as the chip keeps them."""
        full_g, mg = FS_XL[self._registers[CTRL_REG6_XL] >> 3 & 3]
        full_dps, mdps = FS_G[self._registers[CTRL_REG1_G] >> 3 & 3]
        counts = self._sampler.counts(
            times_s,
            (mg * 1e-3 * G_M_S2, radians(mdps * 1e-3)),
            (full_g / (mg * 1e-3), full_dps / (mdps * 1e-3)),
        )
        axes = [
            self._registers[register] >> bit & 1
            for register in (CTRL_REG5_XL, CTRL_REG4)
            for bit in (3, 4, 5)  # X, Y, Z enabled
        ]
        return np.asarray(counts * axes, np.dtype("<i2"))
