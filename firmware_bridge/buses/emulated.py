"""An I2C bus without wires: it carries emulated chips, and fails when told to."""

import errno
import os
from collections.abc import Mapping

from firmware_bridge.emulated_chip import EmulatedChip


class EmulatedBus:
    """Chips by address. A fault may be set from any thread; it meets the next transfer."""

    def __init__(self, chips: Mapping[int, EmulatedChip]) -> None:
        self._chips = dict(chips)
        self._unplugged: set[int] = set()
        self._failing = 0
        self._errno = 0

    def write(self, address: int, data: bytes) -> None:
        self._chip(address).write(data)

    def read(self, address: int, register: int, length: int) -> bytes:
        return self._chip(address).read(register, length)

    def close(self) -> None:
        """Nothing is held open."""

    def unplug(self, address: int) -> None:
        """Nobody acknowledges `address` until it is plugged in again."""
        self._unplugged.add(address)

    def plug(self, address: int) -> None:
        """The chip is back, and as a chip that had no power knows nothing of its settings."""
        self._chips[address].brown_out()
        self._unplugged.discard(address)

    def fail(self, number: int, transfers: int) -> None:
        """Raise OSError(number) from the next `transfers` transfers, whoever they are for.

        ETIMEDOUT: a line is held low. EAGAIN: another master won the arbitration.
        """
        self._errno, self._failing = number, transfers

    def _chip(self, address: int) -> EmulatedChip:
        if self._failing > 0:
            self._failing -= 1
            raise OSError(self._errno, os.strerror(self._errno))
        if address not in self._chips or address in self._unplugged:
            raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
        return self._chips[address]
