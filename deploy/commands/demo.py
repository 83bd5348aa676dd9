"""`budge demo`: everything, with no hardware."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import AsJson, changed, positive

DEMO_PORT = 18830  # not 1883, where a real broker may live


def demo(
    seconds: Annotated[
        float | None, typer.Option(help="End after so long.", callback=positive)
    ] = None,
    manual: Annotated[
        bool, typer.Option("--manual", help="Nobody presses the button but you.")
    ] = False,
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="MQTT broker; default: one inside the demo."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the broker inside the demo; 0: any.")
    ] = DEMO_PORT,
    seed: Annotated[int, typer.Option(help="Another wearer.")] = 1,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the journal; default: one that goes with the demo."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the whole line without hardware: a simulated wearer moves an emulated sensor.

    Example: budge demo --seconds 150
    """
    import json

    from msgspec.structs import replace

    from deploy.demo import run_demo
    from deploy.lines import say
    from deploy.settings import Settings

    settings = changed(
        Settings(device="demo", source="emulated LSM9DS1"),
        broker=broker,
        state_dir=state_dir,
        as_json=as_json,
        windows=True,
    )
    settings = replace(settings, console=replace(settings.console, reader_ends=True))
    score = run_demo(
        settings,
        own_port=port if broker is None else None,
        manual=manual,
        seconds=seconds,
        seed=seed,
    )
    (right, scored), (right_all, scored_all) = score.recent(), score.all()
    if as_json:
        summary = {
            "topic": "summary",
            "last_30_s": {"right": right, "windows": scored},
            "all": {"right": right_all, "windows": scored_all},
        }
        say(json.dumps(summary))
    elif scored:
        say(
            f"right in {right} of the last {scored} windows ({right / scored:.0%}; 30 s),"
            f" in {right_all} of {scored_all} since it knew nothing"
        )
