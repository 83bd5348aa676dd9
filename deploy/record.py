"""The prequential record: what it said of a window before it was taught that window.

    said when it went by     walking   walking   stairs   unsure
    taught later on          walking   walking   walking  walking     -> right in 2 of 4

What is said of an activity before it knows it is no record of it, and is left out. Kept in the
journal, beside the model and not in it: a model taught anew has no such past.
"""

import json
from collections.abc import Iterable
from itertools import combinations

from deploy.messages import UNSURE, Confusion, Score, Scores
from learner.journal import Journal

KEY = "record"  # the journal's
REMEMBERED = 5000  # windows: a correction may come so much later, 1 3/4 h with the usual hop
LATEST = 200  # windows of an activity that count
ENOUGH = 5  # judged windows, to say anything
ALIKE, ALIKE_WINDOWS = 0.05, 3  # two are confused from this share on, and so many windows

Said = dict[int, str]  # end of the window, ms: what was said


class Record:
    """Owned by the thread of the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        kept = journal.recall(KEY)
        self._of: dict[str, Said] = {
            activity: {int(at): said for at, said in windows}
            for activity, windows in (json.loads(kept) if kept else {}).items()
        }
        self._went_by: dict[int, tuple[str, frozenset[str]]] = {}  # by its end, the oldest first
        self._known: frozenset[str] = frozenset()
        self.changed = False  # since it was last kept

    def saw(self, end_us: int, said: str | None, known: Iterable[str]) -> None:
        """Note what was said of a window that goes by, and which activities were known then."""
        if self._known != (now := frozenset(known)):
            self._known = now
        self._went_by[end_us // 1000] = said or UNSURE, self._known
        if len(self._went_by) > REMEMBERED:
            del self._went_by[next(iter(self._went_by))]

    def taught(self, end_us: int, was: str | None, now: str | None) -> None:
        """Note that a window is taught as another activity, or none, than it was."""
        for at in range(end_us // 1000 - 1, end_us // 1000 + 2):  # two clocks round two ways
            if was is not None and self._of.get(was, {}).pop(at, None) is not None:
                self.changed = True
            said, known = self._went_by.get(at, (UNSURE, frozenset()))
            if now in known:
                windows = self._of.setdefault(now, {})
                windows[at] = said
                if len(windows) > LATEST:
                    del windows[min(windows)]
                self.changed = True

    def rename(self, old: str, new: str) -> None:
        """Follow a renaming or a merger."""
        merged = {**self._of.pop(new, {}), **self._of.pop(old, {})}
        self._of = {
            activity: {at: new if said == old else said for at, said in windows.items()}
            for activity, windows in {**self._of, new: merged}.items()
            if windows
        }
        self._forget_what_went_by()

    def forget(self, activity: str) -> None:
        """Keep nothing of it."""
        self._of.pop(activity, None)
        for windows in self._of.values():
            for at in [at for at, said in windows.items() if said == activity]:
                del windows[at]
        self._forget_what_went_by()

    def forget_between(self, start_us: int, end_us: int) -> None:
        for windows in self._of.values():
            for at in [at for at in windows if start_us <= at * 1000 <= end_us]:
                del windows[at]
        self._forget_what_went_by()

    def _forget_what_went_by(self) -> None:
        """Its names are those of before."""
        self._went_by.clear()
        self.keep()

    def keep(self) -> None:
        """Write it down."""
        of = {activity: list(windows.items()) for activity, windows in self._of.items()}
        self._journal.remember(KEY, json.dumps(of).encode())
        self.changed = False

    def told(self) -> Scores:
        """Say how good it is at what, and what it takes for what."""
        scores = {}
        for activity, windows in sorted(self._of.items()):
            right = sum(said == activity for said in windows.values())
            enough = len(windows) >= ENOUGH
            share = round(right / len(windows), 3) if enough else None
            scores[activity] = Score(windows=len(windows), right=share)
        confused = self._confused()
        advice = None
        if confused:
            worst = confused[0]
            advice = f"{worst.one} and {worst.other} look alike from here: teach 20 s more of each"
        return Scores(activities=scores, confused=tuple(confused), advice=advice)

    def _confused(self) -> list[Confusion]:
        pairs = []
        for one, other in combinations(sorted(self._of), 2):
            mixed = sum(said == other for said in self._of[one].values()) + sum(
                said == one for said in self._of[other].values()
            )
            share = mixed / max(len(self._of[one]) + len(self._of[other]), 1)
            if mixed >= ALIKE_WINDOWS and share >= ALIKE:
                pairs.append(Confusion(one=one, other=other, share=round(share, 3)))
        return sorted(pairs, key=lambda pair: -pair.share)
