"""A recording: what a sensor saw, with what was done where that is known.

`recordings/csv_file.py` reads and writes them as text, `recordings/npz_file.py` reads collections
of many people.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNLABELLED = -1
LARGEST = 1e6  # m/s² or rad/s: above it the file is damaged, whatever the unit


class RecordingError(ValueError):
    """The file is not a recording; the sentence names the file, the place and what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Rows 1/rate_hz apart, without a gap."""

    start_s: float  # of its first row, in the file's own time
    samples: NDArray[np.float32]  # (n, c) ax ay az in m/s², gx gy gz in rad/s
    codes: NDArray[np.int16]  # (n,) which of Recording.activities; UNLABELLED where unknown


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Runs in order of time, never spliced over a gap."""

    rate_hz: float
    runs: tuple[Run, ...]  # at least one
    n_channels: int  # 3: accel only, 6: accel and gyro
    name: str  # for people
    activities: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return sum(len(run.samples) for run in self.runs)


def read(path: Path, *, subject: int | None = None, session: int | None = None) -> Recording:
    """Read a recording by the ending of its name; subject and session choose within an .npz.

    Raises RecordingError for what is not a recording, OSError for what cannot be read at all.
    """
    from firmware_bridge.recordings.csv_file import read_csv
    from firmware_bridge.recordings.npz_file import read_npz

    if path.name.endswith(".npz"):
        return read_npz(path, subject, session)
    if subject is not None or session is not None:
        raise RecordingError(f"{path}: only an .npz has subjects and sessions to choose from")
    if path.name.endswith((".csv", ".csv.gz")):
        return read_csv(path)
    raise RecordingError(f"{path}: expected a name that ends in .csv, .csv.gz or .npz")
