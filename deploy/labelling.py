"""What the button does: gestures become annotations, annotations become lessons.

One Labelling stands behind MQTT, the command line and whatever else has a button. It answers when
the annotation is on the disk, not before.
"""

import logging
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from deploy.gestures import (
    Forget,
    ForgetSpan,
    RefusedError,
    Rename,
    Span,
    Start,
    Stop,
    Teaching,
    Toggle,
    Undo,
)
from deploy.record import Record
from deploy.second_thoughts import SecondThoughts
from learner.journal import Annotation, Journal
from learner.lessons import Teacher
from learner.recognizer import Prediction, Recognizer

log = logging.getLogger(__name__)

MAX_ACTIVITIES = 200
JUST_NOW_US = 2_000_000  # the rows of a press so late may still be on their way


class Done(NamedTuple):
    """What a gesture led to."""

    action: str  # started, stopped, taught, undone, renamed, merged, forgotten
    activity: str | None  # None: all that was done in the stretch
    # That changed by it so far, were learnt in the stretch it ends, or are now known by the name.
    windows: int
    start_us: int | None = None
    end_us: int | None = None
    was: str | None = None  # the name before


class Seen(NamedTuple):
    """A window that went by, and what it looked like before it was learnt."""

    prediction: Prediction
    start_us: int
    end_us: int


class Ending(NamedTuple):
    """A stretch that ended by itself."""

    reason: str  # motion, limit
    said: Annotation  # with its end
    until_us: int  # when that was noticed


class Labelling:
    """Owned by the thread of the journal."""

    def __init__(
        self,
        journal: Journal,
        teacher: Teacher,
        recognizer: Recognizer,
        record: Record,
        *,
        limit_us: int,
    ) -> None:
        """`limit_us`: a stop forgotten for so long is made up for."""
        self.ending: Ending | None = None  # of the last stretch, until something is said
        self._doubts = SecondThoughts()
        self._record = record
        self._journal = journal
        self._teacher = teacher
        self._recognizer = recognizer
        self._limit_us = limit_us
        self._windows_before = 0  # of the activity being taught, when its stretch began
        # What the press for the one being taught has ended, and its own count before.
        self._before: tuple[Annotation, int] | None = None

    @property
    def teaching(self) -> Annotation | None:
        return self._journal.open_annotation

    @property
    def windows(self) -> int:
        """Windows learnt so far in the stretch being taught."""
        said = self.teaching
        if said is None:
            return 0
        return self._learnt_of(said)

    def _learnt_of(self, said: Annotation) -> int:
        # Less than none where an earlier stretch of it was corrected meanwhile.
        return max(self._recognizer.activities.get(said.activity, 0) - self._windows_before, 0)

    def resume(self) -> Annotation | None:
        """End what a crash or a power cut left open, where its recording ends; returns it."""
        said = self.teaching
        if said is not None:
            self._journal.finish_later(said, max(said.start_us, self._journal.end_us))
            log.warning(
                "teaching %r was cut off when budge stopped: kept up to there", said.activity
            )
        return said

    def tick(self, seen: Seen | None = None) -> Done | None:
        """Learn from the rows that came in; ends a stretch whose stop was forgotten.

        `seen`: the window that went by since the last call.
        """
        said = self.teaching
        if said is None:
            self._teacher.follow()
            return None
        if seen is not None:
            changed_us = self._reconsider(said, seen)
            if changed_us is not None:
                log.warning("teaching %r ended by itself: the motion is another", said.activity)
                return self._end(said, "motion", changed_us, seen.end_us)
        self._teacher.follow()
        if self._journal.end_us - said.start_us >= self._limit_us:
            log.warning(
                "teaching %r ended by itself after %.0f min without a stop",
                said.activity,
                self._limit_us / 60e6,
            )
            limit_us = said.start_us + self._limit_us
            return self._end(said, "limit", limit_us, self._journal.end_us)
        return None

    def _reconsider(self, said: Annotation, seen: Seen) -> int | None:
        """Hold back what looks like something else; returns when it began to, if that is final."""
        final = self._doubts.follow(said.activity, self.windows, *seen)
        since_us = self._doubts.since_us
        if since_us is None:
            self._teacher.release()
        else:
            self._teacher.hold()
        return since_us if final else None

    def _end(self, said: Annotation, reason: str, end_us: int, until_us: int) -> Done:
        self._think_anew()
        end_us = max(end_us, said.start_us)
        self.ending = Ending(reason, self._journal.finish_later(said, end_us), until_us)
        self._teacher.follow()
        return Done("stopped", said.activity, self._learnt_of(said), said.start_us, end_us)

    def _think_anew(self) -> None:
        self._doubts = SecondThoughts()
        self._teacher.release()

    def handle(self, gesture: Teaching, now_us: int, origin: str) -> Done:
        """Do what the gesture says; on the disk on return. Raises RefusedError."""
        self._think_anew()
        done = self._handle(gesture, now_us, origin)
        self.ending = None
        return done

    def _handle(self, gesture: Teaching, now_us: int, origin: str) -> Done:
        match gesture:
            case Toggle():
                done = self._toggle(gesture, now_us, origin)
            case Start():
                done = self._start(gesture, now_us, origin)
            case Stop():
                said = self.teaching
                if said is None:
                    raise RefusedError("nothing is being taught, so there is nothing to stop")
                done = self._stop(said, gesture.at_us)
            case Span():
                done = self._span(gesture, origin)
            case Undo():
                done = self._undo()
            case Rename():
                done = self._rename(gesture)
            case Forget():
                done = self._forget(gesture.activity)
            case ForgetSpan():
                done = self._forget_span(gesture)
        return done

    def _toggle(self, toggle: Toggle, now_us: int, origin: str) -> Done:
        said = self.teaching
        if said is not None and said.activity.casefold() == toggle.activity.casefold():
            return self._stop(said, toggle.at_us)
        return self._start(Start(*toggle), now_us, origin)

    def _start(self, start: Start, now_us: int, origin: str) -> Done:
        activity = self._known_spelling(start.activity)
        at_us = start.at_us
        if now_us - at_us > JUST_NOW_US and not self._journal.recorded(at_us, now_us):
            raise RefusedError(f"nothing was recorded in the last {(now_us - at_us) / 1e6:.1f} s")
        self._before = None
        if (open_ := self.teaching) is not None:
            end_us = self._stop(open_, at_us).end_us
            self._before = open_._replace(end_us=end_us), self._windows_before
        self._windows_before = self._recognizer.activities.get(activity, 0)
        said = self._journal.annotate(activity, at_us, None, origin)
        self._teacher.follow()
        return Done("started", activity, self.windows, said.start_us, None)

    def _stop(self, said: Annotation, at_us: int) -> Done:
        end_us = max(at_us, said.start_us)  # a stop dated before its start ends it there
        try:
            self._journal.finish(said, end_us)
        except sqlite3.OperationalError:  # the button is up all the same
            self._journal.finish_later(said, end_us)
            raise
        self._teacher.follow()
        return Done("stopped", said.activity, self._learnt_of(said), said.start_us, end_us)

    def _span(self, span: Span, origin: str) -> Done:
        activity = self._known_spelling(span.activity)
        shortest_s = self._teacher.shortest_us / 1e6
        long_s = (span.end_us - span.start_us) / 1e6
        if long_s < shortest_s:
            raise RefusedError(
                f"a stretch of {long_s:.1f} s holds no whole window, expected at least"
                f" {shortest_s:.1f} s: its first and last moments are not taught"
            )
        if not self._journal.recorded(span.start_us, span.end_us):
            raise RefusedError("nothing was recorded at that time, or it is no longer kept")
        self._journal.annotate(activity, span.start_us, span.end_us, origin)
        return Done("taught", activity, self._teacher.follow(), span.start_us, span.end_us)

    @property
    def last(self) -> Annotation | None:
        """What was said last, and would be taken back."""
        return max(self._journal.annotations, default=None)  # by id: the newest

    def _undo(self) -> Done:
        """Take back what was said last; a press that is still down gives back the one it ended."""
        said = self.last
        if said is None:
            raise RefusedError("nothing was taught that could be undone")
        self._journal.retract(said)
        if said.end_us is None and self._before is not None:
            again, self._windows_before = self._before
            if again in self._journal.annotations:
                self._journal.finish(again, None)
                log.info("teaching %r goes on", again.activity)
        self._before = None
        return Done("undone", said.activity, self._teacher.follow(), said.start_us, said.end_us)

    def _rename(self, gesture: Rename) -> Done:
        known = self._spellings()
        old = known.get(gesture.old.casefold())
        if old is None:
            raise _unknown(gesture.old, known.values())
        # Of itself it may be another spelling; of another activity it is what that one is called.
        same = old.casefold() == gesture.new.casefold()
        names = self._names()
        new = gesture.new if same else names.get(gesture.new.casefold(), gesture.new)
        if old == new:
            raise RefusedError(f"{old!r} is called so already")
        merged = new in names.values()
        self._teacher.finish()
        counts, teaching = self._recognizer.activities, self.teaching
        self._teacher.rename(old, new)
        self._record.rename(old, new)
        windows = self._recognizer.activities.get(new, 0)
        # What the other brings was not learnt in the stretch that is being taught.
        if teaching is not None and teaching.activity in (old, new):
            self._windows_before += windows - counts.get(teaching.activity, 0)
        if self._before is not None and self._before[0].activity in (old, new):
            ended, count = self._before
            count += windows - counts.get(ended.activity, 0)
            self._before = ended._replace(activity=new), count
        return Done("merged" if merged else "renamed", new, windows, was=old)

    def _forget(self, activity: str) -> Done:
        """Unlearn it; what was said of it is off the disk, its rows are for `Journal.wipe`."""
        spellings = [a for a in self._journal.ever_said() if a.casefold() == activity.casefold()]
        if not spellings:
            raise _unknown(activity, self._journal.ever_said())
        if self.teaching is not None and self.teaching.activity in spellings:
            raise RefusedError(f"{self.teaching.activity!r} is being taught now: stop it first")
        self._teacher.finish()
        for spelling in spellings:
            self._journal.forget(spelling)
            self._record.forget(spelling)
        return Done("forgotten", spellings[-1], self._teacher.finish())

    def _forget_span(self, span: ForgetSpan) -> Done:
        if self.teaching is not None and self.teaching.start_us < span.end_us:
            raise RefusedError(
                f"{self.teaching.activity!r} is being taught since before then: stop it first"
            )
        self._teacher.finish()
        self._journal.forget_between(span.start_us, span.end_us)
        self._record.forget_between(span.start_us, span.end_us)
        self._before = None  # where a stretch was cut in two, later ones have new numbers
        return Done("forgotten", None, self._teacher.finish(), span.start_us, span.end_us)

    def _spellings(self) -> dict[str, str]:
        return {said.activity.casefold(): said.activity for said in self._journal.annotations}

    def _names(self) -> dict[str, str]:
        """Return every spelling in use, of the journal and of what a starter brought."""
        return {a.casefold(): a for a in self._recognizer.activities} | self._spellings()

    def _known_spelling(self, activity: str) -> str:
        """`Walking` is the `walking` that is already known; a new one needs room."""
        known = self._names()
        if activity.casefold() not in known and len(known) >= MAX_ACTIVITIES:
            raise RefusedError(f"{MAX_ACTIVITIES} activities are known, which is as many as fit")
        return known.get(activity.casefold(), activity)


def _unknown(activity: str, known: Iterable[str]) -> RefusedError:
    return RefusedError(
        f"nothing was taught as {activity!r}, only as: {', '.join(known) or 'nothing at all'}"
    )
