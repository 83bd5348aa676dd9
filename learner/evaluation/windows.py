"""Recordings of people cut into windows, as all protocols see them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.features import Samples

Indices = NDArray[np.intp]

COVERED = 0.8  # of a window, by one label: else it shows more than one thing and has none
MIXED = -1


class Stretch(NamedTuple):
    """What one sensor saw without a gap. Stretches of one person are in order of time."""

    person: int
    samples: Samples  # (n, c)
    labels: NDArray[np.integer]  # (n,) from 0; below 0 where nobody knows


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Every window of every person, in order of time; window i is `samples(i)`."""

    rate_hz: float
    window_s: float
    length: int  # rows of a window
    hop: int  # rows from one window to the next
    names: tuple[str, ...]  # of the labels
    signal: Samples  # (rows, c) all stretches one after another
    row_labels: NDArray[np.int16]  # (rows,) which of `names`, or something else where it is none
    starts: Indices  # (n,) first row of each window
    stretches: Indices  # (n,) which stretch it was cut from
    people: Indices  # (n,) whose it is
    labels: Indices  # (n,) which of `names` covers it, MIXED where none covers enough

    def samples(self, index: int) -> Samples:
        """Return window `index`: (length, c), a view."""
        start = self.starts[index]
        return self.signal[start : start + self.length]

    def of(self, person: int) -> Indices:
        """Return the labelled windows of a person, in order of time."""
        return np.flatnonzero((self.people == person) & (self.labels != MIXED))

    def seconds(self, count: int) -> float:
        """Return how long `count` windows in a row last."""
        return self.window_s + (count - 1) * self.hop / self.rate_hz

    def follows(self, index: int, other: int) -> bool:
        """Tell whether `index` is the next window after `other`, nothing missing between."""
        same = self.stretches[index] == self.stretches[other]
        return bool(same and self.starts[index] - self.starts[other] == self.hop)


def cut(
    stretches: Iterable[Stretch],
    rate_hz: float,
    window_s: float,
    hop_s: float,
    names: Sequence[str],
) -> Windows:
    """Cut stretches into windows on the grid k·hop of each; none spans two stretches.

    Labels from len(names) on count as unlabelled. Raises ValueError where no window fits.
    """
    length, hop = round(rate_hz * window_s), round(rate_hz * hop_s)
    if not 1 <= hop <= length:
        raise ValueError(
            f"the hop is {hop_s:g} s, {hop} rows at {rate_hz:g} Hz: expected at least one row and"
            f" at most the window's {window_s:g} s"
        )
    signals, labels, starts, whose, origins = [], [], [], [], []
    row = 0
    for number, stretch in enumerate(stretches):
        signals.append(stretch.samples)
        labels.append(stretch.labels.astype(np.int16))
        first = row + np.arange(0, len(stretch.samples) - length + 1, hop)
        starts.append(first)
        whose.append(np.full(len(first), stretch.person))
        origins.append(np.full(len(first), number))
        row += len(stretch.samples)
    if not sum(map(len, starts)):
        raise ValueError(
            f"no stretch lasts a window of {window_s:g} s: record more, or shorten the window"
        )
    row_labels, first_rows = np.concatenate(labels), np.concatenate(starts)
    return Windows(
        rate_hz=rate_hz,
        window_s=window_s,
        length=length,
        hop=hop,
        names=tuple(names),
        signal=np.concatenate(signals),
        row_labels=row_labels,
        starts=first_rows,
        stretches=np.concatenate(origins),
        people=np.concatenate(whose),
        labels=_covering(row_labels, first_rows, length, len(names)),
    )


def _covering(
    row_labels: NDArray[np.int16], starts: Indices, length: int, n_labels: int
) -> Indices:
    """Label of each window: the one that at least COVERED of its rows have, or MIXED."""
    found = np.full(len(starts), MIXED, dtype=np.intp)
    for label in range(n_labels):
        counted = np.concatenate([[0], np.cumsum(row_labels == label)])
        found[counted[starts + length] - counted[starts] >= COVERED * length] = label
    return found
