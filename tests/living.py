"""A service in this process, at an emulated sensor on a bus that can hang, and all that it says."""

import os
import threading
from collections.abc import Callable
from errno import ETIMEDOUT
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace

from deploy.messages import Health, Message, Response
from deploy.output import Command
from deploy.service import serve, warm_up
from deploy.settings import Labelling, Settings, Window
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chips import lsm6dsox, lsm9ds1
from firmware_bridge.clock import MonotonicClock
from firmware_bridge.emulated_chips import lsm6dsox as emulated_lsm6dsox
from firmware_bridge.emulated_chips import lsm9ds1 as emulated_lsm9ds1
from firmware_bridge.sources.i2c import Source
from firmware_bridge.wearer import Wearer

# What a chip keeps while nobody reads it: a quarter of a second, and more than two.
BRIEF, PATIENT = (lsm9ds1, emulated_lsm9ds1), (lsm6dsox, emulated_lsm6dsox)
PATIENCE_S = 20.0
# Short windows, so that tests need not wait.
BRISK = Settings(
    window=Window(length_s=1.0, hop_s=0.5), labelling=Labelling(guard_s=0.0), heartbeat_s=1.0
)


class HangingBus(EmulatedBus):
    """A bus whose transfers do not come back while it hangs, and then have timed out."""

    def __init__(self, twins: dict[int, Any]) -> None:
        super().__init__(twins)
        self._free = threading.Event()
        self._free.set()

    def hang(self) -> None:
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    def write(self, address: int, data: bytes) -> None:
        self._pass()
        super().write(address, data)

    def read(self, address: int, register: int, length: int) -> bytes:
        self._pass()
        return super().read(address, register, length)

    def _pass(self) -> None:
        if not self._free.is_set():
            assert self._free.wait(PATIENCE_S)
            raise OSError(ETIMEDOUT, os.strerror(ETIMEDOUT))


class Living:
    """Runs from `with` to its end; the wearer walks. It is an output of its own, too."""

    def __init__(self, folder: Path, *, chip: Any = BRIEF) -> None:
        self.heard: list[Message] = []
        self._settings = replace(BRISK, state_dir=str(folder))
        self._news = threading.Condition()
        self._stop = threading.Event()
        clock = MonotonicClock()
        self.wearer = Wearer([("walking", 600)], start_s=clock.now_s())
        driver, emulated = chip
        address = driver.ADDRESSES[0]
        self.bus = HangingBus({address: emulated.Twin(self.wearer.motion, clock, seed=1)})
        self._source = Source(driver.Driver(self.bus, address), clock)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ended: list[bool] = []

    def _serve(self) -> None:
        self._ended.append(serve(self._settings, self._source, [self], stop=self._stop))

    # -- as an output ----------------------------------------------------------------------------

    def start(self, command: Command) -> None:
        self._command = command

    def send(self, message: Message) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def close(self) -> None: ...

    # -- as whoever listens and presses ----------------------------------------------------------

    def of(self, kind: type[Message], after: int = 0) -> list[Any]:
        return [message for message in self.heard[after:] if isinstance(message, kind)]

    def wait_for(
        self, kind: type[Message], that: Callable[[Any], bool] = lambda _: True, after: int = 0
    ) -> Any:
        """Return the first message that fits, of those from number `after` on."""

        def found() -> list[Any]:
            return [message for message in self.of(kind, after) if that(message)]

        with self._news:
            assert self._news.wait_for(found, PATIENCE_S), self.heard[-5:]
            return found()[0]

    def ask(self, topic: str, payload: bytes) -> Response:
        """Give a command and return its own answer."""
        answers: list[Response] = []
        there = threading.Event()

        def answered(response: Response) -> None:
            answers.append(response)
            there.set()

        assert self._command(topic, payload, answered)
        assert there.wait(PATIENCE_S)
        return answers[0]

    def __enter__(self) -> Self:
        warm_up(self._settings)
        self._thread.start()
        self.wait_for(Health, lambda m: m.state == "connected")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bus.let_go()
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert self._ended or error is not None, "it ended with an error"
