"""The forest equals the twins of `naive_forest.py`, and tells apart what it was grown from."""

import naive_forest
import numpy as np
import numpy.testing as npt
import pytest
from naive_forest import Branch, Grower, Leaf
from numpy.typing import NDArray

from learner import forest
from learner.forest import LEAF, Forest, grow_forest

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Words = NDArray[np.int16]

ROWS, FEATURES = 40, 9
DRAWN, DEEPEST = 5, 4
KINDS = ["plain", "constant", "one column", "steps", "duplicated", "extremes", "one class", "many"]


def given(kind: str) -> tuple[Words, Ints, Floats]:
    """Vectors (n, d), classes and weights (n,), of a kind that may be trouble.

    Weights are sixteenths, so that sums of them are exact and have no order: the compiler adds up
    in an order of its own.
    """
    rng = np.random.default_rng(len(kind))
    classes = rng.integers(0, 12 if kind == "many" else 3, ROWS).astype(np.int32)
    vectors = rng.normal(400.0 * classes[:, None], 500.0, (ROWS, FEATURES))
    if kind == "constant":
        vectors[:] = 7.0
    if kind == "one column":
        vectors[:, 1:] = -3.0
    if kind == "steps":
        vectors = np.sign(vectors - 400.0)
    if kind == "duplicated":
        vectors[1::2] = vectors[::2]
    if kind == "extremes":
        vectors = np.where(vectors > 400.0, 32767.0, -32768.0)
    if kind == "one class":
        classes[:] = 1
    return vectors.astype(np.int16), classes, rng.integers(1, 32, ROWS) / 16.0


@pytest.fixture(params=KINDS, name="lessons")
def _lessons(request: pytest.FixtureRequest) -> tuple[Words, Ints, Floats]:
    return given(request.param)


def grower(lessons: tuple[Words, Ints, Floats]) -> Grower:
    vectors, classes, weights = lessons
    return Grower(vectors.T, classes, weights, int(classes.max()) + 1)


def drawn_as_trees(grown: Forest) -> list[Branch | Leaf]:
    def unfold(at: int) -> Branch | Leaf:
        if grown.feature[at] == LEAF:
            return Leaf(tuple(grown.shares[grown.child[at]].tolist()))
        left = int(grown.child[at])
        threshold = int(grown.threshold[at])
        return Branch(int(grown.feature[at]), threshold, unfold(left), unfold(left + 1))

    return [unfold(int(root)) for root in grown.roots]


def depth(tree: Branch | Leaf) -> int:
    return 1 + max(depth(tree.left), depth(tree.right)) if isinstance(tree, Branch) else 0


@pytest.fixture(name="_small")
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "DRAWN", DRAWN)
    monkeypatch.setattr(forest, "DEEPEST", DEEPEST)


@pytest.mark.usefixtures("_small")
def test_the_trees_are_those_of_the_twin_bit_for_bit(
    lessons: tuple[Words, Ints, Floats],
) -> None:
    twin = grower(lessons)
    trees = drawn_as_trees(grow_forest(*lessons, twin.kinds))

    assert trees == twin.forest(forest.TREES, DRAWN, DEEPEST)
    assert max(map(depth, trees)) <= DEEPEST


@pytest.mark.usefixtures("_small")
def test_nodes_and_leaves_are_as_many_as_the_trees_have() -> None:
    grown = grow_forest(*given("plain"), 3)
    leaves = int((grown.feature == LEAF).sum())

    assert len(grown.shares) == leaves
    assert len(grown.feature) == len(grown.threshold) == len(grown.child)
    assert len(grown.feature) == 2 * leaves - len(grown.roots)


@pytest.mark.usefixtures("_small")
def test_the_vote_is_the_mean_of_the_leaves_where_a_window_comes_to_rest(
    lessons: tuple[Words, Ints, Floats],
) -> None:
    vectors, classes, _ = lessons
    grown = grow_forest(*lessons, int(classes.max()) + 1)
    shares = np.full(classes.max() + 1, np.nan)
    for x in [*vectors, *given("plain")[0]]:
        grown.vote(x, shares)

        # thirty shares of at most one, added up in an order of the compiler's
        npt.assert_allclose(shares, naive_forest.vote(drawn_as_trees(grown), x), atol=1e-14)
    npt.assert_allclose(shares.sum(), 1.0)


def test_a_tally_weighs_the_classes(lessons: tuple[Words, Ints, Floats]) -> None:
    _, classes, weights = lessons
    rows = np.arange(5, 20, dtype=np.int32)
    out = np.full(classes.max() + 1, np.nan)
    kinds, counts = np.zeros(15, dtype=np.int32), np.zeros(15)
    total = forest.tally(classes, weights, rows, kinds, counts, out)

    npt.assert_array_equal(kinds, classes[5:20])
    npt.assert_array_equal(counts, weights[5:20])
    npt.assert_array_equal(out, grower(lessons).tally(rows.astype(np.intp)))
    assert total == weights[5:20].sum()


def impurity(classes: Ints, weights: Floats) -> float:
    """Gini's, by its definition, times the weight: how often two draws would differ."""
    shares = np.bincount(classes, weights) / weights.sum()
    return float(weights.sum() * (1.0 - np.square(shares).sum()))


def test_the_best_split_leaves_the_least_gini_impurity(
    lessons: tuple[Words, Ints, Floats],
) -> None:
    vectors, classes, weights = lessons
    columns, rows = np.ascontiguousarray(vectors.T), np.arange(ROWS, dtype=np.int32)
    here, left = np.empty((2, classes.max() + 1))
    kinds, counts = np.empty(ROWS, dtype=np.int32), np.empty(ROWS)
    forest.tally(classes, weights, rows, kinds, counts, here)
    values = np.empty(ROWS, dtype=np.int16)

    def split(drawn: int, chance: int) -> tuple[int, int, int]:
        return forest.best_split(columns, kinds, counts, rows, drawn, chance, here, left, values)

    twin, chance = grower(lessons), 1
    for _ in range(20):
        after, *best = split(DRAWN, chance)
        left_over = {}  # by every split there was to choose from: drawn one at a time
        for _ in range(DRAWN):
            chance, column, limit = split(1, chance)
            if column != LEAF:
                below = vectors[:, column] <= limit
                assert 0 < below.sum() < ROWS
                parts = [impurity(classes[side], weights[side]) for side in (below, ~below)]
                left_over[column, limit] = sum(parts)

        assert after == chance
        assert tuple(best) == (twin.best_split(rows.astype(np.intp), DRAWN) or (LEAF, 0))
        assert twin.chance == chance
        if left_over:
            assert left_over[best[0], best[1]] == pytest.approx(min(left_over.values()), abs=1e-9)
        else:
            assert best[0] == LEAF


def test_every_threshold_parts_the_extremes_of_int16() -> None:
    vectors = np.array([[-32768], [32767]], dtype=np.int16)
    grown = grow_forest(vectors, np.array([0, 1], dtype=np.int32), np.ones(2), 2)
    shares = np.empty(2)
    for k, x in enumerate(vectors):
        grown.vote(x, shares)
        assert shares[k] == 1.0
    # drawn from all of the span: thirty draws of 65535 leave no quarter of it empty
    quarters = np.histogram(grown.threshold[grown.feature == 0], 4, (-32768, 32767))[0]
    assert len(grown.roots) == quarters.sum() == forest.TREES
    assert quarters.min() > 0


def test_it_tells_apart_what_it_was_grown_from() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(scale=3000.0, size=(120, 50)).astype(np.int16)
    classes = rng.integers(0, 4, 120).astype(np.int32)  # no rule but what each window is
    weights = 1.0 / np.bincount(classes)[classes]
    grown, shares = grow_forest(vectors, classes, weights, 4), np.empty(4)
    best = []
    for x in vectors:
        grown.vote(x, shares)
        best.append(int(shares.argmax()))

    assert best == classes.tolist()


def test_what_it_has_not_seen_is_told_by_where_it_lies() -> None:
    rng = np.random.default_rng(6)
    classes = np.repeat(np.arange(3, dtype=np.int32), 30)
    centres = rng.normal(scale=1500.0, size=(3, 60))
    taught, asked = (rng.normal(centres[classes], 1000.0).astype(np.int16) for _ in range(2))
    grown, shares, right = grow_forest(taught, classes, np.ones(90), 3), np.empty(3), 0
    for x, k in zip(asked, classes, strict=True):
        grown.vote(x, shares)
        right += shares.argmax() == k

    assert right >= 85  # of 90; chance: 30


def test_where_nothing_differs_the_shares_are_those_of_the_weights() -> None:
    vectors, classes, weights = given("constant")
    grown, shares = grow_forest(vectors, classes, weights, 3), np.empty(3)
    grown.vote(vectors[0], shares)

    assert len(grown.feature) == len(grown.roots) == forest.TREES  # one leaf each
    npt.assert_allclose(shares, np.bincount(classes, weights) / weights.sum(), rtol=1e-14)


def test_one_class_alone_has_every_vote() -> None:
    vectors, _, weights = given("plain")
    grown, shares = grow_forest(vectors, np.zeros(ROWS, np.int32), weights, 1), np.empty(1)
    grown.vote(vectors[3], shares)

    assert len(grown.feature) == forest.TREES
    npt.assert_array_equal(shares, [1.0])


def test_a_class_without_windows_has_no_vote() -> None:
    vectors, classes, weights = given("plain")
    grown, shares = grow_forest(vectors, classes * 2, weights, 6), np.full(6, np.nan)
    grown.vote(vectors[0], shares)

    npt.assert_array_equal(shares[[1, 3, 5]], 0.0)
    npt.assert_allclose(shares.sum(), 1.0)


def test_what_weighs_more_is_heard_more() -> None:
    vectors, classes, weights = given("constant")
    shares, louder = np.empty(3), np.empty(3)
    grow_forest(vectors, classes, weights, 3).vote(vectors[0], shares)
    heavy = np.where(classes == 2, 100.0 * weights, weights)
    grow_forest(vectors, classes, heavy, 3).vote(vectors[0], louder)

    assert louder[2] > 0.95 > shares[2]
