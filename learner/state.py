"""What a classifier's state is made of: arrays of a known kind and shape, rows sorted by name."""

from collections.abc import Iterable, Mapping
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

State = Mapping[str, NDArray[np.generic]]
Kind = TypeVar("Kind", bound=np.generic)


def checked(state: State, name: str, kind: type[Kind], shape: tuple[int, ...]) -> NDArray[Kind]:
    """Return a copy of the array `name`. KeyError, ValueError: it is missing, or not such a one."""
    array = state[name]
    if array.dtype != kind or array.shape != shape:
        expected = f"{np.dtype(kind)} {shape}"
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {expected}")
    return cast("NDArray[Kind]", array.copy())


def by_name(activities: Iterable[str]) -> list[int]:
    """Return the places of activities in the order of their names: rows to put into a state."""
    names = list(activities)
    return sorted(range(len(names)), key=names.__getitem__)


def from_sorted(activities: Iterable[str]) -> list[int]:
    """Return where each activity comes in the order of names: rows to take out of a state."""
    names = list(activities)
    return sorted(range(len(names)), key=by_name(names).__getitem__)
