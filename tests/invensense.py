"""A driver on its twin, and a wire between them that may be tampered with."""

import errno
import importlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import Chip
from firmware_bridge.clock import VirtualClock

ADDRESS = 0x68  # every chip of InvenSense's


def still(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.tile([1.0, 2.0, 9.6, 0.1, 0.2, 0.3], (len(t_s), 1))


class Wire:
    """A bus that remembers lengths and writes, and may change what is answered."""

    def __init__(self, bus: EmulatedBus) -> None:
        self.bus = bus
        self.lengths: list[int] = []
        self.written: list[bytes] = []
        self.change: Callable[[int, bytes], bytes] = lambda _, answer: answer
        self.dies_after: int | None = None  # transfers

    def _transfer(self) -> None:
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                raise OSError(errno.EREMOTEIO, "Remote I/O error")

    def write(self, address: int, data: bytes) -> None:
        self._transfer()
        self.written.append(data)
        self.bus.write(address, data)

    def read(self, address: int, register: int, length: int) -> bytes:
        self._transfer()
        self.lengths.append(length)
        return self.change(register, self.bus.read(address, register, length))

    def close(self) -> None:
        self.bus.close()


class Rig:
    """A driver and its twin; `driver` is what another process would make of the same chip."""

    def __init__(self, name: str, who_am_i: int | None = None, rate_error: float = 0.0) -> None:
        self.clock = VirtualClock()
        self._module = importlib.import_module(f"firmware_bridge.chips.{name}")
        emulated = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
        twin = emulated.Twin(still, self.clock, seed=1, who_am_i=who_am_i, rate_error=rate_error)
        self.bus = EmulatedBus({ADDRESS: twin})
        self.wire = Wire(self.bus)
        self.chip = self.driver()

    def driver(self) -> Chip:
        chip: Chip = self._module.Driver(self.wire, ADDRESS, sleep_s=self.clock.sleep_s)
        return chip

    def wait(self, frames: float) -> None:
        self.clock.sleep_s(frames / self.chip.rate_hz)
