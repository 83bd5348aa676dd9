"""What must arrive, in order: bounded, and never more under way than the broker allows (MQTT 5).

paho's own queue is no such thing: at a new connection it sends all that it holds at once, whatever
the broker's receive maximum, and a broker may hang up on that, every time anew.
"""

import queue
import threading
from collections import deque

import paho.mqtt.client as paho

CAPACITY = 1000  # messages while the broker is away; then the newest are refused
UNDER_WAY = 20  # what was sent and is not confirmed, at most


class Outbox:
    """QoS 1 messages of one client. No paho lock may be held where `pump` is called."""

    def __init__(self, client: paho.Client) -> None:
        self._client = client
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._under_way: set[int] = set()
        self._limit = UNDER_WAY
        self._open = False
        # paho confirms while it holds a lock that publishing needs: so it waits for none of ours.
        self._confirmed: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._changed = threading.Condition()

    def put(self, topic: str, payload: bytes) -> bool:
        """Send it as soon as may be; False: too much waits already."""
        with self._changed:
            if len(self._waiting) >= CAPACITY:
                return False
            self._waiting.append((topic, payload))
            self._fill()
            return True

    def open(self, receive_maximum: int) -> None:
        """Go on at the next `pump`: what was under way is sent again by paho before that."""
        with self._changed:
            self._limit = min(UNDER_WAY, receive_maximum)
            self._open = True

    def shut(self) -> None:
        """Keep all that comes: there is no broker."""
        with self._changed:
            self._open = False

    def confirmed(self, mid: int) -> None:
        """Take paho's word that it has arrived."""
        self._confirmed.put(mid)

    def pump(self) -> None:
        """Send what may be sent now."""
        with self._changed:
            while not self._confirmed.empty():
                self._under_way.discard(self._confirmed.get())
            self._fill()
            self._changed.notify_all()

    def wait(self, left: int, seconds: float) -> bool:
        """Wait until no more than so many messages are left; False: not within `seconds`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: len(self._waiting) + len(self._under_way) <= left, seconds
            )

    def _fill(self) -> None:
        while self._open and self._waiting and len(self._under_way) < self._limit:
            topic, payload = self._waiting.popleft()
            self._under_way.add(self._client.publish(topic, payload, qos=1).mid)
