"""WISDM smartphone and smartwatch: 51 people, 18 activities of three minutes, 20 Hz.

    wisdm-dataset/raw/watch/accel/data_1600_accel_watch.txt, gyro/data_1600_gyro_watch.txt
    wisdm-dataset/raw/phone/accel/data_1600_accel_phone.txt, gyro/data_1600_gyro_phone.txt
    1600,A,252207666810782,-0.36476135,8.793503,1.0550842;

user, activity, time in ns, and acceleration with gravity in m/s² or rotation in rad/s. The two
sensors of a device share its clock, but one may begin rows later than the other: a row is made of
an acceleration and the rotation nearest in time, no more than half a row away.

WISDM-dataset-description.pdf and activity_key.txt (UCI 507); Weiss, Yoneda, Hayajneh 2019.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.recordings.layout import Piece, continuous
from firmware_bridge.recordings.stamped_records import read_records

DATASET = "WISDM smartphone and smartwatch (2019)"
LANDMARK = "raw/watch/accel/data_1600_accel_watch.txt"
RATE_HZ = 20.0
ACC_UNITS = "m/s^2"
LETTERS = {
    "A": "walking",
    "B": "jogging",
    "C": "stairs",
    "D": "sitting",
    "E": "standing",
    "F": "typing",
    "G": "brushing teeth",
    "H": "eating soup",
    "I": "eating chips",
    "J": "eating pasta",
    "K": "drinking from cup",
    "L": "eating sandwich",
    "M": "kicking soccer ball",
    "O": "playing catch with tennis ball",
    "P": "dribbling basketball",
    "Q": "writing",
    "R": "clapping",
    "S": "folding clothes",
}
ACTIVITIES = tuple(LETTERS.values())
PLACES = ("watch", "phone")

CODE_OF = {letter: code for code, letter in enumerate(LETTERS)}
LONGEST_S = 0.2  # as in WISDM of 2011


def parts(folder: Path, place: str) -> list[Path]:
    """See `Layout`."""
    return sorted((folder / "raw" / place / "accel").glob(f"data_*_accel_{place}.txt"))


def read(part: Path, _place: str, skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    accel = read_records(part, CODE_OF, skipped)
    gyro_file = part.parent.with_name("gyro") / part.name.replace("accel", "gyro")
    gyro = read_records(gyro_file, CODE_OF, skipped)
    order = np.argsort(gyro.times_s)
    times_s = gyro.times_s[order]
    after = np.clip(np.searchsorted(times_s, accel.times_s), 1, len(order) - 1)
    later = times_s[after] - accel.times_s < accel.times_s - times_s[after - 1]
    nearest = order[np.where(later, after, after - 1)]
    met = np.abs(gyro.times_s[nearest] - accel.times_s) <= 0.5 / RATE_HZ
    skipped["accelerations without a rotation"] += int((~met).sum())
    signal = np.hstack([accel.values, gyro.values[nearest]])[met].astype(np.float32)
    codes, subject = accel.codes[met], int(re.findall(r"\d+", part.name)[0])
    for run in continuous(accel.times_s[met], RATE_HZ, LONGEST_S, skipped):
        yield Piece(subject, signal[run], codes[run])
