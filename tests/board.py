"""A microcontroller at the end of a pseudo terminal, which sends as the clock goes on.

The bytes go through a real tty of the kernel; only time is virtual. So a minute takes a second,
and every run gives the same.
"""

import contextlib
import fcntl
import os
import struct
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from firmware_bridge.clock import VirtualClock
from firmware_bridge.formats.frames import encode
from firmware_bridge.formats.readings import Reading
from firmware_bridge.source import Chunk
from firmware_bridge.sources.serial import Options, Source, open_source

SWING_HZ = 0.7
SWING = 3.0  # m/s²
STEEPEST = 2 * np.pi * SWING_HZ * SWING  # m/s³
GRAVITY = 9.80665
PER_COUNT = 16 * GRAVITY / 32768  # m/s²
CRYSTAL = 50e-6  # what a quartz may be off; a ceramic resonator, 0.5 %
TTY_ROOM = 4000  # bytes a tty surely holds
NOBODY = termios.B50  # nobody has opened the port yet: what is sent goes nowhere
PATIENCE_S = 10.0  # real time for the kernel to carry bytes from one end to the other

Write = Callable[[Reading], bytes]


def swing(time_s: float) -> float:
    """Along x: its value tells the time. Steepest 13 m/s³, so 1 ms too late is 0.013 m/s²."""
    return float(SWING * np.sin(2 * np.pi * SWING_HZ * time_s))


def as_frame(reading: Reading) -> bytes:
    return encode(reading)


def as_line(reading: Reading) -> bytes:
    return ",".join(f"{value:.4f}" for value in reading.values).encode() + b"\r\n"


class Board(VirtualClock):
    """Sends sample k at k/rate_hz after its start, by the host's clock; `port` is its path."""

    def __init__(
        self,
        folder: Path,
        write: Write = as_frame,
        *,
        rate_hz: float = 104.0,
        axes: int = 6,
        baud: int = 115200,
        clock_error: float = CRYSTAL,
    ) -> None:
        super().__init__(1000.0)
        self.port = folder / "budge-imu"  # a link, as in /dev/serial/by-id
        self.write = write
        self.mangle: Callable[[int, bytes], bytes] = lambda sample, sent: sent
        self.rate_hz = rate_hz
        self.axes = axes
        self.baud = baud
        self.clock_error = clock_error
        self.hello = b""  # what a reader who opens the port gets first
        self.first = 0, 0  # sequence and time_us of the first sample after a start
        self._events: list[tuple[float, Callable[[], None]]] = []
        self._plugged = self._unheard = False
        self.plug()

    def plug(self) -> None:
        self._ours, self._theirs = os.openpty()
        os.set_blocking(self._ours, False)
        tty.setraw(self._theirs)
        settings = termios.tcgetattr(self._theirs)
        settings[4] = settings[5] = NOBODY
        termios.tcsetattr(self._theirs, termios.TCSANOW, settings)
        self.port.symlink_to(os.ttyname(self._theirs))
        self._plugged = self._unheard = True
        self.start()

    def unplug(self) -> None:
        self._plugged = False
        self.port.unlink()  # first: the number of the terminal may be another's at once
        os.close(self._ours)
        os.close(self._theirs)

    def start(self, greeting: bytes = b"", boot_s: float = 0.0) -> None:
        """Begin anew, as after a reset: numbers and clock from 0."""
        self._send(greeting)
        self.began_s = self.now_s() + boot_s
        self.sample = 0

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        self._events.append((time_s, action))

    def sleep_s(self, seconds: float) -> None:
        end_s = self.now_s() + max(seconds, 0.0)
        for event in sorted(self._events, key=lambda event: event[0]):
            if event[0] <= end_s:
                self._events.remove(event)
                self._advance(event[0])
                event[1]()
        self._advance(end_s)

    def _advance(self, end_s: float) -> None:
        super().sleep_s(end_s - self.now_s())
        sent = b""
        sequence, time_us = self.first
        while (time_s := self.began_s + self.sample / self.rate_hz) <= end_s:
            reading = Reading(
                (swing(time_s), 0.0, GRAVITY, 0.1, -0.2, 0.3)[: self.axes],
                (time_us + round((time_s - self.began_s) * (1 + self.clock_error) * 1e6)) % 2**32,
                (sequence + self.sample) % 2**16,
            )
            sent += self.mangle(self.sample, self.write(reading))
            self.sample += 1
        self._send(sent)

    def _send(self, data: bytes) -> None:
        """Write, and wait until the kernel has carried it over."""
        speed = termios.tcgetattr(self._theirs)[4] if self._plugged else NOBODY
        if speed == NOBODY or not data:
            return
        if self._unheard:
            self._unheard = False
            data = self.hello + data
        if speed != getattr(termios, f"B{self.baud}"):
            data = bytes(byte ^ 0x5A for byte in data)  # heard at the wrong speed
        waiting = self._waiting()
        with contextlib.suppress(BlockingIOError):  # full: it is lost
            os.write(self._ours, data)
        give_up = time.monotonic() + PATIENCE_S
        while self._waiting() < min(waiting + len(data), TTY_ROOM):
            assert time.monotonic() < give_up, "the kernel did not carry the bytes over"

    def _waiting(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self._theirs, termios.TIOCINQ, b"\0" * 4))[0])

    def close(self) -> None:
        if self._plugged:
            self.unplug()


class Bench:
    """A board with its source, and what that gave."""

    def __init__(self, board: Board, **settings: Any) -> None:
        self.board = board
        self.source: Source = open_source(Options(port=str(board.port), **settings), board, 50.0)
        self._chunks = self.source.chunks()
        self._run = 0

    def run(self, seconds: float) -> list[Chunk]:
        """Go on so long, and return what came."""
        end_s = self.board.now_s() + seconds
        chunks = []
        while self.board.now_s() < end_s:
            chunks.append(next(self._chunks))
            self._run = chunks[-1].run
        return chunks

    def after_gap(self) -> list[Chunk]:
        """Go on to the next run and 5 s into it."""
        before = self._run
        chunks = []
        while self._run == before:
            chunks = [next(self._chunks)]
            self._run = chunks[0].run
        return chunks + self.run(5)

    def end(self) -> list[Chunk]:
        """Go on until somebody closes the source."""
        return list(self._chunks)


def rows_of(bench: Bench, chunks: list[Chunk]) -> Iterator[tuple[float, float, float]]:
    """(time, x, z) of every row."""
    for chunk in chunks:
        values = chunk.counts * bench.source.scale
        for k, row in enumerate(values):
            time_s = chunk.run_start_s + (chunk.first + k) / bench.source.rate_hz
            yield time_s, float(row[0]), float(row[2])


def assert_true(bench: Bench, chunks: list[Chunk], within_s: float = 0.006) -> None:
    """Every row is the swing at the time it claims: to 6 ms and rounding; it is never made up."""
    for time_s, x, z in rows_of(bench, chunks):
        assert abs(x - swing(time_s)) < within_s * STEEPEST + PER_COUNT
        assert abs(z - GRAVITY) < PER_COUNT


def assert_whole(chunks: list[Chunk]) -> None:
    """No row of a run is missing."""
    for run in {chunk.run for chunk in chunks}:
        of_run = [chunk for chunk in chunks if chunk.run == run]
        lengths = [len(chunk.counts) for chunk in of_run]
        assert [chunk.first - of_run[0].first for chunk in of_run] == [
            sum(lengths[:k]) for k in range(len(lengths))
        ]
