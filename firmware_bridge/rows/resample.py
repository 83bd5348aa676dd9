"""From a chip's own sampling to a uniform grid: a band-limited value at any moment between samples.

A row of the grid is a weighted sum of the samples around it; the weights are a sinc, the ideal
low-pass, cut to length by a Kaiser window and evaluated at the row's exact place between the
samples. No ratio of integers is needed, so the ratio may follow the chip's clock while it runs.

    samples .   .   .   .   .   .   .   .   .   .   .   one apart
    rows              |         |         |             `step` samples apart
    kernel  <- delay -|- delay ->                       a row needs samples on both sides
"""

from math import ceil, floor, pi

import numpy as np
from numpy.typing import NDArray

# Everything up to KEPT of the slower side's Nyquist frequency is kept, and everything above GONE of
# it is gone: at 50 Hz that is 20 Hz, more than people do, and 32.5 Hz, what folds below 17.5 Hz.
# The nearer the two, the longer the kernel, and the later all is told. Where rows are made between
# samples that are fewer, nothing folds, and images of 20 Hz are kept away.
REJECTION_DB = 70.0
KEPT, GONE, GONE_BETWEEN = 0.8, 1.3, 1.2

# Kaiser's two formulas (1974; Oppenheim & Schafer, "FIR filter design by windowing").
BETA = 0.1102 * (REJECTION_DB - 8.7)
REACH = (REJECTION_DB - 7.95) / (2.285 * pi) / 2  # half a kernel for a transition of all of it

FINENESS = 512  # table points per sample: read in between by straight lines, off by -130 dB
BLOCK = 1024  # rows at once, so that a recording of a day needs no gigabytes


class Resampler:
    """One run of samples, pushed as they come. Rows begin where the kernel is full.

    So the first row lies `delay` samples after the first sample, and a row is known only when
    `delay` samples after it have come: 21 for 119 Hz to 50 Hz, 0.17 s.
    """

    def __init__(self, step: float, channels: int) -> None:
        """`step` is samples per row; it also sets, for good, which frequencies are kept."""
        if not step > 0:
            raise ValueError(f"step is {step} samples per row, expected more than 0")
        self.step = step
        narrow = min(1.0, 1.0 / step)  # the slower side's Nyquist frequency, of the samples'
        gone = GONE if step > 1 else GONE_BETWEEN
        self.delay = ceil(REACH / (gone - KEPT) / narrow)
        self._at = np.arange(self.delay * FINENESS + 1) / FINENESS
        # Less 1, its height at the edge: a sample enters the kernel with weight 0, so that a row
        # a rounding error further on is not another row.
        window = np.i0(BETA * np.sqrt(1 - (self._at / self.delay) ** 2)) - 1
        self._kernel = np.sinc((gone + KEPT) / 2 * narrow * self._at) * window
        self._samples = np.empty((0, channels))
        self._first = 0  # which sample _samples[0] is
        self._position = float(self.delay)

    @property
    def position(self) -> float:
        """Where the next row will lie, in samples from the first one pushed."""
        return self._position

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rows (m, c) that `samples` (n, c) complete, m may be 0.

        `step` may be changed before every push: the next row stays where it was going to be.
        """
        self._samples = np.concatenate([self._samples, samples])
        room = self._first + len(self._samples) - 1 - self.delay - self._position
        count = max(floor(room / self.step) + 1, 0)
        rows = np.empty((count, self._samples.shape[1]))
        for start in range(0, count, BLOCK):
            block = np.arange(start, min(start + BLOCK, count), dtype=np.float64)
            places = self._position - self._first + block * self.step
            rows[start : start + BLOCK] = self._rows(places)
        self._position += count * self.step
        spent = max(min(ceil(self._position) - self.delay - self._first, len(self._samples)), 0)
        self._samples = self._samples[spent:].copy()  # a view would keep the whole push alive
        self._first += spent
        return rows

    def _rows(self, centres: NDArray[np.float64]) -> NDArray[np.float64]:
        first = np.ceil(centres).astype(np.intp) - self.delay
        taken = first[:, None] + np.arange(2 * self.delay)
        weights = np.interp(np.abs(taken - centres[:, None]), self._at, self._kernel)
        weights /= weights.sum(axis=1, keepdims=True)  # gravity comes out as it went in, exactly
        rows: NDArray[np.float64] = np.einsum("mk,mkc->mc", weights, self._samples[taken])
        return rows


def resample(samples: NDArray[np.float64], from_hz: float, to_hz: float) -> NDArray[np.float64]:
    """Return a whole array (n, c) at another rate: row k lies k/to_hz after the first sample.

    The last row is the last that does not lie past the last sample. Within `delay` samples of
    either end the kernel reaches beyond it, where the array is continued as its own point
    reflection: level and slope go on, nothing is extrapolated further than that.
    """
    if from_hz == to_hz or len(samples) == 0:
        return samples.astype(np.float64)
    resampler = Resampler(from_hz / to_hz, samples.shape[1])
    around = ((resampler.delay, resampler.delay), (0, 0))
    return resampler.push(np.pad(samples, around, mode="reflect", reflect_type="odd"))
