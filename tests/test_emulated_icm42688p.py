"""The twin against the datasheet's facts, spoken to as a driver would: by register and bit."""

from math import radians
from struct import iter_unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.icm42688p import Twin

G = 9.80665
INVALID = -32768


def still(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flat on the table, turning at 90 dps about x."""
    return np.tile([0.0, 0.0, G, radians(90), 0.0, 0.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample at k/100 s reads k counts of 16 g and of 2000 dps on every axis."""
    number = np.rint(t_s * 100)[:, np.newaxis]
    return np.hstack([np.tile(number * G / 2048, 3), np.tile(number * radians(2000 / 32768), 3)])


class Bench:
    """One twin, a clock, and the transfers a driver would make; no noise."""

    def __init__(self, motion: Motion = still, rate_error: float = 0, who_am_i: int = 0x47) -> None:
        self.clock = VirtualClock()
        self.twin = Twin(motion, self.clock, rate_error=rate_error, who_am_i=who_am_i)
        self.twin._sampler._noise[:] = 0

    def set(self, register: int, *values: int) -> None:
        self.twin.write(bytes((register, *values)))

    def get(self, register: int) -> int:
        return self.twin.read(register, 1)[0]

    def wait(self, samples: float) -> None:
        self.clock.sleep_s(samples / 100)

    def stream(self, mode: int = 0x40, accel: int = 0x08) -> None:
        """100 Hz, both sensors to the FIFO, started, emptied, the clock half a sample on."""
        self.set(0x4F, 0x08, accel)
        self.set(0x5F, 0x07)
        self.set(0x16, mode)
        self.set(0x4E, 0x0F)
        self.wait(5.5)
        self.set(0x4B, 0x02)
        self.twin.read(0x2E, 2)  # the first count is always 0

    @property
    def count(self) -> int:
        return int.from_bytes(self.twin.read(0x2E, 2), "big")

    def packets(self, number: int, order: str = ">") -> list[tuple[int, ...]]:
        """Of each: header, six words, temperature, time."""
        return list(iter_unpack(f"{order}B6hbH", self.twin.read(0x30, 16 * number)))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def streaming() -> Bench:
    bench = Bench(counting)
    bench.stream()
    return bench


# Registers and time


def test_it_answers_with_its_identity_in_bank_0_only(bench: Bench) -> None:
    first = bench.get(0x75)
    bench.set(0x76, 1)

    assert (first, bench.get(0x75), bench.get(0x76)) == (0x47, 0x00, 1)
    assert Bench(who_am_i=0xDB).get(0x75) == 0xDB


def test_power_lost_selects_bank_0(bench: Bench) -> None:
    bench.set(0x76, 4)
    bench.twin.brown_out()

    assert bench.get(0x76) == 0


@pytest.mark.parametrize("cause", ["SOFT_RESET", "brown-out"])
def test_reset_and_brown_out_restore_the_power_on_values(streaming: Bench, cause: str) -> None:
    streaming.wait(10)
    if cause == "SOFT_RESET":
        streaming.set(0x11, 0x01)
    else:
        streaming.twin.brown_out()
    streaming.wait(10)
    streaming.twin.read(0x2E, 2)
    settings = [streaming.get(r) for r in (0x11, 0x16, 0x4C, 0x4E, 0x4F, 0x50, 0x54, 0x5F)]

    assert settings == [0, 0, 0x30, 0, 6, 6, 0x23, 0]
    assert (streaming.count, streaming.get(0x2D)) == (0, 0x10)
    assert streaming.get(0x2D) == 0  # reading cleared it


@pytest.mark.parametrize(
    ("register", "value", "deaf_s"), [(0x11, 0x01, 0.001), (0x4E, 0x0F, 0.0002)]
)
def test_reset_and_switching_on_need_their_time(
    bench: Bench, register: int, value: int, deaf_s: float
) -> None:
    bench.set(register, value)
    bench.clock.sleep_s(deaf_s * 0.9)
    bench.set(0x5F, 0x07)
    early = bench.get(0x5F)
    bench.clock.sleep_s(deaf_s * 0.1)
    bench.set(0x5F, 0x07)

    assert (early, bench.get(0x5F)) == (0, 0x07)


def test_until_a_sensor_has_started_its_words_are_marked(bench: Bench) -> None:
    bench.set(0x4F, 0x07, 0x07)  # 200 Hz
    bench.set(0x5F, 0x07)
    bench.set(0x16, 0x40)
    bench.set(0x4E, 0x0F)
    bench.clock.sleep_s(0.0326)
    packets = bench.packets(6)

    assert [packet[3] == INVALID for packet in packets] == [True] + [False] * 5  # accel, 10 ms
    assert [packet[4] == INVALID for packet in packets] == [True] * 5 + [False]  # gyro, 30 ms


# Scales, order and rates


@pytest.mark.parametrize("code", range(4))
def test_full_scales_double_the_counts_and_saturate(code: int) -> None:
    bench = Bench()
    bench.stream()
    bench.set(0x4F, code << 5 | 8, code << 5 | 8)
    bench.wait(2)
    at_rest = np.frombuffer(bench.twin.read(0x1F, 12), ">i2").tolist()
    bench.twin._sampler._motion = lambda t_s: np.tile([99 * G, -99 * G, 0, 99, 0, 0], (len(t_s), 1))
    bench.wait(1)

    assert at_rest == [0, 0, 2048 << code, round(90 * 32768 / (2000 >> code)), 0, 0]
    assert np.frombuffer(bench.twin.read(0x1F, 8), ">i2").tolist() == [32767, -32767, 0, 32767]


@pytest.mark.parametrize(
    ("code", "rate_hz"), [(6, 1000), (7, 200), (8, 100), (9, 50), (10, 25), (11, 12.5), (15, 500)]
)
def test_output_data_rates(code: int, rate_hz: float) -> None:
    bench = Bench()
    bench.stream()
    bench.set(0x4F, code, code)
    bench.set(0x4B, 0x02)
    bench.twin.read(0x2E, 2)
    bench.set(0x4E, 0x00)
    bench.set(0x4E, 0x0F)
    bench.clock.sleep_s(20.5 / rate_hz)

    assert bench.count == 20 * 16


def test_its_clock_runs_by_the_rate_error() -> None:
    bench = Bench(rate_error=0.10)
    bench.stream()  # 6.05 of its own
    bench.wait(20)  # 28.05

    assert bench.count == 22 * 16


# FIFO


def test_a_packet_is_header_accel_gyro_temperature_time(streaming: Bench) -> None:
    streaming.wait(3)

    assert streaming.count == 48
    # Since the sensors were switched on k samples of 10 000 µs passed; 16 bits of that are kept.
    assert streaming.packets(3) == [
        (0x68, k, k, k, k, k, k, 0, k * 10_000 & 0xFFFF) for k in (6, 7, 8)
    ]


def test_the_time_may_count_16_us(streaming: Bench) -> None:
    streaming.set(0x54, 0x2B)
    streaming.wait(1)

    assert streaming.packets(1)[0][-1] == 6 * 10_000 // 16


@pytest.mark.parametrize(("enabled", "header", "word"), [(1, 0x40, 1024), (2, 0x20, 1475)])
def test_one_sensor_makes_a_packet_of_8_bytes(enabled: int, header: int, word: int) -> None:
    bench = Bench(lambda t_s: np.tile([G / 2] * 3 + [radians(90)] * 3, (len(t_s), 1)))
    bench.stream()
    bench.set(0x5F, enabled)
    bench.wait(2)
    count = bench.count

    assert count == 16
    assert list(iter_unpack(">B3hb", bench.twin.read(0x30, 16))) == [(header, *[word] * 3, 0)] * 2


def test_a_slower_sensor_is_marked_where_it_has_nothing_new() -> None:
    bench = Bench(counting)
    bench.stream(accel=0x09)  # 50 Hz, the gyro 100 Hz
    bench.wait(4)
    packets = bench.packets(4)

    assert [packet[1] for packet in packets] == [6, INVALID, 8, INVALID]
    assert [packet[4] for packet in packets] == [6, 7, 8, 9]


@pytest.mark.parametrize("bits", [0x30, 0x20, 0x10, 0x70])
def test_intf_config0_chooses_the_orders_and_the_unit_of_the_count(bits: int) -> None:
    bench = Bench(counting)
    bench.stream()
    bench.set(0x4C, bits)
    bench.wait(3)
    count = int.from_bytes(bench.twin.read(0x2E, 2), "big" if bits & 0x20 else "little")

    assert count == (3 if bits & 0x40 else 48)
    assert bench.packets(1, ">" if bits & 0x10 else "<")[0][1] == 6


def test_the_first_count_after_a_flush_is_zero(streaming: Bench) -> None:
    streaming.set(0x4B, 0x02)
    streaming.wait(3)

    assert (streaming.count, streaming.count) == (0, 48)


def test_stream_mode_drops_the_oldest_packets_whole_and_counts_them(streaming: Bench) -> None:
    streaming.wait(127)
    almost = streaming.count, streaming.get(0x2D) & 0x02
    streaming.wait(1)
    full = streaming.count, streaming.get(0x2D) & 0x02, streaming.get(0x6C)
    streaming.wait(3)

    assert (almost, full) == ((2032, 0), (2048, 2, 0))
    assert (streaming.count, streaming.get(0x2D) & 0x02, streaming.get(0x6C)) == (2048, 2, 3)
    assert [packet[1] for packet in streaming.packets(128)] == list(range(9, 137))


def test_stop_on_full_keeps_the_oldest() -> None:
    bench = Bench(counting)
    bench.stream(mode=0x80)
    bench.wait(200)

    assert bench.count == 2048
    assert bench.packets(1)[0][1] == 6


@pytest.mark.parametrize(("resume", "header_again"), [(0x00, True), (0x40, False)])
def test_a_packet_read_in_part_comes_again_unless_told_to_resume(
    streaming: Bench, resume: int, header_again: bool
) -> None:
    streaming.set(0x5F, 0x07 | resume)
    streaming.wait(2)
    streaming.twin.read(0x30, 7)

    assert (streaming.get(0x30) == 0x68) is header_again


def test_an_empty_fifo_says_so_in_the_header(streaming: Bench) -> None:
    assert streaming.get(0x30) & 0x80


def test_a_stuck_sensor_reads_zero_and_goes_on_counting(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(3)

    assert streaming.count == 48
    assert streaming.packets(3) == [(0x68, *[0] * 8)] * 3
    assert not any(streaming.twin.read(0x1F, 12))
