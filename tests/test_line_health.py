"""A sensor that goes away and comes back: said at once; what it does not see is not claimed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from deploy import pipeline
from deploy.messages import Activity, Health, Message, Transition
from deploy.output import Command
from deploy.service import serve, warm_up
from deploy.settings import Settings
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chips import lsm9ds1 as driver
from firmware_bridge.clock import MonotonicClock
from firmware_bridge.emulated_chips import lsm9ds1 as emulated
from firmware_bridge.sources.i2c import Source
from firmware_bridge.wearer import Wearer

ADDRESS = driver.ADDRESSES[0]


class Listener:
    """An output that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.command: Command | None = None
        self._news = threading.Condition()

    def start(self, command: Command) -> None:
        self.command = command

    def send(self, message: Message) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def close(self) -> None: ...

    def wait_for(self, that: Callable[[Message], bool], after: int = 0) -> Message:
        """Return the first message that fits, of those from number `after` on."""

        def found() -> list[Message]:
            return [message for message in self.heard[after:] if that(message)]

        with self._news:
            assert self._news.wait_for(found, 20), self.heard[-5:]
            return found()[0]


def told_as(state: str) -> Callable[[Message], bool]:
    return lambda message: isinstance(message, Health) and message.state == state


def is_walking(message: Message) -> bool:
    return isinstance(message, Activity) and message.activity == "walking"


def test_an_unplugged_sensor_is_a_problem_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SILENCE_US", 3_000_000)
    settings = Settings(state_dir=str(tmp_path))
    settings = replace(settings, window=replace(settings.window, length_s=1.0, hop_s=0.5))
    warm_up(settings)
    clock = MonotonicClock()
    wearer = Wearer([("walking", 600)], start_s=clock.now_s())
    bus = EmulatedBus({ADDRESS: emulated.Twin(wearer.motion, clock, seed=1)})
    source = Source(driver.Driver(bus, ADDRESS), clock)
    listener, stop = Listener(), threading.Event()
    service = threading.Thread(
        target=serve, args=(settings, source, [listener]), kwargs={"stop": stop}
    )
    service.start()
    try:
        well = listener.wait_for(told_as("connected"))
        assert listener.command is not None
        listener.command("label/set", b"walking")
        listener.wait_for(is_walking)
        known = len(listener.heard)
        bus.unplug(ADDRESS)
        unplugged = listener.wait_for(told_as("gap"), known)
        unsure = listener.wait_for(lambda m: isinstance(m, Activity), known)
        time.sleep(1)
        gone = len(listener.heard)
        bus.plug(ADDRESS)
        again = listener.wait_for(told_as("connected"), gone)
        walking = listener.wait_for(is_walking, gone)
    finally:
        stop.set()
        service.join(20)

    assert isinstance(well, Health)
    assert (well.problem, well.gaps, well.cause) == (False, 0, None)
    assert isinstance(unplugged, Health)
    assert unplugged.problem
    assert "Remote I/O error" in (unplugged.cause or "")
    assert isinstance(unsure, Activity)
    assert (unsure.activity, unsure.confidence) == ("unsure", 0.0)
    assert isinstance(again, Health)
    assert not again.problem
    assert again.gaps == 1
    assert again.errors >= 1
    assert again.lost > 100
    assert np.isclose(again.rate_hz, 119, rtol=0.02)
    assert isinstance(walking, Activity)
    changes = [m.event_type for m in listener.heard if isinstance(m, Transition)]
    assert changes == ["started", "ended"] * (len(changes) // 2)
