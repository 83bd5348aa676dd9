"""USC-HAD: a MotionNode on the front right hip, 14 people, 12 activities, five trials each, 100 Hz.

    Subject1/a1t1.mat … Subject14/a12t5.mat: activity and trial
    in each `sensor_readings` (n, 6), acceleration in g, rotation in degrees/s

The number of the activity is taken from the file's name: its field is spelt in two ways.

Readme.txt of USC-HAD 1.0; Zhang, Sawchuk 2012.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.recording import RecordingError
from firmware_bridge.recordings.layout import Piece

DATASET = "USC-HAD"
LANDMARK = "Subject1/a1t1.mat"
RATE_HZ = 100.0
ACC_UNITS = "g"
ACTIVITIES = (
    "walking forward",
    "walking left",
    "walking right",
    "walking upstairs",
    "walking downstairs",
    "running forward",
    "jumping up",
    "sitting",
    "standing",
    "sleeping",
    "elevator up",
    "elevator down",
)
PLACES = ("hip",)


def parts(folder: Path, _place: str) -> list[Path]:
    """See `Layout`."""
    return sorted(folder.glob("Subject*/a*t*.mat"), key=_numbers)


def read(part: Path, _place: str, _skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError as error:
        raise RecordingError(
            f"{part}: a .mat is read by scipy, which is not installed: pip install scipy"
        ) from error
    subject, activity, _ = _numbers(part)
    if not 1 <= activity <= len(ACTIVITIES):
        raise RecordingError(f"{part}: activity {activity}, expected 1 to {len(ACTIVITIES)}")
    try:
        signal = np.array(loadmat(part)["sensor_readings"], np.float64)
    # whatever is wrong with the bytes of a .mat, scipy has an error of another class for it
    except (ValueError, TypeError, KeyError, NotImplementedError, EOFError, IndexError) as error:
        raise RecordingError(f"{part}: not a .mat with sensor_readings ({error!r})") from error
    if signal.ndim != 2 or signal.shape[1] != 6 or not np.isfinite(signal).all():
        raise RecordingError(
            f"{part}: sensor_readings are {signal.shape}, expected finite numbers (n, 6)"
        )
    signal[:, 3:] = np.deg2rad(signal[:, 3:])
    yield Piece(subject, signal.astype(np.float32), np.full(len(signal), activity - 1, np.int16))


def _numbers(file: Path) -> tuple[int, int, int]:
    """Subject, activity, trial."""
    subject, activity, trial = re.findall(r"\d+", f"{file.parent.name} {file.stem}")
    return int(subject), int(activity), int(trial)
