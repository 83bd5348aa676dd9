"""Three clocks and how they meet: the source's seconds, journal time, the wall.

The source counts seconds from anywhere. Journal time is microseconds that never go back, begun
from the wall clock when the process starts. The wall clock is looked at only here, when a message
is written: when NTP corrects it, the next message is right and no window has noticed.
"""

import time

from firmware_bridge.source import Source


class Timeline:
    """Made once a process, after the journal is open and before the first row."""

    def __init__(self, source: Source, horizon_us: int) -> None:
        """`horizon_us`: what nothing in the journal reaches beyond, neither row nor annotation."""
        self._source = source
        # A second after it, so that what was said before is never said of what comes now.
        self.start_us = max(time.time_ns() // 1000, horizon_us + 1_000_000)
        self._zero_us = self.start_us - round(source.now_s() * 1e6)

    def journal_us(self, source_s: float) -> int:
        return self._zero_us + round(source_s * 1e6)

    def source_s(self, journal_us: int) -> float:
        return (journal_us - self._zero_us) / 1e6

    def wall_offset_us(self) -> int:
        """What to add to journal time for the wall's; a recording keeps its own time."""
        if not self._source.live:
            return 0
        return time.time_ns() // 1000 - self.journal_us(self._source.now_s())
