"""`budge demo`: everything, with no hardware."""

from typing import Annotated

import typer

from deploy.commands.options import AsJson, Broker, StateDir, changed

DEMO_PORT = 18830  # not 1883, where a real broker may live


def demo(
    seconds: Annotated[float | None, typer.Option(help="End after so long.")] = None,
    manual: Annotated[
        bool, typer.Option("--manual", help="Nobody presses the button but you.")
    ] = False,
    broker: Broker = None,
    port: Annotated[int, typer.Option(help="Of the broker inside the demo.")] = DEMO_PORT,
    seed: Annotated[int, typer.Option(help="Another wearer.")] = 1,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the whole line without hardware: a simulated wearer moves an emulated sensor.

    Example: budge demo --seconds 150
    """
    import json

    from msgspec.structs import replace

    from deploy.demo import run_demo
    from deploy.settings import Settings

    settings = changed(
        Settings(device="demo", source="emulated LSM9DS1"),
        broker=broker,
        state_dir=state_dir,
        as_json=as_json,
        windows=True,
    )
    if broker is None:
        settings = replace(settings, mqtt=replace(settings.mqtt, port=port))
    score = run_demo(settings, embedded=broker is None, manual=manual, seconds=seconds, seed=seed)
    (right, scored), (right_all, scored_all) = score.last(30.0), score.last(float("inf"))
    if as_json:
        summary = {
            "topic": "summary",
            "last_30_s": {"right": right, "windows": scored},
            "all": {"right": right_all, "windows": scored_all},
        }
        print(json.dumps(summary))
    elif scored:
        print(
            f"right in {right} of the last {scored} windows ({right / scored:.0%}; 30 s),"
            f" in {right_all} of {scored_all} since it knew nothing"
        )
