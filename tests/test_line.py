"""The whole line as a user has it: the command, a real broker, a phone that presses the button."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from budge import ROOT, Budge
from mosquitto import Mosquitto
from page import wait_until
from phone import Phone

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"


@pytest.fixture(name="broker")
def _broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture(name="phone")
def _phone(broker: Mosquitto) -> Iterator[Phone]:
    with Phone(broker.port, "test") as phone:
        yield phone


def replay(folder: Path, broker: Mosquitto, *more: str | Path, file: Path = DAY) -> Budge:
    return Budge(
        folder,
        *("replay", file, "--broker", broker.address, "--device", "test"),
        *("--state-dir", folder / "state", *more),
    )


def info(phone: Phone) -> Any:
    """What the device last said of itself."""
    return phone.of("info")[-1]


def test_it_knows_nothing_is_taught_and_is_right(
    tmp_path: Path, broker: Mosquitto, phone: Phone
) -> None:
    with replay(tmp_path, broker, "--windows", "--speed", "max", "--stay"):
        # The sample's second half minute of walking ends at 135 s; its rest at 60 s.
        phone.wait_for("window", lambda m: m["end_s"] > 595)
        assert {m["activity"] for m in phone.of("window")} == {"unsure"}
        first = phone.of("window")[0]
        assert first["confidence"] == 0
        phone.ask({"activity": "resting", "start_age_ms": 598_000, "end_age_ms": 545_000})
        answer = phone.ask({"activity": "walking", "start_age_ms": 535_000, "end_age_ms": 470_000})
        assert answer["status"] == "ok"
        assert answer["data"]["windows"] > 30
        assert set(info(phone)["activities"]) == {"resting", "walking"}

    with replay(tmp_path, broker, "--windows", "--speed", "max") as budge:
        after = len(phone.messages)
        assert budge.wait() == 0
        phone.wait_for("window", lambda m: m["end_s"] > 595, after=after)
        said = [m for t, m in phone.messages[after:] if t == "window"]
    walking = [m["activity"] for m in said if m["start_s"] > 66 and m["end_s"] < 134]
    resting = [m["activity"] for m in said if m["end_s"] < 59]

    assert walking.count("walking") >= 0.9 * len(walking)
    assert resting.count("resting") >= 0.9 * len(resting)


def test_start_and_stop_teach_live_and_undo_gives_back_the_model(
    tmp_path: Path, broker: Mosquitto, phone: Phone
) -> None:
    with replay(tmp_path, broker, "--speed", "20") as budge:
        phone.wait_for("availability", lambda m: m == "online")
        phone.press("resting")
        phone.wait_for("label", lambda m: m["label"] == "resting" and m["windows"] >= 3)
        phone.press("")
        phone.wait_for("response/label", lambda m: m["data"]["action"] == "stopped")
        before = info(phone)
        phone.press("walking")  # wrong, it still rests
        phone.wait_for("label", lambda m: m["label"] == "walking" and m["windows"] >= 3)
        phone.press("stop")
        phone.wait_for("response/label", lambda m: m["data"].get("activity") == "walking")
        taught = phone.wait_for("info", lambda m: m["activities"].get("walking", 0) >= 3)
        phone.press("", topic="label/undo")
        undone = phone.wait_for("response/label", lambda m: m["data"].get("action") == "undone")
        after = info(phone)
        assert budge.end() == 0

    assert undone["data"]["activity"] == "walking"
    assert undone["data"]["windows"] == taught["activities"]["walking"]
    assert after["activities"] == before["activities"]
    assert after["model"] == before["model"]  # not to 1e-9: to the bit
    assert after["model"] != taught["model"]


def test_availability_is_online_then_offline_and_last_will_after_a_kill(
    tmp_path: Path, broker: Mosquitto, phone: Phone
) -> None:
    with replay(tmp_path, broker) as budge:
        phone.wait_for("availability", lambda m: m == "online")
        phone.wait_for("activity")
        assert budge.end() == 0
        phone.wait_for("availability", lambda m: m == "offline")
    after = len(phone.messages)
    with replay(tmp_path, broker) as budge:
        phone.wait_for("availability", lambda m: m == "online", after=after)
        budge.kill()
        phone.wait_for("availability", lambda m: m == "offline", after=after)


def test_a_newcomer_is_told_the_state_by_retained_messages(
    tmp_path: Path, broker: Mosquitto, phone: Phone
) -> None:
    with replay(tmp_path, broker) as budge:
        phone.wait_for("health")
        phone.wait_for("activity")
        with Phone(broker.port, "test") as newcomer:
            states = {"availability", "info", "health", "label", "activity"}
            states |= {"controls", "scores", "taught"}
            for topic in states:
                newcomer.wait_for(topic)
            retained = {topic for topic, _, retain in newcomer.raw if retain}
        assert budge.end() == 0

    assert retained == states


def test_transitions_come_in_pairs_also_after_a_kill(
    tmp_path: Path, broker: Mosquitto, phone: Phone
) -> None:
    with replay(tmp_path, broker, "--speed", "10") as budge:
        started = phone.wait_for("transition", lambda m: m["event_type"] == "started")
        budge.kill()
        phone.wait_for("availability", lambda m: m == "offline")  # behind all that it said
    after = len(phone.messages)
    with replay(tmp_path, broker) as budge:
        ended = phone.wait_for("transition", after=after)
        assert budge.end() == 0

    assert ended["event_type"] == "ended"
    assert ended["id"] == started["id"]
    assert ended["duration_s"] >= 0
    events = phone.of("transition")
    ids = [event["id"] for event in events]
    assert all(ids.count(one) == 2 for one in ids)


BAD = [
    b"walk\xff",
    b'{"activity":',
    b'{"activity":""}',
    b"x" * 10_000,
    b"a+b",
    b"a#b",
    b"a/b",
    b"bell\x07",
    b"none",
    b"Unknown",
    b"unavailable",
    b"unsure",
    b'{"activity":"walking","last_s":1e9}',
]


def test_bad_input_is_refused_with_a_sentence_and_teaches_nothing(
    tmp_path: Path, broker: Mosquitto, phone: Phone
) -> None:
    with replay(tmp_path, broker, "--speed", "max", "--stay") as budge:
        phone.wait_for("activity")
        phone.wait_for("label")
        for payload in [b"", *BAD]:  # empty: a stop, and nothing to stop
            heard = len(phone.messages)
            phone.press(payload)
            phone.wait_for("response/label", after=heard)
        answers = phone.of("response/label")
        assert info(phone)["activities"] == {}
        good = phone.ask({"activity": "walking", "last_s": 30})
        assert budge.running()
        assert budge.end() == 0
        phone.wait_for("availability", lambda m: m == "offline")  # behind all that it said

    assert [a["status"] for a in answers] == ["error"] * len(answers)
    shown = {message["error"] for message in phone.of("label")}
    assert all(len(answer["error"]) > 20 and answer["error"] in shown for answer in answers)
    assert good["status"] == "ok"
    assert phone.of("label")[-1]["error"] is None


def test_a_retained_command_is_not_obeyed(tmp_path: Path, broker: Mosquitto, phone: Phone) -> None:
    phone._client.publish("budge/test/label/set", "walking", qos=1, retain=True).wait_for_publish(
        20
    )
    with replay(tmp_path, broker, "--speed", "max", "--stay") as budge:
        wait_until(lambda: "the source has ended" in budge.log)
        phone.ask({"activity": "resting", "last_s": 30})
        assert budge.end() == 0
        assert "ignored a retained command" in budge.log

    assert set(info(phone)["activities"]) == {"resting"}


def test_a_broker_that_comes_late_finds_everything(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with replay(tmp_path, broker, "--speed", "2") as budge:
        time.sleep(20)  # what the promise is about: nobody listens for so long
        with broker, Phone(broker.port, "test") as phone:
            phone.wait_for("availability", lambda m: m == "online")
            phone.wait_for("activity")
            answer = phone.ask({"activity": "resting", "last_s": 25})
            assert budge.end() == 0

    assert answer["data"]["windows"] > 10  # recorded while nobody was there
    assert budge.log.count("broker") < 10, "a lost broker is a warning, not a stream of them"


def test_a_broker_that_restarts_loses_no_label_and_is_told_the_state_anew(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with replay(tmp_path, broker, "--speed", "5") as budge:
        with Phone(broker.port, "test") as phone:
            phone.wait_for("activity")
            phone.press("resting")
            phone.wait_for("label", lambda m: m["windows"] >= 2)
        broker.stop()
        time.sleep(3)
        broker.start()
        with Phone(broker.port, "test") as phone:  # the broker itself remembers nothing
            phone.wait_for("availability", lambda m: m == "online")
            for topic in ("info", "activity"):
                phone.wait_for(topic)
            label = phone.wait_for("label", lambda m: m["windows"] >= 10)
            answer = phone.ask({})
            assert budge.end() == 0

    assert label["label"] == "resting"
    assert answer["data"]["action"] == "stopped"
    assert answer["data"]["windows"] >= 10


def test_a_second_budge_on_the_same_state_is_refused(
    tmp_path: Path, broker: Mosquitto, phone: Phone
) -> None:
    with replay(tmp_path, broker) as budge:
        phone.wait_for("activity")
        second = tmp_path / "second"
        second.mkdir()
        with Budge(second, "replay", DAY, "--state-dir", tmp_path / "state") as other:
            assert other.wait() == 1
            assert "another budge is running on" in other.log
            assert "Traceback" not in other.log
        assert budge.end() == 0
