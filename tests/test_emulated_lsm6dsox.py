"""The twin against the datasheet's facts, spoken to as a driver would: by register and bit."""

from math import radians
from struct import unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.lsm6dsox import Twin

G = 9.80665
GYRO, ACCEL = 1, 2


def turning(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flat on the table, turning at 90 dps about x."""
    return np.tile([0.0, 0.0, G, radians(90), 0.0, 0.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample of t = k/104 s reads k counts of 0.061 mg and of 8.75 mdps on every axis."""
    number = np.rint(t_s * 104)[:, np.newaxis]
    return np.hstack([np.tile(number * 0.061e-3 * G, 3), np.tile(number * radians(8.75e-3), 3)])


class Bench:
    """A noiseless twin on a table, and the few words of a driver that are needed to ask it."""

    def __init__(self, motion: Motion = turning, **made: float) -> None:
        self.clock = VirtualClock()
        self.twin = Twin(motion, self.clock, **made)  # type: ignore[arg-type]
        self.twin._sampler._noise[:] = 0.0

    def set(self, register: int, *values: int) -> None:
        self.twin.write(bytes([register, *values]))

    def get(self, register: int) -> int:
        return self.twin.read(register, 1)[0]

    def stream(self, *, mode: int = 0b110, batch: int = 0x44) -> None:
        """Both sensors at 104 Hz into the FIFO; half a period past the start."""
        self.set(0x10, 0x40)
        self.set(0x11, 0x40)
        self.set(0x09, batch)
        self.set(0x0A, mode)
        self.clock.sleep_s(0.5 / 104)

    def wait(self, samples: int) -> None:
        self.clock.sleep_s(samples / 104)

    def words(self, number: int) -> list[tuple[int, int, int]]:
        """Sensor, tag counter and x of so many words, taken in one burst."""
        data = self.twin.read(0x78, 7 * number)
        words = [data[7 * n : 7 * n + 7] for n in range(number)]
        return [(w[0] >> 3, w[0] >> 1 & 3, unpack("<hhh", w[1:])[0]) for w in words]

    @property
    def count(self) -> int:
        low, high = self.twin.read(0x3A, 2)
        return low | (high & 3) << 8


@pytest.fixture
def streaming() -> Bench:
    bench = Bench(counting)
    bench.stream()
    return bench


def test_it_says_who_it_is_and_cannot_be_told_otherwise() -> None:
    for made, expected in ((Bench(), 0x6C), (Bench(who_am_i=0x42), 0x42)):
        made.set(0x0F, 0x00)

        assert made.get(0x0F) == expected


@pytest.mark.parametrize("cause", ["SW_RESET", "brown-out"])
def test_reset_and_brown_out_restore_the_power_on_values(streaming: Bench, cause: str) -> None:
    streaming.wait(5)
    if cause == "SW_RESET":
        streaming.set(0x12, 0x01)
    else:
        streaming.twin.brown_out()
    streaming.wait(5)

    assert [streaming.get(r) for r in (0x09, 0x0A, 0x10, 0x11, 0x12)] == [0, 0, 0, 0, 0x04]
    assert streaming.count == 0


def test_without_if_inc_the_address_stands_still() -> None:
    bench = Bench()
    bench.set(0x10, 0x40)
    bench.set(0x12, 0x00)

    assert bench.twin.read(0x10, 3) == b"\x40\x40\x40"


@pytest.mark.parametrize(
    ("code", "mg", "full_g"), [(0, 0.061, 2), (1, 0.488, 16), (2, 0.122, 4), (3, 0.244, 8)]
)
def test_accel_full_scales_are_not_in_order(code: int, mg: float, full_g: float) -> None:
    bench = Bench()
    bench.set(0x10, 0x40 | code << 2)
    bench.wait(2)
    flat = unpack("<hhh", bench.twin.read(0x28, 6))
    bench.twin._sampler._motion = lambda t_s: np.tile([99 * G, -99 * G, 0, 0, 0, 0], (len(t_s), 1))
    bench.wait(2)
    shaken = unpack("<hhh", bench.twin.read(0x28, 6))

    assert flat == (0, 0, round(1000 / mg))
    assert shaken[0] == -shaken[1] == pytest.approx(min(full_g * 1000 / mg, 32767), abs=1)


@pytest.mark.parametrize(("bits", "mdps"), [(0, 8.75), (1, 4.375), (2, 17.5), (4, 35.0), (6, 70.0)])
def test_gyro_full_scales_are_a_field_of_three_bits(bits: int, mdps: float) -> None:
    bench = Bench()
    bench.set(0x11, 0x40 | bits << 1)
    bench.wait(2)

    assert unpack("<hhh", bench.twin.read(0x22, 6)) == (round(90_000 / mdps), 0, 0)


@pytest.mark.parametrize("rate_error", [-0.03, 0.0, 0.053])
def test_it_tells_its_true_rate_in_internal_freq_fine(rate_error: float) -> None:
    bench = Bench(rate_error=rate_error)
    bench.stream()
    bench.clock.sleep_s(2)
    fine = int.from_bytes(bench.twin.read(0x63, 1), signed=True)

    # A step is 0.15 %, rounded by half of it at most; a sample of 208 is 0.5 %.
    assert fine * 0.0015 == pytest.approx(rate_error, abs=0.00076)
    assert bench.count / 2 == pytest.approx(208 * (1 + fine * 0.0015), abs=1.5)


def test_each_sensor_has_a_word_of_its_own_with_the_slots_number(streaming: Bench) -> None:
    streaming.wait(5)

    assert streaming.count == 10
    assert streaming.words(10) == [
        (sensor, slot & 3, slot + 1) for slot in range(5) for sensor in (GYRO, ACCEL)
    ]
    assert streaming.count == 0


def test_the_ones_of_a_tag_are_even(streaming: Bench) -> None:
    streaming.wait(8)
    tags = streaming.twin.read(0x78, 7 * 16)[::7]

    assert len(set(tags)) == 8
    assert {tag.bit_count() % 2 for tag in tags} == {0}


def test_the_slower_batch_is_in_every_other_slot() -> None:
    bench = Bench(counting)
    bench.stream(batch=0x34)  # gyro 52 Hz, accel 104 Hz
    bench.wait(4)

    assert bench.words(6) == [
        (ACCEL, 0, 1), (GYRO, 1, 2), (ACCEL, 1, 2), (ACCEL, 2, 3), (GYRO, 3, 4), (ACCEL, 3, 4),
    ]  # fmt: skip


def test_a_word_leaves_when_its_last_byte_was_read(streaming: Bench) -> None:
    streaming.wait(1)
    streaming.twin.read(0x78, 6)
    half_read = streaming.count
    streaming.twin.read(0x78, 7)

    assert (half_read, streaming.count) == (2, 1)


def test_when_full_it_overwrites_the_oldest_word_and_says_so(streaming: Bench) -> None:
    streaming.wait(255)
    nearly = streaming.get(0x3B) & 0x68
    streaming.wait(1)
    full = streaming.count, streaming.get(0x3B) & 0x68
    streaming.wait(3)
    over = streaming.count, streaming.get(0x3B) & 0x68

    assert nearly == 0x20  # FIFO_FULL_IA: the next slot fills it
    assert full == (512, 0x20)
    assert over == (512, 0x60)  # the latched flag went with the count, which reads FIFO_STATUS2
    assert streaming.words(1) == [(GYRO, 3, 4)]
    assert streaming.get(0x3B) & 0x40 == 0


def test_the_latched_overrun_is_cleared_by_reading_it(streaming: Bench) -> None:
    streaming.wait(257)

    assert [streaming.get(0x3B) & 0x48 for _ in range(2)] == [0x48, 0x40]


def test_an_overrun_that_lasted_longer_than_the_fifo_is_deep_keeps_the_newest() -> None:
    bench = Bench(counting)
    bench.stream()
    bench.wait(1000)

    assert bench.words(2) == [(GYRO, 744 & 3, 745), (ACCEL, 744 & 3, 745)]


def test_fifo_mode_stops_when_full_and_stop_on_wtm_makes_it_shorter() -> None:
    bench = Bench(counting)
    bench.set(0x07, 20)
    bench.set(0x08, 0x80)
    bench.stream(mode=0b001)
    bench.wait(30)

    assert bench.count == 20
    assert bench.get(0x3B) & 0xC0 == 0x80
    assert bench.words(1) == [(GYRO, 0, 1)]


def test_bypass_empties_the_fifo(streaming: Bench) -> None:
    streaming.wait(300)
    streaming.set(0x0A, 0)

    assert (streaming.count, streaming.get(0x3B) & 0x48) == (0, 0)


def test_a_stuck_sensor_keeps_its_tags_and_says_zero(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(2)

    assert streaming.words(2) == [(GYRO, 0, 0), (ACCEL, 0, 0)]
    assert streaming.twin.read(0x22, 12) == bytes(12)
