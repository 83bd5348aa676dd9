"""The twin against the datasheet's facts, spoken to as a driver would: by register and bit."""

from math import radians
from struct import unpack

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.lsm9ds1 import Twin

G = 9.80665


def still(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flat on the table, turning at 90 dps about x."""
    return np.tile([0.0, 0.0, G, radians(90), 0.0, 0.0], (len(t_s), 1))


def counting(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample of t = k/119 s reads k counts of 0.061 mg and of 8.75 mdps on every axis."""
    number = np.rint(t_s * 119)[:, np.newaxis]
    return np.hstack([np.tile(number * 0.061e-3 * G, 3), np.tile(number * radians(8.75e-3), 3)])


class Bench:
    """A twin on a table, and the few words of a driver that are needed to ask it things."""

    def __init__(
        self,
        motion: Motion = still,
        *,
        rate_error: float = 0.0,
        seed: int = 0,
        accel_noise_m_s2: float = 0.0,
        gyro_noise_rad_s: float = 0.0,
        gyro_offset_rad_s: float = 0.0,
    ) -> None:
        self.clock = VirtualClock()
        self.twin = Twin(
            motion,
            self.clock,
            rate_error=rate_error,
            seed=seed,
            accel_noise_m_s2=accel_noise_m_s2,
            gyro_noise_rad_s=gyro_noise_rad_s,
            gyro_offset_rad_s=gyro_offset_rad_s,
        )

    def set(self, register: int, *values: int) -> None:
        self.twin.write(bytes([register, *values]))

    def get(self, register: int) -> int:
        return self.twin.read(register, 1)[0]

    def gyro(self) -> list[int]:
        return list(unpack("<hhh", self.twin.read(0x18, 6)))

    def accel(self) -> list[int]:
        return list(unpack("<hhh", self.twin.read(0x28, 6)))

    def stream(self, mode: int = 0b110) -> None:
        """Both sensors at 119 Hz into the FIFO."""
        self.set(0x10, 0b011 << 5)
        self.set(0x23, 0x02)
        self.set(0x2E, mode << 5)

    def wait(self, samples: int) -> None:
        """Let so many samples of 119 Hz come."""
        self.clock.sleep_s(samples / 119)

    @property
    def level(self) -> int:
        return self.get(0x2F) & 0x3F

    @property
    def overrun(self) -> bool:
        return bool(self.get(0x2F) & 0x40)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def streaming() -> Bench:
    """Counts its samples; half a period past the start, not to stand on an edge."""
    bench = Bench(counting)
    bench.stream()
    bench.clock.sleep_s(0.5 / 119)
    return bench


# Registers


def test_who_am_i_is_0x68_and_cannot_be_written(bench: Bench) -> None:
    bench.set(0x0F, 0x00)

    assert bench.get(0x0F) == 0x68


def test_a_register_remembers_what_was_written(bench: Bench) -> None:
    bench.set(0x20, 0x70)

    assert bench.get(0x20) == 0x70


def test_read_only_registers_ignore_writes(bench: Bench) -> None:
    for register in (0x14, 0x15, 0x17, 0x18, 0x26, 0x27, 0x28, 0x2F):
        before = bench.get(register)
        bench.set(register, before ^ 0x3F)

        assert bench.get(register) == before


def test_it_powers_on_asleep_with_address_increment_on(bench: Bench) -> None:
    bench.clock.sleep_s(1)

    assert (bench.get(0x10), bench.get(0x20), bench.get(0x22)) == (0, 0, 0x04)
    assert (bench.accel(), bench.gyro()) == ([0, 0, 0], [0, 0, 0])


@pytest.mark.parametrize("cause", ["SW_RESET", "brown-out"])
def test_reset_and_brown_out_restore_the_power_on_values(bench: Bench, cause: str) -> None:
    bench.set(0x22, 0x44)
    bench.stream()
    bench.wait(10)
    if cause == "SW_RESET":
        bench.set(0x22, 0x05)
    else:
        bench.twin.brown_out()
    bench.wait(10)

    assert [bench.get(r) for r in (0x10, 0x1E, 0x20, 0x22, 0x23, 0x2E)] == [0, 0x38, 0, 4, 0, 0]
    assert bench.level == 0


def test_writes_and_reads_go_on_to_the_next_register(bench: Bench) -> None:
    bench.set(0x10, 0x11, 0x22, 0x33)

    assert bench.twin.read(0x10, 3) == b"\x11\x22\x33"


def test_without_if_add_inc_the_address_stands_still(bench: Bench) -> None:
    bench.set(0x11, 0x22)
    bench.set(0x22, 0x00)
    bench.set(0x10, 0x01, 0x03)

    assert bench.twin.read(0x10, 2) == b"\x03\x03"
    assert bench.get(0x11) == 0x22


def test_ble_swaps_the_bytes(bench: Bench) -> None:
    bench.set(0x20, 0b011 << 5)
    bench.wait(2)
    little = bench.twin.read(0x28, 6)
    bench.set(0x22, 0x06)

    assert unpack("<hhh", little) == unpack(">hhh", bench.twin.read(0x28, 6)) == (0, 0, 16393)


@pytest.mark.parametrize(("bdu", "whole"), [(0x40, True), (0x00, False)])
def test_only_bdu_keeps_the_two_bytes_of_a_value_together(bdu: int, whole: bool) -> None:
    bench = Bench(counting)
    bench.set(0x22, 0x04 | bdu)
    bench.set(0x10, 0b011 << 5)
    bench.clock.sleep_s(255.5 / 119)
    low = bench.get(0x28)
    bench.wait(1)
    value = low | bench.get(0x29) << 8

    assert (value == 255) is whole  # torn, it is 255 of one sample and 256 of the next: 511


def test_status_tells_of_new_data_until_it_is_read(bench: Bench) -> None:
    bench.set(0x10, 0b011 << 5)
    bench.wait(2)
    before = bench.get(0x17)
    bench.accel()
    after_accel = bench.get(0x27)
    bench.gyro()

    assert (before, after_accel, bench.get(0x17)) == (0b11, 0b10, 0)


# Scales and rates


@pytest.mark.parametrize(
    ("code", "mg", "full_g"), [(0, 0.061, 2), (1, 0.732, 16), (2, 0.122, 4), (3, 0.244, 8)]
)
def test_accel_full_scales_are_not_in_order(code: int, mg: float, full_g: float) -> None:
    bench = Bench()
    bench.set(0x20, 0b011 << 5 | code << 3)
    bench.wait(2)
    flat = bench.accel()
    bench.twin._sampler._motion = lambda t_s: np.tile([99 * G, -99 * G, 0, 0, 0, 0], (len(t_s), 1))
    bench.wait(2)
    shaken = bench.accel()

    assert flat == [0, 0, round(1000 / mg)]
    assert shaken[0] == -shaken[1] == pytest.approx(min(full_g * 1000 / mg, 32767), abs=1)


@pytest.mark.parametrize(
    ("code", "mdps", "full_dps"), [(0, 8.75, 245), (1, 17.5, 500), (3, 70, 2000)]
)
def test_gyro_full_scales(code: int, mdps: float, full_dps: float) -> None:
    bench = Bench()
    bench.set(0x10, 0b011 << 5 | code << 3)
    bench.wait(2)
    turning = bench.gyro()
    bench.twin._sampler._motion = lambda t_s: np.tile([0, 0, 0, 99, -99, 0], (len(t_s), 1))
    bench.wait(2)
    spun = bench.gyro()

    assert turning == [round(90_000 / mdps), 0, 0]
    assert spun[0] == -spun[1] == round(full_dps * 1000 / mdps)


@pytest.mark.parametrize(
    ("code", "alone_hz", "both_hz"),
    [(1, 10, 14.9), (2, 50, 59.5), (3, 119, 119), (4, 238, 238), (5, 476, 476), (6, 952, 952)],
)
def test_the_gyro_sets_the_pace_of_both(code: int, alone_hz: float, both_hz: float) -> None:
    for registers, rate_hz in (([0x20], alone_hz), ([0x20, 0x10], both_hz)):
        bench = Bench()
        for register in registers:
            bench.set(register, code << 5)
        bench.set(0x23, 0x02)
        bench.set(0x2E, 0xC0)
        bench.clock.sleep_s(20.5 / rate_hz)

        assert bench.level == 20


def test_alone_the_accelerometer_frees_its_levels_alone(bench: Bench) -> None:
    bench.set(0x20, 0b011 << 5)
    bench.set(0x23, 0x02)
    bench.set(0x2E, 0xC0)
    bench.wait(3)
    before = bench.level
    bench.accel()

    assert bench.level == before - 1
    assert bench.gyro() == [0, 0, 0]


def test_its_clock_runs_by_the_rate_error() -> None:
    bench = Bench(rate_error=0.10)
    bench.stream()
    bench.clock.sleep_s(20.5 / 119)  # 22.55 of its own

    assert bench.level == 22


def test_disabled_axes_read_zero(bench: Bench) -> None:
    bench.set(0x1F, 0x18)  # Zen off
    bench.set(0x20, 0b011 << 5)
    bench.wait(2)

    assert bench.accel() == [0, 0, 0]


# FIFO


def test_the_fifo_fills_and_each_level_is_one_sample(streaming: Bench) -> None:
    streaming.wait(3)

    assert streaming.level == 3
    assert [(streaming.gyro(), streaming.accel()) for _ in range(3)] == [
        ([n] * 3, [n] * 3) for n in (1, 2, 3)
    ]
    assert streaming.level == 0


def test_reading_all_gyro_then_all_accel_works_as_well(streaming: Bench) -> None:
    streaming.wait(3)
    gyro = [streaming.gyro()[0] for _ in range(3)]
    half_read = streaming.level
    accel = [streaming.accel()[0] for _ in range(3)]

    assert gyro == accel == [1, 2, 3]
    assert (half_read, streaming.level) == (3, 0)


def test_continuous_mode_overwrites_the_oldest_and_says_so(streaming: Bench) -> None:
    streaming.wait(32)
    full = streaming.level, streaming.overrun
    streaming.wait(3)

    assert full == (32, False)
    assert (streaming.level, streaming.overrun) == (32, True)
    assert [(streaming.gyro()[0], streaming.accel()[0]) for _ in range(32)] == [
        (n, n) for n in range(4, 36)
    ]
    assert not streaming.overrun


def test_overrun_is_seen_however_seldom_the_bus_looks(streaming: Bench) -> None:
    for _ in range(33):
        streaming.wait(1)
        streaming.get(0x2F)

    assert (streaming.level, streaming.overrun) == (32, True)


def test_fifo_mode_stops_when_full() -> None:
    bench = Bench(counting)
    bench.stream(mode=0b001)
    bench.clock.sleep_s(40.5 / 119)

    assert (bench.level, bench.overrun) == (32, False)
    assert [bench.accel()[0] for _ in range(32)] == list(range(1, 33))


def test_stop_on_fth_makes_the_fifo_shorter() -> None:
    bench = Bench(counting)
    bench.stream(mode=0b001)
    bench.set(0x23, 0x03)
    bench.set(0x2E, 0x20 | 10)
    bench.wait(20)

    assert bench.level == 10


def test_the_threshold_flag_rises_with_the_level() -> None:
    bench = Bench()
    bench.stream()
    bench.set(0x2E, 0xC0 | 5)
    bench.clock.sleep_s(4.5 / 119)
    below = bench.get(0x2F) >> 7
    bench.wait(1)

    assert (below, bench.get(0x2F) >> 7) == (0, 1)


@pytest.mark.parametrize("register", [0x2E, 0x23])
def test_bypass_empties_the_fifo(streaming: Bench, register: int) -> None:
    streaming.wait(40)
    streaming.set(register, 0x00)

    assert (streaming.level, streaming.overrun) == (0, False)


def test_without_fifo_the_outputs_show_the_latest_sample() -> None:
    bench = Bench(counting)
    bench.set(0x10, 0b011 << 5)
    bench.clock.sleep_s(7.5 / 119)

    assert bench.accel() == bench.gyro() == [7, 7, 7]


# Noise


def test_noise_is_as_strong_as_asked_and_the_offset_is_the_gyros() -> None:
    bench = Bench(accel_noise_m_s2=0.05, gyro_noise_rad_s=0.01, gyro_offset_rad_s=0.1)
    bench.set(0x10, 0b011 << 5)
    accel, gyro = [], []
    for _ in range(1000):
        bench.wait(1)
        accel.append(bench.accel())
        gyro.append(bench.gyro())

    # 3 times 1000 draws: the spread of their standard deviation is 1.3 %, 5 % is four of it.
    assert np.std(accel, axis=0).mean() * 0.061e-3 * G == pytest.approx(0.05, rel=0.05)
    assert np.std(gyro, axis=0).mean() * radians(8.75e-3) == pytest.approx(0.01, rel=0.05)
    assert np.mean(gyro, axis=0)[1] * radians(8.75e-3) == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize(("other_seed", "same"), [(1, True), (2, False)])
def test_the_seed_decides_the_noise(other_seed: int, same: bool) -> None:
    answers = []
    for seed in (1, other_seed):
        bench = Bench(seed=seed, accel_noise_m_s2=0.05)
        bench.stream()
        bench.wait(5)
        answers.append(bench.accel())

    assert (answers[0] == answers[1]) is same
