"""`budge evaluate`: how right it would have been, on recordings that say what was done."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import positive
from deploy.tables import with_progress


def evaluate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Labelled recordings: .csv, .csv.gz or .npz."),
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="next_session (if none is named), ten_seconds, ten_windows, new_person,"
            " new_person_... and one of these three, prequential, or all."
        ),
    ] = None,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="discriminant (if none is named), another, or all: also those of extra 'bench'."
        ),
    ] = None,
    ablate: Annotated[
        bool,
        typer.Option("--ablate", help="Without each part of the default, too: half an hour a set."),
    ] = False,
    window_s: Annotated[float, typer.Option(callback=positive, help="Length of a window.")] = 2.56,
    hop_s: Annotated[float, typer.Option(callback=positive, help="From window to window.")] = 1.28,
    labels: Annotated[
        str | None, typer.Option(help="The first so many, or their names: sitting,walking.")
    ] = None,
    people: Annotated[
        str | None, typer.Option(help="Test the first so many, or these: 3,17 (just one: 3,).")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one for each core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy against seconds taught: a .png.")
    ] = None,
) -> None:
    """Teach a part of what was recorded and say how right the rest is recognised, per person.

    next_session teaches the first half of a person's stretches of each activity, ten_seconds no
    more than 10 s of it, new_person what everybody else did. No row is taught and tested.

    Example: budge evaluate people.npz --protocol ten_seconds --labels 6
    """
    from deploy import evaluating, evaluation_report, evaluation_tables
    from learner.classifier import names as classifiers
    from learner.evaluation.protocols import PROTOCOLS
    from learner.evaluation.rivals import names as rivals

    protocols = _some_of("--protocol", protocol or ["next_session"], list(PROTOCOLS))
    known = [*classifiers(), *rivals()]
    kinds = _some_of("--classifier", classifier or [evaluating.DEFAULT], known)
    if ablate and classifier:
        raise typer.BadParameter("--ablate is about the default: expected no --classifier")
    if ablate:
        from learner.evaluation.ablation import PARTS

        kinds += [evaluating.WITHOUT + part for part in PARTS]
    _check_plot(plot)
    everybody = evaluating.load(files, window_s, hop_s, labels)
    tested = _tested(everybody.names, people)
    tasks = evaluating.tasks(
        everybody,
        kinds,
        protocols,
        tested,
        unknown=ablate or len(kinds) == 1,
        curves=plot is not None,
    )
    done = evaluating.evaluate(everybody, tasks, jobs or os.cpu_count() or 1)
    came_to = dict(with_progress(done, "evaluating", len(tasks)))
    found = {task: came_to[task] for task in tasks}  # in order, whoever was done first
    results = evaluation_report.results(everybody, found)
    curves = evaluation_report.curves(everybody, found)
    if as_json:
        print(evaluation_report.to_json(files, everybody, results, curves))
    elif ablate:
        evaluation_tables.show_ablation(results)
    else:
        evaluation_tables.show(everybody, results)
    if plot is not None:
        evaluation_report.draw(curves, plot)


def _some_of(option: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    if "all" in asked:
        return list(known)
    for name in asked:
        if name not in known:
            raise typer.BadParameter(f"{option} {name}: there are {', '.join(known)}, and all")
    return list(dict.fromkeys(asked))


def _tested(names: Sequence[str], people: str | None) -> list[int]:
    """Numbers of the people who are tested; all others are there to learn from."""
    if people is None:
        return list(range(len(names)))
    if people.isdigit() and int(people) > 0:
        return list(range(min(int(people), len(names))))
    asked = [name.strip() for name in people.split(",") if name.strip()]
    for name in asked or [people]:
        if name not in names:
            raise typer.BadParameter(f"--people {name}: there are {', '.join(names)}")
    return [names.index(name) for name in dict.fromkeys(asked)]


def _check_plot(plot: Path | None) -> None:
    """Before the work, not after it."""
    if plot is None:
        return
    if plot.suffix != ".png" or not plot.parent.is_dir():
        raise typer.BadParameter(f"--plot {plot}: expected a name that ends in .png, in a folder")
    if find_spec("matplotlib") is None:
        raise typer.BadParameter("--plot needs matplotlib: pip install 'budge[plots]'")
