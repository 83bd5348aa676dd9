"""Slow and obvious twins of the kernels in `learner/forest.py` and `learner/displacement.py`."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner import displacement

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Words = NDArray[np.int16]


# --- a tree as it is drawn: a leaf is the shares of the classes, a branch parts the rows ----------


class Leaf(NamedTuple):
    shares: tuple[float, ...]


class Branch(NamedTuple):
    feature: int
    threshold: int
    left: "Branch | Leaf"
    right: "Branch | Leaf"


class Grower:
    """Grows trees one after the other, from one stream of chance."""

    def __init__(self, columns: Words, classes: Ints, weights: Floats, kinds: int) -> None:
        self.columns, self.classes = columns.astype(int), classes
        self.weights, self.kinds = weights, kinds
        self.chance = 1

    def draw(self, below: int) -> int:
        """Draw from 0 ... below - 1 by Park and Miller's minimal standard; below 0 is no use."""
        self.chance = 48271 * self.chance % (2**31 - 1)
        return self.chance % below if below else 0

    def tally(self, rows: NDArray[np.intp]) -> Floats:
        return np.bincount(self.classes[rows], self.weights[rows], self.kinds).astype(np.float64)

    def best_split(self, rows: NDArray[np.intp], drawn: int) -> tuple[int, int] | None:
        splits: list[tuple[float, tuple[int, int]]] = []
        for _ in range(drawn):
            column = self.draw(len(self.columns))
            values = self.columns[column, rows]
            span = values.max() - values.min()
            limit = values.min() + self.draw(span)
            if span:
                left, right = self.tally(rows[values <= limit]), self.tally(rows[values > limit])
                pure = (left**2).sum() / left.sum() + (right**2).sum() / right.sum()
                splits.append((pure, (column, int(limit))))
        return max(splits, key=lambda split: split[0])[1] if splits else None

    def tree(self, rows: NDArray[np.intp], drawn: int, levels: int) -> Branch | Leaf:
        tally = self.tally(rows)
        split = self.best_split(rows, drawn) if levels and np.count_nonzero(tally) > 1 else None
        if split is None:
            return Leaf(tuple(tally / tally.sum()))
        column, limit = split
        below = self.columns[column, rows] <= limit
        right = self.tree(rows[~below], drawn, levels - 1)  # the right side is grown first
        return Branch(column, limit, self.tree(rows[below], drawn, levels - 1), right)

    def forest(self, trees: int, drawn: int, levels: int) -> list[Branch | Leaf]:
        everything = np.arange(len(self.classes))
        return [self.tree(everything, drawn, levels) for _ in range(trees)]


def vote(trees: list[Branch | Leaf], x: Words) -> Floats:
    shares = []
    for tree in trees:
        at = tree
        while isinstance(at, Branch):
            at = at.left if x[at.feature] <= at.threshold else at.right
        shares.append(at.shares)
    return np.asarray(np.mean(shares, axis=0))


# --- the same motion on another day ---------------------------------------------------------------


def rotation(x: float, y: float, z: float) -> Floats:
    """The exponential of the cross product with (x, y, z), as its power series."""
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    terms = [np.eye(3)]
    for n in range(1, 40):
        terms.append(terms[-1] @ cross / n)
    return np.asarray(sum(terms))


def displace(samples: NDArray[np.float32], draws: Floats) -> Floats:
    rows, channels = samples.shape
    turn = rotation(*(displacement.TURN_RAD * draws[:3]))
    tempo = max(1.0 - displacement.SLOWER * abs(draws[3]), displacement.SLOWEST)
    size = math.exp(displacement.LARGER * draws[4])
    spare = (1.0 - tempo) * (rows - 1)  # rows of the window that are not played
    times = spare * draws[5] + tempo * np.arange(rows)
    moved = np.array(
        [np.interp(times, np.arange(rows), channel) for channel in samples.T.astype(np.float64)]
    ).T
    moved[:, 3:] *= tempo
    moved = moved.mean(axis=0) + size * (moved - moved.mean(axis=0))
    turned = np.hstack([moved[:, c : c + 3] @ turn.T for c in range(0, channels, 3)])
    return np.asarray(np.clip(turned, -displacement.LARGEST, displacement.LARGEST))
