"""What a driver promises: an IMU read through its FIFO, in whole frames, in the chip's own counts.

One chip is one file in `chips/`; the name in the settings is the name of the file. The file has

    ADDRESSES                where it answers, the usual one first
    identify(bus, address)   the name of the variant that answers there, or None: reads only
    Driver                   the class that keeps `Chip`, made as Driver(bus, address, sleep_s=...)

A driver knows registers, never time: the source (`sources/i2c.py`) owns the clock, measures the
rate and decides what a gap is. What drivers share is here: `Registers`.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus

STANDARD_GRAVITY = 9.80665  # m/s², CGPM 1901: what datasheets mean by g
BURST_BYTES = 256  # 23 ms of a 100 kHz bus: others on it need not wait longer


class Range(NamedTuple):
    """One full scale: the bits that select it and what one count is then worth."""

    bits: int
    per_lsb: float  # m/s² or rad/s per count


class Pending(NamedTuple):
    """What the FIFO holds at this moment."""

    frames: int  # whole frames, oldest first
    overrun: bool  # frames were lost since the last look


class ImuNotFoundError(RuntimeError):
    """No chip answered, or another one than was asked for. The sentence says what to check."""


class ImuFaultError(RuntimeError):
    """The right chip answered, and did not keep what was written to it."""


class FrameLossError(RuntimeError):
    """Reading showed that frames are missing or out of step; the sentence says how it was seen.

    `Chip.clear` mends it. The source makes a gap of it.
    """


class Chip(Protocol):
    """An IMU behind a FIFO. Every method may raise the OSError of the bus."""

    rate_hz: float  # nominal output data rate; the true one is measured
    scale: NDArray[np.float32]  # (c,) m/s² per count for ax ay az, rad/s for gx gy gz
    fifo_frames: int  # how many frames fit: the deadline is fifo_frames / rate_hz

    def start(self) -> None:
        """Check the identity before anything is written, reset, configure, read back, run.

        Raises ImuNotFoundError on another identity, ImuFaultError when a register did not keep.
        """

    def pending(self) -> Pending:
        """Ask how much waits, in one short transfer: its moment is the clock's anchor."""

    def read(self, frames: int) -> NDArray[np.int16]:
        """Take `frames` whole frames that are pending: (frames, c) counts, a new array.

        Raises FrameLossError where the chip's own tags, time or skip marks tell of a loss.
        """

    def clear(self) -> None:
        """Empty the FIFO and begin again, frames aligned."""

    def stop(self) -> None:
        """Put the chip to sleep."""


class Registers:
    """The byte registers of one chip at one address, and the sentences for when they disagree."""

    def __init__(self, bus: Bus, address: int, name: str) -> None:
        """`name` is the chip's, for the sentences."""
        self._bus = bus
        self._address = address
        self._name = name

    def read(self, register: int, length: int = 1) -> bytes:
        return self._bus.read(self._address, register, length)

    def write(self, register: int, value: int) -> None:
        self._bus.write(self._address, bytes((register, value)))

    def drain(self, register: int, frames: int, frame_bytes: int) -> bytes:
        """Read whole frames from a FIFO's data register, in bursts that leave others the bus."""
        most = BURST_BYTES // frame_bytes
        return b"".join(
            self.read(register, min(most, frames - first) * frame_bytes)
            for first in range(0, frames, most)
        )

    def fifo_bytes(self, register: int, most: int) -> int:
        """Read a FIFO's byte count, high byte first. Raises ImuFaultError beyond `most`."""
        count = int.from_bytes(self.read(register, 2), "big")
        if count > most:
            raise self.impossible(register, count, f"{most} bytes at most")
        return count

    def pending_bytes(self, register: int, most: int, *, frame_bytes: int, frames: int) -> Pending:
        """Tell whole frames from a byte count, for a FIFO that is no multiple of a frame.

        Run over, it has lost bytes, not frames: it holds more than `frames`, or is out of step ever
        after. A count may be asked in the middle of a frame; that is over at the next look.
        """
        count = self.fifo_bytes(register, most)
        if count % frame_bytes:
            count = self.fifo_bytes(register, most)
        whole, rest = divmod(count, frame_bytes)
        return Pending(min(whole, frames), overrun=rest > 0 or whole > frames)

    def keep(self, register: int, value: int, meaning: str) -> None:
        """Write `value` and read it back. Raises ImuFaultError if the register did not keep it."""
        self.write(register, value)
        self.expect(register, value, meaning)

    def expect(self, register: int, value: int, meaning: str) -> None:
        """Raise ImuFaultError unless the register holds `value`."""
        (kept,) = self.read(register)
        if kept != value:
            raise ImuFaultError(
                f"{self._name} register 0x{register:02x} kept 0x{kept:02x}, expected 0x{value:02x}"
                f" ({meaning}): check the wiring and the 3.3 V supply, then switch it off and on"
            )

    def impossible(self, register: int, said: int, expected: str) -> ImuFaultError:
        """Make the error for what no such chip says, as a line that nobody drives does (0xff)."""
        return ImuFaultError(
            f"{self._name} register 0x{register:02x} says 0x{said:02x}, expected {expected}: check"
            " SDA and SCL for a loose wire"
        )

    def identity(self, register: int, known: Mapping[int, str]) -> int:
        """Read the identity register; nothing is written, since a stranger may answer.

        Returns one of `known`. Raises ImuNotFoundError.
        """
        where = f"0x{self._address:02x}"
        try:
            (found,) = self.read(register)
        except OSError as error:
            raise ImuNotFoundError(
                f"nothing answered at {where} ({error.strerror}), expected {self._name}: check the"
                " wiring, and with `i2cdetect -y 1` where it is"
            ) from error
        if found not in known:
            expected = ", ".join(f"0x{value:02x} ({name})" for value, name in known.items())
            raise ImuNotFoundError(
                f"0x{found:02x} answered at {where} register 0x{register:02x}, expected {expected}:"
                " set the chip and its address to what is there; `budge probe` names it"
            )
        return found


def identified(bus: Bus, address: int, register: int, known: Mapping[int, str]) -> str | None:
    """Name what answers at `address` if its identity register holds one of `known`; reads only."""
    try:
        (found,) = bus.read(address, register, 1)
    except OSError:
        return None
    return known.get(found)
