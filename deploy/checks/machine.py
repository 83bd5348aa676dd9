"""The machine: Python and the compiler, memory, heat, and whether the power supply will do."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from deploy.doctor import Case, Finding, Level

LITTLE_MB, TOO_LITTLE_MB = 150, 50  # numba alone takes 100
HOT_C = 80.0  # the firmware slows a Pi down from here
# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
UNDER_VOLTAGE, CAPPED, THROTTLED, TOO_HOT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
SINCE_BOOT = 16  # the same four, shifted: it has happened
SUPPLY = "the official power supply (5.1 V, 3 A; Pi 5: 5 A), a shorter cable, fewer USB devices"


def check(case: Case) -> Iterator[Finding]:
    bits = 64 if sys.maxsize > 2**32 else 32
    yield Finding(
        "Python", "good", f"{platform.python_version()}, {bits} bit, {platform.machine()}"
    )
    yield from _numba(case, bits)
    yield from _memory(case)
    yield from _heat(case)
    yield from _power(case)


def _numba(case: Case, bits: int) -> Iterator[Finding]:
    try:
        found = version("numba")
    except PackageNotFoundError:
        if bits == 32:
            why, mend = "there is none for 32 bit", "the 64-bit Raspberry Pi OS"
        else:
            why, mend = "it is not installed", f"{sys.executable} -m pip install numba"
        sentence = f"{why}: the same answers, some hundred times slower"
        yield Finding("numba", "note", sentence, mend)
        return
    yield Finding("numba", "good", found)
    folder = _cache(case)
    kept = sum(1 for _ in folder.rglob("*.nbi")) if folder.is_dir() else 0
    writable = os.access(folder if folder.exists() else folder.parent, os.W_OK)
    if kept:
        yield Finding("cache", "good", f"{kept} compiled loops are kept in {folder}")
    elif writable:
        yield Finding(
            "cache", "note", f"nothing compiled yet in {folder}: the first start takes long"
        )
    else:
        yield Finding(
            "cache",
            "note",
            f"nothing compiled can be kept in {folder}: every start takes long",
            "NUMBA_CACHE_DIR=~/.cache/budge in the environment of budge",
        )


def _cache(case: Case) -> Path:
    """Where numba keeps machine code: the service's place, the user's, or beside the source."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return Path(os.environ["NUMBA_CACHE_DIR"])
    service = case.root / "var/cache/budge"
    if service.is_dir():
        return service
    spec = find_spec("learner")
    return Path(spec.origin or ".").parent / "__pycache__" if spec else Path()


def _memory(case: Case) -> Iterator[Finding]:
    lines = (line.split() for line in (case.text("proc/meminfo") or "").splitlines())
    mb = {words[0]: int(words[1]) / 1024 for words in lines if len(words) > 1}
    if "MemAvailable:" not in mb:
        yield Finding("memory", "none", "the kernel does not say how much there is")
        return
    left = mb["MemAvailable:"]
    sentence = f"{left:.0f} of {mb.get('MemTotal:', 0.0):.0f} MB are free to use"
    if left > LITTLE_MB:
        yield Finding("memory", "good", sentence)
    else:
        level: Level = "bad" if left < TOO_LITTLE_MB else "note"
        yield Finding("memory", level, sentence, "ps aux --sort=-rss | head")


def _heat(case: Case) -> Iterator[Finding]:
    text = case.text("sys/class/thermal/thermal_zone0/temp")
    if text is None or not text.isdigit():
        yield Finding("heat", "none", "no thermometer here")
        return
    celsius = int(text) / 1000
    if celsius >= HOT_C:
        sentence = f"{celsius:.0f} °C: the processor slows down from {HOT_C:.0f} °C on"
        yield Finding("heat", "note", sentence, "a heat sink, or more air")
    else:
        yield Finding("heat", "good", f"{celsius:.0f} °C")


def _power(case: Case) -> Iterator[Finding]:
    said = case.output("vcgencmd", "get_throttled")
    try:
        flags = int((said or "").removeprefix("throttled="), 16)
    except ValueError:
        denied = said is None and shutil.which("vcgencmd") is not None
        why = "this user may not ask (group video)" if denied else "no Raspberry Pi to ask"
        yield Finding("power", "none", why)
        return
    ever = flags >> SINCE_BOOT
    if flags & UNDER_VOLTAGE:
        yield Finding("power", "bad", "the power supply is too weak right now", SUPPLY)
    elif ever & UNDER_VOLTAGE:
        yield Finding("power", "note", "the power supply was too weak once since boot", SUPPLY)
    if flags & (CAPPED | THROTTLED | TOO_HOT):
        yield Finding("speed", "note", "the Pi is slowed down right now", "see heat and power")
    if not (flags | ever) & UNDER_VOLTAGE:
        yield Finding("power", "good", "enough, now and since boot")
