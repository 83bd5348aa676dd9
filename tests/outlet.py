"""An MQTT output that runs, patience, and a wire to the broker that goes mute and breaks."""

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from deploy.outputs.mqtt import Output
from deploy.settings import Settings


@contextmanager
def running(chosen: Settings) -> Iterator[Output]:
    """Run an output that takes no command."""
    output = Output(chosen, None)
    output.start(lambda *_: True)
    try:
        yield output
    finally:
        output.close()


def eventually(that: Callable[[], bool], seconds: float = 10.0) -> None:
    end_s = time.monotonic() + seconds
    while not that():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.02)


def _sockets() -> list[Path]:
    return sorted(fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.is_socket())


@contextmanager
def no_socket_left() -> Iterator[None]:
    """Fail where a socket is open afterwards that was not before: left to the collector at best."""
    gc.collect()
    before = _sockets()
    gc.disable()
    try:
        yield
        assert _sockets() == before
    finally:
        gc.enable()


class Wire:
    """A TCP proxy to the broker that can go mute, as Wi-Fi does, and break."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.mute = threading.Event()
        self.swallowed = bytearray()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self._target))
            self._pairs.append((client, broker))
            for ends in ((client, broker), (broker, client)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, drain: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self.mute.is_set():
                    self.swallowed += data
                else:
                    drain.sendall(data)
        except OSError:
            pass

    def cut(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):  # that end has gone already
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
