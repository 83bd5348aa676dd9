"""`…/health` says when an activity stops looking like itself, and what to do about it."""

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted import Listener, Script, Step, pause, press

from deploy.health import EVERY_S, LOOK_S, Monitor
from deploy.messages import Health
from deploy.service import serve
from deploy.settings import Settings

ADVICE = (
    "{}: looks less like what was taught than it did. Is the sensor worn another way? Put it back,"
    " or teach this again. Was it something new? Teach that"
)


class Clock:
    """The monotonic clock, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)

    def passes(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def look(monitor: Monitor, *drifting: str) -> Health | None:
    return monitor.look(rows_lost=0, waiting=0, drifting=drifting)


@pytest.fixture(name="monitor")
def _monitor(clock: Clock) -> Monitor:
    monitor = Monitor(Script([], Listener(), 3, 0))
    first = look(monitor)
    assert first is not None
    assert (first.drifting, first.advice, first.problem) == ((), None, False)
    clock.passes(LOOK_S)
    assert look(monitor) is None  # nothing is new
    return monitor


def test_a_drift_is_said_at_once_with_what_to_do_and_warned_of_once(
    monitor: Monitor, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    said = []
    for seconds in (LOOK_S, LOOK_S, EVERY_S):
        clock.passes(seconds)
        said.append(look(monitor, "walking"))

    assert said[0] is not None
    assert said[0].drifting == ("walking",)
    assert said[0].advice == ADVICE.format("walking")
    assert not said[0].problem  # of the sensor, which is well
    assert said[1] is None
    assert said[2] is not None
    assert said[2].advice == said[0].advice
    assert caplog.messages == [ADVICE.format("walking")]


def test_another_drift_is_another_warning_and_its_end_is_said(
    monitor: Monitor, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    said = []
    for drifting in (["sitting"], ["sitting", "walking"], ["walking"], []):
        clock.passes(LOOK_S)
        said.append(look(monitor, *drifting))

    assert [health.advice for health in said if health is not None] == [
        ADVICE.format("sitting"),
        ADVICE.format("sitting, walking"),
        ADVICE.format("walking"),
        None,
    ]
    assert caplog.messages == [ADVICE.format("sitting"), ADVICE.format("walking")]


class Loud:
    """A generator of rows three times as strong."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(9)

    def normal(self, mean: float, spread: float, shape: tuple[int, int]) -> NDArray[np.float64]:
        return self._rng.normal(mean, 3.0 * spread, shape)


def test_the_line_says_it_until_it_is_taught_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("deploy.health.LOOK_S", 0.0)
    listener = Listener()

    def told(*drifting: str) -> None:
        while listener.of(Health)[-1].drifting != drifting:
            pause()

    steps: list[Step] = [press("shaking"), 3000, press("stop"), *[64] * 60, told]
    script = Script(steps, listener, 3, 0)
    steps += [lambda: setattr(script, "_rng", Loud()), *[64] * 60, lambda: told("shaking")]
    steps += [press("shaking"), 3000, press("stop"), told]
    with caplog.at_level(logging.WARNING):
        serve(Settings(state_dir=str(tmp_path)), script, [listener])

    assert caplog.messages.count(ADVICE.format("shaking")) == 1
