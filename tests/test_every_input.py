"""What every file in `deploy/inputs/` promises, and a new one the moment it exists."""

import importlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from inspect import isfunction, signature
from pathlib import Path
from typing import Any

import pytest
from fingers import FINGERS, Finger
from hat import until
from msgspec.structs import replace
from rig import names

import deploy.inputs
from deploy.input import Input
from deploy.messages import NOT_LABELLING, Info, Label, Message, Response, Taught
from deploy.output import Command
from deploy.sensing import open_source
from deploy.service import open_inputs, serve, warm_up
from deploy.settings import I2c, Settings, SettingsError, read

NEVER_S, ALWAYS_S = (
    3600.0,
    0.0,
)  # so long must be held: what is pressed here is a hold never, always


class Given:
    """The commands that an input gave."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Any]] = []

    def __call__(
        self, topic: str, payload: bytes, answered: Callable[[Response], None] | None = None, /
    ) -> bool:
        self.commands.append((topic, json.loads(payload) if payload else None))
        return True

    def next(self) -> tuple[str, Any]:
        until(lambda: self.commands, "a command comes")
        return self.commands.pop(0)


@pytest.fixture(name="name", params=sorted(names(deploy.inputs)))
def _name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="finger")
def _finger(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Finger]:
    monkeypatch.setattr("deploy.evdev.RETRY_S", 0.01)
    assert name in FINGERS, f"input {name} needs a finger in tests/fingers.py"
    finger = FINGERS[name](tmp_path / "hardware")
    yield finger
    finger.close()


@pytest.fixture(name="given")
def _given() -> Given:
    return Given()


@pytest.fixture(name="begun")
def _begun(finger: Finger, given: Given) -> Iterator[Callable[[str | None, str | None], None]]:
    with ExitStack() as stack:

        def begin(press: str | None, hold: str | None) -> None:
            made = finger.input(finger.settings(press, hold))
            stack.callback(made.close)
            made.start(given)

        yield begin


Begin = Callable[[str | None, str | None], None]


def test_it_keeps_the_contract(name: str) -> None:
    kind = importlib.import_module(f"deploy.inputs.{name}").Input
    for method, promised in vars(Input).items():
        if isfunction(promised) and not method.startswith("_"):
            assert list(signature(getattr(kind, method)).parameters) == list(
                signature(promised).parameters
            ), method


def test_its_settings_are_those_that_it_shows(name: str, tmp_path: Path) -> None:
    text = importlib.import_module(f"deploy.inputs.{name}").__doc__
    shown = re.findall(r"^    (.+)$", text or "", re.MULTILINE)
    path = tmp_path / "budge.toml"
    path.write_text("\n".join(shown))
    settings = read(path)

    assert settings.inputs == (name,)
    assert list(getattr(settings, name).press.values()) == ["walking"]
    assert getattr(settings, name).hold == {}
    assert len(open_inputs(settings)) == 1


def test_it_is_off_unless_the_settings_name_it(name: str) -> None:
    assert name not in Settings().inputs
    with pytest.raises(SettingsError, match=f"'{name}s' is not known, expected one of .*'{name}'"):
        open_inputs(Settings(inputs=(f"{name}s",)))


@pytest.mark.parametrize("place", ["press", "hold"])
@pytest.mark.parametrize("meaning", ["none", "", "a/b", "x" * 65])
def test_what_cannot_be_an_activity_is_refused_when_the_settings_are_read(
    finger: Finger, name: str, place: str, meaning: str
) -> None:
    with pytest.raises(ValueError, match=rf"in \[{name}.{place}\]: .*, \"stop\" or \"undo\""):
        finger.settings(**{"press": None, "hold": None, place: meaning})


def test_a_press_toggles_the_activity_from_the_moment_it_was_pressed(
    finger: Finger, given: Given, begun: Begin
) -> None:
    begun('{"x"', None)  # a name that looks like JSON is still one
    for _ in range(2):
        before_s = time.monotonic()
        finger.press()
        topic, payload = given.next()

        assert (topic, payload["toggle"]) == ("label/set", '{"x"')
        assert payload.keys() == {"toggle", "start_age_ms"}
        assert 0 <= payload["start_age_ms"] <= 1e3 * (time.monotonic() - before_s) + 1


@pytest.mark.parametrize(
    ("meaning", "wanted"), [("undo", ("label/undo", [])), ("stop", ("label/set", ["end_age_ms"]))]
)
def test_two_words_mean_something_else(
    finger: Finger, given: Given, begun: Begin, meaning: str, wanted: tuple[str, list[str]]
) -> None:
    begun(meaning, None)
    finger.press()
    topic, payload = given.next()

    assert (topic, list(payload or ())) == wanted


@pytest.mark.parametrize("hold_s", [NEVER_S, ALWAYS_S])
def test_a_key_with_a_hold_is_one_or_the_other_when_it_is_let_go(
    finger: Finger, given: Given, begun: Begin, hold_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.input.HOLD_S", hold_s)
    begun("walking", "undo")
    finger.press()
    finger.press()

    wanted = "label/set" if hold_s == NEVER_S else "label/undo"
    assert [given.next()[0], given.next()[0]] == [wanted] * 2
    assert given.commands == []


def test_a_key_can_mean_something_only_when_it_is_held(
    finger: Finger, given: Given, begun: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.input.HOLD_S", ALWAYS_S)
    begun(None, "walking")
    finger.press()

    assert given.next()[1]["toggle"] == "walking"


def test_what_is_not_there_is_one_warning_and_no_error(
    finger: Finger, begun: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    finger.unplug()
    begun("walking", "undo")
    until(lambda: caplog.records, "it is told")

    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_it_ends_without_a_trace_whether_it_was_started_or_not(
    finger: Finger, given: Given
) -> None:
    settings = finger.settings("walking", None)

    def there() -> set[object]:
        return {*threading.enumerate(), *Path("/proc/self/fd").iterdir()}

    before = there()
    finger.input(settings).close()
    assert there() - before == set()

    made = finger.input(settings)
    made.start(given)
    finger.press()
    given.next()
    made.close()
    finger.press()

    assert there() - before == set()
    assert given.commands == []


# On the real line


class Ear:
    """An output: what a phone would hear."""

    def __init__(self) -> None:
        self.said: list[Message] = []

    def start(self, command: Command) -> None:
        pass

    def send(self, message: Message) -> None:
        self.said.append(message)

    def close(self) -> None:
        pass

    def last(self, kind: type[Message]) -> Any:
        return next((m for m in reversed(self.said) if isinstance(m, kind)), None)


def test_it_teaches_stops_and_takes_back_on_the_real_line(
    finger: Finger, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.input.HOLD_S", NEVER_S)
    settings = replace(
        finger.settings("walking", "undo"),
        device="test",
        state_dir=str(tmp_path / "state"),
        i2c=I2c(bus="emulated"),
    )
    warm_up(settings)
    ear, stop = Ear(), threading.Event()
    with ExitStack() as stack:
        line = threading.Thread(
            target=serve,
            args=(settings, open_source(settings, stack), [ear]),
            kwargs={"inputs": [finger.input(settings)], "stop": stop},
        )
        line.start()
        try:
            until(lambda: ear.last(Label), "the line runs")
            finger.press()
            until(lambda: ear.last(Label).windows >= 2, "it is being taught")
            (begun,) = ear.last(Taught).stretches
            finger.press()
            until(lambda: ear.last(Label).label == NOT_LABELLING, "it is stopped")
            taught = ear.last(Info).activities
            monkeypatch.setattr("deploy.input.HOLD_S", ALWAYS_S)
            finger.press()
            until(lambda: ear.last(Response).data.get("action") == "undone", "it is taken back")
        finally:
            stop.set()
            line.join(20)

    assert not line.is_alive()
    assert {r.status for r in ear.said if isinstance(r, Response)} == {"ok"}
    assert (begun.activity, begun.origin) == ("walking", name)
    assert taught["walking"] >= 2
    assert ear.last(Info).activities == {}
