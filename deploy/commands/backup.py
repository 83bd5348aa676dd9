"""`budge backup`: all that was taught, as one file, while budge runs."""

import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Config, Device, StateDir, changed


def backup(
    file: Annotated[Path, typer.Argument(help="The file to make, or a folder to make it in.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.")
    ] = False,
    config: Config = None,
    device: Device = None,
    state_dir: StateDir = None,
) -> None:
    """Copy all that was taught, and the recordings it rests on, to one file.

    Budge may run meanwhile. Tokens and the settings are not in it: pair again after a restore on
    another Pi, and copy /etc/budge/budge.toml yourself.

    Example: budge backup /media/stick/pi.budge
    """
    from deploy.archive import BackupError
    from deploy.backup import backup as make
    from deploy.progress import shown
    from deploy.settings import read

    settings = changed(read(config), device=device, state_dir=state_dir)
    if file.is_dir():
        file /= f"budge-{settings.device}-{time.strftime('%Y-%m-%d')}.budge"
    if file.exists() and not force:
        raise BackupError(f"{file} is there already: name another, or replace it with --force")
    with shown() as told:
        make(settings.state_path(), file, device=settings.device, told=told)
    typer.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB. `budge restore {file}` brings it back")
