"""`budge label`: the button on the command line."""

from typing import Annotated

import typer

from deploy.commands.options import Broker, Config, Device, changed


def label(
    activity: Annotated[str | None, typer.Argument(help="What is being done from now on.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="It ends now.")] = False,
    last: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="It was done in the last seconds.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last label.")] = False,
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
) -> None:
    """Teach a running budge what is being done.

    Examples: budge label walking / budge label --stop / budge label cycling --last 30 /
    budge label --undo
    """
    from deploy.client import ask
    from deploy.settings import read

    if sum((activity is not None, stop, undo)) != 1 or (last is not None and activity is None):
        raise typer.BadParameter("say one of: ACTIVITY (with or without --last), --stop, --undo")
    settings = changed(read(config), broker=broker, device=device)
    fields: dict[str, str | float] = {}
    if activity is not None:
        fields["activity"] = activity
    if last is not None:
        fields["last_s"] = last
    response = ask(settings, "label/undo" if undo else "label/set", fields)
    if response.status != "ok":
        typer.echo(f"refused: {response.error}", err=True)
        raise typer.Exit(1)
    data = response.data
    windows = f"{data['windows']} window{'' if data['windows'] == 1 else 's'}"
    none = "" if data["windows"] else ": it was too short, or the sensor was away"
    typer.echo(
        {
            "started": f"teaching {data['activity']}; to stop, the same with --stop for the name",
            "stopped": f"taught {data['activity']}: {windows}{none}",
            "taught": f"taught {data['activity']}: {windows}{none}",
            "undone": f"took back {data['activity']}: {windows}",
        }[str(data["action"])]
    )
