"""Analog Devices ADXL345, as on the GY-291 board: an accelerometer.

Document: Analog Devices ADXL345 datasheet Rev. C; register names are its own. Registers and bits
were cross-checked against the Linux (adxl345), Klipper and i2cdevlib drivers. Not seen on a board:
the twin in `emulated_chips/` is all it has met.

A level leaves the FIFO as soon as data registers were read, so one transfer takes one sample. Read
two bytes further it brings FIFO_CTL, which must be what was written, and FIFO_STATUS, how many are
left: no sample is lost or spoiled unseen. Klipper reads it so over SPI; over I2C it is not
confirmed. That 5 us must lie between two samples (from memory) I2C cannot help but give.

x and y give more counts a g at the Pi's 3.3 V, 265, than at the 2.5 V of the specification, 256; z
does not (datasheet, on supply voltages other than 2.5 V; Klipper, UPM and Paparazzi reckon so).
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus
from firmware_bridge.chip import (
    STANDARD_GRAVITY,
    FrameLossError,
    Pending,
    Range,
    Registers,
    identified,
)

DEVID = 0x00
OFSX, OFSY, OFSZ = 0x1E, 0x1F, 0x20
BW_RATE = 0x2C
POWER_CTL = 0x2D
DATA_FORMAT = 0x31
DATAX0 = 0x32
FIFO_CTL = 0x38
FIFO_STATUS = 0x39

ADDRESSES = (0x53, 0x1D)  # ALT ADDRESS low; high
IDENTITIES = {0xE5: "ADXL345"}
# Running puts 3-5 g on a waist and more on a wrist: 8 g is the first that holds it. 16 g would cost
# no resolution here, but chips that clip alike see a movement alike.
RANGE_8_G = Range(bits=0b10, per_lsb=STANDARD_GRAVITY / 256)
AT_3_3_V = np.array([256 / 265, 256 / 265, 1.0])  # what a count of x, y, z is worth of that

FULL_RES = 1 << 3  # DATA_FORMAT: as fine in every range, right-justified
RATE_100_HZ = 0b1010  # BW_RATE
MEASURE = 1 << 3  # POWER_CTL
STANDBY = 0
BYPASS = 0b00 << 6  # FIFO_CTL: empties the FIFO
STREAM = 0b10 << 6  # FIFO_CTL: when full, the oldest sample is overwritten
ENTRIES = 0b0011_1111  # FIFO_STATUS
MOST_ENTRIES = 33  # 32 and one in the output register

SETTLE_S = 0.05  # 5 samples; the datasheet asks for 1.1 ms and one sample (from memory)

# There is no reset: what another program may have left behind is set as well.
SETTINGS = (
    (POWER_CTL, STANDBY, "standby"),
    (OFSX, 0, "no offset"),
    (OFSY, 0, "no offset"),
    (OFSZ, 0, "no offset"),
    (BW_RATE, RATE_100_HZ, "100 Hz"),
    (DATA_FORMAT, FULL_RES | RANGE_8_G.bits, "8 g, full resolution"),
    (POWER_CTL, MEASURE, "measuring"),
)


def identify(bus: Bus, address: int) -> str | None:
    """Name the variant at `address`, or None: reads only."""
    return identified(bus, address, DEVID, IDENTITIES)


class Driver:
    """Accelerometer ±8 g at a nominal 100 Hz, by the FIFO."""

    rate_hz = 100.0
    # 32 fit, but FIFO_STATUS does not tell 32 from 32 after a loss: the last counts as lost.
    fifo_frames = 31

    def __init__(
        self, bus: Bus, address: int = ADDRESSES[0], sleep_s: Callable[[float], None] = time.sleep
    ) -> None:
        self.scale: NDArray[np.float32] = (RANGE_8_G.per_lsb * AT_3_3_V).astype(np.float32)
        self._registers = Registers(bus, address, "ADXL345")
        self._sleep_s = sleep_s

    def start(self) -> None:
        self._registers.identity(DEVID, IDENTITIES)
        for register, value, meaning in SETTINGS:
            self._registers.keep(register, value, meaning)
        self._sleep_s(SETTLE_S)
        self.clear()
        self._registers.expect(FIFO_CTL, STREAM, "FIFO stream")

    def pending(self) -> Pending:
        (status,) = self._registers.read(FIFO_STATUS)
        entries = status & ENTRIES
        if entries > MOST_ENTRIES:
            raise self._registers.impossible(FIFO_STATUS, status, f"{MOST_ENTRIES} at most")
        return Pending(entries, overrun=entries > self.fifo_frames)

    def read(self, frames: int) -> NDArray[np.int16]:
        samples = bytearray()
        for left in reversed(range(frames)):
            #   0x32  xL xH yL yH zL zH  FIFO_CTL FIFO_STATUS
            *sample, control, status = self._registers.read(DATAX0, 8)
            if control != STREAM:
                raise self._registers.impossible(FIFO_CTL, control, f"0x{STREAM:02x}, as written")
            entries = status & ENTRIES
            if not left <= entries <= self.fifo_frames:
                raise FrameLossError(
                    f"ADXL345 FIFO holds {entries} samples after one was read, expected {left} to"
                    f" {self.fifo_frames}: samples are missing"
                )
            samples += bytes(sample)
        return np.frombuffer(samples, "<i2").astype(np.int16).reshape(frames, 3)

    def clear(self) -> None:
        self._registers.write(FIFO_CTL, BYPASS)
        self._registers.write(FIFO_CTL, STREAM)

    def stop(self) -> None:
        self._registers.write(FIFO_CTL, BYPASS)
        self._registers.write(POWER_CTL, STANDBY)
