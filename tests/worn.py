"""A running budge: its wearer does what the test says, its page hangs on a cable that can be cut.

As a program it is that budge; each line of its input is what the wearer does from then on: an
activity, or a plan in JSON.
"""

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
from mosquitto import free_port
from msgspec.structs import replace
from numpy.typing import NDArray
from page import wait_until

from deploy.page.access import Access, Role
from deploy.sensing import open_emulated
from deploy.service import open_outputs, serve, warm_up
from deploy.settings import I2c, Labelling, Mqtt, Page, Settings, Window
from firmware_bridge.clock import MonotonicClock
from firmware_bridge.wearer import MOVEMENTS, Wearer

DEVICE = "worn"
PATIENCE_S = 20.0
START_S = 60.0  # it may have its kernels to compile, on a machine that is busy
SOON_S = 1.0  # a plan begins so long after it is said
PROJECT = Path(__file__).resolve().parent.parent


def settings_of(folder: Path, device: str, broker_port: int, page_port: int) -> Settings:
    """Short windows, so that tests need not wait; and a chip that keeps rows for seconds."""
    return Settings(
        device=device,
        state_dir=str(folder / "state"),
        source="emulated",
        outputs=("mqtt", "page"),
        i2c=I2c(chip="lsm6dsox"),
        window=Window(length_s=1.28, hop_s=0.64),
        labelling=Labelling(guard_s=0.3),
        mqtt=Mqtt(port=broker_port),
        page=Page(host="127.0.0.1", port=page_port),
    )


class Obedient(Wearer):
    """Does one thing until it is told to do another."""

    def __init__(self) -> None:
        super().__init__([("resting", 1e6)])
        self._each = {name: Wearer([(name, 1e6)], seed=1) for name in MOVEMENTS}
        self.obey("resting")

    def obey(self, said: str) -> None:
        self._as = self._each.get(said) or Wearer(**json.loads(said))

    def motion(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._as.motion(t_s)


class Cable:
    """Carries TCP connections to `port`, from a port of its own, while it is whole."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = True
        self._carried: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._begin(self._accept)

    def cut(self) -> None:
        """End all connections, and every new one at once."""
        self._whole = False
        for end in [*self._carried]:
            _end(end)

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self.cut()
        _end(self._listener)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                self._begin(self._connect, near)

    def _connect(self, near: socket.socket) -> None:
        with suppress(OSError), near:
            if not self._whole:
                return
            with socket.create_connection(("127.0.0.1", self._to)) as far:
                self._carried |= {near, far}
                back = self._begin(_carry, far, near)
                _carry(near, far)
                back.join()
                self._carried -= {near, far}

    def _begin(self, work: Callable[..., None], *given: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=given)
        self._threads.append(thread)
        thread.start()
        return thread


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _end(source)
    _end(sink)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


class Worn:
    """The service as a process, and the two ends of it that a test holds."""

    def __init__(self, folder: Path, broker_port: int, device: str = DEVICE, **given: Any) -> None:
        """`given`: settings that are not to be the tests' own."""
        self._folder = folder
        self.port = free_port()  # the page's, without the cable
        tests_own = settings_of(folder, device, broker_port, self.port)
        self._settings = replace(tests_own, **given)
        self._access = Access(folder / "state")
        self._process: subprocess.Popen[str] | None = None
        self._doing = "resting"
        self.cable = Cable(self.port)

    def start(self) -> None:
        with (self._folder / "worn.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, msgspec.json.encode(self._settings)],
                stdin=subprocess.PIPE,
                stderr=log,
                cwd=PROJECT,
                text=True,
            )
        self.do(self._doing)

    def do(self, activity: str) -> None:
        """Let the wearer do this from now on."""
        self._doing = activity
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(activity + "\n")
        self._process.stdin.flush()

    def follow(self, plan: list[tuple[str, float]], seed: int) -> tuple[float, Wearer]:
        """Let the wearer follow a plan; returns when it begins, and one who does the very same."""
        start_s = time.monotonic() + SOON_S
        self.do(json.dumps({"plan": plan, "seed": seed, "start_s": start_s}))
        return start_s, Wearer(plan, seed, start_s=start_s)

    def stop(self) -> None:
        """As systemd does it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self.ended()

    def ended(self) -> None:
        """Wait until it has ended."""
        if self._process is not None:
            self._process.communicate(timeout=PATIENCE_S)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.cable.port}/"

    def pair(self, role: Role = "full") -> str:
        """Pair somebody; returns the link."""
        _, secret = self._access.add(role)
        return f"{self.address}#token={secret}"

    def __enter__(self) -> Self:
        (self._folder / "state").mkdir()
        self.start()
        try:
            wait_until(self._answers, START_S)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.cable.close()


def _listen(wearer: Obedient) -> None:
    for line in sys.stdin:
        wearer.obey(line.strip())


def _main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    warm_up(settings)
    wearer = Obedient()
    threading.Thread(target=_listen, args=(wearer,), daemon=True).start()
    with ExitStack() as stack:
        source = open_emulated(settings, stack, wearer, MonotonicClock())
        serve(settings, source, open_outputs(settings))


if __name__ == "__main__":
    _main()
