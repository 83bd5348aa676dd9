"""Every kernel of a classifier equals its slow twin in `naive.py`, on plain and on odd numbers."""

import naive
import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from learner import gaussians
from learner.classifiers import logistic, nearest, newton, tree
from learner.sums import GRID

Floats = NDArray[np.float64]

ACTIVITIES, SIZE = 5, 41


def close(kernel: Floats, twin: Floats) -> None:
    """Sums in another order differ by some ulps times their number of terms."""
    npt.assert_allclose(kernel, twin, rtol=1e-9, atol=1e-11)


def table(kind: str, rows: int = ACTIVITIES) -> Floats:
    """(rows, SIZE) of features, which are of order one and within ±8."""
    features = np.random.default_rng(rows).uniform(-2.0, 2.0, (rows, SIZE))
    if kind == "constant":
        features[:] = features[:, :1]
    if kind == "zero":
        features[:] = 0.0
    if kind == "duplicated":
        features[1:] = features[0]
    if kind == "saturated":
        features = np.copysign(8.0, features)
    return features


@pytest.fixture(params=["random", "constant", "zero", "duplicated", "saturated"], name="features")
def _features(request: pytest.FixtureRequest) -> Floats:
    return table(request.param)


X = table("random", 1)[0]
POSITIVE = np.exp(table("random", 7))[:ACTIVITIES]


def test_distances_are_weighed_by_the_precision_of_every_activity(features: Floats) -> None:
    out = np.empty(ACTIVITIES)
    gaussians.distances(X, features, POSITIVE, out)

    close(out, naive.distances(X, features, POSITIVE))


def test_row_distances_are_means_over_features(features: Floats) -> None:
    rows, out = (features / GRID).clip(-32768, 32767).astype(np.int16), np.empty(ACTIVITIES)
    nearest.row_distances(X, rows, GRID, POSITIVE[0], out)

    close(out, naive.row_distances(X, rows, GRID, POSITIVE[0]))


def test_multiply_reads_only_the_lower_triangle(features: Floats) -> None:
    lower = np.tril(np.outer(features[0], features[-1])) + np.triu(np.full((SIZE, SIZE), np.nan), 1)
    out = np.empty(SIZE)
    newton.multiply(lower, X, out)

    close(out, naive.multiply(np.tril(lower), X))


@pytest.mark.parametrize("taught", [0, ACTIVITIES - 1])
def test_correct_tells_one_row_yes_and_the_others_no(features: Floats, taught: int) -> None:
    weights = features.copy()
    newton.correct(weights, X, taught, POSITIVE[0])

    close(weights, naive.correct(features, X, taught, POSITIVE[0]))


def test_correct_overflows_at_no_score() -> None:
    weights = np.array([[1e6, 0.0], [-1e6, 0.0]])
    newton.correct(weights, np.array([1.0, 1.0]), 0, np.array([0.0, 1.0]))

    close(weights[:, 1], np.array([0.0, 0.0]))


def test_standardised_is_within_bounds_and_ends_with_one(features: Floats) -> None:
    out = np.empty(SIZE + 1)
    logistic.standardise(X, features[0], POSITIVE[0], 2.0, out)

    close(out, naive.standardise(X, features[0], POSITIVE[0], 2.0))


def test_softmax_is_the_share_of_the_odds(features: Floats) -> None:
    out = np.empty(ACTIVITIES)
    logistic.softmax(features, X, out)

    close(out, naive.softmax(features, X))


def test_softmax_overflows_at_no_score() -> None:
    out = np.empty(3)
    logistic.softmax(np.array([[1e5], [1e5], [-1e5]]), np.ones(1), out)

    npt.assert_array_equal(out, [0.5, 0.5, 0.0])


def test_descend_goes_by_the_gradient_over_the_root_of_its_squares(features: Floats) -> None:
    weights, squares = POSITIVE.copy(), np.abs(features)
    residuals = np.array([0.7, -0.3, 0.0, -0.2, -0.2])
    expected = naive.descend(weights, squares, features[0], residuals, 0.1)
    logistic.descend(weights, squares, features[0], residuals, 0.1)

    close(weights, expected[0])
    close(squares, expected[1])


def test_descend_divides_by_no_square_that_is_nothing() -> None:
    weights, squares = np.zeros((1, 2)), np.zeros((1, 2))
    logistic.descend(weights, squares, np.array([1e-200, 0.0]), np.ones(1), 0.1)

    npt.assert_array_equal(weights, [[0.0, 0.0]])


@pytest.mark.parametrize("counts", [[1.0, 2.0, 0.0, 4.0], [5.0], [0.0, 0.0], [0.25, 0.25]])
def test_entropy_counts_the_bits_of_all_windows_together(counts: list[float]) -> None:
    bits = tree.entropy(np.array(counts))

    assert bits == pytest.approx(naive.entropy(np.array(counts)), abs=1e-12)


def test_best_cuts_gain_what_normal_distributions_say(features: Floats) -> None:
    counts = np.array([10.0, 3.0, 40.0, 1.0, 20.0])
    gains, cuts = out = np.empty((2, SIZE))
    sides = np.empty((2, ACTIVITIES))
    tree.best_cuts(counts, features, POSITIVE, sides, out)

    close(gains, naive.best_cuts(counts, features, POSITIVE, tree.CUTS, tree.LEAST_SHARE))
    for mean, deviation, bits, cut in zip(features.T, POSITIVE.T, gains, cuts, strict=True):
        reached, share = naive.gain(counts, mean, deviation, cut)
        assert bits == 0.0 or reached == pytest.approx(bits)
        assert bits == 0.0 or tree.LEAST_SHARE <= share <= 1.0 - tree.LEAST_SHARE
    assert (gains > 0.0).any()
