"""The twin against the datasheet's facts, spoken to as a driver would: by register and bit."""

from math import radians
from struct import iter_unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.bmi160 import Twin

G = 9.80665
GYRO_START_S = 0.080


def still(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flat on the table, turning at 90 dps about x."""
    return np.tile([0.0, 0.0, G, radians(90), 0.0, 0.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample at k/100 s reads k counts of 2 g and of 2000 dps on every axis."""
    number = np.rint(t_s * 100)[:, np.newaxis]
    return np.hstack([np.tile(number * G / 16384, 3), np.tile(number * radians(1 / 16.4), 3)])


class Bench:
    """One twin, a clock, and the transfers a driver would make; no noise."""

    def __init__(self, motion: Motion = still, rate_error: float = 0, who_am_i: int = 0xD1) -> None:
        self.clock = VirtualClock()
        self.twin = Twin(motion, self.clock, rate_error=rate_error, who_am_i=who_am_i)
        self.twin._sampler._noise[:] = 0

    def set(self, register: int, *values: int) -> None:
        self.twin.write(bytes((register, *values)))

    def get(self, register: int) -> int:
        return self.twin.read(register, 1)[0]

    def wait(self, samples: float) -> None:
        self.clock.sleep_s(samples / 100)

    def stream(self, fifo: int = 0xD0) -> None:
        """100 Hz, both sensors running, the FIFO on and empty, the clock half a sample on."""
        self.set(0x7E, 0x11)
        self.clock.sleep_s(0.005)
        self.set(0x7E, 0x15)
        self.clock.sleep_s(0.085)
        self.set(0x47, fifo)
        self.wait(0.5)
        self.set(0x7E, 0xB0)

    @property
    def length(self) -> int:
        return int.from_bytes(self.twin.read(0x22, 2), "little")

    def frames(self, number: int) -> list[tuple[int, ...]]:
        """Of each: header, gyro, accel."""
        return list(iter_unpack("<B6h", self.twin.read(0x24, 13 * number)))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def streaming() -> Bench:
    bench = Bench(counting)
    bench.stream()
    return bench


# Registers, power and time


@pytest.mark.parametrize("identity", [0xD1, 0xD3])
def test_it_answers_with_its_identity(identity: int) -> None:
    assert Bench(who_am_i=identity).get(0x00) == identity


def test_it_wakes_in_suspend_and_samples_nothing(bench: Bench) -> None:
    bench.set(0x47, 0xD0)
    bench.wait(100)

    assert (bench.get(0x03), bench.length) == (0, 0)


@pytest.mark.parametrize("cause", ["soft reset", "brown-out"])
def test_reset_and_brown_out_restore_the_power_on_values(streaming: Bench, cause: str) -> None:
    streaming.wait(10)
    if cause == "soft reset":
        streaming.set(0x7E, 0xB6)
    else:
        streaming.twin.brown_out()
    streaming.wait(10)

    assert [streaming.get(r) for r in (0x03, 0x40, 0x41, 0x42, 0x43, 0x45, 0x46, 0x47)] == [
        *(0, 0x28, 0x03, 0x28, 0x00, 0x88, 0x80, 0x10)
    ]
    assert streaming.length == 0


@pytest.mark.parametrize(
    ("command", "seconds", "status"), [(0x11, 0.0038, 0x10), (0x15, 0.080, 0x04)]
)
def test_a_sensor_needs_its_time_to_wake(
    bench: Bench, command: int, seconds: float, status: int
) -> None:
    bench.set(0x7E, command)
    bench.clock.sleep_s(0.95 * seconds)
    before = bench.get(0x03)
    bench.clock.sleep_s(0.05 * seconds)

    assert (before, bench.get(0x03)) == (0, status)


def test_a_command_given_during_another_is_dropped_and_that_is_said_once(bench: Bench) -> None:
    bench.set(0x7E, 0x11)
    bench.clock.sleep_s(0.001)
    bench.set(0x7E, 0x15)
    bench.clock.sleep_s(0.2)

    assert bench.get(0x03) == 0x10
    assert (bench.get(0x02), bench.get(0x02)) == (0x40, 0)


def test_in_suspend_a_write_needs_450_us_and_in_normal_mode_none(bench: Bench) -> None:
    bench.set(0x41, 0x05)
    bench.clock.sleep_s(400e-6)
    bench.set(0x43, 0x01)
    lost = bench.get(0x43)
    bench.clock.sleep_s(50e-6)
    bench.set(0x43, 0x02)
    kept = bench.get(0x43)
    bench.stream()
    bench.set(0x41, 0x08)
    bench.set(0x43, 0x03)

    assert (lost, kept, bench.get(0x41), bench.get(0x43)) == (0, 2, 0x08, 0x03)


def test_after_a_reset_writes_are_lost_for_a_millisecond(streaming: Bench) -> None:
    streaming.set(0x7E, 0xB6)
    streaming.clock.sleep_s(0.0009)
    streaming.set(0x41, 0x05)
    early = streaming.get(0x41)
    streaming.clock.sleep_s(0.0001)
    streaming.set(0x41, 0x05)

    assert (early, streaming.get(0x41)) == (0x03, 0x05)


def test_a_suspended_chip_fills_nothing(streaming: Bench) -> None:
    streaming.set(0x7E, 0x14)
    streaming.clock.sleep_s(0.1)
    streaming.get(0x03)
    streaming.set(0x7E, 0x10)
    streaming.clock.sleep_s(0.1)
    streaming.set(0x7E, 0xB0)
    streaming.wait(10)

    assert (streaming.get(0x03), streaming.length) == (0, 0)


# Scales and rates


@pytest.mark.parametrize(
    ("acc_range", "per_g", "gyr_range", "full_dps"),
    [(0x3, 16384, 4, 125), (0x5, 8192, 2, 500), (0x8, 4096, 1, 1000), (0xC, 2048, 0, 2000)],
)
def test_full_scales_and_order_in_the_data_registers(
    acc_range: int, per_g: int, gyr_range: int, full_dps: int
) -> None:
    bench = Bench()
    bench.stream()
    bench.set(0x41, acc_range)
    bench.set(0x43, gyr_range)
    bench.wait(1)
    at_rest = np.frombuffer(bench.twin.read(0x0C, 12), "<i2").tolist()
    bench.twin._sampler._motion = lambda t_s: np.tile([99 * G, -99 * G, 0, 99, 0, 0], (len(t_s), 1))
    bench.wait(1)

    assert at_rest == [round(90 * 16.4 * 2000 / full_dps), 0, 0, 0, 0, per_g]
    assert np.frombuffer(bench.twin.read(0x12, 4), "<i2").tolist() == [32767, -32767]
    assert np.frombuffer(bench.twin.read(0x0C, 2), "<i2")[0] == 32767


@pytest.mark.parametrize(("code", "rate_hz"), [(6, 25), (7, 50), (8, 100), (9, 200), (12, 1600)])
def test_output_data_rates(code: int, rate_hz: float) -> None:
    bench = Bench()
    bench.stream()
    for register in (0x40, 0x42):
        bench.set(register, 0x2B)
        bench.set(register, 0x20 | code)  # another rate: the clock begins anew
    bench.set(0x7E, 0xB0)
    bench.clock.sleep_s(20.5 / rate_hz)

    assert bench.length == 20 * 13


def test_its_clock_runs_by_the_rate_error() -> None:
    bench = Bench(rate_error=0.10)
    bench.stream()
    before = int.from_bytes(bench.twin.read(0x18, 3), "little")
    bench.wait(20)  # 22.55 of its own
    ticks = int.from_bytes(bench.twin.read(0x18, 3), "little") - before

    assert bench.length == 22 * 13
    assert ticks == pytest.approx(25600 * 0.20 * 1.1, abs=1)


# FIFO


def test_a_frame_is_header_gyro_accel(streaming: Bench) -> None:
    streaming.wait(3)
    frames = streaming.frames(3)

    assert [frame[0] for frame in frames] == [0x8C] * 3
    assert np.ptp([frame[1:] for frame in frames], axis=1).tolist() == [0, 0, 0]
    assert np.diff([frame[1] for frame in frames]).tolist() == [1, 1]
    assert streaming.length == 0


def test_in_a_frame_gyro_comes_before_accel_low_byte_first(bench: Bench) -> None:
    bench.stream()
    bench.wait(1)

    assert bench.frames(1) == [(0x8C, 1476, 0, 0, 0, 0, 16384)]


def test_a_suspended_sensor_keeps_its_last_words(bench: Bench) -> None:
    bench.stream()
    bench.wait(1)
    bench.set(0x7E, 0x14)
    bench.wait(20)
    bench.get(0x03)
    bench.set(0x7E, 0xB0)
    bench.wait(1)

    assert bench.get(0x24) == 0x84
    assert np.frombuffer(bench.twin.read(0x0C, 2), "<i2")[0] == 1476  # 90 dps


@pytest.mark.parametrize(
    ("fifo", "length", "header"),
    [(0xD0, 13, 0x8C), (0x90, 7, 0x88), (0x50, 7, 0x84), (0xC0, 12, None), (0x40, 6, None)],
)
def test_fifo_config_1_chooses_sensors_and_headers(
    fifo: int, length: int, header: int | None
) -> None:
    bench = Bench()
    bench.stream(fifo)
    bench.wait(1)

    assert bench.length == length
    assert header is None or bench.get(0x24) == header


def test_at_unequal_rates_a_frame_holds_what_is_new() -> None:
    bench = Bench(counting)
    bench.stream()
    bench.set(0x40, 0x27)  # accel 50 Hz
    bench.set(0x7E, 0xB0)
    bench.wait(4.5)
    data = bench.twin.read(0x24, 7 + 13 + 7 + 13)

    assert [data[at] for at in (0, 7, 20, 27)] == [0x88, 0x8C, 0x88, 0x8C]


def test_overflow_drops_whole_frames_and_says_how_many_in_a_skip_frame(streaming: Bench) -> None:
    streaming.wait(78)
    full = streaming.length
    streaming.wait(3)
    overflowed = streaming.length
    skip = streaming.twin.read(0x24, 2)
    after = streaming.length
    frames = streaming.frames(78)

    assert (full, overflowed, after) == (78 * 13, 2 + 78 * 13, 78 * 13)
    assert skip == b"\x40\x03"
    assert [frame[0] for frame in frames] == [0x8C] * 78
    assert np.diff([frame[1] for frame in frames]).tolist() == [1] * 77


def test_a_skip_frame_counts_to_255(streaming: Bench) -> None:
    streaming.wait(5000)

    assert streaming.twin.read(0x24, 2) == b"\x40\xff"


def test_a_frame_read_in_part_comes_again_whole(streaming: Bench) -> None:
    streaming.wait(2)
    streaming.twin.read(0x24, 13 + 5)
    left = streaming.length
    frames = streaming.frames(1)

    assert (left, frames[0][0], streaming.length) == (13, 0x8C, 0)


def test_beyond_the_last_frame_there_is_0x80(streaming: Bench) -> None:
    streaming.wait(1)

    assert streaming.twin.read(0x24, 16)[13:] == b"\x80" * 3
    assert streaming.get(0x24) == 0x80


def test_over_reading_gives_the_sensor_time_if_asked_for() -> None:
    bench = Bench()
    bench.stream(0xD2)
    bench.wait(1)
    data = bench.twin.read(0x24, 13 + 5)

    assert (data[13], data[14:17], data[17]) == (0x44, bench.twin.read(0x18, 3), 0x80)


def test_another_setting_is_announced_by_a_config_frame(streaming: Bench) -> None:
    streaming.set(0x41, 0x05)
    streaming.set(0x41, 0x05)  # nothing new
    streaming.wait(1)

    assert streaming.twin.read(0x24, 3) == b"\x48\x02\x8c"


def test_a_stuck_sensor_reads_zero_and_goes_on_counting(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(3)

    assert streaming.length == 39
    assert streaming.frames(3) == [(0x8C, *[0] * 6)] * 3
    assert not any(streaming.twin.read(0x0C, 12))
