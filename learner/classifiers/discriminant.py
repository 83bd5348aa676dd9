"""Shrinkage linear discriminant over features and a fixed random layer, learnt as exact sums.

All that is learnt are sums over windows: how many of each activity, the sum of their vectors, and
one second moment Σ x xᵀ over everything. Sums have no order, can be taken back and can be added,
so labels that arrive in blocks, undo and pooling cost nothing. And they are *exact*. Every entry
of x is clipped to [-8, 8] and rounded to a multiple of 2⁻¹², so a product is a multiple of 2⁻²⁴ and
at most 2⁶. A float64 has 53 bits, and holds every multiple of 2⁻²⁴ up to 2²⁹ without rounding: that
many windows are 2²⁹ / 2⁶ = 8 million, at one each 1.28 s four months of nothing but teaching. Beyond
that sums round as floats do. A feature beyond ±8 saturates: it is then as large as can be said.
"""

from collections.abc import Mapping
from hashlib import shake_256
from typing import Self

import numpy as np
from numpy.typing import NDArray

from learner.classifier import Floats, Samples, Verdict, WindowShape
from learner.features import Features

LIMIT, GRID = 8.0, 2.0**-12

# ReLU units over all features: they bend the boundary where a plane is not enough.
UNITS = 256
PRIOR_WINDOWS = 5.0  # before anything is known the spread within an activity counts as this many
PRIOR_VARIANCE = 0.2**2  # windows of this variance: features are of order one by design
# Windows overlap and a person repeats himself: so many independent windows is one window worth.
INDEPENDENT = 0.3
TEMPERATURE = 4.0
# Squared distance per dimension at which novelty is a half
USUAL_DISTANCE = 4.0


def random_layer(n_units: int, n_inputs: int) -> tuple[Floats, Floats]:
    """Weights (units, inputs) and biases (units,), the same on every machine and for ever.

    Uniform, with unit gain in the mean square; drawn from a hash because no generator of numpy
    promises its stream for ever, and learnt sums mean nothing under other weights.
    """
    size = n_units * (n_inputs + 1)
    bits = np.frombuffer(shake_256(b"budge").digest(4 * size), dtype="<u4")
    uniform = (bits / 2.0**31 - 1.0).reshape(n_units, n_inputs + 1)
    return np.ascontiguousarray(uniform[:, 1:] * np.sqrt(9.0 / n_inputs)), uniform[:, 0].copy()


class Learner:
    """See the module. `judge` solves for the discriminant when something was learnt since."""

    def __init__(self, shape: WindowShape) -> None:
        from learner import kernels

        self._kernels = kernels
        self._features = Features(*shape)
        self._weights, self._biases = random_layer(UNITS, self._features.size)
        self._size = self._features.size + UNITS
        self._vector = np.empty(self._size)
        self.activities: dict[str, int] = {}
        self._sums: dict[str, Floats] = {}
        self._moment = np.zeros((self._size, self._size))  # the lower triangle is kept
        self._plane: _Plane | None = None

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        x = self._describe(samples)
        self._sums.setdefault(activity, np.zeros(self._size))
        self._sums[activity] += x
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._kernels.add_outer(x, 1.0, self._moment)
        self._plane = None

    def unlearn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`. A window of a taught activity that was not among the taught is found
        out only when it would be the last one.
        """
        if activity not in self.activities:
            raise ValueError(f"{activity!r} was never taught; taught are: {list(self.activities)}")
        x = self._describe(samples)
        if self.activities[activity] == 1:
            if not np.array_equal(self._sums[activity], x):
                raise ValueError(f"this is not the one window taught as {activity!r}")
            del self.activities[activity], self._sums[activity]
        else:
            self._sums[activity] -= x
            self.activities[activity] -= 1
        self._kernels.add_outer(x, -1.0, self._moment)
        self._plane = None

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        if self._plane is None:
            self._plane = _Plane(self.activities, self._sums, self._moment)
        plane, x = self._plane, self._describe(samples)
        x -= plane.centre
        x *= plane.scale
        self._kernels.substitute(plane.root, x)
        distances = np.square(plane.means - x).sum(axis=1)
        scores = np.exp((distances.min() - distances) / (2.0 * TEMPERATURE))
        ratio = float(distances.min()) / self._size / USUAL_DISTANCE
        return Verdict(scores / scores.sum(), ratio / (1.0 + ratio))

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
        sums = np.asarray(state["sums"], dtype=np.float64)
        if sums.shape != (len(activities), self._size):
            raise ValueError(f"sums are {sums.shape}, not {(len(activities), self._size)}")
        self._moment[np.tril_indices(self._size)] = state["moment"]
        self.activities = dict(activities)
        self._sums = {name: row.copy() for name, row in zip(sorted(activities), sums, strict=True)}
        self._plane = None

    def add(self, other: Self) -> None:
        """See `Classifier`."""
        for activity, count in other.activities.items():
            self.activities[activity] = self.activities.get(activity, 0) + count
            self._sums[activity] = self._sums.get(activity, 0.0) + other._sums[activity]
        self._moment += other._moment
        self._plane = None

    def _describe(self, samples: Samples) -> Floats:
        """The exact vector of a window (d,), overwritten by the next call."""
        features = self._features(samples)
        self._vector[: features.size] = features
        self._kernels.rectified(
            self._weights, self._biases, features, self._vector[features.size :]
        )
        self._kernels.settle(self._vector, LIMIT, GRID)
        return self._vector


class _Plane:
    """The discriminant that follows from the sums: whitened means, and the way to whiten."""

    def __init__(self, counts: Mapping[str, int], sums: Mapping[str, Floats], moment: Floats) -> None:
        size, total = len(moment), sum(counts.values())
        n = np.array(list(counts.values()), dtype=np.float64)
        means = np.array([sums[name] for name in counts]) / n[:, None]
        rooted = means * np.sqrt(n)[:, None]
        within = moment - rooted.T @ rooted  # only the lower triangle means anything

        # variances: the pooled ones and a prior, weighed as the windows they stand for
        free = float(total - len(counts))
        variance = np.maximum(np.diagonal(within), 0.0) + PRIOR_WINDOWS * PRIOR_VARIANCE
        variance /= free + PRIOR_WINDOWS
        self.scale = 1.0 / np.sqrt(variance)
        within *= self.scale[:, None] * self.scale / (free + PRIOR_WINDOWS)

        # OAS (Chen, Wiesel, Eldar, Hero 2010, eq. 23) of the correlations towards independence
        np.fill_diagonal(within, 0.0)
        within = np.tril(within)
        squares = 2.0 * float(np.sum(within * within)) + size
        windows = INDEPENDENT * free
        shrinkage = 1.0
        if squares > size:
            shrinkage = (squares * (1 - 2 / size) + size**2) / (
                (windows + 1 - 2 / size) * (squares - size)
            )
        within *= 1.0 - min(1.0, shrinkage)
        np.fill_diagonal(within, 1.0)
        self.root = np.linalg.cholesky(within)
        self.centre = means.mean(axis=0)
        self.means = np.linalg.solve(self.root, ((means - self.centre) * self.scale).T).T.copy()
