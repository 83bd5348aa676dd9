"""The host's time, which can be real or run as fast as the machine allows."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that only go forward; where zero lies means nothing."""

    def now_s(self) -> float: ...

    def sleep_s(self, seconds: float) -> None: ...


class MonotonicClock:
    """The kernel's monotonic clock: unmoved by NTP steps, and a Pi without RTC has many."""

    def now_s(self) -> float:
        return time.monotonic()

    def sleep_s(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class VirtualClock:
    """Time that passes only when somebody sleeps: a day of sensor time in seconds, repeatable."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        return self._now_s

    def sleep_s(self, seconds: float) -> None:
        self._now_s += max(seconds, 0.0)
