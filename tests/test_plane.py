"""What follows from sums is what the formulas say of the windows themselves."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from learner import plane as module
from learner.plane import PROJECTIONS, Plane, Starter
from learner.sums import GRID, Sums

Floats = NDArray[np.float64]

BLOCKS = {"mean": slice(0, 4), "quantile": slice(4, 10), "rest": slice(10, 24)}
SIZE = 24
NAMES = ["walking", "resting", "running"]
CENTRES = np.random.default_rng(9).normal(scale=0.6, size=(3, SIZE))
Windows = Mapping[str, Floats]  # of each activity (n, 2, SIZE): x and e


def drawn(counts: Mapping[str, int], seed: int = 0, displaced: float = 0.1) -> Windows:
    """Windows on the grid; neighbouring features go together, activities lie apart."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(SIZE) + np.eye(SIZE, k=1)
    windows = {}
    for name, centre in zip(NAMES, CENTRES, strict=True):
        n = counts.get(name, 0)
        x = centre + 0.3 * rng.standard_normal((n, SIZE)) @ mixing
        e = displaced * rng.standard_normal((n, SIZE)) @ mixing.T
        if n:
            windows[name] = np.round(np.stack([x, e], axis=1) / GRID) * GRID
    return windows


def summed(windows: Windows) -> Sums:
    sums = Sums(SIZE, BLOCKS)
    for name, of in windows.items():
        for x, e in of:
            sums.put(name, x, e[None])
    return sums


PLENTY = drawn({"walking": 60, "resting": 50, "running": 40})
FEW = drawn({"walking": 3, "resting": 2, "running": 2})
PROBES = np.concatenate([of[:, 0] for of in drawn(dict.fromkeys(NAMES, 4), seed=1).values()])


# --- the formulas, from the windows and not from their sums ---------------------------------------


class Reference(NamedTuple):
    means: Floats  # (k, SIZE)
    metric: Floats  # (SIZE, SIZE) Σ
    plausible: float
    odds: Floats  # (SIZE,)


def scatter(windows: Windows) -> Floats:
    parts = [of[:, 0] - of[:, 0].mean(axis=0) for of in windows.values()]
    return np.asarray(sum(part.T @ part for part in parts))


def shrinkage(correlation: Floats, n: float) -> float:
    """Equation 23 of Chen, Wiesel, Eldar, Hero 2010, as it stands there."""
    if np.count_nonzero(correlation - np.eye(len(correlation))) == 0:
        return 1.0
    p = len(correlation)
    of_square, square_of = np.trace(correlation @ correlation), np.trace(correlation) ** 2
    above = (1.0 - 2.0 / p) * of_square + square_of
    return min(1.0, float(above / ((n + 1.0 - 2.0 / p) * (of_square - square_of / p))))


def reference(
    names: list[str],
    own: Windows,
    other: Windows | None = None,
    n0: Mapping[str, float] = {},
    *,
    faded: float = 1.0,
) -> Reference:
    """`other`: the windows of a starter, of which each activity counts for n0."""
    lots = [(own, faded)]
    if other is not None:
        lots.append((other, sum(n0.values()) / sum(len(of) for of in other.values())))
    means = []
    for name in names:
        x = [of[name][:, 0] for of, _ in lots if name in of]
        weights = [
            np.full(len(of[name]), n0[name] / len(of[name]) if of is other else faded)
            for of, _ in lots
            if name in of
        ]
        means.append(np.average(np.concatenate(x), axis=0, weights=np.concatenate(weights)))
    centres = np.array(means)
    within = sum(weight * scatter(of) for of, weight in lots if of)
    n = sum(weight * len(part) for of, weight in lots for part in of.values())
    free = max(n - len(own) - sum(weight * len(of) for of, weight in lots[1:]), 0.0)
    moved = sum(weight * part[:, 1].T @ part[:, 1] for of, weight in lots for part in of.values())

    across = np.diagonal(within) / n + centres.var(axis=0)
    variance = (np.diagonal(within) + module.FIRST_SHARE * across + module.FIRST_VARIANCE) / (
        free + 1.0
    ) + module.ANEW * across
    deviation = np.sqrt(variance)
    correlation = within / (free + 1.0) / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1.0)
    shrunk = shrinkage(correlation, module.INDEPENDENT * free)
    correlation = (1.0 - shrunk) * correlation + shrunk * np.eye(SIZE)
    thought = np.diagonal(moved)[:3].sum() / n
    plausible = float(min(1.0, across[:3].sum() / thought)) if thought else 1.0
    odds = plausible * np.diagonal(moved) / n
    odds = odds / (np.diagonal(within) / max(free, 1.0) + module.FIRST_VARIANCE)
    odds[10:] = 0.0  # the rest does not move
    metric = correlation * np.outer(deviation, deviation) + plausible * moved / n
    return Reference(centres, metric, plausible, odds)


def scores(expected: Reference, x: Floats) -> Floats:
    """x·Σ⁻¹μ - ½ μ·Σ⁻¹μ, less the mean: what all have in common says nothing."""
    towards = np.linalg.inv(expected.metric) @ expected.means.T
    raw = x @ towards - 0.5 * np.einsum("kd,dk->k", expected.means, towards)
    return np.asarray(raw - raw.mean())


def agrees(plane: Plane, expected: Reference) -> None:
    assert plane.plausible == pytest.approx(expected.plausible)
    npt.assert_allclose(plane.odds, expected.odds, rtol=1e-9)
    for x in PROBES:
        found = plane.scores(x)
        # scores of some hundreds, through a matrix of condition 1e4 that is solved for twice
        npt.assert_allclose(found - found.mean(), scores(expected, x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("displaced", [0.0, 0.02, 0.1, 2.0])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_scores_are_those_of_the_formula(count: int, displaced: float) -> None:
    windows = drawn(dict.fromkeys(NAMES, count), displaced=displaced)
    plane = Plane(NAMES, summed(windows))

    agrees(plane, reference(NAMES, windows))
    assert plane.windows == 3 * count


@pytest.mark.parametrize("faded", [0.5, 2.0**-6])
def test_what_has_faded_counts_for_less_and_never_for_less_than_nothing(faded: float) -> None:
    sums = summed(FEW)
    sums.fade(faded)

    agrees(Plane(NAMES, sums), reference(NAMES, FEW, faded=faded))


def test_one_window_of_one_activity_is_enough() -> None:
    windows = drawn({"resting": 1})
    plane = Plane(["resting"], summed(windows))
    off = plane.far(windows["resting"][0, 0], 0)

    npt.assert_allclose(plane.scores(PROBES[0]), plane.scores(PROBES[1]), atol=1e-9)
    assert off.whitened == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(plane.far(PROBES[0], 0)).all()


def test_the_same_window_over_and_over_is_enough() -> None:
    windows = {name: np.repeat(of[:1], 20, axis=0) for name, of in PLENTY.items()}
    plane = Plane(NAMES, summed(windows))

    for k, name in enumerate(NAMES):
        assert plane.scores(windows[name][0, 0]).argmax() == k


def test_another_order_of_names_is_another_order_of_scores() -> None:
    plain, other = Plane(NAMES, summed(PLENTY)), Plane(NAMES[::-1], summed(PLENTY))

    for x in PROBES:
        npt.assert_allclose(other.scores(x)[::-1], plain.scores(x), rtol=1e-9, atol=1e-9)
        npt.assert_allclose(other.far(x, 0), plain.far(x, 2), rtol=1e-4)


def test_windows_are_told_apart_by_their_scores() -> None:
    plane = Plane(NAMES, summed(PLENTY))
    right = [plane.scores(x).argmax() == k for k, a in enumerate(NAMES) for x in PLENTY[a][:, 0]]

    assert np.mean(right) > 0.95
    npt.assert_allclose(plane.off(PROBES[0], 1), PROBES[0] - PLENTY["resting"][:, 0].mean(axis=0))


def test_sums_are_only_read() -> None:
    sums = summed(PLENTY)
    before = {name: array.tobytes() for name, array in sums.state().items()}
    Plane(NAMES, sums, Starter(sums, dict.fromkeys(NAMES, 5.0))).far(PROBES[0], 0)

    assert {name: array.tobytes() for name, array in sums.state().items()} == before


# --- with a starter -------------------------------------------------------------------------------

OTHERS = drawn({"walking": 80, "resting": 40, "running": 30}, seed=7)


@pytest.mark.parametrize("own", [{}, {"walking": 2}, {"walking": 12, "running": 3}])
def test_a_starter_counts_for_as_many_windows_as_it_is_given(own: dict[str, int]) -> None:
    n0 = {"walking": 8.0, "resting": 1.0, "running": 20.0}
    starter, windows = Starter(summed(OTHERS), n0), drawn(own)
    plane = Plane(NAMES, summed(windows), starter)

    assert starter.share == pytest.approx(29.0 / 150.0)
    assert plane.windows == pytest.approx(29.0 + sum(own.values()))
    agrees(plane, reference(NAMES, windows, OTHERS, n0))


def test_what_only_one_of_both_knows_is_known() -> None:
    own, others = drawn({"walking": 9}), {"resting": OTHERS["resting"]}
    plane = Plane(["resting", "walking"], summed(own), Starter(summed(others), {"resting": 8.0}))

    agrees(plane, reference(["resting", "walking"], own, others, {"resting": 8.0}))


def test_a_starter_that_counts_for_all_of_its_windows_is_as_good_as_taught() -> None:
    counts = {name: float(len(of)) for name, of in OTHERS.items()}
    own = drawn(dict.fromkeys(NAMES, 5))
    both = summed(own)
    both.add(summed(OTHERS))
    leaning, taught = Plane(NAMES, summed(own), Starter(summed(OTHERS), counts)), Plane(NAMES, both)

    # the means differ between the two, so what is within them is not quite what is within both
    right = [
        leaning.scores(x).argmax() == taught.scores(x).argmax() for x in OTHERS["running"][:, 0]
    ]
    assert np.mean(right) > 0.95
    npt.assert_allclose(leaning.off(PROBES[0], 1), taught.off(PROBES[0], 1), rtol=1e-9, atol=1e-12)


# --- how far a window is --------------------------------------------------------------------------


def test_the_projection_estimates_the_squared_length_within_its_error() -> None:
    plane, expected = Plane(NAMES, summed(PLENTY)), reference(NAMES, PLENTY)
    inverse = np.linalg.inv(expected.metric)
    rng = np.random.default_rng(3)
    ratios = []
    for k in range(3):
        for x in (
            expected.means[k]
            + rng.standard_normal((100, SIZE)) @ np.linalg.cholesky(expected.metric).T
        ):
            off = x - expected.means[k]
            ratios.append(plane.far(x, k).whitened / (off @ inverse @ off / SIZE))

    # A sum of as many squares of projections has a relative deviation of sqrt(2 / so many). They
    # are the same ones for all of the 300, which span only 24 directions: so is their mean.
    assert np.mean(ratios) == pytest.approx(1.0, abs=2.0 * np.sqrt(2.0 / PROJECTIONS / SIZE))
    assert np.std(ratios) == pytest.approx(np.sqrt(2.0 / PROJECTIONS), rel=0.3)


def test_the_block_that_differs_most_counts() -> None:
    plane = Plane(NAMES, summed(PLENTY))
    mean = PLENTY["walking"][:, 0].mean(axis=0)
    k, n = 0, len(PLENTY["walking"])
    for block in BLOCKS.values():
        x = mean.copy()
        x[block] += 1.5
        own = PLENTY["walking"][:, :, block]
        shown = np.square(own[:, 0] - mean[block]).sum() + np.square(own[:, 1]).sum()
        width = block.stop - block.start
        doubt = module.DOUBT_WINDOWS * module.DOUBT_VARIANCE
        expected = (shown / width + doubt) / (n + module.DOUBT_WINDOWS)

        assert plane.far(x, k).block == pytest.approx(1.5**2 / expected)
    assert plane.far(mean, k).block == pytest.approx(0.0, abs=1e-12)


def test_a_window_of_an_activity_is_about_as_far_as_expected() -> None:
    plane = Plane(NAMES, summed(drawn(dict.fromkeys(NAMES, 400), displaced=0.05)))
    fresh = drawn(dict.fromkeys(NAMES, 100), seed=1)
    for k, name in enumerate(NAMES):
        far = np.array([plane.far(x, k) for x in fresh[name][:, 0]])

        assert 0.7 < far[:, 0].mean() < 1.2
        assert 0.7 < far[:, 1].mean() < 2.5  # the largest of three that are 1 each


# --- displacements --------------------------------------------------------------------------------


def tilted(by: float) -> Windows:
    """Windows whose posture varies by so much, and displacements that tilt it by 0.2."""
    rng = np.random.default_rng(4)
    windows = {name: of.copy() for name, of in PLENTY.items()}
    for of in windows.values():
        of[:, 0, :3] = np.round(by * rng.standard_normal((len(of), 3)) / GRID) * GRID
        of[:, 1, :3] = np.round(0.2 * rng.standard_normal((len(of), 3)) / GRID) * GRID
    return windows


def test_displacements_are_believed_as_far_as_the_posture_was_seen_to_change() -> None:
    assert Plane(NAMES, summed(tilted(0.0))).plausible == 0.0
    assert Plane(NAMES, summed(tilted(0.1))).plausible == pytest.approx(0.25, abs=0.06)
    assert Plane(NAMES, summed(tilted(0.5))).plausible == 1.0


def test_what_does_not_tilt_is_expected_where_it_was() -> None:
    bolted, worn = Plane(NAMES, summed(tilted(0.0))), Plane(NAMES, summed(tilted(0.5)))

    assert not bolted.odds.any()
    assert (worn.odds[:10] > 0.0).all()
    assert not worn.odds[10:].any()


def test_what_displacements_change_is_no_difference_between_activities() -> None:
    windows = {name: of.copy() for name, of in PLENTY.items()}
    for of in windows.values():
        of[:, 1] = 0.0
        of[::2, 1, 0], of[1::2, 1, 0] = 2.0, -2.0  # a day changes this feature, by much
    still = {name: of * [[1.0], [0.0]] for name, of in windows.items()}
    x, other = PROBES[0], PROBES[0] + 2.0 * np.eye(SIZE)[0]
    changes = [
        np.ptp(plane.scores(other) - plane.scores(x))
        for plane in (Plane(NAMES, summed(windows)), Plane(NAMES, summed(still)))
    ]

    assert changes[0] < 0.2 * changes[1]


# --- what it is made of ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, module.BLOCK - 1, module.BLOCK, 2 * module.BLOCK + 3])
def test_a_triangle_is_solved_a_block_at_a_time(size: int) -> None:
    rng = np.random.default_rng(size)
    root = np.tril(rng.standard_normal((size, size))) + 10.0 * np.eye(size)
    rows = rng.standard_normal((5, size))
    before = rows.copy()

    npt.assert_allclose(module._solve(root, rows), np.linalg.solve(root, rows.T).T, rtol=1e-9)
    npt.assert_allclose(
        module._solve_transposed(root, rows), np.linalg.solve(root.T, rows.T).T, rtol=1e-9
    )
    npt.assert_array_equal(rows, before)


def test_correlations_of_few_windows_are_not_believed() -> None:
    rng = np.random.default_rng(8)
    plain: Floats = np.atleast_2d(np.corrcoef(rng.standard_normal((SIZE, 200))))
    alike: Floats = 0.9 + 0.1 * np.eye(SIZE)

    def shrunk(correlation: Floats, windows: float) -> float:
        return module._shrinkage(np.tril(correlation, -1), windows)

    for correlation in [plain, alike]:
        for windows in [0.0, 3.0, 50.0, 1e4]:
            assert shrunk(correlation, windows) == pytest.approx(shrinkage(correlation, windows))
    assert shrunk(plain, 0.0) == shrunk(alike, 0.0) == 1.0
    assert shrunk(plain, 200.0) > 0.8  # there are none
    assert shrunk(alike, 200.0) < 0.02  # there are
    assert shrunk(np.eye(SIZE), 1e9) == 1.0
