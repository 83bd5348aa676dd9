"""What an evaluation came to: as tables, as JSON, as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from deploy.evaluating import CURVE, UNKNOWN, People, Task
from deploy.tables import print_table
from firmware_bridge.recording import RecordingError
from learner.evaluation.figures import (
    Delay,
    ProtocolFigures,
    UnknownFigures,
    Ways,
    protocol_figures,
    unknown_figures,
)
from learner.evaluation.protocols import PROTOCOLS, ProtocolError

LATE = 5  # delays of so many windows and more share a column
WAYS = ("predict", "observe", "live")
NOTE = """\
predict: every window by itself. observe: over the tested windows, told of a gap wherever one is
missing. live: over everything between, as a sensor in use sees it, scored on the tested windows.
"""


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


def show(people: People, results: Sequence[Result]) -> None:
    """Print tables: of one classifier all that is known, of several how they compare."""
    if len({result.classifier for result in results}) == 1:
        for result in results:
            _show_people(result)
            _show_totals(result, people.windows.names)
        print(NOTE, end="")
        return
    for protocol in dict.fromkeys(result.protocol for result in results):
        compared = [result for result in results if result.protocol == protocol]
        _show_comparison(protocol, compared)


def draw(curves: Sequence[Curve], file: Path) -> None:
    """Draw accuracy against seconds taught of each activity, the mean and the worst person."""
    matplotlib = import_module("matplotlib")
    matplotlib.use("agg")  # no window, wherever this runs
    figure, axes = import_module("matplotlib.pyplot").subplots(layout="constrained")
    for curve in curves:
        accuracy = np.array(curve.accuracy)
        (line,) = axes.plot(curve.seconds, accuracy.mean(axis=0), label=curve.classifier)
        axes.plot(curve.seconds, accuracy.min(axis=0), ":", color=line.get_color())
    ticks = sorted({each for curve in curves for each in curve.seconds})
    axes.set(xscale="log", xlabel="seconds taught of each activity", ylabel="accuracy")
    axes.set_xticks(ticks, [f"{each:.3g}" for each in ticks], minor=False)
    axes.minorticks_off()
    axes.set_title("next session: mean, and the worst person (dotted)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
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


def _show_people(result: Result) -> None:
    figures = result.figures
    rows = [
        [
            *(name, str(person.taught), str(person.tested)),
            *(*_percent(person.accuracy), *_percent(person.macro_f1)),
        ]
        for name, person in zip(result.people, figures.people, strict=True)
    ]
    rows.append(
        ["mean", "", "", *_percent(figures.accuracy_mean), *_percent(figures.macro_f1_mean)]
    )
    rows.append(["minimum", "", "", *_percent(figures.accuracy_minimum), *[""] * len(WAYS)])
    head = ["person", "taught", "tested", *WAYS, *(f"F1 {way}" for way in WAYS)]
    title = f"{result.protocol}, {result.classifier}: % right, and macro-F1, of tested windows"
    print_table(title, head, rows)
    for name, reason in result.left_out.items():
        print(f"  left out: {name}: {reason}\n")


def _show_totals(result: Result, labels: Sequence[str]) -> None:
    figures = result.figures
    print_table(
        "over all windows, %",
        ["", *WAYS],
        [
            ["expected calibration error", *_percent(figures.calibration_error)],
            ["called unknown", *_percent(figures.called_unknown)],
        ],
    )
    if figures.live_delay.changes:
        head = ["", "changes", "median", *(str(k) for k in range(LATE)), f"{LATE} or more"]
        rows = [
            ["predict", *_delay(figures.predict_delay)],
            ["live", *_delay(figures.live_delay)],
        ]
        print_table("windows until a change was named, and how often", head, rows)
    rows = [
        [name, _one(each.no_change), _one(each.at_changes), str(each.changes)]
        for name, person in zip(result.people, figures.people, strict=True)
        if (each := person.prequential) is not None
    ]
    if rows:
        head = ["person", '"no change"', "at changes", "changes"]
        print_table(
            "% right of repeating what was taught last, and where that is wrong", head, rows
        )
    rows = [
        [label, *map(str, row)]
        for label, row in zip(labels, figures.confusion, strict=True)
        if any(row)
    ]
    print_table("what it was, and what predict called it", ["", *labels, "unknown"], rows)
    if result.unknown is not None:
        unknown = result.unknown
        rows = [[label, f"{auroc:.3f}"] for label, auroc in unknown.auroc_of_label.items()]
        print_table(
            "one activity never taught: AUROC of novelty",
            ["left out", "AUROC"],
            [*rows, ["mean", f"{unknown.auroc:.3f}"]],
        )
        print(
            f"  called unknown: {unknown.strange_called_unknown:.1%} of what was never taught,"
            f" {unknown.taught_called_unknown:.1%} of what was\n"
        )


def _show_comparison(protocol: str, compared: Sequence[Result]) -> None:
    rows = [
        [
            *(result.classifier, *_percent(result.figures.accuracy_mean)),
            _one(result.figures.accuracy_minimum.predict),
            _one(result.figures.macro_f1_mean.predict),
            _one(result.figures.calibration_error.predict),
        ]
        for result in compared
    ]
    head = ["classifier", *WAYS, "minimum", "F1", "calibration error"]
    n = len(compared[0].people)
    print_table(f"{protocol}: % right, mean over {n} people; the rest is of predict", head, rows)


def _percent(ways: Ways) -> list[str]:
    return [_one(value) for value in astuple(ways)]


def _one(share: float) -> str:
    return f"{100 * share:.1f}"


def _delay(delay: Delay) -> list[str]:
    counts = [*delay.counts, *[0] * LATE]
    late = sum(delay.counts[LATE:])
    return [str(delay.changes), f"{delay.median:g}", *map(str, counts[:LATE]), str(late)]
