"""A uniform grid out of samples that are not quite regular, but have times.

samples  .   .  .    .   .   .    .      0, 1, 2 …, each with its time
rows       |       |       |       |     exact moments; where between the samples, tells the line
                                         through (time, sample)
"""

from math import ceil, floor, isnan, nan

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.rows.resample import Resampler

Floats = NDArray[np.float64]


class TimedResampler(Resampler):
    """One run of samples of about `period_s`; row k lies at start_s + k / rate_hz."""

    def __init__(self, period_s: float, rate_hz: float, channels: int) -> None:
        super().__init__(1 / (period_s * rate_hz), channels)
        self.period_s = period_s
        self.start_s = nan  # until the kernel is full
        self._rate_hz = rate_hz
        self._times = np.empty(0)  # of self._samples
        self._told = 0

    def push_timed(self, times: Floats, samples: Floats) -> Floats:
        """Return the rows (m, c) that `samples` (n, c) at ascending `times` (n,) complete."""
        times, samples = self._bridged(times, samples)
        self._times = np.concatenate([self._times, times])
        self._samples = np.concatenate([self._samples, samples])
        whole = len(self._times) - self.delay  # samples that have all of a kernel after them
        if whole <= self.delay:
            return np.empty((0, self._samples.shape[1]))
        if isnan(self.start_s):
            self.start_s = float(self._times[self.delay])
        until = floor((self._times[whole - 1] - self.start_s) * self._rate_hz) + 1
        due_s = self.start_s + np.arange(self._told, until + 1) / self._rate_hz
        places = np.interp(due_s, self._times, np.arange(len(self._times)))
        rows = self._rows(places[:-1])
        self._told = until
        spent = max(ceil(places[-1]) - self.delay, 0)
        self._times, self._samples = self._times[spent:].copy(), self._samples[spent:].copy()
        return rows

    def _bridged(self, times: Floats, samples: Floats) -> tuple[Floats, Floats]:
        """Lay a straight line where a sample or two are missing, so that places stay even."""
        before = len(self._times[-1:])
        times = np.concatenate([self._times[-1:], times])
        samples = np.concatenate([self._samples[-1:], samples])
        steps = np.maximum(np.rint(np.diff(times) / self.period_s), 1)
        index = np.concatenate([[0], np.cumsum(steps)])
        every = np.arange(index[-1] + 1)
        lines = [np.interp(every, index, column) for column in (times, *samples.T)]
        return lines[0][before:], np.column_stack(lines[1:])[before:]
