"""Changes are told once, with ids that meet; a heartbeat says that nothing changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.happening import Happening
from deploy.messages import Activity, Message, Transition
from learner.journal import Journal
from learner.recognizer import Prediction

S = 1_000_000


@pytest.fixture(name="journal")
def _journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def told(happening: Happening, *activities: str | None, from_s: int = 0) -> list[Message]:
    """One window of 2 s a second."""
    return [
        message
        for second, activity in enumerate(activities, from_s)
        for message in happening.follow(
            Prediction(activity, 0.9, 0.1, {}), second * S, (second + 2) * S, 0
        )
    ]


def events(messages: list[Message]) -> list[tuple[str, str, str]]:
    return [(m.event_type, m.activity, m.id) for m in messages if isinstance(m, Transition)]


def test_a_change_ends_the_one_and_starts_the_other(journal: Journal) -> None:
    messages = told(Happening(journal, heartbeat_us=30 * S), "walking", "walking", None, "stairs")

    assert events(messages) == [
        ("started", "walking", "0"),
        ("ended", "walking", "0"),
        ("started", "unsure", "1e8480"),
        ("ended", "unsure", "1e8480"),
        ("started", "stairs", "2dc6c0"),
    ]
    ended = [m for m in messages if isinstance(m, Transition) and m.event_type == "ended"]
    assert [m.duration_s for m in ended] == [2.0, 1.0]
    assert [m.activity for m in messages if isinstance(m, Activity)] == [
        "walking",
        "unsure",
        "stairs",
    ]


def test_what_goes_on_is_said_again_with_the_same_since(journal: Journal) -> None:
    messages = told(Happening(journal, heartbeat_us=10 * S), *["walking"] * 25)
    said = [m for m in messages if isinstance(m, Activity)]

    assert [m.ts[17:23] for m in said] == ["02.000", "12.000", "22.000"]
    assert {m.since for m in said} == {"1970-01-01T00:00:00.000Z"}


def test_what_a_crash_left_started_is_ended_once(journal: Journal) -> None:
    told(Happening(journal, heartbeat_us=30 * S), "walking")
    after = Happening(journal, heartbeat_us=30 * S)

    assert events(list(after.end(7 * S))) == [("ended", "walking", "0")]
    assert list(after.end(8 * S)) == []


def test_an_end_is_never_before_its_start(journal: Journal) -> None:
    happening = Happening(journal, heartbeat_us=30 * S)
    told(happening, "walking", from_s=9)
    (ended,) = happening.end(3 * S)

    assert isinstance(ended, Transition)
    assert ended.duration_s == 0
