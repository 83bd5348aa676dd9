"""The Pi's own I2C bus, /dev/i2c-N, through the kernel's combined transfers (I2C_RDWR).

Not SMBus block reads: those end at 32 bytes. Not a write and then a read either: between the two
another process may address the chip, and MPU FIFOs were seen to lose their place that way.
"""

import errno
from pathlib import Path
from typing import Any

from firmware_bridge.source import SourceError


class LinuxBus:
    """Bus `number` of this machine, opened at once and closed by `close`."""

    def __init__(self, number: int) -> None:
        from smbus2 import SMBus, i2c_msg  # not at the top: it exists on Linux only

        self._message = i2c_msg
        self._open = SMBus
        self._number = number
        try:
            self._bus: Any = SMBus(number)
        except OSError as error:
            raise SourceError(_why_not_open(number, error)) from error

    def write(self, address: int, data: bytes) -> None:
        self._transfer(self._message.write(address, data))

    def read(self, address: int, register: int, length: int) -> bytes:
        answer = self._message.read(address, length)
        self._transfer(self._message.write(address, [register]), answer)
        return bytes(answer)

    def _transfer(self, *messages: Any) -> None:
        """An adapter on USB may be unplugged: while it is held open, it cannot come back."""
        if self._bus is None:
            self._bus = self._open(self._number)
        try:
            self._bus.i2c_rdwr(*messages)
        except OSError:
            if not Path(f"/dev/i2c-{self._number}").exists():  # its errno says only EIO
                self._bus.close()
                self._bus = None
            raise

    def close(self) -> None:
        if self._bus is not None:
            self._bus.close()


def _why_not_open(number: int, error: OSError) -> str:
    wanted = f"/dev/i2c-{number}"
    if error.errno == errno.ENOENT:
        found = sorted(path.name for path in Path("/dev").glob("i2c-*"))
        if not found:
            return (
                f"there is no {wanted} and no other I2C bus: I2C is switched off,"
                " run `sudo raspi-config nonint do_i2c 0`"
            )
        return (
            f"there is no {wanted}, there is {', '.join(found)}: set the bus to one of these, or"
            " switch the header's on with `sudo raspi-config nonint do_i2c 0`"
        )
    if error.errno == errno.EACCES:
        return (
            f"{wanted} may not be opened by this user, who must be in group i2c:"
            " run `sudo usermod -aG i2c $USER` and log in again"
        )
    return f"{wanted} could not be opened ({error.strerror}): try `i2cdetect -y {number}`"
