"""The figures of a protocol: per person, in the mean and for the worst, and over all windows."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from learner.evaluation import measures
from learner.evaluation.measures import UNKNOWN, Prequential
from learner.evaluation.trial import Answers, Outcome, Unknown
from learner.evaluation.windows import Windows


@dataclass(frozen=True, slots=True)
class Ways:
    """One figure, for each way to ask: see `Outcome`."""

    predict: float
    observe: float
    live: float


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """What one person got."""

    taught: int  # windows
    tested: int
    accuracy: Ways
    macro_f1: Ways
    prequential: Prequential | None  # in this protocol only


@dataclass(frozen=True, slots=True)
class Delay:
    """How many windows late the true changes were named, without a gap before them."""

    changes: int
    median: float
    counts: tuple[int, ...]  # how often 0, 1, 2, ... windows


@dataclass(frozen=True, slots=True)
class ProtocolFigures:
    """What all people got."""

    people: tuple[PersonFigures, ...]
    accuracy_mean: Ways
    accuracy_minimum: Ways
    macro_f1_mean: Ways
    calibration_error: Ways
    called_unknown: Ways  # share of tested windows
    confusion: list[list[int]]  # of predict: a row per true label, unknown the last column
    predict_delay: Delay  # where a window by itself would do
    live_delay: Delay


@dataclass(frozen=True, slots=True)
class UnknownFigures:
    """How well what was never taught is told from what was. Means over labels left out."""

    auroc: float
    auroc_of_label: dict[str, float]  # mean over people
    taught_called_unknown: float
    strange_called_unknown: float


def person_figures(windows: Windows, outcome: Outcome, *, prequential: bool) -> PersonFigures:
    """Measure one person's outcome."""
    truth = outcome.truth

    def f1(answers: Answers) -> float:
        return measures.macro_f1(measures.confusion(truth, answers.named, len(windows.names)))

    return PersonFigures(
        outcome.n_taught,
        len(truth),
        _ways(outcome, lambda answers: measures.accuracy(truth, answers.named)),
        _ways(outcome, f1),
        measures.prequential(truth, outcome.predict.named) if prequential else None,
    )


def protocol_figures(
    windows: Windows, outcomes: Sequence[Outcome], *, prequential: bool
) -> ProtocolFigures:
    """Measure the outcomes of all people in one protocol; at least one."""
    people = tuple(
        person_figures(windows, outcome, prequential=prequential) for outcome in outcomes
    )
    truth = np.concatenate([outcome.truth for outcome in outcomes])
    everybody = Outcome(
        n_taught=sum(outcome.n_taught for outcome in outcomes),
        tested=np.concatenate([outcome.tested for outcome in outcomes]),
        truth=truth,
        predict=_together([outcome.predict for outcome in outcomes]),
        observe=_together([outcome.observe for outcome in outcomes]),
        live=_together([outcome.live for outcome in outcomes]),
    )
    stretches = windows.stretches[everybody.tested]
    accuracies = np.array([astuple(person.accuracy) for person in people])
    f1s = np.array([astuple(person.macro_f1) for person in people])
    return ProtocolFigures(
        people=people,
        accuracy_mean=Ways(*accuracies.mean(axis=0).tolist()),
        accuracy_minimum=Ways(*accuracies.min(axis=0).tolist()),
        macro_f1_mean=Ways(*f1s.mean(axis=0).tolist()),
        calibration_error=_ways(
            everybody,
            lambda all_: measures.calibration_error(all_.confidence, all_.named == truth),
        ),
        called_unknown=_ways(everybody, lambda all_: float(np.mean(all_.named == UNKNOWN))),
        confusion=measures.confusion(truth, everybody.predict.named, len(windows.names)).tolist(),
        predict_delay=_delay(measures.delays(truth, everybody.predict.named, stretches)),
        live_delay=_delay(measures.delays(truth, everybody.live.named, stretches)),
    )


def unknown_figures(windows: Windows, trials: Sequence[Unknown]) -> UnknownFigures:
    """Measure the trials of all people in which a label was left out; at least one."""
    aurocs: dict[str, list[float]] = {}
    for trial in trials:
        found = measures.auroc(trial.novelty, trial.strange)
        aurocs.setdefault(windows.names[trial.left_out], []).append(found)
    of_label = {name: float(np.mean(found)) for name, found in aurocs.items()}
    return UnknownFigures(
        float(np.mean(list(of_label.values()))),
        of_label,
        float(np.mean([trial.named_unknown[~trial.strange].mean() for trial in trials])),
        float(np.mean([trial.named_unknown[trial.strange].mean() for trial in trials])),
    )


def _ways(outcome: Outcome, measure: Callable[[Answers], float]) -> Ways:
    return Ways(measure(outcome.predict), measure(outcome.observe), measure(outcome.live))


def _together(answers: Sequence[Answers]) -> Answers:
    return Answers(
        np.concatenate([each.named for each in answers]),
        np.concatenate([each.confidence for each in answers]),
        np.concatenate([each.novelty for each in answers]),
    )


def _delay(late: measures.Labels) -> Delay:
    median = float(np.median(late)) if len(late) else float("nan")
    return Delay(len(late), median, tuple(np.bincount(late).tolist()))
