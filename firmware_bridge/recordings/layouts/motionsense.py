"""MotionSense: an iPhone in the front pocket of the trousers, 24 people, 15 trials each, 50 Hz.

    A_DeviceMotion_data/dws_1/sub_1.csv … wlk_15/sub_24.csv: a trial's activity and number, a person
    ,attitude.roll,…,gravity.x,…,rotationRate.x,…,userAcceleration.x,userAcceleration.y,…z

Gravity and the rest of the acceleration were told apart by the phone, in g: here they are one
again. iOS counts acceleration the other way round than Android and every sensor of ours (the axis
that points up reads -1 g at rest), so the sign of the sum is turned. Rotation is in rad/s, the same
way round for all.

README.md of github.com/mmalekzadeh/motion-sense; Malekzadeh, Clegg, Cavallaro, Haddadi 2019.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.recordings.layout import Piece
from firmware_bridge.recordings.tables import read_table

DATASET = "MotionSense"
LANDMARK = "dws_1/sub_1.csv with the columns of A_DeviceMotion_data"
RATE_HZ = 50.0
ACC_UNITS = "g"
NAMES = {
    "dws": "downstairs",
    "ups": "upstairs",
    "wlk": "walking",
    "jog": "jogging",
    "sit": "sitting",
    "std": "standing",
}
ACTIVITIES = tuple(NAMES.values())
PLACES = ("pocket",)

HEADER = "," + ",".join(
    f"{name}.{part}"
    for name, its in [
        ("attitude", ("roll", "pitch", "yaw")),
        ("gravity", "xyz"),
        ("rotationRate", "xyz"),
        ("userAcceleration", "xyz"),
    ]
    for part in its
)


def parts(folder: Path, _place: str) -> list[Path]:
    """See `Layout`. Folders B and C of the collection lie as A does, with other columns."""
    files = sorted(
        (file for name in NAMES for file in folder.glob(f"{name}_*/sub_*.csv")), key=_place_in_order
    )
    if not files:
        return []
    with files[0].open(encoding="latin-1") as text:
        return files if "attitude.roll" in text.readline() else []


def read(part: Path, _place: str, _skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    subject, name, _ = _place_in_order(part)
    table = read_table(part, 13, range(4, 13), delimiter=",", header=HEADER)
    gravity, rotation, moved = np.hsplit(table, 3)
    signal = np.hstack([-(gravity + moved), rotation]).astype(np.float32)
    code = list(NAMES).index(name)
    yield Piece(subject, signal, np.full(len(signal), code, np.int16))


def _place_in_order(file: Path) -> tuple[int, str, int]:
    """Subject, activity, trial."""
    name, trial = file.parent.name.split("_")
    return int(re.sub(r"\D", "", file.stem)), name, int(trial)
