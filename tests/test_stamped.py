"""Batches with the sender's stamps: what is late, irregular, missing or wrong about them."""

from types import SimpleNamespace

import numpy as np
import pytest
from sent import STEEPEST, Floats, assert_true, assert_whole, moved, rows, times_of, turned

from firmware_bridge.clock import VirtualClock
from firmware_bridge.rows.merge import Merge
from firmware_bridge.rows.payload import Stretch
from firmware_bridge.rows.stamped import Stamped
from firmware_bridge.rows.timed_resampler import TimedResampler
from firmware_bridge.source import Chunk

LATE_S = 0.004  # the least that a batch is late


class Sender:
    """Samples by a clock of its own; its batches reach `stamped` late, some by a lot."""

    def __init__(
        self, rate_hz: float = 100.0, *, batch_s: float = 0.5, jitter: float = 0.0
    ) -> None:
        self.clock = VirtualClock(1000.0)
        self.stamped = Stamped(6, self.clock, 50.0)
        self.rate_hz = rate_hz
        self.batch_s = batch_s
        self.jitter = jitter  # of a period, uniform to both sides
        self.zero_s = 990.0  # ours, when its clock showed 0
        self.worst_s = 0.3
        self.drift = 60e-6  # of its clock against ours
        self.done_s = 1000.0
        self.chunks: list[Chunk] = []
        self._rng = np.random.default_rng(3)

    def times(self, seconds: float) -> Floats:
        """When it samples next, for so long."""
        regular = self.done_s + np.arange(round(seconds * self.rate_hz)) / self.rate_hz
        self.done_s += len(regular) / self.rate_hz
        return regular + self._rng.uniform(-1, 1, len(regular)) * self.jitter / self.rate_hz

    def send(self, times: Floats, late_s: float | None = None) -> None:
        if late_s is None:
            late_s = LATE_S + self.worst_s * self._rng.random() ** 4
        stamps = (times - self.zero_s) * (1 + self.drift)
        samples = np.column_stack([moved(times), turned(times)])
        self.clock.sleep_s(times[-1] + late_s - self.clock.now_s())
        stretch = Stretch(stamps, samples, float(stamps[-1]))
        self.chunks += self.stamped.push(stretch, self.clock.now_s())

    def go_on(self, seconds: float) -> None:
        for _ in range(round(seconds / self.batch_s)):
            self.send(self.times(self.batch_s))

    @property
    def source(self) -> SimpleNamespace:
        return SimpleNamespace(scale=self.stamped.scale)

    def causes(self) -> list[str]:
        return [chunk.cause for chunk in self.chunks if chunk.first == 0]

    def assert_true(self, within_s: float = 0.01) -> None:
        """Rows are as late as the least late batch, 4 ms, and what the luckiest got on top."""
        assert_whole(self.chunks)
        assert_true(self.source, self.chunks, within_s)


@pytest.mark.parametrize("rate_hz", [20.0, 50.0, 104.2, 400.0])
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_rows_lie_where_the_stamps_say_however_late_the_batches_are(
    rate_hz: float, jitter: float
) -> None:
    sender = Sender(rate_hz, jitter=jitter)
    sender.go_on(60)

    assert sender.causes() == ["start"]
    assert rows(sender.chunks) > 50 * 57
    # The least late of the first five batches was up to 30 ms late; soon it is better known.
    # At 20 Hz a fifth of a period is 10 ms, and what the places lose by it is a part of that.
    jitter_s = 0.8 * jitter / rate_hz if rate_hz < 50 else 0.0
    sender.assert_true(0.035 + jitter_s)
    late = [chunk for chunk in sender.chunks if chunk.first > 50 * 20]
    assert_true(sender.source, late, 0.01 + jitter_s)
    assert sender.stamped.health().rate_hz == pytest.approx(rate_hz, rel=0.02)


@pytest.mark.parametrize("drift", [-60e-6, 60e-6])
def test_a_clock_that_drifts_is_followed_for_an_hour(drift: float) -> None:
    sender = Sender(50.0, batch_s=1.0)
    sender.drift = drift
    sender.go_on(3600)

    assert sender.causes() == ["start"]
    sender.assert_true(0.035)
    late = [chunk for chunk in sender.chunks if chunk.first > 50 * 60]
    assert_true(sender.source, late, 0.01)


def test_batches_that_are_all_late_at_first_are_put_right_without_a_jump() -> None:
    sender = Sender()
    for _ in range(8):
        sender.send(sender.times(0.5), late_s=0.1)
    sender.go_on(120)

    assert sender.causes() == ["start"]
    late = [chunk for chunk in sender.chunks if chunk.first > 50 * 60]
    assert_true(sender.source, late, 0.01)
    # No row is further from the one before than 20 ms of the swing, half a percent quicker.
    x = np.concatenate([chunk.counts[:, 0] for chunk in sender.chunks]) * sender.source.scale[0]
    assert np.abs(np.diff(x)).max() < STEEPEST / 50 * 1.006 + sender.source.scale[0]


def test_a_clock_that_turns_out_wrong_by_much_ends_the_run() -> None:
    sender = Sender()
    for _ in range(8):
        sender.send(sender.times(0.5), late_s=4.0)
    sender.go_on(20)  # what waited comes at once, the rest in time

    assert len(sender.causes()) > 1
    assert sender.causes()[1].startswith("the sender's clock is -0.")
    assert_whole(sender.chunks)
    late = [chunk for chunk in sender.chunks if chunk.run == sender.chunks[-1].run]
    assert rows(late) > 50 * 14
    assert_true(sender.source, late[20:], 0.01)
    ends = [times_of(chunk)[-1] for chunk in sender.chunks]
    assert all(times_of(c)[0] > end for end, c in zip(ends, sender.chunks[1:], strict=False))


def test_rows_are_the_same_however_samples_are_cut_into_batches() -> None:
    times = 1000 + (np.arange(800) + np.random.default_rng(4).uniform(-0.2, 0.2, 800)) / 104.2
    whole = TimedResampler(1 / 104.2, 50.0, 3)
    cut = TimedResampler(1 / 104.2, 50.0, 3)
    at_once = whole.push_timed(times, moved(times))
    parts = [cut.push_timed(part, moved(part)) for part in np.split(times, [1, 30, 31, 500, 777])]

    # Rounding alone: a place is counted from where the kept samples begin.
    np.testing.assert_allclose(np.concatenate(parts), at_once, rtol=0, atol=1e-9)
    assert cut.start_s == whole.start_s


@pytest.mark.parametrize("at", range(0, 600, 37))
def test_a_hiccup_of_a_quick_sender_is_bridged_by_a_line(at: int) -> None:
    """47.5 ms of a swing bend from a line by 3 m/s² · (2π · 0.7 Hz · 47.5 ms)² / 8 = 16 mm/s²."""
    times = np.delete(1000 + np.arange(1600) / 400, slice(400 + at, 418 + at))
    resampler = TimedResampler(1 / 400, 50.0, 3)
    found = resampler.push_timed(times, moved(times))

    due = resampler.start_s + np.arange(len(found)) / 50
    assert np.abs(found - moved(due)).max() < 0.017


def test_one_missing_sample_is_bridged_and_three_are_a_gap() -> None:
    sender = Sender(50.0)
    sender.go_on(5)
    sender.send(np.delete(sender.times(0.5), 7))
    sender.go_on(5)
    assert sender.causes() == ["start"]
    sender.assert_true()

    sender.send(np.delete(sender.times(0.5), [7, 8, 9]))
    sender.go_on(5)
    assert sender.causes() == ["start", "0.08 s without samples"]
    sender.assert_true()
    health = sender.stamped.health()
    assert health.gaps == 1
    # Three, and half a kernel of 11 samples to both sides.
    assert 3 <= health.lost <= 3 + 2 * 12


def test_stamps_that_go_back_begin_a_run_on_a_new_clock() -> None:
    sender = Sender()
    sender.go_on(5)
    sender.zero_s = sender.done_s + 0.2
    sender.done_s += 0.3
    sender.go_on(5)

    assert sender.causes() == [
        "start",
        "the sender's clock went back: it was started again, or set",
    ]
    sender.assert_true()


def test_another_rate_begins_a_run() -> None:
    sender = Sender(50.0)
    sender.go_on(5)
    sender.rate_hz = 200.0
    sender.go_on(5)

    assert len(sender.causes()) == 2
    assert sender.causes()[1].startswith("the sender now gives 200.")
    sender.assert_true()
    assert sender.stamped.health().rate_hz == pytest.approx(200, rel=0.01)


def test_silence_is_a_gap_after_five_seconds() -> None:
    sender = Sender()
    sender.go_on(5)
    sender.clock.sleep_s(4.5)
    assert not sender.stamped.silent()
    assert sender.stamped.health().state == "connected"
    sender.clock.sleep_s(1)
    assert sender.stamped.silent()
    health = sender.stamped.health()
    assert (health.state, health.gaps, health.cause) == ("gap", 1, "no samples came for 5 s")
    assert health.since_s == sender.clock.now_s()


def test_a_batch_out_of_order_in_itself_is_put_in_order() -> None:
    sender = Sender()
    for _ in range(20):
        times = sender.times(0.5)
        order = np.random.default_rng(5).permutation(len(times) - 1)
        sender.send(np.append(times[order], times[-1]))
    assert sender.causes() == ["start"]
    sender.assert_true()


def test_what_is_beyond_16_g_stops_there() -> None:
    sender = Sender()
    stamps = np.arange(400) / 100
    samples = np.full((400, 6), -1000.0)
    sender.clock.sleep_s(4)
    for part in np.split(np.arange(400), 8):
        sender.clock.sleep_s(0.5)
        stretch = Stretch(stamps[part], samples[part], float(stamps[part][-1]))
        sender.chunks += sender.stamped.push(stretch, sender.clock.now_s())
    assert {int(c.counts.max()) for c in sender.chunks} == {-32767}


def merged(merge: Merge) -> list[tuple[float, ...]]:
    times, table = merge.take()
    return [(float(time), *row) for time, row in zip(times, table.tolist(), strict=True)]


def xyz(*values: float) -> Floats:
    return np.outer(values, [1.0, 10.0, 100.0]).astype(np.float64)


@pytest.fixture(name="merge")
def _merge() -> Merge:
    return Merge(["accel", "gyro"])


def test_streams_are_merged_on_the_times_of_the_first(merge: Merge) -> None:
    merge.add("accel", np.array([0.01, 0.03, 0.05]), xyz(1, 2, 3))
    assert merged(merge) == []
    merge.add("gyro", np.array([0.02, 0.04]), xyz(4, 6))
    # The first has no gyro before it; the last none after it yet.
    assert merged(merge) == [pytest.approx((0.03, 2, 20, 200, 5, 50, 500))]
    merge.add("gyro", np.array([0.05]), xyz(7))
    assert merged(merge) == [(0.05, 3, 30, 300, 7, 70, 700)]
    assert merged(merge) == []
    merge.add("accel", np.array([0.055]), xyz(4))
    merge.add("gyro", np.array([0.06]), xyz(9))
    assert merged(merge) == [pytest.approx((0.055, 4, 40, 400, 8, 80, 800))]


def test_no_line_is_drawn_over_a_hole(merge: Merge) -> None:
    merge.add("accel", np.array([1.0, 1.1, 1.2]), xyz(1, 2, 3))
    merge.add("gyro", np.array([1.0, 1.15, 1.2]), xyz(1, 2, 3))
    assert [row[0] for row in merged(merge)] == [1.0, 1.2]


def test_what_waits_in_vain_does_not_pile_up(merge: Merge) -> None:
    for second in range(100):
        merge.add("accel", second + np.arange(100) / 100, np.zeros((100, 3)))
    assert len(merge._times["accel"]) <= 1001
