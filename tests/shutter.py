"""A Bluetooth shutter of files: two devices of one name to Linux, each with one of its keys.

sysfs is laid out as the kernel does it, a device's events come through a FIFO, and their time is
that of the monotonic clock.
"""

import os
import time
from pathlib import Path

from hat import KEY, MISC, PRESS, RELEASE, SYN, event

NAME = "AB Shutter3"
HALVES = {"Keyboard": "event7", "Consumer Control": "event8"}
KEY_ENTER, KEY_VOLUMEUP = 28, 115  # the small button and the big one


class Shutter:
    """Asleep until it is woken."""

    def __init__(self, root: Path) -> None:
        self.sys_root = root / "sys"
        self.dev_root = root / "dev"
        self._inputs = self.sys_root / "class" / "input"
        self._nodes = self.dev_root / "input"
        self._nodes.mkdir(parents=True)
        self._files: dict[str, int] = {}
        self._add("event0", "vc4-hdmi")
        self._add("event1", "AB Shutter31")

    def _add(self, node: str, name: str) -> None:
        folder = self._inputs / node / "device"
        folder.mkdir(parents=True)
        os.mkfifo(self._nodes / node)
        self._files[node] = os.open(self._nodes / node, os.O_RDWR | os.O_NONBLOCK)
        (folder / "name").write_text(name + "\n")

    def wake(self) -> None:
        for half, node in HALVES.items():
            self._add(node, f"{NAME}        {half}")  # padded as its maker left it

    def sleep(self) -> None:
        for node in HALVES.values():
            (self._inputs / node / "device" / "name").unlink()
            (self._inputs / node / "device").rmdir()
            (self._inputs / node).rmdir()
            (self._nodes / node).unlink()
            os.close(self._files.pop(node))

    def let_go(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def key(self, code: int, value: int, at_s: float | None = None) -> None:
        """What a key does, now or at another time, with what comes along with it."""
        at_s = time.monotonic() if at_s is None else at_s
        node = HALVES["Keyboard" if code == KEY_ENTER else "Consumer Control"]
        os.write(
            self._files[node],
            event(MISC, 4, code, at_s) + event(KEY, code, value, at_s) + event(SYN, 0, 0, at_s),
        )

    def press(self, code: int, *, ago_s: float = 0.0, for_s: float = 0.1) -> None:
        """Press a key and let it go; `ago_s`: when it went down."""
        down_s = time.monotonic() - ago_s
        self.key(code, PRESS, down_s)
        self.key(code, RELEASE, down_s + for_s)
