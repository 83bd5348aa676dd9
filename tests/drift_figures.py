"""How often activities of real people are said to have drifted, without a reason and with one.

Each person teaches one session (of wisdm, the first half of each activity). What they do later is
heard from beginning to end: without a change, every alarm is false. Then it is heard again and
again, with the sensor tilted or worn by somebody else, until there is an alarm.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from budge import DATASETS
from numpy.typing import NDArray

from deploy.evaluating import People, load
from learner import Recognizer
from learner.evaluation.protocols import next_session

HAPT = "WALKING,WALKING_UPSTAIRS,WALKING_DOWNSTAIRS,SITTING,STANDING,LAYING"
SETS: dict[str, tuple[Path, float, float, str | None]] = {
    "hapt": (DATASETS / "hapt.npz", 2.56, 1.28, HAPT),
    "wisdm": (DATASETS / "wisdm51_watch6.npz", 2.5, 1.25, None),
}
ROUNDS = 4  # a changed session is heard so often at most
Samples = NDArray[np.float32]


def people(name: str) -> People:
    return load([SETS[name][0]], *SETS[name][1:])


class Person:
    """One who has taught, and what they do later."""

    def __init__(self, everybody: People, person: int) -> None:
        self._windows = windows = everybody.windows
        self._split = next_session(windows, person)
        self.hop_s = windows.hop / windows.rate_hz
        tested = self._split.tested
        stretches = windows.stretches[tested]
        # from the first tested window of each stretch to the last, and all between
        self._later = [
            np.arange(tested[stretches == s].min(), tested[stretches == s].max() + 1)
            for s in np.unique(stretches)
        ]

    def taught(self) -> Recognizer:
        windows = self._windows
        r = Recognizer(windows.rate_hz, windows.signal.shape[1], windows.window_s)
        for index in self._split.taught:
            r.learn(windows.samples(index), windows.names[windows.labels[index]])
        return r

    @property
    def windows(self) -> int:
        return sum(map(len, self._later))

    def later(self) -> Iterator[list[Samples]]:
        """Stretches without a gap, window by window."""
        for stretch in self._later:
            yield [self._windows.samples(index) for index in stretch]

    def down(self) -> NDArray[np.float64]:
        level = np.mean([w[:, :3].mean(axis=0) for part in self.later() for w in part], axis=0)
        return np.asarray(level / np.linalg.norm(level), dtype=np.float64)


def false_alarms(person: Person) -> int:
    """Count what begins to be said although nothing was changed."""
    r, before, count = person.taught(), set[str](), 0
    for part in person.later():
        r.gap()
        for window in part:
            r.observe(window)
            count += len(set(r.drifting) - before)
            before = set(r.drifting)
    return count


def windows_to_alarm(person: Person, changed: Person, degrees: float) -> int | None:
    """Hear what is unchanged twice, then count windows until the next alarm; None: there is none.

    `changed` is who wears the sensor then, tilted by so much.
    """
    r = person.taught()
    for _ in range(2):
        for part in person.later():
            r.gap()
            for window in part:
                r.observe(window)
    known, count, turn = set(r.drifting), 0, tilt(changed.down(), degrees)
    for _ in range(ROUNDS):
        for part in changed.later():
            r.gap()
            for window in part:
                r.observe(turned(window, turn))
                count += 1
                if set(r.drifting) - known:
                    return count
    return None


def tilt(down: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Rotation by so much about a level axis, by Rodrigues' formula."""
    axis = np.cross(down, np.eye(3)[np.abs(down).argmin()])
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def turned(window: Samples, turn: NDArray[np.float64]) -> Samples:
    triads = np.split(window, window.shape[1] // 3, axis=1)
    return np.concatenate([triad @ turn.T for triad in triads], axis=1).astype(np.float32)


def main() -> None:
    for name in SETS:
        everybody = people(name)
        persons = [Person(everybody, k) for k in range(min(30, len(everybody.names)))]
        hours = sum(person.windows * person.hop_s for person in persons) / 3600
        false = sum(map(false_alarms, persons))
        print(
            f"{name}: {len(persons)} people, {hours:.1f} h without a change:"
            f" {false / hours:.2f} alarms an hour"
        )
        for what, degrees, shift in [
            *((f"tilted by {degrees}°", degrees, 0) for degrees in (30, 60, 90)),
            ("somebody else", 0, 7),
        ]:
            minutes = [
                windows * person.hop_s / 60
                for k, person in enumerate(persons)
                if (
                    windows := windows_to_alarm(
                        person, persons[(k + shift) % len(persons)], degrees
                    )
                )
            ]
            print(
                f"  {what}: seen of {len(minutes)}, in the median after"
                f" {np.median(minutes) if minutes else np.nan:.1f} min",
                flush=True,
            )


if __name__ == "__main__":
    main()
