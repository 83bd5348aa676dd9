"""The broker: every message a topic below `<base>/<device>/`, commands from those of RESPONSES.

What paho does when the broker is away was tried, and this is built on it: QoS 1 is queued in
memory and delivered in order later, QoS 0 is dropped. paho sends what was not acknowledged again
*after* on_connect, so a state sent with QoS 1 into a dying connection would overtake the newer one
said there, and stay with the broker. So a state topic is QoS 0: one connection keeps its order,
its latest value is kept here and said again at every connection (a broker without persistence
forgets retained messages, and our own store does not). Only transitions, answers and the windows
of a recording are queued, and not without end.
"""

import contextlib
import hashlib
import logging
import queue
import sys
import threading
from time import monotonic
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from deploy.messages import RESPONSES, Message, Window
from deploy.output import Command
from deploy.score import Truth
from deploy.settings import Settings

log = logging.getLogger(__name__)

AVAILABILITY = "availability"
KEEPALIVE_S = 20  # a broker that hangs is noticed after about twice this
RECONNECT_S = (1, 5)
MAX_QUEUED = 1000  # transitions and answers while the broker is away; then the newest are refused
MAX_IN_FLIGHT = 200  # windows of a recording the broker has not confirmed yet
LOSSLESS_WAIT_S = 15.0  # for a broker that is away: a restart and paho's longest pause, twice
STEP_S = 0.5  # of that at a window: in between the line looks whether it is to end
CLOSE_S = 3.0
BRIEF_S, BRIEF_TIMES = 5.0, 3  # connections so short, so often in a row: somebody takes our name
# Said again in this order: who we are before what is happening.
STATE_ORDER = ("info", "health", "label", "activity")


def client_id(base: str, device: str) -> str:
    """Name a connection: 23 characters at most, which is all a broker must take (MQTT 3.1.1)."""
    digest = hashlib.sha256(f"{base}/{device}".encode()).hexdigest()
    return f"budge-{device[:8]}-{digest[:8]}"


def _ours(record: logging.LogRecord) -> bool:
    """Of paho's own lines only our mistakes: what the broker does is told here, in plain words."""
    return "Caught exception" in str(record.msg)


class Output:
    """One connection."""

    def __init__(self, settings: Settings, _truth: Truth | None) -> None:
        self._settings = settings.mqtt
        self._device = settings.device
        self._root = f"{settings.mqtt.base}/{settings.device}/"
        self._connected = threading.Event()
        self._states: dict[str, bytes] = {}
        self._lock = threading.Lock()  # so that an old state never overtakes a new one
        self._trouble: str | None = None  # told, and not told again until it changes
        self._since_s = 0.0  # of the connection
        self._brief = 0  # brief connections in a row
        self._acks: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._unconfirmed: set[int] = set()  # windows of a recording; of the line's thread
        self._patience_s = LOSSLESS_WAIT_S
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id(settings.mqtt.base, settings.device),
            protocol=paho.MQTTv311,
        )
        client.enable_logger(log.getChild("paho"))
        log.getChild("paho").addFilter(_ours)
        # An exception in a callback would end paho's thread without a word.
        client.suppress_exceptions = True
        client.max_queued_messages_set(MAX_QUEUED)
        client.reconnect_delay_set(*RECONNECT_S)
        client.will_set(self._root + AVAILABILITY, "offline", qos=1, retain=True)
        if settings.mqtt.username is not None:
            client.username_pw_set(settings.mqtt.username, settings.mqtt.password)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        if settings.mqtt.lossless:
            client.on_publish = lambda _client, _data, mid, *_: self._acks.put(mid)
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
                    self._client.publish(topic, payload, qos=0, retain=True)
        elif not isinstance(message, Window):
            self._client.publish(topic, payload, qos=1)
        elif self._settings.window and self._settings.lossless:
            self._send_lossless(topic, payload)
        elif self._settings.window:
            self._client.publish(topic, payload, qos=0)

    # -- the windows of a recording, which can wait ----------------------------------------------

    def _send_lossless(self, topic: str, payload: bytes) -> None:
        """Wait a moment for a broker that is slow or away; paho keeps the window meanwhile."""
        waiting_s, began_s = (STEP_S if self._patience_s > 0 else 0.0), monotonic()
        if self._confirmed(waiting_s) and self._connected.wait(waiting_s):
            self._patience_s = LOSSLESS_WAIT_S
        elif self._patience_s > 0:
            self._patience_s -= monotonic() - began_s
            if self._patience_s <= 0:
                log.warning(
                    "the broker at %s took no window for %.0f s: going on without it",
                    self._where,
                    LOSSLESS_WAIT_S,
                )
        if self._patience_s > 0:
            sent = self._client.publish(topic, payload, qos=1)
            if sent.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                self._unconfirmed.add(sent.mid)

    def _confirmed(self, seconds: float) -> bool:
        """Whether no more than MAX_IN_FLIGHT windows wait for the broker, within `seconds`."""
        end_s = monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while True:
                full = len(self._unconfirmed) > MAX_IN_FLIGHT
                left_s = max(0.0, end_s - monotonic()) if full else 0.0
                self._unconfirmed.discard(self._acks.get(timeout=left_s))
        return len(self._unconfirmed) <= MAX_IN_FLIGHT

    # -- paho's thread ---------------------------------------------------------------------------

    def _tell(self, trouble: str, sentence: str, *parts: object) -> None:
        if trouble != self._trouble and self._brief < BRIEF_TIMES:
            log.warning(sentence, *parts)
        self._trouble = trouble

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._tell(f"refused: {reason}", "the broker at %s refused us: %s", self._where, reason)
            return
        if self._brief < BRIEF_TIMES:
            log.info("connected to the broker at %s", self._where)
        self._trouble = None
        self._since_s = monotonic()
        # A clean session forgot them. Not label/+: we would hear others there, and obey.
        client.subscribe([(self._root + command, 1) for command in RESPONSES])
        with self._lock:
            self._connected.set()
            client.publish(self._root + AVAILABILITY, "online", qos=0, retain=True)
            for topic in STATE_ORDER:
                if topic in self._states:
                    client.publish(self._root + topic, self._states[topic], qos=0, retain=True)

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        error = sys.exception()  # paho calls this while it handles it
        cause = getattr(error, "strerror", None) or error
        self._tell(
            "away", "no broker at %s (%s): going on without it, trying again", self._where, cause
        )

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        was_connected = self._connected.is_set()
        self._connected.clear()
        if not reason.is_failure or (self._trouble is not None and not was_connected):
            return
        if was_connected:
            self._brief = self._brief + 1 if monotonic() - self._since_s < BRIEF_S else 0
        if was_connected and self._brief == BRIEF_TIMES:
            log.warning(
                "the broker at %s ended %d connections at once: another budge uses the name %s,"
                " give each its own device",
                self._where,
                BRIEF_TIMES,
                self._device,
            )
        self._tell("away", "lost the broker at %s (%s); trying again", self._where, reason)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(self._root)
        if message.retain:  # it would be obeyed anew at every connection
            log.warning("ignored a retained command on %s: send it without retain", topic)
        elif self._command is not None:
            self._command(topic, bytes(message.payload))

    def close(self) -> None:
        """Say `offline`: after a clean goodbye the broker would not send our last will.

        It goes behind all that is queued, so its confirmation is everyone's.
        """
        end_s = monotonic() + CLOSE_S
        if self._connected.is_set():
            last = self._client.publish(self._root + AVAILABILITY, "offline", qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):  # just lost it, or a full queue
                last.wait_for_publish(CLOSE_S)
        self._client.disconnect()
        # paho's thread may hang in a name's look-up or on a mute connection; loop_stop() joins it.
        ending = threading.Thread(target=self._client.loop_stop, daemon=True)
        ending.start()
        ending.join(max(0.0, end_s - monotonic()))
