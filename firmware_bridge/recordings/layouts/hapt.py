"""HAPT: the raw recordings of UCI HAR's people, with the transitions between postures.

    RawData/acc_exp01_user01.txt, gyro_exp01_user01.txt     x y z a row, 50 Hz; g and rad/s
    RawData/labels.txt       experiment user activity first last: rows, from 1, the last one too

README.txt of HAPT 2.1 (UCI 341); Reyes-Ortiz, Oneto, Samà, Parra, Anguita 2016.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.recording import UNLABELLED, RecordingError
from firmware_bridge.recordings.layout import Piece
from firmware_bridge.recordings.tables import read_table

DATASET = "HAPT"
LANDMARK = "RawData/labels.txt and acc_exp01_user01.txt"
RATE_HZ = 50.0
ACC_UNITS = "g"
ACTIVITIES = (
    "WALKING",
    "WALKING_UPSTAIRS",
    "WALKING_DOWNSTAIRS",
    "SITTING",
    "STANDING",
    "LAYING",
    "STAND_TO_SIT",
    "SIT_TO_STAND",
    "SIT_TO_LIE",
    "LIE_TO_SIT",
    "STAND_TO_LIE",
    "LIE_TO_STAND",
)
PLACES = ("waist",)


def parts(folder: Path, _place: str) -> list[Path]:
    """See `Layout`."""
    raw = folder / "RawData"
    if not (raw / "labels.txt").is_file():
        return []
    return sorted(raw.glob("acc_exp[0-9][0-9]_user[0-9][0-9].txt"))


def read(part: Path, _place: str, _skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    experiment, user = map(int, re.findall(r"\d+", part.name))
    accel = read_table(part, 3, range(3))
    gyro_file = part.with_name(part.name.replace("acc", "gyro"))
    gyro = read_table(gyro_file, 3, range(3))
    if len(gyro) != len(accel):
        raise RecordingError(
            f"{gyro_file}: {len(gyro)} rows, expected as many as in {part.name}, {len(accel)}"
        )
    codes = np.full(len(accel), UNLABELLED, np.int16)
    labels_file = part.with_name("labels.txt")
    labels = read_table(labels_file, 5, range(5)).astype(int).tolist()
    for line, (exp, who, activity, first, last) in enumerate(labels, 1):
        if (exp, who) != (experiment, user):
            continue
        if not (1 <= first <= last <= len(accel) and 1 <= activity <= len(ACTIVITIES)):
            raise RecordingError(
                f"{labels_file}, line {line}: activity {activity}, rows {first} to {last}, expected"
                f" 1 to {len(ACTIVITIES)} and rows of {part.name}, which has {len(accel)}"
            )
        codes[first - 1 : last] = activity - 1
    yield Piece(user, np.hstack([accel, gyro]).astype(np.float32), codes)
