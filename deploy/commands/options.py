"""Options that several commands share, and how they change the settings."""

import re
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from deploy.settings import Settings, SettingsError

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; default /etc/budge/budge.toml."),
]
Broker = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="MQTT broker; default from the settings.")
]
Device = Annotated[
    str | None, typer.Option(help="Name of the device in the topics; default from the settings.")
]
StateDir = Annotated[
    Path | None,
    # Whether it may be read is told later, with the line that helps.
    typer.Option(help="Folder of the journal; default from the settings.", readable=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print each message as a line of JSON.")]
Windows = Annotated[bool, typer.Option(help="Publish every window on .../window, too.")]


def positive(seconds: float | None) -> float | None:
    """Refuse a time that is none, as the callback of an option."""
    if seconds is not None and not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{seconds:g} is not a time: expected seconds above 0")
    return seconds


def host_and_port(broker: str) -> tuple[str, int]:
    """Split HOST:PORT; a port may be left out, an IPv6 address is in brackets.

    Raises SettingsError.
    """
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:/\[\]]+))(?::(\d{1,5}))?", broker)
    port = int(found[3] or 1883) if found else 0
    if found is None or not 0 < port < 65536:
        raise SettingsError(
            f"--broker is {broker!r}, expected HOST:PORT, as in 192.168.1.5:1883 or [fe80::1]:1883"
        )
    return found[1] or found[2], port


def changed(
    settings: Settings,
    *,
    broker: str | None = None,
    device: str | None = None,
    state_dir: Path | None = None,
    as_json: bool = False,
    windows: bool = False,
) -> Settings:
    """Return the settings with what the command line says instead."""
    if broker is not None:
        host, port = host_and_port(broker)
        settings = replace(settings, mqtt=replace(settings.mqtt, host=host, port=port))
    if device is not None:
        try:
            settings = replace(settings, device=device)
        except ValueError as error:
            raise SettingsError(str(error).replace("`device`", "--device")) from error
    if state_dir is not None:
        settings = replace(settings, state_dir=str(state_dir))
    if as_json:
        settings = replace(settings, console=replace(settings.console, json=True))
    if windows:
        settings = replace(settings, mqtt=replace(settings.mqtt, window=True))
    return settings
