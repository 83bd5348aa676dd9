"""A Sense HAT of files: sysfs as the kernel lays it out, a FIFO for the stick, a file for the LEDs.

/sys/class/input/event3 -> ../../devices/…/event3, as in sysfs: a link to a folder, whose `device`
leads to the folder with the name.
"""

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from deploy.led_matrix import DARK

STICK = "Raspberry Pi Sense HAT Joystick"
LEFT, RIGHT, ENTER = 105, 106, 28
RELEASE, PRESS, HOLD = 0, 1, 2
SYN, KEY, MISC = 0, 1, 4
PATIENCE_S = 20.0  # for what takes milliseconds; only a failing test waits so long


def until(true: Callable[[], object], what: str) -> None:
    """Wait for what another thread is about to do."""
    end_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end_s, f"waited in vain until {what}"
        time.sleep(0.005)


def event(kind: int, code: int, value: int, time_s: float) -> bytes:
    """One struct input_event of this machine."""
    seconds = int(time_s)
    return struct.pack("llHHi", seconds, round((time_s - seconds) * 1e6), kind, code, value)


class Hat:
    """The files below `root`, with others of other names beside them."""

    def __init__(self, root: Path) -> None:
        self.sys_root = root / "sys"
        self.dev_root = root / "dev"
        self.leds = self.dev_root / "fb1"
        self.stick = self.dev_root / "input" / "event3"
        self.stick.parent.mkdir(parents=True)
        self._now_s = 1000.0
        self._file: int | None = None
        self._device("graphics", "fb0", "name", "BCM2708 FB")
        self._device("input", "event0", "device/name", "vc4-hdmi")
        (self.dev_root / "fb0").write_bytes(DARK)
        (self.stick.parent / "event0").write_bytes(b"")

    def _device(self, kind: str, node: str, file: str, name: str) -> None:
        real = self.sys_root / "devices" / kind / node
        (real / file).parent.mkdir(parents=True)
        (real / file).write_text(name + "\n")
        link = self.sys_root / "class" / kind / node
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(real)

    def plug_in_leds(self) -> None:
        self.leds.write_bytes(b"\xff" * 128)
        self._device("graphics", "fb1", "name", "RPi-Sense FB")

    def plug_in_stick(self) -> None:
        os.mkfifo(self.stick)
        # Both ways, so that opening does not wait for the reader.
        self._file = os.open(self.stick, os.O_RDWR | os.O_NONBLOCK)
        self._device("input", "event3", "device/name", STICK)

    def pull_out_stick(self) -> None:
        """The reader's next read says that nobody is at the other end."""
        (self.sys_root / "class" / "input" / "event3").unlink()
        real = self.sys_root / "devices" / "input" / "event3"
        (real / "device" / "name").unlink()
        (real / "device").rmdir()
        real.rmdir()
        self.stick.unlink()
        self.let_go()

    def let_go(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def send(self, data: bytes) -> None:
        assert self._file is not None
        os.write(self._file, data)

    def key(self, code: int, value: int, after_s: float = 0.05) -> None:
        """What a key does, with the other events that come along with it."""
        self._now_s += after_s
        self.send(
            event(MISC, 4, code, self._now_s)
            + event(KEY, code, value, self._now_s)
            + event(SYN, 0, 0, self._now_s)
        )

    def press(self, code: int) -> None:
        self.key(code, PRESS)
        self.key(code, RELEASE)

    def hold(self, code: int, seconds: float) -> None:
        """As the kernel repeats: after 250 ms, then every 33 ms."""
        self.key(code, PRESS)
        self.key(code, HOLD, 0.25)
        for _ in range(int((seconds - 0.25) / 0.033)):
            self.key(code, HOLD, 0.033)
        self.key(code, RELEASE, 0.02)
