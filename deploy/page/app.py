"""What a page may ask for over HTTP, and what it is answered."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response as Reply
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from deploy.gestures import MAX_PAYLOAD_BYTES
from deploy.messages import RESPONSES, Response
from deploy.output import Command
from deploy.page.access import Token
from deploy.page.assets import assets
from deploy.page.events import Hub, Watcher
from deploy.page.gate import Gate, RefusedError
from deploy.page.metrics import CONTENT_TYPE, metrics
from deploy.page.transfer import Transfer

BODY_S = 10.0  # for all of a command
ANSWER_S = 10.0
LONG_ANSWER_S = 120.0
LONG = frozenset({"request/forget", "request/rebuild"})  # the journal or the model is made anew
NO_STORE = {"Cache-Control": "no-store"}


class Asker:
    """Puts commands to the line and waits for its answers."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._waiting: set[asyncio.Future[Response]] = set()

    async def ask(self, topic: str, payload: bytes) -> Reply:
        """Return the line's answer. Raises RefusedError when there is none in time."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()

        def deliver(response: Response) -> None:
            if not answer.done():
                answer.set_result(response)

        def answered(response: Response) -> None:  # by the line's thread
            with contextlib.suppress(RuntimeError):  # the loop has ended, nobody waits
                loop.call_soon_threadsafe(deliver, response)

        if not self._command(topic, payload, answered):
            raise RefusedError(
                503, "too many commands are waiting: try again", {"Retry-After": "1"}
            )
        self._waiting.add(answer)
        seconds = LONG_ANSWER_S if topic in LONG else ANSWER_S
        try:
            async with asyncio.timeout(seconds):
                response = await answer
        except TimeoutError as error:
            raise RefusedError(
                503,
                f"not confirmed within {seconds:.0f} s: it may still be done. With a transaction it"
                " can be sent again and is done once",
            ) from error
        finally:
            self._waiting.discard(answer)
        return _json(response, 200 if response.status == "ok" else 409)

    def end(self) -> None:
        """Let nobody wait any longer."""
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(RefusedError(503, "budge ends: not confirmed"))


class _EventStream(Reply):
    """An answer that goes on until one of the two ends it."""

    def __init__(self, hub: Hub, token: Token) -> None:
        super().__init__(media_type="text/event-stream", headers=NO_STORE)
        del self.headers["content-length"]
        self._hub = hub
        self._token = token

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        watcher = self._hub.join(self._token)
        listening = asyncio.create_task(_end_when_gone(watcher, receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (events := await watcher.next()) is not None:
                await send({"type": "http.response.body", "body": events, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            listening.cancel()
            self._hub.watchers.discard(watcher)


async def _end_when_gone(watcher: Watcher, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watcher.end()


class _Handlers:
    """What is done at each address."""

    def __init__(self, hub: Hub, gate: Gate, asker: Asker, transfer: Transfer) -> None:
        self._hub = hub
        self._gate = gate
        self._asker = asker
        self._transfer = transfer
        self._files = assets()

    async def file(self, request: Request) -> Reply:
        asset = self._files.get(request.path_params.get("name", "index.html"))
        if asset is None:
            raise HTTPException(404)
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}  # kept, and asked about
        if request.headers.get("if-none-match") == asset.etag:
            return Reply(status_code=304, headers=headers)
        return Reply(asset.content, headers=headers, media_type=asset.kind)

    async def events(self, request: Request) -> Reply:
        return _EventStream(self._hub, self._gate.admit(request, "read"))

    async def command(self, topic: str, request: Request) -> Reply:
        self._gate.admit(request, "full")
        return await self._asker.ask(topic, await _body(request))

    async def metrics(self, request: Request) -> Reply:
        self._gate.admit(request, "read")
        text = metrics(self._hub.states, len(self._hub.watchers))
        return Reply(text, headers=NO_STORE, media_type=CONTENT_TYPE)

    async def backup(self, request: Request) -> Reply:
        self._gate.admit(request, "full")
        return await self._transfer.backup()

    async def restore(self, request: Request) -> Reply:
        self._gate.admit(request, "full")
        await self._transfer.restore(request)
        return await self._asker.ask("request/restart", b"")


def make_app(hub: Hub, gate: Gate, asker: Asker, transfer: Transfer) -> Starlette:
    """Say which address is whose."""
    do = _Handlers(hub, gate, asker, transfer)
    commands = {topic: topic for topic in RESPONSES} | {"label": "label/set"}
    app = Starlette(
        routes=[
            Route("/", do.file),
            Route("/files/{name}", do.file),
            _route("GET", "/metrics", do.metrics),
            _route("GET", "/api/events", do.events),
            _route("GET", "/api/backup", do.backup),
            _route("POST", "/api/restore", do.restore),
            *(
                _route("POST", f"/api/{path}", partial(do.command, topic))
                for path, topic in commands.items()
            ),
        ],
        exception_handlers={RefusedError: _told, HTTPException: _told, 500: _told},
    )
    app.router.redirect_slashes = False  # they would lead to whatever `Host` says
    return app


def _route(method: str, path: str, handler: Callable[[Request], Awaitable[Reply]]) -> Route:
    route = Route(path, handler, methods=[method])
    route.methods = {method}  # without HEAD, which Starlette adds: a stream or a backup for nobody
    return route


async def _body(request: Request) -> bytes:
    """Read a command, which is small and comes at once. Raises RefusedError."""
    too_large = RefusedError(
        413, f"the body is too long, expected at most {MAX_PAYLOAD_BYTES} bytes"
    )
    if int(request.headers.get("content-length", 0)) > MAX_PAYLOAD_BYTES:
        raise too_large
    payload = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.stream():
                payload += piece
                if len(payload) > MAX_PAYLOAD_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise RefusedError(408, f"the body took more than {BODY_S:.0f} s") from error
    except ClientDisconnect as error:
        raise RefusedError(400, "the body never came") from error  # nobody is there to read it
    return bytes(payload)


async def _told(request: Request, error: Exception) -> Reply:
    """Say what went wrong, in the shape of every answer."""
    match error:
        case RefusedError():
            status, sentence, headers = error.status, str(error), error.headers
        case HTTPException(status_code=404):
            status, sentence, headers = 404, "there is nothing at this address", None
        case HTTPException():
            status, headers = error.status_code, error.headers
            sentence = f"{request.method} is not what this address takes"
        case _:
            status, headers = 500, None
            sentence = "budge made a mistake, its log says which: please report it"
    return _json(Response(status="error", data={}, error=sentence), status, headers)


def _json(response: Response, status: int, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(
        msgspec.json.encode(response),
        status,
        headers=NO_STORE | dict(headers or {}),
        media_type="application/json",
    )
