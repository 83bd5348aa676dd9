"""The phone page: every message to whoever watches, commands from whoever is paired.

A thread of its own with a loop of its own. The line only puts messages into that loop; what a slow
phone has not taken waits there, within bounds (`deploy/page/events.py`).
"""

import asyncio
import contextlib
import errno
import logging
import threading
from collections.abc import Callable
from typing import TypeVarTuple

from deploy.messages import Message, Trace
from deploy.output import Command
from deploy.page.access import Access
from deploy.page.app import Asker, make_app
from deploy.page.events import Hub
from deploy.page.gate import Gate
from deploy.page.server import listen, serve
from deploy.page.transfer import Transfer
from deploy.score import Truth
from deploy.settings import Settings

log = logging.getLogger(__name__)

Given = TypeVarTuple("Given")

RETRY_S = 5.0  # between two tries for the port
LOOK_S = 1.0  # how soon a token that was taken back cuts its streams off
BEAT_S = 15
CLOSE_S = 4.0

# What helps where the port cannot be had: the key of [page], and what else.
NOT_OURS = ("host", ', such as "0.0.0.0", which is every address that this machine has')
OTHERWISE = {
    errno.EADDRINUSE: ("port", ", or end who has it"),
    errno.EACCES: ("port", ", from 1024 on"),
}


class Output:
    """One port."""

    def __init__(self, settings: Settings, _truth: Truth | None = None) -> None:
        self._settings = settings
        self._hub = Hub()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="budge-page", daemon=True)

    def start(self, command: Command) -> None:
        """Listen, now or whenever the port is free."""
        self._command = command
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def send(self, message: Message) -> None:
        self._soon(self._hub.take, message)

    def show(self, trace: Trace) -> None:
        if self._hub.watchers:
            self._soon(self._hub.take, trace)

    def close(self) -> None:
        """End all streams and free the port."""
        if self._thread.ident is not None:  # started
            self._soon(self._closing.set)
            self._thread.join(CLOSE_S)

    def _soon(self, call: Callable[[*Given], object], *given: *Given) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call, *given)

    # -- our thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            log.exception("the page has ended, the line goes on without it: please report this")
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        state = self._settings.state_path()
        gate = Gate(Access(state))
        asker = Asker(self._command)
        transfer = Transfer(state, self._settings.device)
        transfer.clear()
        app = make_app(self._hub, gate, asker, transfer)
        watching = asyncio.create_task(self._watch(gate, asker))
        page, told = self._settings.page, False
        while not self._closing.is_set():
            try:
                listener = listen(page.host, page.port)
            except OSError as error:
                if not told:
                    log.warning(
                        "the page cannot listen on %s, port %d (%s): name another `%s` in [page]%s;"
                        " going on without the page, trying again",
                        page.host,
                        page.port,
                        (error.strerror or str(error)).partition(" (")[0],
                        *OTHERWISE.get(error.errno or 0, NOT_OURS),
                    )
                told = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._closing.wait()
                continue
            hint = "" if gate.tokens() else ", nobody is paired: `budge pair` shows a phone the way"
            log.info("the page is at port %d%s", page.port, hint)
            await serve(app, listener, self._closing)
        await watching

    async def _watch(self, gate: Gate, asker: Asker) -> None:
        """Cut off who may no longer watch, and let the others know that we are there."""
        looks = 0
        while not self._closing.is_set():
            self._hub.keep_only(gate.tokens())
            looks += 1
            if looks % (BEAT_S // LOOK_S) == 0:
                self._hub.beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._closing.wait()
        self._hub.end()
        asker.end()
