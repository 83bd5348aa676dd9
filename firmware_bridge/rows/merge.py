"""Sensors of one device that sample each for itself, merged on the times of the first.

accel  .     .     .     .      a row for each of these,
gyro     .      .     .    .    when there is a value before and after it to draw a line between
"""

from collections.abc import Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

APART_S = 0.1  # between two values a line is drawn over at most so much
KEEP_S = 10.0  # a sensor that is behind by more does not come any more

Floats = NDArray[np.float64]


class Merge:
    """Streams of x, y, z by name, all stamped by one clock."""

    def __init__(self, names: Sequence[str]) -> None:
        """The first of `names` gives the times."""
        self.names = tuple(names)
        self._times = {name: np.empty(0) for name in names}
        self._values = {name: np.empty((0, 3)) for name in names}

    def add(self, name: str, times: Floats, values: Floats) -> None:
        """Take in more of one stream: `times` (n,) in s, `values` (n, 3), in any order."""
        times, order = np.unique(np.concatenate([self._times[name], times]), return_index=True)
        self._times[name] = times
        self._values[name] = np.concatenate([self._values[name], values])[order]
        self._keep(name, int(np.searchsorted(times, times[-1:].max(initial=0.0) - KEEP_S)))

    def take(self) -> tuple[Floats, Floats]:
        """Return the times (n,) and rows (n, 3 per name) that are complete now, each once.

        Where another stream than the first has a hole, there is no row.
        """
        lead, *others = self.names
        until_s = min((self._times[name][-1:].max(initial=-inf) for name in others), default=inf)
        done = int(np.searchsorted(self._times[lead], until_s, side="right"))
        times, columns = self._times[lead][:done], [self._values[lead][:done]]
        self._keep(lead, done)
        if done == 0:
            return times, np.empty((0, 3 * len(self.names)))
        whole = np.ones(done, np.bool_)
        for name in others:
            known, values = self._times[name], self._values[name]
            after = np.searchsorted(known, times)
            before = np.maximum(np.searchsorted(known, times, side="right") - 1, 0)
            whole &= (known[before] <= times) & (known[after] - known[before] <= APART_S)
            columns.append(np.column_stack([np.interp(times, known, axis) for axis in values.T]))
            self._keep(name, int(before[-1]))
        return times[whole], np.concatenate(columns, axis=1)[whole]

    def _keep(self, name: str, first: int) -> None:
        self._times[name] = self._times[name][first:]
        self._values[name] = self._values[name][first:]
