"""What goes on, window by window: a hidden Markov model's forward filter that learns to stick.

    expected(k) = (1 - change) · belief(k) + change · mean of the others'
    belief(k)   ∝ expected(k) · p(k | window) ^ own

Windows overlap and neighbours look alike, so where little changes each says less of its own than
it would alone. How often it changes is learnt from changes that last: another activity in STEADY
windows on end. Right after a change a window still shows some of what was before, and a filter is
late; so a change counts for several, and where all lasts for seconds the filter lets go.
"""

import numpy as np

from learner.features import Floats

OWN = 0.5  # exponent of a window's say where nothing changes, 1 where everything does
STEADY = 3
CHANGES, WINDOWS = 2.0, 40.0  # as if so many had been seen before the first
COUNTS_FOR = 8.0
KEEP = 0.995  # what is left of one window's evidence at the next: some 200 windows count
LEAST_CHANGE, MOST_CHANGE = 0.02, 0.8
RULED_OUT = 1e-100


class ForwardFilter:
    """Follows consecutive windows. Activities may come and go between them."""

    def __init__(self) -> None:
        self._belief: dict[str, float] = {}  # empty: anything may be going on
        self._changes, self._windows = CHANGES, WINDOWS
        self._steady: str | None = None
        self._latest: str | None = None
        self._repeated = 0  # how many windows on end showed the latest

    @property
    def change(self) -> float:
        """What the chance is taken to be that the next window shows something else."""
        return min(max(COUNTS_FOR * self._changes / self._windows, LEAST_CHANGE), MOST_CHANGE)

    def follow(self, names: list[str], probabilities: Floats | None) -> Floats:
        """Return the belief (k,) in each of `names` after the next window.

        probabilities (k,) of the window by itself; None: it says nothing.
        """
        even = 1.0 / len(names)
        change = min(self.change, 1.0 - even)
        # what was ruled out may be all that is left when the rest is forgotten
        before = np.array([max(self._belief.get(name, even), RULED_OUT) for name in names])
        before /= before.sum()
        others = (1.0 - before) / max(len(names) - 1, 1)
        belief: Floats = (1.0 - change) * before + change * others if self._belief else before
        if probabilities is not None:
            belief *= probabilities ** (OWN + (1.0 - OWN) * self.change / MOST_CHANGE)
            self._count(names[int(probabilities.argmax())])
        belief /= belief.sum()
        self._belief = dict(zip(names, belief.tolist(), strict=True))
        return belief

    def _count(self, shown: str) -> None:
        """Learn how often it changes from what one more window showed."""
        self._repeated = self._repeated + 1 if shown == self._latest else 1
        self._latest = shown
        self._changes *= KEEP
        self._windows = KEEP * self._windows + 1.0
        if self._repeated == STEADY:
            self._changes += self._steady not in (None, shown)
            self._steady = shown

    def gap(self) -> None:
        """Windows are missing: anything may be going on now."""
        self._belief = {}
        self._steady, self._latest = None, None

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name, or put it to the one that has the name."""
        if old in self._belief:
            self._belief[new] = self._belief.get(new, 0.0) + self._belief.pop(old)
        if self._steady == old:
            self._steady = new
        if self._latest == old:
            self._latest = new
