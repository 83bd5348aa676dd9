"""The I2C bus as two calls: all that a register chip with a FIFO needs.

`buses/linux.py` is the Pi's own bus, `buses/emulated.py` carries register-level twins of the chips.
Both raise `OSError` with the errno the Linux kernel gives, so a driver cannot tell them apart:
EREMOTEIO (121) nobody acknowledged, ETIMEDOUT (110) the bus hangs, EAGAIN (11) arbitration lost.
"""

from typing import Protocol


class Bus(Protocol):
    """One I2C bus; owned by one thread."""

    def write(self, address: int, data: bytes) -> None:
        """Send `data`, register first, in one transfer."""

    def read(self, address: int, register: int, length: int) -> bytes:
        """Send `register`, repeated start, read `length` bytes: one combined transfer.

        A single read message, and the last one: more than that i2c-bcm2835 (Pi 0-4) refuses.
        """

    def close(self) -> None: ...
