"""`budge pair`: let a phone in, see who is in, put somebody out."""

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from deploy.commands.options import Config, StateDir, changed
from deploy.page.access import Access, AccessError, Role
from deploy.pairing import Invitation, drawn, invite
from deploy.settings import Settings, read


def pair(
    name: Annotated[
        str | None, typer.Option(help="What to call who is paired; default phone-1, phone-2 …")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="It may look, not touch: for a tablet on a wall.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Say who is paired.")] = False,
    revoke: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take a token back; it is cut off at once.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST", help="Where the phone finds this Pi.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
    config: Config = None,
    state_dir: StateDir = None,
) -> None:
    """Show a code for a phone's camera; who opens it may use the page.

    Examples: budge pair / budge pair --name tablet --read-only / budge pair --list /
    budge pair --revoke phone-1
    """
    if sum((list_, revoke is not None, bool(name or read_only or address))) > 1:
        raise typer.BadParameter("--list and --revoke stand alone")
    if address is not None and not re.fullmatch(r"[\w.:-]+", address):
        raise typer.BadParameter(
            f"--address is {address!r}, expected a name or a number of this Pi"
        )
    settings = changed(read(config), state_dir=state_dir)
    access = Access(settings.state_path())
    try:
        if list_:
            _list(access, as_json=as_json)
        elif revoke is not None:
            access.revoke(revoke)
            typer.echo(f"{revoke} is no longer paired")
        else:
            role: Role = "read" if read_only else "full"
            _show(settings, invite(settings, role=role, name=name, host=address), as_json=as_json)
    except AccessError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
        words = [str(Path(sys.argv[0]).absolute()), *sys.argv[1:]]
        if state_dir is None:  # root has another
            words += ["--state-dir", str(settings.state_path())]
        raise AccessError(
            f"{settings.state_path()} is another user's, as of a service: sudo {shlex.join(words)}"
        ) from error


def _list(access: Access, *, as_json: bool) -> None:
    tokens = access.tokens()
    if as_json:
        told = [{"name": t.name, "role": t.role, "created": t.created} for t in tokens]
        typer.echo(msgspec.json.encode(told).decode())
    elif not tokens:
        typer.echo("nobody is paired: `budge pair` shows a code for a phone")
    else:
        for token in tokens:
            may = "may do everything" if token.role == "full" else "may look"
            typer.echo(f"{token.name:<20} {may:<17} since {token.created[:10]}")


def _show(settings: Settings, invitation: Invitation, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(invitation).decode())
        return
    typer.echo(f"{drawn(invitation)} To take it back: budge pair --revoke {invitation.name}")
    if "page" not in settings.outputs:
        typer.echo('The page is off: add "page" to `outputs` in the settings.', err=True)
    if not (settings.state_path() / "lock").exists():
        typer.echo(
            f"No budge has run on {settings.state_path()} yet. If yours keeps its state elsewhere,"
            " name that folder with --state-dir: the code counts there only.",
            err=True,
        )
