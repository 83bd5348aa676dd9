"""A window as a learner takes it: its features on a grid, and those of displaced copies."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from learner.classifier import WindowShape
from learner.features import Features, Floats, Samples
from learner.sums import GRID, LIMIT

Words = NDArray[np.int16]


class Describer:
    """Owns its workspace: what it returns is overwritten by the next call of the same method."""

    def __init__(self, shape: WindowShape) -> None:
        from learner import kernels
        from learner.displacement import COPIES

        self._kernels = kernels
        self._features = Features(*shape)
        self._copy = np.zeros((shape.rows, shape.n_channels), dtype=np.float32)
        self._displaced = np.zeros((COPIES, self._features.size))
        self.size = self._features.size
        self.blocks, self.spreads = self._features.blocks, self._features.spreads

    def features(self, samples: Samples) -> Floats:
        """Return x (size,) of a window, clipped and rounded so that sums of it are exact."""
        x = self._features(samples)
        self._kernels.settle(x, LIMIT, GRID)
        return x

    def displaced(self, samples: Samples) -> Floats:
        """Return x (COPIES, size) of displaced copies of the window, always the same ones."""
        from learner.displacement import displace, draws

        for place, drawn in enumerate(draws(seed(samples))):
            displace(samples, drawn, self._copy)
            self._displaced[place] = self.features(self._copy)
        return self._displaced


def seed(samples: Samples) -> int:
    """Return what chance starts from for this window: the same for the same window."""
    return int.from_bytes(blake2b(samples.tobytes(), digest_size=8).digest(), "little")


def words(x: Floats) -> Words:
    """Return features in multiples of the grid. A copy."""
    return (x * (1.0 / GRID)).astype(np.int16)
