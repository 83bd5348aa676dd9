"""Every recording in data_samples, played to every six-axis chip, comes back as it was.

A chip is moved as the recording says, samples that by its own clock, 3 % fast, and is read by its
driver and the source. What must come back is the recording, at the times the rows say, within what
the chip's counts and the resampler's ripple allow.
"""

from functools import cache
from math import ceil, radians
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from numpy.typing import NDArray

import firmware_bridge.rows.grid
from firmware_bridge.clock import VirtualClock
from firmware_bridge.figures import chip_names, driver, emulated
from firmware_bridge.recordings.files import read
from firmware_bridge.rows.resample import BETA, REACH, Resampler
from firmware_bridge.sources.i2c import Source

SAMPLES = sorted((PROJECT / "data_samples").glob("*.csv*"), key=lambda path: path.name)
RATE_ERROR = 0.03
KEPT_HZ = 20.0  # 0.8 of the grid's Nyquist frequency: the resampler keeps all below
FINER = 16  # table points per row
RIPPLE = 10 ** (-65 / 20)  # the kernel's is -70 dB in the pass band; test_resample.py allows 5 more


def still(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros((len(times_s), 6))


def six_axis() -> list[str]:
    clock = VirtualClock()
    scales = {
        name: driver(name, emulated(name, still, clock)[1], clock).scale for name in chip_names()
    }
    return [name for name, scale in scales.items() if len(scale) == 6]


class Movement:
    """A recording as a function of time: its rows' Fourier series, played over and over.

    Of the rows, what lies above 20 Hz is left out: no grid of 50 Hz can promise it, and it is
    little. The series is tabulated 16 times as dense and read by cubics: off by 2e-5 of the
    amplitude at 20 Hz, by less below.
    """

    def __init__(self, path: Path) -> None:
        recording = read(path)
        (run,) = recording.runs
        self.rows = len(run.samples)
        spectrum = np.fft.rfft(run.samples.astype(np.float64), axis=0)
        spectrum[ceil(KEPT_HZ * self.rows / recording.rate_hz) :] = 0
        self._table = FINER * np.fft.irfft(spectrum, n=FINER * self.rows, axis=0)
        self._step_s = 1 / (FINER * recording.rate_hz)
        self.kept = self._table[::FINER]
        self.swing = np.ptp(self._table, axis=0) / 2

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        place = times_s / self._step_s
        first = np.floor(place).astype(np.int64)
        x = (place - first)[:, None]
        before, here, after, beyond = (
            self._table[(first + k) % len(self._table)] for k in (-1, 0, 1, 2)
        )
        value: NDArray[np.float64] = (
            -before * x * (x - 1) * (x - 2) / 6
            + here * (x + 1) * (x - 1) * (x - 2) / 2
            - after * (x + 1) * x * (x - 2) / 2
            + beyond * (x + 1) * x * (x - 1) / 6
        )
        return value


movement = cache(Movement)


class PlacedResampler(Resampler):
    """Remembers between which samples each row lies."""

    places: list[NDArray[np.float64]]

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        first = self.position
        rows = super().push(samples)
        self.places.append(first + np.arange(len(rows), dtype=np.float64) * self.step)
        return rows


@pytest.fixture(name="places")
def _places(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float64]]:
    places: list[NDArray[np.float64]] = []
    monkeypatch.setattr(PlacedResampler, "places", places, raising=False)
    monkeypatch.setattr(firmware_bridge.rows.grid, "Resampler", PlacedResampler)
    return places


def gain_of_rounding() -> float:
    """Half a count of each sample, at worst, in counts of a row: Σ|w| of the kernel."""
    at = np.arange(-REACH, REACH, 0.01)
    kernel = np.sinc(at) * (np.i0(BETA * np.sqrt(1 - (at / REACH) ** 2)) - 1)
    return float(np.abs(kernel).sum() / kernel.sum())


@pytest.mark.parametrize("name", six_axis())
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name.split(".")[0])
def test_a_recording_comes_back_within_the_chip_s_counts(
    name: str, path: Path, places: list[NDArray[np.float64]]
) -> None:
    moved = movement(path)
    clock = VirtualClock()
    twin, bus = emulated(name, moved.at, clock, rate_error=RATE_ERROR)
    twin._sampler._noise = twin._sampler._offset = np.zeros(6)
    source = Source(driver(name, bus, clock), clock, rate_hz=50.0)
    told = source.chunks()
    chunks = [next(told)]
    while chunks[-1].first + len(chunks[-1].counts) < moved.rows:
        chunks.append(next(told))

    rows = np.concatenate([chunk.counts for chunk in chunks]) * source.scale.astype(np.float64)
    told_s = chunks[0].run_start_s + np.arange(len(rows)) / 50
    # The chip samples at since + j / rate; which j the first frame was, the rows tell to 3 ms.
    period_s, since_s = 1 / twin._sampler.rate_hz, twin._sampler._since_s
    place = np.concatenate(places)
    first = round((told_s[0] - since_s) / period_s - place[0])
    true_s = since_s + (place + first) * period_s
    # Counts: half of one for each sample, weighed by the kernel, and half of one for the row.
    counts = 0.5 * gain_of_rounding() + 0.5
    tolerance = counts * source.scale.astype(np.float64) + RIPPLE * moved.swing
    assert {chunk.run for chunk in chunks} == {0}
    assert np.abs(true_s - told_s).max() < 0.003
    assert (np.abs(rows - moved.at(true_s)).max(axis=0) < tolerance).all()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name.split(".")[0])
def test_what_is_played_is_the_recording(path: Path) -> None:
    moved = movement(path)
    (run,) = read(path).runs
    left_out = (run.samples - moved.kept)[100:-100]  # the series leaps from the end to the start
    # What the chip it was made with adds in noise, or a tenth of what moved: the wearer of the
    # mixed day rattles at just 20 Hz, too.
    noise = np.repeat([0.0015 * 9.80665, radians(0.1)], 3)
    allowed = np.maximum(noise, 0.1 * run.samples.std(axis=0))

    np.testing.assert_allclose(moved.at(np.arange(moved.rows) / 50), moved.kept, rtol=0, atol=1e-9)
    assert (left_out.std(axis=0) < allowed).all()
