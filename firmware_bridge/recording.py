"""A recording: what a sensor saw, with what was done where that is known.

`recordings/` reads and writes them: text in `csv_file.py`, collections of many people in
`npz_file.py`; `files.py` tells which by the name.
"""

from dataclasses import dataclass

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
    subject: int | None = None  # who wore the sensor, where the file says


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
