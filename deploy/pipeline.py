"""The line: one loop that owns the learner and the journal, from rows to messages and back.

source -> [reader thread] -> inbox -> windows -> recognizer -> messages -> outputs
                               ^                     ^
a command from an output ------+-> labelling -> journal -> lessons
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from deploy.answers import Answers
from deploy.controls import CONTROLS, Switches
from deploy.happening import STARTED, Happening
from deploy.health import Monitor
from deploy.inbox import Command, Ended, Inbox
from deploy.input import Input
from deploy.labelling import Labelling, Seen
from deploy.messages import UNSURE, ControlResponse, Message, Response, Window, rfc3339
from deploy.notify import Systemd
from deploy.output import Output, Threaded, Viewer
from deploy.reader import Reader
from deploy.record import Record
from deploy.reports import Reports
from deploy.settings import Settings
from deploy.timeline import Timeline
from deploy.trace import thinned
from firmware_bridge.source import Chunk, Source
from firmware_bridge.window import Window as Rows
from firmware_bridge.window import Windower
from learner.journal import Annotation, Journal
from learner.lessons import Teacher
from learner.recognizer import Prediction, Recognizer

log = logging.getLogger(__name__)

WAIT_S = 0.2  # how soon the loop notices that it is to end
FLUSH_US = 10_000_000  # rows that nothing covers are written this often: an SD card wears
PRUNE_US = 600_000_000
HUNG_S = 30.0  # a sensor that is said to be connected and gives no rows: its thread hangs
WIPE_S = 1800.0  # what the watchdog grants to the writing anew of the journal's file
SILENCE_US = 15_000_000  # without a window, or three hops where those are longer
SCORES_US = 30_000_000  # between two tellings of how good it is, while it is taught
NOTHING = Prediction(activity=None, confidence=0.0, novelty=1.0, probabilities={})


class Pipeline:
    """One line of one device. Made, run and closed by one thread."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        *,
        journal: Journal,
        recognizer: Recognizer,
        teacher: Teacher,
        systemd: Systemd,
        outputs: Sequence[Output],
        inputs: Sequence[Input] = (),
    ) -> None:
        self._settings = settings
        self._source = source
        self._journal = journal
        self._recognizer = recognizer
        self._teacher = teacher
        self._outputs = outputs
        self._inputs = inputs
        self._systemd = systemd
        self._threads = [output for output in outputs if isinstance(output, Threaded)]
        self._viewers = [output for output in outputs if isinstance(output, Viewer)]
        self._record = Record(journal)
        self._switches = Switches(journal)
        self._labelling = Labelling(
            journal,
            teacher,
            recognizer,
            self._record,
            limit_us=round(settings.labelling.limit_min * 60e6),
        )
        teacher.told = self._taught
        self._inbox = Inbox(wait=not source.live)
        self._windower = Windower(
            source.rate_hz,
            source.scale,
            recognizer.window_rows,
            round(settings.window.hop_s * recognizer.rate_hz),
        )
        self._run = -1
        self._flushed_us = self._pruned_us = 0
        self._happening = Happening(journal, heartbeat_us=round(settings.heartbeat_s * 1e6))
        self._seen_us = 0  # end of the last window; 0: none, or so long ago that it was told
        self._refused: str | None = None
        self._known: set[str] = set()  # activities that were named in the last info
        self._told: tuple[Annotation, ...] | None = None  # annotations, as they were told last
        self._scored_us = 0
        self._dropped = 0
        self._again = False  # it is to end and begin again
        self._settled = True  # no lesson has left anything to do, see _catch_up

    def run(self, stop: threading.Event, *, stay: bool = False) -> bool:
        """Run until `stop` is set or the source ends; `stay`: then still obey commands.

        Returns whether it is to begin again. Raises what ended the source, when it was not its
        natural end.
        """
        self._begin()
        reader = Reader(self._source, self._inbox)
        reader.start()
        monitor = Monitor(self._source)
        self._systemd.ready()
        try:
            while not stop.is_set() and not self._again:
                match self._inbox.get(WAIT_S if self._settled else 0.0):
                    case Chunk() as chunk:
                        self._take(chunk)
                    case Command() as command:
                        self._obey(command)
                    case Ended(error=None):
                        log.info("the source has ended")
                        if not stay:
                            break
                    case Ended(error=error) if error is not None:
                        raise error
                    case None:
                        self._catch_up()
                health = monitor.look(
                    rows_lost=reader.lost_rows + self._journal.dropped_rows,
                    waiting=self._inbox.waiting,
                    drifting=self._recognizer.drifting,
                    trouble=self._journal.trouble or self._journal.rescued,
                )
                if health is not None:
                    self._send(health)
                    known = len(self._recognizer.activities)
                    self._systemd.status(f"sensor {health.state}; knows {known} activities")
                self._mind_silence()
                self._systemd.feed(self._alive())
        finally:
            self._source.close()
            self._inbox.close()
            reader.join(timeout=5)
            self._finish()
        return self._again

    def _finish(self) -> None:
        self._end_activity()
        if self._journal.keep(durable=True):
            self._teacher.release()
            self._teacher.finish()  # what is learnt is all of what is stored, also at the end
        if self._record.changed:
            self._send_scores()

    def begin_again(self) -> None:
        """End, and say that it is to begin again; any thread."""
        self._again = True

    def _begin(self) -> None:
        """Take up what the last life left, and tell what there is to know."""
        self._labelling.resume()
        self._timeline = Timeline(self._source, self._journal.horizon_us)
        self._note_wall()
        self._reports = Reports(
            self._settings, self._journal, self._recognizer, self._labelling, self._timeline
        )
        self._answers = Answers(
            self._journal,
            self._teacher,
            self._labelling,
            self._switches,
            wipe=self._wipe,
            at=self._reports.at,
            begin_again=self.begin_again,
        )
        for one in (*self._outputs, *self._inputs):
            origin = type(one).__module__.rpartition(".")[2]  # its file: mqtt, page, keys …
            one.start(partial(self._command, origin))
        self._end_activity()  # what a crash left without an end
        self._wipe()
        self._send_info()
        self._send(self._switches.told())
        self._send(self._record.told())
        self._send_label()
        self._see_nothing()  # what the broker still retains is of another day

    def _alive(self) -> dict[str, bool]:
        """Say which parts give signs of life; the learner's own is that it asks."""
        hung = self._source.health().state == "connected" and self._inbox.silent_s > HUNG_S
        outputs = {type(output).__module__: output.alive for output in self._threads}
        return {"the sensor": not (self._source.live and hung), **outputs}

    # -- rows in ---------------------------------------------------------------------------------

    def _take(self, chunk: Chunk) -> None:
        if chunk.run != self._run:
            if self._run >= 0 and not self._source.live:  # a sensor's says so itself
                log.warning("gap in the recording: %s", chunk.cause)
            self._run = chunk.run
            self._recognizer.gap()
            self._journal.begin_run(
                self._timeline.journal_us(chunk.run_start_s),
                self._source.rate_hz,
                self._source.scale,
                chunk.cause,
            )
        self._journal.append(chunk.counts)
        if self._viewers:
            self._draw(chunk)
        for rows in self._windower.push(chunk):
            self._see(rows)
        self._keep()

    def _draw(self, chunk: Chunk) -> None:
        trace = thinned(
            chunk, self._source, lambda s: self._reports.at(self._timeline.journal_us(s))
        )
        if trace is not None:
            for viewer in self._viewers:
                viewer.show(trace)

    def _see(self, rows: Rows) -> None:
        seen = self._recognizer.observe(rows.samples)
        prediction = self._switches.sure(seen)
        start_us, end_us = (self._timeline.journal_us(t) for t in (rows.start_s, rows.end_s))
        offset_us = self._timeline.wall_offset_us()
        self._send(
            Window(
                activity=prediction.activity or UNSURE,
                confidence=round(prediction.confidence, 4),
                novelty=round(prediction.novelty, 4),
                start=rfc3339(start_us + offset_us),
                ts=rfc3339(end_us + offset_us),
                start_s=round(rows.start_s, 3),
                end_s=round(rows.end_s, 3),
            )
        )
        for message in self._happening.follow(prediction, start_us, end_us, offset_us):
            self._send(message)
        self._seen_us = end_us
        self._record.saw(end_us, prediction.activity, self._recognizer.activities)
        self._learn(Seen(seen, start_us, end_us))

    def _learn(self, seen: Seen) -> None:
        """Learn from the rows that were seen: what is said of them has not waited for it."""
        was_behind = self._teacher.behind
        try:
            if self._labelling.teaching is not None:
                self._journal.flush(durable=True)
            ended = self._labelling.tick(seen)
        except sqlite3.OperationalError:
            if self._journal.trouble is None:
                raise
            self._send_label()
            return  # rows that are not on the disk teach nothing; they wait
        self._settled = False
        caught_up = was_behind and not self._teacher.behind
        if ended is not None or caught_up or set(self._recognizer.activities) != self._known:
            self._send_info()  # an activity is named here before it is used
        if ended is not None or self._labelling.teaching is not None:
            self._send_label()
        if self._record.changed and seen.end_us - self._scored_us >= SCORES_US:
            self._send_scores()

    def _taught(self, end_us: int, was: str | None, now: str | None) -> None:
        """Note a window that was learnt or unlearnt: of hours of them each is a sign of life."""
        self._record.taught(end_us, was, now)
        self._systemd.feed(self._alive())

    def _catch_up(self) -> None:
        """While nothing else is to be done: go on with a long lesson, then draw the conclusions.

        Else the next prediction would wait for those.
        """
        if self._teacher.behind:
            if self._journal.keep():
                self._teacher.follow()
            else:
                self._settled = True  # not again and again at once
            if not self._teacher.behind:
                self._send_info()
        else:
            self._recognizer.settle()
            self._settled = True

    def _mind_silence(self) -> None:
        """What a sensor does not see any more is not going on for all we know."""
        hop_us = round(self._settings.window.hop_s * 1e6)
        patience_us = max(SILENCE_US, 3 * hop_us)
        if self._source.live and self._seen_us and self._now_us() - self._seen_us > patience_us:
            self._see_nothing()

    def _see_nothing(self) -> None:
        at_us = self._seen_us or self._now_us()
        self._seen_us = 0
        offset_us = self._timeline.wall_offset_us()
        for message in self._happening.follow(NOTHING, at_us, at_us, offset_us):
            self._send(message)

    def _keep(self) -> None:
        """Write rows now and then, and drop those that are too old."""
        now_us = self._journal.end_us
        if now_us - self._flushed_us >= FLUSH_US:
            self._journal.keep()
            self._note_wall()
            self._flushed_us = now_us
        # What is still to be unlearnt must still be there.
        if now_us - self._pruned_us >= PRUNE_US and not self._teacher.behind:
            limits = self._settings.journal
            self._journal.prune(
                now_us - round(limits.retain_hours * 3600e6), round(limits.max_mb * 1e6)
            )
            self._pruned_us = now_us

    # -- commands in -----------------------------------------------------------------------------

    def _command(
        self,
        origin: str,
        topic: str,
        payload: bytes,
        answered: Callable[[Response], None] | None = None,
        /,
    ) -> bool:
        """Any thread: put a command into the inbox with the moment of its arrival."""
        command = Command(topic, payload, self._source.now_s(), origin, answered)
        if self._inbox.put_command(command):
            self._dropped = 0
            return True
        self._dropped += 1
        if self._dropped == 1:
            log.warning("too many commands are waiting: they are dropped")
        return False

    def _now_us(self) -> int:
        """What a person means by now: of a recording, the row that was last looked at."""
        if self._source.live:
            return self._timeline.journal_us(self._source.now_s())
        return max(self._journal.end_us, self._timeline.start_us)

    def _obey(self, command: Command) -> None:
        now_us = self._now_us()
        if self._source.live:
            now_us = self._timeline.journal_us(command.at_s)
        response = self._answers.answer(command, now_us)
        self._settled = False
        self._refused = response.error
        if response.data:  # something was done
            self._send_info()
            if response.topic == ControlResponse.topic:
                self._send(self._switches.told())
            if self._record.changed or response.topic != Response.topic:
                self._send_scores()
        self._send(response)
        self._send_label()
        if command.answered is not None:
            command.answered(response)

    def _wipe(self) -> str | None:
        """Take what was forgotten out of the journal's file; returns why that was not possible."""
        if not self._journal.to_wipe:
            return None
        self._see_nothing()  # what goes on is remembered by its name, which may be the forgotten
        started = self._journal.recall(STARTED) or b""
        try:
            with self._systemd.slow(WIPE_S):
                self._journal.wipe(CONTROLS)
            self._journal.remember(STARTED, started)
        except sqlite3.OperationalError as error:
            trouble = (
                f"unlearnt, but its traces are still in the journal's file ({error}):"
                " make room on the disk and restart budge, which takes them out"
            )
            log.warning("what was forgotten is %s", trouble)
            return trouble
        return None

    # -- messages out ----------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        for output in self._outputs:
            output.send(message)

    def _note_wall(self) -> None:
        self._journal.note_wall(self._now_us(), self._timeline.wall_offset_us())

    def _end_activity(self) -> None:
        for message in self._happening.end(self._journal.end_us):
            self._send(message)

    def _send_label(self) -> None:
        if self._told is not self._journal.annotations:
            self._told = self._journal.annotations
            self._send(self._reports.taught())
        self._send(self._reports.label(self._refused))

    def _send_scores(self) -> None:
        """Tell how good it is, and keep it."""
        self._scored_us = self._journal.end_us
        with suppress(sqlite3.OperationalError):  # a full disk; the next time is soon enough
            self._record.keep()
        self._send(self._record.told())

    def _send_info(self) -> None:
        self._known = set(self._recognizer.activities)
        self._send(self._reports.info())
