"""A Hoeffding tree (VFDT: Domingos & Hulten 2000) with a naive Bayes at every leaf.

A leaf sums up its windows and splits when so many were seen that the best split is, but for one
time in ten million, better than the next best, or so near to it that it does not matter which is
taken. Features are observed as normal distributions, a threshold's worth is worked out from them
(Pfahringer, Holmes, Kirkby 2008). A leaf answers by naive Bayes, or by what share of each activity
came to it, whichever was right more often before it learnt (Gama, Rocha, Medas 2003).

Naive Bayes takes the features for independent given the activity. Then those of a leaf's windows
are spread in both halves as they were in the whole, so a new leaf begins with a few windows' worth
of what its parent knew, instead of with nothing.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from learner import classifier as contract
from learner.classifier import Verdict, WindowShape
from learner.compiled import njit
from learner.described import Describer
from learner.features import Floats, Samples
from learner.gaussians import LAPSE, Gaussians
from learner.state import State, by_name, checked, from_sorted

LEAVES = 32  # so many at most: 10 kB each per activity
GRACE = 50  # a leaf looks for a split after every so many windows
# The gain of a split in two is between 0 and 1 bit, so a mean over n windows is within
# √(ln(1/δ) / 2n) of the truth but for one time in 1/δ (Hoeffding 1963). Below TIE it need not be.
DELTA, TIE = 1e-7, 0.1
CUTS = 10  # thresholds tried per feature
LEAST_SHARE = 0.05  # of the windows must fall on either side
# Added to a deviation: a feature that was the same in every window may yet differ so much.
STEADY = 0.01
INHERITED = 100.0  # windows' worth that a new leaf begins with


@njit
def entropy(counts: Floats) -> float:
    """Σ counts · log2(Σ counts / counts): bits to tell so many windows' activities, together."""
    total = 0.0
    bits = 0.0
    for k in range(counts.size):
        total += counts[k]
        if counts[k] > 0.0:
            bits -= counts[k] * math.log2(counts[k])
    return bits + total * math.log2(total) if total > 0.0 else 0.0


@njit
def best_cuts(
    counts: Floats, means: Floats, deviations: Floats, sides: Floats, out: Floats
) -> None:
    """Find for every feature the threshold whose two sides tell most about the activity.

    counts (k,), means and deviations (k, d); sides (2, k) is scratch; out (2, d): the gain in bits,
    0 where no threshold leaves enough on both sides, and the threshold. Tried are CUTS, evenly from
    the lowest mean less its deviation to the highest with it.
    """
    n = counts.sum()
    whole = entropy(counts)
    for j in range(means.shape[1]):
        low = means[0, j]
        high = low
        for k in range(counts.size):
            low = min(low, means[k, j] - deviations[k, j])
            high = max(high, means[k, j] + deviations[k, j])
        out[0, j] = 0.0
        out[1, j] = low
        for i in range(CUTS):
            cut = low + (high - low) * (i + 0.5) / CUTS
            share = 0.0
            for k in range(counts.size):
                z = (cut - means[k, j]) / deviations[k, j]
                sides[0, k] = counts[k] * 0.5 * math.erfc(-z / math.sqrt(2.0))
                sides[1, k] = counts[k] - sides[0, k]
                share += sides[0, k] / n
            gain = (whole - entropy(sides[0]) - entropy(sides[1])) / n
            if gain > out[0, j] and LEAST_SHARE <= share <= 1.0 - LEAST_SHARE:
                out[0, j] = gain
                out[1, j] = cut


class Learner:
    """See the module. Not free of order: undo, merging and pooling rebuild."""

    order_free: ClassVar[bool] = False
    unlearn, add, rename = contract.no_undo, contract.no_pooling, contract.relabel
    lean_on, fade = contract.no_starter, contract.no_decay
    settle, watch, notice = contract.nothing_later, contract.as_judged, contract.unnoticed

    def __init__(self, shape: WindowShape) -> None:
        self._describer = Describer(shape)
        self.activities: dict[str, int] = {}
        # Inner nodes, the root first: feature, where to if it is at most the cut, where to if not.
        # Where to is another node or ~leaf.
        self._nodes = np.empty((0, 3), dtype=np.int64)
        self._cuts = np.empty(0)
        # Per leaf; row 0 is no leaf but all that was taught, for novelty; row 1 the first leaf.
        # Windows seen since it grew, and how many were foreseen: by shares, by naive Bayes.
        self._records = np.zeros((2, 3))
        self._counts = np.zeros((2, 0))  # (leaves, k) windows' worth
        self._sums = np.zeros((2, 0, 2, self._describer.size))  # and their Σ x, Σ x²
        self._fits: dict[int, Gaussians] = {}

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        x = self._describer.features(samples)
        leaf = self._leaf(x)
        if activity in self.activities:  # nobody foresees a new one
            k = list(self.activities).index(activity)
            for way, foreseen in enumerate([self._shares(leaf), self._bayes(leaf, x)], start=1):
                self._records[leaf, way] += foreseen.argmax() == k
        else:
            k = len(self.activities)
            self._counts = np.pad(self._counts, ((0, 0), (0, 1)))
            self._sums = np.pad(self._sums, ((0, 0), (0, 1), (0, 0), (0, 0)))

        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._records[leaf, 0] += 1
        for row in [0, leaf]:
            self._counts[row, k] += 1
            self._sums[row, k, 0] += x
            self._sums[row, k, 1] += x * x
        self._fits = {}
        if self._records[leaf, 0] % GRACE == 0 and len(self._records) <= LEAVES:
            self._split(leaf)

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`. New is what is far from all that was taught, whatever the leaf."""
        if not self.activities:
            return Verdict(np.empty(0), 1.0)
        x = self._describer.features(samples)
        leaf = self._leaf(x)
        _, by_shares, by_bayes = self._records[leaf]
        foreseen = self._shares(leaf) if by_shares > by_bayes else self._bayes(leaf, x)
        probabilities = (1.0 - LAPSE) * foreseen + LAPSE / len(foreseen)
        return Verdict(probabilities, self._gaussians(0).judge(x).novelty)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`. What there is per leaf begins with a row of everything."""
        order = by_name(self.activities)
        return {
            "nodes": self._nodes.copy(),
            "cuts": self._cuts.copy(),
            "records": self._records.copy(),
            "counts": self._counts[:, order],
            "sums": self._sums[:, order],
        }

    def restore(self, activities: Mapping[str, int], state: State) -> None:
        """See `Classifier`."""
        splits, k, columns = len(state["cuts"]), len(activities), from_sorted(activities)
        nodes = checked(state, "nodes", np.int64, (splits, 3))
        cuts = checked(state, "cuts", np.float64, (splits,))
        records = checked(state, "records", np.float64, (2 + splits, 3))
        counts = checked(state, "counts", np.float64, (2 + splits, k))
        sums = checked(state, "sums", np.float64, (2 + splits, k, 2, self._describer.size))
        self._nodes, self._cuts, self._records = nodes, cuts, records
        self._counts, self._sums = counts[:, columns], sums[:, columns]
        self.activities = dict(activities)
        self._fits = {}

    def _leaf(self, x: Floats) -> int:
        at = 0 if len(self._cuts) else ~1
        while at >= 0:
            at = int(self._nodes[at, 2 if x[self._nodes[at, 0]] > self._cuts[at] else 1])
        return ~at

    def _shares(self, leaf: int) -> Floats:
        """Which share of each activity came to this leaf, over their sum."""
        shares: Floats = self._counts[leaf] / list(self.activities.values())
        shares /= shares.sum()
        return shares

    def _bayes(self, leaf: int, x: Floats) -> Floats:
        """What naive Bayes makes of x, given the shares. One window is the least to go by."""
        here = self._counts[leaf] >= 1.0
        foreseen = self._shares(leaf)
        if here.any():
            foreseen[here] *= self._gaussians(leaf).judge(x).probabilities
            foreseen[~here] = 0.0
            foreseen /= foreseen.sum()
        return foreseen

    def _gaussians(self, row: int) -> Gaussians:
        if row not in self._fits:
            here = self._counts[row] >= 1.0
            sums = self._sums[row, here]
            self._fits[row] = Gaussians(self._counts[row, here], sums[:, 0], sums[:, 1])
        return self._fits[row]

    def _split(self, leaf: int) -> None:
        """Split a leaf in two where the Hoeffding bound allows."""
        counts, sums = self._counts[leaf], self._sums[leaf]
        n = np.maximum(counts, 1e-9)[:, None]  # none is left of an activity that is not here
        means = sums[:, 0] / n
        deviations = np.sqrt(np.maximum(sums[:, 1] / n - means**2, 0.0)) + STEADY

        here = counts >= 1.0
        gains, cuts = found = np.empty((2, means.shape[1]))
        sides = np.empty((2, int(here.sum())))
        best_cuts(counts[here], means[here], deviations[here], sides, found)
        best = int(gains.argmax())
        ahead = gains[best] - np.partition(gains, -2)[-2]
        bound = math.sqrt(math.log(1.0 / DELTA) / (2.0 * self._records[leaf, 0]))
        if gains[best] > bound and (ahead > bound or bound < TIE):
            z = (cuts[best] - means[:, best]) / deviations[:, best]
            below = np.array([0.5 * math.erfc(-one / math.sqrt(2.0)) for one in z])
            self._grow(leaf, best, float(cuts[best]), below)

    def _grow(self, leaf: int, feature: int, cut: float, below: Floats) -> None:
        """Make a node of a leaf, which goes on below the cut; below (k,): shares that go there."""
        counts, sums = self._counts[leaf], self._sums[leaf]
        worth = min(1.0, INHERITED / counts.sum())
        left, right = worth * below, worth * (1.0 - below)

        node, new = len(self._cuts), len(self._records)
        self._nodes[:, 1:][self._nodes[:, 1:] == ~leaf] = node
        self._nodes = np.vstack([self._nodes, [[feature, ~leaf, ~new]]])
        self._cuts = np.append(self._cuts, cut)
        self._records[leaf] = 0.0
        self._records = np.vstack([self._records, np.zeros((1, 3))])
        self._counts = np.vstack([self._counts, counts * right])
        self._sums = np.concatenate([self._sums, (sums * right[:, None, None])[None]])
        self._counts[leaf] *= left
        self._sums[leaf] *= left[:, None, None]
