"""From a command to its answer: what it says is done, or a sentence says why not."""

import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable

from deploy.controls import Switches
from deploy.gestures import (
    Gesture,
    Rebuild,
    RefusedError,
    Restart,
    SetLearning,
    SetThreshold,
    Span,
    Start,
    Stop,
    Toggle,
    parse,
)
from deploy.inbox import Command
from deploy.labelling import Done, Labelling
from deploy.messages import RESPONSES, Response
from learner.journal import Journal
from learner.lessons import Teacher

log = logging.getLogger(__name__)

REMEMBERED = 50  # answers, for a command that comes twice

Told = dict[str, str | int | float | None]


class Answers:
    """Owned by the thread of the journal."""

    def __init__(
        self,
        journal: Journal,
        teacher: Teacher,
        labelling: Labelling,
        switches: Switches,
        *,
        wipe: Callable[[], str | None],
        at: Callable[[int], str],
        begin_again: Callable[[], None],
    ) -> None:
        """`wipe` takes what was forgotten out of the file, or tells why not; `at` writes a time."""
        self._journal = journal
        self._teacher = teacher
        self._labelling = labelling
        self._switches = switches
        self._wipe = wipe
        self._at = at
        self._begin_again = begin_again
        self._answered: OrderedDict[str, Response] = OrderedDict()  # by transaction

    def answer(self, command: Command, now_us: int) -> Response:
        """Do what the command says. Whatever it is, it is answered, and the line goes on."""
        kind = RESPONSES.get(command.topic, Response)
        transaction: str | None = None
        try:
            gesture, transaction = parse(
                command.topic, command.payload, now_us, self._journal.at_wall
            )
            if transaction is not None and transaction in self._answered:
                return self._answered[transaction]  # a broker may deliver twice
            data, trouble = self._do(gesture, now_us, command.origin)
            response = kind(
                status="ok" if trouble is None else "error",
                data=data,
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
                error=f"not kept, {self._journal.trouble or error}",
                transaction=transaction,
            )
        if transaction is not None:
            self._answered[transaction] = response
            if len(self._answered) > REMEMBERED:
                self._answered.popitem(last=False)
        return response

    def _do(self, gesture: Gesture, now_us: int, origin: str) -> tuple[Told, str | None]:
        """Return what was done, and what went wrong all the same."""
        match gesture:
            case SetLearning() | SetThreshold():
                return self._set(gesture, now_us, origin), None
            case Rebuild():
                return {"action": "rebuilt", "windows": self._teacher.rebuild()}, None
            case Restart():
                self._begin_again()
                return {"action": "restarting"}, None
            case Start() | Span() | Toggle() if not self._switches.learning:
                raise RefusedError("learning is paused: switch it on first")
            case _:
                done = self._labelling.handle(gesture, now_us, origin)
                return self._told(done), self._wipe() if done.action == "forgotten" else None

    def _set(self, gesture: SetLearning | SetThreshold, now_us: int, origin: str) -> Told:
        if isinstance(gesture, SetThreshold):
            self._switches.set_threshold(gesture.percent)
        else:
            if not gesture.on and self._labelling.teaching is not None:
                self._labelling.handle(Stop(now_us), now_us, origin)
            self._switches.set_learning(gesture.on)
        told = self._switches.told()
        return {
            "action": "set",
            "learning": told.learning,
            "threshold_percent": told.threshold_percent,
        }

    def _told(self, done: Done) -> Told:
        told: Told = {"action": done.action, "activity": done.activity, "windows": done.windows}
        if done.was is not None:
            told |= {"from": done.was, "to": done.activity}
        if done.start_us is not None:
            end = None if done.end_us is None else self._at(done.end_us)
            told |= {"start": self._at(done.start_us), "end": end}
        return told
