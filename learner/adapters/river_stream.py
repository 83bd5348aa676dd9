"""The recognizer as a River classifier of a stream of sensor rows."""

from collections import Counter, deque
from math import isfinite
from typing import Any

import numpy as np
from river import base

from learner.adapters.packed import packed, unpacked
from learner.recognizer import Recognizer

COVERED = 0.8  # a window shows the label that so much of it has


class BudgeStream(base.Classifier):  # type: ignore[misc,unused-ignore]  # Any without river
    """Learns from rows as the sensor gives them: x is {"ax": 0.1, "ay": 0.0, "az": 9.8, ...}.

    Rows come one 1/`rate_hz` after the other; accelerations are in m/s² with gravity, rotation in
    rad/s, `channels` their three or six names in x, the accelerometer's first. A channel that a
    row lacks keeps its last value; other names are not looked at.

    `learn_one` takes every row, in order, with y None where nobody said what it is: it moves the
    window. Each half window one is taught, if at least 80 % of it have one label. `predict_one` and
    `predict_proba_one` say what the window that would end with x shows, and change nothing. Before
    a window is whole and one is taught, they know only how often each label was said.
    """

    def __init__(
        self,
        rate_hz: float = 50.0,
        window_s: float = 2.56,
        channels: tuple[str, ...] = ("ax", "ay", "az", "gx", "gy", "gz"),
        classifier: str = "discriminant",
    ) -> None:
        self.rate_hz = rate_hz
        self.window_s = window_s
        self.channels = channels
        self.classifier = classifier
        self._recognizer = Recognizer(rate_hz, len(channels), window_s, classifier)
        self._latest: dict[str, float] = {}
        self._said: Counter[base.typing.ClfTarget] = Counter()
        self.gap()

    def gap(self) -> None:
        """Tell that the next row does not follow the last: no window will hold both."""
        rows = self._recognizer.window_rows
        self._window: deque[list[float]] = deque(maxlen=rows)
        self._labels: deque[base.typing.ClfTarget | None] = deque(maxlen=rows)
        self._till_lesson = rows

    def learn_one(self, x: dict[Any, Any], y: base.typing.ClfTarget | None = None) -> None:
        """Take the next row. Raises ValueError for one without a channel, or with NaN in one."""
        self._latest = self._merged(x)
        if y is not None:
            self._said[y] += 1
        if len(self._latest) < len(self.channels):
            return
        self._window.append(self._row(self._latest))
        self._labels.append(y)
        self._till_lesson -= 1
        if self._till_lesson == 0:
            rows = self._recognizer.window_rows
            self._till_lesson = rows // 2
            label, count = Counter(self._labels).most_common(1)[0]
            if label is not None and count >= COVERED * rows:
                self._recognizer.learn(np.array(self._window, np.float32), str(label))

    def predict_proba_one(self, x: dict[Any, Any], **_kwargs: Any) -> dict[Any, float]:
        """Return the probability of every label said so far; of none, if there was none."""
        rows = self._recognizer.window_rows
        latest = self._merged(x)
        window = [*self._window, self._row(latest)][-rows:] if self._window else []
        if len(window) < rows or not self._recognizer.activities:
            return {label: count / self._said.total() for label, count in self._said.items()}
        found = self._recognizer.predict(np.array(window, np.float32)).probabilities
        return {label: found.get(str(label), 0.0) for label in self._said}

    @property
    def _multiclass(self) -> bool:
        return True

    def _merged(self, x: dict[Any, Any]) -> dict[str, float]:
        """What is known of each channel once x has come."""
        there = {name: float(x[name]) for name in self.channels if name in x}
        if not there:
            raise ValueError(f"x has {list(x)}, expected some of the channels {self.channels}")
        for name, value in there.items():
            if not isfinite(value):
                raise ValueError(f"x has {value} as {name}, expected a finite number")
        return self._latest | there

    def _row(self, values: dict[str, float]) -> list[float]:
        return [values[name] for name in self.channels]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_recognizer": packed(self._recognizer)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_recognizer": unpacked(state["_recognizer"])})
