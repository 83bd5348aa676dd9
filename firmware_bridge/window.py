"""Windows on a fixed grid of their run: window k is the rows k·hop … k·hop + length."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.source import Chunk


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What the learner sees at once. `samples` is a fresh array: the receiver owns it."""

    run: int
    index: int  # k
    start_s: float  # source time of its first row
    end_s: float  # source time one row past its last
    samples: NDArray[np.float32]  # (length, c) m/s², rad/s


class Windower:
    """Cuts the chunks of one source into windows. A window never spans a gap."""

    def __init__(self, rate_hz: float, scale: NDArray[np.float32], length: int, hop: int) -> None:
        """`length` and `hop` in rows, 1 <= hop <= length."""
        if not 1 <= hop <= length:
            raise ValueError(f"hop is {hop} rows, expected 1 to the window's length of {length}")
        self._rate_hz = rate_hz
        self._scale = scale
        self._length = length
        self._hop = hop
        self._run = -1
        self._first = 0  # which row of the run _rows[0] is
        self._rows = np.empty((0, len(scale)), np.int16)

    def push(self, chunk: Chunk) -> Iterator[Window]:
        """Yield the windows that `chunk` completes."""
        if chunk.run != self._run:
            self._run, self._first = chunk.run, 0
            self._rows = np.empty((0, len(self._scale)), np.int16)
        expected = self._first + len(self._rows)
        if chunk.first != expected:
            raise ValueError(
                f"chunk of run {chunk.run} begins at row {chunk.first}, expected {expected}:"
                " a source must begin a new run after a gap"
            )
        self._rows = np.concatenate([self._rows, chunk.counts])
        while len(self._rows) >= self._length:
            start_s = chunk.run_start_s + self._first / self._rate_hz
            yield Window(
                run=self._run,
                index=self._first // self._hop,
                start_s=start_s,
                end_s=start_s + self._length / self._rate_hz,
                samples=self._rows[: self._length].astype(np.float32) * self._scale,
            )
            self._rows = self._rows[self._hop :]
            self._first += self._hop
