"""The MQTT output against a real broker: what stays with it, what is told, how soon it ends."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from brokers import with_password
from budge import Budge
from mosquitto import Mosquitto, free_port
from msgspec.structs import replace
from outlet import Wire, eventually, running
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from phone import Phone

from deploy.client import NoAnswerError, ask, connected
from deploy.messages import Activity, Controls, Label, Response, Scores, Taught, Trace, Window
from deploy.output import Command
from deploy.outputs.mqtt import BRIEF_TIMES, CLOSE_S, LOSSLESS_WAIT_S, Output, client_id
from deploy.settings import Settings

both_protocols = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


def settings(port: int, **more: object) -> Settings:
    found = Settings(device="test")
    return replace(found, mqtt=replace(found.mqtt, port=port, **more))


def kept_in(heard: list[tuple[str, bytes]]) -> Command:
    """Make a command that keeps what comes, its topic and its payload."""

    def command(
        topic: str, payload: bytes, _answered: Callable[[Response], None] | None = None, /
    ) -> bool:
        heard.append((topic, payload))
        return True

    return command


def label(windows: int, name: str = "walking") -> Label:
    return Label(label=name, since=None, windows=windows)


def window(number: int) -> Window:
    return Window(
        activity="unsure", confidence=0, novelty=0, start="", ts="", start_s=number, end_s=number
    )


def retained(port: int) -> Label:
    with Phone(port, "test") as newcomer:
        return Label(**newcomer.wait_for("label"))


@both_protocols
def test_what_a_dying_connection_swallowed_never_replaces_what_is_true_now(
    tmp_path: Path, protocol: str
) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Wire(broker.port) as wire,
        running(settings(wire.port, protocol=protocol)) as output,
        Phone(broker.port, "test") as phone,
    ):
        phone.wait_for("availability", lambda m: m == "online")
        wire.mute.set()
        output.send(label(5))
        eventually(lambda: b'"walking"' in wire.swallowed)
        wire.cut()
        eventually(lambda: not output._connected.is_set())
        output.send(label(0, "not labelling"))
        heard = len(phone.messages)
        wire.mute.clear()
        phone.wait_for("label", lambda m: m["label"] == "not labelling", after=heard)
        time.sleep(0.5)  # whatever paho sends again comes after that
        assert retained(broker.port) == label(0, "not labelling")


def test_a_broker_that_is_not_there_is_told_once_in_one_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    caplog.set_level(logging.INFO)
    with running(settings(port)):
        time.sleep(4.5)  # three tries: at 0, 1 and 3 s

    assert caplog.messages == [
        f"no broker at 127.0.0.1:{port} (Connection refused): going on without it, trying again"
    ]


WRONG = {"username": "pi", "password": "wrong"}


@both_protocols
def test_a_broker_that_refuses_us_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    caplog.set_level(logging.INFO)
    with (
        with_password(tmp_path) as broker,
        running(settings(broker.port, protocol=protocol, **WRONG)),
    ):
        time.sleep(3.5)  # three tries

    advice = "check username and password in [mqtt]"
    assert caplog.messages == [
        f"the broker at {broker.address} refused us: Not authorized: {advice}"
    ]


def test_a_label_with_a_wrong_password_is_told_what_the_broker_said(tmp_path: Path) -> None:
    with with_password(tmp_path) as broker:
        wrong = settings(broker.port, **WRONG)
        with pytest.raises(NoAnswerError, match="refused us: Not authorized: check username and"):
            ask(wrong, "label/set", {"activity": "walking"})


def test_a_label_is_published_once_though_the_connection_is_made_twice(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Phone(broker.port, "test") as phone,
        Wire(broker.port) as wire,
    ):

        def press() -> None:
            with pytest.raises(NoAnswerError, match="no budge answered"):
                ask(settings(wire.port), "label/set", {"activity": "walking"})

        asking = threading.Thread(target=press)
        asking.start()
        phone.wait_for("label/set")
        time.sleep(0.3)  # its confirmation is through
        wire.cut()
        asking.join()

        assert len(phone.of("label/set")) == 1


def test_it_ends_also_where_no_thread_can_be_begun_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        output = Output(settings(broker.port), None)
        output.start(kept_in([]))
        phone.wait_for("availability", lambda m: m == "online")
        monkeypatch.setattr(threading.Thread, "start", full)
        output.close()
        monkeypatch.undo()
        phone.wait_for("availability", lambda m: m == "offline")

    assert output._client._thread is None


def test_what_others_say_below_label_is_no_command(tmp_path: Path) -> None:
    heard: list[tuple[str, bytes]] = []
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        output = Output(settings(broker.port), None)
        output.start(kept_in(heard))
        phone.wait_for("availability", lambda m: m == "online")
        for topic in ("label/state", "label/undo", "label/set"):
            phone.press("x", topic=topic)
        eventually(lambda: ("label/set", b"x") in heard)
        output.close()

    assert heard == [("label/undo", b"x"), ("label/set", b"x")]


@both_protocols
def test_what_was_pressed_while_the_connection_hung_is_not_heard_later(
    tmp_path: Path, protocol: str
) -> None:
    heard: list[tuple[str, bytes]] = []
    with (
        Mosquitto(tmp_path) as broker,
        Phone(broker.port, "test") as phone,
        Wire(broker.port) as wire,
    ):
        output = Output(settings(wire.port, protocol=protocol), None)
        output.start(kept_in(heard))
        phone.wait_for("availability", lambda m: m == "online")
        wire.mute.set()
        phone.press("walking")
        phone.wait_for("label/set")
        # To us it is lost, to the broker it only hangs: it holds our session, and the press.
        output._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        wire.mute.clear()
        heard_before = len(phone.messages)
        phone.wait_for("availability", lambda m: m == "online", after=heard_before)
        phone.press("running")
        eventually(lambda: ("label/set", b"running") in heard)
        output.close()

    assert heard == [("label/set", b"running")]


@both_protocols
def test_what_it_says_stands_in_its_order_for_who_comes_later(
    tmp_path: Path, protocol: str
) -> None:
    said = {
        "activity": Activity(
            activity="unsure", confidence=0, since="", ts="", novelty=1, probabilities={}
        ),
        "label": label(3),
        "taught": Taught(stretches=(), undo=None),
        "scores": Scores(activities={}),
        "controls": Controls(learning=True, threshold_percent=0),
    }
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        output = Output(settings(broker.port, protocol=protocol), None)
        for message in said.values():
            output.send(message)
        output.start(lambda *_: True)
        phone.wait_for("activity")
        heard = [topic for topic, _ in phone.messages]
        output.close()
        with Phone(broker.port, "test") as newcomer:
            assert newcomer.wait_for("availability") == "offline"
            assert all(newcomer.wait_for(topic) for topic in said)

    assert heard == ["availability", *reversed(said)]


def test_rows_to_draw_are_not_for_the_broker(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        with running(settings(broker.port)) as output:
            phone.wait_for("availability", lambda m: m == "online")
            output.send(Trace(ts="", rate_hz=10, x=(), y=(), z=()))
            output.send(label(1))
            phone.wait_for("label")

        assert phone.of("trace") == []


def test_a_command_may_have_a_time_after_which_it_is_void(tmp_path: Path) -> None:
    heard: list[tuple[str, bytes]] = []
    expiry = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    expiry.MessageExpiryInterval = 30
    with Mosquitto(tmp_path) as broker, connected(settings(broker.port)) as phone:
        output = Output(settings(broker.port), None)
        output.start(kept_in(heard))
        eventually(output._connected.is_set)
        phone.publish("budge/test/label/set", "walking", qos=1, properties=expiry)
        eventually(lambda: heard == [("label/set", b"walking")])
        output.close()


def test_devices_of_two_bases_do_not_take_each_others_connection() -> None:
    assert client_id("home", "pi") != client_id("work", "pi")
    assert len(client_id("b" * 128, "d" * 64)) <= 23  # all that MQTT 3.1.1 promises


@both_protocols
def test_two_of_one_name_are_told_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    caplog.set_level(logging.INFO)
    with Mosquitto(tmp_path) as broker:
        chosen = settings(broker.port, protocol=protocol)
        with running(chosen), running(chosen):
            eventually(lambda: "another budge" in caplog.text, 30)
            told = len(caplog.messages)
            time.sleep(4)  # they go on throwing each other out
    rivals = [line for line in caplog.messages if "another budge uses the name test" in line]

    assert 1 <= len(rivals) <= 2  # each its own
    assert len(caplog.messages) - told <= 2 * BRIEF_TIMES


@both_protocols
def test_it_ends_within_its_deadline_on_a_mute_connection(tmp_path: Path, protocol: str) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Phone(broker.port, "test") as phone,
        Wire(broker.port) as wire,
    ):
        chosen = settings(wire.port, window=True, lossless=True, protocol=protocol)
        output = Output(chosen, None)
        output.start(lambda *_: True)
        phone.wait_for("availability", lambda m: m == "online")
        wire.mute.set()
        for number in range(50):
            output.send(window(number))
        began_s = time.monotonic()
        output.close()

        assert time.monotonic() - began_s < CLOSE_S + 1  # one deadline, not one a window


@both_protocols
def test_its_last_words_come_behind_all_it_had_to_say(tmp_path: Path, protocol: str) -> None:
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        with running(settings(broker.port, protocol=protocol)) as output:
            phone.wait_for("availability", lambda m: m == "online")
            for number in range(100):
                output.send(Response(status="ok", data={"n": number}))
        phone.wait_for("availability", lambda m: m == "offline")
        heard = [m["data"]["n"] for m in phone.of("response/label")]

    assert heard == list(range(100))
    assert phone.messages[-1] == ("availability", "offline")


@both_protocols
def test_a_recording_gets_every_window_through_a_broker_that_comes_late(
    tmp_path: Path, protocol: str
) -> None:
    broker = Mosquitto(tmp_path)
    chosen = settings(broker.port, window=True, lossless=True, protocol=protocol)
    with running(chosen) as output:
        output.send(window(0))
        output.send(window(1))
        with broker, Phone(broker.port, "test") as phone:
            for number in range(2, 500):
                output.send(window(number))
            phone.wait_for("window", lambda m: m["start_s"] == 499)
            assert [m["start_s"] for m in phone.of("window")] == list(range(500))


def test_a_replay_without_a_broker_says_so_and_goes_on(tmp_path: Path) -> None:
    rows = "".join(f"{k / 50:.2f},0,0,9.8\n" for k in range(50 * 120))  # 92 windows
    (tmp_path / "still.csv").write_text("time_s,ax,ay,az\n" + rows)
    with Budge(
        tmp_path,
        *("replay", "still.csv", "--windows", "--speed", "max", "--state-dir", "state"),
        *("--broker", f"127.0.0.1:{free_port()}"),
    ) as replay:
        # Once for all windows, and not for each: 92 of them would be 46 s at the least.
        assert replay.wait(LOSSLESS_WAIT_S + 20) == 0
        assert replay.log.count("took no window for 15 s: going on without it") == 1


def test_a_replay_that_waits_for_its_broker_ends_when_it_is_told_to(tmp_path: Path) -> None:
    rows = "".join(f"{k / 50:.2f},0,0,9.8\n" for k in range(50 * 120))
    (tmp_path / "still.csv").write_text("time_s,ax,ay,az\n" + rows)
    with Budge(
        tmp_path,
        *("replay", "still.csv", "--windows", "--speed", "max", "--state-dir", "state"),
        *("--broker", f"127.0.0.1:{free_port()}"),
    ) as replay:
        eventually(lambda: "no broker at" in replay.log, 30)
        assert replay.end() == 0
        assert "took no window" not in replay.log  # it was still waiting
