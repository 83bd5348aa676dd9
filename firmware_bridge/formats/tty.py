"""A serial port, raw: bytes in, nothing made of them. The standard library's termios is enough."""

import contextlib
import errno
import fcntl
import os
import termios
from pathlib import Path

from firmware_bridge.source import SourceError

# An adapter is told to stop when 128 of n_tty's 4096 bytes are free (Linux, drivers/tty/n_tty.c,
# N_TTY_BUF_SIZE, TTY_THRESHOLD_THROTTLE); what it cannot hold itself after that is lost unsaid.
HOLDS_BYTES = 4096 - 128
READ_BYTES = 65536
HUNG_UP = "the port hung up: the plug was pulled, or the device started again"


class Tty:
    """The port at `path`, 8N1 without flow control. `open` may follow `close`."""

    def __init__(self, path: str, baud: int) -> None:
        self.path = path
        self.baud = baud
        self._file: int | None = None

    def open(self) -> None:
        """Open the port.

        Raises OSError, and SourceError for a baud rate that does not exist. Opening raises DTR,
        and many an Arduino starts again by that: 2 s of silence or boot text.
        """
        speed_of(self.baud)
        file = os.open(self.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            self._set_up(file)
            # Two readers would each get half of the bytes; so the second gets EBUSY.
            fcntl.ioctl(file, termios.TIOCEXCL)
        except termios.error as error:  # is no OSError
            os.close(file)
            raise OSError(*error.args) from error
        except OSError:
            os.close(file)
            raise
        self._file = file

    def set_baud(self, baud: int) -> None:
        """Listen at another speed, from now on."""
        self.baud = baud
        if self._file is not None:
            self._set_up(self._file)

    def _set_up(self, file: int) -> None:
        speed = speed_of(self.baud)
        control = termios.tcgetattr(file)[6]
        control[termios.VMIN] = 1  # so that an empty read means a hang-up
        control[termios.VTIME] = 0
        # Without HUPCL: DTR stays as it is on closing, and the next opening need not be a reset.
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL
        termios.tcsetattr(file, termios.TCSANOW, [0, 0, flags, 0, speed, speed, control])

    def read(self) -> bytes:
        """Return all that waits, which may be nothing. Raises OSError when the port is gone."""
        if self._file is None:
            raise OSError(errno.EBADF, "the port is not open")
        data = b""
        while True:
            try:
                piece = os.read(self._file, READ_BYTES)
            except BlockingIOError:
                return data
            if not piece:
                raise OSError(errno.EIO, HUNG_UP)
            data += piece

    def close(self) -> None:
        """Close the port; nothing happens if it is closed."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._file, termios.TIOCNXCL)
        os.close(self._file)
        self._file = None


def speed_of(baud: int) -> int:
    """Return termios' name for a speed. Raises SourceError for one that termios has not."""
    speed: int | None = getattr(termios, f"B{baud}", None)
    if not speed:
        usual = "115200, 921600, 460800, 230400, 57600, 38400 or 9600"
        raise SourceError(f"baud is {baud}, expected a usual speed such as {usual}")
    return speed


def why_not_open(path: str, error: OSError) -> str:
    """Say what is wrong with a port that did not open, and what to do."""
    if error.errno == errno.ENOENT:
        by_id = sorted(map(str, Path("/dev/serial/by-id").glob("*")))
        found = by_id or sorted(
            str(port) for name in ("ttyACM*", "ttyUSB*") for port in Path("/dev").glob(name)
        )
        there = f"there is {', '.join(found)}" if found else "no USB serial port is plugged in"
        return f"there is no {path}, {there}: check the cable and the setting of the port"
    if error.errno == errno.EACCES:
        return (
            f"{path} may not be opened by this user, who must be in group dialout:"
            " run `sudo usermod -aG dialout $USER` and log in again"
        )
    if error.errno == errno.EBUSY:
        return f"{path} is in use by another program: end it, `sudo lsof {path}` tells which"
    if error.errno == errno.ENOTTY:
        return f"{path} is no serial port, expected something like /dev/ttyACM0"
    return f"{path} could not be opened ({error.strerror}): check the cable"
