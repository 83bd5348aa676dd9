"""What others have learnt, as a start: it counts for a few windows, fewer where it was wrong.

A starter is tested on every window before that is taught (prequentially), and never learns itself.
So its record is two sums per activity, in whatever order the windows came, and undo takes back its
share of the record, too.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learner.features import Floats
from learner.plane import Plane, Starter
from learner.sample import Sample
from learner.state import checked
from learner.sums import Sums

# For how many windows an activity counts that the starter always recognizes. Between 10 and 100
# are about as good, on waists, wrists and pockets.
MOST_WINDOWS = 30.0
LEAST_WINDOWS = 1.0
# The record begins as if the starter had been right so often.
TRUST = 4.0


class Leaning:
    """A starter and its record with one owner."""

    def __init__(self, sums: Sums, sample: Sample) -> None:
        """`sums` and `sample` now belong to this, and know at least one activity."""
        self.sums, self.sample = sums, sample
        self._plane: Plane | None = None
        self._seen = dict.fromkeys(sums.masses, 0)
        self._right = dict.fromkeys(sums.masses, 0)

    @property
    def activities(self) -> list[str]:
        """What the starter knows, sorted."""
        return sorted(self.sums.masses)

    def note(self, x: Floats, activity: str, times: int) -> None:
        """Test the starter on a window of an activity; `times` -1 takes that back."""
        if activity in self._seen:
            if self._plane is None:
                self._plane = Plane(self.activities, self.sums)
            said = self.activities[int(np.argmax(self._plane.scores(x)))]
            self._seen[activity] += times
            self._right[activity] += times * (said == activity)

    def windows(self, activity: str) -> float:
        """For how many windows of an activity the starter counts: none of what it does not know."""
        if activity not in self._seen:
            return 0.0
        right, seen = self._right[activity] + TRUST, self._seen[activity] + TRUST
        chance = 1.0 / len(self._seen)
        above = max(0.0, right / seen - chance) / (1.0 - chance) if chance < 1.0 else right / seen
        return LEAST_WINDOWS + (MOST_WINDOWS - LEAST_WINDOWS) * above**2

    def weighed(self) -> Starter:
        """Return what was learnt with the weight it deserves."""
        return Starter(self.sums, {name: self.windows(name) for name in self._seen})

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the record as an array, activities sorted by name."""
        record = [[self._seen[name], self._right[name]] for name in self.activities]
        return {"record": np.array(record, dtype=np.int64)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Become what `state` was taken from. KeyError, ValueError: not a record of it."""
        record = checked(state, "record", np.int64, (len(self.activities), 2))
        self._seen = dict(zip(self.activities, record[:, 0].tolist(), strict=True))
        self._right = dict(zip(self.activities, record[:, 1].tolist(), strict=True))
