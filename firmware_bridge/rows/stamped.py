"""Samples that come with the sender's own stamps, in batches, put onto the uniform grid.

A phone, an ESP32 and the kernel say when each sample was taken; when the batch arrives says
little: a Wi-Fi delivers after 5 ms or after a second. So rows are placed by the stamps, and the
arrivals only tell how the sender's clock stands to ours.

    stamps  .   .  .    .   .       .   .   .     irregular; one missing is bridged, more is a gap
    rows         |       |       |       |        1/rate_hz apart on our clock

Where a row lies between the stamps is a place in samples, with a fraction; the kernel of
`resample.py` is put there. For a regular sender that is the resampling of `grid.py`.
"""

import logging
from collections import deque
from collections.abc import Iterator
from math import inf, nan, pi

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.chip import STANDARD_GRAVITY
from firmware_bridge.clock import Clock
from firmware_bridge.rows.grid import FULL_SCALE
from firmware_bridge.rows.payload import Stretch
from firmware_bridge.rows.sender_clock import SenderClock
from firmware_bridge.rows.timed_resampler import TimedResampler
from firmware_bridge.source import Chunk, Health

log = logging.getLogger(__name__)

BEGIN_S = 0.5  # of samples before a run begins
JUMP_S = 0.25  # two clocks drift apart by less, however long they run
# Of periods of the slower of sender and grid. One missing sample, or at 400 Hz a hiccup of 50 ms,
# is bridged by a straight line: a swing of 1 Hz and 10 m/s² bends from it by 0.1 m/s².
HOLE = 2.5
SILENT_S = 5.0  # without samples is a gap, whatever comes then
RECENT = 50  # samples, from which the sender's period is taken
OTHER_RATE = 1.3  # the period now against the one at the start of the run
SLOW = 0.9  # of the grid's rate
KEPT = 0.4  # of the sender's rate: what `resample.py` keeps whole

Floats = NDArray[np.float64]


def scale_of(channels: int) -> NDArray[np.float32]:
    """What a count is worth: int16 holds 16 g and 2000 dps, the most that phones measure."""
    accel, gyro = 16 * STANDARD_GRAVITY / 32768, 2000 * pi / 180 / 32768
    return np.array([accel] * 3 + [gyro] * (channels - 3), np.float32)


class Stamped:
    """Makes runs of what one sender sends. All but `health` is one thread's."""

    def __init__(self, channels: int, clock: Clock, rate_hz: float) -> None:
        self.scale = scale_of(channels)
        self.errors = 0  # counted by the source
        self._clock = clock
        self._rate_hz = rate_hz
        self._heard_s = self._since_s = clock.now_s()
        self._run: TimedResampler | None = None
        self._runs = 0  # of which there were rows
        self._flowing = False  # the run has given rows
        self._told = 0  # rows of the run
        self._due_s = -inf  # when the next row would be due
        self._cause = "start"
        self._told_cause: str | None = None  # also why there was never a row
        self._gaps = 0
        self._lost = 0
        self._measured_hz = 0.0
        self._forget()

    def _forget(self) -> None:
        self._sender = SenderClock()
        self._newest_s = nan  # the newest stamp
        self._steps: deque[float] = deque(maxlen=RECENT)  # from stamp to stamp
        self._early: list[tuple[Floats, Floats]] = []  # stamps and samples from before the run

    def health(self) -> Health:
        waiting = "gap" if self._runs else "starting"
        return Health(
            state="connected" if self._flowing else waiting,
            since_s=self._since_s,
            rate_hz=self._measured_hz,
            gaps=self._gaps,
            errors=self.errors,
            lost=self._lost,
            cause=self._told_cause,
        )

    def push(self, stretch: Stretch, now_s: float) -> Iterator[Chunk]:
        """Yield the rows that a stretch, which arrived at `now_s`, completes.

        Of samples with one stamp the first is taken.
        """
        if len(stretch.stamps) == 0:
            return
        stamps, order = np.unique(stretch.stamps, return_index=True)
        self._heard_s = now_s
        if stamps[0] <= self._newest_s:
            self.restart("the sender's clock went back: it was started again, or set")
        steps = np.diff(stamps, prepend=self._newest_s)
        self._newest_s = float(stamps[-1])
        self._steps.extend(steps[np.isfinite(steps)])
        self._sender.hear(stretch.newest_s, now_s)
        cuts = np.flatnonzero(steps > self._hole_s())
        pieces = np.split(stamps, cuts), np.split(stretch.rows[order], cuts)
        for piece, (part, values) in enumerate(zip(*pieces, strict=True)):
            if piece > 0:
                self.lose(f"{steps[cuts[piece - 1]]:.2f} s without samples")
            if len(part) > 0 and (chunk := self._place(part, values, now_s)) is not None:
                yield chunk

    def silent(self) -> bool:
        """Whether nothing comes any more, which ends the run; to be asked now and then."""
        if self._clock.now_s() - self._heard_s <= SILENT_S:
            return False
        if self._run is not None or self._early:
            self.lose(f"no samples came for {SILENT_S:g} s")
        return True

    def lose(self, cause: str) -> None:
        """End the run; of several causes within one gap the first is told to the next run."""
        self._run = None
        self._early.clear()
        if self._flowing or self._gaps == 0:
            self._told_cause = cause
        if self._flowing:
            self._flowing = False
            self._since_s = self._clock.now_s()
            self._gaps += 1
            self._cause = cause
            log.warning("gap: %s", cause)

    def restart(self, cause: str) -> None:
        """End the run and forget the sender's clock: it was started again, or is another."""
        self.lose(cause)
        self._forget()

    def _period_s(self) -> float:
        return float(np.median(self._steps)) if self._steps else inf

    def _hole_s(self) -> float:
        return min(HOLE * max(self._period_s(), 1 / self._rate_hz), SILENT_S)

    def _place(self, stamps: Floats, samples: Floats, now_s: float) -> Chunk | None:
        if self._run is not None:
            ratio = self._period_s() / self._run.period_s
            if abs(self._sender.off_s) > JUMP_S:
                self.lose(f"the sender's clock is {self._sender.off_s:.2f} s from where it was")
            elif not 1 / OTHER_RATE < ratio < OTHER_RATE:
                self.lose(f"the sender now gives {1 / self._period_s():.1f} samples a second")
        if self._run is not None:
            return self._rows(self._run, self._sender.follow(stamps), samples)
        self._early.append((stamps, samples))
        stamps, samples = (np.concatenate(parts) for parts in zip(*self._early, strict=True))
        times = self._sender.settle(stamps)
        new = times > self._due_s  # a clock that is set right may have them in the last run's time
        times, samples = times[new], samples[new]
        if len(times) < 2 or times[-1] - times[0] < BEGIN_S or not self._sender.known(now_s):
            return None
        self._early.clear()
        self._run = self._begun(float(times[-1] - times[0]) / (len(times) - 1))
        return self._rows(self._run, times, samples)

    def _begun(self, period_s: float) -> TimedResampler:
        rate_hz = 1 / period_s
        if rate_hz < SLOW * self._rate_hz and self._measured_hz == 0:
            log.warning(
                "%.1f samples a second come, for %.0f rows: what is quicker than %.1f Hz is not"
                " seen; set a higher rate at the sender",
                *(rate_hz, self._rate_hz, KEPT * rate_hz),
            )
        self._measured_hz = rate_hz
        self._told = 0
        return TimedResampler(period_s, self._rate_hz, len(self.scale))

    def _rows(self, run: TimedResampler, times: Floats, samples: Floats) -> Chunk | None:
        rows = np.rint(run.push_timed(times, samples) / self.scale)
        if len(rows) == 0:
            return None
        if not self._flowing:
            self._flow(run.start_s)
        counts = np.clip(rows, -FULL_SCALE, FULL_SCALE).astype(np.int16)
        chunk = Chunk(self._runs - 1, self._told, run.start_s, counts, self._cause)
        self._told += len(rows)
        self._due_s = run.start_s + self._told / self._rate_hz
        return chunk

    def _flow(self, start_s: float) -> None:
        self._flowing = True
        self._since_s = self._clock.now_s()
        if self._runs > 0:
            lost_s = max(start_s - self._due_s, 0.0)
            self._lost += round(lost_s * self._measured_hz)
            log.info("rows again, %.1f s are missing: %s", lost_s, self._cause)
        self._runs += 1
