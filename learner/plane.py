"""The shrinkage linear discriminant that follows from sums, and how far a window is from it all.

    Σ = shrunk(scatter within activities) + scatter of displacements        (d, d), inverted once
    score of activity k: x·Σ⁻¹μ_k - ½ μ_k·Σ⁻¹μ_k
    novelty: |x - μ|² in the metric of Σ⁻¹, and block by block over what the activity shows itself

Windows taught are few and features many, so the scatter is shrunk towards no correlation (oracle
approximating shrinkage). The displacements are not: what they say is known, not estimated.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from learner.features import Floats
from learner.sums import Sums

# The variance of a feature within an activity is pooled over activities, and these are added.
# As if one more window had been seen, off by this and by this share of the feature's variance over
# everything: so that one window alone has a variance at all.
FIRST_VARIANCE = 0.01**2
FIRST_SHARE = 0.05
# Of the feature's variance over everything: what a day, or putting the sensor on anew, changes.
ANEW = 0.005
# Windows overlap by half: so many windows that say something of their own is one worth.
INDEPENDENT = 0.5

# The squared length of a whitened vector is estimated from so many random projections of it
# (Johnson & Lindenstrauss 1984): all of it would cost more than all the rest of a prediction.
PROJECTIONS = 128
# For novelty the spread within an activity is not trusted before it has been seen for a while:
# it counts as this many windows of this variance (features are of order one by design).
DOUBT_WINDOWS, DOUBT_VARIANCE = 3.0, 0.1**2
BLOCK = 64  # rows solved at once


class Far(NamedTuple):
    """How unlike an activity a window is: squared distances per feature, 1 where it is expected."""

    whitened: float  # in the metric of the discriminant
    block: float  # in the block of features that differs most


class Starter(NamedTuple):
    """What another has learnt, and for how many windows of each activity that is to count."""

    sums: Sums
    windows: Mapping[str, float]

    @property
    def share(self) -> float:
        """What a window of the starter counts for, on average."""
        return math.fsum(self.windows.values()) / self.sums.mass


class Plane:
    """Built once from the sums, then asked for each window. Knows at least one activity."""

    def __init__(self, names: list[str], own: Sums, starter: Starter | None = None) -> None:
        """`names`: every activity that is known, in the order scores are to have."""
        from learner import kernels

        self._kernels = kernels
        masses, sums, squares = _of_activities(own, starter)
        mass = np.array([masses[name] for name in names])[:, None]
        self._means = np.array([sums[name] for name in names]) / mass
        self._bounds = own.bounds
        within, displaced = own.within(), own.displaced.copy()
        windows, free = own.mass, own.mass - len(own.masses)
        self.windows = float(mass.sum())  # taught, and what the starter counts for
        if starter is not None:
            within += starter.share * starter.sums.within()
            displaced += starter.share * starter.sums.displaced
            windows += starter.share * starter.sums.mass
            free += starter.share * (starter.sums.mass - len(starter.sums.masses))
        free = max(free, 0.0)  # windows that faded may be less than one of an activity

        scatter = np.maximum(np.diagonal(within), 0.0)
        everything = scatter / windows + self._means.var(axis=0)
        variance = (scatter + FIRST_SHARE * everything + FIRST_VARIANCE) / (free + 1.0)
        variance += ANEW * everything
        scale = 1.0 / np.sqrt(variance)
        metric = np.tril(within, -1)  # in units of 1 / scale: a matrix of correlations
        metric *= scale[:, None] / (free + 1.0)
        metric *= scale
        metric *= 1.0 - _shrinkage(metric, INDEPENDENT * free)
        np.fill_diagonal(metric, 1.0)
        self.plausible = _plausible(everything, np.diagonal(displaced) / windows, own.posture)
        self.odds = self._odds(own, np.diagonal(displaced) / windows, scatter / max(free, 1.0))
        displaced *= scale[:, None] * (self.plausible / windows)
        displaced *= scale
        metric += displaced
        root = np.asarray(np.linalg.cholesky(metric), dtype=np.float64)

        centre = self._means.mean(axis=0)
        apart = (self._means - centre) * scale
        signs = np.random.Generator(np.random.PCG64(0)).integers(0, 2, (PROJECTIONS, own.size))
        sought = np.concatenate([_solve(root, apart), signs * 2.0 - 1.0])
        solved = _solve_transposed(root, sought) * scale
        count = len(names)
        self._weights = np.ascontiguousarray(solved[:count])
        self._bias = -0.5 * np.square(sought[:count]).sum(axis=1) - self._weights @ centre
        self._projection = np.ascontiguousarray(solved[count:], dtype=np.float32)
        self._projected = self._means.astype(np.float32) @ self._projection.T

        spread = np.array([squares[name] for name in names]) / own.block_widths
        spread[:, 0] -= mass * own.block_means(np.square(self._means))
        shown = np.maximum(spread[:, 0], 0.0) + spread[:, 1]
        self._spreads = (shown + DOUBT_WINDOWS * DOUBT_VARIANCE) / (mass + DOUBT_WINDOWS)

    def _odds(self, own: Sums, displaced: Floats, variance: Floats) -> Floats:
        """Return variance of an offset over that of a window, 0 for features that do not move."""
        odds = np.zeros(own.size)
        for block in own.movable:
            odds[block] = self.plausible * displaced[block] / (variance[block] + FIRST_VARIANCE)
        return odds

    def off(self, x: Floats, activity: int) -> Floats:
        """Return how far x (size,) lies off the mean of an activity, by its place."""
        off: Floats = x - self._means[activity]
        return off

    def scores(self, x: Floats) -> Floats:
        """Log likelihood of x (size,) in each activity, but for what they have in common."""
        scores: Floats = self._weights @ x + self._bias
        return scores

    def far(self, x: Floats, activity: int) -> Far:
        """Say how unlike an activity, by its place among the names, the window of x (size,) is."""
        square = self._kernels.projected_square(self._projection, x, self._projected[activity])
        return Far(
            square / len(self._projection) / x.size,
            self._kernels.off_by_blocks(
                x, self._means[activity], self._bounds, self._spreads[activity]
            ),
        )


def _of_activities(
    own: Sums, starter: Starter | None
) -> tuple[dict[str, float], dict[str, Floats], dict[str, Floats]]:
    """Return masses, sums and squares of every activity either knows."""
    masses, sums, squares = dict(own.masses), dict(own.sums), dict(own.squares)
    if starter is not None:
        for name, mass in starter.sums.masses.items():
            weight = starter.windows[name] / mass
            masses[name] = masses.get(name, 0.0) + starter.windows[name]
            sums[name] = sums.get(name, 0.0) + weight * starter.sums.sums[name]
            squares[name] = squares.get(name, 0.0) + weight * starter.sums.squares[name]
    return masses, sums, squares


def _plausible(everything: Floats, displaced: Floats, posture: slice) -> float:
    """How far displacements are to be believed: 0 to 1.

    A sensor that never tilted while it was taught sits on a machine, not on a person who puts it
    on anew. So no displacement counts for more than what was seen of the posture.
    """
    seen, thought = everything[posture].sum(), displaced[posture].sum()
    return float(min(1.0, seen / thought)) if thought > 0.0 else 1.0


def _shrinkage(correlation: Floats, windows: float) -> float:
    """How far correlations (below the diagonal) of so many windows are best drawn towards none.

    Oracle approximating shrinkage: Chen, Wiesel, Eldar, Hero 2010, equation 23, for trace d.
    """
    d = len(correlation)
    squares = 2.0 * float(np.einsum("ij,ij->", correlation, correlation))  # ‖R‖² - d
    if squares == 0.0:
        return 1.0
    best = ((1.0 - 2.0 / d) * (squares + d) + d * d) / ((windows + 1.0 - 2.0 / d) * squares)
    return min(1.0, best)


def _solve(root: Floats, rows: Floats) -> Floats:
    """Solve root · y = row for each row (·, d); root (d, d) is lower triangular.

    Forward substitution, a block at a time: numpy has none, and a general solver takes five times
    as long as all the rest.
    """
    y = rows.T.copy()
    for first in range(0, len(y), BLOCK):
        block = slice(first, first + BLOCK)
        y[block] -= root[block, :first] @ y[:first]
        y[block] = np.linalg.solve(root[block, block], y[block])
    return y.T


def _solve_transposed(root: Floats, rows: Floats) -> Floats:
    """Solve rootᵀ · y = row for each row (·, d): that is root, read backwards."""
    return _solve(root.T[::-1, ::-1], rows[:, ::-1])[:, ::-1]
