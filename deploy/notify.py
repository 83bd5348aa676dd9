"""Tells systemd how the service is doing: sd_notify is one datagram, so it needs no library."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)

START_US = 1200_000_000  # TimeoutStartSec of budge.service
FED_PER_LIMIT = 4  # so often within WatchdogSec: a busy moment must not look like the end


class Systemd:
    """The service manager of this process; where there is none, nothing is said. One thread's."""

    def __init__(self) -> None:
        """Read what systemd left in the environment."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        # @ stands for the zero byte of Linux's abstract addresses.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        whose = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        mine = whose == str(os.getpid())
        self._limit_us = int(os.environ.get("WATCHDOG_USEC", "0")) if mine else 0
        self._fed_s = float("-inf")
        self._status = ""
        self._dead: list[str] = []  # told, and not told again until that changes

    @property
    def there(self) -> bool:
        """Whether a service manager has started this process."""
        return bool(self._address)

    def ready(self) -> None:
        """Say that the service does its work; from here on the watchdog counts."""
        self._say("READY=1" + self._as_usual())

    def status(self, sentence: str) -> None:
        """Say what `systemctl status` shows; the same sentence again costs nothing."""
        if sentence != self._status:
            self._status = sentence
            self._say(f"STATUS={sentence}")

    def feed(self, alive: Mapping[str, bool]) -> None:
        """Feed the watchdog if all these parts are alive; may be called as often as you like."""
        now_s = time.monotonic()
        if not self._limit_us or now_s - self._fed_s < self._limit_us / 1e6 / FED_PER_LIMIT:
            return
        dead = [part for part, lives in alive.items() if not lives]
        if not dead:
            self._fed_s = now_s
            self._say("WATCHDOG=1")
        elif dead != self._dead:
            log.error(
                "%s: no sign of life; systemd will restart budge unless one comes within %.0f s",
                ", ".join(dead),
                self._limit_us / 1e6 - (now_s - self._fed_s),
            )
        self._dead = dead

    @contextlib.contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Let the watchdog wait as long as this for work that cannot feed it in between."""
        if not self._limit_us:
            yield
            return
        self._say(f"WATCHDOG_USEC={max(self._limit_us, round(seconds * 1e6))}")
        try:
            yield
        finally:
            self._say("WATCHDOG=1" + self._as_usual())

    def beginning_again(self) -> None:
        """Say that until `ready` it may take as long as a start."""
        if self._limit_us:
            self._say(f"WATCHDOG_USEC={max(self._limit_us, START_US)}\nWATCHDOG=1")

    def _as_usual(self) -> str:
        return f"\nWATCHDOG_USEC={self._limit_us}" if self._limit_us else ""

    def stopping(self) -> None:
        """Say that the end is wanted: from here on silence is no fault."""
        self._say("STOPPING=1")

    def close(self) -> None:
        self._socket.close()

    def _say(self, line: str) -> None:
        if self._address:
            # Its ear may be full or gone; the line goes on, and the watchdog is what that is for.
            with contextlib.suppress(OSError):
                self._socket.sendto(line.encode(), self._address)
