"""What comes out of messages: samples with their stamps, and between them what was lost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class PayloadError(ValueError):
    """A message that cannot be read; of each `kind` the owner is told once."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Samples of one sender in a row."""

    stamps: Floats  # (n,) s of the sender's clock
    rows: Floats  # (n, c) m/s², rad/s
    newest_s: float  # what the sender's clock showed at least, when it sent this


@dataclass(frozen=True, slots=True)
class Lost:
    """At this place something is missing; `again`: the sender, and its clock, started anew."""

    cause: str
    again: bool = False
