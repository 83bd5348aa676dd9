"""`budge pool`: what several devices have learnt, as one model for others to start from."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from learner.recognizer import Recognizer


def pool(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL", help="Files of budge pool, or state folders of budges at rest."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The file to make.")],
) -> None:
    """Make one model of what several devices have learnt, as if one had been taught it all.

    Name it as the `starter` of a new device. A single state folder gives its model.

    Example: budge pool ada/.local/state/budge bob/state everybody.model
    """
    from deploy.models import kind
    from deploy.service import ServiceError
    from learner.classifier import InexactError
    from learner.recognizer import Recognizer

    if out.exists():  # as when the last MODEL was taken for it
        raise typer.BadParameter(f"{out} is there already: move it, or name another")
    members = []
    for path in models:
        members.append(_model(path))
        if kind(members[-1]) != kind(members[0]):
            raise ServiceError(
                f"{path} is a model of {kind(members[-1])}, expected {kind(members[0])} as"
                f" {models[0]}: only what is alike can be pooled"
            )
    try:
        pooled = Recognizer.pool(members)
    except InexactError as error:
        raise ServiceError(f"this kind of classifier cannot be pooled ({error})") from error
    pooled.save(out)
    taught = ", ".join(f"{name} {windows}" for name, windows in pooled.activities.items())
    typer.echo(f"{out}: {kind(pooled)}; windows taught: {taught or 'none'}")


def _model(path: Path) -> "Recognizer":
    """Read a file, or what the budge of a state folder had learnt when it stopped."""
    from deploy.models import kept_snapshot
    from deploy.service import ServiceError, locked
    from learner.journal import Journal
    from learner.recognizer import ModelFileError, Recognizer

    try:
        if not path.is_dir():
            return Recognizer.load(path)
        file = path / "journal.sqlite"
        if not file.is_file():
            raise ServiceError(
                f"{path} holds no journal.sqlite: expected the state folder of a budge, or a file"
                " of budge pool"
            )
        with locked(path), Journal(file) as journal:
            kept = kept_snapshot(journal)
        if kept is None:
            raise ServiceError(
                f"{path} holds no model of all that was taught there: start budge on it once, and"
                " stop it"
            )
        return Recognizer.load(BytesIO(kept))
    except ModelFileError as error:
        raise ServiceError(f"{path}: {error}") from error
