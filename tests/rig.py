"""A bench for every chip: a driver, its emulated twin, the bus between them and a clock.

Nothing here knows a chip.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EREMOTEIO
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import firmware_bridge.chips
from firmware_bridge.bus import Bus
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import Chip
from firmware_bridge.clock import VirtualClock
from firmware_bridge.source import Chunk
from firmware_bridge.sources.i2c import Source

G = 9.80665


def names(package: Any) -> set[str]:
    files = (file for folder in package.__path__ for file in Path(folder).glob("*.py"))
    return {file.stem for file in files} - {"__init__"}


def posed(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gravity a little different on each axis, turning about each at another rate."""
    row = [0.48 * G, -0.6 * G, 0.64 * G, radians(90), radians(-45), radians(20)]
    return np.tile(row, (len(t_s), 1))


RAMP_S = 3.0  # then from zero again: what is steep enough for a frame must fit a range


def hard(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a runner's wrist does at most: drivers choose their full scales by it."""
    row = [7 * G, -7 * G, 7 * G, radians(1800), radians(-1800), radians(1800)]
    return np.tile(row, (len(t_s), 1))


def ramp(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every axis grows with time, accel and gyro together: a frame out of step is seen."""
    return np.outer(t_s % RAMP_S, [10.0, 10.0, 10.0, 5.0, 5.0, 5.0])


SWING_HZ = 0.7
SWING = np.array([12.0, 12.0, 12.0, 3.0, 3.0, 3.0])  # m/s², rad/s


def swung(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """A swing of every axis, accel and gyro together: its value tells the time and is never 0."""
    return np.outer(1.5 + np.sin(2 * np.pi * SWING_HZ * t_s), SWING)


class Diary(VirtualClock):
    """A clock that also does something at a given time."""

    def __init__(self) -> None:
        super().__init__()
        self.appointments: list[tuple[float, Callable[[], None]]] = []

    def sleep_s(self, seconds: float) -> None:
        super().sleep_s(seconds)
        due = [kept for kept in self.appointments if kept[0] <= self.now_s()]
        for appointment in due:
            self.appointments.remove(appointment)
            appointment[1]()


@dataclass
class Wire:
    """A bus that remembers what was said, and can be made deaf, a stranger, or fail once."""

    bus: Bus
    said: list[str] = field(default_factory=list)
    deaf: bool = False  # writes are acknowledged and lost
    stranger: bool = False  # another chip, which answers 0x42 to everything
    lost: int = -1  # which transfer nobody acknowledges

    def write(self, address: int, data: bytes) -> None:
        self._say("write")
        if not self.deaf:
            self.bus.write(address, data)

    def read(self, address: int, register: int, length: int) -> bytes:
        self._say("read")
        answer = self.bus.read(address, register, length)
        return b"\x42" * length if self.stranger else answer

    def close(self) -> None:
        self.bus.close()

    def _say(self, word: str) -> None:
        self.said.append(word)
        if len(self.said) == self.lost + 1:
            raise OSError(EREMOTEIO, os.strerror(EREMOTEIO))


class Rig:
    """One driver, its twin and what lies between."""

    def __init__(
        self, name: str, who_am_i: int, motion: Any = posed, *, rate_error: float = 0.0
    ) -> None:
        self.driver = importlib.import_module(f"firmware_bridge.chips.{name}")
        emulated = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
        self.address: int = self.driver.ADDRESSES[0]
        self.clock = Diary()
        self.twin = emulated.Twin(
            motion, self.clock, rate_error=rate_error, seed=1, who_am_i=who_am_i
        )
        self.bus = EmulatedBus({self.address: self.twin})
        self.wire = Wire(self.bus)
        self.chip: Chip = self.driver.Driver(self.wire, self.address, sleep_s=self.clock.sleep_s)

    def start(self) -> None:
        """Start, and come to half a period after a frame, which is taken."""
        self.chip.start()
        self.align()

    def align(self) -> float:
        """Wait to half a period after the next frame and take what came; return its moment."""
        self.chip.read(self.chip.pending().frames)
        while self.chip.pending().frames == 0:
            self.wait(0.05)
        sampled_s = self.clock.now_s()
        self.chip.read(1)
        self.wait(0.5)
        return sampled_s

    def wait(self, frames: float) -> None:
        self.clock.sleep_s(frames / self.chip.rate_hz)

    def drain(self) -> NDArray[np.float64]:
        """All that waits, (n, c) in SI."""
        counts = self.chip.read(self.chip.pending().frames)
        return np.asarray(counts * self.chip.scale.astype(np.float64))


def known_variants() -> dict[str, tuple[str, int]]:
    """Every chip under every identity its driver knows."""
    variants: dict[str, tuple[str, int]] = {}
    for name in sorted(names(firmware_bridge.chips)):
        rigs = ((who_am_i, Rig(name, who_am_i)) for who_am_i in range(0x100))
        known = [i for i, rig in rigs if rig.driver.identify(rig.bus, rig.address)]
        if not known:
            raise ValueError(f"identify of chips/{name}.py names none of 256 identities")
        variants |= {f"{name}-0x{i:02x}": (name, i) for i in known}
    return variants


class Story:
    """A rig with its source, from its start to a given second, and what happens meanwhile."""

    def __init__(
        self, variant: tuple[str, int], seconds: float, *, rate_error: float = 0.03
    ) -> None:
        self.rig = Rig(*variant, swung, rate_error=rate_error)
        self.source = Source(self.rig.chip, self.rig.clock)
        self.at(seconds, self.source.close)

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        self.rig.clock.appointments.append((time_s, action))

    def told(self) -> list[Chunk]:
        return list(self.source.chunks())

    def times_s(self, chunks: list[Chunk]) -> NDArray[np.float64]:
        """When each row was, in the host's time."""
        return np.concatenate(
            [
                chunk.run_start_s
                + (chunk.first + np.arange(len(chunk.counts))) / self.source.rate_hz
                for chunk in chunks
            ]
        )
