"""What an evaluation came to, as tables."""

from collections.abc import Sequence
from dataclasses import astuple
from statistics import median

from deploy.evaluating import DEFAULT, WITHOUT, People
from deploy.evaluation_report import Result
from deploy.tables import print_markdown, print_table
from learner.evaluation.figures import Delay, Ways

LATE = 5  # delays of so many windows and more share a column
WAYS = ("predict", "observe", "live")
NOTE = """\
predict: every window by itself. observe: over the tested windows, told of a gap wherever one is
missing. live: over everything between, as a sensor in use sees it, scored on the tested windows.
"""


def show(people: People, results: Sequence[Result]) -> None:
    """Print tables: of one classifier all that is known, of several how they compare."""
    if len({result.classifier for result in results}) == 1:
        for result in results:
            _show_people(result)
            _show_totals(result, people.windows.names)
        _show_summary(results)
        print(NOTE, end="")
        return
    for protocol in dict.fromkeys(result.protocol for result in results):
        compared = [result for result in results if result.protocol == protocol]
        _show_comparison(protocol, compared)


def show_ablation(results: Sequence[Result]) -> None:
    """Print one table in Markdown: the default whole, and WITHOUT each of its parts."""
    protocols = dict.fromkeys(result.protocol for result in results)
    rows: dict[str, list[str]] = {}
    for result in results:
        figures, unknown = result.figures, result.unknown
        without = "nothing" if result.classifier == DEFAULT else result.classifier
        rows.setdefault(without.removeprefix(WITHOUT), []).extend(
            [
                *(_one(figures.accuracy_mean.predict), _one(figures.accuracy_mean.live)),
                _one(figures.calibration_error.predict),
                *([f"{unknown.auroc:.3f}"] if unknown else []),
            ]
        )
    head = ["without"]
    for protocol in protocols:
        head += [f"{protocol}: predict", "live", "calibration error"]
        head += ["AUROC"] * (protocol == "next_session")
    print_markdown(head, [[part, *cells] for part, cells in rows.items()])


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


def _show_summary(results: Sequence[Result]) -> None:
    """Print how the protocols compare, where there are several."""
    if len(results) < 2:
        return
    rows = [
        [
            result.protocol,
            f"{median(person.taught for person in result.figures.people):g}",
            *_percent(result.figures.accuracy_mean),
            *_percent(result.figures.calibration_error),
        ]
        for result in results
    ]
    head = ["protocol", "taught", *WAYS, *(f"error {way}" for way in WAYS)]
    print_table(
        "windows that a person taught (median), % right (mean), expected calibration error",
        head,
        rows,
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
