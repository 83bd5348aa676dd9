"""What a source promises: rows on a uniform grid, in runs that are never spliced.

One source is one file in `sources/`; the name in the settings is the name of the file. The file has

    Options       a frozen dataclass: what the table [sources.NAME] of the settings may say
    open_source   open_source(options, clock, rate_hz) -> Source; raises SourceError
    Source        the class that keeps `Source`

(`i2c` and `recording` are opened by who knows their buses and files.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A few consecutive rows of one run. Rows of a run lie exactly 1/rate_hz apart."""

    run: int  # counts up from 0; a new one after every gap
    first: int  # which row of the run `counts[0]` is
    run_start_s: float  # source time of the run's row 0
    counts: NDArray[np.int16]  # (n, c); times Source.scale it is m/s² and rad/s
    cause: str  # why this run began: "start", "fifo overrun", "bus error: …"


@dataclass(frozen=True, slots=True)
class Health:
    """How a source is doing."""

    state: str  # "starting", "connected" (rows flow) or "gap"
    since_s: float  # source time from which on it is in this state
    rate_hz: float  # measured, of the sensor itself
    gaps: int
    errors: int  # of the bus, of frames, of lines
    lost: int  # samples that never came, as far as that is known
    cause: str | None  # why the last gap began, None before the first


class SourceError(RuntimeError):
    """The source cannot go on; the sentence says what was found and what to do."""


class Source(Protocol):
    """Where rows come from. Quantised once, here: whoever sees them sees the same numbers."""

    rate_hz: float  # of the grid
    scale: NDArray[np.float32]  # (c,) m/s² per count for ax ay az, rad/s for gx gy gz
    live: bool  # True: a sensor, which cannot wait; False: a recording, which can

    def now_s(self) -> float:
        """Source time at this moment; for a recording, of the last row given out."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield chunks until the source ends (a sensor never does) or is closed."""

    def truth(self, start_s: float, end_s: float) -> str | None:
        """What was really done over at least 80 % of this stretch, where the source knows it."""

    def health(self) -> Health:
        """How it is doing; from any thread."""

    def close(self) -> None:
        """End `chunks` soon, from any thread."""
