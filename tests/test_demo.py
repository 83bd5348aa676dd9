"""The demo, as a newcomer runs it: it knows nothing, is taught, and is right."""

import json
import subprocess
from pathlib import Path

from budge import BUDGE, ROOT, Budge
from mosquitto import Mosquitto
from phone import Phone


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


def test_with_manual_nobody_presses_but_you(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "demo") as phone:
        with Budge(
            tmp_path, "demo", "--manual", "--broker", broker.address, "--seconds", "25"
        ) as demo:
            phone.wait_for("window")
            command = [str(BUDGE), "label", "--broker", broker.address, "--device", "demo"]
            said = [
                subprocess.run([*command, *more], capture_output=True, text=True, check=False)
                for more in (["sitting still"], ["--stop"], ["--stop"], ["--undo"])
            ]
            assert demo.wait() == 0
            assert f"budge label --broker {broker.address} --device demo walking" in demo.log
            assert "mosquitto_sub" in demo.log
        assert {m["label"] for m in phone.of("label")} == {"not labelling", "sitting still"}

    assert [one.returncode for one in said] == [0, 0, 1, 0]
    assert said[0].stdout == "teaching sitting still; stop with: budge label --stop\n"
    assert said[1].stdout == "taught sitting still: 0 windows\n"
    assert said[2].stderr == "refused: nothing is being taught, so there is nothing to stop\n"
    assert said[3].stdout == "took back sitting still: 0 windows\n"
