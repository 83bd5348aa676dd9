"""`budge doctor`: everything from bus to broker to disk, each with what mends it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Broker, Config, Device, StateDir, changed

if TYPE_CHECKING:
    from deploy.doctor import Case, Finding

COLOURS = {"good": "green", "note": "yellow", "bad": "red", "none": "bright_black"}
SHOWN = {"good": "good", "note": "note", "bad": "BAD ", "none": "  - "}
NAME_WIDTH = 11
WIDEST = 100  # a line longer than that is hard to read


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.zip",
            help="Make a file to show to who helps you: no secrets, names or movements in it.",
        ),
    ] = None,
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
    state_dir: StateDir = None,
) -> None:
    """Look at everything from the sensor to the broker to the disk, and say what to mend.

    Nothing is changed, and a budge that runs goes on undisturbed. With sudo it sees what belongs to
    the service, too.

    Ends with 0 if nothing is bad, 1 if something is, 2 if the command line was not understood.

    Example: sudo budge doctor
    """
    import json
    from importlib.metadata import version

    from deploy.doctor import examine, exit_code, report

    if bundle is not None and bundle.exists():
        raise typer.BadParameter(f"{bundle} is there already: name another")
    case = _case(config, broker, device, state_dir)
    budge = version("budge")
    findings: list[Finding] = []
    if as_json:
        findings += examine(case)
        print(json.dumps(report(findings, budge), ensure_ascii=False))
    else:
        typer.echo(f"budge {budge} on {case.settings.device}\n")
        findings += _shown(examine(case))
        typer.echo(f"\n{_summary(findings)}")
    if bundle is not None:
        from deploy.bundle import write

        write(bundle, case, findings, budge)
        typer.echo(f"\n{bundle}: have a look at it before you send it", err=as_json)
    raise typer.Exit(exit_code(findings))


def _case(config: Config, broker: Broker, device: Device, state_dir: StateDir) -> "Case":
    """Read the settings; where they cannot be read, go on with the defaults."""
    from deploy.doctor import Case
    from deploy.settings import DEFAULT_PATH, Settings, SettingsError, read

    trouble = None
    try:
        settings = read(config)
    except SettingsError as error:
        settings, trouble = Settings(), str(error)
    settings = changed(settings, broker=broker, device=device, state_dir=state_dir)
    return Case(settings, config or DEFAULT_PATH, trouble)


def _shown(findings: "Iterable[Finding]") -> "Iterator[Finding]":
    """Print each as it is found: some take seconds."""
    import shutil
    import textwrap

    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    indent = " " * (len("good") + NAME_WIDTH + 4)
    for finding in findings:
        head = f"{finding.name:{NAME_WIDTH}}  "
        lines = textwrap.wrap(finding.found, max(20, width - len(indent))) or [""]
        word = typer.style(SHOWN[finding.level], fg=COLOURS[finding.level], bold=True)
        typer.echo(f"{word}  {head}{lines[0]}")
        for line in lines[1:]:
            typer.echo(f"{indent}{line}")
        if finding.mend is not None:  # on one line, however long: to be copied
            typer.echo(f"{indent}{typer.style('mend:', bold=True)} {finding.mend}")
        yield finding


def _summary(findings: "list[Finding]") -> str:
    counts = {level: sum(one.level == level for one in findings) for level in SHOWN}
    if not counts["bad"] and not counts["note"]:
        return f"All is well: {counts['good']} things are good."
    if not counts["bad"]:
        return f"Nothing is bad: {counts['note']} worth a look, {counts['good']} good."
    first = "" if counts["bad"] == 1 else " Begin at the top: one often follows from another."
    return f"{counts['bad']} bad, {counts['note']} worth a look, {counts['good']} good.{first}"
