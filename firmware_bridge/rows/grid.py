"""One run of a chip's frames, put onto the uniform grid: where rate and resampler meet.

Row k of a run is promised to lie at run_start_s + k / rate_hz of the host's clock, for hours. So
the run begins only when the chip's rate is known to 0.2 % (the frames until then are kept, not
dropped), and after that the resampler's step follows: the measured rate, plus a little more or
less than that while the next row is not where it should be. Places are steered, never jumped.
"""

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.rows.rate import Rate
from firmware_bridge.rows.resample import Resampler
from firmware_bridge.source import Chunk

STEER_S = 5.0  # a row in the wrong place is led back with this time constant
STEER_MOST = 0.005  # of the step: half a percent in speed, which no feature can tell
FULL_SCALE = 32767

Frames = NDArray[np.int16] | NDArray[np.float64]  # (n, c) in counts; a serial line has parts of one


class Grid:
    """A run that is being resampled. Frames come in with `push`, chunks go out."""

    def __init__(self, run: int, cause: str, rate: Rate, rate_hz: float) -> None:
        """`rate` is fed by the caller, always before `push`; `rate_hz` is the grid's."""
        self.run = run
        self.cause = cause
        self._rate = rate
        self._rate_hz = rate_hz
        self._early: list[NDArray[np.float64]] = []  # frames from before the rate was known
        self._resampler: Resampler | None = None
        self._start_s = 0.0
        self._rows = 0

    def push(self, frames: Frames, *, hold: bool = False) -> Chunk | None:
        """Take frames in counts; return the rows they complete, in counts too.

        A count is worth the same everywhere, so counts are resampled and rounded once, here.
        `hold` keeps a run that has not begun from beginning yet.
        """
        samples = frames.astype(np.float64)
        if self._resampler is None:
            self._early.append(samples)
            if hold or not self._rate.ready:
                return None
            samples = np.concatenate(self._early)
            self._early.clear()
            self._resampler = Resampler(self._rate.rate_hz / self._rate_hz, samples.shape[1])
            self._start_s = self._rate.time_of(self._resampler.position)
        self._resampler.step = self._steered(self._resampler)
        rows = np.rint(self._resampler.push(samples))
        if len(rows) == 0:
            return None
        chunk = Chunk(
            run=self.run,
            first=self._rows,
            run_start_s=self._start_s,
            counts=np.clip(rows, -FULL_SCALE, FULL_SCALE).astype(np.int16),
            cause=self.cause,
        )
        self._rows += len(rows)
        return chunk

    def _steered(self, resampler: Resampler) -> float:
        step = self._rate.rate_hz / self._rate_hz
        due_s = self._start_s + self._rows / self._rate_hz
        behind = self._rate.sample_at(due_s) - resampler.position
        correction = behind / (STEER_S * self._rate_hz)
        most = STEER_MOST * step
        return step + min(max(correction, -most), most)
