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
from firmware_bridge.chip import FrameLossError, ImuNotFoundError, Pending
from firmware_bridge.chips.lsm9ds1 import Driver
from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chips.lsm9ds1 import Twin
from firmware_bridge.figures import driver, emulated
from firmware_bridge.source import Chunk, Health
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
    assert bench.source.health().rate_hz == pytest.approx(119 * (1 + rate_error), rel=1e-4)


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
    assert bench.source.health().gaps == 1
    assert bench.source.health().errors == 1


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
    assert bench.source.health().errors == 0
    assert_nothing_is_invented(bench, chunks)


def test_frames_that_are_missing_or_out_of_step_are_a_gap_which_clearing_mends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.run(10)
    losses = iter([FrameLossError("the tags of 2 frames are missing")])
    starts: list[None] = []
    read = bench.chip.read

    def losing(frames: int) -> NDArray[np.int16]:
        if loss := next(losses, None):
            raise loss
        return read(frames)

    monkeypatch.setattr(bench.chip, "read", losing)
    monkeypatch.setattr(bench.chip, "start", lambda: starts.append(None))
    now_s, chunks = bench.next_run()

    assert (chunks[0].run, chunks[0].cause) == (1, "the tags of 2 frames are missing")
    assert now_s < 1012
    assert starts == []
    assert bench.source.health().errors == 0
    assert_nothing_is_invented(bench, chunks)


def test_frames_that_stay_out_of_step_are_met_by_a_new_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.run(10)
    losing = True
    start, read = bench.chip.start, bench.chip.read

    def started_anew() -> None:
        nonlocal losing
        losing = False
        start()

    def out_of_step(frames: int) -> NDArray[np.int16]:
        if losing:
            raise FrameLossError("out of step")
        return read(frames)

    monkeypatch.setattr(bench.chip, "start", started_anew)
    monkeypatch.setattr(bench.chip, "read", out_of_step)
    now_s, chunks = bench.next_run()

    assert (chunks[0].run, chunks[0].cause) == (1, "out of step")
    assert now_s < 1014  # three tries, 0.5 s, and the rate measured again
    assert bench.source.health().gaps == 1  # from row to row there is one
    assert_nothing_is_invented(bench, chunks)


def standing(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """A value that is no longer measured but still shown."""
    return np.tile([0.3, -0.2, 9.8, 0.01, 0.02, -0.01], (len(times_s), 1))


def test_a_sensor_that_reads_zero_gives_no_more_rows_until_it_measures_again() -> None:
    bench = Bench()
    bench.run(10)
    dead_s = bench.clock.now_s()
    bench.twin.stuck = True
    alive_s = dead_s + 200
    bench.at(alive_s, lambda: setattr(bench.twin, "stuck", False))

    chunks = bench.run(1e-9)
    while chunks[-1].run == 0:
        chunks += bench.run(1e-9)
    chunks += bench.run(5)

    zeros = np.concatenate([chunk.counts for chunk in chunks if chunk.run == 0])[-50:]
    after = [chunk for chunk in chunks if chunk.run > 0]
    health = bench.source.health()
    assert (zeros == 0).all(axis=1).sum() < 35  # 0.5 s, and until the next drain: what is told
    assert {(chunk.run, chunk.cause) for chunk in after} == {
        (1, "stuck: every channel read zero for 0.5 s")
    }
    assert after[0].run_start_s > alive_s
    assert (health.gaps, health.cause) == (1, after[0].cause)
    assert 8 < health.errors < 15  # 0.5 s, 1 s … 30 s between the starts
    assert_nothing_is_invented(bench, after)


def test_a_sensor_that_repeats_its_last_value_is_stuck_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.run(10)
    monkeypatch.setattr(bench.twin._sampler, "_motion", standing)
    monkeypatch.setattr(bench.twin._sampler, "_noise", np.zeros(6))
    bench.at(1060.0, monkeypatch.undo)

    _, chunks = bench.next_run()

    assert (chunks[0].run, chunks[0].cause) == (1, "stuck: no channel changed for 0.5 s")
    assert chunks[0].run_start_s > 1060
    assert_nothing_is_invented(bench, chunks)


def test_a_coarse_sensor_that_repeats_itself_gives_no_new_run_of_that() -> None:
    clock = Diary(1000.0)
    twin, bus = emulated("lis3dh", standing, clock)
    source = Source(driver("lis3dh", bus, clock), clock)
    clock.appointments.append((1010.0, lambda: setattr(twin._sampler, "_noise", np.zeros(6))))
    clock.appointments.append((1100.0, source.close))

    told = [(chunk.run, clock.now_s()) for chunk in source.chunks()]

    assert {run for run, _ in told} == {0}
    assert told[-1][1] == pytest.approx(1030, abs=0.3)  # a limit of 20 s: see stuck.py
    assert source.health().state == "gap"


def test_a_run_that_gave_no_row_uses_up_no_number_and_is_part_of_the_gap() -> None:
    bench = Bench()
    bench.run(10)
    bench.bus.fail(errno.EAGAIN, transfers=1)
    # Mended at the next drain; disturbed again before the new run knows its moment.
    bench.at(1010.35, lambda: bench.bus.fail(errno.EIO, transfers=1))

    _, chunks = bench.next_run()

    health = bench.source.health()
    assert (chunks[0].run, chunks[0].cause) == (1, "bus error: Resource temporarily unavailable")
    assert (health.gaps, health.errors) == (1, 2)


def test_health_tells_the_state_and_since_when() -> None:
    bench = Bench()
    begun_s = bench.clock.now_s()
    starting = bench.source.health()
    before = bench.run(10)
    connected = bench.source.health()
    bench.bus.unplug(ADDRESS)
    pulled_s = bench.clock.now_s()
    seen: list[Health] = []
    bench.at(pulled_s + 50, lambda: seen.append(bench.source.health()))
    bench.at(pulled_s + 60, lambda: bench.bus.plug(ADDRESS))
    after = bench.run(1e-9)
    while after[0].run == 0:
        after = bench.run(1e-9)
    back_s = bench.clock.now_s()
    bench.run(5)
    again = bench.source.health()

    assert (starting.state, starting.since_s, starting.cause) == ("starting", begun_s, None)
    assert (connected.state, connected.lost, connected.cause) == ("connected", 0, None)
    assert 1001 < connected.since_s < 1003  # the rate was measured first
    assert (seen[0].state, seen[0].cause) == ("gap", "bus error: Remote I/O error")
    assert pulled_s <= seen[0].since_s < pulled_s + 0.2
    assert (again.state, again.cause) == ("connected", seen[0].cause)
    assert again.since_s == back_s
    # From the last row told to the first told again, at 119 Hz and 5 % more.
    due_s = before[-1].run_start_s + (before[-1].first + len(before[-1].counts)) / 50
    missing_s = after[0].run_start_s - due_s
    assert again.lost == pytest.approx(missing_s * 119 * 1.05, abs=2)


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
    assert health.gaps == 1
    assert 20 < health.errors < 35  # 3, then 0.5 s, 1 s … 30 s: ever more seldom
    assert_nothing_is_invented(bench, chunks)


def test_a_chip_that_lost_its_power_for_a_moment_is_set_up_anew() -> None:
    bench = Bench()
    bench.run(10)
    bench.twin.brown_out()

    _, chunks = bench.next_run()

    assert chunks[0].cause == "no frame came for 0.5 s"
    assert bench.source.health().errors == 1  # at once: emptying its FIFO would not help
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
    assert bench.source.health().errors == 1
    assert bench.source.health().gaps == 0


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
