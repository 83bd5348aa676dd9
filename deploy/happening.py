"""What is happening now, told when it changes: the activity, and the transitions between two.

The transition that has started is kept in the journal, so that its end is told even when a crash
or a power cut came between.
"""

import json
from collections.abc import Iterator

from deploy.messages import UNSURE, Activity, Message, Transition, rfc3339
from learner.journal import Journal
from learner.recognizer import Prediction

STARTED = "transition"  # the journal's key


class Happening:
    """Follows the predictions of one device, in journal time; `offset_us` makes it wall time."""

    def __init__(self, journal: Journal, *, heartbeat_us: int) -> None:
        """`heartbeat_us`: how often an activity that goes on is said again."""
        self._journal = journal
        self._heartbeat_us = heartbeat_us
        self._activity: str | None = None
        self._since_us = 0
        self._said_us = 0

    def follow(
        self, prediction: Prediction, start_us: int, end_us: int, offset_us: int
    ) -> Iterator[Message]:
        """Yield what the window from start to end gives to say."""
        activity = prediction.activity or UNSURE
        changed = activity != self._activity
        if changed:
            yield from self.end(start_us)
            self._activity, self._since_us = activity, start_us
        if changed or end_us - self._said_us >= self._heartbeat_us:
            self._said_us = end_us
            yield Activity(
                activity=activity,
                confidence=round(prediction.confidence, 4),
                since=rfc3339(self._since_us + offset_us),
                ts=rfc3339(end_us + offset_us),
                novelty=round(prediction.novelty, 4),
                probabilities={k: round(p, 4) for k, p in prediction.probabilities.items()},
            )
        if changed:
            started = {"activity": activity, "since_us": start_us, "offset_us": offset_us}
            self._journal.remember(STARTED, json.dumps(started).encode())
            yield Transition(
                id=f"{start_us:x}",
                event_type="started",
                activity=activity,
                start=rfc3339(start_us + offset_us),
                end=None,
                duration_s=None,
            )

    def end(self, end_us: int) -> Iterator[Message]:
        """Yield the end of what has started, by this process or by one that crashed."""
        kept = self._journal.recall(STARTED)
        if not kept:
            return
        self._journal.remember(STARTED, b"")
        started = json.loads(kept)
        since_us, offset_us = started["since_us"], started["offset_us"]
        end_us = max(end_us, since_us)
        yield Transition(
            id=f"{since_us:x}",
            event_type="ended",
            activity=started["activity"],
            start=rfc3339(since_us + offset_us),
            end=rfc3339(end_us + offset_us),
            duration_s=round((end_us - since_us) / 1e6, 3),
        )
