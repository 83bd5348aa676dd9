"""The broker: there, lets us in, and gives a message back."""

import queue
import secrets
import shutil
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from deploy.client import ANSWER_S, NoAnswerError, connected
from deploy.doctor import Case, Finding
from deploy.messages import Health
from deploy.settings import SettingsError

HERE = ("127.0.0.1", "localhost", "::1")


def check(case: Case) -> Iterator[Finding]:
    if "mqtt" not in case.settings.outputs:
        yield Finding("broker", "none", '"mqtt" is not among the outputs in the settings')
        return
    try:
        there_and_back_s = _round_trip(case)
    except SettingsError as error:
        yield Finding("broker", "bad", str(error), f"sudo nano {case.config}")
    except NoAnswerError as error:
        yield Finding("broker", "bad", str(error), _mend(case, str(error)))
    else:
        mqtt = case.settings.mqtt
        how = f"{mqtt.host}:{mqtt.port}{', TLS' if mqtt.tls else ''}"
        if there_and_back_s is None:
            yield Finding(
                "broker",
                "bad",
                f"{how} lets us in, but a message did not come back within {ANSWER_S:.0f} s:"
                f" expected the right to read and write {_root(case)}#",
                "the acl_file of mosquitto: topic readwrite " + _root(case) + "#",
            )
            return
        yield Finding(
            "broker",
            "good",
            f"{how}, a message goes there and back in {there_and_back_s * 1e3:.0f} ms",
        )
        if mqtt.host not in HERE and mqtt.password is not None and not mqtt.tls:
            yield Finding(
                "encryption",
                "note",
                f"the password goes to {mqtt.host} unencrypted: fine at home, not beyond",
                "tls = true in [mqtt], if the broker has it",
            )


def _root(case: Case) -> str:
    return f"{case.settings.mqtt.base}/{case.settings.device}/"


def _round_trip(case: Case) -> float | None:
    """Send a message to ourselves; how long it took in s, None where it does not come.

    By the way hears what a running service said of itself last.
    """
    topic, word = _root(case) + "doctor", secrets.token_hex(8).encode()
    health = _root(case) + Health.topic
    came: queue.SimpleQueue[float] = queue.SimpleQueue()
    with connected(case.settings) as client:

        def on_message(_client: Any, _data: Any, message: Any) -> None:
            if message.topic == topic and message.payload == word:
                came.put(time.monotonic())
            elif message.topic == health:
                try:
                    case.health = msgspec.json.decode(message.payload, type=Health)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    return  # of another version; there is nothing to hear then

        sent_s: list[float] = []

        def on_subscribe(*_: Any) -> None:
            sent_s.append(time.monotonic())
            client.publish(topic, word, qos=1)

        client.on_message, client.on_subscribe = on_message, on_subscribe
        client.subscribe([(health, 1), (topic, 1)])
        try:
            return came.get(timeout=ANSWER_S) - sent_s[0]
        except queue.Empty:
            return None


def _mend(case: Case, trouble: str) -> str:
    mqtt = case.settings.mqtt
    if "refused us" in trouble and "protocol" not in trouble:
        return f"username and password in [mqtt]: sudo nano {case.config}"
    if mqtt.host not in HERE:
        return f"host and port in [mqtt]; `ping {mqtt.host}` says whether it is on"
    if case.output("systemctl", "is-enabled", "mosquitto") is None and not _mosquitto():
        return "sudo apt install mosquitto"
    return "sudo systemctl restart mosquitto; journalctl -u mosquitto -n 20"


def _mosquitto() -> bool:
    return shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin") is not None
