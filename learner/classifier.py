"""What a classifier promises. One classifier is one file in `classifiers/`, found by its name.

The file's class is called `Learner`. It sees windows, not feature vectors, so that one that reads
raw samples needs no second contract; who wants features builds `learner.features.Features`.
`tests/test_every_classifier.py` runs over every file there is.

What a kind of classifier does not do it says in its class body, by one of the functions below:
`lean_on, fade = contract.no_starter, contract.no_decay`.
"""

# ruff: noqa: ARG001
# These functions take what the contract gives, and make nothing of most of it.

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from learner.features import Floats, Samples


class WindowShape(NamedTuple):
    """What all windows of one recognizer have in common."""

    rate_hz: float
    n_channels: int  # 3 (accelerometer) or 6 (and gyroscope)
    rows: int


class Verdict(NamedTuple):
    """What a classifier makes of one window."""

    probabilities: Floats  # (k,) in the order of `activities`, summing to 1 when k > 0
    novelty: float  # 0 (like what was taught) to 1 (like nothing that was taught)


class InexactError(ValueError):
    """This kind of classifier cannot do that exactly. Teach an empty one what is to remain."""


class Classifier(Protocol):
    """Learns one window at a time. The caller has checked every window and every name."""

    # What is learnt follows from which windows were taught, in whatever order: then `unlearn`,
    # `add` and a `rename` that merges are exact. Otherwise these three raise InexactError.
    order_free: ClassVar[bool]

    activities: dict[str, int]  # windows taught of each that is known, in the order first known

    def __init__(self, shape: WindowShape) -> None:
        """Know nothing yet."""

    def lean_on(self, starter: Self) -> None:
        """Start, knowing nothing yet, from what `starter`, of the same shape, has learnt.

        Its activities are then known, with no windows taught.
        """

    def learn(self, samples: Samples, activity: str) -> None:
        """Take one window of an activity, old or new. `samples` is only borrowed."""

    def unlearn(self, samples: Samples, activity: str) -> None:
        """Take back one window of an activity that was taught, as if it had never been.

        Raises ValueError, and changes nothing, where it can tell that this window was not taught.
        """

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name; one that has the name already takes it in."""

    def fade(self, factor: float) -> None:
        """Let all that was learnt so far count `factor` times as much as it did.

        Then `unlearn`, and a `rename` that merges, raise InexactError. So does this where the kind
        of classifier cannot.
        """

    def settle(self) -> None:
        """Work out what the next `judge` needs, where a lesson has left that for later."""

    def judge(self, samples: Samples) -> Verdict:
        """Say what a window looks like. What was learnt is not changed by asking."""

    def watch(self, samples: Samples) -> Verdict:
        """Judge the next of consecutive windows, allowing for what was noticed meanwhile.

        That is all this kind sees without a label: another way the sensor sits today. Who sees
        nothing of the kind judges.
        """

    def notice(self, activity: str) -> None:
        """Be told that the window watched last seems to show this activity."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return all that was learnt as named arrays, rows of activities sorted by name.

        What depends on more than the lessons that remain (a reserve) begins with "reserve".
        """

    def restore(
        self, activities: Mapping[str, int], state: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """Become what `state` was taken from. KeyError, ValueError: not a state of this shape."""

    def add(self, other: Self) -> None:
        """Learn what `other`, a learner of the same shape, has learnt."""


def nothing_later(learner: Classifier) -> None:
    """`settle` of who works everything out in `learn`."""


def as_judged(learner: Classifier, samples: Samples) -> Verdict:
    """`watch` of who sees nothing without a label."""
    return learner.judge(samples)


def unnoticed(learner: Classifier, activity: str) -> None:
    """`notice` of who sees nothing without a label."""


def no_starter(learner: Classifier, starter: Classifier) -> None:
    """`lean_on` of who always begins with nothing."""
    raise InexactError(f"{_name(learner)} knows no starter: leave it out, or use the discriminant")


def no_decay(learner: Classifier, factor: float) -> None:
    """`fade` of who forgets nothing, or by itself."""
    raise InexactError(f"{_name(learner)} knows no decay: leave it out, or use the discriminant")


def no_undo(learner: Classifier, samples: Samples, activity: str) -> None:
    """`unlearn` of who depends on the order of lessons."""
    raise _order_matters(learner)


def no_pooling(learner: Classifier, other: Classifier) -> None:
    """`add` of who depends on the order of lessons."""
    raise _order_matters(learner)


def relabel(learner: Classifier, old: str, new: str) -> None:
    """`rename` of who depends on the order of lessons: never makes one of two activities."""
    if new in learner.activities:
        raise _order_matters(learner)
    learner.activities = {new if a == old else a: n for a, n in learner.activities.items()}


def _order_matters(learner: Classifier) -> InexactError:
    return InexactError(
        f"{_name(learner)} depends on the order of its lessons: teach an empty one what is to"
        " remain"
    )


def _name(learner: Classifier) -> str:
    return type(learner).__module__.rpartition(".")[2]


def names() -> list[str]:
    """Every classifier there is."""
    folder = Path(__file__).parent / "classifiers"
    return sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")


def named(name: str, shape: WindowShape) -> Classifier:
    """Build the classifier of the file `name`."""
    if name not in names():
        raise ValueError(f"no classifier is called {name!r}; there are: {', '.join(names())}")
    return cast("Classifier", import_module(f"learner.classifiers.{name}").Learner(shape))
