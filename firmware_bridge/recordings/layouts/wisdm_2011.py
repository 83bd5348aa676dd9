"""WISDM activity prediction 1.1: a phone in the front pocket of the trousers, 20 Hz.

    WISDM_ar_v1.1_raw.txt
    33,Jogging,49105962326000,-0.6946377,12.680544,0.50395286;

user, activity, time in ns, acceleration with gravity in m/s². The phones gave rows late or hardly
more than nine a second at times: a piece ends where time jumps, and one whose rate is not 20 Hz is
left out.

WISDM_ar_v1.1_raw_about.txt; Kwapisz, Weiss, Moore 2011.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.recordings.layout import Piece, continuous
from firmware_bridge.recordings.stamped_records import read_records

DATASET = "WISDM 1.1 (2011)"
LANDMARK = "WISDM_ar_v1.1_raw.txt"
RATE_HZ = 20.0
ACC_UNITS = "m/s^2"
ACTIVITIES = ("Walking", "Jogging", "Upstairs", "Downstairs", "Sitting", "Standing")
PLACES = ("pocket",)

LONGEST_S = 0.2  # times jitter by more than a row: a gap is told from lateness at four


def parts(folder: Path, _place: str) -> list[Path]:
    """See `Layout`."""
    return [folder / LANDMARK] if (folder / LANDMARK).is_file() else []


def read(part: Path, _place: str, skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    everybody = read_records(part, {name: k for k, name in enumerate(ACTIVITIES)}, skipped)
    for user in np.unique(everybody.users).tolist():
        its = everybody.of(everybody.users == user)
        for run in continuous(its.times_s, RATE_HZ, LONGEST_S, skipped):
            yield Piece(user, its.values[run].astype(np.float32), its.codes[run])
