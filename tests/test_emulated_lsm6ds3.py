"""The twin against the datasheet's facts, spoken to as a driver would: by register and bit."""

from math import radians
from struct import unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.lsm6ds3 import Twin

G = 9.80665


def turning(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flat on the table, turning at 90 dps about x."""
    return np.tile([0.0, 0.0, G, radians(90), 0.0, 0.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample of t = k/104 s reads k counts on the accelerometer's axes and -k on the gyro's."""
    number = np.rint(t_s * 104)[:, np.newaxis]
    return np.hstack([np.tile(number * 0.061e-3 * G, 3), np.tile(-number * radians(8.75e-3), 3)])


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

    def stream(self, *, mode: int = 0b110, decimation: int = 0x09) -> None:
        """Both sensors at 104 Hz into the FIFO; half a period past the start."""
        self.set(0x10, 0x40)
        self.set(0x11, 0x40)
        self.set(0x08, decimation)
        self.set(0x0A, 0x20 | mode)
        self.clock.sleep_s(0.5 / 104)

    def wait(self, samples: int) -> None:
        self.clock.sleep_s(samples / 104)

    def words(self, number: int) -> list[int]:
        """So many words, taken in one burst."""
        return list(unpack(f"<{number}h", self.twin.read(0x3E, 2 * number)))

    @property
    def status(self) -> tuple[int, int, int]:
        """DIFF_FIFO, the flags, the pattern."""
        count, pattern = unpack("<HH", self.twin.read(0x3A, 4))
        return count & 0x0FFF, count >> 8 & 0xF0, pattern


@pytest.fixture
def streaming() -> Bench:
    bench = Bench(counting)
    bench.stream()
    return bench


def test_it_says_who_it_is_and_cannot_be_told_otherwise() -> None:
    for made, expected in ((Bench(), 0x69), (Bench(who_am_i=0x6A), 0x6A)):
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

    assert [streaming.get(r) for r in (0x08, 0x0A, 0x10, 0x11, 0x12)] == [0, 0, 0, 0, 0x04]
    assert streaming.status == (0, 0x90, 0)  # empty, and at the threshold of none


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


def test_ble_swaps_the_bytes_of_output_and_fifo(streaming: Bench) -> None:
    streaming.set(0x12, 0x06)
    streaming.wait(1)

    assert unpack(">hhh", streaming.twin.read(0x28, 6)) == (1, 1, 1)
    assert unpack(">6h", streaming.twin.read(0x3E, 12)) == (-1, -1, -1, 1, 1, 1)


def test_its_clock_runs_by_the_rate_error() -> None:
    bench = Bench(rate_error=0.10)
    bench.stream()
    bench.wait(20)  # 22.55 of its own

    assert bench.status[0] == 22 * 6


def test_pairs_come_gyro_first_and_the_pattern_counts_their_words(streaming: Bench) -> None:
    streaming.wait(3)

    assert streaming.status[0] == 18
    assert streaming.words(4) == [-1, -1, -1, 1]
    assert streaming.status[2] == 4
    assert streaming.words(14) == [1, 1, -2, -2, -2, 2, 2, 2, -3, -3, -3, 3, 3, 3]
    assert streaming.status == (0, 0x90, 0)


def test_the_fifo_has_a_rate_of_its_own_below_the_sensors(streaming: Bench) -> None:
    streaming.set(0x0A, 0x00)
    streaming.set(0x0A, 0x1E)  # 52 Hz
    streaming.wait(4)

    assert streaming.words(12) == [-1, -1, -1, 1, 1, 1, -3, -3, -3, 3, 3, 3]


def test_a_decimated_sensor_makes_the_pattern_longer() -> None:
    bench = Bench(counting)
    bench.stream(decimation=0x11)  # gyro every other time
    bench.wait(3)
    patterns = []
    for _ in range(15):
        patterns.append(bench.status[2])
        bench.words(1)

    assert patterns == [*range(9), *range(6)]


def test_a_word_leaves_when_its_high_byte_was_read(streaming: Bench) -> None:
    streaming.wait(1)
    streaming.get(0x3E)
    half_read = streaming.status[0]
    streaming.get(0x3F)

    assert (half_read, streaming.status[0]) == (6, 5)


@pytest.mark.parametrize(("who_am_i", "words", "pairs"), [(0x69, 4096, 682), (0x6A, 2048, 341)])
def test_past_full_it_begins_within_a_pair_and_counts_none(
    who_am_i: int, words: int, pairs: int
) -> None:
    bench = Bench(counting, who_am_i=who_am_i)
    bench.set(0x06, 1)  # a threshold, so that WaterM means something
    bench.stream()
    bench.wait(pairs)
    full = bench.status
    bench.wait(1)
    over = bench.status

    assert full == (6 * pairs, 0xA0, 0)  # WaterM, and FIFO_FULL: the next pair fills it
    lost = 6 * pairs + 6 - words
    assert over == (0, 0xE0, lost)  # the count has no bit for it, and not EMPTY
    assert bench.words(6 - lost + 1) == [-1, -1, -1, 1, 1, 1, -2][lost:]
    assert bench.status == (words - 7 + lost, 0xA0, 1)


def test_fifo_mode_stops_when_full_and_stop_on_fth_makes_it_shorter() -> None:
    bench = Bench(counting)
    bench.set(0x06, 12)
    bench.set(0x13, 0x01)
    bench.stream(mode=0b001)
    bench.wait(5)

    assert bench.status == (12, 0x80, 0)
    assert bench.words(6) == [-1, -1, -1, 1, 1, 1]


def test_bypass_empties_the_fifo_and_begins_the_pattern_anew(streaming: Bench) -> None:
    streaming.wait(800)
    streaming.set(0x0A, 0x20)
    emptied = streaming.status
    streaming.set(0x0A, 0x26)
    streaming.wait(1)

    assert emptied == (0, 0x90, 0)
    assert streaming.status[2] == 0
    assert streaming.words(6) == [-801] * 3 + [801] * 3


def test_a_stuck_sensor_says_zero(streaming: Bench) -> None:
    streaming.twin.stuck = True
    streaming.wait(1)

    assert streaming.words(6) == [0] * 6
    assert streaming.twin.read(0x22, 12) == bytes(12)
