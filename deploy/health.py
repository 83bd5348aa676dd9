"""How the line itself is doing: at once when that changes, and every minute."""

import logging
import time
from pathlib import Path

from deploy.messages import Health, rfc3339
from firmware_bridge.source import Source

log = logging.getLogger(__name__)

EVERY_S = 60.0
LOOK_S = 1.0
START_S = 10.0  # a sensor that has not started by then has a problem
PAGE_BYTES = 4096
TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")  # of the Pi's processor, in m°C


class Monitor:
    """Watches one source. Times are of the monotonic clock, apart from what is published."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._started_s = time.monotonic()
        self._looked_s = self._said_s = float("-inf")
        self._drifting: tuple[str, ...] = ()
        self._told: tuple[object, ...] = ()  # what is told at once when it changes

    def look(
        self,
        *,
        rows_lost: int,
        waiting: int,
        drifting: tuple[str, ...],
        trouble: str | None = None,
    ) -> Health | None:
        """Return what there is to say, if anything.

        `rows_lost` to a learner that was too slow; `waiting` in the inbox; `drifting`: activities
        that do not look like themselves any more; `trouble`: what is wrong with the journal.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return None
        self._looked_s = now_s
        source = self._source.health()
        starting = source.state == "starting" and now_s - self._started_s > START_S
        state = "not started" if starting else source.state
        told = (state, drifting, trouble, source.gaps)
        if told == self._told and now_s - self._said_s < EVERY_S:
            return None
        for activity in sorted({*drifting} - {*self._drifting}):
            log.warning("%s", _advice(activity))
        self._drifting = drifting
        self._told, self._said_s = told, now_s
        return Health(
            problem=state in {"gap", "not started"} or trouble is not None,
            state=state,
            since=rfc3339(round((time.time() - self._source.now_s() + source.since_s) * 1e6)),
            cause=trouble or source.cause,
            rate_hz=round(source.rate_hz, 3),
            gaps=source.gaps,
            errors=source.errors,
            lost=source.lost + rows_lost,
            waiting=waiting,
            uptime_s=round(now_s - self._started_s, 1),
            memory_mb=_memory_mb(),
            temperature_c=_temperature_c(),
            drifting=drifting,
            advice=_advice(", ".join(drifting)) if drifting else None,
        )


def _advice(activities: str) -> str:
    return (
        f"{activities}: looks less like what was taught than it did. Is the sensor worn another"
        " way? Put it back, or teach this again. Was it something new? Teach that"
    )


def _memory_mb() -> float | None:
    """Resident memory of this process."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):  # systemd's ProcSubset=pid, or no Linux
        return None
    return round(pages * PAGE_BYTES / 1e6, 1)


def _temperature_c() -> float | None:
    try:
        return round(int(TEMPERATURE.read_text()) / 1000, 1)
    except (OSError, ValueError):
        return None
