"""The twin against the datasheet's facts, spoken to as a driver would: by register and bit."""

from struct import unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.lis3dh import Twin

G = 9.80665


def tilted(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 g on z, -1 g on x, none on y; turning, which an accelerometer does not feel."""
    return np.tile([-G, 0.0, G, 9.0, 9.0, 9.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample of t = k/100 s reads k digits of 1 mg on z."""
    z = np.rint(t_s * 100) * 1e-3 * G
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

    def stream(self, *, mode: int = 0x80, reg1: int = 0x57, reg4: int = 0x08) -> None:
        """100 Hz, high resolution, into the FIFO; half a period past the start."""
        self.set(0x23, reg4)
        self.set(0x24, 0x40)
        self.set(0x2E, mode)
        self.set(0x20, reg1)
        self.clock.sleep_s(0.005)

    def wait(self, samples: int) -> None:
        self.clock.sleep_s(samples / 100)

    def xyz(self) -> tuple[int, int, int]:
        x, y, z = unpack("<hhh", self.twin.read(0xA8, 6))
        return x, y, z


@pytest.fixture
def streaming() -> Bench:
    bench = Bench(counting)
    bench.stream()
    return bench


def test_it_says_who_it_is_and_cannot_be_told_otherwise() -> None:
    for made, expected in ((Bench(), 0x33), (Bench(who_am_i=0x42), 0x42)):
        made.set(0x0F, 0x00)

        assert made.get(0x0F) == expected


def test_it_powers_on_asleep_and_a_brown_out_brings_it_back_there(streaming: Bench) -> None:
    streaming.wait(5)
    streaming.twin.brown_out()
    streaming.wait(5)

    assert [streaming.get(r) for r in (0x1E, 0x20, 0x23, 0x24, 0x2E)] == [0x10, 0x07, 0, 0, 0]
    assert streaming.get(0x2F) == 0x20
    assert streaming.xyz() == (0, 0, 0)


def test_boot_clears_itself_and_leaves_the_settings(streaming: Bench) -> None:
    streaming.set(0x24, 0xC0)

    assert [streaming.get(r) for r in (0x20, 0x24)] == [0x57, 0x40]


def test_only_an_address_with_bit_7_counts_up() -> None:
    bench = Bench()
    bench.set(0x20 | 0x80, 0x57, 0x12, 0x34)

    assert bench.twin.read(0x20, 3) == b"\x57\x57\x57"
    assert bench.twin.read(0xA0, 3) == b"\x57\x12\x34"


@pytest.mark.parametrize(
    ("fs", "mg_full_g"), [(0, (1, 2)), (1, (2, 4)), (2, (4, 8)), (3, (12, 16))]
)
@pytest.mark.parametrize(
    ("reg1", "hr", "bits"), [(0x57, 0x08, 12), (0x57, 0x00, 10), (0x5F, 0x00, 8)]
)
def test_digits_stand_at_the_upper_end_in_every_mode(
    fs: int, mg_full_g: tuple[int, int], reg1: int, hr: int, bits: int
) -> None:
    mg, full_g = mg_full_g
    bench = Bench()
    bench.stream(reg1=reg1, reg4=fs << 4 | hr)
    bench.wait(1)
    one_g = round(1000 / (mg * 2 ** (12 - bits)))

    assert bench.xyz() == (-one_g << (16 - bits), 0, one_g << (16 - bits))

    bench.twin._sampler._motion = lambda t_s: np.tile([99 * G, 0, 0, 0, 0, 0], (len(t_s), 1))
    bench.wait(1)
    x_mg = (bench.xyz()[0] >> (16 - bits)) * mg * 2 ** (12 - bits)

    assert x_mg == pytest.approx(full_g * 1000, abs=mg * 2 ** (12 - bits))


def test_a_disabled_axis_says_zero() -> None:
    bench = Bench()
    bench.stream(reg1=0x53)
    bench.wait(1)

    assert bench.xyz() == (-1000 << 4, 0, 0)


def test_ble_swaps_the_bytes(streaming: Bench) -> None:
    streaming.set(0x23, 0x48)
    streaming.wait(1)

    assert unpack(">hhh", streaming.twin.read(0xA8, 6)) == (0, 0, 1 << 4)


@pytest.mark.parametrize(("code", "rate_hz"), [(2, 10), (4, 50), (7, 400)])
def test_the_rate_follows_its_code_and_the_rate_error(code: int, rate_hz: float) -> None:
    bench = Bench(rate_error=0.10)
    bench.stream(reg1=code << 4 | 0x07)
    bench.set(0x2E, 0)
    bench.set(0x2E, 0x80)
    bench.clock.sleep_s(20 / rate_hz)

    assert bench.get(0x2F) & 0x1F == 22


def test_a_burst_goes_on_with_the_next_level_oldest_first(streaming: Bench) -> None:
    streaming.wait(3)
    burst = unpack("<9h", streaming.twin.read(0xA8, 18))

    assert [z >> 4 for z in burst[2::3]] == [1, 2, 3]
    assert streaming.get(0x2F) == 0x20


def test_a_level_leaves_when_its_last_byte_was_read(streaming: Bench) -> None:
    streaming.wait(2)
    streaming.twin.read(0xA8, 5)
    half_read = streaming.get(0x2F) & 0x1F
    streaming.get(0x2D)

    assert (half_read, streaming.get(0x2F) & 0x1F) == (2, 1)


def test_of_32_unread_samples_it_says_31_and_full(streaming: Bench) -> None:
    streaming.set(0x2E, 0x80 | 0x1F)  # no watermark in the way
    streaming.wait(31)
    nearly = streaming.get(0x2F)
    streaming.wait(1)
    full = streaming.get(0x2F)
    streaming.wait(3)

    assert (nearly, full & 0x7F, streaming.get(0x2F) & 0x7F) == (31, 0x40 | 31, 0x40 | 31)
    assert streaming.xyz()[2] >> 4 == 4
    assert streaming.get(0x2F) == 31


def test_an_overrun_that_lasted_longer_than_the_fifo_is_deep_keeps_the_newest(
    streaming: Bench,
) -> None:
    streaming.wait(500)

    assert [streaming.xyz()[2] >> 4 for _ in range(32)] == list(range(469, 501))


def test_fifo_mode_stops_when_full() -> None:
    bench = Bench(counting)
    bench.stream(mode=0x40)
    bench.wait(20)
    bench.get(0x2F)
    bench.wait(20)

    assert [bench.xyz()[2] >> 4 for _ in range(32)] == list(range(1, 33))


@pytest.mark.parametrize(("register", "value"), [(0x2E, 0x00), (0x24, 0x00)])
def test_bypass_empties_the_fifo_and_shows_the_latest(
    streaming: Bench, register: int, value: int
) -> None:
    streaming.wait(40)
    streaming.set(register, value)
    emptied = streaming.get(0x2F)
    streaming.wait(2)

    assert emptied == 0x20
    assert streaming.xyz()[2] >> 4 == 42


def test_the_watermark_flag_means_more_than_so_many(streaming: Bench) -> None:
    streaming.set(0x2E, 0x80 | 2)
    flags = []
    for _ in range(4):
        flags.append(streaming.get(0x2F) >> 7)
        streaming.wait(1)

    assert flags == [0, 0, 0, 1]


def test_a_stuck_sensor_says_zero(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(1)

    assert streaming.get(0x2F) == 0x80 | 1
    assert streaming.xyz() == (0, 0, 0)
