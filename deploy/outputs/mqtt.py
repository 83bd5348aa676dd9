"""The broker: every message a topic below `<base>/<device>/`, commands from `label/set` and `undo`.

What paho does when the broker is away was tried, and this is built on it: QoS 1 is queued in
memory and delivered in order later, QoS 0 is dropped. So a state topic is not queued at all: its
latest value is kept here and said again at every connection, since a broker without persistence
forgets retained messages and our own store does not. Only transitions and answers are queued, and
not without end.
"""

import contextlib
import logging
import threading
from collections import deque
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from deploy.messages import Message, Window
from deploy.output import Command
from deploy.score import Truth
from deploy.settings import Settings

log = logging.getLogger(__name__)

AVAILABILITY = "availability"
KEEPALIVE_S = 20  # a broker that hangs is noticed after about twice this
RECONNECT_S = (1, 5)
MAX_QUEUED = 1000  # transitions and answers while the broker is away; then the newest are refused
MAX_IN_FLIGHT = 200  # windows of a recording the broker has not confirmed yet
LOSSLESS_WAIT_S = 30.0
GOODBYE_S = 2.0
# Said again in this order: who we are before what is happening.
STATE_ORDER = ("info", "health", "label", "activity")


class Output:
    """One connection."""

    def __init__(self, settings: Settings, _truth: Truth | None) -> None:
        self._settings = settings.mqtt
        self._root = f"{settings.mqtt.base}/{settings.device}/"
        self._connected = threading.Event()
        self._states: dict[str, bytes] = {}
        self._in_flight: deque[paho.MQTTMessageInfo] = deque()
        self._lock = threading.Lock()  # so that an old state never overtakes a new one
        self._lost = False
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"budge-{settings.device}",
            protocol=paho.MQTTv311,
        )
        client.enable_logger(log.getChild("paho"))
        log.getChild("paho").setLevel(logging.WARNING)
        # An exception in a callback would end paho's thread without a word.
        client.suppress_exceptions = True
        client.max_queued_messages_set(MAX_QUEUED)
        client.reconnect_delay_set(*RECONNECT_S)
        client.will_set(self._root + AVAILABILITY, "offline", qos=1, retain=True)
        if settings.mqtt.username is not None:
            client.username_pw_set(settings.mqtt.username, settings.mqtt.password)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client
        self._command: Command | None = None

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def start(self, command: Command) -> None:
        """Connect, now or whenever the broker is there."""
        self._command = command
        self._client.connect_async(self._settings.host, self._settings.port, KEEPALIVE_S)
        self._client.loop_start()

    def send(self, message: Message) -> None:
        payload = msgspec.json.encode(message)
        topic = self._root + message.topic
        if message.retained:
            with self._lock:
                self._states[message.topic] = payload
                if self._connected.is_set():
                    self._client.publish(topic, payload, qos=1, retain=True)
        elif not isinstance(message, Window):
            self._client.publish(topic, payload, qos=1)
        elif self._settings.window:
            self._send_window(topic, payload)

    def _send_window(self, topic: str, payload: bytes) -> None:
        if not self._settings.lossless:
            self._client.publish(topic, payload, qos=0)
            return
        if not self._connected.wait(LOSSLESS_WAIT_S):
            log.warning(
                "no broker at %s for %.0f s: windows are lost", self._where, LOSSLESS_WAIT_S
            )
            return
        self._in_flight.append(self._client.publish(topic, payload, qos=1))
        if len(self._in_flight) > MAX_IN_FLIGHT:
            with contextlib.suppress(RuntimeError):  # the connection broke at that very window
                self._in_flight.popleft().wait_for_publish(LOSSLESS_WAIT_S)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("the broker at %s refused us: %s", self._where, reason)
            return
        log.info("connected to the broker at %s", self._where)
        self._lost = False
        self._connected.set()
        client.subscribe(self._root + "label/+", qos=1)  # a clean session forgot it
        with self._lock:
            client.publish(self._root + AVAILABILITY, "online", qos=1, retain=True)
            for topic in STATE_ORDER:
                if topic in self._states:
                    client.publish(self._root + topic, self._states[topic], qos=1, retain=True)

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        self._connected.clear()
        if reason.is_failure and not self._lost:
            log.warning("lost the broker at %s (%s); trying again", self._where, reason)
            self._lost = True

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(self._root)
        if message.retain:  # it would be obeyed anew at every connection
            log.warning("ignored a retained command on %s: send it without retain", topic)
        elif self._command is not None:
            self._command(topic, bytes(message.payload))

    def close(self) -> None:
        """Say `offline`: after a clean goodbye the broker would not send our last will."""
        if self._connected.is_set():
            for window in self._in_flight:
                with contextlib.suppress(RuntimeError):
                    window.wait_for_publish(GOODBYE_S)
            last = self._client.publish(self._root + AVAILABILITY, "offline", qos=1, retain=True)
            last.wait_for_publish(GOODBYE_S)
        self._client.disconnect()
        self._client.loop_stop()
