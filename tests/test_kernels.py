"""Every kernel equals its slow twin in `naive.py`, on motion, on rest and on twin channels."""

from itertools import pairwise

import naive
import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from learner import kernels, looking

Floats = NDArray[np.float64]

FLOOR = 0.01
BEYOND = 70  # zeros behind the rows of a window: a lag of 48, and 22 more


def close(kernel: Floats, twin: Floats, atol: float = 1e-9) -> None:
    """Sums in another order differ by some ulps times the number of rows."""
    npt.assert_allclose(kernel, twin, rtol=1e-9, atol=atol)


def series(kind: str, rows: int = 96, count: int = 6) -> Floats:
    """(count, rows) of a kind that has been trouble before."""
    rng = np.random.default_rng(rows)
    motion = rng.standard_normal((count, rows)).cumsum(axis=1)
    if kind == "constant":
        motion[:] = motion[:, :1]
    if kind == "zero":
        motion[:] = 0.0
    if kind == "duplicated":
        motion[1:] = motion[0]
    return motion


@pytest.fixture(params=["random", "constant", "zero", "duplicated"], name="motion")
def _motion(request: pytest.FixtureRequest) -> Floats:
    return series(request.param)


@pytest.mark.parametrize("channels", [3, 6])
def test_tracks_are_split_along_gravity(motion: Floats, channels: int) -> None:
    samples = np.ascontiguousarray(motion[:channels].T, dtype=np.float32)
    units = np.array([0.98, 0.98, 0.98, 0.3, 0.3, 0.3])[:channels]
    out = np.zeros((2 * channels, len(samples) + BEYOND))
    looking.tracks(samples, units, out)

    # where all lies along gravity, "across" is the root of a rounding error
    close(out[:, :96], naive.tracks(samples, units), atol=1e-5)
    assert not out[:, 96:].any()


def test_gravity_fades_out_where_there_is_none() -> None:
    samples = np.zeros((50, 3), dtype=np.float32)
    samples[::2, 0], samples[1::2, 0] = 0.01, -0.008  # 1 mm/s² is no direction
    out = np.empty((6, 50))
    looking.tracks(samples, np.ones(3), out)

    assert np.abs(out[4]).max() < 1e-4


def test_steps_reach_over_the_lag(motion: Floats) -> None:
    out = np.empty((6, 93))
    looking.steps(motion, 96, 3, out)

    npt.assert_array_equal(out, naive.steps(motion, 3))


def centred(motion: Floats) -> tuple[Floats, Floats]:
    """The tracks with zeros behind, and their variances."""
    tracks = np.hstack([motion, np.zeros((len(motion), BEYOND))])
    mean, variance = np.empty((2, len(motion)))
    looking.centre(tracks, motion.shape[1], mean, variance)
    return tracks, variance


def test_centre_takes_the_mean_out_and_says_what_is_left(motion: Floats) -> None:
    tracks = np.hstack([motion, np.zeros((6, BEYOND))])
    mean, variance = np.empty((2, 6))
    looking.centre(tracks, 96, mean, variance)
    twins = naive.centre(motion)

    close(tracks, np.hstack([twins[0], np.zeros((6, BEYOND))]))
    close(mean, twins[1])
    close(variance, twins[2])


@pytest.mark.parametrize("rows", [8, 95, 96])
def test_quantiles_are_numpys(rows: int) -> None:
    at = np.array([0.0, 0.1, 0.25, 0.5, 0.77, 1.0])
    for kind in ["random", "constant", "zero"]:
        ordered = np.sort(series(kind, rows))
        out = np.empty((6, 6))
        looking.quantiles(np.hstack([ordered, np.full((6, 3), np.inf)]), rows, at, out)

        close(out, naive.quantiles(ordered, at))


def test_autocorrelation_knows_lags_up_to_half_the_window(motion: Floats) -> None:
    lags = np.array([1, 2, 5, 48, 49, 200], dtype=np.intp)
    out = np.full((6, 6), np.nan)
    tracks, variance = centred(motion)
    looking.autocorrelation(tracks, 96 + 22, 96, variance, lags, FLOOR, out)

    close(out, naive.autocorrelation(motion, lags, FLOOR))


def test_correlation_covers_every_pair(motion: Floats) -> None:
    out = np.full(15, np.nan)
    tracks, variance = centred(motion)
    looking.correlation(tracks, 96 + 22, 96, variance, FLOOR, out)

    close(out, naive.correlation(motion, FLOOR))


def test_bands_share_the_power_out(motion: Floats) -> None:
    power = motion[:, :48] ** 2
    shares = np.clip(np.random.default_rng(1).uniform(-1.0, 1.0, (5, 48)), 0.0, 1.0)
    shares[4] = 0.0  # a band beyond the highest frequency
    out = np.empty((6, 5))
    looking.bands(power, shares, out)

    close(out, naive.bands(power, shares))


def test_logarithms_are_the_librarys() -> None:
    x = np.exp(np.random.default_rng(2).uniform(-690.0, 690.0, 1000))
    x[:6] = looking.TINY, 1e300, 0.5, 1.0, np.sqrt(0.5), np.nextafter(np.sqrt(2.0), 2.0)
    x[6:400] = np.exp(np.linspace(-1.0, 1.0, 394))
    out = np.empty(1000)
    looking.logarithms(x.copy(), out)

    npt.assert_allclose(out, naive.logarithms(x), rtol=4e-16, atol=4e-16)


def test_levels_are_squeezed_by_asinh_and_spreads_by_the_logarithm(motion: Floats) -> None:
    levels, spreads, more = motion[0] * 100.0, np.abs(motion[1]), np.abs(motion[2, :7])
    expected = naive.squeeze(levels, spreads, FLOOR), naive.squeeze(levels, more, FLOOR)
    looking.squeeze(levels, spreads, more, FLOOR, *np.empty((2, 96)))

    close(levels, expected[0][0])
    close(spreads, expected[0][1])
    close(more, expected[1][1])


def test_rhythm_finds_peak_centre_and_entropy(motion: Floats) -> None:
    power = motion[:, :48] ** 2
    octaves = np.log2(np.arange(1.0, 49.0) * 0.4)
    out = np.empty((6, 4))
    logs = np.log(np.maximum(power, looking.TINY))
    looking.rhythm(power, logs, octaves, FLOOR, out)

    close(out, naive.rhythm(power, octaves, FLOOR))


def test_parts_are_ordered_in_time_and_then_by_size(motion: Floats) -> None:
    bounds = np.array([0, 24, 50, 72, 96], dtype=np.intp)
    levels, spreads = np.empty((6, 8)), np.empty((6, 8))
    looking.parts(centred(motion)[0], bounds, levels, spreads)
    twins = naive.parts(motion, bounds)

    close(levels, twins[0])
    # the spread of a constant is a rounding error, 1e-7 of the level at most
    close(spreads, twins[1], atol=1e-4)
    for row in spreads:
        assert all(a <= b for a, b in pairwise(row[4:]))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3.4e38, -0.0])
def test_one_number_that_is_none_is_found(odd: float) -> None:
    for place in (0, 40, 100):
        x = np.full(101, -3.4e38, dtype=np.float32)
        x[place] = odd

        assert kernels.finite(x) == naive.finite(x)


def test_settle_clips_and_rounds_to_the_grid(motion: Floats) -> None:
    for row in motion:
        settled = row.copy()
        kernels.settle(settled, 8.0, 2.0**-12)

        npt.assert_array_equal(settled, naive.settle(row, 8.0, 2.0**-12))


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_add_outers_adds_to_the_lower_triangle_only(motion: Floats, count: int) -> None:
    moment = np.random.default_rng(3).standard_normal((96, 96))
    rows = np.vstack([motion, motion])[:count]
    weights = np.array([1.0, -1.0, 0.25, 0.5, 2.0, -0.5])[:count]
    expected = naive.add_outers(rows, weights, moment)
    kernels.add_outers(rows, weights, moment)

    close(moment, expected)


def test_block_squares_adds_each_blocks_own(motion: Floats) -> None:
    out, firsts = np.ones(3), np.array([0, 10, 12, 96])
    kernels.block_squares(motion[0], firsts, -1.0, out)

    close(out, 1.0 + naive.block_squares(motion[0], firsts, -1.0))


@pytest.mark.parametrize("company", [0.0, 0.5])
def test_two_members_agree_on_a_distribution(company: float) -> None:
    scores, shares = np.array([1.0, -700.0, 2.5]), np.array([0.6, 0.4, 0.0])
    out = np.empty(3)
    kernels.agree(scores, 0.3, shares, 0.02, company, out)

    close(out, naive.agree(scores, 0.3, shares, 0.02, company))


def test_a_lapse_may_be_anything() -> None:
    probabilities, order, out = np.array([0.7, 0.1, 0.2]), np.array([2, 0, 1]), np.empty(3)
    entropy = kernels.lapse(probabilities, 0.03, order, out)
    expected, doubt = naive.lapse(probabilities, 0.03, order)

    close(out, expected)
    assert entropy == pytest.approx(doubt)


@pytest.mark.parametrize(
    "scores", [[3.0], [1.0, 2.0], [2.0, 1.0], [1.0, 1.0], [1, 5, 2, 4], [5, 1, 4, 6], [2, 2, 2]]
)
def test_the_two_highest_are_found(scores: list[float]) -> None:
    found = kernels.two_highest(np.array(scores, dtype=np.float64))

    assert found == naive.two_highest(np.array(scores))


def test_a_square_is_weighted(motion: Floats) -> None:
    weights = np.linspace(0.0, 1.0, motion[0].size)
    found = kernels.weighted_square(motion[0], motion[1], weights)

    assert found == pytest.approx(naive.weighted_square(motion[0], motion[1], weights))


def test_the_block_that_is_furthest_off_counts(motion: Floats) -> None:
    firsts, spreads = np.array([0, 10, 12, 96]), np.array([0.5, 2.0, 0.1])
    off = kernels.off_by_blocks(motion[0], motion[1] + 1.0, firsts, spreads)

    assert off == pytest.approx(naive.off_by_blocks(motion[0], motion[1] + 1.0, firsts, spreads))


def test_single_precision_is_enough_for_an_estimate(motion: Floats) -> None:
    projection = series("random", rows=96, count=7).astype(np.float32)
    mean = np.arange(7, dtype=np.float32)
    square = kernels.projected_square(projection, motion[0], mean)
    expected = naive.projected_square(projection, motion[0], mean)

    assert square == pytest.approx(expected, rel=1e-4)


def test_the_nearest_window_is_found() -> None:
    windows = (series("random", rows=300) * 1000).astype(np.int16)
    x = np.full(300, -32767, dtype=np.int16)  # as far as can be from 32767
    windows[2] = 32767
    weights = np.linspace(0.0, 1e-3, 300, dtype=np.float32)
    wide = np.zeros((6, 320), dtype=np.float32)
    wide[:, :300] = windows * weights

    for chosen in (slice(0, 6), slice(5, None, -1), slice(2, 3)):
        weighted = np.zeros(320, dtype=np.float32)
        some = np.ascontiguousarray(wide[chosen])
        nearest = kernels.nearest_square(x, weights, some, weighted)
        expected = naive.nearest_square(x, weights, windows[chosen])
        assert nearest == pytest.approx(expected, rel=1e-5)
        assert kernels.nearest_square(windows[2], weights, wide, weighted) == 0.0
