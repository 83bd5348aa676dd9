"""A recording as a source: replayed at its own pace, faster, or as fast as it is taken."""

import threading
from bisect import bisect_right
from collections.abc import Iterator
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.chip import STANDARD_GRAVITY
from firmware_bridge.clock import Clock
from firmware_bridge.recording import UNLABELLED, Recording, Run
from firmware_bridge.rows.resample import resample
from firmware_bridge.source import Chunk, Health

MAX_COUNT = 32767
CHUNK_S = 0.1  # as a sensor would be drained
CHUNK_UNPACED_S = 1.0
NAP_S = 0.1  # between two looks whether the source was closed
SAME_RATE = 0.005  # half a percent off: nothing that people do shows it
COVERED = 0.8  # of a stretch must be one activity for it to be the truth


class Source:
    """Rows of `recording`, on a grid of `rate_hz` or on the recording's own.

    `speed` 2.0 replays twice as fast as it was; None does not wait at all. Times are the file's.
    """

    live = False

    def __init__(
        self,
        recording: Recording,
        clock: Clock,
        *,
        rate_hz: float | None = None,
        speed: float | None = 1.0,
    ) -> None:
        if rate_hz is not None and not rate_hz > 0:
            raise ValueError(f"rate_hz is {rate_hz}, expected more than 0")
        if speed is not None and not speed > 0:
            raise ValueError(f"speed is {speed}, expected more than 0, or None not to wait")
        self._recording = recording
        self._clock = clock
        self._speed = speed
        wanted_hz = rate_hz or recording.rate_hz
        self._resampled = abs(wanted_hz / recording.rate_hz - 1) > SAME_RATE
        self.rate_hz = wanted_hz if self._resampled else recording.rate_hz
        self.scale: NDArray[np.float32] = _scale(recording)
        self._starts_s = [run.start_s for run in recording.runs]
        self._now_s = self._starts_s[0]
        self._gaps = 0
        self._closed = threading.Event()

    def now_s(self) -> float:
        return self._now_s

    def chunks(self) -> Iterator[Chunk]:
        begun_s = self._clock.now_s()
        chunk_s = CHUNK_S if self._speed else CHUNK_UNPACED_S
        length = max(int(chunk_s * self.rate_hz), 1)
        for number, run in enumerate(self._recording.runs):
            counts = self._counts(run)
            for first in range(0, len(counts), length):
                rows = counts[first : first + length]
                last_s = run.start_s + (first + len(rows) - 1) / self.rate_hz
                if self._speed:
                    self._wait_until(begun_s + (last_s - self._starts_s[0]) / self._speed)
                if self._closed.is_set():
                    return
                self._now_s = last_s
                self._gaps = number
                yield Chunk(
                    number, first, run.start_s, rows, "gap in the file" if number else "start"
                )

    def truth(self, start_s: float, end_s: float) -> str | None:
        rate_hz = self._recording.rate_hz
        seen = np.zeros(len(self._recording.activities), np.int64)
        earliest = max(bisect_right(self._starts_s, start_s) - 1, 0)
        for run in self._recording.runs[earliest:]:
            if run.start_s >= end_s:
                break
            # Row k stands for the time from k to k + 1.
            first, after = (max(round((t - run.start_s) * rate_hz), 0) for t in (start_s, end_s))
            codes = run.codes[first:after]
            seen += np.bincount(codes[codes != UNLABELLED], minlength=len(seen))
        if not seen.any() or seen.max() < COVERED * round((end_s - start_s) * rate_hz):
            return None
        return self._recording.activities[int(seen.argmax())]

    def health(self) -> Health:
        return Health(
            state="connected",
            since_s=self._starts_s[0],
            rate_hz=self._recording.rate_hz,
            gaps=self._gaps,
            errors=0,
            lost=0,
            cause="gap in the file" if self._gaps else None,
        )

    def close(self) -> None:
        self._closed.set()

    def _counts(self, run: Run) -> NDArray[np.int16]:
        samples = run.samples.astype(np.float64)
        if self._resampled:
            samples = resample(samples, self._recording.rate_hz, self.rate_hz)
        # Where resampling overshoots the largest sample, it may leave the range.
        counts = np.clip(np.rint(samples / self.scale), -MAX_COUNT, MAX_COUNT)
        return np.asarray(counts, np.int16)

    def _wait_until(self, due_s: float) -> None:
        while not self._closed.is_set() and (left_s := due_s - self._clock.now_s()) > 0:
            self._clock.sleep_s(min(left_s, NAP_S))


def _scale(recording: Recording) -> NDArray[np.float32]:
    """The finest of the usual ranges, 2 g … and 125 dps …, that covers the recording."""
    most = np.max([np.abs(run.samples).max(axis=0) for run in recording.runs], axis=0)
    parts = [_per_count(most[:3].max(), 2 * STANDARD_GRAVITY)] * 3
    if recording.n_channels == 6:
        parts += [_per_count(most[3:].max(), float(np.radians(125)))] * 3
    return np.array(parts, np.float32)


def _per_count(most: float, full_scale: float) -> float:
    doublings = max(ceil(log2(most / full_scale * 32768 / MAX_COUNT)), 0) if most > 0 else 0
    return full_scale * 2.0**doublings / 32768
