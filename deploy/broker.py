"""An MQTT broker inside the process, for the demo alone: it knows no MQTT 5 and keeps nothing."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

START_S = 10.0


class BrokerError(RuntimeError):
    """There is no broker inside; the sentence says what to do."""


@contextmanager
def embedded_broker(port: int) -> Iterator[int]:
    """Run a broker on loopback; yields its port: any free one where `port` is taken.

    Raises BrokerError.
    """
    if find_spec("amqtt") is None:
        raise BrokerError(
            "the demo's own broker is not installed: ./deploy/venv '.[demo]'"
            " installs it, or name another broker with --broker HOST:PORT"
        )
    end = threading.Event()
    for wanted in (port, 0, 0):  # between the look at a port and the broker's own bind it can go
        port = _free(wanted)
        ready, failed = threading.Event(), list[BaseException]()
        thread = threading.Thread(
            target=_run, args=(port, ready, end, failed), name="budge-broker", daemon=True
        )
        thread.start()
        if not ready.wait(START_S) or not failed:
            break
    if failed or not ready.is_set():
        raise BrokerError(
            f"the demo's own broker did not start on port {port} ({failed or 'no answer'}):"
            " name another broker with --broker HOST:PORT"
        )
    try:
        yield port
    finally:
        end.set()
        thread.join(5)


def _run(
    port: int, ready: threading.Event, end: threading.Event, failed: list[BaseException]
) -> None:
    from amqtt.broker import Broker

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    async def live() -> None:
        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
                "plugins": {
                    "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
                },
            }
        )
        await broker.start()
        ready.set()
        await asyncio.to_thread(end.wait)
        await broker.shutdown()

    try:
        asyncio.run(live())
    except Exception as error:  # noqa: BLE001  the thread that waits raises it
        failed.append(error)
        ready.set()


def _free(port: int) -> int:
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BrokerError("no free port on 127.0.0.1: name another broker with --broker HOST:PORT")
