"""Systemd's end: a real datagram socket stands where its own would."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Ear:
    """What the service says."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return the lines since the last call."""
        lines = []
        while True:
            try:
                lines.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return lines

    def close(self) -> None:
        self._socket.close()


@contextmanager
def listening(folder: Path, monkeypatch: pytest.MonkeyPatch, watchdog_s: float) -> Iterator[Ear]:
    """Be systemd, with a watchdog."""
    ear = Ear(str(folder / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", str(round(watchdog_s * 1e6)))
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    yield ear
    ear.close()
