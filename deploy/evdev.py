"""The keys of one input device, by the standard library: a joystick, a shutter, a keyboard.

    /sys/class/input/eventN/device/name   what the device calls itself
    /dev/input/eventN                     its events, one struct input_event after the other:

    seconds   microseconds   type   code   value
    long      long           u16    u16    s32       24 bytes, on a 32-bit system 16

Linux, include/uapi/linux/input.h and input-event-codes.h. A read gives whole events only. A key
that is held repeats by itself where the driver asks for it: after 250 ms, then every 33 ms
(drivers/input/input.c).
"""

import contextlib
import errno
import fcntl
import logging
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

EVENT = struct.Struct("llHHi")  # native sizes: long is what the kernel's is
EV_KEY = 1
KEY_ENTER, KEY_LEFT, KEY_RIGHT = 28, 105, 106
BTN_SELECT, BTN_DPAD_LEFT, BTN_DPAD_RIGHT = 0x13A, 0x222, 0x223
RELEASE, PRESS, HOLD = 0, 1, 2  # HOLD comes again and again

EVIOCSCLOCKID = 1 << 30 | 4 << 16 | ord("E") << 8 | 0xA0  # _IOW('E', 0xa0, int)
READ_EVENTS = 64
RETRY_S = 2.0  # between two looks for a device that is not there


class Key(NamedTuple):
    """Something that was done to a key."""

    code: int
    value: int  # PRESS, RELEASE or HOLD
    time_s: float  # when, by the monotonic clock


class Keys:
    """Reads the device called `name` in a thread of its own, and waits for it while it is away."""

    def __init__(
        self,
        name: str,
        take: Callable[[Key], None],
        *,
        sys_root: Path = Path("/sys"),
        dev_root: Path = Path("/dev"),
    ) -> None:
        """`take` is called from the thread and must not block."""
        self._name = name
        self._take = take
        self._sys_root = sys_root
        self._dev_root = dev_root
        self._missed = False
        self._wakes, self._wake = os.pipe()  # a byte in it ends the thread, wherever it waits
        self._thread = threading.Thread(target=self._run, name="budge-keys", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; called once."""
        os.write(self._wake, b"x")
        if self._thread.ident is not None:  # started
            self._thread.join()
        os.close(self._wake)
        os.close(self._wakes)

    def _run(self) -> None:
        while True:
            try:
                file = self._open()
            except OSError as error:
                self._miss(error)
            else:
                with os.fdopen(file, "rb", buffering=0):
                    self._missed = False
                    try:
                        self._read(file)
                    except OSError as error:
                        self._miss(error)
                    else:
                        return
            if select.select([self._wakes], [], [], RETRY_S)[0]:
                return

    def _read(self, file: int) -> None:
        """Hand over keys until closed. Raises OSError when the device is gone."""
        while True:
            ready = select.select([file, self._wakes], [], [])[0]
            if self._wakes in ready:
                return
            data = os.read(file, READ_EVENTS * EVENT.size)
            if not data or len(data) % EVENT.size:
                raise OSError(errno.EIO, f"{len(data)} bytes came, expected whole events")
            for seconds, microseconds, kind, code, value in EVENT.iter_unpack(data):
                if kind == EV_KEY:
                    self._take(Key(code, value, seconds + microseconds / 1e6))

    def _open(self) -> int:
        inputs = self._sys_root / "class" / "input"
        for name in inputs.glob("event*/device/name"):
            with contextlib.suppress(FileNotFoundError):  # unplugged while we looked
                if name.read_text().strip() == self._name:
                    return self._open_node(self._dev_root / "input" / name.parts[-3])
        raise OSError(errno.ENODEV, f"no device under {inputs} has that name: is it plugged in?")

    def _open_node(self, path: Path) -> int:
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise OSError(
                errno.EACCES,
                f"{path} may not be opened by this user, who must be in group input:"
                " run `sudo usermod -aG input $USER` and log in again",
            ) from error
        # Else the time is the wall's, which jumps. What is no device of the kernel says its own.
        with contextlib.suppress(OSError):
            fcntl.ioctl(file, EVIOCSCLOCKID, struct.pack("i", time.CLOCK_MONOTONIC))
        log.info("%s is there: %s", self._name, path)
        return file

    def _miss(self, error: OSError) -> None:
        """Tell it once, until the device has been there again."""
        if not self._missed:
            log.warning("%s: %s; waiting for it", self._name, error.strerror)
            self._missed = True
