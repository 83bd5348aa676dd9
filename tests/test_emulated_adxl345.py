"""The twin against the data sheet's facts, spoken to as a driver would: by register and bit."""

from struct import unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.adxl345 import Twin

G = 9.80665


def tilted(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 g on x and z at once, none on y; turning, which an accelerometer does not feel."""
    return np.tile([G, 0.0, G, 9.0, 9.0, 9.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample of t = k/100 s reads k counts on z."""
    z = np.rint(t_s * 100) * G / 256
    return np.column_stack([z * 0, z * 0, z, z * 0, z * 0, z * 0])


class Bench:
    """A noiseless twin on a table, and the few words of a driver that are needed to ask it."""

    def __init__(self, motion: Motion = tilted, **made: float) -> None:
        self.clock = VirtualClock()
        self.twin = Twin(motion, self.clock, **made)  # type: ignore[arg-type]
        self.twin._sampler._noise[:] = 0.0

    def set(self, register: int, *values: int) -> None:
        self.twin.write(bytes([register, *values]))

    def get(self, register: int) -> int:
        return self.twin.read(register, 1)[0]

    def stream(self, *, mode: int = 0x80, style: int = 0x08) -> None:
        """100 Hz into the FIFO; half a period past the start."""
        self.set(0x31, style)
        self.set(0x38, mode)
        self.set(0x2D, 0x08)
        self.clock.sleep_s(0.005)

    def wait(self, samples: int) -> None:
        self.clock.sleep_s(samples / 100)

    def xyz(self) -> tuple[int, int, int]:
        x, y, z = unpack("<hhh", self.twin.read(0x32, 6))
        return x, y, z


@pytest.fixture
def streaming() -> Bench:
    bench = Bench(counting)
    bench.stream()
    return bench


def test_it_says_who_it_is_and_cannot_be_told_otherwise() -> None:
    for made, expected in ((Bench(), 0xE5), (Bench(who_am_i=0x42), 0x42)):
        made.set(0x00, 0x00)

        assert made.get(0x00) == expected


def test_it_powers_on_in_standby_and_a_brown_out_brings_it_back_there(streaming: Bench) -> None:
    streaming.wait(5)
    streaming.twin.brown_out()
    streaming.wait(5)

    assert [streaming.get(r) for r in (0x2C, 0x2D, 0x30, 0x31, 0x38, 0x39)] == [0x0A, 0, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("style", "z"),
    [(0x08, 256), (0x0B, 256), (0x00, 256), (0x01, 128), (0x02, 64), (0x03, 32), (0x0F, 256 << 3),
     (0x04, 256 << 6)],
)  # fmt: skip
def test_full_resolution_keeps_a_counts_worth_and_ten_bits_do_not(style: int, z: int) -> None:
    bench = Bench()
    bench.stream(style=style)
    bench.wait(1)

    x, y, found_z = bench.xyz()

    assert (y, found_z) == (0, z)
    # 3.3 V: 265 counts per g on x, 256 on z; the shifted ones are rounded before.
    assert x == pytest.approx(z * 265 / 256, abs=z / 256)


@pytest.mark.parametrize(("style", "most"), [(0x08, 511), (0x0B, 4095), (0x03, 511)])
def test_it_saturates_where_its_bits_end(style: int, most: int) -> None:
    bench = Bench(lambda t_s: np.tile([99 * G, -99 * G, 0, 0, 0, 0], (len(t_s), 1)))
    bench.stream(style=style)
    bench.wait(1)

    assert bench.xyz() == (most, -most, 0)


def test_an_offset_register_adds_15_6_mg_a_count() -> None:
    bench = Bench()
    bench.set(0x1F, 0x100 - 64)
    bench.stream()
    bench.wait(1)

    assert bench.xyz() == (265, round(-64 * 15.6e-3 * 256), 256)


@pytest.mark.parametrize(("code", "rate_hz"), [(0x8, 25), (0xA, 100), (0xC, 400), (0xF, 3200)])
def test_the_rate_doubles_with_every_code_and_runs_by_the_rate_error(
    code: int, rate_hz: float
) -> None:
    bench = Bench(rate_error=0.10)
    bench.set(0x2C, code)
    bench.stream()
    bench.set(0x38, 0)
    bench.set(0x38, 0x80)
    before = bench.get(0x39)
    bench.clock.sleep_s(20 / rate_hz)

    assert bench.get(0x39) - before == 22


def test_the_fifo_gives_one_sample_a_transfer_oldest_first(streaming: Bench) -> None:
    streaming.wait(3)
    two = streaming.twin.read(0x32, 12)

    assert unpack("<hhh", two[:6]) == (0, 0, 1)
    assert two[6:8] == b"\x80\x02"  # not the next sample: FIFO_CTL, and what is left
    assert [streaming.xyz()[2] for _ in range(2)] == [2, 3]
    assert streaming.get(0x39) == 0


def test_a_short_read_loses_the_rest_of_the_sample(streaming: Bench) -> None:
    streaming.wait(2)
    streaming.get(0x32)

    assert streaming.get(0x39) == 1
    assert streaming.xyz()[2] == 2


def test_33_samples_fit_and_then_the_oldest_goes(streaming: Bench) -> None:
    streaming.wait(32)
    nearly = streaming.get(0x39), streaming.get(0x30) & 1
    streaming.wait(1)
    full = streaming.get(0x39), streaming.get(0x30) & 1
    streaming.wait(4)

    assert (nearly, full) == ((32, 0), (33, 1))  # the flag says "filled": nothing is lost yet
    assert (streaming.get(0x39), streaming.get(0x30) & 1) == (33, 1)
    assert streaming.xyz()[2] == 5
    assert streaming.get(0x30) & 1 == 0


def test_an_overrun_that_lasted_longer_than_the_fifo_is_deep_keeps_the_newest(
    streaming: Bench,
) -> None:
    streaming.wait(500)

    assert [streaming.xyz()[2] for _ in range(33)] == list(range(468, 501))


def test_fifo_mode_stops_when_full() -> None:
    bench = Bench(counting)
    bench.stream(mode=0x40)
    bench.wait(20)
    bench.get(0x39)
    bench.wait(20)

    assert [bench.xyz()[2] for _ in range(33)] == list(range(1, 34))


def test_bypass_empties_the_fifo_and_shows_the_latest(streaming: Bench) -> None:
    streaming.wait(40)
    streaming.set(0x38, 0)
    flags = streaming.get(0x39), streaming.get(0x30) & 0x81
    streaming.wait(2)

    assert flags == (0, 0)
    assert streaming.xyz()[2] == 42


def test_the_watermark_flag_follows_the_count(streaming: Bench) -> None:
    streaming.set(0x38, 0x80 | 3)
    flags = []
    for _ in range(4):
        flags.append(streaming.get(0x30) & 0x82)
        streaming.wait(1)

    assert flags == [0x00, 0x80, 0x80, 0x82]


def test_a_stuck_sensor_says_zero(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(1)

    assert streaming.get(0x39) == 1
    assert streaming.xyz() == (0, 0, 0)
