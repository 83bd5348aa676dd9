"""The recognizer as other libraries want their learners. Neither is imported before it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learner.adapters.river_stream import BudgeStream
    from learner.adapters.scikit_learn import BudgeClassifier

__all__ = ["BudgeClassifier", "BudgeStream"]

WHERE = {
    "BudgeClassifier": ("scikit_learn", "scikit-learn"),
    "BudgeStream": ("river_stream", "river"),
}


def __getattr__(name: str) -> Any:
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    file, package = WHERE[name]
    try:
        module = import_module(f"{__name__}.{file}")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name} needs {package}, and there is no module {error.name!r}: pip install {package}"
        ) from error
    return getattr(module, name)
