"""The demo, as a newcomer runs it: it knows nothing, is taught, and is right."""

import json
import socket
import subprocess
from pathlib import Path

import pytest
from budge import BUDGE, ROOT, Budge
from mosquitto import Mosquitto, free_port
from phone import Phone

from deploy import broker
from deploy.messages import Window
from deploy.score import Output as Score


def test_within_150_seconds_it_is_taught_and_right(tmp_path: Path) -> None:
    ended = subprocess.run(
        [ROOT / "deploy" / "demo", "--seconds", "150", "--json", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    *messages, summary = map(json.loads, ended.stdout.splitlines())

    topics = {message["topic"] for message in messages}
    assert topics >= {"info", "label", "activity", "transition", "window", "response/label"}
    windows = [message for message in messages if message["topic"] == "window"]
    assert windows[0]["activity"] == "unsure", "it begins knowing nothing"
    taught = [m["data"]["activity"] for m in messages if m["topic"] == "response/label"]
    assert set(taught) == {"resting", "walking", "stairs", "running"}
    assert windows[-1]["end_s"] - windows[0]["end_s"] > 140
    last = summary["last_30_s"]
    print(summary)
    assert last["windows"] >= 12
    assert last["right"] >= 0.9 * last["windows"]


def test_a_port_that_is_taken_after_the_look_at_it_is_replaced_by_a_free_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        looks = iter([taken, free_port()])
        monkeypatch.setattr(broker, "_free", lambda _port: next(looks))
        with broker.embedded_broker(taken) as port:
            assert port != taken
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port))


def test_without_its_own_broker_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "find_spec", lambda _name: None)
    with (
        pytest.raises(broker.BrokerError, match=r"\./deploy/venv '\.\[demo\]' installs it"),
        broker.embedded_broker(0),
    ):
        pass


def test_a_broker_that_is_not_there_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with Budge(tmp_path, "demo", "--broker", address, "--seconds", "6") as demo:
        assert demo.wait() == 0
        assert demo.log.count(f"no broker at {address}") == 1
        assert "Traceback" not in demo.log
        assert "Client is not connected" not in demo.log


def test_it_keeps_the_score_of_the_last_half_minute_and_of_all() -> None:
    score = Score(lambda start_s, _end_s: "walking" if start_s >= 0 else None)
    for k in range(-5, 1000):
        name = "walking" if k >= 990 or k < 500 else "running"
        score.send(
            Window(
                activity=name,
                confidence=1,
                novelty=0,
                start="",
                ts="",
                start_s=float(k),
                end_s=k + 1.0,
            )
        )

    assert score.all() == (510, 1000)
    assert score.recent() == (10, 30)
    assert len(score._recent) == 30  # and no more than that is kept


def test_with_manual_nobody_presses_but_you(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Phone(mosquitto.port, "demo") as phone:
        with Budge(
            tmp_path, "demo", "--manual", "--broker", mosquitto.address, "--seconds", "25"
        ) as demo:
            phone.wait_for("window")
            command = [str(BUDGE), "label", "--broker", mosquitto.address, "--device", "demo"]
            said = [
                subprocess.run([*command, *more], capture_output=True, text=True, check=False)
                for more in (["sitting still"], ["--stop"], ["--stop"], ["--undo"])
            ]
            assert demo.wait() == 0
            assert f"budge label --broker {mosquitto.address} --device demo walking" in demo.log
            assert "mosquitto_sub" in demo.log
        assert {m["label"] for m in phone.of("label")} == {"not labelling", "sitting still"}

    assert [one.returncode for one in said] == [0, 0, 1, 0]
    assert said[0].stdout == (
        "teaching sitting still; to stop, the same with --stop for the name\n"
    )
    assert said[1].stdout == (
        "taught sitting still: 0 windows: it was too short, or the sensor was away\n"
    )
    assert said[2].stderr == "refused: nothing is being taught, so there is nothing to stop\n"
    assert said[3].stdout == "took back sitting still: 0 windows\n"
