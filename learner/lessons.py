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
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from typing import NamedTuple

from learner.classifier import InexactError
from learner.features import Samples
from learner.journal import Annotation, Journal
from learner.journal_rows import SAME_RATE, Span, merged
from learner.recognizer import Recognizer

# Windows a call of `follow` learns or unlearns at most, a tenth of a second on a busy desktop core:
# hours taught at once do not hold up the line.
LESSON_WINDOWS = 256


class Stretch(NamedTuple):
    start_us: int
    end_us: int
    activity: str

    @property
    def span(self) -> Span:
        return self.start_us, self.end_us


class Change(NamedTuple):
    """A window that is to be something else than it was taught; None: nothing."""

    end_us: int
    samples: Samples
    was: str | None
    now: str | None


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
    """Keeps a recognizer equal to what its journal says. Owned by the thread of the journal.

    One that is `order_free` is equal bit for bit, however it came to be. One that is not is
    the model that learnt the windows run by run in the order of time: bit for bit after `rebuild`,
    which is what is done when something is taken back or two activities become one, and live as
    long as everything was taught while it happened.
    """

    def __init__(
        self, journal: Journal, recognizer: Recognizer, *, hop: int, guard_us: int
    ) -> None:
        self._journal = journal
        self._recognizer = recognizer
        self._hop = hop
        self._guard_us = guard_us
        length_us = round(recognizer.window_s * 1e6)
        self.shortest_us = length_us + 2 * guard_us  # a shorter annotation may teach nothing
        # So far from a change of the paint the last window that it concerns may begin or end.
        self._reach_us = guard_us + round(length_us * (1 + SAME_RATE))
        self._annotations = journal.annotations
        self._now_us = journal.end_us
        self._due: deque[Iterator[Change]] = deque()
        self._holds = False
        # Told of each window that was learnt or unlearnt: its end, what it was taught, and is now.
        self.told: Callable[[int, str | None, str | None], None] | None = None

    def hold(self) -> None:
        """Learn nothing of the rows that come from now on, until `release`."""
        self._holds = True

    def release(self) -> None:
        """Let the next `follow` learn what was held back, if it is still to be taught then."""
        self._holds = False

    @property
    def behind(self) -> bool:
        """Whether `follow` has more to do than a call may take."""
        return bool(self._due)

    def rebuild(self) -> int:
        """Teach the recognizer, emptied, all that the journal holds; the number of windows."""
        self._holds = False
        self._recognizer.clear()
        self._due.clear()
        self._annotations, self._now_us = self._journal.annotations, self._journal.end_us
        said = paint(self._annotations, self._now_us)
        self._due.append(self._changes([], 0, said, self._now_us, [s.span for s in said]))
        return self._learn(None)

    def follow(self) -> int:
        """Learn what was said or recorded since the last call, and unlearn what was taken back.

        At most LESSON_WINDOWS in a call, the rest in the next ones: see `behind`. Returns how
        many windows changed their activity.
        """
        self._notice()
        return self._learn(LESSON_WINDOWS)

    def finish(self) -> int:
        """Follow to the end, however long that takes."""
        self._notice()
        return self._learn(None)

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name, in the journal and in the model; see `Journal.rename`.

        On the disk when this returns.
        """
        self.finish()
        before = [
            stretch._replace(activity=new) if stretch.activity == old else stretch
            for stretch in paint(self._annotations, self._now_us)
        ]
        self._journal.rename(old, new)
        self._annotations = self._journal.annotations
        if old in self._recognizer.activities:
            try:
                self._recognizer.rename(old, new)
            except InexactError:  # a merge that this kind cannot, or a name that a starter knows
                self.rebuild()
                return
        # Where the two met there was a border, and there is none any more.
        borders = [
            (one.end_us, two.start_us)
            for one, two in pairwise(before)
            if one.end_us == two.start_us and one.activity == two.activity == new
        ]
        after = paint(self._annotations, self._now_us)
        self._due.append(self._changes(before, self._now_us, after, self._now_us, borders))
        self._learn(None)

    def _notice(self) -> None:
        """Put what was said or recorded since the last call behind what is still due."""
        before, before_us = self._annotations, self._now_us
        after, after_us = self._journal.annotations, self._journal.end_us
        if self._holds:
            after_us = before_us
        self._annotations, self._now_us = after, after_us

        # What changed, and the new rows where something said reaches them: an open annotation
        # grows, and a closed one may have ended before its last rows came.
        changed = set() if before is after else set(before) ^ set(after)
        spans = [(a.start_us, after_us if a.end_us is None else a.end_us) for a in changed]
        if self._journal.open_annotation is not None or self._journal.said_until_us > before_us:
            spans.append((before_us, after_us))
        if spans:
            was = self._paint_near(before, before_us, spans)
            now = self._paint_near(after, after_us, spans)
            self._due.append(self._changes(was, before_us, now, after_us, spans))

    def _paint_near(
        self, annotations: tuple[Annotation, ...], now_us: int, spans: list[Span]
    ) -> list[Stretch]:
        """Paint only what a window that touches the spans can see: years of labels are many."""
        reach = self._reach_us + self._guard_us
        start_us, end_us = min(s for s, _ in spans) - reach, max(e for _, e in spans) + reach
        return paint(
            (
                a
                for a in annotations
                if a.start_us < end_us and (now_us if a.end_us is None else a.end_us) > start_us
            ),
            now_us,
        )

    def _changes(
        self,
        before: list[Stretch],
        before_us: int,
        after: list[Stretch],
        after_us: int,
        spans: list[Span],
    ) -> Iterator[Change]:
        """Yield the windows near the spans that are not to be what they were taught.

        Rows ended at `before_us` when `before` was painted, and at `after_us` then: what came
        later was taught nothing, and is another call's.
        """
        guard = self._guard_us
        for start_us, end_us in merged((s - self._reach_us, e + self._reach_us) for s, e in spans):
            for window in self._journal.windows(
                start_us,
                end_us,
                length=self._recognizer.window_rows,
                hop=self._hop,
                rate_hz=self._recognizer.rate_hz,
                channels=self._recognizer.n_channels,
            ):
                was, now = (
                    painted(stretches, window.start_us - guard, window.end_us + guard)
                    if window.end_us <= known_us
                    else None
                    for stretches, known_us in ((before, before_us), (after, after_us))
                )
                if was != now:
                    yield Change(window.end_us, window.samples, was, now)

    def _learn(self, at_most: int | None) -> int:
        """Make so many of the changes that are due, or all; returns how many."""
        changed = 0
        if self._due:
            self._journal.flush()  # where that raises, nothing that is due is lost
        while self._due and changed != at_most:
            change = next(self._due[0], None)
            if change is None:
                self._due.popleft()
                continue
            changed += 1
            if change.was is not None:
                try:
                    self._recognizer.unlearn(change.samples, change.was)
                except ValueError:  # it cannot, or not any more, or was taught something else
                    changed += sum(1 for _ in chain.from_iterable(self._due))
                    self.rebuild()
                    break
            if change.now is not None:
                self._recognizer.learn(change.samples, change.now)
            if self.told is not None:
                self.told(change.end_us, change.was, change.now)
        return changed
