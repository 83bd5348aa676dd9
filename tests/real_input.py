"""Teach budge people it has never seen, by button, and see how it knows them on another day.

Everything is real but the phone's glass: mosquitto, the `budge` command, recordings of people
(HAPT, waist). A person's first session is played while a phone presses the button over MQTT; then
the last one, with the sensor put on anew, while nobody presses. The phone compares what
`.../window` says with what was really done.

    python tests/real_input.py                     all thirty people, a table
    python tests/real_input.py --subject 3 --subject 7
"""

import argparse
import tempfile
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from budge import DATASETS, Budge
from mosquitto import Mosquitto
from phone import Phone, seconds

HAPT = DATASETS / "hapt.npz"
TAUGHT = 6  # the first six labels are activities, the others the transitions between them
COVERED = 0.8  # of a window, by one label


class Session(NamedTuple):
    """One recording of a person: a label a row, -1 where there is none."""

    labels: list[int]
    rate_hz: float

    def stretches(self) -> list[tuple[int, float, float]]:
        """(label, start_s, end_s) of each activity, as the recording's labels have it."""
        edges = [0, *(np.flatnonzero(np.diff(self.labels)) + 1).tolist(), len(self.labels)]
        return [
            (self.labels[first], first / self.rate_hz, past / self.rate_hz)
            for first, past in pairwise(edges)
            if 0 <= self.labels[first] < TAUGHT
        ]

    def truth(self, start_s: float, end_s: float) -> int | None:
        """Label of a window, if one of the six covers enough of it."""
        rows = self.labels[round(start_s * self.rate_hz) : round(end_s * self.rate_hz)]
        label = max(set(rows), key=rows.count)
        enough = rows.count(label) >= COVERED * len(rows)
        return label if enough and 0 <= label < TAUGHT else None


class Result(NamedTuple):
    subject: int
    taught_windows: int
    windows: int
    right: int

    @property
    def accuracy(self) -> float:
        return self.right / self.windows


def people() -> dict[int, tuple[Session, Session]]:
    """First and last session of every person."""
    with np.load(HAPT, allow_pickle=False) as file:
        subjects, segments, labels = file["subject"], file["segment"], file["label"]
    found = {}
    for subject in np.unique(subjects).tolist():
        of_subject = np.unique(segments[subjects == subject])
        first, last = (
            Session(labels[segments == segment].tolist(), 50.0)
            for segment in (of_subject[0], of_subject[-1])
        )
        found[subject] = first, last
    return found


def names() -> list[str]:
    with np.load(HAPT, allow_pickle=False) as file:
        return [str(name) for name in file["label_names"]]


def _rfc3339(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat()


def _replay(folder: Path, broker: Mosquitto, subject: int, session: int, *more: str) -> Budge:
    return Budge(
        folder,
        *("replay", str(HAPT), "--subject", str(subject), "--session", str(session)),
        *("--speed", "max", "--windows", "--device", f"hapt{subject}", "--broker", broker.address),
        *("--state-dir", str(folder / "state"), *more),
    )


def _reached(end_s: float, window: Any) -> bool:
    """Tell whether this is one of the last two windows of what ended then, or a later one."""
    return bool(window["end_s"] >= end_s - 1.3)


def teach(phone: Phone, session: Session) -> int:
    """Press the button for every stretch as soon as it is over; returns the windows taught."""
    windows = 0
    for label, start_s, end_s in session.stretches():
        seen = phone.wait_for("window", partial(_reached, end_s))
        zero = seconds(seen["ts"]) - seen["end_s"]
        answer = phone.ask(
            {
                "activity": names()[label],
                "start": _rfc3339(zero + start_s),
                "end": _rfc3339(zero + end_s),
            }
        )
        if answer["status"] == "ok":
            windows += answer["data"]["windows"]
        else:  # a stretch shorter than a window and its guard zones
            assert "holds no whole window" in answer["error"], answer
    return windows


def judge(heard: list[Any], session: Session) -> tuple[int, int]:
    """(right, windows) of what a phone heard, without the windows of transitions."""
    scored = [
        (message["activity"], names()[truth])
        for message in heard
        if (truth := session.truth(message["start_s"], message["end_s"])) is not None
    ]
    return sum(said == truth for said, truth in scored), len(scored)


def run(subject: int, sessions: tuple[Session, Session], broker: Mosquitto, folder: Path) -> Result:
    """Teach one person's first session, judge the last."""
    first, last = sessions
    folder.mkdir()
    with (
        Phone(broker.port, f"hapt{subject}") as phone,
        _replay(folder, broker, subject, 1, "--stay") as budge,
    ):
        taught = teach(phone, first)
        assert budge.end() == 0, budge.log
    with Phone(broker.port, f"hapt{subject}") as phone:
        with _replay(folder, broker, subject, -1) as budge:
            assert budge.wait() == 0, budge.log
            phone.wait_for("availability", lambda m: m == "offline")
        heard = [m for topic, m in phone.messages if topic == "window"]
        assert not [m for t, m in phone.messages if t == "response/label"]
    rows = len(last.labels)
    assert len(heard) == (rows - 128) // 64 + 1, "a replay at full speed must lose no window"
    right, windows = judge(heard, last)
    return Result(subject, taught, windows, right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--subject", type=int, action="append", help="default: everybody")
    wanted = parser.parse_args().subject
    everybody = people()
    print("person  taught  windows  right")
    results = []
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder)) as broker:
        for subject in wanted or everybody:
            result = run(subject, everybody[subject], broker, Path(folder) / f"person{subject}")
            results.append(result.accuracy)
            print(
                f"{subject:6}  {result.taught_windows:6}  {result.windows:7}"
                f"  {result.accuracy:6.1%}",
                flush=True,
            )
    print(f"mean {np.mean(results):.1%}, worst {min(results):.1%}, {len(results)} people")


if __name__ == "__main__":
    main()
