"""What the discriminant and the forest make of a window together.

    p ∝ exp(scores / T) · (share of the forest + doubt) ^ company

T says how much surer the scores are than they are right.
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

# Scores are surer than they should be: features say much the same, and the scatter between so many
# is known badly from few windows. Divided by one in FEATURES_PER_DEGREE of their number they are
# right about as often as they say; by WELL_KNOWN when many windows were learnt, on the way between
# at MANY_WINDOWS. Fitted to one to 24 people of three sets, over sessions and people.
FEATURES_PER_DEGREE, WELL_KNOWN, MANY_WINDOWS = 28.0, 2.0, 900.0
COMPANY = 0.5  # weight of the forest's log shares beside the discriminant's log probabilities
DOUBT = 0.02  # added to a share, since a forest of 30 trees never quite rules out anything
LAPSE = 0.01  # and one window in a hundred is something no score foresees

# From few windows everything is surer than it should be, scores and distances. Measured on waists,
# wrists and pockets with 1, 2, 4, ... windows of each activity: what divides them is
# 1 + (this / windows of an activity) to a power.
FEW_FOR_SCORES, FEW_FOR_DISTANCES = 8.0, 8.0

HALF_NOVEL = 2.65  # how far, relative to its expectation, is a novelty of 0.5
BLOCK_WEIGHT = 0.25  # of the block that differs most, in how far a window is

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
        doubtful = sums.size / FEATURES_PER_DEGREE / (1.0 + (seen / MANY_WINDOWS) ** 1.5)
        self._per_degree = 1.0 / (WELL_KNOWN + doubtful)
        windows = self._plane.windows / len(inside)
        self._temperature = 1.0 + (FEW_FOR_SCORES / windows) ** 2
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
        self._nearness = (GRID / spreads / math.sqrt(sums.size)).astype(np.float32)
        wide = np.zeros((len(vectors), -(-sums.size // LANES) * LANES), dtype=np.float32)
        wide[:, : sums.size] = np.array(vectors)[:, : sums.size] * self._nearness
        self._windows = [wide[np.array(classes) == k] for k in range(len(inside))]
        self._weighted = np.zeros(wide.shape[1], dtype=np.float32)
        both = np.array(vectors).reshape(2 * len(vectors), sums.size)  # as taught, and displaced
        kinds = np.repeat(np.array(classes, dtype=np.int32), 2)
        weights = np.tile([1.0, max(self._plane.plausible, 1e-3)], len(vectors))
        weights /= np.bincount(kinds, weights)[kinds]
        self._forest = grow_forest(both, kinds, weights, len(inside))
        # who has seen a part of the windows only has that part of a say
        self._company = COMPANY * min(1.0, len(vectors) / seen) / self._temperature
        self._shares, self._probabilities = np.empty((2, len(inside)))
        self.odds = self._plane.odds

    def off(self, x: Floats, activity: str) -> Floats:
        """Return how far a window of features x lies off the mean of an activity."""
        return self._plane.off(x, self._places[activity])

    def verdict(self, x: Floats, vector: Words) -> Verdict:
        """Judge a window of features x (size,), the same in multiples of the grid beside them."""
        self._forest.vote(vector, self._shares)
        best = self._kernels.agree(
            self._plane.scores(x),
            self._per_degree / self._temperature,
            self._shares,
            DOUBT,
            self._company,
            self._probabilities,
        )
        far = self._plane.far(x, best)
        near = self._kernels.nearest_square(
            vector, self._nearness, self._windows[best], self._weighted
        )
        ratio = far.whitened * far.block**BLOCK_WEIGHT * near / self._expected_far
        probabilities = np.empty(len(self._order))
        self._kernels.lapse(self._probabilities, LAPSE, self._order, probabilities)
        return Verdict(probabilities, ratio / (ratio + HALF_NOVEL))
