"""uvicorn with bounds: a stranger on the network may waste a little of the Pi, and only a little.

No more than a few connections at once, of one address and in all (each costs a file, and the
journal needs files, too); and none of them may keep us waiting, neither for a request that never
ends nor with an answer that is never read.
"""

import asyncio
import contextlib
import socket
from time import monotonic

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_CONNECTIONS = 200
MAX_CONNECTIONS_PER_ADDRESS = 100
BACKLOG = 256  # also how many are accepted before any of them is refused
MAX_HEAD_BYTES = 16384
SEND_BYTES = 65536  # kept by the kernel for who does not read, for each connection
HEAD_S = 10.0  # for all of a request's head; and for going on after an answer
STALL_S = 20.0  # for an answer that is not read
SWEEP_S = 1.0
CLOSE_S = 2

# What makes a foreign page, or one of ours with something slipped in, harmless.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
HEADERS = [
    ("Content-Security-Policy", CONTENT_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


class Connection(H11Protocol):
    """One connection, which the sweep may end."""

    refused = False
    _late: object = None  # what it keeps us waiting with
    _since_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        open_ = [c.address for c in connections(self.server_state) if not c.refused]
        if len(open_) > MAX_CONNECTIONS or open_.count(self.address) > MAX_CONNECTIONS_PER_ADDRESS:
            self.refused = True
            transport.abort()

    @property
    def address(self) -> str | None:
        return self.client[0] if self.client else None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._late = None  # it reads, if slowly

    def sweep(self, now_s: float) -> None:
        """End it if it has kept us waiting for too long."""
        stalled = self.transport.is_closing() or self.flow.write_paused
        answered = self.cycle is None or self.cycle.response_complete
        late = (stalled, self.cycle) if stalled or answered else None
        if late is None or late != self._late:
            self._late, self._since_s = late, now_s
        elif now_s - self._since_s > (STALL_S if stalled else HEAD_S):
            self.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """Open the port. Raises OSError when it cannot be had."""
    six = ":" in host
    listener = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if six else socket.AF_INET,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    return listener


def connections(state: ServerState) -> list[Connection]:
    """List those that are open, ours included."""
    return [connection for connection in state.connections if isinstance(connection, Connection)]


async def serve(app: ASGIApp, listener: socket.socket, closing: asyncio.Event) -> None:
    """Serve until `closing` is set, then end within a few seconds."""
    server = Server(
        Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,  # the log is budge's own, and what strangers send does not fill it
            log_level="error",
            access_log=False,
            proxy_headers=False,  # else any process here could say it is another address
            server_header=False,
            headers=HEADERS,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            timeout_graceful_shutdown=CLOSE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not serving.done():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_S):
                await closing.wait()
                server.should_exit = True
                await asyncio.wait({serving})
        for connection in connections(server.server_state):
            if closing.is_set():
                connection.transport.abort()
            else:
                connection.sweep(monotonic())
    await serving
