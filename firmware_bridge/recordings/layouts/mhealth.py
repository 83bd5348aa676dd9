"""MHEALTH: units on the left ankle, the right lower arm and the chest, at 50 Hz, ten people.

    mHealth_subject1.log … mHealth_subject10.log, 24 columns of a row, no time
     1-3 chest acceleration, 4-5 ECG
     6-8 ankle acceleration, 9-11 rotation, 12-14 magnetometer
    15-17 arm acceleration, 18-20 rotation, 21-23 magnetometer
    24 activity, 0 for none of them

Acceleration is in m/s²; the gyro's unit is said to be deg/s, and is taken for that, although its
numbers stay so small (about 1 where a leg that jogs does 300) that it can hardly be true.

README.txt of the MHEALTH dataset (UCI 319); Banos et al. 2014.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.recording import UNLABELLED
from firmware_bridge.recordings.layout import Piece, coded
from firmware_bridge.recordings.tables import read_table

DATASET = "MHEALTH"
LANDMARK = "mHealth_subject1.log"
RATE_HZ = 50.0
ACC_UNITS = "m/s^2"
ACTIVITIES = (
    "standing still",
    "sitting and relaxing",
    "lying down",
    "walking",
    "climbing stairs",
    "waist bends forward",
    "frontal elevation of arms",
    "knees bending",
    "cycling",
    "jogging",
    "running",
    "jump front and back",
)
PLACES = ("ankle", "arm", "chest")

COLUMNS = {"ankle": range(5, 11), "arm": range(14, 20), "chest": range(3)}
CODE_OF = {0: UNLABELLED} | {code + 1: code for code in range(len(ACTIVITIES))}


def parts(folder: Path, _place: str) -> list[Path]:
    """See `Layout`."""
    return sorted(folder.glob("mHealth_subject*.log"), key=_subject)


def read(part: Path, place: str, _skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    table = read_table(part, 24, [*COLUMNS[place], 23])
    codes = coded(table[:, -1], CODE_OF, part)
    signal = table[:, :-1]
    signal[:, 3:] = np.deg2rad(signal[:, 3:])
    yield Piece(_subject(part), signal.astype(np.float32), codes)


def _subject(part: Path) -> int:
    return int(re.sub(r"\D", "", part.stem))
