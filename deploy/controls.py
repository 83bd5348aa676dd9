"""What the owner sets while it runs: kept in the journal, so that it outlives a restart."""

from dataclasses import replace

import msgspec

from deploy.messages import Controls
from learner.journal import Journal
from learner.recognizer import Prediction

CONTROLS = "controls"  # the journal's


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    learning: bool = True
    threshold_percent: float = 0.0


class Switches:
    """Whether anything can be taught, and how sure is sure enough."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        kept = journal.recall(CONTROLS)
        self._kept = _Kept() if kept is None else msgspec.json.decode(kept, type=_Kept)

    @property
    def learning(self) -> bool:
        return self._kept.learning

    def set_learning(self, on: bool) -> None:
        """On the disk when this returns."""
        self._keep(_Kept(learning=on, threshold_percent=self._kept.threshold_percent))

    def set_threshold(self, percent: float) -> None:
        """On the disk when this returns."""
        self._keep(_Kept(learning=self._kept.learning, threshold_percent=percent))

    def _keep(self, kept: _Kept) -> None:
        self._journal.remember(CONTROLS, msgspec.json.encode(kept), durable=True)
        self._kept = kept

    def told(self) -> Controls:
        return Controls(
            learning=self._kept.learning, threshold_percent=self._kept.threshold_percent
        )

    def sure(self, prediction: Prediction) -> Prediction:
        """Return the prediction, without its activity where it is less sure than is asked for."""
        if prediction.confidence * 100 >= self._kept.threshold_percent:
            return prediction
        return replace(prediction, activity=None, confidence=0.0)
