"""What a journal must hold, told by nothing but what was acknowledged."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from deploy.controls import Switches
from deploy.messages import Controls, Label, Response
from learner.journal import Journal

TRUNCATED_US, ROUNDED_US = 1000, 10  # of a time stamp
MOVED_US = 1_000_000  # the clock, while what ended by itself was told


@dataclass(eq=False)
class Said:
    """One stretch, as it was acknowledged, in journal time."""

    activity: str
    start_us: int
    end_us: int | None = None  # None: not yet
    cut: bool = False  # its end is wherever a restart, or the end of learning, found it
    by_itself: bool = False

    @property
    def goes_on(self) -> bool:
        return self.end_us is None and not self.cut


@dataclass
class Ledger:
    """What must be in the journal, by nothing but what was acknowledged."""

    standing: list[Said] = field(default_factory=list)
    controls: Controls = field(default_factory=lambda: Controls(learning=True, threshold_percent=0))
    acknowledged: int = 0
    refused: int = 0
    ended_by_themselves: int = 0
    before: Said | None = None  # what the press that is still down has ended
    _heard: set[str | None] = field(default_factory=set)

    @classmethod
    def of(cls, journal: Journal) -> Self:
        """Begin with what an earlier soak has left, and found good."""
        return cls(
            [Said(a.activity, a.start_us, a.end_us, a.end_us is None) for a in journal.annotations],
            Switches(journal).told(),
        )

    @property
    def open(self) -> Said | None:
        last = self.standing[-1:]
        return last[0] if last and last[0].goes_on else None

    def take(self, response: Response, offset_us: int) -> None:
        """Take an answer, in the order in which they are given.

        `offset_us`: by how much the wall clock, in which times are told, is ahead of the journal.
        """
        if response.transaction in self._heard:  # asked twice
            return
        self._heard = {response.transaction}
        if response.status != "ok":
            self.refused += 1
            return
        self.acknowledged += 1
        data: dict[str, Any] = dict(response.data)
        start_us, end_us = (_us(data.get(name), offset_us) for name in ("start", "end"))
        self._do(data, start_us or 0, end_us)

    def _start(self, activity: str, start_us: int) -> None:
        self.before = self.open
        if self.before is not None:
            self.before.end_us = max(start_us, self.before.start_us)
        self.standing.append(Said(activity, start_us))

    def _undo(self) -> None:
        gone, again = self.standing.pop(), self.before
        if again is not None and gone.goes_on and again in self.standing:
            again.end_us = None
        self.before = None

    def _set(self, controls: Controls) -> None:
        if self.open is not None and not controls.learning:
            self.open.cut = True
        self.controls = controls

    def _do(self, data: dict[str, Any], start_us: int, end_us: int | None) -> None:
        match data["action"]:
            case "started":
                self._start(data["activity"], start_us)
            case "stopped":
                assert self.open is not None
                self.open.end_us = end_us
            case "taught":
                self.standing.append(Said(data["activity"], start_us, end_us))
            case "undone":
                self._undo()
            case "renamed" | "merged":
                for said in self.standing:
                    if said.activity == data["from"]:
                        said.activity = data["to"]
            case "forgotten":
                self.standing = [s for s in self.standing if s.activity != data["activity"]]
            case "set":
                self._set(
                    Controls(learning=data["learning"], threshold_percent=data["threshold_percent"])
                )

    def ended(self, label: Label, offset_us: int) -> None:
        """A stretch that ended by itself."""
        said, ended = self.open, label.ended
        if said is None or ended is None or said.activity != ended.activity:
            return
        if abs((_us(ended.start, offset_us) or 0) - said.start_us) < MOVED_US:
            said.end_us, said.by_itself = _us(ended.end, offset_us), True
            self.ended_by_themselves += 1

    def restarted(self) -> None:
        if self.open is not None:
            self.open.cut = True
        self.before = None

    def lost(self, journal: Journal) -> list[str]:
        """Compare with the journal; a sentence for each thing that is not as acknowledged."""
        wrong = [
            f"acknowledged {said}, in the journal {found}"
            for said, found in zip(self.standing, journal.annotations, strict=False)
            if found.activity != said.activity
            or not _near(said.start_us, found.start_us)
            or not (said.cut or _near(said.end_us, found.end_us, said.by_itself * MOVED_US))
        ]
        if len(journal.annotations) != len(self.standing):
            wrong.append(
                f"{len(self.standing)} acknowledged, {len(journal.annotations)} in the journal"
            )
        kept = Switches(journal).told()
        if kept != self.controls:
            wrong.append(f"acknowledged {self.controls}, in the journal {kept}")
        return wrong


def _us(stamp: str | None, offset_us: int) -> int | None:
    if stamp is None:
        return None
    return round(datetime.fromisoformat(stamp).timestamp() * 1e6) - offset_us


def _near(told_us: int | None, at_us: int | None, moved_us: int = 0) -> bool:
    if told_us is None or at_us is None:
        return told_us is None and at_us is None
    return -ROUNDED_US - moved_us <= at_us - told_us <= TRUNCATED_US + ROUNDED_US + moved_us
