"""An IMU on an I2C bus, read through its FIFO: the live source.

25 times a second: ask how many frames wait (and look at the clock before and after), take them,
let `Rate` learn from the count, let `Grid` make rows of the frames. Whatever goes wrong ends the
run and begins another, with the cause in words. What was lost is a gap; it is never filled.

A failure is met first by emptying the FIFO, which is all a disturbed transfer needs; three in a
row by starting the chip anew, identity first, ever more seldom while it stays away: a pulled plug
is put back, a chip that lost its power comes back with its power-on settings. A sensor that is
stuck is started anew at once, and no row is told before its values move.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from firmware_bridge.chip import Chip, FrameLossError, ImuFaultError, ImuNotFoundError
from firmware_bridge.clock import Clock
from firmware_bridge.rows.grid import Grid
from firmware_bridge.rows.pace import Pace
from firmware_bridge.rows.rate import Rate
from firmware_bridge.rows.stuck import Stuck, StuckError
from firmware_bridge.source import Chunk, Health

log = logging.getLogger(__name__)

RESTART_AFTER = 3  # failures in a row
BACK_OFF_S = (0.5, 30.0)  # between two starts: at first, and at most; it doubles
SILENT_S = 0.5  # without a frame: a chip that lost its power, and its settings, for a moment
RESTART_DOUBT = 0.02  # 1 sigma of the old rate after a start: it may be another chip

Truth = Callable[[float, float], str | None]


class Source:
    """Rows from `chip` on a grid of `rate_hz`. All but `close` and `health` is one thread's."""

    live = True

    def __init__(
        self,
        chip: Chip,
        clock: Clock,
        *,
        rate_hz: float = 50.0,
        drain_s: float = 0.04,
        stored_rate_hz: float | None = None,
        truth: Truth | None = None,
    ) -> None:
        """`stored_rate_hz` is health's rate_hz of another day; `truth` is for an emulated chip.

        The first run is told about 2 s after the start: the chip's rate is measured first, and
        its frames are kept meanwhile. With a stored rate that takes half a second; should it be
        another chip's, 5 % off, rows lie up to 75 ms wrong in the first 20 s.
        """
        deepest_s = chip.fifo_frames / chip.rate_hz
        if not 0 < drain_s <= deepest_s / 2:
            raise ValueError(
                f"drain_s is {drain_s} s, expected at most {deepest_s / 2:.3f} s,"
                " half of what the FIFO holds"
            )
        self.rate_hz = rate_hz
        self.scale = chip.scale
        self._chip = chip
        self._clock = clock
        self._drain_s = drain_s
        self._truth = truth
        self._rate = Rate(chip.rate_hz, stored_rate_hz)
        self._closed = threading.Event()
        self._grid: Grid | None = None  # None: the chip has to be mended first
        self._stuck = Stuck(chip.rate_hz)
        self._flowing = False  # the run has given rows
        self._since_s = clock.now_s()  # of `_flowing` as it is
        self._told_s = 0.0  # source time at which the next row would be due
        self._cause = "start"
        self._runs = 0
        self._taken = 0  # frames read since the FIFO was last emptied
        self._asked_s = 0.0
        self._heard_s = 0.0
        self._failures = 0  # in a row
        self._back_off_s = BACK_OFF_S[0]
        self._gaps = 0
        self._errors = 0
        self._lost = 0

    def now_s(self) -> float:
        return self._clock.now_s()

    def truth(self, start_s: float, end_s: float) -> str | None:
        return None if self._truth is None else self._truth(start_s, end_s)

    def health(self) -> Health:
        """How it is doing; `lost` counts frames from the last row before a gap to the first after.

        A gap that did not end yet is not in it. Several failures may make one gap: `cause` is the
        first.
        """
        waiting = "gap" if self._gaps else "starting"
        return Health(
            state="connected" if self._flowing else waiting,
            since_s=self._since_s,
            rate_hz=self._rate.rate_hz,
            gaps=self._gaps,
            errors=self._errors,
            lost=self._lost,
            cause=self._cause if self._gaps else None,
        )

    @property
    def rate_doubt(self) -> float:
        """1 sigma of health's rate_hz, as a part of it: for whoever stores the rate."""
        return self._rate.doubt

    def close(self) -> None:
        self._closed.set()

    def chunks(self) -> Iterator[Chunk]:
        """Yield until closed. Only the first start raises; later the chip is waited for."""
        self._pace = Pace(self._clock, self._drain_s, self._closed)
        try:
            self._chip.start()
        except OSError as error:  # the right chip is there, so this will pass
            self._errors += 1
            self._fail(f"bus error: {error.strerror}", restart=True)
        else:
            self._begin()
        try:
            while not self._closed.is_set():
                self._pace.wait(1 / self._chip.rate_hz)
                chunk = self._survive()
                if chunk is not None:
                    yield chunk
        finally:
            if self._grid is not None:  # in a gap another chip may sit there: nothing is written
                with contextlib.suppress(OSError):
                    self._chip.stop()

    def _survive(self) -> Chunk | None:
        """Drain or, in a gap, mend: one attempt, whatever comes of it."""
        try:
            if self._grid is not None:
                return self._drain(self._grid)
            self._mend()
        except FrameLossError as lost:
            self._fail(str(lost))
        except OSError as error:
            self._errors += 1
            self._fail(f"bus error: {error.strerror}")
        except (ImuFaultError, ImuNotFoundError) as error:
            self._errors += 1
            self._fail(str(error), restart=isinstance(error, StuckError))
        return None

    def _drain(self, grid: Grid) -> Chunk | None:
        before_s = self._clock.now_s()
        pending = self._chip.pending()
        after_s = self._clock.now_s()
        paused_s = before_s - self._asked_s
        # Told by the clock as well: some chips' overrun flag cannot be trusted.
        if paused_s * self._rate.rate_hz > self._chip.fifo_frames + 1:
            deepest_s = self._chip.fifo_frames / self._rate.rate_hz
            raise FrameLossError(
                f"the host paused for {paused_s:.2f} s, the FIFO holds {deepest_s:.2f} s"
            )
        if pending.overrun:
            raise FrameLossError("fifo overrun")
        self._asked_s = before_s
        if pending.frames == 0:
            if before_s - self._heard_s > SILENT_S:
                raise StuckError(f"no frame came for {SILENT_S} s")
            return None
        frames = self._chip.read(pending.frames)
        self._heard_s = before_s
        self._stuck.push(frames)
        if self._stuck.alive:
            self._failures = 0
            self._back_off_s = BACK_OFF_S[0]
        self._rate.observe(self._taken + pending.frames, before_s, after_s)
        self._taken += pending.frames
        chunk = grid.push(frames, hold=not self._stuck.alive)
        if chunk is not None:
            self._told(chunk)
        return chunk

    def _told(self, chunk: Chunk) -> None:
        if not self._flowing:
            self._flowing = True
            self._since_s = self._clock.now_s()
            self._runs += 1
            if chunk.run > 0:
                lost_s = chunk.run_start_s - self._told_s
                self._lost += round(lost_s * self._rate.rate_hz)
                log.info("rows again, %.1f s are missing: %s", lost_s, chunk.cause)
        self._told_s = chunk.run_start_s + (chunk.first + len(chunk.counts)) / self.rate_hz

    def _mend(self) -> None:
        if self._failures < RESTART_AFTER:
            self._chip.clear()
            self._rate.restart()
        else:
            self._chip.start()
            self._rate.restart(RESTART_DOUBT)
        self._begin()

    def _begin(self) -> None:
        self._grid = Grid(self._runs, self._cause, self._rate, self.rate_hz)
        self._stuck = Stuck(self._chip.rate_hz)
        self._taken = 0
        self._asked_s = self._heard_s = self._clock.now_s()

    def _fail(self, cause: str, *, restart: bool = False) -> None:
        """End the run. A gap is from row to row: what fails within it is part of it."""
        self._grid = None
        if self._flowing:
            self._flowing = False
            self._since_s = self._clock.now_s()
            self._gaps += 1
            self._cause = cause
            log.warning("gap: %s", cause)
        restarted = self._failures >= RESTART_AFTER
        self._failures = max(self._failures + 1, RESTART_AFTER if restart else 0)
        if self._failures >= RESTART_AFTER:
            if not restarted:
                log.warning("the IMU is started anew until it measures: %s", cause)
            self._pace.put_off(self._back_off_s)
            self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])
