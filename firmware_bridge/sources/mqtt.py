"""A microcontroller or a phone that publishes its motion over MQTT: a live source.

What stands in a message is told by `batches.py` (an ESP32, JSON or bytes) and `sensor_logger.py`
(a phone); which of them it is shows by itself. One topic is one sender: two would look like one
that starts again with every message.
"""

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.clock import Clock
from firmware_bridge.formats.batches import MAGIC, Batches, from_bytes, from_json
from firmware_bridge.formats.sensor_logger import Phone
from firmware_bridge.rows.payload import Lost, PayloadError, Stretch
from firmware_bridge.rows.stamped import Stamped
from firmware_bridge.source import Chunk, Health

log = logging.getLogger(__name__)

KEEPALIVE_S = 20
RECONNECT_S = (1, 30)
LOOK_S = 0.1
WAITING = 100  # messages, if nobody takes them; the next are lost, and their numbers tell so
SHOWN = 40  # bytes of a message that is none


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which topic of which broker, and whether a gyro is to be expected there."""

    topic: str
    host: str = "127.0.0.1"
    port: int = 1883
    transport: Literal["tcp", "websockets"] = "tcp"  # Sensor Logger knows websockets only
    username: str | None = None
    password: str | None = None
    gyro: bool = True  # six columns, or the accelerometer's three


def open_source(options: Options, clock: Clock, rate_hz: float) -> "Source":
    """Make the source; it connects when `chunks` begins."""
    return Source(
        options.host,
        options.port,
        options.topic,
        clock,
        rate_hz=rate_hz,
        gyro=options.gyro,
        transport=options.transport,
        username=options.username,
        password=options.password,
    )


class Source:
    """Rows from one topic. All but `close` and `health` is one thread's."""

    live = True

    def __init__(
        self,
        host: str,
        port: int,
        topic: str,
        clock: Clock,
        *,
        rate_hz: float = 50.0,
        gyro: bool = True,
        transport: Literal["tcp", "websockets"] = "tcp",
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        """`gyro`: six columns, or the accelerometer's three. Connects when `chunks` begins."""
        self.rate_hz = rate_hz
        self._where = f"{host}:{port}"
        self._address = host, port
        self._topic = topic
        self._clock = clock
        channels = 6 if gyro else 3
        self._stamped = Stamped(channels, clock, rate_hz)
        self.scale = self._stamped.scale
        self._batches = Batches(channels)
        self._phone = Phone(channels)
        self._told: set[str] = set()  # kinds of bad messages
        self._away = False
        self._closed = threading.Event()
        self._inbox: queue.Queue[tuple[bytes, float]] = queue.Queue(WAITING)
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, transport=transport
        )
        # An exception in a callback would end paho's thread without a word.
        self._client.suppress_exceptions = True
        self._client.reconnect_delay_set(*RECONNECT_S)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def now_s(self) -> float:
        return self._clock.now_s()

    def truth(self, start_s: float, end_s: float) -> str | None:  # noqa: ARG002 nobody knows
        return None

    def health(self) -> Health:
        return self._stamped.health()

    def close(self) -> None:
        self._closed.set()

    def chunks(self) -> Iterator[Chunk]:
        """Yield until closed. Nothing raises: a broker or a sender that is away is waited for."""
        self._client.connect_async(*self._address, KEEPALIVE_S)
        self._client.loop_start()
        try:
            while not self._closed.is_set():
                try:
                    payload, arrived_s = self._inbox.get(timeout=LOOK_S)
                except queue.Empty:
                    self._look()
                else:
                    yield from self._survive(payload, arrived_s)
        finally:
            self._client.disconnect()
            self._client.loop_stop()
            self._client._reset_sockets()  # noqa: SLF001 left to the garbage collector, else

    def _look(self) -> None:
        if self._stamped.silent() and (missing := self._phone.missing()) is not None:
            self._say("missing", missing)

    def _survive(self, payload: bytes, arrived_s: float) -> Iterator[Chunk]:
        try:
            yield from self._take(payload, arrived_s)
        except PayloadError as error:
            self._stamped.errors += 1
            self._say(error.kind, str(error))

    def _take(self, payload: bytes, arrived_s: float) -> Iterator[Chunk]:
        for found in self._read(payload):
            if isinstance(found, Stretch):
                yield from self._stamped.push(found, arrived_s)
            elif found.again:
                self._stamped.restart(found.cause)
            else:
                self._stamped.lose(found.cause)

    def _read(self, payload: bytes) -> Iterator[Stretch | Lost]:
        if payload.startswith(MAGIC):
            return self._batches.read(from_bytes(payload))
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError):  # ValueError is that of JSON and of UTF-8, too
            message = None
        if isinstance(message, dict) and "rows" in message:
            return self._batches.read(from_json(message))
        if isinstance(message, dict) and "payload" in message:
            return self._phone.read(message)
        raise PayloadError("unknown", f"{payload[:SHOWN]!r}, expected a batch or a phone's message")

    def _say(self, kind: str, sentence: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            log.warning("on %s: %s", self._topic, sentence)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._lost_broker(f"refused us: {reason}")
            return
        log.info("listening to %s at %s", self._topic, self._where)
        self._away = False
        client.subscribe(self._topic, qos=1)  # a clean session forgot it

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._lost_broker("does not answer: check host and port, and that the broker runs")

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._lost_broker(f"is gone ({reason})")

    def _lost_broker(self, what: str) -> None:
        if not self._away:
            log.warning("the broker at %s %s; trying again", self._where, what)
        self._away = True

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.retain:  # of another day
            return
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait((bytes(message.payload), self._clock.now_s()))
