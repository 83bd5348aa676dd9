"""The twin against the datasheet's facts, spoken to as a driver would: by register and bit."""

from math import radians

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.icm20948 import Twin

G = 9.80665


def still(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flat on the table, turning at 90 dps about x."""
    return np.tile([0.0, 0.0, G, radians(90), 0.0, 0.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sample k of 112.5 Hz reads 200 k counts on every axis."""
    number = 200 * np.rint(t_s * 112.5)[:, np.newaxis]
    return np.hstack([np.tile(number * G / 16384, 3), np.tile(number * radians(250 / 32768), 3)])


class Bench:
    """One twin, a clock, and the transfers a driver would make; no noise."""

    def __init__(self, motion: Motion = still, rate_error: float = 0, who_am_i: int = 0xEA) -> None:
        self.clock = VirtualClock()
        self.twin = Twin(motion, self.clock, rate_error=rate_error, who_am_i=who_am_i)
        self.twin._sampler._noise[:] = 0

    def bank(self, number: int) -> None:
        self.twin.write(bytes((0x7F, number << 4)))

    def set(self, register: int, *values: int) -> None:
        self.twin.write(bytes((register, *values)))

    def get(self, register: int) -> int:
        return self.twin.read(register, 1)[0]

    def wait(self, samples: float) -> None:
        self.clock.sleep_s(samples / 112.5)

    def rates(self, gyro_div: int, accel_div: int) -> None:
        self.bank(2)
        self.set(0x00, gyro_div)
        self.set(0x10, 0, accel_div)
        self.bank(0)

    def stream(self, gyro_div: int = 9, accel_div: int = 9) -> None:
        """112.5 Hz, accel and gyro to the FIFO, the clock half a sample on."""
        self.rates(gyro_div, accel_div)
        self.set(0x67, 0x1E)
        self.set(0x03, 0x40)
        self.set(0x06, 0x01)
        self.wait(0.5)

    @property
    def count(self) -> int:
        return int.from_bytes(self.twin.read(0x70, 2), "big")

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


def test_it_answers_with_its_identity_in_bank_0_only(bench: Bench) -> None:
    first = bench.get(0x00)
    bench.bank(2)

    assert (first, bench.get(0x00)) == (0xEA, 0x00)
    assert Bench(who_am_i=0xE1).get(0x00) == 0xE1


def test_each_bank_keeps_its_own_and_the_selector_is_in_all(bench: Bench) -> None:
    for number in range(4):
        bench.bank(number)
        bench.set(0x11, 0xA0 + number)
    found = []
    for number in range(4):
        bench.bank(number)
        found.append((bench.get(0x7F), bench.get(0x11)))

    assert found == [(0x00, 0xA0), (0x10, 0xA1), (0x20, 0xA2), (0x30, 0xA3)]


def test_a_bank_left_selected_stays_and_power_lost_selects_bank_0(bench: Bench) -> None:
    bench.bank(2)
    bench.clock.sleep_s(60)
    left = bench.get(0x7F)
    bench.twin.brown_out()

    assert (left, bench.get(0x7F)) == (0x20, 0x00)


def test_it_wakes_asleep_and_samples_nothing(bench: Bench) -> None:
    bench.wait(100)

    assert bench.get(0x06) == 0x41
    assert bench.words(0x2D, 7) == [0] * 7


@pytest.mark.parametrize("cause", ["DEVICE_RESET", "brown-out"])
def test_reset_and_brown_out_restore_the_power_on_values(streaming: Bench, cause: str) -> None:
    streaming.wait(10)
    if cause == "DEVICE_RESET":
        streaming.set(0x06, 0x80)
    else:
        streaming.twin.brown_out()
    streaming.wait(10)
    settings = [streaming.get(r) for r in (0x03, 0x05, 0x06, 0x67)]
    streaming.bank(2)

    assert settings == [0, 0x40, 0x41, 0]
    assert [streaming.get(r) for r in (0x00, 0x01, 0x11, 0x14)] == [0, 1, 0, 1]
    streaming.bank(0)
    assert streaming.count == 0


def test_a_reset_takes_11_ms_and_shows_when_it_is_done(bench: Bench) -> None:
    bench.set(0x06, 0x80)
    bench.clock.sleep_s(0.010)
    during = bench.get(0x06)
    bench.set(0x67, 0x1E)
    bench.clock.sleep_s(0.001)
    lost = bench.get(0x67)
    bench.set(0x67, 0x1E)

    assert (during, bench.get(0x06), lost, bench.get(0x67)) == (0xC1, 0x41, 0, 0x1E)


# Scales, order and rates


@pytest.mark.parametrize("code", range(4))
def test_full_scales_halve_the_counts_and_saturate(code: int) -> None:
    bench = Bench()
    bench.stream()
    bench.bank(2)
    bench.set(0x01, code << 1 | 1)
    bench.set(0x14, code << 1 | 1)
    bench.bank(0)
    bench.wait(1)
    at_rest = bench.words(0x2D, 7)
    bench.twin._sampler._motion = lambda t_s: np.tile([99 * G, -99 * G, 0, 99, 0, 0], (len(t_s), 1))
    bench.wait(1)

    assert at_rest == [0, 0, 16384 >> code, round(90 * 32768 / (250 << code)), 0, 0, 0]
    assert bench.words(0x2D, 4) == [32767, -32767, 0, 32767]


@pytest.mark.parametrize(
    ("gyro_config", "accel_config", "power", "rate_hz"),
    [
        (1, 1, 0x00, 112.5),
        (0, 1, 0x00, 9000),  # past the filter the divider has no say
        (1, 0, 0x07, 4500),
        (1, 1, 0x07, 112.5),
        (1, 0, 0x38, 112.5),  # what is off sets no pace
    ],
)
def test_the_divider_divides_1125_hz(
    gyro_config: int, accel_config: int, power: int, rate_hz: float
) -> None:
    bench = Bench()
    bench.stream()
    bench.set(0x06, 0x41)
    bench.set(0x07, power)
    bench.bank(2)
    bench.set(0x01, gyro_config)
    bench.set(0x14, accel_config)
    bench.bank(0)
    bench.set(0x06, 0x01)
    bench.clock.sleep_s(20.5 / rate_hz)

    assert bench.count == 20 * 12


def test_its_clock_runs_by_the_rate_error() -> None:
    bench = Bench(rate_error=0.10)
    bench.stream()
    bench.wait(20)  # 22.55 of its own

    assert bench.count == 22 * 12


# FIFO


def test_the_fifo_holds_accel_before_gyro_oldest_first_in_big_endian(streaming: Bench) -> None:
    streaming.wait(3)

    assert streaming.count == 36
    assert streaming.words(0x72, 18) == [200] * 6 + [400] * 6 + [600] * 6


def test_at_unequal_rates_the_slower_sensor_repeats_itself() -> None:
    bench = Bench(counting)
    bench.stream(gyro_div=9, accel_div=19)
    bench.wait(5)
    frames = np.reshape(bench.words(0x72, 30), (5, 6))

    assert frames[:, 0].tolist() == [0, 400, 400, 800, 800]
    assert frames[:, 3].tolist() == [200, 400, 600, 800, 1000]


@pytest.mark.parametrize(("enabled", "length"), [(0x10, 6), (0x1F, 14), (0x02, 2), (0, 0)])
def test_fifo_en_2_chooses_what_goes_in(streaming: Bench, enabled: int, length: int) -> None:
    streaming.set(0x67, enabled)
    streaming.wait(1)

    assert streaming.count == length


@pytest.mark.parametrize(("enabled", "word"), [(0x02, 131), (0x04, 262), (0x08, 393)])
def test_each_gyro_axis_has_its_bit(enabled: int, word: int) -> None:
    bench = Bench(lambda t_s: np.tile([0, 0, 0, *np.radians([1, 2, 3])], (len(t_s), 1)))
    bench.stream()
    bench.set(0x67, enabled)
    bench.wait(1)

    assert bench.words(0x72, 1) == [word]


def test_the_count_is_taken_when_its_high_byte_is_read(streaming: Bench) -> None:
    streaming.wait(30)
    before = streaming.count
    streaming.wait(1)

    assert (before, streaming.get(0x71)) == (360, 360 & 0xFF)
    assert streaming.count == 372


def test_overflow_pushes_bytes_out_loses_step_and_says_so_once(streaming: Bench) -> None:
    streaming.wait(42)
    full = streaming.count, streaming.get(0x1B)
    streaming.wait(1)

    assert full == (504, 0)
    assert streaming.count == 512
    assert streaming.get(0x1B) & 0x1F
    assert not streaming.get(0x1B)
    # 516 bytes are 4 too many; 8 of the oldest sample are left.
    assert streaming.words(0x72, 10) == [200] * 4 + [400] * 6


def test_snapshot_mode_keeps_the_oldest(streaming: Bench) -> None:
    streaming.set(0x69, 0x01)
    streaming.wait(100)

    assert streaming.count == 512
    assert streaming.words(0x72, 6) == [200] * 6


def test_fifo_rst_holds_the_fifo_empty_until_it_is_let_go(streaming: Bench) -> None:
    streaming.wait(3)
    streaming.set(0x68, 0x1F)
    streaming.wait(3)
    held = streaming.count
    streaming.set(0x68, 0x00)
    streaming.wait(2)

    assert (held, streaming.count) == (0, 24)
    assert streaming.words(0x72, 1) == [1400]


def test_a_stuck_sensor_reads_zero_and_goes_on_counting(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(3)

    assert streaming.count == 36
    assert not any(streaming.words(0x72, 18) + streaming.words(0x2D, 7))
