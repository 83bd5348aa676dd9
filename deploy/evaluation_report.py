"""What an evaluation came to: in figures, as JSON, as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from deploy.evaluating import CURVE, UNKNOWN, People, Task
from firmware_bridge.recording import RecordingError
from learner.evaluation.figures import (
    ProtocolFigures,
    UnknownFigures,
    protocol_figures,
    unknown_figures,
)
from learner.evaluation.protocols import PROTOCOLS, ProtocolError

FEW_CURVES = 5  # so many that each may have a second, dotted one


@dataclass(frozen=True, slots=True)
class Result:
    """Of one classifier in one protocol."""

    classifier: str
    protocol: str
    people: tuple[str, ...]  # whose figures these are, in the order of figures.people
    left_out: dict[str, str]  # who could not be evaluated, and why
    figures: ProtocolFigures
    unknown: UnknownFigures | None  # when an activity is left out of its lessons


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy against what was taught."""

    classifier: str
    seconds: tuple[float, ...]  # of each activity
    accuracy: tuple[tuple[float, ...], ...]  # of each person, at each of `seconds`


def results(people: People, found: Mapping[Task, Any]) -> list[Result]:
    """Measure what the protocols came to. Raises RecordingError where all people are left out."""
    measured = []
    for kind, what in dict.fromkeys((task.kind, task.what) for task in found):
        if what not in PROTOCOLS:
            continue
        good, left_out = _sorted_out(people, found, kind, what)
        if not good:
            raise RecordingError(f"{what}: {'; '.join(dict.fromkeys(left_out.values()))}")
        strange, _ = _sorted_out(people, found, kind, UNKNOWN)
        trials = [trial for trials in strange.values() for trial in trials]
        measured.append(
            Result(
                kind,
                what,
                tuple(good),
                left_out,
                protocol_figures(
                    people.windows, list(good.values()), prequential=PROTOCOLS[what].prequential
                ),
                unknown_figures(people.windows, trials)
                if trials and what == "next_session"
                else None,
            )
        )
    return measured


def curves(people: People, found: Mapping[Task, Any]) -> list[Curve]:
    """Collect the points of the plot."""
    drawn = []
    for kind, counts in dict.fromkeys((task.kind, task.counts) for task in found if task.counts):
        good, _ = _sorted_out(people, found, kind, CURVE)
        seconds = tuple(people.windows.seconds(count) for count in counts)
        drawn.append(Curve(kind, seconds, tuple(tuple(each) for each in good.values())))
    return drawn


def to_json(
    files: Sequence[Path], people: People, results: Sequence[Result], curves: Sequence[Curve]
) -> str:
    """Return one line. Keys are only ever added; what cannot be measured is null."""
    windows = people.windows
    document = {
        "v": 1,
        "files": [str(file) for file in files],
        "rate_hz": windows.rate_hz,
        "channels": windows.signal.shape[1],
        "window_s": windows.window_s,
        "hop_s": windows.hop / windows.rate_hz,
        "labels": windows.names,
        "results": results,
        "curves": curves,
    }
    return msgspec.json.encode(document).decode()


def draw(curves: Sequence[Curve], file: Path) -> None:
    """Draw accuracy against seconds taught of each activity, the mean and the worst person.

    The worst is left out where there are so many curves that nobody could follow it.
    """
    matplotlib = import_module("matplotlib")
    matplotlib.use("agg")  # no window, wherever this runs
    pyplot = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 4.8), layout="constrained")
    few = len(curves) <= FEW_CURVES
    for curve, colour in zip(curves, cycle(pyplot.get_cmap("tab10" if few else "tab20").colors)):
        accuracy = np.array(curve.accuracy)
        axes.plot(curve.seconds, accuracy.mean(axis=0), label=curve.classifier, color=colour)
        if few:
            axes.plot(curve.seconds, accuracy.min(axis=0), ":", color=colour)
    ticks = sorted({each for curve in curves for each in curve.seconds})
    axes.set(xscale="log", xlabel="seconds taught of each activity", ylabel="accuracy")
    axes.set_xticks(ticks, [f"{each:.3g}" for each in ticks], minor=False)
    axes.minorticks_off()
    worst = ", and the worst person (dotted)" if few else ""
    axes.set_title(f"next session: mean of the people{worst}")
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside right center")
    figure.savefig(file, dpi=150)


def _sorted_out(
    people: People, found: Mapping[Task, Any], kind: str, what: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Outcomes by the name of the person, and why there is none."""
    good, left_out = {}, {}
    for task, outcome in found.items():
        if (task.kind, task.what) == (kind, what):
            if isinstance(outcome, ProtocolError):
                left_out[people.names[task.person]] = str(outcome)
            else:
                good[people.names[task.person]] = outcome
    return good, left_out
