"""Remembers from day to day how fast each chip really samples, in one small JSON file.

A chip's clock is off by percents but stays so: with yesterday's rate a run begins after half a
second instead of two. The file may be deleted at any time; it is measured again.

    {"lsm9ds1@0x6a": 121.37, ...}
"""

import json
import logging
import os
from pathlib import Path
from typing import Any, TypeGuard

log = logging.getLogger(__name__)

KNOWN_DOUBT = 0.0005  # 1 sigma: a measurement no better than this is not worth keeping
PLAUSIBLE = 0.25  # off the nominal rate: the worst of our chips is 0.19 off, by its datasheet
# Weight of a new measurement against what is stored: days differ in temperature, and one of them
# should not be taken for the chip.
REFINE = 0.2
SAME_CHIP = 0.01  # further apart than this, it is another chip and begins anew


def load(path: Path, chip: str, nominal_hz: float) -> float | None:
    """Return the rate kept for `chip`; None if there is none that can be believed.

    `chip` names driver and address, all we can know of which chip it is.
    """
    stored = _read(path).get(chip)
    if stored is None:
        return None
    if not _plausible(stored, nominal_hz):
        log.warning(
            "%s: the rate of %s is %r, expected about %g Hz: it is measured anew",
            *(path, chip, stored, nominal_hz),
        )
        return None
    return float(stored)


def store(path: Path, chip: str, rate_hz: float, doubt: float) -> None:
    """Refine what is kept for `chip` by health's rate_hz and rate_doubt; a doubtful one is not.

    Written aside and put in place at once: a power cut leaves the old file or the new one. Raises
    the OSError of a folder that cannot be written to.
    """
    if not doubt < KNOWN_DOUBT:
        return
    rates = _read(path)
    before = rates.get(chip)
    if _plausible(before, rate_hz) and abs(rate_hz / before - 1) < SAME_CHIP:
        rate_hz = before + REFINE * (rate_hz - before)
    rates[chip] = round(rate_hz, 4)
    aside = path.with_name(path.name + ".new")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(rates, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _plausible(stored: Any, expected_hz: float) -> TypeGuard[float]:
    return isinstance(stored, int | float) and abs(stored / expected_hz - 1) < PLAUSIBLE


def _read(path: Path) -> dict[str, Any]:
    """All that the file holds; nothing where it is missing or broken."""
    try:
        rates = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be read (%s): rates are measured anew", path, error)
        return {}
    if not isinstance(rates, dict):
        log.warning("%s holds no table of rates: they are measured anew", path)
        return {}
    return rates
