"""What the tests hold in their hand: an MQTT client that watches a budge and presses its button."""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from deploy.messages import RESPONSES


class Phone:
    """Keeps every message of one device, in order, as (topic below the device, decoded)."""

    def __init__(self, port: int, device: str) -> None:
        self._root = f"budge/{device}/"
        self.messages: list[tuple[str, Any]] = []
        self.raw: list[tuple[str, bytes, bool]] = []  # topic, payload, retained
        self._news = threading.Condition()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(self._root + "#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._port = port

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port, keepalive=20)
        self._client.loop_start()
        assert self._subscribed.wait(20)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        try:
            decoded: Any = json.loads(payload)
        except ValueError:
            decoded = payload.decode(errors="replace")
        topic = message.topic.removeprefix(self._root)
        with self._news:
            self.messages.append((topic, decoded))
            self.raw.append((topic, payload, message.retain))
            self._news.notify_all()

    def of(self, topic: str) -> list[Any]:
        """All messages of one topic so far."""
        with self._news:
            return [message for t, message in self.messages if t == topic]

    def wait_for(
        self,
        topic: str,
        that: Callable[[Any], bool] = lambda _: True,
        *,
        timeout_s: float = 90.0,  # a first start has loops to compile
        after: int = 0,
    ) -> Any:
        """Return the first message of `topic` that fits, of those from number `after` on."""

        def found() -> list[Any]:
            return [m for t, m in self.messages[after:] if t == topic and that(m)]

        with self._news:
            assert self._news.wait_for(found, timeout_s), (
                f"no such message on {topic} within {timeout_s} s; the last ones:"
                f" {self.messages[-5:]}"
            )
            return found()[0]

    def answer(self, transaction: str, topic: str = "response/label") -> Any:
        """Return the answer to the command that carried `transaction`."""
        return self.wait_for(topic, lambda m: m["transaction"] == transaction)

    def press(self, payload: bytes | str | dict[str, Any], topic: str = "label/set") -> None:
        """Send a command as a phone would."""
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        self._client.publish(self._root + topic, payload, qos=1)

    def ask(self, payload: dict[str, Any], topic: str = "label/set") -> Any:
        """Send a command and return the answer that carries its transaction."""
        transaction = f"t{time.monotonic_ns()}"
        self.press({**payload, "transaction": transaction}, topic)
        return self.answer(transaction, RESPONSES[topic].topic)


def seconds(stamp: str) -> float:
    """RFC 3339 to seconds since 1970."""
    return datetime.fromisoformat(stamp).timestamp()
