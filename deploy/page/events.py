"""What each watcher is still to be sent, and what a new one is sent first. All of one loop.

A phone in a pocket reads nothing for a while. Of a state it then gets the latest only; rows and
windows are left out first; and one that missed answers or transitions has to begin anew.
"""

import asyncio
import itertools
from collections import deque

import msgspec

from deploy.messages import STATE_ORDER, Message, Trace, Window
from deploy.page.access import Token

LOSSY = (Trace.topic, Window.topic)
MAX_WAITING = 200  # events: a minute of rows and windows
HISTORY_S = 600.0
MAX_SEGMENTS = 2000  # of a sensor that changes its mind all the time
BEAT = b": \n\n"  # a comment, so that both ends notice when the other is gone


class Segment(msgspec.Struct):
    """Neighbouring windows of one activity."""

    start: str
    end: str
    activity: str
    confidence: float  # their mean


class History:
    """The last ten minutes, as windows told them."""

    def __init__(self) -> None:
        self.segments: deque[Segment] = deque()
        self._ends_s: deque[float] = deque()  # of each, in seconds of the source
        self._windows, self._sum = 0, 0.0  # of the last one, and of their confidences

    def take(self, window: Window) -> None:
        """Lengthen the last segment, or begin another: at a change, and after a gap."""
        last = self.segments[-1] if self.segments else None
        joined = last is not None and window.start_s <= self._ends_s[-1] <= window.end_s
        if last is not None and joined and last.activity == window.activity:
            self._windows, self._sum = self._windows + 1, self._sum + window.confidence
            last.end = window.ts
            last.confidence = round(self._sum / self._windows, 4)
            self._ends_s[-1] = window.end_s
        else:
            # Windows overlap, segments do not.
            start = last.end if last is not None and joined else window.start
            self.segments.append(Segment(start, window.ts, window.activity, window.confidence))
            self._ends_s.append(window.end_s)
            self._windows, self._sum = 1, window.confidence
        while window.end_s - self._ends_s[0] > HISTORY_S or len(self.segments) > MAX_SEGMENTS:
            self.segments.popleft()
            self._ends_s.popleft()


class Watcher:
    """One open page."""

    def __init__(self, token: Token) -> None:
        self.token = token
        self._waiting: dict[tuple[str, int], bytes] = {}  # by topic and number, the oldest first
        self._numbers = itertools.count(1)
        self._ready = asyncio.Event()
        self._ended = False

    def put(self, topic: str, event: bytes, *, latest_only: bool = False) -> None:
        """Hand over an event; `latest_only`: it takes the place of the one before."""
        key = (topic, 0 if latest_only else next(self._numbers))
        self._waiting.pop(key, None)
        self._waiting[key] = event
        if len(self._waiting) > MAX_WAITING:
            self._waiting = {k: v for k, v in self._waiting.items() if k[0] not in LOSSY}
            if len(self._waiting) > MAX_WAITING:
                self.end()
        self._ready.set()

    def end(self) -> None:
        """Let the stream end: the page comes again, if it still may."""
        self._ended = True
        self._ready.set()

    async def next(self) -> bytes | None:
        """Wait for events and return all there are; None: it is over."""
        await self._ready.wait()
        self._ready.clear()
        events = b"".join(self._waiting.values())
        self._waiting.clear()
        return None if self._ended else events


class Hub:
    """The latest of every state, the history, and who is watching."""

    def __init__(self) -> None:
        self.states: dict[str, Message] = {}
        self.watchers: set[Watcher] = set()
        self._history = History()
        self._ended = False

    def take(self, message: Message) -> None:
        """Keep what a new watcher must know, and hand the message to all who watch."""
        if message.retained:
            self.states[message.topic] = message
        if isinstance(message, Window):
            self._history.take(message)
        if self.watchers:
            event = written(message.topic, message)
            for watcher in self.watchers:
                watcher.put(message.topic, event, latest_only=message.retained)

    def join(self, token: Token) -> Watcher:
        """Add a watcher; the states, the history and its role wait for it."""
        watcher = Watcher(token)
        for topic in (t for t in STATE_ORDER if t in self.states):
            watcher.put(topic, written(topic, self.states[topic]), latest_only=True)
        watcher.put("history", written("history", {"segments": list(self._history.segments)}))
        watcher.put("access", written("access", {"role": token.role, "name": token.name}))
        if self._ended:
            watcher.end()
        self.watchers.add(watcher)
        return watcher

    def beat(self) -> None:
        """Send a comment to all."""
        for watcher in self.watchers:
            watcher.put("beat", BEAT, latest_only=True)

    def keep_only(self, tokens: tuple[Token, ...]) -> None:
        """End the streams of tokens that were taken back."""
        for watcher in self.watchers:
            if watcher.token not in tokens:
                watcher.end()

    def end(self) -> None:
        """End all streams, for good."""
        self._ended = True
        self.keep_only(())


def written(topic: str, content: object) -> bytes:
    """Write an event of a stream (WHATWG HTML, 9.2)."""
    return b"event: %s\ndata: %s\n\n" % (topic.encode(), msgspec.json.encode(content))
