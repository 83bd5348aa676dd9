"""`budge purge`: take a device off the broker, and out of Home Assistant."""

from typing import Annotated, NoReturn

import typer

from deploy.commands.options import Broker, Config, Device, changed


def purge(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
) -> None:
    """Clear all that the broker keeps of a device that is no more, also for Home Assistant.

    Example: budge purge --device pi
    """
    from deploy import homeassistant
    from deploy.client import connected, kept
    from deploy.settings import read

    settings = changed(read(config), broker=broker, device=device)
    root = f"{settings.mqtt.base}/{settings.device}"
    filters = [f"{root}/#", homeassistant.topic(settings)]
    with connected(settings) as client:
        topics = kept(client, filters)
        if not topics:
            typer.echo(f"{client.where} keeps nothing of {settings.device}")
            return
        if topics.get(f"{root}/availability") == b"online":
            _refuse(
                f"{settings.device} is online and would say it all again: stop it first"
                " (sudo systemctl stop budge). If it is long gone, the broker has missed its end:"
                f" mosquitto_pub -r -n -t {root}/availability"
            )
        typer.echo("\n".join(topics))
        if not yes:
            typer.confirm(f"Clear these {len(topics)} topics at {client.where}?", abort=True)
        for topic in topics:
            client.publish(topic, b"", qos=1, retain=True)
        if left := kept(client, filters):
            _refuse(f"{client.where} still keeps {', '.join(left)}: may this user write there?")
        typer.echo(f"cleared {len(topics)} topics")


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"refused: {sentence}", err=True)
    raise typer.Exit(1)
