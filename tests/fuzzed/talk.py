"""Commands, over MQTT and HTTP."""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.types import Message

from deploy.gestures import RefusedError, parse
from deploy.messages import RESPONSES, Response
from deploy.page.access import Access
from deploy.page.app import Asker, make_app
from deploy.page.events import Hub
from deploy.page.gate import Gate
from deploy.page.transfer import Transfer
from fuzzed.target import DEEP, NOW_US, Target, workshop

TOPICS = [*RESPONSES, "label/get"]


def command(data: bytes) -> None:
    topic = TOPICS[data[0] % len(TOPICS)] if data else TOPICS[0]
    parse(topic, data[1:], NOW_US, lambda wall_us: wall_us - 5_000_000)


def commands() -> list[bytes]:
    payloads: list[Any] = [
        {"activity": "walking", "last_s": 30},
        {"activity": "walking", "start_age_ms": 9000, "end_age_ms": 10.5, "transaction": "a1"},
        {"activity": "caf\u00e9", "start": "2027-01-15T07:59:00Z", "end": "2027-01-15T08:00:00Z"},
        {"toggle": "walking", "sent": "2027-01-15T08:00:00Z"},
        {"from": "walk", "to": "walking"},
        {"learning": True},
        {"threshold_percent": 35},
        {},
    ]
    texts = [json.dumps(payload).encode() for payload in payloads]
    texts += [b"walking", b"stop", b"", b"ON", b"35.5", b"[]", b'"walking"']
    return [bytes([topic]) + text for topic in range(len(TOPICS)) for text in texts]


class Phone:
    """Asks the page's app, without a network: what a request becomes is not ours but h11's."""

    def __init__(self) -> None:
        access = Access(workshop() / "paired")
        _, self._secret = access.add("full", "fuzz")
        transfer = Transfer(workshop() / "paired", "fuzz")
        self._app = make_app(Hub(), Gate(access), Asker(self._command), transfer)
        self._loop = asyncio.new_event_loop()

    def _command(
        self,
        topic: str,
        payload: bytes,
        answered: Callable[[Response], None] | None = None,
        /,
    ) -> bool:
        assert answered is not None
        try:
            parse(topic, payload, NOW_US, lambda wall_us: wall_us)
        except RefusedError as error:
            answered(Response(status="error", data={}, error=str(error)))
        else:
            answered(Response(status="ok", data={}))
        return True

    def close(self) -> None:
        self._loop.close()

    def ask(self, data: bytes) -> None:
        """Method, path, headers, body: a line each but the last."""
        method, path, headers, body = (data.split(b"\n", 3) + [b""] * 4)[:4]
        words = [
            (name, value) for name, _, value in (h.partition(b":") for h in headers.split(b"|"))
        ]
        token = b"Bearer " + self._secret.encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method.decode("latin-1"),
            "scheme": "http",
            "path": path.decode(errors="replace"),
            "raw_path": path,
            "query_string": b"",
            "headers": [
                (name.lower(), token if value == b"TOKEN" else value)
                for name, value in words
                if name.lower() != b"content-length"
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[Message] = []
        bodies: list[Message] = [
            {"type": "http.request", "body": body, "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Message:
            return bodies.pop(0) if len(bodies) > 1 else bodies[0]

        async def send(message: Message) -> None:
            sent.append(message)

        if path.startswith(b"/api/backup"):
            return  # which reads nothing
        self._loop.run_until_complete(self._app(scope, receive, send))
        assert sent[0]["status"] < 500 or sent[0]["status"] == 507, sent


@cache
def phone() -> Phone:
    return Phone()


def request(data: bytes) -> None:
    phone().ask(data)


def requests() -> list[bytes]:
    headers = b"host:pi|authorization:TOKEN|origin:http://pi"
    asked = [
        b"POST\n/api/" + topic.encode() + b"\n" + headers + b"\n" + payload
        for topic in RESPONSES
        for payload in (b"walking", b'{"activity":"walking","last_s":30}')
    ]
    asked += [
        b"GET\n" + path + b"\n" + headers + b"\n"
        for path in (b"/", b"/files/page.js", b"/metrics", b"/api/events")
    ]
    return [*asked, b"POST\n/api/restore\n" + headers + b"\nPK\5\6" + bytes(18)]


TARGETS = {
    "commands": Target(
        command,
        (RefusedError,),
        commands,
        (
            DEEP,
            b'"activity":',
            b'"last_s":',
            b'"start":',
            b'"sent":',
            b"1e999",
            b"9999-12-31T23:59:59Z",
        ),
    ),
    "http": Target(request, (), requests, (b"\nPOST", b"authorization:TOKEN", b"|host:")),
}
