"""Shrinkage linear discriminant over the features of a window, learnt as exact sums.

All that is learnt are sums over windows: how many of each activity, the sum of their vectors, and
one second moment Σ x xᵀ over everything. Sums have no order, can be taken back and can be added,
so labels that arrive in blocks, undo and pooling cost nothing. And they are *exact*. Every entry
of x is clipped to [-8, 8] and rounded to a multiple of 2⁻¹², so a product is a multiple of 2⁻²⁴ and
at most 2⁶. A float64 has 53 bits and holds every multiple of 2⁻²⁴ up to 2²⁹ without rounding; that
many are 2²⁹ / 2⁶ = 2²³ windows, 8 million, at one each 1.28 s four months of nothing but teaching.
Beyond that sums round as floats do. A feature beyond ±8 saturates: it is as large as can be said.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learner.classifier import Verdict, WindowShape
from learner.features import Features, Floats, Samples

LIMIT, GRID = 8.0, 2.0**-12

# The variance of a feature within an activity is pooled over activities, and these are added.
# As if one more window had been seen: so that one window alone has a variance at all.
FIRST_VARIANCE = 0.01**2
# Of the feature's variance over everything: what a day, or putting the sensor on anew, changes.
ANEW = 0.005
# Windows overlap by half: so many windows that say something of their own is one worth.
INDEPENDENT = 0.5
# Features are not normal and say much the same, the more there are the more so: squared distances,
# halved and divided by one in so many of their number, give probabilities that are right about as
# often as they say, over sessions and people.
FEATURES_PER_DEGREE = 28.0
LAPSE = 0.01  # and one window in a hundred is something no score foresees

# For novelty the spread within an activity is not trusted before it has been seen for a while:
# it counts as this many windows of this variance (features are of order one by design).
DOUBT_WINDOWS, DOUBT_VARIANCE = 5.0, 0.2**2
HALF_NOVEL = 2.5  # the squared distance per feature, relative to its expectation, of novelty 0.5


class Learner:
    """See the module. `judge` solves for the discriminant when something was learnt since."""

    order_free: ClassVar[bool] = True

    def __init__(self, shape: WindowShape) -> None:
        from learner import kernels

        self._kernels = kernels
        self._features = Features(*shape)
        self._size = self._features.size
        self.activities: dict[str, int] = {}
        self._sums: dict[str, Floats] = {}
        self._moment = np.zeros((self._size, self._size))  # the lower triangle is kept
        self._plane: _Plane | None = None

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        x = self._describe(samples)
        self._sums[activity] = self._sums.get(activity, 0.0) + x
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._kernels.add_outer(x, 1.0, self._moment)
        self._plane = None

    def unlearn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`. A window that was not taught is found out when it would be the last."""
        if activity not in self.activities:
            taught = ", ".join(self.activities) or "nothing"
            raise ValueError(f"{activity!r} was never taught; taught: {taught}")
        x = self._describe(samples)
        if self.activities[activity] > 1:
            self._sums[activity] -= x
            self.activities[activity] -= 1
        elif np.array_equal(self._sums[activity], x):
            del self.activities[activity], self._sums[activity]
        else:
            raise ValueError(f"this is not the window that was taught as {activity!r}")
        self._kernels.add_outer(x, -1.0, self._moment)
        self._plane = None

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`. Sums add, so a merge is exact."""
        if new in self.activities:
            self.activities[new] += self.activities.pop(old)
            self._sums[new] = self._sums[new] + self._sums.pop(old)
        else:
            self.activities = {new if a == old else a: n for a, n in self.activities.items()}
            self._sums[new] = self._sums.pop(old)
        self._plane = None

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        if self._plane is None:
            self._plane = _Plane(self.activities, self._sums, self._moment)
        plane, x = self._plane, self._describe(samples)
        unlike = float(np.min((np.square(x - plane.means) / plane.doubted).mean(axis=1)))

        x -= plane.centre
        x *= plane.scale
        self._kernels.substitute(plane.root, x)
        distances = np.square(plane.whitened - x).sum(axis=1)
        nearest = float(distances.min())
        temperature = max(1.0, self._size / FEATURES_PER_DEGREE)
        scores = np.exp((nearest - distances) / (2.0 * temperature))
        probabilities = (1.0 - LAPSE) * scores / scores.sum() + LAPSE / len(scores)

        # new is what is far both ways: whitening alone sees worlds between two windows of one walk
        # while few were taught, and variances alone do not see what never went together before
        ratio = min(nearest / self._size, unlike)
        return Verdict(probabilities, ratio / (ratio + HALF_NOVEL))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`. The triangle is packed row by row."""
        sums = [self._sums[name] for name in sorted(self._sums)]
        return {
            "sums": np.array(sums).reshape(len(sums), self._size),
            "moment": self._moment[np.tril_indices(self._size)],
        }

    def restore(
        self, activities: Mapping[str, int], state: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """See `Classifier`."""
        sums, moment = state["sums"], state["moment"]
        triangle = np.tril_indices(self._size)
        for name, array, expected in [
            ("sums", sums, (len(activities), self._size)),
            ("moment", moment, triangle[0].shape),
        ]:
            if array.dtype != np.float64 or array.shape != expected:
                found = f"{array.dtype} {array.shape}"
                raise ValueError(f"{name} is {found}, expected float64 {expected}")
        self._moment[triangle] = moment
        self._sums = {name: row.copy() for name, row in zip(sorted(activities), sums, strict=True)}
        self.activities = dict(activities)
        self._plane = None

    def add(self, other: Self) -> None:
        """See `Classifier`."""
        for activity, count in other.activities.items():
            self.activities[activity] = self.activities.get(activity, 0) + count
            self._sums[activity] = self._sums.get(activity, 0.0) + other._sums[activity]
        self._moment += other._moment
        self._plane = None

    def _describe(self, samples: Samples) -> Floats:
        """The vector of a window, on the grid; overwritten by the next call."""
        x = self._features(samples)
        self._kernels.settle(x, LIMIT, GRID)
        return x


class _Plane:
    """The discriminant that follows from the sums: `root⁻¹ · scale · (x - centre)` whitens x."""

    def __init__(
        self, counts: Mapping[str, int], sums: Mapping[str, Floats], moment: Floats
    ) -> None:
        from learner.kernels import substitute

        n = np.array(list(counts.values()), dtype=np.float64)[:, None]
        self.means = np.array([sums[name] for name in counts]) / n
        self.centre = self.means.mean(axis=0)
        total, free = n.sum(), n.sum() - len(n)
        # Σ x xᵀ - Σ_k s_k s_kᵀ / n_k; its upper triangle is never looked at
        rooted = self.means * np.sqrt(n)
        within = moment - rooted.T @ rooted

        scatter = np.maximum(np.diagonal(within), 0.0)
        anew = ANEW * (scatter / total + self.means.var(axis=0))
        variance = (scatter + FIRST_VARIANCE) / (free + 1.0) + anew
        self.scale = 1.0 / np.sqrt(variance)
        doubted = (scatter + DOUBT_WINDOWS * DOUBT_VARIANCE) / (free + DOUBT_WINDOWS)
        self.doubted = doubted * (1.0 + 1.0 / n)  # (k, d): a mean of n windows errs by 1 / n more

        correlation = np.tril(within, -1)
        correlation *= self.scale[:, None] / (free + 1.0)
        correlation *= self.scale
        correlation *= 1.0 - _shrinkage(correlation, INDEPENDENT * free)
        np.fill_diagonal(correlation, 1.0)
        self.root = np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
        self.whitened = (self.means - self.centre) * self.scale
        for mean in self.whitened:
            substitute(self.root, mean)


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
