"""The live source: the driver and its emulated chip, on a clock that runs as fast as it can."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import ImuNotFoundError, Pending
from firmware_bridge.chips.lsm9ds1 import Driver
from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chips.lsm9ds1 import Twin
from firmware_bridge.source import Chunk
from firmware_bridge.sources.i2c import Source

ADDRESS = 0x6A
SWING_HZ = 0.7
SWING = 20.0  # m/s²
STEEPEST = SWING * 2 * np.pi * SWING_HZ  # m/s³: 1 ms too late is 0.09 m/s² there


def swung(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """A swing along x, upright otherwise: its value tells the time."""
    rows = np.zeros((len(times_s), 6))
    rows[:, 0] = SWING * np.sin(2 * np.pi * SWING_HZ * times_s)
    rows[:, 2] = 9.80665
    return rows


class Diary(VirtualClock):
    """A clock that also does something at a given time."""

    def __init__(self, start_s: float) -> None:
        super().__init__(start_s)
        self.appointments: list[tuple[float, Callable[[], None]]] = []

    def sleep_s(self, seconds: float) -> None:
        super().sleep_s(seconds)
        due = [kept for kept in self.appointments if kept[0] <= self.now_s()]
        for appointment in due:
            self.appointments.remove(appointment)
            appointment[1]()


class Bench:
    """A chip on an emulated bus, with its source."""

    def __init__(
        self,
        *,
        rate_error: float = 0.05,
        motion: Callable[[NDArray[np.float64]], NDArray[np.float64]] = swung,
        who_am_i: int = 0x68,
    ) -> None:
        self.clock = Diary(1000.0)
        self.twin = Twin(motion, self.clock, rate_error=rate_error, seed=1, who_am_i=who_am_i)
        self.bus = EmulatedBus({ADDRESS: self.twin})
        self.chip = Driver(self.bus, ADDRESS, sleep_s=self.clock.sleep_s)
        self.source = Source(self.chip, self.clock)
        self._chunks = self.source.chunks()

    def run(self, seconds: float) -> list[Chunk]:
        """What the source says in this time, from where it was."""
        end_s = self.clock.now_s() + seconds
        chunks = []
        while self.clock.now_s() < end_s and (chunk := next(self._chunks, None)):
            chunks.append(chunk)
        return chunks

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Have something happen to a source that gives no chunk to wait for."""
        self.clock.appointments.append((time_s, action))

    def next_run(self) -> tuple[float, list[Chunk]]:
        """Go on to the next run and 5 s into it."""
        chunks = self.run(1e-9)
        while chunks[-1].run == 0:
            chunks = self.run(1e-9)
        return self.clock.now_s(), chunks + self.run(5)


@dataclass(frozen=True)
class Row:
    time_s: float
    x: float  # m/s²


def rows_of(bench: Bench, chunks: list[Chunk]) -> Iterator[tuple[int, Row]]:
    for chunk in chunks:
        for k, counts in enumerate(chunk.counts):
            time_s = chunk.run_start_s + (chunk.first + k) / bench.source.rate_hz
            yield chunk.run, Row(time_s, float(counts[0] * bench.source.scale[0]))


def worst_timing_s(bench: Bench, chunks: list[Chunk], over_s: float = 5.0) -> float:
    """By how much the swing is too late or too early where the rows say it is, in any 5 s.

    Row by row noise would hide it: fitting the slope of the known swing over 5 s averages it away
    (0.015 m/s² over 250 rows against a slope of 62 m/s³ rms: 15 µs).
    """
    rows = [row for _, row in rows_of(bench, chunks)]
    time_s = np.array([row.time_s for row in rows])
    x = np.array([row.x for row in rows])
    phase = 2 * np.pi * SWING_HZ * time_s
    slope = STEEPEST * np.cos(phase)
    off = x - SWING * np.sin(phase)
    length = int(over_s * bench.source.rate_hz)
    return max(
        abs(float(off[k : k + length] @ slope[k : k + length] / (slope[k : k + length] ** 2).sum()))
        for k in range(0, len(rows) - length, length)
    )


def assert_nothing_is_invented(bench: Bench, chunks: list[Chunk]) -> None:
    """Every row is the movement at the time it claims: to 6 ms and the chip's noise."""
    for _, row in rows_of(bench, chunks):
        true = SWING * np.sin(2 * np.pi * SWING_HZ * row.time_s)
        assert abs(row.x - true) < 0.006 * STEEPEST + 0.08


@pytest.mark.parametrize("rate_error", [-0.05, 0.05, 120 / 119 - 1, 0.19])
def test_rows_lie_where_they_say_for_minutes_whatever_the_chip_s_clock_does(
    rate_error: float,
) -> None:
    bench = Bench(rate_error=rate_error)

    chunks = bench.run(300)

    assert {chunk.run for chunk in chunks} == {0}
    assert worst_timing_s(bench, chunks) < 0.003
    assert bench.source.health()["rate_hz"] == pytest.approx(119 * (1 + rate_error), rel=1e-4)


def test_a_run_has_every_row_from_the_first_sample_on() -> None:
    bench = Bench()

    chunks = bench.run(20)

    begun_s = 1000.0 + 0.11  # reset and settling
    lengths = [len(chunk.counts) for chunk in chunks]
    assert [chunk.first for chunk in chunks] == [sum(lengths[:k]) for k in range(len(lengths))]
    assert chunks[0].run_start_s < begun_s + 0.25  # the half kernel, though it was told 2 s later
    # Until now, but for half a kernel and one drain.
    assert chunks[0].run_start_s + sum(lengths) / 50 > bench.clock.now_s() - 0.35
    assert_nothing_is_invented(bench, chunks)


def test_a_disturbed_transfer_is_a_gap_and_no_more() -> None:
    bench = Bench()
    bench.run(10)
    bench.bus.fail(errno.EAGAIN, transfers=1)

    now_s, chunks = bench.next_run()

    assert {chunk.run for chunk in chunks} == {1}
    assert chunks[0].cause == "bus error: Resource temporarily unavailable"
    assert chunks[0].run_start_s > 1010
    assert now_s < 1012  # the rate was known: no second measuring
    assert_nothing_is_invented(bench, chunks)
    assert bench.source.health()["gaps"] == 1
    assert bench.source.health()["errors"] == 1


def test_an_error_in_the_midst_of_a_read_leaves_no_half_frame() -> None:
    bench = Bench()
    bench.run(10)
    read = bench.bus.read
    transfers = count()

    def failing_fourth(address: int, register: int, length: int) -> bytes:
        if next(transfers) == 3:  # count, gyro, accel, and then the second level's gyro
            raise OSError(errno.EIO, "Input/output error")
        return read(address, register, length)

    bench.bus.read = failing_fourth  # type: ignore[method-assign]
    _, chunks = bench.next_run()

    assert chunks[0].cause == "bus error: Input/output error"
    assert_nothing_is_invented(bench, chunks)


def test_a_host_that_slept_longer_than_the_fifo_is_a_gap() -> None:
    bench = Bench()
    bench.run(10)
    bench.clock.sleep_s(0.4)

    _, chunks = bench.next_run()

    # Asked 0.4 s after the last ask, and up to a drain more; the FIFO holds 32 / 125 Hz.
    assert chunks[0].cause.startswith("the host paused for 0.4")
    assert chunks[0].cause.endswith("s, the FIFO holds 0.26 s")
    assert_nothing_is_invented(bench, chunks)


def test_a_host_that_was_late_but_in_time_loses_nothing() -> None:
    bench = Bench()
    before = bench.run(10)
    bench.clock.sleep_s(0.2)
    after = bench.run(10)

    assert {chunk.run for chunk in before + after} == {0}
    assert_nothing_is_invented(bench, before + after)


def test_an_overrun_the_chip_tells_of_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.run(10)
    asked = iter([Pending(32, overrun=True)])
    pending = bench.chip.pending
    monkeypatch.setattr(bench.chip, "pending", lambda: next(asked, None) or pending())

    _, chunks = bench.next_run()

    assert chunks[0].cause == "fifo overrun"
    assert bench.source.health()["errors"] == 0
    assert_nothing_is_invented(bench, chunks)


def test_an_unplugged_chip_is_waited_for_and_set_up_anew() -> None:
    bench = Bench()
    bench.run(10)
    bench.bus.unplug(ADDRESS)
    back_s = bench.clock.now_s() + 600
    bench.at(back_s, lambda: bench.bus.plug(ADDRESS))

    now_s, chunks = bench.next_run()

    health = bench.source.health()
    assert chunks[0].cause == "bus error: Remote I/O error"
    assert chunks[0].run_start_s > back_s
    assert now_s < back_s + 30 + 3  # the longest back-off, and the rate measured again
    assert health["gaps"] == 1
    assert 20 < int(health["errors"]) < 35  # 3, then 0.5 s, 1 s … 30 s: ever more seldom
    assert_nothing_is_invented(bench, chunks)


def test_a_chip_that_lost_its_power_for_a_moment_is_set_up_anew() -> None:
    bench = Bench()
    bench.run(10)
    bench.twin.brown_out()

    _, chunks = bench.next_run()

    assert chunks[0].cause == "no frame came for 0.5 s"
    assert bench.source.health()["gaps"] == 1  # at once: emptying its FIFO would not help
    assert_nothing_is_invented(bench, chunks)


def test_another_chip_is_an_error_at_the_start() -> None:
    bench = Bench(who_am_i=0x6C)

    with pytest.raises(ImuNotFoundError, match=r"0x6c .*expected 0x68 \(LSM9DS1\)"):
        bench.run(1)


def test_a_bus_that_hangs_at_the_start_is_waited_for() -> None:
    bench = Bench()
    read = bench.bus.read
    answers = iter([False, True])  # the identity comes, the first read-back does not

    def hanging(address: int, register: int, length: int) -> bytes:
        if next(answers, False):
            raise OSError(errno.ETIMEDOUT, "Connection timed out")
        return read(address, register, length)

    bench.bus.read = hanging  # type: ignore[method-assign]
    chunks = bench.run(5)

    assert chunks[0].cause == "start"
    assert bench.source.health()["errors"] == 1
    assert bench.source.health()["gaps"] == 0


def test_closing_from_another_thread_ends_it_and_puts_the_chip_to_sleep() -> None:
    bench = Bench()
    bench.run(5)
    closer = Thread(target=bench.source.close)
    closer.start()
    closer.join()

    assert bench.run(5) == []
    assert bench.twin.read(0x10, 1) == b"\x00"  # CTRL_REG1_G: power down


def test_closing_while_the_chip_is_away_does_not_wait_for_it() -> None:
    bench = Bench()
    bench.run(5)
    bench.bus.unplug(ADDRESS)
    close_s = bench.clock.now_s() + 100
    bench.at(close_s, bench.source.close)

    assert bench.run(1000) == []
    assert bench.clock.now_s() < close_s + 0.2


def test_what_is_too_strong_is_cut_and_never_turns_round() -> None:
    def hammered(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.repeat(np.sign(np.sin(2 * np.pi * times_s))[:, None] * 1e3, 6, axis=1)

    bench = Bench(motion=hammered)

    chunks = bench.run(10)

    counts = np.concatenate([chunk.counts for chunk in chunks])
    time_s = chunks[0].run_start_s + np.arange(len(counts)) / 50
    phase = time_s % 1.0 % 0.5
    plateau = (phase > 0.05) & (phase < 0.45)  # a step rings for 2 or 3 rows
    sign = np.sign(np.sin(2 * np.pi * time_s))
    assert counts.max() == 32767
    assert counts.min() == -32767
    # 8 g is 32767 counts and more, 2000 dps is 28571, and a sixth of that may be ringing.
    assert (counts[plateau] * sign[plateau, None] > 24000).all()


def test_what_was_really_done_is_asked_of_whoever_knows() -> None:
    bench = Bench()
    told = Source(bench.chip, bench.clock, truth=lambda start_s, end_s: f"{start_s} to {end_s}")

    assert bench.source.truth(1, 2) is None
    assert told.truth(1, 2) == "1 to 2"


def test_a_drain_too_seldom_for_the_fifo_is_an_error() -> None:
    bench = Bench()

    with pytest.raises(ValueError, match=r"drain_s is 0\.2 s, expected at most 0\.134 s"):
        Source(bench.chip, bench.clock, drain_s=0.2)
