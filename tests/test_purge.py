"""`budge purge`: what the broker keeps of a device goes, of others stays, and never by accident."""

import subprocess
from pathlib import Path

import pytest
from brokers import configured
from budge import BUDGE
from mosquitto import Mosquitto
from outlet import running
from test_homeassistant import info, label

from deploy.client import connected, kept
from deploy.outputs.mqtt import Output
from deploy.settings import Mqtt, Settings

TOPICS = {
    "budge/test/availability",
    "budge/test/info",
    "budge/test/label",
    "homeassistant/device/budge_test/config",
}


def settings(broker: Mosquitto, device: str = "test") -> Settings:
    return Settings(device=device, mqtt=Mqtt(port=broker.port))


def say(output: Output) -> None:
    output.send(info("walking"))
    output.send(label("walking"))


def leave(broker: Mosquitto, device: str = "test") -> None:
    """A budge was here."""
    with running(settings(broker, device)) as output:
        assert output._connected.wait(10)
        say(output)


def retained(broker: Mosquitto) -> set[str]:
    with connected(settings(broker)) as client:
        return set(kept(client, ["#"]))


def purge(broker: Mosquitto, *more: str, answer: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [BUDGE, "purge", "--broker", broker.address, "--device", "test", *more],
        input=answer,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_all_of_a_device_goes_and_nothing_of_another(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        leave(broker)
        leave(broker, "test2")
        assert retained(broker) > TOPICS
        code, said = purge(broker, "--yes")

        assert (code, said.splitlines()[-1]) == (0, "cleared 4 topics")
        assert retained(broker) == {topic.replace("test", "test2") for topic in TOPICS}


@pytest.mark.parametrize(("answer", "left"), [("n\n", TOPICS), ("", TOPICS), ("y\n", set())])
def test_it_asks(tmp_path: Path, answer: str, left: set[str]) -> None:
    with Mosquitto(tmp_path) as broker:
        leave(broker)
        code, said = purge(broker, answer=answer)

        assert f"Clear these 4 topics at {broker.address}?" in said
        assert (code == 0) == (not left)
        assert retained(broker) == left


def test_a_device_that_is_online_is_let_alone(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, running(settings(broker)) as output:
        assert output._connected.wait(10)
        say(output)
        code, said = purge(broker, "--yes")

        assert code == 1
        assert said.startswith("refused: test is online and would say it all again: stop it first")
        assert retained(broker) == TOPICS


def test_a_device_that_the_broker_does_not_know_is_told(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        assert purge(broker) == (0, f"{broker.address} keeps nothing of test\n")


def test_what_the_broker_does_not_let_go_is_told(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite #\n")
    broker = configured(
        tmp_path,
        "allow_anonymous true",
        f"acl_file {acl}",
        "persistence true",
        f"persistence_location {tmp_path}/",
    )
    with broker:
        leave(broker)
    acl.write_text("topic read #\n")
    with broker:
        code, said = purge(broker, "--yes")

        assert code == 1
        assert f"{broker.address} still keeps budge/test/" in said
        assert "may this user write there?" in said
