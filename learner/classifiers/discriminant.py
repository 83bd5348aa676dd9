"""Shrinkage linear discriminant over the features of a window, in company of a small forest.

Labels from a button arrive in blocks, are taken back, and come from several devices. The
discriminant follows from sums, the forest from a sample that knows no order: both are the same
whatever came first, forget exactly, and can be pooled. A lesson only adds to the sums and to the
sample; what follows from them is worked out when it is next needed, or by `settle` beforehand.
"""

import json
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learner.classifier import InexactError, Verdict, WindowShape
from learner.committee import Committee
from learner.described import Describer, Words, words
from learner.features import Floats, Samples
from learner.offset import Offset
from learner.sample import Sample
from learner.starter import Leaning
from learner.sums import LIMIT, Sums

NOTHING = Verdict(np.empty(0), 1.0)  # is known, so everything is new


class Learner:
    """See the module."""

    order_free: ClassVar[bool] = True

    def __init__(self, shape: WindowShape) -> None:
        self._describer = Describer(shape)
        self.activities: dict[str, int] = {}
        self._sums, self._sample = self._nothing()
        self._leaning: Leaning | None = None
        self._faded = False
        self._committee: Committee | None = None
        self._watched = np.zeros(self._describer.size)
        self._offset = Offset(self._describer.size)

    def _nothing(self) -> tuple[Sums, Sample]:
        return Sums(self._describer.size, self._describer.blocks), Sample()

    def lean_on(self, starter: Self) -> None:
        """See `Classifier`. Copies what the starter knows, so that both may go on learning."""
        if starter._leaning is not None:
            raise InexactError(
                "the starter leans on a starter itself: pool the recognizers, and start from that"
            )
        if starter.activities:
            sums, sample = self._nothing()
            sums.add(starter._sums)
            sample.add(starter._sample)
            self._leaning = Leaning(sums, sample)
            self.activities = dict.fromkeys(starter.activities, 0)
            self._committee = None

    def learn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`."""
        x, e, vector = self._lesson(samples)
        if self._leaning is not None:
            self._leaning.note(x, activity, 1)
        self._sums.put(activity, x, e)
        self._sample.put(activity, vector)
        self.activities[activity] = self.activities.get(activity, 0) + 1
        self._committee = None

    def unlearn(self, samples: Samples, activity: str) -> None:
        """See `Classifier`. What was not taught is found out where the sample would hold it."""
        if self._faded:
            raise InexactError("what has faded cannot be taken back: teach an empty one the rest")
        x, e, vector = self._lesson(samples)
        if not self._sample.discard(activity, vector):
            raise ValueError(f"this is not the window that was taught as {activity!r}")
        self._sums.discard(activity, x, e)
        if self._leaning is not None:
            self._leaning.note(x, activity, -1)
        self.activities[activity] -= 1
        if not self.activities[activity]:
            self._sample.drop(activity)
            if self._leaning is None or activity not in self._leaning.activities:
                del self.activities[activity]
        self._committee = None

    def _lesson(self, samples: Samples) -> tuple[Floats, Floats, Words]:
        """Return features x, what displacements change in them, and for the sample two rows in one.

        In multiples of GRID: x, and the features of the first displaced copy.
        """
        x = self._describer.features(samples).copy()
        displaced = self._describer.displaced(samples)
        vector = np.concatenate([words(x), words(displaced[0])])
        return x, np.clip(displaced - x, -LIMIT, LIMIT), vector

    def rename(self, old: str, new: str) -> None:
        """See `Classifier`. Sums add, so a merge is exact."""
        if self._faded and new in self.activities:
            raise InexactError("what has faded cannot be merged: teach an empty one the rest")
        if self._leaning is not None and {old, new} & {*self._leaning.activities}:
            raise InexactError("what a starter knows keeps its name: teach an empty one the rest")
        self._sums.rename(old, new)
        self._sample.rename(old, new)
        count = self.activities[old] + self.activities.get(new, 0)
        if new in self.activities:
            del self.activities[old]
        self.activities = {new if a == old else a: n for a, n in self.activities.items()}
        self.activities[new] = count
        self._committee = None

    def fade(self, factor: float) -> None:
        """See `Classifier`."""
        self._faded = True
        self._sums.fade(factor)
        self._sample.fade(factor)
        self._committee = None

    def settle(self) -> None:
        """See `Classifier`."""
        if self._committee is None and self.activities:
            self._committee = Committee(
                list(self.activities),
                self._sums,
                self._sample,
                self._leaning,
                self._describer.spreads,
            )

    def judge(self, samples: Samples) -> Verdict:
        """See `Classifier`."""
        self.settle()
        if self._committee is None:
            return NOTHING
        x = self._describer.features(samples)
        return self._committee.verdict(x, words(x))

    def watch(self, samples: Samples) -> Verdict:
        """See `Classifier`. The forest knows thresholds only, and sees the window as it is."""
        self.settle()
        if self._committee is None:
            return NOTHING
        x = self._describer.features(samples)
        vector = words(x)
        self._watched[:] = x
        return self._committee.verdict(x - self._offset.estimate, vector)

    def notice(self, activity: str) -> None:
        """See `Classifier`."""
        if self._committee is not None:
            self._offset.note(self._committee.off(self._watched, activity), self._committee.odds)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Classifier`."""
        taught = sorted(self._sums.masses)
        arrays = {
            **self._sums.state(),
            **self._sample.state(taught, 2 * self._describer.size),
            "faded": np.array(self._faded),
        }
        if self._leaning is not None:
            names = self._leaning.activities
            starter = {
                "names": np.frombuffer(json.dumps(names).encode(), dtype=np.uint8),
                **self._leaning.sums.state(),
                **self._leaning.sample.state(names, 2 * self._describer.size),
                **self._leaning.state(),
            }
            arrays |= {f"{name}_of_starter": array for name, array in starter.items()}
        return arrays

    def restore(
        self, activities: Mapping[str, int], state: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """See `Classifier`."""
        taught = sorted(name for name, count in activities.items() if count)
        sums, sample = self._nothing()
        sums.restore(taught, state)
        sample.restore(taught, 2 * self._describer.size, state)
        leaning = None
        if "names_of_starter" in state:
            of_starter = {
                name.removesuffix("_of_starter"): array
                for name, array in state.items()
                if name.endswith("_of_starter")
            }
            names = [str(name) for name in json.loads(state["names_of_starter"].tobytes())]
            leant = self._nothing()
            leant[0].restore(names, of_starter)
            leant[1].restore(names, 2 * self._describer.size, of_starter)
            leaning = Leaning(*leant)
            leaning.restore(of_starter)
        self._sums, self._sample, self._leaning = sums, sample, leaning
        self._faded = bool(state["faded"])
        self.activities = dict(activities)
        self._committee = None

    def add(self, other: Self) -> None:
        """See `Classifier`. What others were started from is not what they have learnt."""
        if self._leaning is not None:
            raise InexactError("what leans on a starter cannot be added to: pool, then start")
        for activity, count in other.activities.items():
            if count:
                self.activities[activity] = self.activities.get(activity, 0) + count
        self._faded |= other._faded
        self._sums.add(other._sums)
        self._sample.add(other._sample)
        self._committee = None
