"""What a page is told, and what it misses when it is slow. Loopback only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from page import STATES, Events, Served, ask, transition, wait_until, window

from deploy.messages import STATE_ORDER, Controls, Message, Trace
from deploy.page.access import Token
from deploy.page.events import MAX_WAITING, History, Hub, Watcher


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


def test_a_new_watcher_is_told_all_states_in_order_then_the_past_then_the_present(
    served: Served,
) -> None:
    for message in (*STATES, window(1), window(2)):
        served.output.send(message)
    with Events(served.port, served.pair()) as events:
        got = events.until("access")
        served.output.show(Trace(ts="", rate_hz=25.0, x=(1.0,), y=(2.0,), z=(3.0,)))
        served.output.send(window(3))
        served.output.send(transition())
        live = events.until("transition")

    assert [topic for topic, _ in got] == [*STATE_ORDER, "history", "access"]
    assert got[1] == ("controls", {"v": 1, "learning": True, "threshold_percent": 40.0})
    assert got[-2][1] == {
        "segments": [{"start": "-1", "end": "2", "activity": "walking", "confidence": 0.75}]
    }
    assert got[-1][1] == {"role": "full", "name": "phone-1"}
    assert [topic for topic, _ in live] == ["trace", "window", "transition"]
    assert live[0][1] == {"v": 1, "ts": "", "rate_hz": 25.0, "x": [1.0], "y": [2.0], "z": [3.0]}


def test_every_retained_message_is_a_state_that_is_told_first() -> None:
    assert {type(message).topic for message in STATES} == {*STATE_ORDER}
    kinds = {kind.topic for kind in Message.__subclasses__() if kind.retained}
    assert kinds == {*STATE_ORDER}


def test_fifty_phones_hear_the_same(served: Served) -> None:
    token = served.pair()
    phones = [Events(served.port, token) for _ in range(50)]
    for number in range(20):
        served.output.send(transition(number))
    for phone in phones:
        with phone:
            got = [data["id"] for topic, data in _first(phone, 20 + 2) if topic == "transition"]
        assert got == [str(number) for number in range(20)]
    wait_until(lambda: not served.output._hub.watchers)


def _first(events: Events, count: int) -> list[tuple[str, Any]]:
    return [event for _, event in zip(range(count), events, strict=False)]


def test_a_comment_now_and_then_shows_that_both_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.outputs.page.LOOK_S", 0.05)
    monkeypatch.setattr("deploy.outputs.page.BEAT_S", 0.1)
    with Served(tmp_path) as served, Events(served.port, served.pair()) as events:
        events.until("access")
        assert events.raw.readline() == b"\n"
        assert [events.raw.readline() for _ in range(4)] == [b": \n", b"\n"] * 2


def test_a_token_that_is_taken_back_ends_its_streams_and_no_others(served: Served) -> None:
    taken, kept = served.pair(name="thief"), served.pair(name="owner")
    with Events(served.port, taken) as thief, Events(served.port, kept) as owner:
        thief.until("access")
        served.access.revoke("thief")
        assert list(thief) == [], "it ends"
        assert ask(served.port, "POST", "/api/label", token=taken).status == 401
        served.output.send(transition())
        owner.until("transition")


def test_a_slow_phone_misses_rows_and_windows_first_and_of_a_state_all_but_the_last() -> None:
    hub = Hub()
    watcher = hub.join(_token())
    for number in range(1000):
        hub.take(window(number))
        hub.take(Controls(learning=True, threshold_percent=float(number)))
    hub.take(transition(7))
    events = _waiting(watcher)

    assert len(events) <= MAX_WAITING
    assert (
        events.count(b'event: controls\ndata: {"v":1,"learning":true,"threshold_percent":999.0}')
        == 1
    )
    assert sum(event.startswith(b"event: controls") for event in events) == 1
    assert events[-1].startswith(b"event: transition")
    assert not watcher._ended


def test_what_waits_is_told_in_the_order_of_the_latest() -> None:
    hub = Hub()
    watcher = hub.join(_token())
    info, activity = (m for m in reversed(STATES) if m.topic in ("info", "activity"))
    for message in (activity, info, activity):  # named first, then used
        hub.take(message)
    topics = [event.split(b"\n")[0] for event in _waiting(watcher)]
    assert topics[-2:] == [b"event: info", b"event: activity"]


def test_a_hopeless_phone_has_to_begin_anew() -> None:
    hub = Hub()
    watcher = hub.join(_token())
    for number in range(MAX_WAITING + 1):
        hub.take(transition(number))
    assert watcher._ended


def _token() -> Token:
    return Token(name="phone", role="full", created="", sha256="")


def _waiting(watcher: Watcher) -> list[bytes]:
    return b"".join(watcher._waiting.values()).removesuffix(b"\n\n").split(b"\n\n")


def test_the_history_joins_what_is_alike_and_knows_a_gap() -> None:
    history = History()
    for number in (1, 2, 3):
        history.take(window(number))
    for number in (4, 5):
        history.take(window(number, "running"))
    history.take(window(9, "running"))  # begins at 7, the last ended at 5

    assert [(s.start, s.end, s.activity) for s in history.segments] == [
        ("-1", "3", "walking"),
        ("3", "5", "running"),
        ("7", "9", "running"),
    ]
    assert [s.confidence for s in history.segments] == [0.8333, 0.75, 1.0]


def test_the_history_is_ten_minutes_and_bounded() -> None:
    history = History()
    for number in range(2000):
        history.take(window(number, str(number)))
    assert len(history.segments) == 601
    assert history.segments[0].end == "1399"
    for number in range(30_000):
        hundredth = replace(window(0, str(number)), start_s=2000 + number / 100 - 2)
        history.take(replace(hundredth, end_s=2000 + number / 100))
    assert len(history.segments) == 2000
