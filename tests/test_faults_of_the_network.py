"""Faults of the network while it runs: a broker gone for long, one that flaps, one that moves."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from budge import ROOT, Budge
from mosquitto import Mosquitto
from msgspec.structs import replace
from outlet import Wire, eventually, running
from phone import Phone

from deploy.messages import Activity, Label, Transition, Window
from deploy.outbox import CAPACITY
from deploy.settings import Settings
from learner.journal import Journal

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"
HOUR_S = 3600


def settings(port: int, host: str = "127.0.0.1") -> Settings:
    found = Settings(device="test")
    return replace(found, mqtt=replace(found.mqtt, host=host, port=port, window=True))


def transition(number: int) -> Transition:
    return Transition(
        id=str(number), event_type="started", activity="a", start="", end=None, duration_s=None
    )


def activity(name: str) -> Activity:
    return Activity(activity=name, confidence=1, since="", ts="", novelty=0, probabilities={})


def window(end_s: float) -> Window:
    return Window(
        activity="a", confidence=1, novelty=0, start="", ts="", start_s=end_s - 1, end_s=end_s
    )


def test_a_broker_gone_for_an_hour_gets_the_oldest_events_and_what_is_true_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        with Wire(broker.port) as wire, running(settings(wire.port)) as output:
            phone.wait_for("availability", lambda m: m == "online")
            wire.mute.set()  # nothing comes through any more
            wire.cut()
            phone.wait_for("availability", lambda m: m == "offline")
            eventually(lambda: not output._connected.is_set())  # it may notice later than others
            output.send(Label(label="walking", since=None, windows=1))
            for second in range(HOUR_S):  # a restless hour: a change at every window
                output.send(window(second))
                output.send(transition(second))
                output.send(activity(f"a{second}"))
            waiting = len(output._outbox._waiting)
            after = len(phone.messages)
            wire.cut()
            wire.mute.clear()
            phone.wait_for("activity", lambda m: m["activity"] == f"a{HOUR_S - 1}", after=after)
            eventually(lambda: "events are lost" in caplog.text)
            output.send(transition(HOUR_S))
            phone.wait_for("transition", lambda m: m["id"] == str(HOUR_S))
        said = phone.messages[after:]

    assert waiting == CAPACITY  # and no more, however long it takes
    told = [m["id"] for topic, m in said if topic == "transition"]
    assert told == [*map(str, range(CAPACITY)), str(HOUR_S)]
    assert [m["windows"] for topic, m in said if topic == "label"] == [1]
    assert len([m for topic, m in said if topic == "activity"]) == 1  # not an hour of them
    assert not [m for topic, m in said if topic == "window"]
    assert caplog.text.count(f"{HOUR_S - CAPACITY} events are lost") == 1


def insist(phone: Phone, payload: dict[str, Any], transaction: str) -> Any:
    """Send a command until it is answered, as a phone does whose messages may be lost."""
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        phone.press({**payload, "transaction": transaction})
        for _ in range(25):
            answers = [m for m in phone.of("response/label") if m["transaction"] == transaction]
            if answers:
                return answers[0]
            time.sleep(0.02)
    raise AssertionError(f"no answer to {transaction}")


def every_so_often(act: Callable[[], None], seconds: float, end: threading.Event) -> int:
    times = 0
    while not end.wait(seconds):
        act()
        times += 1
    return times


def test_a_network_that_flaps_costs_no_command_its_answer_nor_a_transition_its_end(
    tmp_path: Path,
) -> None:
    presses = 4
    cuts: list[int] = []
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        with Wire(broker.port) as wire:
            flapping = threading.Event()
            flap = threading.Thread(
                target=lambda: cuts.append(every_so_often(wire.cut, 1.3, flapping))
            )
            with Budge(
                tmp_path,
                *("replay", DAY, "--broker", f"127.0.0.1:{wire.port}", "--device", "test"),
                *("--state-dir", tmp_path / "state", "--speed", "8", "--stay"),
            ) as budge:
                phone.wait_for("activity")
                flap.start()
                for number in range(presses):
                    name = ("resting", "walking")[number % 2]
                    answer = insist(phone, {"activity": name}, f"press {number}")
                    assert answer["status"] == "ok"
                    time.sleep(0.6)
                insist(phone, {}, "stop")
                flapping.set()
                flap.join()
                insist(phone, {"activity": "resting", "last_s": 5}, "at last")
                assert budge.end() == 0
        transitions = phone.of("transition")

    assert cuts[0] >= 3
    # Once in the journal, however often it was sent.
    with Journal(tmp_path / "state" / "journal.sqlite") as journal:
        said = [one.activity for one in journal.annotations]
    assert said == [*["resting", "walking"] * (presses // 2), "resting"]
    events = {(m["id"], m["event_type"]) for m in transitions}
    started = {id_ for id_, event in events if event == "started"}
    assert started
    assert {id_ for id_, event in events if event == "ended"} == started


def test_a_broker_that_moves_to_another_address_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, address = "broker.home.arpa", ["127.0.0.2"]
    look_up = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **named: Any) -> Any:
        return look_up(address[0] if host == name else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    broker = Mosquitto(tmp_path)
    here = broker._config.read_text()
    broker._config.write_text(f"{here}listener {broker.port} 127.0.0.2\n")
    with broker, running(settings(broker.port, name)) as output:
        with Phone(broker.port, "test") as phone:
            phone.wait_for("availability", lambda m: m == "online")
        broker.stop()
        broker._config.write_text(here)  # nobody is at the old address any more
        output.send(activity("walking"))
        address[0] = "127.0.0.1"
        broker.start()
        with Phone(broker.port, "test") as phone:
            assert phone.wait_for("availability", lambda m: m == "online")
            assert phone.wait_for("activity")["activity"] == "walking"
