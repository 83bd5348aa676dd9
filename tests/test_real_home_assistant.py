"""A real Home Assistant beside a real budge: every entity has a value, and its buttons teach."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from budge import ROOT, Budge
from home_assistant import HomeAssistant
from mosquitto import Mosquitto
from phone import Phone

from deploy.homeassistant import key

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"
BLUEPRINT = ROOT / "deploy" / "examples" / "home-assistant" / "was-that-walking.yaml"
RESTING = {"activity": "resting", "start_age_ms": 598_000, "end_age_ms": 545_000}
WALKING = {"activity": "walking", "start_age_ms": 535_000, "end_age_ms": 470_000}
NEVER_USED = {"button", "event"}  # of these `unknown` only says that
DOING = "select.budge_test_doing"
ASKED = "budge/test/asked"  # where the phone of the blueprint shows what it was sent

AUTOMATION = """
- id: ask
  alias: Ask
  use_blueprint:
    path: budge/was-that-walking.yaml
    input: {topic: budge/test, phone: script.phone, shortest_min: 0.1, unsure_min: 0.1}
"""
SCRIPT = f"""
phone:
  mode: parallel
  sequence:
    - action: mqtt.publish
      data:
        topic: {ASKED}
        payload: "{{{{ {{'title': title, 'message': message, 'data': data}} | to_json }}}}"
"""


@pytest.fixture(name="broker")
def _broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture(name="home")
def _home(tmp_path: Path, broker: Mosquitto) -> HomeAssistant:
    return HomeAssistant(tmp_path, broker.port)


def budge(folder: Path, broker: Mosquitto) -> Budge:
    return Budge(
        folder,
        *("replay", DAY, "--broker", broker.address, "--device", "test", "--windows"),
        *("--state-dir", folder / "state", "--speed", "max", "--stay"),
    )


def teach(phone: Phone) -> None:
    """Say what the recording's first two stretches were, when it has been played."""
    phone.wait_for("window", lambda m: m["end_s"] > 595)
    for stretch in (RESTING, WALKING):
        assert phone.ask(stretch)["status"] == "ok"


def button(activity: str) -> str:
    return f"button.budge_test_label_{key(activity)}"


def usable(state: dict[str, Any]) -> bool:
    return state["state"] not in {None, "unavailable"}


def without_value(home: HomeAssistant) -> list[str]:
    """Name the entities of ours that say nothing."""
    return [
        name
        for name, state in home.states().items()
        if "budge_test" in name
        and (
            state["state"] == "unavailable"
            or (state["state"] == "unknown" and name.split(".")[0] not in NEVER_USED)
        )
    ]


def complaints(home: HomeAssistant) -> list[str]:
    return [
        line
        for line in home.log.splitlines()
        if "components.mqtt" in line and (" WARNING " in line or " ERROR " in line)
    ]


@pytest.mark.timeout(900)
def test_every_entity_has_a_value_and_every_control_works(
    tmp_path: Path, broker: Mosquitto, home: HomeAssistant
) -> None:
    with home, Phone(broker.port, "test") as phone, budge(tmp_path, broker):
        home.wait_for("sensor.budge_test_software", lambda s: s["state"] not in {None, "unknown"})
        home.wait_for("sensor.budge_test_activity", lambda s: s["state"] == "unsure")
        ours = {name for name in home.states() if "budge_test" in name}
        assert len(ours) == 12
        home._wait(lambda: without_value(home) == [], 60)

        # What is learnt is an option and a button at once.
        teach(phone)
        home.wait_for(button("resting"), usable)
        home.wait_for(button("walking"), usable)
        options = home.states()[DOING]["attributes"]["options"]
        assert options == ["not labelling", "resting", "walking"]
        home.wait_for(
            "sensor.budge_test_activity",
            lambda s: s["attributes"]["options"] == ["resting", "walking", "unsure"],
        )

        # The select teaches, also what is not known yet.
        home.call("select/select_option", DOING, option="walking")
        phone.wait_for("label", lambda m: m["label"] == "walking")
        home.wait_for(DOING, lambda s: s["state"] == "walking")
        home.call("select/select_option", DOING, option="not labelling")
        phone.wait_for("response/label", lambda m: m["data"].get("action") == "stopped")
        home.wait_for(DOING, lambda s: s["state"] == "not labelling")
        phone.press({"activity": 'Füße "hoch"'})
        home.wait_for(DOING, lambda s: s["state"] == 'Füße "hoch"')

        # A button starts, and stops what it has started.
        home.call("button/press", button("resting"))
        home.wait_for(DOING, lambda s: s["state"] == "resting")
        home.call("button/press", button("resting"))
        home.wait_for(DOING, lambda s: s["state"] == "not labelling")
        before = len(phone.messages)
        home.call("button/press", "button.budge_test_undo")
        phone.wait_for("response/label", lambda m: m["data"]["action"] == "undone", after=before)

        # A switch and a slider of its own.
        home.call("switch/turn_off", "switch.budge_test_learning")
        home.wait_for("switch.budge_test_learning", lambda s: s["state"] == "off")
        home.call("switch/turn_on", "switch.budge_test_learning")
        home.wait_for("switch.budge_test_learning", lambda s: s["state"] == "on")
        home.call("number/set_value", "number.budge_test_threshold", value=35)
        home.wait_for("number.budge_test_threshold", lambda s: float(s["state"] or 0) == 35)
        assert complaints(home) == []


@pytest.mark.timeout(900)
def test_it_follows_names_restarts_and_a_purge(
    tmp_path: Path, broker: Mosquitto, home: HomeAssistant
) -> None:
    with home, Phone(broker.port, "test") as phone, budge(tmp_path, broker) as service:
        teach(phone)
        home.wait_for(button("walking"), usable)

        phone.press({"from": "walking", "to": "strolling"}, "request/rename")
        home.wait_for(button("strolling"), usable)
        home.wait_for(button("walking"), lambda s: s["state"] is None)
        phone.press({"activity": "strolling"}, "request/forget")
        home.wait_for(button("strolling"), lambda s: s["state"] is None)

        # Both start again, and the broker has then forgotten everything.
        home.stop()
        home.start()
        home.wait_for(button("resting"), usable)
        home._wait(lambda: without_value(home) == [], 60)
        assert complaints(home) == []
        broker.stop()
        home.wait_for(button("resting"), lambda s: s["state"] == "unavailable")
        broker.start()
        home._wait(lambda: without_value(home) == [], 60)

        service.end()
        home.wait_for(DOING, lambda s: s["state"] == "unavailable")
        with Budge(
            tmp_path, "purge", "--yes", "--broker", broker.address, "--device", "test"
        ) as purge:
            assert purge.wait() == 0
        home._wait(lambda: not any("budge_test" in name for name in home.states()), 30)


@pytest.mark.timeout(900)
def test_the_blueprint_asks_and_teaches_the_answer(
    tmp_path: Path, broker: Mosquitto, home: HomeAssistant
) -> None:
    folder = home.folder / "blueprints" / "automation" / "budge"
    folder.mkdir(parents=True)
    (folder / BLUEPRINT.name).write_text(BLUEPRINT.read_text())
    (home.folder / "automations.yaml").write_text(AUTOMATION)
    (home.folder / "scripts.yaml").write_text(SCRIPT)
    with Phone(broker.port, "test") as phone:
        with budge(tmp_path, broker) as service:
            teach(phone)
            service.end()
        with home:
            home.wait_for("automation.ask", lambda s: s["state"] == "on")
            with budge(tmp_path, broker):
                after = len(phone.messages)
                walk = phone.wait_for("asked", lambda m: m["title"] == "Was that walking?")
                assert titles(walk) == ["Yes", "No", "It was …"]
                home.tap(walk, "Yes")
                taught = phone.wait_for("response/label", after=after)
                assert (taught["status"], taught["data"]["activity"]) == ("ok", "walking")

                rest = phone.wait_for("asked", lambda m: m["title"] == "Was that resting?")
                home.tap(rest, "It was …", reply_text=" lying ")
                home.wait_for(button("lying"), usable)

                unsure = phone.wait_for("asked", lambda m: m["title"] == "What was that?")
                assert titles(unsure) == ["It was …"]
                home.tap(unsure, "It was …", reply_text="riding")
                home.wait_for(button("riding"), usable)

                after = len(phone.messages)
                again = phone.wait_for(
                    "asked", lambda m: m["title"] == "Was that walking?" and m != walk
                )
                home.tap(again, "No")
                home.call("button/press", "button.budge_test_undo")
                first = phone.wait_for("response/label", after=after)
                assert first["data"]["action"] == "undone"  # and nothing before it

        lines = [line for line in home.log.splitlines() if "components.automation" in line]
        assert [line for line in lines if " ERROR " in line or " WARNING " in line] == []


def titles(question: Any) -> list[str]:
    return [action["title"] for action in question["data"]["actions"]]
