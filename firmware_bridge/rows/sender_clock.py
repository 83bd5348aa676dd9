"""How the clock of a sender stands to ours, told by when its messages arrive."""

from collections import deque
from math import inf

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.rows.grid import STEER_MOST

MEMORY_S = 60.0  # at 100 ppm the least late of so long is 6 ms old news
SETTLE_S = 2.0  # of listening to a new sender, until one of its batches was hardly late

Floats = NDArray[np.float64]


class SenderClock:
    """How a sender's clock stands to ours.

    A batch is a little late or very late, but never early: the least late of the last minute
    tells. What it tells is followed at no more than half a percent in speed.
    """

    def __init__(self) -> None:
        # When something arrived, and by how much our clock was ahead: those that are the least of
        # all after them, so that the first is the least of all.
        self._heard: deque[tuple[float, float]] = deque()
        self._first_s = inf
        self._newest_s = 0.0
        self._ahead_s = 0.0

    def hear(self, newest_s: float, now_s: float) -> None:
        """At `now_s` something arrived that was sent at `newest_s` of the sender's clock."""
        self._first_s = min(self._first_s, now_s)
        ahead_s = now_s - newest_s
        while self._heard and self._heard[-1][1] >= ahead_s:
            self._heard.pop()
        self._heard.append((now_s, ahead_s))
        while self._heard[0][0] < now_s - MEMORY_S:
            self._heard.popleft()

    def known(self, now_s: float) -> bool:
        """Whether it was listened to for long enough to begin a run."""
        return now_s - self._first_s >= SETTLE_S

    @property
    def off_s(self) -> float:
        """By how much the clock is not where it was thought to be."""
        return self._heard[0][1] - self._ahead_s

    def settle(self, stamps: Floats) -> Floats:
        """Return our times, by what is known best at this moment."""
        self._newest_s, self._ahead_s = float(stamps[-1]), self._heard[0][1]
        return stamps + self._ahead_s

    def follow(self, stamps: Floats) -> Floats:
        """Return our times, in line with those before: nothing jumps."""
        most_s = STEER_MOST * (float(stamps[-1]) - self._newest_s)
        ahead_s = self._ahead_s + min(max(self.off_s, -most_s), most_s)
        line = np.interp(stamps, [self._newest_s, stamps[-1]], [self._ahead_s, ahead_s])
        self._newest_s, self._ahead_s = float(stamps[-1]), ahead_s
        return stamps + line
