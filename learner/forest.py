"""A small forest of extremely randomized trees, grown from a sample of what was taught.

It is a function of the sample alone: the same windows give the same trees, bit for bit, whatever
the order they were taught in. So it is grown anew when it is needed after a lesson; that takes
some milliseconds, not less, and is why it is kept small. Geurts, Ernst, Wehenkel 2006, table 1:
at each node some features are drawn, each with one threshold, and the best of these splits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.compiled import njit

Words = NDArray[np.int16]
Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

TREES = 30
DRAWN = 50  # features looked at in each node
DEEPEST = 10
LEAF = -1


class Forest(NamedTuple):
    """Nodes of all trees, one after the other. A node's right child follows its left one."""

    roots: Ints  # (trees,)
    feature: Ints  # (nodes,) LEAF where it is one
    threshold: Words  # (nodes,) not above it: to the left
    child: Ints  # (nodes,) the left one; of a leaf: its row in `shares`
    shares: Floats  # (leaves, k)

    def vote(self, x: Words, out: Floats) -> None:
        """Fill out (k,) with the mean share of each class where x (d,) comes to rest."""
        vote(self.roots, self.feature, self.threshold, self.child, self.shares, x, out)


def grow_forest(vectors: Words, classes: Ints, weights: Floats, kinds: int) -> Forest:
    """Grow a forest from vectors (n, d) of classes (n,), of which there are `kinds`.

    weights (n,): what each vector counts for.
    """
    columns = np.ascontiguousarray(vectors.T)
    most = 2 * len(vectors)  # nodes of a tree with n leaves: 2 n - 1
    feature, child = np.empty((2, TREES * most), dtype=np.int32)
    threshold = np.empty(TREES * most, dtype=np.int16)
    shares = np.empty((TREES * len(vectors), kinds))
    roots = np.empty(TREES, dtype=np.int32)
    nodes, leaves = grow(
        columns, classes, weights, DRAWN, DEEPEST, roots, feature, threshold, child, shares
    )
    return Forest(
        roots,
        feature[:nodes].copy(),
        threshold[:nodes].copy(),
        child[:nodes].copy(),
        shares[:leaves].copy(),
    )


@njit
def grow(
    columns: Words,
    classes: Ints,
    weights: Floats,
    drawn: int,
    deepest: int,
    roots: Ints,
    feature: Ints,
    threshold: Words,
    child: Ints,
    shares: Floats,
) -> tuple[int, int]:
    """Grow as many trees as `roots` has places; returns how many nodes and leaves were filled.

    columns (d, n), classes and weights (n,), shares (leaves, k). A node has its rows between two
    places of `order`; splitting it parts them, as quicksort does.
    """
    count = columns.shape[1]
    order = np.empty(count, dtype=np.int32)
    here, left = np.empty(shares.shape[1]), np.empty(shares.shape[1])
    waiting = np.empty((2 * count + 2, 4), dtype=np.int32)  # node, first, past, depth
    kinds, counts = np.empty(count, dtype=np.int32), np.empty(count)  # classes, weights in a node
    values = np.empty(count, dtype=np.int16)
    chance, nodes, leaves = 1, 0, 0
    for tree in range(roots.size):
        for i in range(count):
            order[i] = i
        roots[tree] = nodes
        waiting[0, 0], waiting[0, 1], waiting[0, 2], waiting[0, 3] = nodes, 0, count, 0
        nodes += 1
        open_nodes = 1
        while open_nodes > 0:
            open_nodes -= 1
            at, first = waiting[open_nodes, 0], waiting[open_nodes, 1]
            past, depth = waiting[open_nodes, 2], waiting[open_nodes, 3]
            rows = order[first:past]
            total = tally(classes, weights, rows, kinds, counts, here)
            column, limit = LEAF, 0
            if depth < deepest and here.max() < total:
                chance, column, limit = best_split(
                    columns, kinds, counts, rows, drawn, chance, here, left, values
                )
            feature[at] = column
            if column == LEAF:
                child[at] = leaves
                for k in range(here.size):
                    shares[leaves, k] = here[k] / total
                leaves += 1
                continue
            threshold[at], child[at] = limit, nodes
            split = first
            for i in range(first, past):
                if columns[column, order[i]] <= limit:
                    order[i], order[split] = order[split], order[i]
                    split += 1
            for side in range(2):
                waiting[open_nodes, 0], waiting[open_nodes, 3] = nodes + side, depth + 1
                waiting[open_nodes, 1] = first if side == 0 else split
                waiting[open_nodes, 2] = split if side == 0 else past
                open_nodes += 1
            nodes += 2
    return nodes, leaves


@njit
def tally(
    classes: Ints, weights: Floats, rows: Ints, kinds: Ints, counts: Floats, out: Floats
) -> float:
    """Fill out (k,) with the weight of each class among `rows`, and return that of all.

    kinds and counts then begin with class and weight of each row: side by side, as `best_split`
    will look at them many times.
    """
    out[:] = 0.0
    total = 0.0
    for i in range(rows.size):
        kinds[i], counts[i] = classes[rows[i]], weights[rows[i]]
        out[kinds[i]] += counts[i]
        total += counts[i]
    return total


@njit
def best_split(
    columns: Words,
    kinds: Ints,
    counts: Floats,
    rows: Ints,
    drawn: int,
    chance: int,
    here: Floats,
    left: Floats,
    values: Words,
) -> tuple[int, int, int]:
    """Draw features and thresholds; return chance, and the split with the least Gini impurity.

    kinds and counts are those of `rows`, see `tally`; `values` is room for a column of them.
    A column with one value among the rows is none to split by: LEAF when all that were drawn are.
    Chance is x ← 48271 x mod 2³¹-1 (Park & Miller 1988), which a plain twin draws alike.
    """
    best, best_column, best_limit = -1.0, LEAF, 0
    total = here.sum()
    for _ in range(drawn):
        chance = chance * 48271 % 2147483647
        column = chance % columns.shape[0]
        chance = chance * 48271 % 2147483647
        low = high = int(columns[column, rows[0]])
        for i in range(rows.size):
            values[i] = columns[column, rows[i]]
        for i in range(rows.size):
            low, high = min(low, int(values[i])), max(high, int(values[i]))
        if low == high:
            continue
        limit = low + chance % (high - low)
        left[:] = 0.0
        lefts = 0.0
        for i in range(rows.size):
            if values[i] <= limit:
                left[kinds[i]] += counts[i]
                lefts += counts[i]
        squares_left, squares_right = 0.0, 0.0
        for k in range(left.size):
            squares_left += left[k] ** 2
            squares_right += (here[k] - left[k]) ** 2
        purity = squares_left / lefts + squares_right / (total - lefts)
        if purity > best:
            best, best_column, best_limit = purity, column, limit
    return chance, best_column, best_limit


@njit
def vote(
    roots: Ints,
    feature: Ints,
    threshold: Words,
    child: Ints,
    shares: Floats,
    x: Words,
    out: Floats,
) -> None:
    """out[k] = mean over the trees of shares[leaf where x comes to rest, k]."""
    out[:] = 0.0
    for tree in range(roots.size):
        at = roots[tree]
        while feature[at] != LEAF:
            at = child[at] + (x[feature[at]] > threshold[at])
        for k in range(out.size):
            out[k] += shares[child[at], k]
    out /= roots.size
