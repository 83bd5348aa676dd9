"""`budge import`: a published collection of recordings into one file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer


def import_(
    folder: Annotated[
        Path, typer.Argument(help="As unpacked: which collection it is, is found by looking.")
    ],
    out: Annotated[Path, typer.Argument(help="Name ends in .npz.")],
    place: Annotated[
        str | None, typer.Option(help="Of several sensors, where the one was worn: hand, ankle.")
    ] = None,
) -> None:
    """Make one file, for replay and evaluate, of a collection that somebody published.

    Knows UCI HAR, HAPT, WISDM (2011 and 2019), PAMAP2, MHEALTH, MotionSense and USC-HAD. Nothing is
    filtered or filled in: where rows are missing, a recording ends and another begins.

    Example: budge import PAMAP2_Dataset pamap2_ankle.npz --place ankle
    """
    import numpy as np

    from firmware_bridge.recording import UNLABELLED
    from firmware_bridge.recordings.layout import collect
    from firmware_bridge.recordings.npz_writer import write_npz

    if not out.name.endswith(".npz"):
        raise typer.BadParameter(f"{out} must end in .npz")
    found = collect(folder, place, _with_progress)
    write_npz(out, found)
    rows, rate_hz = len(found.signal), found.meta["rate_hz"]
    people, pieces = len(np.unique(found.subject)), int(found.segment[-1]) + 1
    labelled = np.mean(found.label != UNLABELLED)
    typer.echo(
        f"{out}: {found.meta['dataset']}, {found.meta['placement']}, {people} people,"
        f" {rows} rows at {rate_hz:g} Hz, {rows / rate_hz / 3600:.2f} h in {pieces} segments,"
        f" {labelled:.0%} of it labelled"
    )
    for reason, count in found.meta["skipped"].items():
        if count:
            typer.echo(f"left out: {count} {reason}")


def _with_progress(parts: list[Path]) -> Iterable[Path]:
    from rich.console import Console
    from rich.progress import track

    return track(parts, "reading", console=Console(stderr=True), transient=True)
