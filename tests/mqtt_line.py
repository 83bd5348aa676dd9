"""A broker, somebody who publishes, and the MQTT source that listens; only time is virtual."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.clock import VirtualClock
from firmware_bridge.source import Chunk
from firmware_bridge.sources.mqtt import Source

Transport = Literal["tcp", "websockets"]

PATIENCE_S = 10.0
TOPIC = "wrist/imu"
BATCH_S = 0.5
# A row may be as wrong in time as the least late batch was late: 5 ms and a little.
WITHIN_S = 0.012


def wait_until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.002)


class Line:
    """One source and one sender, at the broker on a port."""

    def __init__(self, port: int, transport: Transport = "tcp", **given: Any) -> None:
        self.clock = VirtualClock(1000.0)
        self.chunks: list[Chunk] = []
        self.source = Source("127.0.0.1", port, TOPIC, self.clock, transport=transport, **given)
        self._listening = threading.Event()
        self.source._client.on_subscribe = self._subscribed
        self._sent = 0
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()
        self.sender = paho.Client(CallbackAPIVersion.VERSION2, transport=transport)
        self.sender.connect("127.0.0.1", port)
        self.sender.loop_start()
        self.wait_for_listener()

    def _subscribed(self, *_: object) -> None:
        self._listening.set()

    def wait_for_listener(self) -> None:
        assert self._listening.wait(PATIENCE_S)
        self._listening.clear()

    def _collect(self) -> None:
        self.chunks.extend(self.source.chunks())

    def send(self, payload: bytes | dict[str, Any], at_s: float, *, retain: bool = False) -> None:
        """Let a message arrive at `at_s` of our clock."""
        self.clock.sleep_s(at_s - self.clock.now_s())
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.sender.publish(TOPIC, data, qos=1, retain=retain).wait_for_publish(PATIENCE_S)
        self._sent += 1
        wait_until(lambda: self.source._inbox.unfinished_tasks == self._sent)

    def end(self) -> list[Chunk]:
        wait_until(self.source._inbox.empty)
        self.source.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.sender.disconnect()
        self.sender.loop_stop()
        return self.chunks
