"""The broker: every message a topic below `<base>/<device>/`, commands from those of RESPONSES.

What paho does when the broker is away was tried, and this is built on it: QoS 0 is dropped, QoS 1
is kept, and what was not acknowledged is sent again *after* on_connect: a state sent with QoS 1
into a dying connection would overtake the newer one said there, and stay with the broker. So a
state topic is QoS 0, and so is what Home Assistant is told to make of it: one connection keeps its
order, the latest value is kept here and said again at every connection (a broker without
persistence forgets retained messages, and our own store does not). Only transitions, answers and
the windows of a recording are queued, in `outbox.py`.
"""

import contextlib
import hashlib
import logging
import random
import sys
import threading
from time import monotonic
from typing import Any

import msgspec
import paho.mqtt.client as paho

from deploy import homeassistant
from deploy.connection import Client
from deploy.messages import (
    NOT_LABELLING,
    RESPONSES,
    STATE_ORDER,
    Info,
    Label,
    Message,
    Trace,
    Window,
)
from deploy.outbox import UNDER_WAY, Outbox
from deploy.output import Command
from deploy.score import Truth
from deploy.settings import Settings

log = logging.getLogger(__name__)

AVAILABILITY = "availability"
MAX_WAITING = 200  # windows of a recording the broker has not confirmed yet
LOSSLESS_WAIT_S = 15.0  # for a broker that is away: a restart and paho's longest pause, twice
STEP_S = 0.5  # of that at a window: in between the line looks whether it is to end
CLOSE_S = 3.0
BRIEF_S, BRIEF_TIMES = 5.0, 3  # connections so short, so often in a row: somebody takes our name
BIRTH_S = (0.5, 3.0)  # after Home Assistant's: by chance, for all devices hear it at once


def client_id(base: str, device: str) -> str:
    """Name a connection: 23 characters at most, which is all a broker must take (MQTT 3.1.1)."""
    digest = hashlib.sha256(f"{base}/{device}".encode()).hexdigest()
    return f"budge-{device[:8]}-{digest[:8]}"


class Output:
    """One connection. Raises SettingsError where TLS cannot be set up."""

    def __init__(self, settings: Settings, _truth: Truth | None) -> None:
        self._settings = settings
        self._root = f"{settings.mqtt.base}/{settings.device}/"
        self._connected = threading.Event()
        self._states: dict[str, bytes] = {}
        self._lock = threading.RLock()  # so that an old state never overtakes a new one
        self._trouble: str | None = None  # told, and not told again until it changes
        self._since_s = 0.0  # of the connection
        self._brief = 0  # brief connections in a row
        self._patience_s = LOSSLESS_WAIT_S
        self._info: Info | None = None
        self._lost = 0  # events that found no room, and of which that was not told yet
        self._taught: str | None = None  # an activity that need not be known yet
        self._document = b""  # that Home Assistant was told; empty: nothing
        self._components: set[str] = set()  # of all documents so far
        self._birth: str | None = None
        if settings.homeassistant.discovery:
            self._birth = f"{settings.homeassistant.prefix}/{homeassistant.BIRTH}"
        self._config = homeassistant.topic(settings)
        self._greet_s: float | None = None  # when to say all again to Home Assistant
        client = Client(settings.mqtt, client_id(settings.mqtt.base, settings.device))
        self._outbox = Outbox(client)
        client.will_set(self._root + AVAILABILITY, "offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_round = self._on_round
        self._client = client
        self._command: Command | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread that talks to the broker is there and goes round."""
        return self._client.alive

    def start(self, command: Command) -> None:
        """Connect, now or whenever the broker is there."""
        self._command = command
        self._client.begin()

    def send(self, message: Message) -> None:
        payload = msgspec.json.encode(message)
        topic = self._root + message.topic
        if message.retained:
            with self._lock:
                self._foretell(message)
                self._states[message.topic] = payload
                self._say(topic, payload)
        elif isinstance(message, Trace):
            pass  # to be drawn, for those who ask for it
        elif not isinstance(message, Window):
            if not self._outbox.put(topic, payload):
                with self._lock:
                    self._lost += 1
        elif self._settings.mqtt.window and self._settings.mqtt.lossless:
            self._send_lossless(topic, payload)
        elif self._settings.mqtt.window:
            self._client.publish(topic, payload, qos=0)

    def _say(self, topic: str, payload: bytes) -> None:
        if self._connected.is_set():
            self._client.publish(topic, payload, qos=0, retain=True)

    # -- Home Assistant --------------------------------------------------------------------------

    def _foretell(self, message: Message) -> None:
        """Tell Home Assistant of a name before a state uses it."""
        match message:
            case Info():
                self._info = message
            case Label():
                self._taught = None if message.label == NOT_LABELLING else message.label
        self._describe()

    def _describe(self) -> None:
        if self._info is None or self._birth is None:
            return
        found = homeassistant.document(self._settings, self._info, self._taught, self._components)
        self._components |= found["components"].keys()
        document = msgspec.json.encode(found)
        if document != self._document:
            self._document = document
            self._say(self._config, document)

    def _take_back(self, document: bytes) -> None:
        """Take back the buttons that the broker still has of activities that are no more.

        One may have been forgotten while the broker was away, and in another life. Only the broker
        knows that: a journal that kept the name until then would not have forgotten it.
        """
        with self._lock:
            self._components |= homeassistant.buttons(document)
            self._describe()

    def _say_all(self) -> None:
        with self._lock:
            self._client.publish(self._root + AVAILABILITY, "online", qos=0, retain=True)
            if self._document or self._birth is None:  # switched off: empty takes it back
                self._say(self._config, self._document)
            for topic in STATE_ORDER:
                if topic in self._states:
                    self._say(self._root + topic, self._states[topic])

    # -- the windows of a recording, which can wait ----------------------------------------------

    def _send_lossless(self, topic: str, payload: bytes) -> None:
        """Wait a moment for a broker that is slow or away; the outbox keeps the window."""
        waiting_s, began_s = (STEP_S if self._patience_s > 0 else 0.0), monotonic()
        if self._outbox.wait(MAX_WAITING, waiting_s) and self._connected.wait(waiting_s):
            self._patience_s = LOSSLESS_WAIT_S
        elif self._patience_s > 0:
            self._patience_s -= monotonic() - began_s
            if self._patience_s <= 0:
                log.warning(
                    "the broker at %s took no window for %.0f s: going on without it",
                    self._client.where,
                    LOSSLESS_WAIT_S,
                )
        if self._patience_s > 0:
            self._outbox.put(topic, payload)

    # -- paho's thread ---------------------------------------------------------------------------

    def _tell(self, trouble: str, sentence: str) -> None:
        if trouble != self._trouble and self._brief < BRIEF_TIMES:
            log.warning(sentence)
        self._trouble = trouble

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self._tell(f"refused: {reason}", self._client.refusal(reason))
            return
        if self._brief < BRIEF_TIMES:
            log.info("connected to the broker at %s", self._client.where)
        self._trouble = None
        self._since_s = monotonic()
        # A clean session forgot them. Not label/+: we would hear others there, and obey.
        topics = [self._root + command for command in RESPONSES]
        if self._birth is not None:
            topics += [self._birth, self._config]
        client.subscribe([(topic, 1) for topic in topics])
        self._outbox.open(getattr(properties, "ReceiveMaximum", UNDER_WAY))
        with self._lock:
            self._connected.set()
            self._say_all()

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        # paho calls this while it handles the error.
        sentence = self._client.trouble(sys.exception())
        self._tell("away", f"{sentence}: going on without it, trying again")

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        was_connected = self._connected.is_set()
        self._connected.clear()
        self._outbox.shut()
        if not reason.is_failure:
            return
        if was_connected:
            self._brief = self._brief + 1 if monotonic() - self._since_s < BRIEF_S else 0
            if self._brief == BRIEF_TIMES:
                log.warning(
                    "the broker at %s ended %d connections at once: another budge uses the name"
                    " %s, give each its own device",
                    self._client.where,
                    BRIEF_TIMES,
                    self._settings.device,
                )
            self._tell("away", f"lost the broker at {self._client.where} ({reason}); trying again")
        elif self._trouble is None:
            self._tell("away", self._client.hung_up)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(self._root)
        if message.topic == self._birth:
            if message.payload == b"online" and not message.retain:
                self._greet_s = monotonic() + random.uniform(*BIRTH_S)  # noqa: S311 no secret
        elif message.topic == self._config:
            if message.retain:  # else it is what was said just now
                self._take_back(bytes(message.payload))
        elif message.retain:  # it would be obeyed anew at every connection
            log.warning("ignored a retained command on %s: send it without retain", topic)
        elif self._command is not None:
            self._command(topic, bytes(message.payload))

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: Any, _properties: Any
    ) -> None:
        self._outbox.confirmed(mid)
        if reason.is_failure:  # MQTT 3.1.1 does not say so
            self._tell(
                f"refused: {reason}",
                f"the broker at {self._client.where} does not take what we say ({reason}):"
                f" let the user write to {self._root}#",
            )

    def _on_round(self) -> None:
        self._outbox.pump()
        self._tell_lost()
        if self._greet_s is not None and monotonic() >= self._greet_s:
            self._greet_s = None
            self._say_all()

    def _tell_lost(self) -> None:
        if self._lost and self._outbox.wait(0, 0):  # all that was kept has arrived
            with self._lock:
                lost, self._lost = self._lost, 0
            log.warning(
                "%d events are lost to the broker at %s: it was away for so long that no more"
                " were kept (what is true now was said anew, and the journal has all rows)",
                lost,
                self._client.where,
            )

    def close(self) -> None:
        """Say `offline`: after a clean goodbye the broker would not send our last will."""
        end_s = monotonic() + CLOSE_S
        if self._connected.is_set():
            self._outbox.wait(0, CLOSE_S / 2)
            last = self._client.publish(self._root + AVAILABILITY, "offline", qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):  # just lost it
                last.wait_for_publish(end_s - monotonic())
        self._client.disconnect()
        self._client.end(max(0.0, end_s - monotonic()))
