"""The page's server with a line that a test can script, and clients as rude as a test wants."""

import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from mosquitto import free_port
from msgspec.structs import replace

from deploy.messages import (
    RESPONSES,
    Activity,
    Controls,
    Health,
    Info,
    Label,
    Message,
    Response,
    Scores,
    Taught,
    Transition,
    Window,
)
from deploy.outputs.page import Output
from deploy.page.access import Access, Role
from deploy.settings import Settings

PATIENCE_S = 20.0
HERE = "127.0.0.1"
ELSEWHERE = "127.0.0.2"  # another address of this machine


def wait_until(true: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    give_up = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.01)


class Line:
    """Takes commands as the line does: at once, answered by another thread."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, bytes]] = []
        self.full = False
        self.mute = False
        self._to_answer: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._answer, daemon=True).start()

    def __call__(
        self, topic: str, payload: bytes, answered: Callable[[Response], None] | None = None, /
    ) -> bool:
        if self.full:
            return False
        self.commands.append((topic, payload))
        if answered is not None and not self.mute:
            done = RESPONSES.get(topic, Response)(status="ok", data={"action": topic})
            self._to_answer.put(lambda: answered(done))
        return True

    def _answer(self) -> None:
        while True:
            self._to_answer.get()()


class Served:
    """The output on a free port, and whoever is paired with it."""

    def __init__(self, folder: Path, **page: Any) -> None:
        settings = Settings(device="pi", state_dir=str(folder))
        page = {"host": HERE, "port": free_port()} | page
        self.settings = replace(settings, page=replace(settings.page, **page))
        self.port = self.settings.page.port
        self.access = Access(folder)
        self.line = Line()
        self.output = Output(self.settings)

    def pair(self, role: Role = "full", name: str | None = None) -> str:
        return self.access.add(role, name)[1]

    def __enter__(self) -> Self:
        self.output.start(self.line)
        wait_until(self._listens)
        return self

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.settings.page.host, self.port), 1).close()
        except OSError:
            return False
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.output.close()
        assert not self.output._thread.is_alive()


class Answer:
    """What came back."""

    def __init__(self, raw: http.client.HTTPResponse) -> None:
        self.status = raw.status
        self.headers = raw.headers
        self.body = raw.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int,
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: Any = None,
    headers: dict[str, str] | None = None,
    address: str = HERE,
) -> Answer:
    """Send one request from one of this machine's addresses."""
    connection = http.client.HTTPConnection(
        HERE, port, timeout=PATIENCE_S, source_address=(address, 0)
    )
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request(method, path, body, given | (headers or {}))
        return Answer(connection.getresponse())
    finally:
        connection.close()


def raw(port: int, sent: bytes, address: str = HERE) -> bytes:
    """Send bytes as they are and read until the other side has enough."""
    with connected(port, address) as connection:
        connection.sendall(sent)
        return read_all(connection)


def connected(port: int, address: str = HERE) -> socket.socket:
    return socket.create_connection((HERE, port), PATIENCE_S, source_address=(address, 0))


def answer_to(connection: socket.socket) -> Answer:
    """Read one answer, whatever else was sent or not."""
    with http.client.HTTPResponse(connection) as response:
        response.begin()
        return Answer(response)


def held(port: int) -> int:
    """Count the connections that the server at this port holds, as the kernel knows them."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [(line.split()[1], line.split()[3]) for line in lines]  # local address, state
    open_ = ("01", "08")  # established, close-wait: include/net/tcp_states.h
    return sum(end.endswith(f":{port:04X}") and state in open_ for end, state in ends)


def read_all(connection: socket.socket) -> bytes:
    got = b""
    try:
        while piece := connection.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


class Events:
    """An open stream of events."""

    def __init__(self, port: int, token: str, address: str = HERE) -> None:
        self._connection = http.client.HTTPConnection(
            HERE, port, timeout=PATIENCE_S, source_address=(address, 0)
        )
        self._connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {token}"})
        self.raw = self._connection.getresponse()
        assert self.raw.status == 200, self.raw.read()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Give each event; ends when the stream does. Comments are left out."""
        topic = ""
        while line := self.raw.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                topic = value
            elif name == "data":
                yield topic, json.loads(value)

    def until(self, topic: str) -> list[tuple[str, Any]]:
        """Give all events up to and with the first of this topic."""
        got = []
        for event in self:
            got.append(event)
            if event[0] == topic:
                return got
        raise AssertionError(f"the stream ended without {topic}: {got}")

    def close(self) -> None:
        self.raw.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def page_settings(folder: Path) -> tuple[Path, int]:
    """Write settings for a service on the emulated bus; returns their file and the page's port."""
    config, port = folder / "budge.toml", free_port()
    config.write_text(
        'device = "pi"\noutputs = ["page"]\n[i2c]\nbus = "emulated"\n'
        f'[page]\nhost = "{HERE}"\nport = {port}\n'
    )
    return config, port


def transition(number: int = 0) -> Transition:
    return Transition(
        id=str(number),
        event_type="started",
        activity="walking",
        start="",
        end=None,
        duration_s=None,
    )


def window(number: int, activity: str = "walking", *, length_s: float = 2.0) -> Window:
    """One a second, named by the second it ends in."""
    return Window(
        activity=activity,
        confidence=0.5 + number % 2 / 2,
        novelty=0.0,
        start=f"{number - length_s:g}",
        ts=f"{number}",
        start_s=number - length_s,
        end_s=float(number),
    )


State = TypeVar("State", bound=Message)

STATES: list[Message] = [
    Activity(activity="walking", confidence=0.9, since="", ts="", novelty=0.1, probabilities={}),
    Label(label="walking", since=None, windows=3),
    Taught(stretches=(), undo=None),
    Scores(activities={}),
    Health(
        problem=False,
        state="connected",
        since="",
        cause=None,
        rate_hz=50.0,
        gaps=0,
        errors=0,
        lost=0,
        waiting=0,
        uptime_s=1.0,
        memory_mb=1.0,
        temperature_c=None,
    ),
    Controls(learning=True, threshold_percent=40.0),
    Info(
        version="1",
        device="pi",
        source="i2c",
        started="",
        rate_hz=50.0,
        channels=6,
        window_s=2.56,
        hop_s=1.28,
        classifier="discriminant",
        activities={"walking": 3},
        model="",
    ),
]


def state_of(kind: type[State]) -> State:
    """Return the state of this kind."""
    return next(message for message in STATES if isinstance(message, kind))
