"""A register-level twin of the LIS3DH, an accelerometer.

Written from ST's datasheet DocID17530 Rev 2: sensitivities (table 4), modes (§3.2.1), FIFO (§5.1),
I2C (§6.1.1), registers (§8). What it leaves open is marked "assumed". Not modelled: interrupts,
filters, start-up, self-test, the ADC, BDU, STATUS_REG.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler

G_M_S2 = 9.80665
LEVELS = 32

WHO_AM_I = 0x0F
CTRL_REG0, CTRL_REG1, CTRL_REG4, CTRL_REG5 = 0x1E, 0x20, 0x23, 0x24
OUT_X_L, OUT_Z_H = 0x28, 0x2D  # X, Y, Z, two bytes each
FIFO_CTRL_REG, FIFO_SRC_REG = 0x2E, 0x2F

WRITABLE = frozenset(
    [
        *range(0x1E, 0x27),
        FIFO_CTRL_REG,
        0x30,
        0x32,
        0x33,
        0x34,
        *range(0x36, 0x39),
        *range(0x3A, 0x40),
    ]
)
POWER_ON = {CTRL_REG0: 0x10, CTRL_REG1: 0x07}  # all others are zero: asleep, three axes enabled

AUTO_INCREMENT = 0x80  # of the register address on the bus
LPEN = 0x08  # CTRL_REG1
BLE, HR = 0x40, 0x08  # CTRL_REG4
BOOT, FIFO_EN = 0x80, 0x40  # CTRL_REG5
FIFO, STREAM = 0b01, 0b10  # FIFO_CTRL_REG bits 7:6; stream-to-FIFO waits for an interrupt for ever

RATES_HZ = (0.0, 1, 10, 25, 50, 100, 200, 400, 1600, 1344, 0, 0, 0, 0, 0, 0)
LOW_POWER_5376_HZ = 5376.0  # instead of 1344
FS = ((2, 1), (4, 2), (8, 4), (16, 12))  # g, mg per digit of 12 bits


class Twin:
    """A LIS3DH that is moved by `motion`, its gyro columns unused.

    Assumed: a level leaves the FIFO when 0x2D is read, and BOOT changes no register of the user's.
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
        self._who_am_i = 0x33 if who_am_i is None else who_am_i
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        self._registers = bytearray(0x80)
        for register, value in POWER_ON.items():
            self._registers[register] = value
        self._registers[WHO_AM_I] = self._who_am_i
        self._fifo: deque[bytes] = deque(maxlen=LEVELS)
        self._shown = bytes(6)  # what an empty FIFO answers
        self._sampler.restart(0.0)

    def write(self, data: bytes) -> None:
        self._advance()
        register = data[0] if data else 0
        for value in data[1:]:
            self._store(register & 0x7F, value)
            register = self._next(register)

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        answer = bytearray()
        for _ in range(length):
            answer.append(self._load(register & 0x7F))
            register = self._next(register)
        return bytes(answer)

    def _next(self, register: int) -> int:
        if not register & AUTO_INCREMENT:
            return register
        if register & 0x7F == OUT_Z_H and self._mode():
            return AUTO_INCREMENT | OUT_X_L  # a burst goes on with the next level
        return AUTO_INCREMENT | (register + 1) & 0x7F

    # ---- registers

    def _store(self, register: int, value: int) -> None:
        if register not in WRITABLE:
            return
        rate_hz = self._rate_hz()
        self._registers[register] = value
        self._registers[CTRL_REG5] &= 0xFF ^ BOOT  # clears itself
        if self._rate_hz() != rate_hz:
            self._sampler.restart(self._rate_hz())
        if not self._mode():
            self._fifo.clear()

    def _load(self, register: int) -> int:
        if register == FIFO_SRC_REG:
            count = len(self._fifo)
            exceeds = count > self._registers[FIFO_CTRL_REG] & 0x1F
            # FSS has 5 bits: of 32 unread samples it says 31, and OVRN, which means "full", says
            # the rest. Whether one was lost after that nothing tells.
            return exceeds << 7 | (count == LEVELS) << 6 | (count == 0) << 5 | min(count, 31)
        if OUT_X_L <= register <= OUT_Z_H:
            return self._load_output(register - OUT_X_L)
        return self._registers[register]

    def _load_output(self, byte: int) -> int:
        level = self._fifo[0] if self._fifo else self._shown
        swap = self._registers[CTRL_REG4] & BLE and self._bits() == 12
        if byte == 5 and self._fifo:
            self._shown = self._fifo.popleft()
        return 0 if self.stuck else level[byte ^ bool(swap)]

    def _mode(self) -> int:
        """FIFO, STREAM, or 0: bypass."""
        mode = self._registers[FIFO_CTRL_REG] >> 6
        return mode if self._registers[CTRL_REG5] & FIFO_EN and mode in {FIFO, STREAM} else 0

    def _bits(self) -> int:
        if self._registers[CTRL_REG1] & LPEN:
            return 8
        return 12 if self._registers[CTRL_REG4] & HR else 10

    # ---- sampling

    def _rate_hz(self) -> float:
        code = self._registers[CTRL_REG1] >> 4
        if code == RATES_HZ.index(1344) and self._bits() == 8:
            return LOW_POWER_5376_HZ
        return RATES_HZ[code]

    def _advance(self) -> None:
        """Take the samples that fell due since the bus last looked, in one call of `motion`."""
        times_s = self._sampler.due()
        if not len(times_s):
            return
        if self._mode() == FIFO:
            kept_s = times_s[: LEVELS - len(self._fifo)]
        elif self._mode() == STREAM:
            kept_s = times_s[-LEVELS:]
        else:
            self._shown = self._measure(times_s[-1:])[0].tobytes()
            return
        self._fifo.extend(row.tobytes() for row in self._measure(kept_s))

    def _measure(self, times_s: NDArray[np.float64]) -> NDArray[np.int16]:
        """Words (n, 3) with the digits at their upper end, little endian as the chip keeps them."""
        full_g, mg = FS[self._registers[CTRL_REG4] >> 4 & 0b11]
        coarser = 2 ** (12 - self._bits())
        per_digit = mg * coarser * 1e-3 * G_M_S2
        most = min(full_g * 1000 / mg, 2047) / coarser
        digits = self._sampler.counts(times_s, (per_digit, 1.0), (most, 0.0))[:, :3]
        axes = [self._registers[CTRL_REG1] >> bit & 1 for bit in range(3)]
        return np.asarray((digits * axes) << (16 - self._bits()), np.dtype("<i2"))
