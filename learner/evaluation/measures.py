"""What is said about answers: right, sure, new, late. Labels are whole numbers, -1 is unknown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner.features import Floats

Labels = NDArray[np.intp]
Flags = NDArray[np.bool_]

UNKNOWN = -1
BINS = 15


def accuracy(truth: Labels, named: Labels) -> float:
    """Share of windows named as they are. Unknown is wrong."""
    return float(np.mean(truth == named))


def confusion(truth: Labels, named: Labels, n_labels: int) -> NDArray[np.intp]:
    """Count windows: (k, k + 1), a row per true label, a column per named one, unknown the last."""
    column = np.where(named == UNKNOWN, n_labels, named)
    counts = np.bincount(truth * (n_labels + 1) + column, minlength=n_labels * (n_labels + 1))
    return counts.reshape(n_labels, n_labels + 1)


def macro_f1(counts: NDArray[np.intp]) -> float:
    """Mean F1 of a confusion matrix over the labels that occur in truth."""
    right = np.diagonal(counts)
    real, said = counts.sum(axis=1), counts.sum(axis=0)[:-1]
    there = real > 0
    return float(np.mean(2.0 * right[there] / (real + said)[there]))


def calibration_error(confidence: Floats, right: Flags, bins: int = BINS) -> float:
    """Expected calibration error: how far confidence is from accuracy, bin by bin of equal width.

    Guo, Pleiss, Sun, Weinberger 2017, equation 3. A window called unknown has confidence 0.
    """
    bin_of = np.maximum(np.ceil(confidence * bins).astype(int) - 1, 0)  # (low, high]
    sure = np.bincount(bin_of, weights=confidence, minlength=bins)
    hits = np.bincount(bin_of, weights=right, minlength=bins)
    return float(np.abs(sure - hits).sum() / len(confidence))


def auroc(scores: Floats, positive: Flags) -> float:
    """Chance that a positive scores above a negative, a tie counting half; both must occur.

    The area under the ROC curve is this chance: Hanley, McNeil 1982.
    """
    below = np.sort(scores[~positive])
    above = scores[positive]
    wins = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(wins.mean() / (2.0 * len(below)))


def changes(truth: Labels, stretches: Labels) -> Labels:
    """Places at which the label is another than at the window before, within a stretch."""
    return 1 + np.flatnonzero((np.diff(truth) != 0) & (np.diff(stretches) == 0))


def delays(truth: Labels, named: Labels, stretches: Labels) -> Labels:
    """How many windows each true change was named late, in order of time.

    Windows of what came to an end are not counted; an activity that is never named is late by all
    of its windows.
    """
    ends = np.append(
        np.flatnonzero((np.diff(truth) != 0) | (np.diff(stretches) != 0)) + 1, len(truth)
    )
    late = []
    for start in changes(truth, stretches):
        end = ends[np.searchsorted(ends, start, side="right")]
        hits = np.flatnonzero(named[start:end] == truth[start])
        late.append(hits[0] if len(hits) else end - start)
    return np.array(late, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Prequential:
    """What test-then-train says, beside what it would say of a learner that repeats the last."""

    no_change: float  # accuracy of naming what was taught last
    changes: int
    at_changes: float  # accuracy at the windows where that is wrong; NaN where there are none


def prequential(truth: Labels, named: Labels) -> Prequential:
    """Measure windows that were tested in the order in which they were taught."""
    changed = np.diff(truth) != 0
    at = (named == truth)[1:][changed]
    repeated = float(np.sum(~changed) / len(truth))  # before the first there is nothing to repeat
    return Prequential(repeated, len(at), float(at.mean()) if len(at) else float("nan"))
