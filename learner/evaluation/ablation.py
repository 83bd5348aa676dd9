"""The default learner with one of its parts switched off: what falls is what the part is worth.

A part is off while names that the learner looks up each time it uses them, in its modules and
classes, mean something that does nothing. Compiled kernels keep the constants they were compiled
with, so nothing inside one is switched. It holds for this process: each one switches for itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from learner import committee, displacement, kernels, offset, plane
from learner.features import TYPICAL_SPREADS, Features, Floats, Samples
from learner.forward_filter import ForwardFilter
from learner.offset import Offset
from learner.plane import Far, Plane


class Switch(NamedTuple):
    """A name, where it is defined, and what it means while the part is off."""

    owner: Any  # a module or a class
    name: str
    off: Any


def _nothing(*_: Any) -> None:
    pass


def _copied(samples: Samples, _: Floats, out: Samples) -> None:
    out[:] = samples


def _by_itself(_: ForwardFilter, names: list[str], probabilities: Floats | None) -> Floats:
    return np.full(len(names), 1.0 / len(names)) if probabilities is None else probabilities


def _by_block_alone(far: Callable[..., Far]) -> Callable[..., Far]:
    return lambda *arguments: far(*arguments)._replace(whitened=1.0)


def _without_block(block: str, describe: Callable[..., Floats]) -> Callable[..., Floats]:
    def described(features: Features, samples: Samples) -> Floats:
        x = describe(features, samples)
        x[features.blocks[block]] = 0.0
        return x

    return described


PARTS: dict[str, tuple[Switch, ...]] = {
    # and with them the offset over time, which may move as far as they do
    "displaced copies": (Switch(displacement, "displace", _copied),),
    "forest": (Switch(committee, "COMPANY", 0.0),),
    "shrinkage of correlations": (Switch(plane, "_shrinkage", lambda *_: 0.0),),
    "overlap of windows": (
        Switch(plane, "INDEPENDENT", 1.0),
        Switch(offset, "INDEPENDENT", 1.0),
    ),
    "variance of another day": (Switch(plane, "ANEW", 0.0),),
    "caution from few windows and afar": (Switch(committee, "CAUTION", 0.0),),
    "novelty: caution from few windows": (Switch(committee, "FEW_FOR_DISTANCES", 0.0),),
    "novelty: activities in question": (Switch(committee, "BETWEEN_WEIGHT", 0.0),),
    "novelty: block that differs most": (Switch(committee, "BLOCK_WEIGHT", 0.0),),
    "novelty: distance in the plane": (Switch(Plane, "far", _by_block_alone(Plane.far)),),
    "novelty: nearest window": (Switch(kernels, "nearest_square", lambda *_: 1.0),),
    "offset over time": (Switch(Offset, "note", _nothing),),
    "forward filter": (Switch(ForwardFilter, "follow", _by_itself),),
    "learnt stickiness": (Switch(ForwardFilter, "_count", _nothing),),
    **{
        f"features: {block}": (
            Switch(Features, "__call__", _without_block(block, Features.__call__)),
        )
        for block in TYPICAL_SPREADS
    },
}


@contextmanager
def without(part: str) -> Iterator[None]:
    """Switch one of PARTS off, for recognizers that are made, taught and asked inside."""
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in PARTS[part]]
    try:
        for owner, name, off in PARTS[part]:
            setattr(owner, name, off)
        yield
    finally:
        for owner, name, on in before:
            setattr(owner, name, on)
