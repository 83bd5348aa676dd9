"""Gaussian naive Bayes over the features of a window, learnt as exact sums.

Within an activity every feature is taken for normal and for independent of the others, which they
are not: it is right more often than it is right about how sure it is, so its posterior is softened.
Learnt are three sums per activity: how many windows, Σ x and Σ x². They have no order, can be taken
back and be added. And they are exact: entries of x are clipped to [-8, 8] and rounded to multiples
of 2⁻¹², so a square is a multiple of 2⁻²⁴ of at most 2⁶, and a float64 holds the sum of 2²³ of
those (eight million windows) without rounding.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learner import kernels
from learner.classifier import InexactError, Verdict, WindowShape
from learner.compiled import njit
from learner.features import Features, Floats, Samples

LIMIT, GRID = 8.0, 2.0**-12

# A variance of one activity counts its windows, and so many of the variance pooled over all.
POOLED_WINDOWS = 20.0
FIRST_VARIANCE = 0.01**2  # as if one more window had been seen, so that one window has a variance
# Features say much the same: squared distances are divided by one in so many of their number, which
# makes the posterior about right over sessions and people.
FEATURES_PER_DEGREE = 7.0
LAPSE = 0.01  # one window in a hundred is something that no likelihood foresees

# For novelty the pooled variance counts as so many more windows of this variance (features are of
# order one): the spread seen in three windows is not yet the spread of an activity.
DOUBT_WINDOWS, DOUBT_VARIANCE = 5.0, 0.2**2
HALF_NOVEL = 2.5  # the squared distance per feature, relative to its expectation, of novelty 0.5

ALONE = "naive_bayes knows no starter and no decay: leave them out, or use the discriminant"


@njit
def distances(x: Floats, means: Floats, precisions: Floats, out: Floats) -> None:
    """out[k] = Σ_j precisions[k, j] · (x[j] - means[k, j])²; x (d,), means, precisions (k, d)."""
    for k in range(means.shape[0]):
        total = 0.0
        for j in range(x.size):
            total += precisions[k, j] * (x[j] - means[k, j]) ** 2
        out[k] = total


class Gaussians:
    """The normal distributions that follow from counts (k,), Σ x (k, d) and Σ x² (k, d), k > 0."""

    def __init__(self, counts: Floats, sums: Floats, squares: Floats) -> None:
        n = counts[:, None]
        free = n.sum() - len(n)
        self._means = sums / n
        scatter = np.maximum(squares - sums * self._means, 0.0)
        within = scatter.sum(axis=0)

        pooled = (within + FIRST_VARIANCE) / (free + 1.0)
        variances = (scatter + POOLED_WINDOWS * pooled) / (n - 1.0 + POOLED_WINDOWS)
        self._precisions = 1.0 / variances
        self._offsets = -0.5 * np.log(variances).sum(axis=1)

        doubted = (within + DOUBT_WINDOWS * DOUBT_VARIANCE) / (free + DOUBT_WINDOWS)
        self._doubted = 1.0 / (doubted * (1.0 + 1.0 / n))  # a mean of n windows errs by 1 / n more
        self._distances = np.empty(len(n))

    def judge(self, x: Floats) -> Verdict:
        """Every activity is as likely as any other before the window is seen; x (d,)."""
        distances(x, self._means, self._precisions, self._distances)
        scores = self._offsets - 0.5 * self._distances
        scores -= scores.max()
        scores /= max(1.0, x.size / FEATURES_PER_DEGREE)
        likelihoods = np.exp(scores)
        probabilities = (1.0 - LAPSE) * likelihoods / likelihoods.sum() + LAPSE / len(scores)

        distances(x, self._means, self._doubted, self._distances)
        ratio = float(self._distances.min()) / x.size
        return Verdict(probabilities, ratio / (ratio + HALF_NOVEL))


class Learner:
    """See the module. `judge` works the distributions out when something was learnt since."""

    order_free: ClassVar[bool] = True

    def __init__(self, shape: WindowShape) -> None:
        self._features = Features(*shape)
        self._size = self._features.size
        self.activities: dict[str, int] = {}
        self._sums: dict[str, Floats] = {}  # (2, d) each: Σ x and Σ x²
        self._gaussians: Gaussians | None = None

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        self._sums[activity] = self._sums.get(activity, 0.0) + self._powers(samples)
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._gaussians = None

    def unlearn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`. A window that was not taught is found out when it would be the last."""
        if activity not in self.activities:
            taught = ", ".join(self.activities) or "nothing"
            raise ValueError(f"{activity!r} was never taught; taught: {taught}")
        powers = self._powers(samples)
        if self.activities[activity] > 1:
            self._sums[activity] -= powers
            self.activities[activity] -= 1
        elif np.array_equal(self._sums[activity], powers):
            del self.activities[activity], self._sums[activity]
        else:
            raise ValueError(f"this is not the window that was taught as {activity!r}")
        self._gaussians = None

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`. Sums add, so a merge is exact."""
        if new in self.activities:
            self.activities[new] += self.activities.pop(old)
            self._sums[new] = self._sums[new] + self._sums.pop(old)
        else:
            self.activities = {new if a == old else a: n for a, n in self.activities.items()}
            self._sums[new] = self._sums.pop(old)
        self._gaussians = None

    def lean_on(self, starter: Self) -> None:  # noqa: ARG002
        """See `Classifier`."""
        raise InexactError(ALONE)

    def fade(self, factor: float) -> None:  # noqa: ARG002
        """See `Classifier`."""
        raise InexactError(ALONE)

    def settle(self) -> None:
        """See `Classifier`."""
        if self._gaussians is None and self.activities:
            counts = np.array(list(self.activities.values()), dtype=np.float64)
            sums = np.array([self._sums[name] for name in self.activities])
            self._gaussians = Gaussians(counts, sums[:, 0], sums[:, 1])

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        self.settle()
        if self._gaussians is None:
            return Verdict(np.empty(0), 1.0)
        return self._gaussians.judge(self._describe(samples))

    def watch(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        return self.judge(samples)

    def notice(self, activity: str) -> None:
        """See `Classifier`. It sees nothing without a label."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`. sums (k, 2, d): Σ x and Σ x²."""
        sums = [self._sums[name] for name in sorted(self._sums)]
        return {"sums": np.array(sums).reshape(len(sums), 2, self._size)}

    def restore(
        self, activities: Mapping[str, int], state: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """See `Classifier`."""
        sums, expected = state["sums"], (len(activities), 2, self._size)
        if sums.dtype != np.float64 or sums.shape != expected:
            raise ValueError(f"sums is {sums.dtype} {sums.shape}, expected float64 {expected}")
        self._sums = {name: row.copy() for name, row in zip(sorted(activities), sums, strict=True)}
        self.activities = dict(activities)
        self._gaussians = None

    def add(self, other: Self) -> None:
        """See `Classifier`."""
        for activity, count in other.activities.items():
            self.activities[activity] = self.activities.get(activity, 0) + count
            self._sums[activity] = self._sums.get(activity, 0.0) + other._sums[activity]
        self._gaussians = None

    def _describe(self, samples: Samples) -> Floats:
        """The vector of a window, on the grid; overwritten by the next call."""
        x = self._features(samples)
        kernels.settle(x, LIMIT, GRID)
        return x

    def _powers(self, samples: Samples) -> Floats:
        x = self._describe(samples)
        return np.array([x, x * x])
