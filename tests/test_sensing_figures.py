"""The figures of `budge bench sensing`: that they hold, and that they would show if not."""

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from deploy.commands.bench import bench
from firmware_bridge import figures
from firmware_bridge.clock import VirtualClock
from firmware_bridge.figures import (
    CLOCK_ERRORS,
    TONES_HZ,
    JitteryClock,
    chip_names,
    cost,
    growth,
    timing,
    worst_resampling_db,
)
from firmware_bridge.rows.rate import Rate
from firmware_bridge.rows.resample import Resampler


@pytest.mark.parametrize("name", chip_names())
def test_every_chip_s_rate_is_known_to_100_ppm_after_a_minute_whatever_its_clock(name: str) -> None:
    measured = [timing(name, error, seed) for seed, error in enumerate(CLOCK_ERRORS)]

    # The fit's noise after 60 s is 20 ppm rms (5.8 ms a pair, 600 pairs, and it forgets).
    assert max(abs(each.rate_error) for each in measured) < 1e-4
    # 1 ms rms once settled; in the first seconds some tens of pairs at 5.8 ms each: 2 ms rms.
    assert max(each.place_s for each in measured) < 0.008


@pytest.mark.parametrize("name", chip_names())
def test_movement_up_to_ten_hertz_is_resampled_to_one_part_in_2000(name: str) -> None:
    # Designed for 70 dB; ripples of the kernel add up where several lie on one another.
    assert max(worst_resampling_db(name, tone) for tone in TONES_HZ) < -66


def test_a_rate_taken_from_the_datasheet_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rate, "rate_hz", property(lambda _: 119.0))

    assert timing("lsm9ds1", 0.05).rate_error == pytest.approx(1 / 1.05 - 1, rel=1e-3)


def test_rows_in_the_wrong_place_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    time_of = Rate.time_of
    monkeypatch.setattr(Rate, "time_of", lambda self, n: time_of(self, n) + 0.05)
    sample_at = Rate.sample_at
    monkeypatch.setattr(Rate, "sample_at", lambda self, s: sample_at(self, s - 0.05))

    assert timing("lsm9ds1", 0.0).place_s == pytest.approx(0.05, abs=0.01)


def test_a_poorer_kernel_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Resampler.__init__

    def rectangular(self: Resampler, step: float, channels: int) -> None:
        made(self, step, channels)
        self._kernel[:] = 1.0

    monkeypatch.setattr(Resampler, "__init__", rectangular)

    assert worst_resampling_db("lsm9ds1", 10) > -40


def test_the_host_of_the_figures_is_late_and_wrong_about_the_time() -> None:
    true = VirtualClock()
    host = JitteryClock(true, 0.005, seed=0)
    late_s, off_s = [], []
    for _ in range(2000):
        before_s = true.now_s()
        host.sleep_s(0.1)
        late_s.append(true.now_s() - before_s - 0.1)
        off_s.append(host.now_s() - true.now_s())

    assert min(late_s) >= 0
    # 2000 draws: the mean of a half normal, and an rms, each to 4 %, two and more of its sigmas.
    assert sum(late_s) / 2000 == pytest.approx(0.005 * 0.798, rel=0.06)
    assert (sum(s * s for s in off_s) / 2000) ** 0.5 == pytest.approx(0.005, rel=0.06)


def test_an_hour_of_reading_leaves_nothing_behind() -> None:
    grown = growth("mpu6050", 3600.0)

    # One object or one row kept at every drain would be 36 000 objects or 2 MB.
    assert grown.blocks < 1000
    assert grown.rss_bytes < 1_000_000


def test_what_would_be_left_behind_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    push = Resampler.push

    def hoarding(self: Resampler, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        kept.append(samples)
        return push(self, samples)

    monkeypatch.setattr(Resampler, "push", hoarding)

    assert growth("mpu6050", 300.0).blocks > 2500


def test_the_cost_is_told_apart_from_the_emulation_s() -> None:
    spent = cost("mpu6050", 20.0, VirtualClock())

    assert spent.seconds == pytest.approx(20.0, abs=0.2)
    assert spent.transfers == pytest.approx(1000, abs=20)  # ask and take, 25 times a second
    # A core is at most as slow on this machine as ten of it in line: not a measurement, a sieve.
    assert 0 < spent.cpu_s < 0.1 * spent.seconds
    assert spent.emulation_cpu_s > 0


def test_the_command_prints_a_line_for_every_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "CLOCK_ERRORS", (0.05,))
    monkeypatch.setattr(figures, "TONES_HZ", (5,))
    shown = CliRunner().invoke(bench, ["sensing"])

    tables = shown.stdout.strip().split("\n\n")
    chips = [[line.split()[0] for line in table.splitlines()[2:]] for table in tables]
    assert chips == [chip_names()] * 3


def test_the_command_tells_the_cost_and_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = figures.Cost("mpu6050", 60.0, cpu_s=0.06, emulation_cpu_s=0.12, transfers=1200)
    grown = figures.Growth("mpu6050", 86400.0, blocks=-3, rss_bytes=4096)
    monkeypatch.setattr(figures, "cost", lambda name, seconds: spent)
    monkeypatch.setattr(figures, "growth", lambda name, seconds: grown)
    shown = CliRunner().invoke(bench, ["sensing", "--cost"])

    assert shown.stdout.splitlines()[2].split() == ["mpu6050", "20", "3.60", "0.100%", "7.20"]
    assert shown.stdout.splitlines()[-1] == (
        "a day of mpu6050: -3 Python objects and +4 KiB of memory since its tenth minute"
    )
