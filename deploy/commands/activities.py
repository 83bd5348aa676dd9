"""`budge activities`: what was taught, and how to rename, merge and forget it."""

from datetime import datetime, timedelta
from typing import Annotated, NoReturn

import typer

from deploy.commands.options import Broker, Config, Device, changed
from deploy.messages import Response

activities = typer.Typer(
    help="What was taught: list it, rename, merge, forget. Example: budge activities list",
    no_args_is_help=True,
)

WIPE_S = 60.0  # a journal of many hundred MB is written anew on an SD card

Name = Annotated[str, typer.Argument(metavar="OLD", help="As `budge activities list` has it.")]


@activities.command(name="list")
def list_(config: Config = None, broker: Broker = None, device: Device = None) -> None:
    """Say what a budge was taught, and in how many windows.

    Example: budge activities list --device pi
    """
    for activity, windows in _known(config, broker, device).items():
        typer.echo(f"{windows:7d}  {activity}")


@activities.command()
def rename(
    old: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What to call it from now on.")],
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
) -> None:
    """Call an activity by another name.

    Example: budge activities rename wlaking walking
    """
    if new in _known(config, broker, device):
        _refuse(f"{new!r} is known, too: to make the two one use merge instead of rename")
    _rename(old, new, config, broker, device)


@activities.command()
def merge(
    old: Name,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The activity that stays.")],
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
) -> None:
    """Make two activities one, which keeps the second name. It cannot be taken back.

    Example: budge activities merge strolling walking
    """
    if into not in (known := _known(config, broker, device)):
        _refuse(f"nothing was taught as {into!r}, only as: {', '.join(known) or 'nothing at all'}")
    _rename(old, into, config, broker, device)


@activities.command()
def forget(
    activity: Annotated[
        str | None, typer.Argument(help="What is to be as if it had never been.")
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option(
            metavar="YYYY-MM-DD",
            formats=["%Y-%m-%d"],
            help="Instead: all that was taught and seen that day.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
) -> None:
    """Forget an activity, or a day, as if it had never been, with what was recorded of it.

    Examples: budge activities forget cycling / budge activities forget --day 2026-11-24
    """
    if activity is not None and day is None:
        fields, what = {"activity": activity}, repr(activity)
    elif day is not None and activity is None:
        past = day + timedelta(days=1)  # before the zone is known: a day may have 23 hours
        ends = (moment.astimezone().isoformat() for moment in (day, past))
        fields, what = dict(zip(("start", "end"), ends, strict=True)), f"all of {day:%Y-%m-%d}"
    else:
        raise typer.BadParameter("say one of: ACTIVITY, --day")
    if not yes:
        typer.confirm(f"Forget {what}, and its recordings? It cannot be taken back.", abort=True)
    response = _ask("request/forget", fields, config, broker, device)
    typer.echo(f"forgot {what}: {response.data['windows']} windows")


def _known(config: Config, broker: Broker, device: Device) -> dict[str, int]:
    from deploy.client import told
    from deploy.messages import Info
    from deploy.settings import read

    return told(changed(read(config), broker=broker, device=device), Info).activities


def _rename(old: str, new: str, config: Config, broker: Broker, device: Device) -> None:
    data = _ask("request/rename", {"from": old, "to": new}, config, broker, device).data
    typer.echo(f"{data['action']} {data['from']} to {data['to']}: {data['windows']} windows")


def _ask(
    command: str, fields: dict[str, str], config: Config, broker: Broker, device: Device
) -> Response:
    from deploy.client import ask
    from deploy.settings import read

    settings = changed(read(config), broker=broker, device=device)
    response = ask(settings, command, fields, patience_s=WIPE_S)
    if response.status != "ok":
        _refuse(response.error)
    return response


def _refuse(sentence: str | None) -> NoReturn:
    typer.echo(f"refused: {sentence}", err=True)
    raise typer.Exit(1)
