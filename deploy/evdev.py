"""The keys of one input device, by the standard library: a joystick, a shutter, a keyboard.

One device can be several of the kernel's: an `AB Shutter3` is `AB Shutter3        Keyboard` and
`AB Shutter3        Consumer Control`, a key on each. So all are read whose names begin with the
words that are asked for.

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
RETRY_S = 0.5  # between two looks for what is not there: what is pressed until then is lost


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
        self._inputs = sys_root / "class" / "input"
        self._nodes = dev_root / "input"
        self._files: dict[int, str] = {}  # what is open, by the name of its node
        self._trouble: int | None = None  # errno of the last look
        self._told: int | None = None  # of the last warning, until the device is there
        self._wakes, self._wake = os.pipe()  # a byte in it ends the thread, wherever it waits
        self._thread = threading.Thread(target=self._run, name="budge-keys", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; called once."""
        os.write(self._wake, b"x")
        if self._thread.ident is not None:  # started
            self._thread.join()
        for file in (self._wake, self._wakes, *self._files):
            os.close(file)

    def _run(self) -> None:
        look_s = time.monotonic()
        while True:
            if time.monotonic() >= look_s:  # not at every event: a stick that is moved has many
                self._look()
                look_s = time.monotonic() + RETRY_S
            ready = select.select([self._wakes, *self._files], [], [], RETRY_S)[0]
            if self._wakes in ready:
                return
            for file in ready:
                self._read(file)

    def _read(self, file: int) -> None:
        """Hand over the keys that wait; a device that is gone is closed."""
        try:
            data = os.read(file, READ_EVENTS * EVENT.size)
        except OSError as error:
            self._lose(file, error.strerror or str(error))
            return
        if not data or len(data) % EVENT.size:
            self._lose(file, f"{len(data)} bytes came, expected whole events")
            return
        for seconds, microseconds, kind, code, value in EVENT.iter_unpack(data):
            if kind == EV_KEY:
                self._take(Key(code, value, seconds + microseconds / 1e6))

    def _lose(self, file: int, cause: str) -> None:
        """Close what can be read no more. A shutter that falls asleep is no reason to warn."""
        log.info("%s has gone (%s); waiting for it", self._name, cause)
        os.close(file)
        del self._files[file]
        self._told = errno.ENODEV

    def _look(self) -> None:
        """Open what has the name and is not open yet."""
        trouble: OSError | None = None
        there = self._there()
        words = self._name.split()
        ours = [node for node, name in there.items() if name.split()[: len(words)] == words]
        for node in ours:
            if node not in self._files.values():
                try:
                    self._files[self._open(self._nodes / node)] = node
                except OSError as error:
                    trouble = error
        if not ours:
            names = ", ".join(sorted({" ".join(name.split()) for name in there.values()}))
            others = f"only {names}" if names else "nor any other"
            trouble = OSError(
                errno.ENODEV,
                f"no device under {self._inputs} has that name, {others}: plug it in or wake it",
            )
        self._tell(trouble)

    def _there(self) -> dict[str, str]:
        """Return what devices call themselves, by the names of their nodes."""
        names: dict[str, str] = {}
        for file in self._inputs.glob("event*/device/name"):
            with contextlib.suppress(OSError):  # unplugged while we looked
                names[file.parts[-3]] = file.read_text(errors="replace").strip()
        return names

    def _open(self, path: Path) -> int:
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

    def _tell(self, trouble: OSError | None) -> None:
        """Tell what two looks have found, once: what has just come is root's for a moment."""
        before, self._trouble = self._trouble, None if trouble is None else trouble.errno
        if trouble is None:
            self._told = None
        elif before == self._trouble != self._told:
            self._told = self._trouble
            log.warning("%s: %s; waiting for it", self._name, trouble.strerror)
