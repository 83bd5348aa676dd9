"""UCI HAR: a phone on the waist, cut into windows that overlap by half.

    train/ and test/, and in each
    y_train.txt, subject_train.txt         one number a window
    Inertial Signals/total_acc_x_train.txt, … body_gyro_z_train.txt
                                           128 numbers a window, 2.56 s; acc in g, gyro in rad/s

The first half of a window is the second half of the one before, number for number, where the
recording went on: there the windows are put together again. Where two halves differ, or the person
does, a piece ends. Nothing is done about the noise filter they went through.

README.txt of the UCI HAR Dataset 1.0 (UCI 240); Anguita, Ghio, Oneto, Parra, Reyes-Ortiz 2013.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from firmware_bridge.recording import UNLABELLED, RecordingError
from firmware_bridge.recordings.layout import Piece, coded
from firmware_bridge.recordings.tables import read_table

DATASET = "UCI HAR"
LANDMARK = "train/Inertial Signals/total_acc_x_train.txt"
RATE_HZ = 50.0
ACC_UNITS = "g"
ACTIVITIES = (
    "WALKING",
    "WALKING_UPSTAIRS",
    "WALKING_DOWNSTAIRS",
    "SITTING",
    "STANDING",
    "LAYING",
)
PLACES = ("waist",)

SIGNALS = [f"{kind}_{axis}" for kind in ("total_acc", "body_gyro") for axis in "xyz"]
ROWS, HALF = 128, 64


def parts(folder: Path, _place: str) -> list[Path]:
    """See `Layout`."""
    return [folder / side for side in ("train", "test")] if (folder / LANDMARK).is_file() else []


def read(part: Path, _place: str, _skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    side = part.name
    labels_file = part / f"y_{side}.txt"
    labels = read_table(labels_file, 1, [0])[:, 0]
    codes = coded(labels, {number + 1: number for number in range(6)}, labels_file)
    files = [part / f"subject_{side}.txt"]
    files += [part / "Inertial Signals" / f"{name}_{side}.txt" for name in SIGNALS]
    subjects, *signals = (
        read_table(file, columns, range(columns))
        for file, columns in zip(files, [1] + [ROWS] * 6, strict=True)
    )
    for file, table in zip(files, [subjects, *signals], strict=True):
        if len(table) != len(codes):
            raise RecordingError(
                f"{file}: {len(table)} windows, expected as many as in {labels_file.name},"
                f" {len(codes)}"
            )
    windows = np.stack(signals, axis=2)
    goes_on = (windows[1:, :HALF] == windows[:-1, HALF:]).all(axis=(1, 2))
    goes_on &= subjects[1:, 0] == subjects[:-1, 0]
    bounds = [0, *(np.flatnonzero(~goes_on) + 1).tolist(), len(windows)]
    for first, after in pairwise(bounds):
        its = codes[first:after]
        # a half that two windows share has a label if they agree
        between = np.where(its[1:] == its[:-1], its[1:], UNLABELLED)
        halves = np.concatenate([its[:1], between, its[-1:]]).astype(np.int16)
        rows = np.concatenate([windows[first, :HALF], *windows[first:after, HALF:]])
        yield Piece(int(subjects[first, 0]), rows.astype(np.float32), np.repeat(halves, HALF))
