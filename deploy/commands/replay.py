"""`budge replay`: a recording instead of the sensor, through the same line."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import AsJson, Broker, Config, Device, StateDir, Windows, changed


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"{text!r} is not a speed: expected a number above 0, or max")
    return speed


def replay(
    file: Annotated[Path, typer.Argument(help="A .csv, .csv.gz or .npz recording.")],
    speed: Annotated[str, typer.Option(help="1 is real time, 10 ten times as fast, or max.")] = "1",
    subject: Annotated[int | None, typer.Option(help="Of an .npz: whose recording.")] = None,
    session: Annotated[
        int | None, typer.Option(help="Of an .npz: which of theirs, 1 the first, -1 the last.")
    ] = None,
    stay: Annotated[bool, typer.Option(help="At the end still listen to the button.")] = False,
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
    windows: Windows = False,
) -> None:
    """Play a recording through the whole line: what it shows, it shows over MQTT, too.

    With --windows a replay waits for a broker that is slow, so that no window is lost however fast
    it goes; without a broker it says so after some seconds and goes on.

    Example: budge replay data_samples/mixed_day.csv.gz --speed 10
    """
    from msgspec.structs import replace

    from deploy.lines import say
    from deploy.score import Output as Score
    from deploy.service import open_outputs, serve, warm_up
    from deploy.settings import read
    from firmware_bridge.clock import MonotonicClock
    from firmware_bridge.recording import RecordingError
    from firmware_bridge.recordings.files import read as read_recording
    from firmware_bridge.sources.recording import Source

    settings = changed(
        read(config),
        broker=broker,
        device=device,
        state_dir=state_dir,
        as_json=as_json,
        windows=windows,
    )
    settings = replace(
        settings,
        source=file.name,
        mqtt=replace(settings.mqtt, lossless=settings.mqtt.window),
        console=replace(settings.console, lossless=True, reader_ends=True),
    )
    pace = _speed(speed)
    played = read_recording(file, subject=subject, session=session)
    longest_s = max(len(run.samples) for run in played.runs) / played.rate_hz
    if longest_s < settings.window.length_s:
        raise RecordingError(
            f"{file}: its longest run lasts {longest_s:.2f} s, expected at least a window of"
            f" {settings.window.length_s:g} s: record more, or shorten `length_s` in [window]"
        )
    source = Source(
        played,
        MonotonicClock(),
        rate_hz=settings.window.rate_hz,
        speed=pace,
    )
    warm_up(settings, channels=len(source.scale))
    score = Score(source.truth)
    serve(settings, source, [*open_outputs(settings, source.truth), score], stay=stay)
    right, scored = score.all()
    if scored and not as_json:
        say(f"right in {right} of {scored} labelled windows ({right / scored:.1%})")
