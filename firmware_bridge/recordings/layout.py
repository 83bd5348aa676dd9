"""How somebody published the recordings of many people as a folder of files.

One layout is one file in `layouts/` and keeps `Layout`; which one a folder has is seen by looking
into it. What is read becomes a `Collection`, the arrays of `npz_file.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.recording import RecordingError

PACE = 0.1  # a run whose rate differs by more is not what the collection says it is


class Piece(NamedTuple):
    """What one person's sensor saw, 1 / rate apart, without a gap."""

    subject: int
    signal: NDArray[np.float32]  # (n, 3 or 6) accel with gravity in ACC_UNITS, gyro in rad/s
    codes: NDArray[np.int16]  # (n,) which of ACTIVITIES; UNLABELLED where unknown


class Layout(Protocol):
    """What a file in `layouts/` offers."""

    DATASET: str  # what it is called, who published it
    LANDMARK: str  # what a folder with this layout holds, for people
    RATE_HZ: float
    ACC_UNITS: str  # "g" or "m/s^2"
    ACTIVITIES: tuple[str, ...]
    PLACES: tuple[str, ...]  # where a sensor was worn, the usual choice first

    def parts(self, folder: Path, place: str) -> list[Path]:
        """What there is to read of a place, in order; nothing in a folder of another layout."""

    def read(self, part: Path, place: str, skipped: Counter[str]) -> Iterable[Piece]:
        """Read one part; count in `skipped` what is left out. Raises RecordingError."""


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Everybody's pieces, one after the other."""

    signal: NDArray[np.float32]  # (n, 3 or 6)
    subject: NDArray[np.int32]  # (n,)
    label: NDArray[np.int16]  # (n,)
    segment: NDArray[np.int32]  # (n,) counts pieces
    label_names: tuple[str, ...]
    meta: dict[str, Any]


def names() -> list[str]:
    """Every layout there is."""
    folder = Path(__file__).parent / "layouts"
    return sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")


def named(name: str) -> Layout:
    """Return the layout of the file `name`."""
    return cast("Layout", import_module(f"firmware_bridge.recordings.layouts.{name}"))


def find(folder: Path) -> tuple[Layout, Path]:
    """Say which layout a folder has, itself or one level down, and where it begins."""
    places = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    layouts = [named(name) for name in names()]
    found = [
        (layout, place)
        for place in places
        for layout in layouts
        if any(layout.parts(place, where) for where in layout.PLACES)
    ]
    if not found:
        known = "; ".join(f"{layout.DATASET}: {layout.LANDMARK}" for layout in layouts)
        raise RecordingError(f"{folder}: no collection of a known layout, expected one of {known}")
    if len(found) > 1:
        there = ", ".join(str(place) for _, place in found)
        raise RecordingError(
            f"{folder}: {len(found)} collections, expected one: name one of {there}"
        )
    return found[0]


def collect(
    folder: Path,
    place: str | None = None,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> Collection:
    """Read a whole folder, of one place. Raises RecordingError with the file and what is wrong."""
    layout, home = find(folder)
    place = layout.PLACES[0] if place is None else place
    if place not in layout.PLACES:
        there = ", ".join(layout.PLACES)
        raise RecordingError(f"{home}: no sensor was worn at {place!r}, there are: {there}")
    parts = layout.parts(home, place)
    skipped: Counter[str] = Counter()
    pieces = [piece for part in progress(parts) for piece in layout.read(part, place, skipped)]
    if not pieces:
        raise RecordingError(f"{home}: no rows of {place} are left; left out: {dict(skipped)}")
    sizes = [len(piece.signal) for piece in pieces]
    n_channels = pieces[0].signal.shape[1]
    meta = {
        "dataset": layout.DATASET,
        "placement": place,
        "rate_hz": layout.RATE_HZ,
        "acc_units": layout.ACC_UNITS,
        **({"gyro_units": "rad/s"} if n_channels > 3 else {}),
        "segment": "rows without a gap, of one person",
        "skipped": dict(skipped),
    }
    return Collection(
        signal=np.concatenate([piece.signal for piece in pieces]),
        subject=np.repeat(np.array([piece.subject for piece in pieces], np.int32), sizes),
        label=np.concatenate([piece.codes for piece in pieces]),
        segment=np.repeat(np.arange(len(pieces), dtype=np.int32), sizes),
        label_names=layout.ACTIVITIES,
        meta=meta,
    )


def continuous(
    times_s: NDArray[np.float64], rate_hz: float, longest_s: float, skipped: Counter[str]
) -> list[slice]:
    """Cut rows where time goes back or a step is longer than `longest_s`."""
    steps_s = np.diff(times_s)
    cuts = np.flatnonzero((steps_s <= 0) | (steps_s > longest_s)) + 1
    kept = []
    for first, after in pairwise([0, *cuts.tolist(), len(times_s)]):
        steps = after - first - 1
        if steps < 1:
            skipped["rows between two gaps"] += after - first
        elif abs((times_s[after - 1] - times_s[first]) * rate_hz / steps - 1) > PACE:
            skipped[f"rows that are not {rate_hz:g} Hz by their times"] += after - first
        else:
            kept.append(slice(first, after))
    return kept


def coded(numbers: NDArray[np.float64], code_of: dict[int, int], path: Path) -> NDArray[np.int16]:
    """Translate the numbers a publisher gave to activities, one a line of the file."""
    codes = np.full(len(numbers), np.iinfo(np.int16).min, np.int16)
    for number, code in code_of.items():
        codes[numbers == number] = code
    unknown = np.flatnonzero(codes == np.iinfo(np.int16).min)
    if len(unknown):
        row = int(unknown[0])
        known = ", ".join(map(str, code_of))
        raise RecordingError(
            f"{path}, line {row + 1}: activity {numbers[row]:g}, expected one of {known}"
        )
    return codes
