"""PAMAP2: three inertial units, on the wrist of the dominant arm, chest and ankle, at 100 Hz.

    Protocol/subject101.dat … subject109.dat, 54 columns of a row
     1 time in s, 2 activity, 3 heart rate
     4-20 hand, 21-37 chest, 38-54 ankle, and of each
       1 temperature, 2-4 acceleration in m/s² (to 16 g), 5-7 the same (to 6 g, saturates),
       8-10 rotation in rad/s, 11-13 magnetometer, 14-17 orientation, which is not valid

What the radio lost is NaN: such a row is left out, and there a piece ends. Activity 0 is what
people did in between, of any kind: unlabelled.

readme.pdf and DataCollectionProtocol.pdf of PAMAP2 (UCI 231); Reiss, Stricker 2012.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.recording import UNLABELLED
from firmware_bridge.recordings.layout import Piece, coded, continuous
from firmware_bridge.recordings.tables import read_table

DATASET = "PAMAP2"
LANDMARK = "Protocol/subject101.dat"
RATE_HZ = 100.0
ACC_UNITS = "m/s^2"
NUMBERS = {
    1: "lying",
    2: "sitting",
    3: "standing",
    4: "walking",
    5: "running",
    6: "cycling",
    7: "Nordic walking",
    9: "watching TV",
    10: "computer work",
    11: "car driving",
    12: "ascending stairs",
    13: "descending stairs",
    16: "vacuum cleaning",
    17: "ironing",
    18: "folding laundry",
    19: "house cleaning",
    20: "playing soccer",
    24: "rope jumping",
}
ACTIVITIES = tuple(NUMBERS.values())
PLACES = ("hand", "chest", "ankle")

CODE_OF = {0: UNLABELLED} | {number: code for code, number in enumerate(NUMBERS)}
LONGEST_S = 1.5 / RATE_HZ  # times are written to 0.01 s and do not jitter


def parts(folder: Path, _place: str) -> list[Path]:
    """See `Layout`."""
    return sorted((folder / "Protocol").glob("subject1[0-9][0-9].dat"))


def read(part: Path, place: str, skipped: Counter[str]) -> Iterator[Piece]:
    """See `Layout`."""
    first = 3 + 17 * PLACES.index(place)
    used = [0, 1, *range(first + 1, first + 4), *range(first + 7, first + 10)]
    table = read_table(part, 54, used, holes=True)
    codes = coded(table[:, 1], CODE_OF, part)
    whole = ~np.isnan(table).any(axis=1)
    skipped["rows with NaN"] += int((~whole).sum())
    table, codes = table[whole], codes[whole]
    for run in continuous(table[:, 0], RATE_HZ, LONGEST_S, skipped):
        yield Piece(
            int(part.stem.removeprefix("subject")), table[run, 2:].astype(np.float32), codes[run]
        )
