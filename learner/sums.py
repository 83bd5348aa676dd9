"""All that a discriminant learns, as sums over windows: exact, so they can be taken back and added.

Of every window there are x, its features, and e, what displacements change in them, a row for each
copy (`learner.displacement`); the copies of a window count as one together. Kept are how many
windows there were of each activity, Σ x of each, and over everything Σ x xᵀ and Σ e eᵀ; and for
novelty, per activity and block of features, Σ |x|² and Σ |e|².

Sums have no order. And they are *exact*: every entry of x and e is clipped to ±LIMIT and rounded
to a multiple of 2⁻¹², so a product is a multiple of 2⁻²⁴ (of e, shared by two copies, of 2⁻²⁵)
and at most 2⁶. A float64 has 53 bits and holds every multiple of 2⁻²⁵ up to 2²⁸ without rounding;
that many are 2²⁸ / 2⁶ = 2²² windows, 4 million, at one each 1.28 s two months of nothing but
teaching (|e|² over a block is a sum already: some 26,000 windows that saturate everywhere). Beyond
that, and once `fade` has been used, sums round as floats do. A feature beyond the limit is as large
as can be said.

The two matrices are the slow part: a lesson changes all of them, 3 MB of memory. So lessons wait
until there are SHEAF of them or somebody looks, and are then summed up in one pass; being exact,
that is the same to the last bit.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from learner.features import Floats
from learner.state import checked

GRID = 2.0**-12
LIMIT = 8.0 - GRID  # so that a vector in multiples of GRID fits in int16
SHEAF = 4  # lessons summed up at once: more save no time, they no longer fit in the nearest cache
FADED_AWAY = 1e-100  # of a window: counts for nothing, and there is still a mean


class Sums:
    """Sums over vectors of length `size`, cut into `blocks`."""

    def __init__(self, size: int, blocks: Mapping[str, slice]) -> None:
        from learner import kernels

        self._kernels = kernels
        self.size = size
        self._firsts = np.array([block.start for block in blocks.values()], dtype=np.intp)
        first = blocks["mean"].start
        self.posture = slice(first, first + 3)  # mean acceleration along x, y, z
        self.movable = [blocks["mean"], blocks["quantile"]]  # by putting the sensor on anew
        self.bounds = np.append(self._firsts, size)  # where each block begins, and the end
        self.block_widths = np.diff(self.bounds)
        self.masses: dict[str, float] = {}  # windows; less where `fade` made them count less
        self.sums: dict[str, Floats] = {}  # (size,)
        self.squares: dict[str, Floats] = {}  # (2, blocks): of x, of e
        # of x, of e: the lower triangles are kept
        self._moments: Floats = np.zeros((2, size, size))
        # lessons that are not yet in the moments: x, e, weight
        self._waiting: list[tuple[Floats, Floats, float]] = []

    @property
    def mass(self) -> float:
        return math.fsum(self.masses.values())  # the same in whatever order

    @property
    def moment(self) -> Floats:
        """Σ x xᵀ (size, size), its lower triangle."""
        self.sum_up()
        moment: Floats = self._moments[0]
        return moment

    @property
    def displaced(self) -> Floats:
        """Σ e eᵀ (size, size), its lower triangle."""
        self.sum_up()
        displaced: Floats = self._moments[1]
        return displaced

    def put(self, activity: str, x: Floats, e: Floats) -> None:
        """Add one window of an activity, old or new: x (size,), e (copies, size)."""
        if activity not in self.masses:
            self._open(activity)
        self._shift(activity, x, e, 1.0)

    def discard(self, activity: str, x: Floats, e: Floats) -> None:
        """Take away one window of an activity; with its last one the activity goes."""
        self._shift(activity, x, e, -1.0)
        if self.masses[activity] == 0.0:
            del self.masses[activity], self.sums[activity], self.squares[activity]

    def _open(self, activity: str) -> None:
        self.masses[activity] = 0.0
        self.sums[activity] = np.zeros(self.size)
        self.squares[activity] = np.zeros((2, len(self._firsts)))

    def _shift(self, activity: str, x: Floats, e: Floats, weight: float) -> None:
        self.masses[activity] += weight
        self.sums[activity] += weight * x
        squares = self.squares[activity]
        self._kernels.block_squares(x, self.bounds, weight, squares[0])
        for copy in e:
            self._kernels.block_squares(copy, self.bounds, weight / len(e), squares[1])
        self._waiting.append((x, e, weight))
        if len(self._waiting) == SHEAF:
            self.sum_up()

    def sum_up(self) -> None:
        """Put the lessons that wait into the moments."""
        if not self._waiting:
            return
        x, e, weights = zip(*self._waiting, strict=True)
        copies = len(e[0])
        self._kernels.add_outers(np.array(x), np.array(weights), self._moments[0])
        shared = np.repeat(weights, copies) / copies
        self._kernels.add_outers(np.concatenate(e), shared, self._moments[1])
        self._waiting.clear()

    def block_means(self, values: Floats) -> Floats:
        """Mean over each block of values (..., size)."""
        totals: Floats = np.add.reduceat(values, self._firsts, axis=-1) / self.block_widths
        return totals

    def identity(self, activity: str) -> bytes:
        """Return what tells an activity from the others, whatever it is called.

        Floats added up in the order of this are the same to the last bit in whatever order, and
        under whatever names, things were taught.
        """
        if activity not in self.sums:
            return b""
        return np.append(self.sums[activity], self.masses[activity]).tobytes()

    def within(self) -> Floats:
        """Scatter within the activities, Σ x xᵀ - Σ_k s_k s_kᵀ / n_k; the lower triangle counts."""
        if not self.masses:
            return self.moment.copy()
        names = sorted(self.masses, key=self.identity)
        rooted = np.array([self.sums[a] / np.sqrt(self.masses[a]) for a in names])
        scatter: Floats = self.moment - rooted.T @ rooted
        return scatter

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name, or put it to the one that has the name."""
        for sums in (self.masses, self.sums, self.squares):
            _rename(sums, old, new)

    def fade(self, factor: float) -> None:
        """Let all that was learnt count `factor` times as much as before."""
        for activity, mass in self.masses.items():
            if mass < FADED_AWAY:
                continue
            self.masses[activity] *= factor
            self.sums[activity] *= factor
            self.squares[activity] *= factor
        self.sum_up()
        self._moments *= factor

    def add(self, other: Self) -> None:
        """Add what another has summed."""
        self.sum_up()
        for activity, mass in other.masses.items():
            if activity not in self.masses:
                self._open(activity)
            self.masses[activity] += mass
            self.sums[activity] += other.sums[activity]
            self.squares[activity] += other.squares[activity]
        self._moments[0] += other.moment
        self._moments[1] += other.displaced

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return everything as named arrays, activities sorted by name, triangles row by row."""
        names, blocks = sorted(self.masses), len(self._firsts)
        triangle = np.tril_indices(self.size)
        return {
            "masses": np.array([self.masses[name] for name in names], dtype=np.float64),
            "sums": np.array([self.sums[a] for a in names]).reshape(-1, self.size),
            "squares": np.array([self.squares[a] for a in names]).reshape(-1, 2, blocks),
            "moment": self.moment[triangle],
            "displaced": self.displaced[triangle],
        }

    def restore(self, names: list[str], state: Mapping[str, NDArray[np.generic]]) -> None:
        """Become what `state` was taken from, of the activities `names` (sorted).

        KeyError, ValueError: not a state of this size.
        """
        triangle = np.tril_indices(self.size)
        shapes = {
            "masses": (len(names),),
            "sums": (len(names), self.size),
            "squares": (len(names), 2, len(self._firsts)),
            "moment": triangle[0].shape,
            "displaced": triangle[0].shape,
        }
        arrays = {name: checked(state, name, np.float64, shape) for name, shape in shapes.items()}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name} is not finite everywhere, expected sums")
        self._waiting.clear()
        self._moments[0][triangle] = arrays["moment"]
        self._moments[1][triangle] = arrays["displaced"]
        self.masses = dict(zip(names, arrays["masses"].tolist(), strict=True))
        self.sums = dict(zip(names, arrays["sums"], strict=True))
        self.squares = dict(zip(names, arrays["squares"], strict=True))


def _rename(sums: dict[str, Any], old: str, new: str) -> None:
    if new in sums:
        sums[new] = sums[new] + sums.pop(old)
        return
    items = [(new if name == old else name, value) for name, value in sums.items()]
    sums.clear()
    sums.update(items)
