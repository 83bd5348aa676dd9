"""The line: one loop that owns the learner and the journal, from rows to messages and back.

source -> [reader thread] -> inbox -> windows -> recognizer -> messages -> outputs
                               ^                     ^
a command from an output ------+-> labelling -> journal -> lessons
"""

import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from importlib.metadata import version

from deploy.gestures import RefusedError, parse
from deploy.happening import STARTED, Happening
from deploy.health import Monitor
from deploy.inbox import Command, Ended, Inbox
from deploy.labelling import Done, Labelling
from deploy.messages import (
    NOT_LABELLING,
    RESPONSES,
    UNSURE,
    Info,
    Label,
    Message,
    Response,
    Window,
    rfc3339,
)
from deploy.output import Output
from deploy.reader import Reader
from deploy.settings import Settings
from deploy.timeline import Timeline
from firmware_bridge.source import Chunk, Source
from firmware_bridge.window import Window as Rows
from firmware_bridge.window import Windower
from learner.journal import Journal
from learner.lessons import Teacher
from learner.recognizer import Prediction, Recognizer

log = logging.getLogger(__name__)

WAIT_S = 0.2  # how soon the loop notices that it is to end
FLUSH_US = 10_000_000  # rows that nothing covers are written this often: an SD card wears
PRUNE_US = 600_000_000
REMEMBERED = 50  # answers, for a command that comes twice
SILENCE_US = 15_000_000  # without a window, or three hops where those are longer
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
        outputs: Sequence[Output],
    ) -> None:
        self._settings = settings
        self._source = source
        self._journal = journal
        self._recognizer = recognizer
        self._teacher = teacher
        self._outputs = outputs
        self._labelling = Labelling(
            journal, teacher, recognizer, limit_us=round(settings.labelling.limit_min * 60e6)
        )
        self._inbox = Inbox(wait=not source.live)
        self._hop_rows = round(settings.window.hop_s * recognizer.rate_hz)
        self._windower = Windower(
            source.rate_hz, source.scale, recognizer.window_rows, self._hop_rows
        )
        self._run = -1
        self._flushed_us = self._pruned_us = 0
        self._happening = Happening(journal, heartbeat_us=round(settings.heartbeat_s * 1e6))
        self._seen_us = 0  # end of the last window; 0: none, or so long ago that it was told
        self._refused: str | None = None
        self._known: set[str] = set()  # activities that were named in the last info
        self._answered: OrderedDict[str, Response] = OrderedDict()  # by transaction
        self._dropped = 0
        self._settled = True  # no lesson has left anything to do, see _catch_up

    def run(self, stop: threading.Event, *, stay: bool = False) -> None:
        """Run until `stop` is set or the source ends; `stay`: then still obey commands.

        Raises what ended the source, when it was not its natural end.
        """
        self._labelling.resume()
        self._timeline = Timeline(self._source, self._journal.horizon_us)
        self._note_wall()
        for output in self._outputs:
            output.start(self._command)
        self._end_activity()  # what a crash left without an end
        self._wipe()
        self._send_info()
        self._send_label()
        self._see_nothing()  # what the broker still retains is of another day
        reader = Reader(self._source, self._inbox)
        reader.start()
        monitor = Monitor(self._source)
        try:
            while not stop.is_set():
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
                    rows_lost=reader.lost_rows,
                    waiting=self._inbox.waiting,
                    drifting=self._recognizer.drifting,
                )
                if health is not None:
                    self._send(health)
                self._mind_silence()
        finally:
            self._source.close()
            self._inbox.close()
            reader.join(timeout=5)
            self._end_activity()
            self._journal.flush(durable=True)
            self._teacher.finish()  # what is learnt is all of what is stored, also at the end

    # -- rows in ---------------------------------------------------------------------------------

    def _take(self, chunk: Chunk) -> None:
        if chunk.run != self._run:
            if self._run >= 0:
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
        for rows in self._windower.push(chunk):
            self._see(rows)
        self._keep()

    def _see(self, rows: Rows) -> None:
        prediction = self._recognizer.observe(rows.samples)
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
        self._learn()

    def _learn(self) -> None:
        """Learn from the rows that were seen: what is said of them has not waited for it."""
        if self._labelling.teaching is not None:
            self._journal.flush(durable=True)
        was_behind = self._teacher.behind
        ended = self._labelling.tick()
        self._settled = False
        caught_up = was_behind and not self._teacher.behind
        if ended is not None or caught_up or set(self._recognizer.activities) != self._known:
            self._send_info()  # an activity is named here before it is used
        if ended is not None or self._labelling.teaching is not None:
            self._send_label()

    def _catch_up(self) -> None:
        """While nothing else is to be done: go on with a long lesson, then draw the conclusions.

        Else the next prediction would wait for those.
        """
        if self._teacher.behind:
            self._teacher.follow()
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
            self._journal.flush()
            self._note_wall()
            self._flushed_us = now_us
        # What is still to be unlearnt must still be there.
        if now_us - self._pruned_us >= PRUNE_US and not self._teacher.behind:
            self._journal.prune(now_us - round(self._settings.journal.retain_hours * 3600e6))
            self._pruned_us = now_us

    # -- commands in -----------------------------------------------------------------------------

    def _command(self, topic: str, payload: bytes) -> None:
        """Any thread: put a command into the inbox with the moment of its arrival."""
        if self._inbox.put_command(Command(topic, payload, self._source.now_s())):
            self._dropped = 0
        else:
            self._dropped += 1
            if self._dropped == 1:
                log.warning("too many commands are waiting: they are dropped")

    def _now_us(self) -> int:
        """What a person means by now: of a recording, the row that was last looked at."""
        if self._source.live:
            return self._timeline.journal_us(self._source.now_s())
        return max(self._journal.end_us, self._timeline.start_us)

    def _obey(self, command: Command) -> None:
        now_us = self._now_us()
        if self._source.live:
            now_us = self._timeline.journal_us(command.at_s)
        response = self._answer(command, now_us)
        self._settled = False
        self._refused = response.error
        if response.data:  # something was done
            self._send_info()
        self._send(response)
        self._send_label()

    def _answer(self, command: Command, now_us: int) -> Response:
        """Do what the command says. Whatever it is, it is answered, and the line goes on."""
        kind = RESPONSES.get(command.topic, Response)
        transaction: str | None = None
        try:
            gesture, transaction = parse(
                command.topic, command.payload, now_us, self._journal.at_wall
            )
            if transaction is not None and transaction in self._answered:
                return self._answered[transaction]  # a broker may deliver twice
            done = self._labelling.handle(gesture, now_us, "mqtt")
            trouble = self._wipe() if done.action == "forgotten" else None
            response = kind(
                status="ok" if trouble is None else "error",
                data=self._told(done),
                error=trouble,
                transaction=transaction,
            )
        except RefusedError as error:
            log.info("refused: %s", error)
            return kind(
                status="error",
                data={},
                error=str(error),
                transaction=error.transaction or transaction,
            )
        except sqlite3.OperationalError as error:
            log.warning("a command was not kept: %s", error)
            return kind(
                status="error",
                data={},
                error=f"not kept, the journal cannot be written ({error}): make room on the disk",
                transaction=transaction,
            )
        if transaction is not None:
            self._answered[transaction] = response
            if len(self._answered) > REMEMBERED:
                self._answered.popitem(last=False)
        return response

    def _wipe(self) -> str | None:
        """Take what was forgotten out of the journal's file; returns why that was not possible."""
        if not self._journal.to_wipe:
            return None
        self._see_nothing()  # what goes on is remembered by its name, which may be the forgotten
        started = self._journal.recall(STARTED) or b""
        try:
            self._journal.wipe()
            self._journal.remember(STARTED, started)
        except sqlite3.OperationalError as error:
            trouble = (
                f"unlearnt, but its traces are still in the journal's file ({error}):"
                " make room on the disk and restart budge, which takes them out"
            )
            log.warning("what was forgotten is %s", trouble)
            return trouble
        return None

    def _told(self, done: Done) -> dict[str, str | int | float | None]:
        offset_us = self._timeline.wall_offset_us()
        told: dict[str, str | int | float | None] = {
            "action": done.action,
            "activity": done.activity,
            "windows": done.windows,
        }
        if done.was is not None:
            told |= {"from": done.was, "to": done.activity}
        if done.start_us is not None:
            end = None if done.end_us is None else rfc3339(done.end_us + offset_us)
            told |= {"start": rfc3339(done.start_us + offset_us), "end": end}
        return told

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
        said = self._labelling.teaching
        self._send(
            Label(
                label=NOT_LABELLING if said is None else said.activity,
                since=None
                if said is None
                else rfc3339(said.start_us + self._timeline.wall_offset_us()),
                windows=self._labelling.windows,
                error=self._refused,
            )
        )

    def _send_info(self) -> None:
        recognizer, settings = self._recognizer, self._settings
        self._known = set(recognizer.activities)
        self._send(
            Info(
                version=version("budge"),
                device=settings.device,
                source=settings.source,
                started=rfc3339(self._timeline.start_us + self._timeline.wall_offset_us()),
                rate_hz=recognizer.rate_hz,
                channels=recognizer.n_channels,
                window_s=recognizer.window_s,
                hop_s=self._hop_rows / recognizer.rate_hz,
                classifier=settings.classifier,
                activities=dict(recognizer.activities),
                model=recognizer.digest(),
            )
        )
