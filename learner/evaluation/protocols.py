"""Which windows are taught and which are tested, so that no row of a recording is on both sides.

The next session is what a person wants to know: taught today, is it right tomorrow? Where a label
was recorded in several stretches, the first half of them is taught and the rest tested; where it
was recorded in one, its first half in time. A window that shares rows with the other side is on
neither.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.evaluation.windows import Indices, Windows

FEW_S = 10.0
FEW_WINDOWS = 10
NO_LABEL = "no window shows one labelled activity: expected some that last a window or longer"


class ProtocolError(ValueError):
    """There is too little of this person for this protocol; the sentence says what is missing."""


class Split(NamedTuple):
    """Windows, both in order of time."""

    taught: Indices
    tested: Indices


class Rules(NamedTuple):
    """How a learner is examined."""

    split: Callable[[Windows, int], Split]
    starter: bool = False  # everybody else is pooled before this person teaches anything
    prequential: bool = False  # what is taught is what is tested, each window just before


def next_session(windows: Windows, person: int) -> Split:
    """Teach the first half of a person's stretches of each label, test the others."""
    mine = windows.of(person)
    taught, tested = [], []
    for label in np.unique(windows.labels[mine]):
        its = mine[windows.labels[mine] == label]
        stretches = np.unique(windows.stretches[its])
        if len(stretches) > 1:
            place, border = windows.stretches[its], stretches[(len(stretches) + 1) // 2]
            first, last = place < border, place >= border
        else:  # twice the centre of a window: whole numbers
            starts, length = windows.starts[its], windows.length
            border = np.median(2 * starts + length)
            first, last = 2 * (starts + length) <= border, 2 * starts >= border
        taught.append(its[first])
        tested.append(its[last])
    if not taught:
        raise ProtocolError(NO_LABEL)
    split = _apart(windows, np.sort(np.concatenate(taught)), np.sort(np.concatenate(tested)))
    for side, word in ((split.taught, "teach"), (split.tested, "test")):
        if not len(side):
            raise ProtocolError(
                f"nothing is left to {word}: expected two recordings of an activity, or one of"
                f" more than {3 * windows.window_s:g} s"
            )
    return split


def ten_seconds(windows: Windows, person: int) -> Split:
    """As `next_session`, but teach no more than the first 10 s of each label."""
    taught, tested = next_session(windows, person)
    kept = []
    for label in np.unique(windows.labels[taught]):
        its = taught[windows.labels[taught] == label]
        # rows of the label on the taught side up to the end of each window, each row once
        rows = (windows.starts[its][:, None] + np.arange(windows.length)).ravel()
        rows = np.unique(rows[windows.row_labels[rows] == label])
        seen = np.searchsorted(rows, windows.starts[its] + windows.length)
        within = seen <= FEW_S * windows.rate_hz
        within[0] = True  # however long a window is
        kept.append(its[within])
    return Split(np.sort(np.concatenate(kept)), tested)


def ten_windows(windows: Windows, person: int) -> Split:
    """As `next_session`, but teach the first ten windows in all, of each label about as many.

    Of each label at least one.
    """
    taught, tested = next_session(windows, person)
    labels = windows.labels[taught]
    known = np.unique(labels)
    shares = [max(1, len(part)) for part in np.array_split(np.arange(FEW_WINDOWS), len(known))]
    kept = [taught[labels == label][:share] for label, share in zip(known, shares, strict=True)]
    return Split(np.sort(np.concatenate(kept)), tested)


def new_person(windows: Windows, person: int) -> Split:
    """Teach nothing of this person, test everything."""
    tested = windows.of(person)
    if not len(tested):
        raise ProtocolError(NO_LABEL)
    return Split(np.empty(0, dtype=np.intp), tested)


def prequential(windows: Windows, person: int) -> Split:
    """Test and then teach every window of the taught side."""
    taught = next_session(windows, person).taught
    return Split(taught, taught)


PROTOCOLS = {
    "next_session": Rules(next_session),
    "ten_seconds": Rules(ten_seconds),
    "ten_windows": Rules(ten_windows),
    "new_person": Rules(new_person, starter=True),
    "new_person_ten_seconds": Rules(ten_seconds, starter=True),
    "new_person_ten_windows": Rules(ten_windows, starter=True),
    "new_person_next_session": Rules(next_session, starter=True),
    "prequential": Rules(prequential, prequential=True),
}


def _apart(windows: Windows, taught: Indices, tested: Indices) -> Split:
    """Drop from both sides what shares a row with the other: labels end in different stretches."""
    return Split(
        taught[~_touching(windows, taught, tested)], tested[~_touching(windows, tested, taught)]
    )


def _touching(windows: Windows, these: Indices, others: Indices) -> NDArray[np.bool_]:
    """Which of `these` share a row with one of `others`; both in order."""
    starts, far = windows.starts[these], windows.starts[others]
    # the first of the others that ends after this one begins; does it begin before this one ends?
    nearest = np.searchsorted(far + windows.length, starts, side="right")
    padded = np.append(far, np.iinfo(far.dtype).max)
    return np.asarray(padded[nearest] < starts + windows.length)
