"""Brokers that want something (a password, TLS, a certificate, websockets), and one of our own.

mosquitto of Debian 12 has two traps of its own: with nothing but a websockets listener it says
"Unable to start any listening sockets", and such a listener heeds its address only with
`socket_domain ipv4`.
"""

import contextlib
import socket
import struct
import subprocess
import threading
from pathlib import Path
from typing import Self

from mosquitto import Mosquitto, free_port

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14
RECEIVE_MAXIMUM = 0x21  # a property
UNACCEPTABLE_LEVEL = 1
CLEAN_START = 2
RECEIVE_MAXIMUM_EXCEEDED = 0x93  # a reason


def configured(folder: Path, *lines: str) -> Mosquitto:
    """Make a mosquitto whose plain listener is followed by these lines of its configuration."""
    broker = Mosquitto(folder)
    # As root it would become mosquitto's own user, who may not read our files.
    head = f"user root\nlistener {broker.port} 127.0.0.1\n"
    (folder / "mosquitto.conf").write_text(head + "\n".join(lines) + "\n")
    return broker


def with_password(folder: Path) -> Mosquitto:
    """Make a broker that lets nobody in: its list of passwords is empty."""
    (folder / "passwords").write_text("")
    return configured(folder, "allow_anonymous false", f"password_file {folder / 'passwords'}")


def with_websockets(folder: Path) -> tuple[Mosquitto, int]:
    """Make a broker with a second listener; returns its port, too."""
    port = free_port()
    return configured(
        folder,
        "allow_anonymous true",
        f"listener {port} 127.0.0.1",
        "socket_domain ipv4",
        "protocol websockets",
    ), port


def with_tls(
    folder: Path, *, certificates: bool = False, websockets: bool = False
) -> tuple[Mosquitto, int]:
    """Make a broker with a TLS listener for `authority(folder)`; returns its port, too.

    `certificates`: those who come must show one.
    """
    made_by(folder, "broker")
    port = free_port()
    lines = [
        "allow_anonymous true",
        f"listener {port} 127.0.0.1",
        f"cafile {folder / 'ca.crt'}",
        f"certfile {folder / 'broker.crt'}",
        f"keyfile {folder / 'broker.key'}",
    ]
    if certificates:
        lines += ["require_certificate true"]
    if websockets:
        lines += ["socket_domain ipv4", "protocol websockets"]
    return configured(folder, *lines), port


def authority(folder: Path) -> Path:
    """Make somebody who signs certificates, as people do it at home; returns its own."""
    _openssl("-subj", "/CN=home", "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    return folder / "ca.crt"


def made_by(folder: Path, name: str, address: str = "127.0.0.1") -> None:
    """Make NAME.crt and NAME.key, signed by the folder's authority."""
    _openssl(
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}"),
        *("-addext", "basicConstraints=critical,CA:false"),
        *("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"),
        *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
    )


def _openssl(*arguments: str | Path) -> None:
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2")
    subprocess.run(["openssl", "req", "-x509", *kind, *arguments], check=True, capture_output=True)


class StrictBroker:
    """A small MQTT 5 broker that confirms when nothing more comes, and hangs up on too much."""

    def __init__(self, receive_maximum: int = 20, *, level: int = 5) -> None:
        """`level`: of the protocol; 4 is MQTT 3.1.1."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._receive_maximum = receive_maximum
        self._level = level
        self.most = 0  # messages that were not confirmed at one moment
        self.topics: list[str] = []  # of the messages, in order
        self.clean: list[bool] = []  # of each connection: whether it began a new session
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(0.05)
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        waiting = list[bytes]()
        while True:
            try:
                kind, flags, body = self._packet(client)
            except TimeoutError:
                for mid in waiting:
                    self._send(client, PUBACK, mid)
                waiting.clear()
                continue
            if kind == PUBLISH:
                (length,) = struct.unpack_from("!H", body)
                self.topics.append(body[2 : 2 + length].decode())
                if flags & 0b110:
                    waiting.append(body[2 + length : 4 + length])
                self.most = max(self.most, len(waiting))
                if len(waiting) > self._receive_maximum:
                    self._send(client, DISCONNECT, bytes([RECEIVE_MAXIMUM_EXCEEDED, 0]))
                    return
            elif not self._answer(client, kind, body):
                return

    def _answer(self, client: socket.socket, kind: int, body: bytes) -> bool:
        """Return whether the connection goes on."""
        if kind == CONNECT:
            if body[6] > self._level:  # behind the name, "MQTT"
                self._send(client, CONNACK, bytes([0, UNACCEPTABLE_LEVEL]))
                return False
            self.clean.append(bool(body[7] & CLEAN_START))
            properties = struct.pack("!BH", RECEIVE_MAXIMUM, self._receive_maximum)
            self._send(client, CONNACK, bytes([0, 0, len(properties)]) + properties)
        elif kind == SUBSCRIBE:
            topics = body.count(b"budge/") + body.count(b"homeassistant/")
            self._send(client, SUBACK, body[:2] + b"\0" + b"\1" * topics)
        elif kind == PINGREQ:
            self._send(client, PINGRESP, b"")
        return kind != DISCONNECT

    def _packet(self, client: socket.socket) -> tuple[int, int, bytes]:
        head = client.recv(1)
        if not head:
            raise ConnectionError
        client.settimeout(5)  # what has begun comes to its end
        try:
            length = shift = 0
            while True:
                (byte,) = self._exactly(client, 1)
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            return head[0] >> 4, head[0] & 0xF, self._exactly(client, length)
        finally:
            client.settimeout(0.05)

    @staticmethod
    def _exactly(client: socket.socket, length: int) -> bytes:
        found = b""
        while len(found) < length:
            if not (more := client.recv(length - len(found))):
                raise ConnectionError
            found += more
        return found

    @staticmethod
    def _send(client: socket.socket, kind: int, body: bytes) -> None:
        assert len(body) < 128
        client.sendall(bytes([kind << 4, len(body)]) + body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)
