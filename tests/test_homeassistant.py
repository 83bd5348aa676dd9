"""What Home Assistant is told: names that hold, options before states, nothing left behind."""

import json
import re
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from brokers import configured
from hypothesis import given
from hypothesis import strategies as st
from mosquitto import Mosquitto
from msgspec.structs import replace
from outlet import eventually, running
from phone import Phone

from deploy.client import connected, kept
from deploy.gestures import parse
from deploy.homeassistant import Document, document, key, node, topic
from deploy.messages import Info, Label
from deploy.settings import Homeassistant, Mqtt, Page, Settings

CONFIG = "homeassistant/device/budge_test/config"
OFF = Homeassistant(discovery=False)


def info(*activities: str) -> Info:
    return Info(
        version="0.1.0",
        device="test",
        source="i2c",
        started="",
        rate_hz=50,
        channels=6,
        window_s=2.56,
        hop_s=1.28,
        classifier="discriminant",
        activities=dict.fromkeys(activities, 1),
        model="",
    )


def described(*activities: str, taught: str | None = None, **more: Any) -> Document:
    return document(Settings(device="test", **more), info(*activities), taught)


def label(name: str) -> Label:
    return Label(label=name, since=None, windows=0)


class Watcher:
    """Everything on the broker, in order, and what is retained."""

    def __init__(self, client: paho.Client) -> None:
        self.heard: list[tuple[str, Any]] = []
        client.on_message = self._take
        client.subscribe("#", qos=1)

    def _take(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        structured = payload[:1] == b"{"
        self.heard.append((message.topic, json.loads(payload) if structured else payload.decode()))

    def configs(self) -> list[Any]:
        return [payload for topic, payload in list(self.heard) if topic == CONFIG]


# -- the document --------------------------------------------------------------------------------


def test_every_entity_has_a_platform_and_names_of_its_own() -> None:
    components = described("walking", "spin cycle")["components"]

    assert all(re.fullmatch("[a-z_]+", part["platform"]) for part in components.values())
    for name in ("unique_id", "default_entity_id"):
        assert len({part[name] for part in components.values()}) == len(components)
    assert components["label_spin_cycle"]["unique_id"] == "budge_test_label_spin_cycle"
    assert components["activity"]["default_entity_id"] == "sensor.budge_test_activity"


def test_the_options_are_what_it_knows_and_words_for_neither() -> None:
    components = described("walking", "Cycling", taught="stairs")["components"]

    assert components["activity"]["options"] == ["Cycling", "walking", "unsure"]
    assert components["doing"]["options"] == ["not labelling", "Cycling", "stairs", "walking"]


def test_it_knows_nothing_yet_and_is_described_all_the_same() -> None:
    components = described()["components"]

    assert components["activity"]["options"] == ["unsure"]
    assert [name for name in components if name.startswith("label_")] == []


@pytest.mark.parametrize(
    ("activity", "id_"),
    [
        ("walking", "walking"),
        ("Spin Cycle", "spin_cycle"),
        ("Treppe hoch & runter", "treppe_hoch_runter_ab98965d"),
        ("Füße hoch", "fusse_hoch_37829b7d"),
        ("🚲", "26687195"),
    ],
)
def test_the_id_of_a_name_is_frozen(activity: str, id_: str) -> None:
    assert key(activity) == id_


names = st.text(min_size=1, max_size=64)


@given(st.lists(names, min_size=2, max_size=2, unique_by=str.casefold))
def test_two_names_never_share_an_id(pair: list[str]) -> None:
    assert key(pair[0]) != key(pair[1])


def test_names_that_look_alike_to_an_id_are_two() -> None:
    alike = ["spin cycle", "spin_cycle", "spin-cycle", "spin  cycle", "spïn cycle"]

    assert len({key(name) for name in alike}) == len(alike)


@given(names)
def test_an_id_is_one_for_home_assistant_and_short(name: str) -> None:
    assert re.fullmatch("[a-z0-9_]{1,80}", key(name))


@pytest.mark.parametrize(
    "activity", ["walking", '{"activity":"x"}', 'Füße "hoch"', "x" * 64, "'); DROP", "7"]
)
def test_a_button_and_the_select_mean_exactly_their_activity(activity: str) -> None:
    button = described(activity)["components"][f"label_{key(activity)}"]
    gesture, _ = parse("label/set", button["payload_press"].encode(), 10**15, int)

    assert gesture.activity == activity  # type: ignore[union-attr]


def test_a_button_that_is_no_more_is_taken_back_and_nothing_else() -> None:
    before = described("walking", "stairs")["components"]
    after = document(Settings(device="test"), info("walking"), None, before)["components"]

    assert after["label_stairs"] == {"platform": "button"}
    assert {name: part for name, part in after.items() if name != "label_stairs"} == described(
        "walking"
    )["components"]


def test_devices_of_two_bases_are_two() -> None:
    home = Settings(device="pi", mqtt=Mqtt(base="home/first floor".replace(" ", "_")))
    work = Settings(device="pi", mqtt=Mqtt(base="work"))

    assert len({node(home), node(work), node(Settings(device="pi"))}) == 3
    assert re.fullmatch("homeassistant/device/[a-zA-Z0-9_-]+/config", topic(home))
    found = document(home, info(), None)
    assert found["availability_topic"] == "home/first_floor/pi/availability"
    assert found["components"]["undo"]["command_topic"] == "home/first_floor/pi/label/undo"


def test_the_page_is_named_where_it_is_served_to_others() -> None:
    outputs = ("mqtt", "page")
    served = described(outputs=outputs, page=Page(port=8081))["device"]

    assert re.fullmatch(r"http://[^/.]+\.local:8081/", served["configuration_url"])
    assert "configuration_url" not in described(outputs=("mqtt",))["device"]
    here = described(outputs=outputs, page=Page(host="127.0.0.1"))["device"]
    assert "configuration_url" not in here


def test_the_longest_names_fit() -> None:
    settings = Settings(device="d" * 64, mqtt=Mqtt(base="b" * 128))
    components = document(settings, info("x_" * 32), None)["components"]

    assert max(len(part["default_entity_id"]) for part in components.values()) <= 255


# -- when it is said -----------------------------------------------------------------------------


def test_an_option_is_known_before_a_state_uses_it(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, connected(Settings(mqtt=Mqtt(port=broker.port))) as client:
        watcher = Watcher(client)
        with (
            Phone(broker.port, "test") as phone,
            running(Settings(device="test", mqtt=Mqtt(port=broker.port))) as output,
        ):
            phone.wait_for("availability", lambda m: m == "online")
            output.send(info("walking"))
            output.send(label("cycling"))  # not known yet
            output.send(info("walking", "cycling"))
            output.send(label("not labelling"))
            output.send(info("biking", "walking"))  # renamed
            output.send(info("walking"))  # forgotten
            output.send(replace(info("walking"), activities={"walking": 9}))  # nothing new
            phone.wait_for("info", lambda m: m["activities"] == {"walking": 9})
        told = [
            (topic.removeprefix("budge/test/"), payload)
            for topic, payload in watcher.heard
            if topic in {CONFIG, "budge/test/info", "budge/test/label"}
        ]

    order = ["config" if topic == CONFIG else topic for topic, _ in told]
    assert order == [
        *("config", "info"),
        *("config", "label"),
        *("config", "info"),
        "label",
        *("config", "info"),
        *("config", "info"),
        "info",
    ]
    components = [payload["components"] for topic, payload in told if topic == CONFIG]
    assert "cycling" in components[1]["doing"]["options"]
    assert "label_cycling" not in components[1]
    assert components[2]["activity"]["options"] == ["cycling", "walking", "unsure"]
    assert components[3]["label_cycling"] == {"platform": "button"}
    assert components[4]["label_biking"] == {"platform": "button"}


def test_it_is_said_again_to_a_broker_that_forgot(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    chosen = Settings(device="test", mqtt=Mqtt(port=broker.port))
    with running(chosen) as output:
        with broker, Phone(broker.port, "test") as phone:
            output.send(info("walking"))
            phone.wait_for("info")
        output.send(info("walking", "stairs"))
        with broker, Phone(broker.port, "test") as phone:
            phone.wait_for("info")
            with connected(chosen) as client:
                watcher = Watcher(client)
                eventually(lambda: bool(watcher.configs()))

    assert "label_stairs" in watcher.configs()[0]["components"]


def test_home_assistants_birth_is_answered_with_all_of_it(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, connected(Settings(mqtt=Mqtt(port=broker.port))) as client:
        with (
            Phone(broker.port, "test") as phone,
            running(Settings(device="test", mqtt=Mqtt(port=broker.port))) as output,
        ):
            output.send(info("walking"))
            output.send(label("walking"))
            phone.wait_for("label")
            watcher = Watcher(client)
            phone.wait_for("availability", lambda m: m == "online")
            before = len(phone.messages)
            client.publish("homeassistant/status", "offline")
            client.publish("homeassistant/status", "online")
            phone.wait_for("label", after=before)
        born = [topic for topic, _ in watcher.heard].index("homeassistant/status")
        after = [topic for topic, _ in watcher.heard[born + 2 :]]

    told = [CONFIG, "budge/test/availability", "budge/test/info", "budge/test/label"]
    assert sorted(after[:4]) == sorted(told)
    assert after[2:4] == told[2:]


def retained(chosen: Settings) -> Document:
    with connected(chosen) as client:
        told = kept(client, [CONFIG])
    found: Document = json.loads(told[CONFIG])["components"] if told else {}
    return found


def test_what_was_forgotten_while_the_broker_was_away_is_taken_back_by_a_later_life(
    tmp_path: Path,
) -> None:
    store = ("allow_anonymous true", "persistence true", f"persistence_location {tmp_path}/")
    broker = configured(tmp_path, *store)
    chosen = Settings(device="test", mqtt=Mqtt(port=broker.port))
    with broker, running(chosen) as output:
        output.send(info("stairs", "walking"))
        eventually(lambda: "label_stairs" in retained(chosen))
    with running(chosen) as output:  # forgotten, and nobody hears it
        output.send(info("walking"))
    with broker:
        with running(chosen) as output:
            output.send(info("walking"))
            eventually(lambda: retained(chosen).get("label_stairs") == {"platform": "button"})
        with running(chosen) as output:
            output.send(info("biking", "walking"))
            eventually(lambda: "label_biking" in retained(chosen))
            later = retained(chosen)

    assert later == described("biking", "walking", mqtt=chosen.mqtt)["components"]


@pytest.mark.parametrize(
    "payload", [b"\xff", b"[]", b"{}", b'{"components": 3}', b'{"components": {"label_x": 3}}']
)
def test_what_somebody_else_has_put_in_its_place_is_replaced(
    tmp_path: Path, payload: bytes
) -> None:
    with Mosquitto(tmp_path) as broker:
        chosen = Settings(device="test", mqtt=Mqtt(port=broker.port))
        with connected(chosen) as client:
            client.publish(CONFIG, payload, qos=1, retain=True).wait_for_publish(10)
        with running(chosen) as output, Phone(broker.port, "test") as phone:
            output.send(info("walking"))
            phone.wait_for("info")
            components = retained(chosen)

    assert components == described("walking", mqtt=chosen.mqtt)["components"]


def test_switched_off_it_is_taken_back(tmp_path: Path) -> None:
    chosen = Settings(device="test")
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        on = replace(chosen, mqtt=Mqtt(port=broker.port))
        with running(on) as output:
            output.send(info("walking"))
            phone.wait_for("info")
        before = len(phone.messages)
        with running(replace(on, homeassistant=OFF)) as output:
            output.send(info("walking"))
            phone.wait_for("info", after=before)
        with connected(on) as client:
            watcher = Watcher(client)
            phone.press("", topic="last")
            eventually(lambda: ("budge/test/last", "") in watcher.heard)

    assert watcher.configs() == []
