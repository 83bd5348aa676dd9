"""The recognizer as a scikit-learn classifier of whole windows."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from learner.adapters.packed import packed, unpacked
from learner.features import Floats, Samples
from learner.recognizer import Recognizer

FEWEST_ROWS = 8  # in a window that a recognizer takes


class BudgeClassifier(ClassifierMixin, BaseEstimator):
    """Learns windows of one length: X is (n, t, c), t rows at `rate_hz`, c = 3 or 6 channels.

    Channels are ax ay az in m/s² with gravity, then gx gy gz in rad/s. A two-dimensional X is, as
    in tslearn and aeon, (n, t): windows of one axis; the other two axes rest at 0. In a window of
    fewer than 8 rows each row is held for as long as it takes to make it 8, at a rate so much
    higher.

    `partial_fit` may bring labels that nobody has announced. `predict` names the most probable
    class even where the recognizer, which is `recognizer_`, would say that it is none of them.
    """

    classes_: NDArray[Any]  # (k,) sorted
    recognizer_: Recognizer

    def __init__(self, rate_hz: float = 50.0, classifier: str = "discriminant") -> None:
        self.rate_hz = rate_hz
        self.classifier = classifier

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 - scikit-learn's name
        """Forget what was learnt, and learn windows X (n, t, c) of classes y (n,)."""
        return self._learn(X, y, None, anew=True)

    def partial_fit(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Learn some more windows. `classes` are those to come, where they are known."""
        return self._learn(X, y, classes, anew=not hasattr(self, "recognizer_"))

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the most probable class of each window, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        named: NDArray[Any] = self.classes_[best]
        return named

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return probabilities (n, k) in the order of `classes_`; 0 for what was not yet taught."""
        check_is_fitted(self)
        windows, _ = _windows(validate_data(self, X, reset=False, dtype=np.float32, allow_nd=True))
        names = [str(label) for label in self.classes_]
        found = np.zeros((len(windows), len(names)))
        for row, window in zip(found, windows, strict=True):
            of = self.recognizer_.predict(window).probabilities
            row[:] = [of.get(name, 0.0) for name in names]
        return found

    def _learn(self, X: Any, y: Any, classes: Any, *, anew: bool) -> Self:  # noqa: N803
        X, y = validate_data(self, X, y, reset=anew, dtype=np.float32, allow_nd=True)  # noqa: N806
        check_classification_targets(y)
        windows, held = _windows(X)
        if anew:
            rate_hz = self.rate_hz * held
            rows, n_channels = windows.shape[1:]
            self.recognizer_ = Recognizer(rate_hz, n_channels, rows / rate_hz, self.classifier)
        known = [y] if anew else [y, self.classes_]
        if classes is not None:
            known.append(np.asarray(classes))
        self.classes_ = np.unique(np.concatenate(known))
        for window, label in zip(windows, y, strict=True):
            self.recognizer_.learn(window, str(label))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if "recognizer_" in state:
            state = state | {"recognizer_": packed(self.recognizer_)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "recognizer_" in state:
            state = state | {"recognizer_": unpacked(state["recognizer_"])}
        super().__setstate__(state)


def _windows(values: Samples) -> tuple[Samples, int]:
    """(n, t, c) windows of (n, t, c) or (n, t) values, and how often each row was repeated."""
    if values.ndim > 3:
        raise ValueError(
            f"X is {values.shape}, expected (windows, rows, 3 or 6) or (windows, rows)"
        )
    if values.ndim == 2:
        axis = values[:, :, None]
        values = np.concatenate([axis, np.zeros((*values.shape, 2), np.float32)], axis=2)
    held = -(-FEWEST_ROWS // values.shape[1])  # rounded up
    return np.repeat(values, held, axis=1), held
