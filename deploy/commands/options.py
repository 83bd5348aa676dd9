"""Options that several commands share, and how they change the settings."""

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
Device = Annotated[str | None, typer.Option(help="Name of the device in the topics.")]
StateDir = Annotated[Path | None, typer.Option(help="Folder for the journal.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print each message as a line of JSON.")]
Windows = Annotated[bool, typer.Option(help="Publish every window on .../window, too.")]


def host_and_port(broker: str) -> tuple[str, int]:
    """Split HOST:PORT; a port may be left out. Raises SettingsError."""
    host, _, port = broker.rpartition(":") if ":" in broker else (broker, "", "1883")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SettingsError(f"--broker is {broker!r}, expected HOST:PORT, as in 192.168.1.5:1883")
    return host.strip("[]"), int(port)


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
        settings = replace(settings, device=device)
    if state_dir is not None:
        settings = replace(settings, state_dir=str(state_dir))
    if as_json:
        settings = replace(settings, console=replace(settings.console, json=True))
    if windows:
        settings = replace(settings, mqtt=replace(settings.mqtt, window=True))
    return settings
