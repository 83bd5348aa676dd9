"""`budge restore`: what a backup holds, in the place of what is here."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Config, StateDir, changed


def restore(
    file: Annotated[Path, typer.Argument(help="What `budge backup` made, here or on another Pi.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    state_dir: StateDir = None,
) -> None:
    """Put what was taught back as it was when the backup was made.

    What is here now is set aside, not lost: before-restore-….sqlite in the state folder; the newest
    two are kept. Where budge runs, its next start takes the backup.

    Example: budge restore /media/stick/pi.budge
    """
    from deploy.backup import put_in_place, take, unpacked
    from deploy.progress import shown
    from deploy.service import ServiceError, locked
    from deploy.settings import read

    state = changed(read(config), state_dir=state_dir).state_path()
    with ExitStack() as stack:
        with shown() as told:  # ends before a question is asked
            found = stack.enter_context(unpacked(file, state, told))
        typer.echo(
            f"{file}: of {found.manifest.device or 'a device'}, made {found.manifest.created} by"
            f" budge {found.manifest.budge}; {found.stretches} stretches of"
            f" {len(found.activities)} activities"
        )
        if not yes:
            typer.confirm(f"Put that in the place of what is in {state}?", abort=True)
        put_in_place(found, state)
    try:
        with locked(state):
            take(state)
    except ServiceError:
        typer.echo("budge is running: it takes it when it starts anew.")
        typer.echo("    sudo systemctl restart budge")
    else:
        typer.echo("restored; the next start of budge goes on from there")
