"""Values between the samples."""

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.rows.resample import BLOCK, Resampler, resample

SECONDS = 20


def tone(hz: float, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two channels, a quarter turn apart."""
    return np.sin(2 * np.pi * hz * times_s[:, None] + [0.3, 0.3 + np.pi / 2])


def sampled(hz: float, rate_hz: float) -> NDArray[np.float64]:
    return tone(hz, np.arange(int(SECONDS * rate_hz)) / rate_hz)


def streamed(
    resampler: Resampler, samples: NDArray[np.float64], piece: int = 12
) -> NDArray[np.float64]:
    return np.concatenate(
        [resampler.push(samples[k : k + piece]) for k in range(0, len(samples), piece)]
    )


def level_db(rows: NDArray[np.float64]) -> float:
    """Power against a tone of amplitude 1."""
    return float(10 * np.log10(2 * np.mean(rows**2)))


@pytest.mark.parametrize("from_hz", [113.05, 119.0, 124.95, 102.27, 50.3])
@pytest.mark.parametrize("hz", [1.0, 5.0, 10.0])
def test_movement_comes_through_unchanged(from_hz: float, hz: float) -> None:
    resampler = Resampler(from_hz / 50, channels=2)
    first = resampler.position

    rows = streamed(resampler, sampled(hz, from_hz))

    times_s = (first + np.arange(len(rows)) * from_hz / 50) / from_hz
    assert level_db(rows - tone(hz, times_s)) < -65  # designed for 70, ripples add up


def test_it_also_makes_more_rows_than_there_are_samples() -> None:
    resampler = Resampler(20 / 50, channels=2)
    first = resampler.position

    rows = streamed(resampler, sampled(5, 20))

    times_s = (first + np.arange(len(rows)) * 20 / 50) / 20
    assert len(rows) > 2 * 20 * (SECONDS - 2)
    assert level_db(rows - tone(5, times_s)) < -65


@pytest.mark.parametrize("hz", [33.0, 40.0, 55.0])
def test_a_tone_the_grid_cannot_hold_is_not_folded_into_it(hz: float) -> None:
    rows = streamed(Resampler(119 / 50, channels=2), sampled(hz, 119))

    assert level_db(rows) < -65


def test_at_the_same_rate_samples_pass_as_they_are() -> None:
    samples = np.random.default_rng(0).normal(size=(200, 2))
    resampler = Resampler(1.0, channels=2)

    rows = streamed(resampler, samples)

    np.testing.assert_allclose(rows, samples[resampler.delay :][: len(rows)], atol=1e-12)


def test_gravity_comes_out_as_it_went_in() -> None:
    rows = streamed(Resampler(2.3791, channels=1), np.full((500, 1), 9.80665))

    np.testing.assert_allclose(rows, 9.80665, rtol=1e-14)


def test_how_the_samples_are_cut_into_pieces_makes_no_difference() -> None:
    samples = np.random.default_rng(0).normal(size=(3000, 2))

    whole = Resampler(2.38, channels=2).push(samples)

    for piece in (1, 12, 257):
        rows = streamed(Resampler(2.38, channels=2), samples, piece)
        # Places add up in another order: 1e-13 samples, times a slope of up to 100 per sample.
        np.testing.assert_allclose(rows, whole, rtol=0, atol=1e-9)


def test_the_first_row_comes_as_soon_as_its_kernel_is_full_and_not_before() -> None:
    resampler = Resampler(2.38, channels=1)
    delay = resampler.delay

    assert len(resampler.push(np.ones((2 * delay, 1)))) == 0
    assert len(resampler.push(np.ones((1, 1)))) == 1


def test_a_step_that_changes_leaves_no_jump() -> None:
    from_hz = 119.0
    samples = sampled(3, from_hz)
    resampler = Resampler(from_hz / 50, channels=2)
    rows, places = [], []
    for k in range(0, len(samples), 12):
        resampler.step = from_hz / 50 * (1 + 0.01 * np.sin(k / 100))
        expected = resampler.position
        pushed = resampler.push(samples[k : k + 12])
        rows.append(pushed)
        places.append(expected + np.arange(len(pushed)) * resampler.step)

    times_s = np.concatenate(places) / from_hz
    assert np.ptp(np.diff(times_s)) < 0.03 / 50
    assert level_db(np.concatenate(rows) - tone(3, times_s)) < -65


def test_a_long_run_takes_no_more_memory_than_a_short_one() -> None:
    resampler = Resampler(2.38, channels=1)

    held = []
    for _ in range(200):
        resampler.push(np.ones((12, 1)))
        held.append(len(resampler._samples))

    assert max(held) <= 2 * resampler.delay + 12


def test_a_step_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"step is 0\.0 samples per row, expected more than 0"):
        Resampler(0.0, channels=1)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(119.0, 50.0), (20.0, 50.0), (50.0, 50.0)])
def test_a_whole_array_keeps_its_beginning_its_end_and_its_slopes(
    from_hz: float, to_hz: float
) -> None:
    times_s = np.arange(int(60 * from_hz) + 1)[:, None] / from_hz
    assert 60 * to_hz > BLOCK  # or the seams between blocks go untested

    rows = resample(3 - 2 * times_s, from_hz, to_hz)

    expected = 3 - 2 * np.arange(int(60 * to_hz) + 1)[:, None] / to_hz
    np.testing.assert_allclose(rows, expected, atol=2e-3)


def test_a_whole_array_is_filtered_like_a_stream() -> None:
    samples = sampled(3, 119)
    rows = resample(samples, 119, 50)

    inner = slice(20, -20)  # away from the ends, which are continued by reflection
    assert level_db((rows - tone(3, np.arange(len(rows)) / 50))[inner]) < -65
    assert level_db(resample(sampled(40, 119), 119, 50)[inner]) < -65


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_short_array_is_no_trouble(length: int) -> None:
    rows = resample(np.ones((length, 2)), 20, 50)

    assert len(rows) == (0 if length == 0 else int((length - 1) * 2.5) + 1)
    np.testing.assert_allclose(rows, 1.0)
