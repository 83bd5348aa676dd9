"""What a journal must hold, told by nothing but what was acknowledged."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.messages import Label, Response
from learner.journal import Journal

TRUNCATED_US, ROUNDED_US = 1000, 10  # of a time stamp


@dataclass(eq=False)
class Said:
    """One stretch, as it was acknowledged."""

    activity: str
    start: str
    end: str | None = None  # None: not yet
    cut: bool = False  # its end is wherever a restart found it

    @property
    def goes_on(self) -> bool:
        return self.end is None and not self.cut


@dataclass
class Ledger:
    """What must be in the journal, by nothing but what was acknowledged."""

    standing: list[Said] = field(default_factory=list)
    acknowledged: int = 0
    refused: int = 0
    before: Said | None = None  # what the press that is still down has ended
    _heard: set[str | None] = field(default_factory=set)

    @property
    def open(self) -> Said | None:
        last = self.standing[-1:]
        return last[0] if last and last[0].goes_on else None

    def take(self, response: Response) -> None:
        """Take an answer, in the order in which they are given."""
        if response.transaction in self._heard:  # asked twice
            return
        self._heard = {response.transaction}
        if response.status != "ok":
            self.refused += 1
            return
        self.acknowledged += 1
        self._do(response.data)

    def _start(self, activity: str, start: str) -> None:
        self.before = self.open
        if self.before is not None:
            self.before.end = max(start, self.before.start)
        self.standing.append(Said(activity, start))

    def _undo(self) -> None:
        gone, again = self.standing.pop(), self.before
        if again is not None and gone.goes_on and again in self.standing:
            again.end = None
        self.before = None

    def _do(self, data: dict[str, Any]) -> None:
        match data["action"]:
            case "started":
                self._start(data["activity"], data["start"])
            case "stopped":
                assert self.open is not None
                self.open.end = data["end"]
            case "taught":
                self.standing.append(Said(data["activity"], data["start"], data["end"]))
            case "undone":
                self._undo()
            case "renamed" | "merged":
                for said in self.standing:
                    if said.activity == data["from"]:
                        said.activity = data["to"]
            case "forgotten":
                self.standing = [s for s in self.standing if s.activity != data["activity"]]

    def ended(self, label: Label) -> None:
        """A stretch that ended by itself."""
        said, ended = self.open, label.ended
        if said and ended and (said.activity, said.start) == (ended.activity, ended.start):
            said.end = ended.end

    def restarted(self) -> None:
        if self.open is not None:
            self.open.cut = True
        self.before = None

    def lost(self, journal: Journal) -> list[str]:
        """Compare with the journal; a sentence for each stretch that is not as acknowledged."""
        there = [(a.activity, a.start_us, a.end_us) for a in journal.annotations]
        wrong = [
            f"acknowledged {said}, in the journal {found}"
            for said, found in zip(self.standing, there, strict=False)
            if not _same(said, found)
        ]
        if len(there) != len(self.standing):
            wrong.append(f"{len(self.standing)} acknowledged, {len(there)} in the journal")
        return wrong


def _same(said: Said, found: tuple[str, int, int | None]) -> bool:
    activity, start_us, end_us = found
    return (
        activity == said.activity
        and _near(said.start, start_us)
        and (said.cut or _near(said.end, end_us))
    )


def _near(stamp: str | None, at_us: int | None) -> bool:
    if stamp is None or at_us is None:
        return stamp is None and at_us is None
    stamp_us = round(datetime.fromisoformat(stamp).timestamp() * 1e6)
    return -ROUNDED_US <= at_us - stamp_us <= TRUNCATED_US + ROUNDED_US
