"""Where the one loop waits: for rows from the reader's thread and for commands from any."""

import threading
import time
from collections import deque
from collections.abc import Callable

from deploy.messages import Response
from firmware_bridge.source import Chunk

MAX_CHUNKS = 160  # 6 s of a sensor drained 25 times a second
MAX_COMMANDS = 100  # more than a thumb can do; a flood is refused, not hoarded


class Command:
    """What arrived on a command topic, when, and by which output."""

    __slots__ = ("answered", "at_s", "origin", "payload", "topic")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        at_s: float,
        origin: str,
        answered: Callable[[Response], None] | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.at_s = at_s  # source time of its arrival
        self.origin = origin
        self.answered = answered  # is told the answer, beside all who listen


class Ended:
    """The source has no more; `error` tells why when it should have."""

    __slots__ = ("error",)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


class Inbox:
    """Two bounded queues under one lock, served in turn.

    A command goes before the rows that wait, since a person waits for it; the next one after some
    rows, since a flood of commands must not make a sensor lose its own.
    """

    def __init__(self, *, wait: bool) -> None:
        """`wait`: a full queue holds the reader up (a recording) instead of losing rows."""
        self._wait = wait
        self._ready = threading.Condition()
        self._chunks: deque[Chunk | Ended] = deque()
        self._commands: deque[Command] = deque()
        self._closed = False
        self._rows_next = False
        self._heard_s = time.monotonic()

    def put_chunk(self, chunk: Chunk | Ended) -> bool:
        """Hand over rows; False when there was no room for them. Once closed, nobody misses any."""
        self._heard_s = time.monotonic()
        with self._ready:
            while self._wait and len(self._chunks) >= MAX_CHUNKS and not self._closed:
                self._ready.wait()
            if self._closed:
                return True
            if len(self._chunks) >= MAX_CHUNKS and isinstance(chunk, Chunk):
                return False
            self._chunks.append(chunk)
            self._ready.notify_all()
            return True

    def put_command(self, command: Command) -> bool:
        """Hand over a command; False when too many wait."""
        with self._ready:
            if len(self._commands) >= MAX_COMMANDS:
                return False
            self._commands.append(command)
            self._ready.notify_all()
            return True

    def get(self, timeout_s: float) -> Chunk | Command | Ended | None:
        """Take a command or rows; None when `timeout_s` has passed without either."""
        with self._ready:
            self._ready.wait_for(lambda: self._commands or self._chunks, timeout_s)
            if self._commands and not (self._chunks and self._rows_next):
                self._rows_next = True
                return self._commands.popleft()
            if self._chunks:
                self._rows_next = False
                chunk = self._chunks.popleft()
                self._ready.notify_all()
                return chunk
            return None

    @property
    def waiting(self) -> int:
        """How many chunks wait."""
        return len(self._chunks)

    @property
    def silent_s(self) -> float:
        """Seconds since rows came last, whether there was room for them or not."""
        return time.monotonic() - self._heard_s

    def close(self) -> None:
        """Let a waiting reader go."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
