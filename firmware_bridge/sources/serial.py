"""A microcontroller on a serial port that reads an IMU and sends what it reads: a live source.

Ten times a second: take the bytes that wait, let the decoder find readings in them, let `Rate`
learn from how many came, let `Grid` make rows of them, as for a chip of our own. But where a FIFO
only ever overflows, a line also garbles, and a sender hangs, starts again and is pulled out. What
is lost shows by the check sum, the sequence number and the sender's clock (frames), by a wrong
number of columns (lines), or by readings that fall behind the rate (both). Any of it ends the run.

The sender's clock tells the rate at the start, what was left out, and when the sender starts anew.
It does not time the rows: those belong on our clock, and it is our clock that `Rate` goes by.
"""

import errno
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.clock import Clock
from firmware_bridge.formats.readings import Broken, Reading
from firmware_bridge.formats.sender import BAUDS, Sender, Unit, find
from firmware_bridge.formats.tty import HOLDS_BYTES, Tty, why_not_open
from firmware_bridge.rows.grid import FULL_SCALE, Grid
from firmware_bridge.rows.pace import Pace
from firmware_bridge.rows.rate import GAP_DOUBT, NOMINAL_DOUBT, Rate
from firmware_bridge.source import Chunk, Health, SourceError

log = logging.getLogger(__name__)

DRAIN_S = 0.1
BACK_OFF_S = (0.5, 30.0)  # between two openings: at first, and at most; it doubles
SILENT_S = 1.0  # without a reading is a gap; the slowest sender gives 5 a second
HUNG_S = 5.0  # without a reading: the port is opened anew, which starts many a sender again
LATE_S = 0.25  # readings are so far from where the rate wants them: some are missing
RESTART_S = 2.0  # the sender's clock went on so much more than ours: it is another start of it
SURE = 0.05  # 1 sigma of the rate, from which a hole in the sender's clock can be told
HOLE = 1.75  # periods from reading to reading: nearer to a missing one than to a late one


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the owner may say of the sender; what he does not say is found out where it can be.

    The units are of lines: a name in `sender.ACCEL_UNITS` and `GYRO_UNITS`, or counts per g and
    per dps.
    """

    port: str = "/dev/ttyACM0"
    baud: int | None = None
    accel_unit: Unit | None = None
    gyro_unit: Unit | None = None


def open_source(options: Options, clock: Clock, rate_hz: float) -> "Source":
    """Open the port and find out what comes from it, which takes 1 s to 20 s.

    Raises SourceError.
    """
    path, baud = options.port, options.baud
    tty = Tty(path, baud or BAUDS[0])
    try:
        tty.open()
        sender = find(
            tty, clock, baud=baud, accel_unit=options.accel_unit, gyro_unit=options.gyro_unit
        )
    except OSError as error:
        tty.close()
        raise SourceError(why_not_open(path, error)) from error
    except SourceError:
        tty.close()
        raise
    return Source(tty, sender, clock, rate_hz=rate_hz)


class Source:
    """Rows from a sender on a grid of `rate_hz`. All but `close` and `health` is one thread's."""

    live = True

    def __init__(self, tty: Tty, sender: Sender, clock: Clock, *, rate_hz: float = 50.0) -> None:
        """`tty` is open and now the source's, which closes it at the end of `chunks`."""
        self.rate_hz = rate_hz
        self.scale: NDArray[np.float32] = sender.scale
        self._tty = tty
        self._sender = sender
        self._clock = clock
        self._to_counts = sender.to_si / sender.scale
        self._closed = threading.Event()
        self._pace = Pace(clock, DRAIN_S, self._closed)
        # Frames have told the rate to 50 ppm of a crystal, or the 0.5 % of a ceramic resonator.
        self._rate = Rate(sender.nominal_hz, None if sender.layout else sender.nominal_hz)
        self._decoder = sender.decoder()
        self._grid: Grid | None = None  # None: in a gap
        self._doubt = GAP_DOUBT  # of the rate, at the start of the next run
        self._flowing = False  # the run has given rows
        self._since_s = clock.now_s()  # of `_flowing` as it is
        self._cause = "start"
        self._runs = 0  # that gave rows
        self._taken = 0  # readings of this run
        self._pending: list[tuple[float, ...]] = []  # of these, not yet in the grid
        self._last: Reading | None = None
        self._heard_s = 0.0
        self._open = True
        self._back_off_s = BACK_OFF_S[0]
        self._gaps = 0
        self._errors = 0
        self._lost = 0

    def now_s(self) -> float:
        return self._clock.now_s()

    def truth(self, start_s: float, end_s: float) -> str | None:  # noqa: ARG002 nobody knows
        return None

    def health(self) -> Health:
        """How it is doing; `lost` counts what numbers and clocks tell, `errors` what was garbled.

        Several failures may make one gap: `cause` is the first.
        """
        return Health(
            state="connected" if self._flowing else "gap" if self._gaps else "starting",
            since_s=self._since_s,
            rate_hz=self._rate.rate_hz,
            gaps=self._gaps,
            errors=self._errors,
            lost=self._lost,
            cause=self._cause if self._gaps else None,
        )

    def close(self) -> None:
        self._closed.set()

    def chunks(self) -> Iterator[Chunk]:
        """Yield until closed. Nothing raises: a sender that is away is waited for."""
        self._heard_s = self._clock.now_s()
        try:
            while not self._closed.is_set():
                self._pace.wait(1 / self._sender.nominal_hz)
                try:
                    if self._open:
                        yield from self._drain()
                    else:
                        self._reopen()
                except OSError as error:
                    self._fail(error)
        finally:
            self._tty.close()

    def _drain(self) -> Iterator[Chunk]:
        before_s = self._clock.now_s()
        data = self._tty.read()
        after_s = self._clock.now_s()
        if len(data) >= HOLDS_BYTES:
            self._decoder = self._sender.decoder()
            self._lose(f"{len(data)} bytes waited, and the tty is sure to hold {HOLDS_BYTES}")
            return
        heard = False
        for found in self._decoder.feed(data):
            cause = self._broken(found, before_s)
            if cause is not None:
                yield from self._give()
                self._lose(cause)
            if isinstance(found, Reading):
                self._keep(found)
                heard = True
        if heard:
            self._heard_s = before_s
            self._back_off_s = BACK_OFF_S[0]
            yield from self._place(before_s, after_s)
        elif before_s - self._heard_s > HUNG_S:
            raise OSError(errno.ETIMEDOUT, f"no reading came for {HUNG_S:g} s")
        elif before_s - self._heard_s > SILENT_S:
            self._lose(f"no reading came for {SILENT_S:g} s")

    def _broken(self, found: Reading | Broken, now_s: float) -> str | None:
        """Say what was lost before this reading, None if it follows the one before."""
        if isinstance(found, Broken):
            self._errors += 1
            return found.cause
        last, self._last = self._last, found
        if last is None:
            return None
        ahead, step_s = 1, 0.0
        if found.sequence is not None and last.sequence is not None:
            ahead = (found.sequence - last.sequence) % 2**16
        if found.time_us is not None and last.time_us is not None:
            step_s = (
                (found.time_us - last.time_us) % 2**32 / 1e6
            )  # backwards: more than half an hour
        if step_s > now_s - self._heard_s + RESTART_S:
            self._doubt = NOMINAL_DOUBT
            return "the sender started again"
        if not 0 < ahead < 2**15:
            return "a frame out of turn"
        periods = step_s * self._rate.rate_hz
        if ahead == 1 and (self._rate.doubt > SURE or periods < HOLE):
            return None
        missing = ahead - 1 or round(periods) - 1
        self._lost += missing
        return f"{missing} readings were lost"

    def _keep(self, reading: Reading) -> None:
        if self._grid is None:
            self._rate.restart(self._doubt)
            self._doubt = GAP_DOUBT
            self._grid = Grid(self._runs, self._cause, self._rate, self.rate_hz)
            self._taken = 0
        self._pending.append(reading.values)
        self._taken += 1

    def _place(self, before_s: float, after_s: float) -> Iterator[Chunk]:
        """Tell the rate how many came, and the grid which."""
        late_s = after_s - self._rate.time_of(self._taken)
        if self._rate.ready and abs(late_s) > LATE_S:
            self._pending.clear()  # taken after what is missing
            self._doubt = NOMINAL_DOUBT
            self._lost += max(round(late_s * self._rate.rate_hz), 0)
            self._lose(f"readings are {abs(late_s):.1f} s {'late' if late_s > 0 else 'early'}")
            return
        self._rate.observe(self._taken, before_s, after_s)
        yield from self._give()

    def _give(self) -> Iterator[Chunk]:
        if self._grid is None or not self._pending:
            return
        # Not rounded: the grid does that, once.
        counts = np.clip(np.array(self._pending) * self._to_counts, -FULL_SCALE, FULL_SCALE)
        self._pending.clear()
        chunk = self._grid.push(counts)
        if chunk is not None:
            if not self._flowing:
                self._flowing = True
                self._since_s = self._clock.now_s()
                self._runs += 1
                if self._gaps:
                    log.info("rows again, after: %s", chunk.cause)
            yield chunk

    def _reopen(self) -> None:
        self._tty.open()
        self._open = True
        self._decoder = self._sender.decoder()  # what it has begun is not this sender's
        self._doubt = NOMINAL_DOUBT  # it may be another sender
        self._heard_s = self._clock.now_s()

    def _fail(self, error: OSError) -> None:
        self._errors += 1
        if self._back_off_s == BACK_OFF_S[0]:
            log.warning("the sender is away, trying again: %s", error.strerror)
        self._lose(f"serial error: {error.strerror}")
        self._tty.close()
        self._open = False
        self._pace.put_off(self._back_off_s)
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])

    def _lose(self, cause: str) -> None:
        """End the run. A gap is from row to row: what fails within it is part of it."""
        self._grid = None
        if self._flowing:
            self._flowing = False
            self._since_s = self._clock.now_s()
            self._gaps += 1
            self._cause = cause
            log.warning("gap: %s", cause)
