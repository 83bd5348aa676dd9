"""What the discriminant and the forest make of a window together.

    p ∝ exp(scores / T) · (share of the forest + doubt) ^ company
    novelty: how far it is from what was taught · how many activities are in question

T says how much surer the scores are than they are right: see `Committee._temperature`.
"""

import math

import numpy as np

from learner.classifier import Verdict
from learner.described import Words
from learner.features import Floats
from learner.plane import Plane
from learner.sample import CAP, Sample
from learner.starter import Leaning
from learner.sums import GRID, Sums

# Scores are surer than they should be, most of all where little was taught and the window is far
# from it: they are divided by LEAST + CAUTION times what `_temperature` says. Chosen on waists,
# wrists and pockets from 1 window of each activity to all of a session, with a starter and without.
LEAST, CAUTION = 1.8, 10.5
BY_DISTANCE = 0.25  # power of how far the window is from what was taught
FIRST_WINDOWS = 10.0  # as if so many had been taught before the first
# How far apart, squared, activities of a person are at least, in units of `spreads`. Where all are
# more alike (phases of a machine), distances are measured by that.
LEAST_APART = 0.5
ALL_THE_SAME = 1e-3  # of it: less is nothing to measure by

COMPANY = 0.5  # weight of the forest's log shares beside the discriminant's log probabilities
DOUBT = 0.02  # added to a share, since a forest of 30 trees never quite rules out anything
LAPSE = 0.01  # and one window in a hundred is something no score foresees

# From few windows everything is far. Measured on waists, wrists and pockets with 1, 2, 4, ...
# windows of each activity: distances are divided by 1 + (this / windows of an activity) to a power.
FEW_FOR_DISTANCES = 8.0

HALF_NOVEL = 6.0  # how far, relative to its expectation, is a novelty of 0.5
BLOCK_WEIGHT = 0.25  # of the block that differs most, in how far a window is
# What was never taught often falls between things that were: a distance counts as many times as
# there are activities in question, that is e to the entropy of the probabilities times this.
BETWEEN_WEIGHT = 1.0

# Numbers of a taught window are kept in a multiple of this: what a compiler sums side by side of
# float32, four registers of 256 bits.
LANES = 32

# Taught windows in the forest, all activities together; where numba is missing (32-bit systems) a
# forest of so many would take minutes to grow.
FOREST_WINDOWS, UNCOMPILED_WINDOWS = 1200, 120


class Committee:
    """Follows from what was learnt, once; then asked for each window."""

    def __init__(
        self,
        names: list[str],
        sums: Sums,
        sample: Sample,
        leaning: Leaning | None,
        spreads: Floats,
    ) -> None:
        """`names`: every activity that is known, in the order probabilities are to have.

        Inside they have an order of their own: see `Sums.identity`. spreads (size,): how far apart
        activities typically are in each feature.
        """
        from learner import compiled, kernels
        from learner.forest import grow_forest

        self._kernels = kernels

        leant = sums if leaning is None else leaning.sums
        inside = sorted(names, key=lambda name: sums.identity(name) + leant.identity(name))
        self._places = {name: k for k, name in enumerate(inside)}
        self._order = np.array([self._places[name] for name in names], dtype=np.intp)
        starter = None if leaning is None else leaning.weighed()
        self._plane = Plane(inside, sums, starter)
        seen = sums.mass + (0.0 if leaning is None else leaning.sums.mass)
        windows = self._plane.windows / len(inside)
        self._expected_far = 1.0 + (FEW_FOR_DISTANCES / windows) ** 2.5
        enough = FOREST_WINDOWS if compiled.COMPILES else UNCOMPILED_WINDOWS
        most = max(4, min(CAP, enough // len(inside)))
        vectors: list[Words] = []
        classes: list[int] = []
        for k, name in enumerate(inside):
            used = sample.used(name, most)
            if leaning is not None:
                used += leaning.sample.used(name, min(most, round(leaning.windows(name))))
            vectors += used
            classes += [k] * len(used)
        taught = np.array(vectors)[:, : sums.size]
        self._nearness = (GRID / spreads / math.sqrt(sums.size)).astype(np.float32)
        wide = np.zeros((len(vectors), -(-sums.size // LANES) * LANES), dtype=np.float32)
        wide[:, : sums.size] = taught * self._nearness
        of = [np.array(classes) == k for k in range(len(inside))]
        self._windows = [wide[these] for these in of]
        self._weighted = np.zeros(wide.shape[1], dtype=np.float32)
        means = np.array([taught[these].mean(axis=0) for these in of]) * GRID
        self._look_about(means, spreads, seen)
        both = np.array(vectors).reshape(2 * len(vectors), sums.size)  # as taught, and displaced
        kinds = np.repeat(np.array(classes, dtype=np.int32), 2)
        weights = np.tile([1.0, max(self._plane.plausible, 1e-3)], len(vectors))
        weights /= np.bincount(kinds, weights)[kinds]
        self._forest = grow_forest(both, kinds, weights, len(inside))
        # who has seen a part of the windows only has that part of a say
        self._company = COMPANY * min(1.0, len(vectors) / seen)
        self._shares, self._probabilities = np.empty((2, len(inside)))
        self.odds = self._plane.odds

    def _look_about(self, means: Floats, spreads: Floats, seen: float) -> None:
        """Work out what `_temperature` needs of `seen` windows with these means (k, size)."""
        self._weights = 1.0 / np.square(spreads) / spreads.size
        self._centre = means.mean(axis=0)
        self._about = float(means.var(axis=0) @ self._weights)
        scores = np.array([self._plane.scores(mean) for mean in means])
        own = np.diagonal(scores)
        # squared distance of two means in the metric of the scores, per window
        apart = np.maximum(own[:, None] + own - scores - scores.T, 0.0)
        self._unsure = np.sqrt(apart / (seen + FIRST_WINDOWS))
        self._unit = min(max(self._about / LEAST_APART, ALL_THE_SAME), 1.0)

    def _temperature(self, x: Floats, far: float, first: int, second: int) -> float:
        """How much surer than right scores of x (size,) are, of which two are the highest.

        They are in multiples of a scatter that few windows do not tell: hence the distance between
        the two means in that scatter, over the root of the number of windows. A window off what
        was taught may lie anywhere: hence how far it is from its activity, and from all of them.
        """
        around = self._kernels.weighted_square(x, self._centre, self._weights)
        off = (far / self._unit) ** BY_DISTANCE * (around + self._about) / self._unit
        return float(LEAST + CAUTION * off * self._unsure[first, second])

    def off(self, x: Floats, activity: str) -> Floats:
        """Return how far a window of features x lies off the mean of an activity."""
        return self._plane.off(x, self._places[activity])

    def verdict(self, x: Floats, vector: Words) -> Verdict:
        """Judge a window of features x (size,), the same in multiples of the grid beside them."""
        self._forest.vote(vector, self._shares)
        scores = self._plane.scores(x)
        first, second = self._kernels.two_highest(scores)
        unlike = self._plane.far(x, first)
        near = self._kernels.nearest_square(
            vector, self._nearness, self._windows[first], self._weighted
        )
        far = unlike.whitened * unlike.block**BLOCK_WEIGHT * near
        self._kernels.agree(
            scores,
            1.0 / self._temperature(x, far, first, second),
            self._shares,
            DOUBT,
            self._company,
            self._probabilities,
        )
        probabilities = np.empty(len(self._order))
        entropy = self._kernels.lapse(self._probabilities, LAPSE, self._order, probabilities)
        ratio = far * math.exp(BETWEEN_WEIGHT * entropy) / self._expected_far
        return Verdict(probabilities, ratio / (ratio + HALF_NOVEL))
