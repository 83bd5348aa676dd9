"""When to look at a sensor that keeps its samples until somebody comes for them."""

from threading import Event

from firmware_bridge.clock import Clock

GOLDEN = 0.618034  # its multiples spread evenly over one period, however many there are


class Pace:
    """Moments `every_s` apart, each put off by another part of one period of the sensor.

    Were they a whole number of its periods apart, its count would be rounded the same way each
    time, and a line through the counts be off.
    """

    def __init__(self, clock: Clock, every_s: float, closed: Event) -> None:
        self._clock = clock
        self._every_s = every_s
        self._closed = closed
        self._due_s = clock.now_s()
        self._looks = 0

    def wait(self, period_s: float) -> None:
        """Sleep to the next moment, in short pieces, not beyond `closed`."""
        self._due_s = max(self._due_s + self._every_s, self._clock.now_s())
        self._looks += 1
        due_s = self._due_s + (self._looks * GOLDEN) % 1.0 * period_s
        while not self._closed.is_set() and (left_s := due_s - self._clock.now_s()) > 0:
            self._clock.sleep_s(min(left_s, self._every_s))

    def put_off(self, seconds: float) -> None:
        """Let the next moment be so far away."""
        self._due_s = self._clock.now_s() + seconds - self._every_s
