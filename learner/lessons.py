"""From what the user said to what is learnt: model = fold(learn, annotated windows).

Annotations are painted on the time line in the order they were committed, the later over the
earlier:

    said first     |------- walking -------|
    said later               |- stairs -|
    painted        | walking |  stairs  |wlk|

A window is taught only where the paint is one activity from `guard_us` before it to `guard_us`
after it: a thumb is late, and the phone had to be taken out. So a correction also takes back the
windows that straddle its border, an undo brings them back, and a change of the paint between two
moments touches only windows within `guard_us` of them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from learner.journal import Annotation, Journal
from learner.recognizer import Recognizer


class Stretch(NamedTuple):
    start_us: int
    end_us: int
    activity: str


def paint(annotations: Iterable[Annotation], now_us: int) -> list[Stretch]:
    """Lay annotations over each other: disjoint stretches in order of time.

    An open annotation reaches to `now_us`. Touching stretches of one activity become one.
    """
    stretches: list[Stretch] = []
    for said in annotations:
        start, end = said.start_us, now_us if said.end_us is None else said.end_us
        if start >= end:
            continue
        low = bisect_right(stretches, start, key=lambda s: s.end_us)
        high = bisect_left(stretches, end, key=lambda s: s.start_us)
        under = stretches[low:high]  # what the new one overlaps; its ends may stick out
        left = [s._replace(end_us=start) for s in under[:1] if s.start_us < start]
        right = [s._replace(start_us=end) for s in under[-1:] if s.end_us > end]
        stretches[low:high] = [*left, Stretch(start, end, said.activity), *right]
    joined: list[Stretch] = []
    for stretch in stretches:
        last = joined[-1] if joined else None
        if last and last.end_us == stretch.start_us and last.activity == stretch.activity:
            joined[-1] = last._replace(end_us=stretch.end_us)
        else:
            joined.append(stretch)
    return joined


def painted(stretches: list[Stretch], start_us: int, end_us: int) -> str | None:
    """Tell the one activity that covers all of start … end, or None."""
    at = bisect_right(stretches, start_us, key=lambda s: s.start_us) - 1
    if at >= 0 and end_us <= stretches[at].end_us:
        return stretches[at].activity
    return None


class Teacher:
    """Keeps a recognizer equal to what its journal says. Owned by the thread of the journal."""

    def __init__(
        self, journal: Journal, recognizer: Recognizer, *, hop: int, guard_us: int
    ) -> None:
        self._journal = journal
        self._recognizer = recognizer
        self._hop = hop
        self._guard_us = guard_us
        self._annotations = journal.annotations
        self._now_us = journal.end_us

    @property
    def shortest_us(self) -> int:
        """An annotation shorter than this teaches nothing, wherever it falls on the grid."""
        return self._length_us + 2 * self._guard_us

    def rebuild(self) -> int:
        """Teach an empty recognizer all that the journal holds; returns the number of windows."""
        self._annotations, self._now_us = self._journal.annotations, self._journal.end_us
        return sum(
            self._shift([], 0, [stretch], stretch.start_us, stretch.end_us)
            for stretch in paint(self._annotations, self._now_us)
        )

    def follow(self) -> int:
        """Learn what was said or recorded since the last call, and unlearn what was taken back.

        Returns how many windows changed their activity.
        """
        before, before_us = self._annotations, self._now_us
        after, after_us = self._journal.annotations, self._journal.end_us
        self._annotations, self._now_us = after, after_us

        # What changed, and the new rows where something said reaches them: an open annotation
        # grows, and a closed one may have ended before its last rows came.
        changed = set() if before is after else set(before) ^ set(after)
        spans = [(a.start_us, after_us if a.end_us is None else a.end_us) for a in changed]
        if self._journal.open_annotation is not None or self._journal.said_until_us > before_us:
            spans.append((before_us, after_us))
        if not spans:
            return 0
        start = min(span[0] for span in spans) - self._guard_us
        end = max(span[1] for span in spans) + self._guard_us
        return self._shift(
            self._paint_near(before, before_us, start, end),
            before_us,
            self._paint_near(after, after_us, start, end),
            start,
            end,
        )

    def _paint_near(
        self, annotations: tuple[Annotation, ...], now_us: int, start_us: int, end_us: int
    ) -> list[Stretch]:
        """Paint only what a window that touches start … end can see: years of labels are many."""
        reach = self._guard_us + self._length_us
        return paint(
            (
                a
                for a in annotations
                if a.start_us < end_us + reach
                and (now_us if a.end_us is None else a.end_us) > start_us - reach
            ),
            now_us,
        )

    @property
    def _length_us(self) -> int:
        return round(self._recognizer.window_s * 1e6)

    def _shift(
        self,
        before: list[Stretch],
        before_us: int,
        after: list[Stretch],
        start_us: int,
        end_us: int,
    ) -> int:
        """Move the windows that touch start … end from what they were taught to what they are.

        Rows ended at `before_us` when `before` was painted: later windows were taught nothing.
        """
        shifted = 0
        guard, reach = self._guard_us, self._length_us
        for window in self._journal.windows(
            start_us - reach,
            end_us + reach,
            length=self._recognizer.window_rows,
            hop=self._hop,
            rate_hz=self._recognizer.rate_hz,
            channels=self._recognizer.n_channels,
        ):
            was = None
            if window.end_us <= before_us:
                was = painted(before, window.start_us - guard, window.end_us + guard)
            now = painted(after, window.start_us - guard, window.end_us + guard)
            if was == now:
                continue
            if was is not None:
                self._recognizer.unlearn(window.samples, was)
            if now is not None:
                self._recognizer.learn(window.samples, now)
            shifted += 1
        return shifted
