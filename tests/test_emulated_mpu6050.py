"""The twin against the register maps' facts, spoken to as a driver would: by register and bit."""

from math import radians

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.mpu6050 import Twin

G = 9.80665


def still(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flat on the table, turning at 90 dps about x."""
    return np.tile([0.0, 0.0, G, radians(90), 0.0, 0.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sample k of 100 Hz reads 256 k counts on every axis."""
    number = 256 * np.rint(t_s * 100)[:, np.newaxis]
    return np.hstack([np.tile(number * G / 16384, 3), np.tile(number * radians(250 / 32768), 3)])


class Bench:
    """One twin, a clock, and the transfers a driver would make; no noise unless asked for."""

    def __init__(self, motion: Motion = still, who_am_i: int = 0x68, rate_error: float = 0) -> None:
        self.clock = VirtualClock()
        self.twin = Twin(motion, self.clock, who_am_i=who_am_i, rate_error=rate_error)
        self.twin._sampler._noise[:] = 0

    def set(self, register: int, *values: int) -> None:
        self.twin.write(bytes((register, *values)))

    def get(self, register: int) -> int:
        return self.twin.read(register, 1)[0]

    def wait(self, samples: float, rate_hz: float = 100) -> None:
        self.clock.sleep_s(samples / rate_hz)

    def stream(self) -> None:
        """100 Hz, accel and gyro to the FIFO, the clock half a sample on."""
        self.set(0x19, 9)
        self.set(0x1A, 1)
        self.set(0x23, 0x78)
        self.set(0x6A, 0x40)
        self.set(0x6B, 0x01)
        self.wait(0.5)

    @property
    def count(self) -> int:
        return int.from_bytes(self.twin.read(0x72, 2), "big")

    def words(self, register: int, number: int) -> list[int]:
        return [int(word) for word in np.frombuffer(self.twin.read(register, 2 * number), ">i2")]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def streaming() -> Bench:
    bench = Bench(counting)
    bench.stream()
    return bench


# Registers


@pytest.mark.parametrize("identity", [0x68, 0x70, 0x71, 0x73, 0x98])
def test_it_answers_with_its_identity(identity: int) -> None:
    assert Bench(who_am_i=identity).get(0x75) == identity


def test_it_wakes_asleep_and_samples_nothing(bench: Bench) -> None:
    bench.wait(100)

    assert bench.get(0x6B) == 0x40
    assert bench.words(0x3B, 7) == [0] * 7


@pytest.mark.parametrize("cause", ["DEVICE_RESET", "brown-out"])
def test_reset_and_brown_out_restore_the_power_on_values(streaming: Bench, cause: str) -> None:
    streaming.wait(10)
    if cause == "DEVICE_RESET":
        streaming.set(0x6B, 0x80)
    else:
        streaming.twin.brown_out()
    streaming.wait(10)

    assert [streaming.get(r) for r in (0x19, 0x1A, 0x23, 0x6A, 0x6B)] == [0, 0, 0, 0, 0x40]
    assert streaming.count == 0


def test_a_reset_takes_100_ms_and_shows_when_it_is_done(bench: Bench) -> None:
    bench.set(0x6B, 0x80)
    bench.clock.sleep_s(0.099)
    during = bench.get(0x6B)
    bench.set(0x19, 9)
    bench.clock.sleep_s(0.001)
    lost = bench.get(0x19)
    bench.set(0x19, 9)

    assert (during, bench.get(0x6B), lost, bench.get(0x19)) == (0xC0, 0x40, 0, 9)


def test_writes_and_reads_go_on_to_the_next_register_but_not_from_the_fifo(
    streaming: Bench,
) -> None:
    streaming.set(0x19, 9, 1, 0x18, 0x10)
    streaming.wait(2)

    assert streaming.twin.read(0x19, 4) == b"\x09\x01\x18\x10"
    assert len(set(streaming.twin.read(0x74, 24))) > 1
    assert streaming.count == 0


def test_sensor_data_cannot_be_written(streaming: Bench) -> None:
    streaming.wait(1)
    streaming.set(0x3B, 0xAA)

    assert streaming.get(0x3B) == 1


# Scales, order and rates


@pytest.mark.parametrize("code", range(4))
def test_full_scales_halve_the_counts_and_saturate(code: int) -> None:
    bench = Bench()
    bench.set(0x1B, code << 3, code << 3)
    bench.stream()
    bench.wait(1)
    accel, gyro = bench.words(0x3B, 3), bench.words(0x43, 3)
    bench.twin._sampler._motion = lambda t_s: np.tile([99 * G, -99 * G, 0, 99, 0, 0], (len(t_s), 1))
    bench.wait(1)

    assert accel == [0, 0, 16384 >> code]
    assert gyro == [round(90 * 32768 / (250 << code)), 0, 0]
    assert bench.words(0x3B, 2) == [32767, -32767]
    assert bench.words(0x43, 1) == [32767]


def test_words_are_big_endian_accel_temperature_gyro(streaming: Bench) -> None:
    streaming.set(0x6C, 0b000_110)  # of gyro only z runs
    streaming.wait(3)

    assert streaming.twin.read(0x3B, 14) == b"\3\0" * 3 + b"\0\0" * 3 + b"\3\0"


@pytest.mark.parametrize(
    ("identity", "config", "gyro_config", "rate_hz"),
    [
        (0x68, 1, 0, 100),
        (0x68, 6, 0, 100),
        (0x68, 0, 0, 800),
        (0x68, 7, 0, 800),
        (0x68, 1, 1, 100),  # FCHOICE_B is the successors'
        (0x71, 1, 0, 100),
        (0x71, 0, 0, 8000),  # their divider works on 1 kHz alone
        (0x71, 1, 1, 32000),
    ],
)
def test_the_divider_divides_what_the_filter_leaves(
    identity: int, config: int, gyro_config: int, rate_hz: float
) -> None:
    bench = Bench(who_am_i=identity)
    bench.stream()
    bench.set(0x6B, 0x41)
    bench.set(0x1A, config, gyro_config)
    bench.set(0x6B, 0x01)  # the clock begins anew
    bench.clock.sleep_s(20.5 / rate_hz)

    assert bench.count == 20 * 12


def test_its_clock_runs_by_the_rate_error() -> None:
    bench = Bench(rate_error=0.10)
    bench.stream()
    bench.wait(20)  # 22.55 of its own

    assert bench.count == 22 * 12


# FIFO


def test_the_fifo_holds_accel_before_gyro_oldest_first(streaming: Bench) -> None:
    streaming.wait(3)

    assert streaming.count == 36
    assert streaming.words(0x74, 18) == [256] * 6 + [512] * 6 + [768] * 6


@pytest.mark.parametrize(
    ("enabled", "length"), [(0x08, 6), (0xF8, 14), (0x40, 2), (0x70, 6), (0, 0)]
)
def test_fifo_en_chooses_what_goes_in(streaming: Bench, enabled: int, length: int) -> None:
    streaming.set(0x23, enabled)
    streaming.wait(1)

    assert streaming.count == length


@pytest.mark.parametrize(("enabled", "word"), [(0x40, 131), (0x20, 262), (0x10, 393)])
def test_each_gyro_axis_has_its_bit(enabled: int, word: int) -> None:
    bench = Bench(lambda t_s: np.tile([0, 0, 0, *np.radians([1, 2, 3])], (len(t_s), 1)))
    bench.stream()
    bench.set(0x23, enabled)
    bench.wait(1)

    assert bench.words(0x74, 1) == [word]


def test_the_count_is_taken_when_its_high_byte_is_read(streaming: Bench) -> None:
    streaming.wait(30)
    before = streaming.count
    streaming.wait(1)

    assert (before, streaming.get(0x73)) == (360, 360 & 0xFF)
    assert streaming.count == 372


def test_an_empty_fifo_repeats_its_last_byte(streaming: Bench) -> None:
    streaming.set(0x1A, 1, 0, 0x08)  # at 4 g a count is two of those it counts in: 0x80
    streaming.wait(1)
    streaming.set(0x23, 0x08)
    streaming.twin.read(0x74, 11)

    assert streaming.twin.read(0x74, 3) == b"\0\0\0"
    streaming.wait(1)
    assert streaming.twin.read(0x74, 8) == b"\1\0" * 3 + b"\0\0"


@pytest.mark.parametrize(("identity", "size"), [(0x68, 1024), (0x70, 512), (0x71, 512)])
def test_overflow_pushes_bytes_out_and_loses_step(identity: int, size: int) -> None:
    bench = Bench(counting, identity)
    bench.stream()
    whole = size // 12
    bench.wait(whole)
    full = bench.count
    bench.wait(1)
    left = size % 12 // 2  # words of the oldest sample, its beginning was pushed out

    assert full == 12 * whole
    assert bench.count == size
    assert bench.words(0x74, left + 6) == [256] * left + [512] * 6


def test_overflow_is_the_same_however_seldom_the_bus_looks() -> None:
    often, seldom = Bench(counting), Bench(counting)
    for bench in (often, seldom):
        bench.stream()
    for _ in range(100):
        often.wait(1)
        often.get(0x75)
    seldom.wait(100)

    assert often.count == seldom.count == 1024
    assert often.words(0x74, 512) == seldom.words(0x74, 512)


@pytest.mark.parametrize("identity", [0x70, 0x71])
def test_a_successor_can_be_told_to_stop_when_full(identity: int) -> None:
    bench = Bench(counting, identity)
    bench.set(0x1A, 0x41)
    bench.stream()
    bench.set(0x1A, 0x41)
    bench.wait(100)

    assert bench.count == 512
    assert bench.words(0x74, 6) == [256] * 6


@pytest.mark.parametrize(("identity", "running"), [(0x68, False), (0x71, True)])
def test_the_older_chip_resets_its_fifo_only_while_that_is_off(
    identity: int, running: bool
) -> None:
    bench = Bench(counting, identity)
    bench.stream()
    bench.wait(3)
    bench.set(0x6A, 0x44)
    at_once = bench.count == 0
    bench.set(0x6A, 0x04)

    assert at_once is running
    assert (bench.count, bench.get(0x6A)) == (0, 0)


def test_while_off_the_fifo_keeps_what_it_has(streaming: Bench) -> None:
    streaming.wait(3)
    streaming.set(0x6A, 0x00)
    streaming.wait(3)
    off = streaming.count
    streaming.set(0x6A, 0x40)

    assert (off, streaming.count) == (36, 36)


@pytest.mark.parametrize(("identity", "before", "again"), [(0x68, 0x10, 0x10), (0x71, 0, 0)])
def test_the_overflow_bit_tells_something_on_successors_only(
    identity: int, before: int, again: int
) -> None:
    bench = Bench(who_am_i=identity)
    bench.stream()
    bench.wait(42)
    quiet = bench.get(0x3A) & 0x10
    bench.wait(50)

    assert quiet == before
    assert bench.get(0x3A) & 0x10 == 0x10
    assert bench.get(0x3A) & 0x10 == again


def test_a_stuck_sensor_reads_zero_and_goes_on_counting(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(3)

    assert streaming.count == 36
    assert not any(streaming.words(0x74, 18) + streaming.words(0x3B, 7))
