"""`njit` where numba is, and the same code undecorated where it is not (32-bit Pi OS has none).

Importing this module imports numba. So modules with kernels are imported at the moment of need,
inside the function that needs them: `budge --help` does not wait for a compiler.
"""

import warnings
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

try:
    import numba
except ImportError:
    numba = None  # type: ignore[assignment]  # that is how the rest is told
    warnings.warn(
        "numba is not installed: the same code runs uncompiled, some hundred times slower;"
        " install numba where it has a wheel (it has none for 32-bit systems)",
        RuntimeWarning,
        stacklevel=2,
    )

COMPILES = numba is not None

# What the compiler may do to floats. It may reorder a sum, which is what lets it use vector units.
# It may not assume away NaN and infinity (`nnan`, `ninf`): a dropped sample is a NaN.
FLOAT_LIBERTIES = {"reassoc", "contract", "nsz"}
# A division by zero is infinite, as in numpy: a loop that could stop there is not vectorised.
BY_ZERO: Final = "numpy"


def njit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on its first call and keep the machine code on disk for the next start."""
    if numba is None:
        return function
    try:
        compiled: Callable[P, R] = numba.njit(
            cache=True, fastmath=FLOAT_LIBERTIES, error_model=BY_ZERO
        )(function)
    except RuntimeError:  # no directory to cache in is writable: compile anew at every start
        compiled = numba.njit(fastmath=FLOAT_LIBERTIES, error_model=BY_ZERO)(function)
    return compiled
