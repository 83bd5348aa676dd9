"""The other end of MQTT: sends a command to a running budge and waits for its answer."""

import queue
import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from deploy.messages import RESPONSES, Message, Response
from deploy.settings import Settings

ANSWER_S = 5.0

Told = TypeVar("Told", bound=Message)


class NoAnswerError(RuntimeError):
    """Nobody answered; the sentence says what to check."""


def ask(
    settings: Settings,
    command: str,
    fields: Mapping[str, str | float],
    *,
    patience_s: float = ANSWER_S,
) -> Response:
    """Send `fields` as JSON to the topic `command` of the settings' device; returns the answer.

    Raises NoAnswerError when there is no broker, it refuses us, or there is no budge on it.
    """
    transaction = secrets.token_hex(8)
    payload = msgspec.json.encode({**fields, "transaction": transaction})
    return _hear(
        settings,
        RESPONSES[command],
        lambda response: response.transaction == transaction,
        lambda client, root: client.publish(root + command, payload, qos=1),
        patience_s,
    )


def told(settings: Settings, kind: type[Told]) -> Told:
    """Return the state of the settings' device that is retained on the topic of `kind`.

    Raises NoAnswerError as `ask` does.
    """
    return _hear(settings, kind, lambda _message: True, lambda _client, _root: None, ANSWER_S)


def _hear(
    settings: Settings,
    kind: type[Told],
    wanted: Callable[[Told], bool],
    subscribed: Callable[[paho.Client, str], object],
    patience_s: float,
) -> Told:
    """Return the first wanted message of a kind; `subscribed` is called before it can come."""
    mqtt = settings.mqtt
    root, where = f"{mqtt.base}/{settings.device}/", f"{mqtt.host}:{mqtt.port}"
    answers: queue.SimpleQueue[Told | NoAnswerError] = queue.SimpleQueue()

    def on_connect(
        client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            sentence = f"the broker at {where} refused us: {reason}"
            answers.put(NoAnswerError(f"{sentence}: check username and password in [mqtt]"))
        else:
            client.subscribe(root + kind.topic, qos=1)

    def on_subscribe(client: paho.Client, *_: Any) -> None:
        client.on_subscribe = None  # a second connection subscribes again, but asks nothing
        subscribed(client, root)

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        heard = msgspec.json.decode(message.payload, type=kind)
        if wanted(heard):
            answers.put(heard)

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
        answer = answers.get(timeout=patience_s)
    except queue.Empty:
        raise NoAnswerError(
            f"no budge answered on {root} at {where} within {patience_s:.0f} s:"
            " is it running? name it with --device"
        ) from None
    finally:
        client.disconnect()
        client.loop_stop()
    if isinstance(answer, NoAnswerError):
        raise answer
    return answer
