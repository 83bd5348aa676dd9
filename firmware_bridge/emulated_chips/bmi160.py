"""A register-level twin of the BMI160.

Written from Bosch's datasheet BST-BMI160-DS000 (rev 0.8 for the FIFO, rev 1.0 for the reset
values), as quoted in public, and from Bosch's FIFO article for its community. What is left open is
marked "assumed". Not modelled: filters and the FIFO's own downsampling, low-power modes, the
magnetometer interface, interrupts and their tags, offset compensation, and refused settings.
"""

from collections import deque
from math import radians

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.emulated_chip import Motion, Sampler

G_M_S2 = 9.80665
FIFO_BYTES = 1024

CHIP_ID = 0x00
ERR_REG = 0x02
PMU_STATUS = 0x03
GYR_X_L = 0x0C  # 0x0C … 0x17: gyro X Y Z, accel X Y Z, two bytes each, low byte first
SENSORTIME = 0x18  # 0x18 … 0x1A
FIFO_LENGTH_0, FIFO_LENGTH_1 = 0x22, 0x23
FIFO_DATA = 0x24
ACC_CONF, ACC_RANGE, GYR_CONF, GYR_RANGE = 0x40, 0x41, 0x42, 0x43
FIFO_DOWNS, FIFO_CONFIG_0, FIFO_CONFIG_1 = 0x45, 0x46, 0x47
CMD = 0x7E

WRITABLE = frozenset(range(0x40, 0x78))
POWER_ON = {
    ACC_CONF: 0x28,
    ACC_RANGE: 0x03,
    GYR_CONF: 0x28,
    FIFO_DOWNS: 0x88,
    FIFO_CONFIG_0: 0x80,
    FIFO_CONFIG_1: 0x10,
}

FIFO_GYR_EN, FIFO_ACC_EN, FIFO_HEADER_EN, FIFO_TIME_EN = 0x80, 0x40, 0x10, 0x02  # FIFO_CONFIG_1
DROP_CMD_ERR = 0x40  # ERR_REG
SOFT_RESET, FIFO_FLUSH = 0xB6, 0xB0  # CMD
# CMD: bits of PMU_STATUS it changes, what they become, and how long that takes (Linux, bmi160).
POWER_MODES = {
    0x10: (0x30, 0x00, 0.0038),  # accel suspend
    0x11: (0x30, 0x10, 0.0038),  # accel normal
    0x14: (0x0C, 0x00, 0.080),  # gyro suspend
    0x15: (0x0C, 0x04, 0.080),  # gyro normal
}
ACC_NORMAL, GYR_NORMAL = 0x10, 0x04  # PMU_STATUS

RESET_S = 0.001
# Between two writes while all is in suspend; that an early one is lost is assumed. The 2 µs that
# normal mode asks for no I2C bus can undercut.
IDLE_WRITE_S = 450e-6

# Frame headers. Data frames: 0x80, 0x08 with gyro and 0x04 with accel.
GYR_FRAME, ACC_FRAME, DATA_FRAME = 0x08, 0x04, 0x80
SKIP_FRAME, TIME_FRAME, CONFIG_FRAME = 0x40, 0x44, 0x48
OVER_READ = 0x80
# What a config frame says has changed; the bits are from memory.
CHANGED = {ACC_CONF: 0x01, ACC_RANGE: 0x02, GYR_CONF: 0x04, GYR_RANGE: 0x08}

FS_G = {0b0011: 2, 0b0101: 4, 0b1000: 8, 0b1100: 16}  # ACC_RANGE; any other is 2 g
FS_DPS = (2000, 1000, 500, 250, 125)  # GYR_RANGE; 16.4 counts per dps at 2000, and so on up
TICKS_PER_S = 25600  # sensor time


class Twin:
    """A BMI160 that is moved by `motion` and samples by its own, not quite exact, clock.

    Its FIFO is a row of whole frames. When one more does not fit the oldest go, and a skip frame
    that counts them stands before the rest:

        0x8C  gx gy gz  ax ay az     both sensors, 13 bytes; 0x88 gyro, 0x84 accel alone, 7 bytes
        0x40  frames lost            255 at most (assumed)
        0x48  what changed
        0x44  time(3)                after the last frame, if asked for, then 0x80 for ever
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
        self._ticks_per_s = TICKS_PER_S * (1 + rate_error)
        self._who_am_i = 0xD1 if who_am_i is None else who_am_i
        self.stuck = False
        self.brown_out()

    def brown_out(self) -> None:
        """Lose power for a moment: every register at its power-on value, all in suspend."""
        self._registers = bytearray(0x80)
        for register, value in POWER_ON.items():
            self._registers[register] = value
        self._error = 0
        self._command: tuple[int, int, float] | None = None  # mask, bits, done at
        self._latest = bytes(12)
        self._taken = 0  # samples since the rate was set
        self._powered_s = self._clock.now_s()
        self._deaf_until_s = 0.0
        self._flush()
        self._sampler.restart(0.0)

    def _flush(self) -> None:
        self._frames: deque[bytes] = deque()
        self._frames_bytes = 0
        self._skipped = 0

    def write(self, data: bytes) -> None:
        self._advance()
        if not data or self._clock.now_s() < self._deaf_until_s - 1e-9:  # 1 ns: sums of floats
            return
        register = data[0] & 0x7F
        for value in data[1:]:
            self._store(register, value)
            register = (register + 1) & 0x7F
        if not self._registers[PMU_STATUS]:
            earliest_s = self._clock.now_s() + IDLE_WRITE_S
            self._deaf_until_s = max(self._deaf_until_s, earliest_s)

    def read(self, register: int, length: int) -> bytes:
        self._advance()
        register &= 0x7F
        answer = bytearray()
        while len(answer) < length and register != FIFO_DATA:
            answer.append(self._load(register))
            register = (register + 1) & 0x7F
        return bytes(answer) + self._drain(length - len(answer))

    # ---- registers

    def _store(self, register: int, value: int) -> None:
        if register == CMD:
            self._execute(value)
        if register not in WRITABLE:
            return
        rates_hz = self._rates_hz()
        changed = self._registers[register] != value
        self._registers[register] = value
        if changed and register in CHANGED and self._enabled() and self._headers():
            self._push(bytes((CONFIG_FRAME, CHANGED[register])))
        self._set_pace(rates_hz)

    def _execute(self, command: int) -> None:
        if command == SOFT_RESET:
            self.brown_out()
            self._deaf_until_s = self._clock.now_s() + RESET_S
        elif self._command:
            self._error |= DROP_CMD_ERR  # one at a time
        elif command == FIFO_FLUSH:
            self._flush()
        elif command in POWER_MODES:
            mask, bits, seconds = POWER_MODES[command]
            self._command = mask, bits, self._clock.now_s() + seconds

    def _load(self, register: int) -> int:
        if register == ERR_REG:
            error, self._error = self._error, 0  # reading clears
            return error
        if GYR_X_L <= register < GYR_X_L + 12:
            return 0 if self.stuck else self._latest[register - GYR_X_L]
        if SENSORTIME <= register < SENSORTIME + 3:
            return self._time()[register - SENSORTIME]
        answers = {
            CHIP_ID: self._who_am_i,
            FIFO_LENGTH_0: self._length() & 0xFF,
            FIFO_LENGTH_1: self._length() >> 8,
        }
        return answers.get(register, self._registers[register])

    def _time(self) -> bytes:
        ticks = int((self._clock.now_s() - self._powered_s) * self._ticks_per_s)
        return (ticks & 0xFFFFFF).to_bytes(3, "little")

    # ---- FIFO

    def _enabled(self) -> int:
        return self._registers[FIFO_CONFIG_1] & (FIFO_GYR_EN | FIFO_ACC_EN)

    def _headers(self) -> bool:
        return bool(self._registers[FIFO_CONFIG_1] & FIFO_HEADER_EN)

    def _skip(self) -> bytes:
        """The skip frame that stands before the rest. Without headers nothing tells of a loss."""
        if self._skipped and self._headers():
            return bytes((SKIP_FRAME, min(self._skipped, 0xFF)))
        return b""

    def _length(self) -> int:
        return len(self._skip()) + self._frames_bytes

    def _push(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._frames_bytes += len(frame)
        while self._length() > FIFO_BYTES:
            self._pop()
            self._skipped += 1

    def _pop(self) -> bytes:
        frame = self._frames.popleft()
        self._frames_bytes -= len(frame)
        return frame

    def _drain(self, length: int) -> bytes:
        """Read from FIFO_DATA. A frame leaves with its last byte; half read, it comes again."""
        answer = self._skip()
        if answer and len(answer) <= length:
            self._skipped = 0
        while self._frames and len(answer) + len(self._frames[0]) <= length:
            answer += self._pop()
        if self._frames:
            answer += self._frames[0]
        if len(answer) < length and self._registers[FIFO_CONFIG_1] & FIFO_TIME_EN:
            answer += bytes((TIME_FRAME,)) + self._time()
        return answer[:length].ljust(length, bytes((OVER_READ,)))

    # ---- sampling

    def _rates_hz(self) -> tuple[float, float]:
        """Of gyro and accel, 0 in suspend: 100 Hz is code 8, and each step is a factor of two."""
        status = self._registers[PMU_STATUS]
        rates_hz = []
        for register, normal in ((GYR_CONF, GYR_NORMAL), (ACC_CONF, ACC_NORMAL)):
            code = self._registers[register] & 0x0F
            rates_hz.append(100 * 2.0 ** (code - 8) if status & normal and code else 0.0)
        return rates_hz[0], rates_hz[1]

    def _set_pace(self, before_hz: tuple[float, float]) -> None:
        if self._rates_hz() != before_hz:
            self._sampler.restart(max(self._rates_hz()))
            self._taken = 0

    def _advance(self) -> None:
        """Take the samples that fell due; then let a power mode that is reached take hold."""
        due_s = self._sampler.due()
        if len(due_s):
            self._take(due_s)
        if self._command and self._clock.now_s() >= self._command[2] - 1e-9:
            mask, bits, _ = self._command
            rates_hz = self._rates_hz()
            self._command = None
            self._registers[PMU_STATUS] = self._registers[PMU_STATUS] & ~mask | bits
            self._set_pace(rates_hz)

    def _take(self, due_s: NDArray[np.float64]) -> None:
        """Make a frame of what is new at each moment: both sensors share one clock."""
        full_g = FS_G.get(self._registers[ACC_RANGE] & 0x0F, 2)
        full_dps = FS_DPS[min(self._registers[GYR_RANGE] & 7, 4)]
        per_dps = 16.4 * 2000 / full_dps
        per_count = (full_g * G_M_S2 / 32768, radians(1 / per_dps))
        limits = (32767, full_dps * per_dps)
        pace_hz = max(self._rates_hz())
        enabled = self._enabled()
        # The shortest frame has 6 bytes; what is older than a FIFO full of those is lost anyway.
        lost = max(len(due_s) - 2 * FIFO_BYTES // 6, 0)
        self._skipped += lost if enabled else 0
        first = self._taken + lost
        self._taken += len(due_s)
        counts = self._sampler.counts(due_s[lost:], per_count, limits).astype("<i2")
        gyro_hz, accel_hz = self._rates_hz()
        for number, row in enumerate(counts, first + 1):
            new_gyro = gyro_hz > 0 and number % round(pace_hz / gyro_hz) == 0
            new_accel = accel_hz > 0 and number % round(pace_hz / accel_hz) == 0
            gyro = row[3:].tobytes() if new_gyro else self._latest[:6]
            accel = row[:3].tobytes() if new_accel else self._latest[6:]
            self._latest = gyro + accel
            header, frame = DATA_FRAME, b""
            if new_gyro and enabled & FIFO_GYR_EN:
                header, frame = header | GYR_FRAME, gyro
            if new_accel and enabled & FIFO_ACC_EN:
                header, frame = header | ACC_FRAME, frame + accel
            if frame:
                data = bytes(len(frame)) if self.stuck else frame
                self._push(bytes((header,)) * self._headers() + data)
