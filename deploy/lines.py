"""Lines to the standard output that never hold up who says them.

A terminal can stop (Ctrl-S), a pipe can be full and its reader can go. Lines are written past
Python's `sys.stdout`: a thread that hangs in there would hang Python's exit, too.
"""

import contextlib
import logging
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

log = logging.getLogger(__name__)

MAX_LINES = 1000
STEP_S = 0.5  # how long a line of a recording waits for room before it makes some
CLOSE_S = 2.0
ATOMIC = 4096  # bytes that a pipe with any room takes without a wait (PIPE_BUF)


def say(text: str) -> None:
    """Write a line now, after what is written already; dropped if nobody takes it for CLOSE_S."""
    end_s = monotonic() + CLOSE_S
    with contextlib.suppress(OSError):  # nobody reads any more
        _write(encoded(text), lambda: monotonic() > end_s)


def encoded(text: str) -> bytes:
    """Encode a line for the terminal; what its character set lacks is a question mark."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return (text + "\n").encode(encoding, "replace")


def _write(line: bytes, give_up: Callable[[], bool]) -> None:
    if sys.stdout is None:  # closed before we began
        return
    sys.stdout.flush()
    number = sys.stdout.fileno()
    while line:
        if select.select([], [number], [], 0.1)[1]:
            with contextlib.suppress(BlockingIOError):  # somebody else was faster
                line = line[os.write(number, line[:ATOMIC]) :]
        elif give_up():
            return


class Lines:
    """A bounded queue and the thread that writes it; full, the oldest lines are left out."""

    def __init__(self, *, lossless: bool, reader_ends: bool) -> None:
        """`lossless`: the line waits for a slow reader. `reader_ends`: his going is a SIGTERM."""
        self._lossless = lossless
        self._reader_ends = reader_ends
        self._lines: deque[bytes] = deque()
        self._left_out = 0
        self._changed = threading.Condition()
        self._end_s: float | None = None  # when to give up
        self._gone = False
        self._thread = threading.Thread(target=self._run, name="budge-console", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Hand over a line; of a recording it is kept, and waits so that a signal is seen."""
        with self._changed:
            if self._gone:
                return
            if self._lossless:
                self._changed.wait_for(lambda: len(self._lines) < MAX_LINES or self._gone, STEP_S)
            elif len(self._lines) >= MAX_LINES:
                self._lines.popleft()
                self._left_out += 1
            self._lines.append(line)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (line := self._next()) is not None:
                _write(line, self._late)
        except OSError:  # the reader went; a service goes on without it
            with self._changed:
                self._gone = True
                self._lines.clear()
                self._changed.notify_all()
                if self._reader_ends and self._end_s is None:
                    os.kill(os.getpid(), signal.SIGTERM)

    def _next(self) -> bytes | None:
        """Wait for the next line; None: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._end_s is not None)
            if not self._lines or self._late():
                return None
            left_out, self._left_out = self._left_out, 0
            line = self._lines.popleft()
            self._changed.notify_all()
        if left_out:
            log.warning("the standard output was blocked: %d lines were left out", left_out)
        return line

    def _late(self) -> bool:
        return self._end_s is not None and monotonic() > self._end_s

    def close(self) -> None:
        """Write what is left, if it is taken within CLOSE_S."""
        with self._changed:
            self._end_s = monotonic() + CLOSE_S
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S + 0.5)
