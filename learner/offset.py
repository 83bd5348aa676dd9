"""How the sensor sits today, seen without a label: an offset that all windows share.

While it is plain what is going on (a walk), windows lie off what was taught by how the sensor was
put on today. Much the same holds for what is less plain next (sitting or standing), so there it is
allowed for. Only the features of posture are taken to move, and by no more than is plausible: the
estimate is the posterior mean of an offset of the displacements' variance v,

    offset = r̄ · v / (v + w / n)      r̄: mean of n residuals of variance w within activities

in which old windows fade. Nothing of it is learnt: it is gone with the process.
"""

import numpy as np

from learner.features import Floats

HALF_LIFE_WINDOWS = 60.0
INDEPENDENT = 0.5  # windows overlap by half
KEEP = 0.5 ** (1.0 / HALF_LIFE_WINDOWS)


class Offset:
    """Residuals in, their common part out."""

    def __init__(self, size: int) -> None:
        self._sum = np.zeros(size)
        self._windows = 0.0
        self.estimate: Floats = np.zeros(size)

    def note(self, residual: Floats, odds: Floats) -> None:
        """Take the residual (size,) of one window; odds (size,) are v / w."""
        self._sum *= KEEP
        self._sum += residual
        self._windows = KEEP * self._windows + 1.0
        certain = odds * (INDEPENDENT * self._windows)
        self.estimate = self._sum * (certain / (1.0 + certain) / self._windows)
