"""The other end of MQTT: sends a command to a running budge and waits for its answer."""

import contextlib
import queue
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import paho.mqtt.client as paho

from deploy.connection import TOO_NEW, Client
from deploy.messages import RESPONSES, Message, Response
from deploy.settings import Settings

ANSWER_S = 5.0
QUIET_S = 1.0  # a broker sends all that it retains at once

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


def kept(client: Client, filters: Sequence[str]) -> dict[str, bytes]:
    """Return what the broker retains on topics like these."""
    heard: queue.SimpleQueue[paho.MQTTMessage] = queue.SimpleQueue()
    client.on_message = lambda _client, _data, message: heard.put(message)
    client.subscribe([(topic, 1) for topic in filters])
    found: dict[str, bytes] = {}
    with contextlib.suppress(queue.Empty):
        while True:
            message = heard.get(timeout=QUIET_S)
            if message.retain:
                found[message.topic] = bytes(message.payload)
    client.unsubscribe(list(filters))
    return found


def _hear(
    settings: Settings,
    kind: type[Told],
    wanted: Callable[[Told], bool],
    subscribed: Callable[[paho.Client, str], object],
    patience_s: float,
) -> Told:
    """Return the first wanted message of a kind; `subscribed` is called before it can come."""
    root = f"{settings.mqtt.base}/{settings.device}/"
    answers: queue.SimpleQueue[Told] = queue.SimpleQueue()

    def subscribe(client: paho.Client, *_: Any) -> None:
        client.subscribe(root + kind.topic, qos=1)

    def on_subscribe(client: paho.Client, *_: Any) -> None:
        client.on_subscribe = None  # a second connection subscribes again, but asks nothing
        subscribed(client, root)

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # somebody else's
            heard = msgspec.json.decode(message.payload, type=kind)
            if wanted(heard):
                answers.put(heard)

    with connected(settings) as client:
        client.on_connect = subscribe
        client.on_subscribe = on_subscribe
        client.on_message = on_message
        subscribe(client)
        try:
            return answers.get(timeout=patience_s)
        except queue.Empty:
            raise NoAnswerError(
                f"no budge answered on {root} at {client.where} within {patience_s:.0f} s:"
                " is it running? name it with --device"
            ) from None


@contextmanager
def connected(settings: Settings) -> Iterator[Client]:
    """Yield a client that the settings' broker has let in; of MQTT 3.1.1 if it knows no 5.

    Raises NoAnswerError when there is no broker, or it refuses us.
    """
    client, reason = _greeted(Client(settings.mqtt))
    if str(reason) == TOO_NEW:
        _end(client)
        client, reason = _greeted(Client(settings.mqtt, protocol="3.1.1"))
    try:
        if reason.is_failure:
            raise NoAnswerError(client.refusal(reason))
        yield client
    finally:
        _end(client)


def _greeted(client: Client) -> tuple[Client, Any]:
    """Connect; returns the broker's greeting, too."""
    greetings: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.on_connect = lambda _client, _data, _flags, reason, _properties: greetings.put(reason)
    try:
        client.connect_now()
    except OSError as error:
        raise NoAnswerError(
            f"{client.trouble(error)}: is it running? name it with --broker host:port"
        ) from error
    try:
        return client, greetings.get(timeout=ANSWER_S)
    except queue.Empty:
        _end(client)
        raise NoAnswerError(client.hung_up) from None


def _end(client: Client) -> None:
    client.disconnect()
    client.loop_stop()
