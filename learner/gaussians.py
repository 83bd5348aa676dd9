"""What windows of an activity are taken for: features that are normal and independent.

Which they are not: the posterior is right more often than it is right about how sure it is, so it
is softened.
"""

import numpy as np

from learner.classifier import Verdict
from learner.compiled import njit
from learner.features import Floats

# A variance of one activity counts its windows, and so many of the variance pooled over all.
POOLED_WINDOWS = 20.0
FIRST_VARIANCE = 0.01**2  # as if one more window had been seen, so that one window has a variance
# Features say much the same: squared distances are divided by one in so many of their number, which
# makes the posterior about right over sessions and people.
FEATURES_PER_DEGREE = 7.0
LAPSE = 0.01  # one window in a hundred is something that no likelihood foresees

# The spread within activities counts as so many more windows of this variance (features are of
# order one): the spread seen in three windows is not yet the spread of an activity.
DOUBT_WINDOWS, DOUBT_VARIANCE = 5.0, 0.2**2
HALF_NOVEL = 2.5  # the squared distance per feature, relative to that spread, of novelty 0.5


@njit
def distances(x: Floats, means: Floats, precisions: Floats, out: Floats) -> None:
    """out[k] = Σ_j precisions[k, j] · (x[j] - means[k, j])²; x (d,), means, precisions (k, d)."""
    for k in range(means.shape[0]):
        total = 0.0
        for j in range(x.size):
            total += precisions[k, j] * (x[j] - means[k, j]) ** 2
        out[k] = total


def doubted(scatter: Floats, free: float) -> Floats:
    """Return the variance within activities that novelty is measured by.

    scatter (d,): Σ (x - mean of its activity)²; free: windows less activities.
    """
    variance: Floats = (scatter + DOUBT_WINDOWS * DOUBT_VARIANCE) / (free + DOUBT_WINDOWS)
    return variance


class Gaussians:
    """The normal distributions that follow from counts (k,), Σ x (k, d) and Σ x² (k, d), k > 0."""

    def __init__(self, counts: Floats, sums: Floats, squares: Floats) -> None:
        n = counts[:, None]
        free = float(n.sum()) - len(n)
        self._means = sums / n
        scatter = np.maximum(squares - sums * self._means, 0.0)
        within = scatter.sum(axis=0)

        pooled = (within + FIRST_VARIANCE) / (free + 1.0)
        variances = (scatter + POOLED_WINDOWS * pooled) / (n - 1.0 + POOLED_WINDOWS)
        self._precisions = 1.0 / variances
        self._offsets = -0.5 * np.log(variances).sum(axis=1)

        # a mean of n windows errs by 1 / n more
        self._doubted = 1.0 / (doubted(within, free) * (1.0 + 1.0 / n))
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
