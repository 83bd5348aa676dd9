"""`budge record`: the sensor's rows into a file."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Config, positive


def record(
    file: Annotated[Path, typer.Argument(help="Name ends in .csv or .csv.gz.")],
    seconds: Annotated[float, typer.Option(help="How long.", callback=positive)] = 60.0,
    activity: Annotated[str, typer.Option(help="What is done all the while, if it is one.")] = "",
    wearer: Annotated[
        str | None,
        typer.Option(help="Make a data sample instead: rest, quarter_turn or mixed_day."),
    ] = None,
    config: Config = None,
) -> None:
    """Write what the sensor sees to a file that `budge replay` plays.

    Example: budge record walk.csv.gz --seconds 120 --activity walking
    """
    from deploy.sensing import open_source
    from deploy.service import signals
    from deploy.settings import read
    from firmware_bridge.recordings import recorder

    if not file.name.endswith((".csv", ".csv.gz")):
        raise typer.BadParameter(f"{file} must end in .csv or .csv.gz")
    settings = read(config)
    rate_hz = settings.window.rate_hz
    if wearer is not None:
        from firmware_bridge.recordings.samples import SCRIPTS, record_wearer

        if wearer not in SCRIPTS:
            raise typer.BadParameter(f"no wearer {wearer}: there are {', '.join(SCRIPTS)}")
        rows = record_wearer(wearer, file)
    else:
        if file.exists():  # a walk is not walked again as easily as a sample is made
            raise typer.BadParameter(f"{file} is there already: move it, or name another")
        with ExitStack() as stack:
            source = open_source(settings, stack)
            with signals(source.close):  # Ctrl-C keeps what there is
                rows = recorder.record(
                    source, file, round(seconds * rate_hz), lambda _time_s: activity
                )
    typer.echo(f"{file}: {rows} rows, {rows / rate_hz:.1f} s")
