"""A learner put through a protocol, one person at a time.

`Trial(windows, partial(Recognizer, 50.0, 6, 2.56)).run("next_session", person)` is an `Outcome`;
`figures` says what the outcomes of all people are worth.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, Self, cast

import numpy as np

from learner.classifier import InexactError
from learner.evaluation.measures import UNKNOWN, Flags, Labels, accuracy
from learner.evaluation.protocols import PROTOCOLS, ProtocolError, Rules, Split, next_session
from learner.evaluation.windows import Indices, Windows
from learner.features import Floats, Samples
from learner.recognizer import Prediction


class Pupil(Protocol):
    """Who is examined: what of `Recognizer` a trial needs."""

    def learn(self, samples: Samples, activity: str) -> None: ...
    def predict(self, samples: Samples) -> Prediction: ...
    @classmethod
    def pool(cls, recognizers: Iterable[Self]) -> Self:
        """Raises InexactError where this kind cannot."""
        ...


class Observer(Pupil, Protocol):
    """Who has a sense of time besides."""

    def observe(self, samples: Samples) -> Prediction: ...
    def gap(self) -> None: ...


# Called without an argument: one that knows nothing; with starter=, what that one knows.
Make = Callable[..., Pupil]


class Answers(NamedTuple):
    """What was said about windows, in their order."""

    named: Labels  # (n,) which of the names; UNKNOWN for none
    confidence: Floats  # (n,)
    novelty: Floats  # (n,)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a trial of one person came to."""

    n_taught: int  # windows of this person
    tested: Indices  # (n,) windows, in order of time
    truth: Labels  # (n,) their labels
    predict: Answers  # each window by itself
    observe: Answers  # one after another, told of a gap wherever windows are missing between
    # As a sensor in use does: observe sees what lies between, transitions and unlabelled windows.
    live: Answers


class Unknown(NamedTuple):
    """What a pupil said when one activity had been left out of its lessons."""

    left_out: int  # which label
    novelty: Floats  # (n,) of every tested window
    strange: Flags  # (n,) which of them show what was left out
    named_unknown: Flags  # (n,)


class Trial:
    """Examines pupils. Keeps what each person has taught, for those who start from it."""

    def __init__(self, windows: Windows, make: Make, *, over_time: bool = True) -> None:
        """Without `over_time` the pupils are no observers: each window is asked by itself."""
        self._windows, self._make, self._over_time = windows, make, over_time
        self._taught_by: dict[int, Pupil] = {}
        self._label = {name: label for label, name in enumerate(windows.names)}

    def run(self, protocol: str, person: int) -> Outcome:
        """Teach and test as the protocol says. Raises ProtocolError where too little is there."""
        rules = PROTOCOLS[protocol]
        split = rules.split(self._windows, person)
        if rules.prequential:
            return self._prequential(split)
        pupil = self._pupil(rules, person, split.taught)
        predict = self._answers(map(pupil.predict, self._each(split.tested)))
        if not self._over_time:
            return self._outcome(split, predict, predict, predict)
        observe = self._observe(pupil, split.tested)
        between = self._between(split.tested)
        # what the first has come to see without being told is nothing to start from
        said = self._observe(self._pupil(rules, person, split.taught), between)
        scored = np.isin(between, split.tested)
        live = Answers(said.named[scored], said.confidence[scored], said.novelty[scored])
        return self._outcome(split, predict, observe, live)

    def unknown(self, person: int) -> list[Unknown]:
        """Leave every label that is taught and tested out of the lessons, in turn."""
        taught, tested = next_session(self._windows, person)
        labels = self._windows.labels
        known = np.intersect1d(labels[taught], labels[tested])
        if len(known) < 2:
            raise ProtocolError("one activity only: expected another, to tell the unknown from")
        trials = []
        for label in known:
            pupil = self._make()
            self._teach(pupil, taught[labels[taught] != label])
            answers = self._answers(map(pupil.predict, self._each(tested)))
            strange, unknown = labels[tested] == label, answers.named == UNKNOWN
            trials.append(Unknown(int(label), answers.novelty, strange, unknown))
        return trials

    def curve(self, person: int, counts: Sequence[int]) -> list[float]:
        """Accuracy after so many windows of each label (or all there are), in ascending order."""
        taught, tested = next_session(self._windows, person)
        labels, pupil, known = self._windows.labels, self._make(), 0
        accuracies = []
        for count in counts:
            more = [
                taught[labels[taught] == label][known:count] for label in np.unique(labels[taught])
            ]
            self._teach(pupil, np.sort(np.concatenate(more)))
            known = count
            answers = self._answers(map(pupil.predict, self._each(tested)))
            accuracies.append(accuracy(labels[tested], answers.named))
        return accuracies

    def _outcome(self, split: Split, predict: Answers, observe: Answers, live: Answers) -> Outcome:
        truth = self._windows.labels[split.tested]
        return Outcome(len(split.taught), split.tested, truth, predict, observe, live)

    def _prequential(self, split: Split) -> Outcome:
        pupil, windows = self._make(), self._windows
        predicted, observed, last = [], [], None
        for index in split.tested:
            samples = windows.samples(index)
            predicted.append(pupil.predict(samples))
            if self._over_time:
                observed.append(self._next(pupil, index, last))
            pupil.learn(samples, windows.names[windows.labels[index]])
            last = index
        predict = self._answers(predicted)
        over_time = self._answers(observed) if self._over_time else predict
        return self._outcome(split, predict, over_time, over_time)

    def _pupil(self, rules: Rules, person: int, taught: Indices) -> Pupil:
        pupil = self._experienced(person, taught) if rules.starter else self._make()
        self._teach(pupil, taught)
        return pupil

    def _experienced(self, person: int, taught: Indices) -> Pupil:
        """A pupil that starts from what everybody else has taught."""
        others = [int(other) for other in np.unique(self._windows.people) if other != person]
        if not others:
            raise ProtocolError(
                "nobody else is there to learn from: expected recordings of two people"
            )
        untaught = self._make()
        try:
            type(untaught).pool([untaught])
        except InexactError:  # one pupil learns from all of them, and goes on with this person
            for other in others:
                self._teach(untaught, self._windows.of(other))
            return untaught
        pooled = type(untaught).pool([self._of(other) for other in others])
        return self._make(starter=pooled) if len(taught) else pooled

    def _of(self, person: int) -> Pupil:
        """What a person has taught in all."""
        if person not in self._taught_by:
            self._taught_by[person] = self._make()
            self._teach(self._taught_by[person], self._windows.of(person))
        return self._taught_by[person]

    def _teach(self, pupil: Pupil, indices: Indices) -> None:
        windows = self._windows
        for index in indices:
            pupil.learn(windows.samples(index), windows.names[windows.labels[index]])

    def _each(self, indices: Indices) -> Iterator[Samples]:
        return (self._windows.samples(index) for index in indices)

    def _observe(self, pupil: Pupil, indices: Indices) -> Answers:
        before = [None, *indices[:-1]]
        return self._answers(map(partial(self._next, pupil), indices, before))

    def _next(self, pupil: Pupil, index: int, last: int | None) -> Prediction:
        observer = cast("Observer", pupil)
        if last is None or not self._windows.follows(index, last):
            observer.gap()
        return observer.observe(self._windows.samples(index))

    def _between(self, tested: Indices) -> Indices:
        """All windows, labelled or not, from the first tested one of each stretch to the last."""
        stretches = self._windows.stretches
        last = np.append(np.flatnonzero(np.diff(stretches[tested])), len(tested) - 1)
        first = np.concatenate([[0], last[:-1] + 1])
        return np.concatenate(
            [np.arange(tested[a], tested[b] + 1) for a, b in zip(first, last, strict=True)]
        )

    def _answers(self, predictions: Iterable[Prediction]) -> Answers:
        said = list(predictions)
        named = [UNKNOWN if p.activity is None else self._label[p.activity] for p in said]
        return Answers(
            np.array(named, dtype=np.intp),
            np.array([p.confidence for p in said]),
            np.array([p.novelty for p in said]),
        )
