"""A stop that was forgotten, noticed by what the sensor sees: the motion has changed for good.

    taught as walking   w  w  w  w  w  w  s  s  s  s … s
                                          |            '- LONG enough: the stretch ends where the
                                          |               change was, not here
                                          '- looks like something else: nothing more is learnt, else
                                             it would soon look like walking

Does it look like walking again before that, what was held back is learnt: a traffic light.
"""

from learner.recognizer import Prediction

LEARNT = 10  # windows of the stretch, before anything in it can look strange
KNOWN = 4  # and so many on end looked like what is being taught
STRANGE_WINDOWS, STRANGE_US = 12, 30_000_000  # on end and in all, for good
SURE = 0.8  # that it is something else
NOVEL = 0.5  # or like nothing known


class SecondThoughts:
    """Follows the windows of one stretch being taught."""

    def __init__(self) -> None:
        self._known = 0  # windows on end, at their best before the change
        self._strange = 0
        self.since_us: int | None = None  # start of the first strange window, while they last

    def follow(
        self, taught: str, learnt: int, prediction: Prediction, start_us: int, end_us: int
    ) -> bool:
        """Look at one more window, before it is learnt; returns whether that is for good."""
        other = prediction.activity not in {taught, None} and prediction.confidence >= SURE
        strange = other or prediction.novelty > NOVEL
        if not strange:
            if prediction.activity == taught:
                self._known += 1
            self._strange, self.since_us = 0, None
            return False
        if self.since_us is None and (learnt < LEARNT or self._known < KNOWN):
            self._known = 0
            return False
        if self.since_us is None:
            self.since_us = start_us
        self._strange += 1
        return self._strange >= STRANGE_WINDOWS and end_us - self.since_us >= STRANGE_US
