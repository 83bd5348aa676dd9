"""The clock: a Pi has none that runs without power, so it must have been told the time."""

import ctypes
import time
from collections.abc import Iterator

from deploy.doctor import Case, Finding

MADE_S = 1_767_225_600  # 2026: an earlier clock was never set
TIME_ERROR = 5  # what adjtimex(2) returns while nobody has set the clock
TIMEX_BYTES = 512  # struct timex has 208; all zero, it asks and changes nothing


def check(case: Case) -> Iterator[Finding]:
    now = time.strftime("%Y-%m-%d %H:%M %Z")
    mend = "timedatectl set-ntp true; timedatectl timesync-status"
    if time.time() < MADE_S:
        yield Finding("clock", "bad", f"it says {now}, which is past", mend)
    elif (case.root / "run/systemd/timesync/synchronized").exists() or _synchronised():
        yield Finding("clock", "good", f"{now}, told by the network")
    else:
        yield Finding(
            "clock",
            "note",
            f"{now}, but no time server confirms it. What is taught is right all the same; the"
            " times in messages may be wrong until then",
            mend,
        )
    zone = _zone(case)
    yield Finding("time zone", "good", f"{zone}; topics have UTC, the page your phone's")


def _synchronised() -> bool:
    """Ask the kernel, which any time service tells: chrony and ntpd leave no file."""
    try:
        told = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
        return 0 <= int(told) < TIME_ERROR
    except (OSError, AttributeError):
        return False


def _zone(case: Case) -> str:
    link = case.root / "etc/localtime"
    name = str(link.readlink()).partition("zoneinfo/")[2] if link.is_symlink() else ""
    return name or case.text("etc/timezone") or "not set"
