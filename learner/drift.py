"""Whether taught activities still look like themselves: ADWIN over how new their windows look.

Bifet & Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SIAM International
Conference on Data Mining 2007: a window over the past that grows while all of it looks alike, and
loses its older part where that differs from the newer one. It is kept as an exponential histogram,
in which n numbers take O(log n) of memory:

    oldest |  8  |  4  |  4  |  2  |  2  |  1  |  1  | newest        numbers in a bucket
           '--- older part --'------ newer part -----'               one of the cuts between them
"""

from collections import deque
from math import log, sqrt

# The paper's δ, the chance of an alarm without a reason. It holds for numbers drawn independently,
# which windows of one walk are not, so it is what recordings allow: `tests/drift_figures.py`.
DELTA = 0.02
BUCKETS = 5  # of one size before the two oldest become one of the next: the paper's M
EVERY = 8  # numbers from one search for a cut to the next, which costs ten times as much as a put


class Adwin:
    """ADWIN over numbers from 0 to 1."""

    def __init__(self, delta: float) -> None:
        """`delta`: how likely a change may be seen where there is none."""
        self._delta = delta
        # of the sizes 1, 2, 4 …: sum and sum of squares of each bucket, the oldest first
        self._sizes: list[deque[tuple[float, float]]] = [deque()]
        self._sum = self._squares = 0.0
        self._unsearched = 0
        self.count = 0  # numbers in the window

    @property
    def buckets(self) -> int:
        """How many buckets hold the window."""
        return sum(map(len, self._sizes))

    def put(self, number: float) -> float:
        """Take the next number. Returns by how much the newer part is higher than the older.

        Negative where it is lower; 0 where they look alike. The older part is then forgotten.
        """
        self._sizes[0].append((number, number * number))
        self._sum += number
        self._squares += number * number
        self.count += 1
        self._merge()
        self._unsearched += 1
        if self._unsearched < EVERY:
            return 0.0
        self._unsearched = 0
        change = left = self._change()
        while left:
            self._forget_oldest()
            left = self._change()
        return change

    def _merge(self) -> None:
        for size, buckets in enumerate(self._sizes):
            if len(buckets) <= BUCKETS:
                return
            if size + 1 == len(self._sizes):
                self._sizes.append(deque())
            (total, squares), (more, more_squares) = buckets.popleft(), buckets.popleft()
            self._sizes[size + 1].append((total + more, squares + more_squares))

    def _change(self) -> float:
        """Return mean(newer) - mean(older) of the first cut at which it is above ε, else 0.

        Equation 3.1: ε = √(2/m · σ² · ln(2/δ')) + 2/(3m) · ln(2/δ'), where 1/m = 1/n₀ + 1/n₁, σ² is
        the variance of the whole window and δ' = δ / ln n, as there are O(log n) cuts.
        """
        n = self.count
        if n < 2:
            return 0.0
        variance = max(self._squares / n - (self._sum / n) ** 2, 0.0)
        surprise = log(2.0 * log(n) / self._delta)
        older, older_sum = 0, 0.0
        for size in range(len(self._sizes) - 1, -1, -1):
            for total, _ in self._sizes[size]:
                older += 1 << size
                older_sum += total
                newer = n - older
                if not newer:
                    break
                change = (self._sum - older_sum) / newer - older_sum / older
                per_m = 1.0 / older + 1.0 / newer
                least = sqrt(2.0 * per_m * variance * surprise) + 2.0 / 3.0 * per_m * surprise
                if abs(change) > least:
                    return change
        return 0.0

    def _forget_oldest(self) -> None:
        total, squares = self._sizes[-1].popleft()
        self._sum -= total
        self._squares -= squares
        self.count -= 1 << len(self._sizes) - 1
        while len(self._sizes) > 1 and not self._sizes[-1]:
            self._sizes.pop()


class Drift:
    """Which activities do not look any more as they did when they were taught last."""

    def __init__(self) -> None:
        self._streams: dict[str, Adwin] = {}
        self._drifted: set[str] = set()

    @property
    def activities(self) -> tuple[str, ...]:
        """Those that have drifted, sorted."""
        return tuple(sorted(self._drifted))

    def note(self, activity: str, novelty: float) -> None:
        """Be told how new, from 0 to 1, the next window that shows the activity looks.

        An alarm ends, too, when the activity looks like itself again.
        """
        change = self._streams.setdefault(activity, Adwin(DELTA)).put(novelty)
        if change > 0.0:
            self._drifted.add(activity)
        elif change < 0.0:
            self._drifted.discard(activity)

    def restart(self, activity: str) -> None:
        """Look at an activity afresh: what it is to look like has changed."""
        self._streams.pop(activity, None)
        self._drifted.discard(activity)

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name; one that takes another in is looked at afresh."""
        if new in self._streams:
            self.restart(old)
            self.restart(new)
        if old in self._streams:
            self._streams[new] = self._streams.pop(old)
        if old in self._drifted:
            self._drifted.remove(old)
            self._drifted.add(new)
