"""The other end of MQTT: sends a command to a running budge and waits for its answer."""

import queue
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from deploy.messages import Response
from deploy.settings import Settings

ANSWER_S = 5.0


class NoAnswerError(RuntimeError):
    """Nobody answered; the sentence says what to check."""


def ask(settings: Settings, command: str, fields: Mapping[str, str | float]) -> Response:
    """Send `fields` as JSON to the topic `command` of the settings' device; returns the answer.

    Raises NoAnswerError when there is no broker, it refuses us, or there is no budge on it.
    """
    mqtt = settings.mqtt
    root, where = f"{mqtt.base}/{settings.device}/", f"{mqtt.host}:{mqtt.port}"
    transaction = secrets.token_hex(8)
    answers: queue.SimpleQueue[Response | NoAnswerError] = queue.SimpleQueue()

    def on_connect(
        client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            sentence = f"the broker at {where} refused us: {reason}"
            answers.put(NoAnswerError(f"{sentence}: check username and password in [mqtt]"))
        else:
            client.subscribe(root + Response.topic, qos=1)

    def on_subscribe(client: paho.Client, *_: Any) -> None:
        client.on_subscribe = None  # a second connection subscribes again, but asks nothing
        payload = msgspec.json.encode({**fields, "transaction": transaction})
        client.publish(root + command, payload, qos=1)

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        response = msgspec.json.decode(message.payload, type=Response)
        if response.transaction == transaction:
            answers.put(response)

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    if mqtt.username is not None:
        client.username_pw_set(mqtt.username, mqtt.password)
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    try:
        client.connect(mqtt.host, mqtt.port, keepalive=20)
    except OSError as error:
        raise NoAnswerError(
            f"no MQTT broker at {where} ({error.strerror or error}):"
            " is it running? name it with --broker host:port"
        ) from error
    client.loop_start()
    try:
        answer = answers.get(timeout=ANSWER_S)
    except queue.Empty:
        raise NoAnswerError(
            f"no budge answered on {root} at {where} within {ANSWER_S:.0f} s:"
            " is it running? name it with --device"
        ) from None
    finally:
        client.disconnect()
        client.loop_stop()
    if isinstance(answer, NoAnswerError):
        raise answer
    return answer
