"""Learns what its owner calls a motion: windows in, activities out. No hat, no clock, no broker."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learner.recognizer import Prediction, Recognizer

__all__ = ["Prediction", "Recognizer"]


def __getattr__(name: str) -> Any:
    """Import the recognizer, and numpy with it, when it is first asked for."""
    if name in __all__:
        from learner import recognizer

        return getattr(recognizer, name)
    raise AttributeError(f"module 'learner' has no attribute {name!r}")
