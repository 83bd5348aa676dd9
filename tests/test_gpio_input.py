"""Buttons on the Pi's header, on gpiozero's own stand-in for its pins."""

import logging
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from budge import ROOT
from fingers import OnGpio
from packaging.requirements import Requirement

import deploy.inputs.gpio as module
from deploy.inputs.gpio import BOUNCE_S, Input
from deploy.messages import Response
from deploy.settings import Gpio, Settings, SettingsError, read

gpiozero = pytest.importorskip("gpiozero", reason="needs gpiozero: ./deploy/venv '.[gpio]'")

TWO = Settings(gpio=Gpio(press={17: "walking", 27: "running"}, hold={22: "undo"}))


@pytest.fixture(name="finger")
def _finger(tmp_path: Path) -> Iterator[OnGpio]:
    finger = OnGpio(tmp_path)
    yield finger
    finger.close()


class Given:
    def __init__(self) -> None:
        self.commands: list[tuple[str, bytes]] = []

    def __call__(
        self, topic: str, payload: bytes, answered: Callable[[Response], None] | None = None, /
    ) -> bool:
        self.commands.append((topic, payload))
        return True


def test_each_button_is_pulled_up_and_its_chatter_is_ignored(finger: OnGpio) -> None:
    made = Input(TWO)
    made.start(Given())
    pins = [gpiozero.Device.pin_factory.pin(number) for number in (17, 22, 27)]
    found = [(pin.function, pin.pull, pin.bounce) for pin in pins]
    made.close()

    assert found == [("input", "up", BOUNCE_S)] * 3


def test_two_buttons_do_not_mix_up_their_presses(
    finger: OnGpio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.input.HOLD_S", 0.0)
    given, made = Given(), Input(TWO)
    made.start(given)
    pins = [gpiozero.Device.pin_factory.pin(number) for number in (17, 22, 27)]
    for pin in pins:
        pin.drive_low()
    for pin in pins:
        pin.drive_high()
    made.close()

    assert [payload.split(b",")[0] for _, payload in given.commands] == [
        b'{"toggle":"walking"',
        b'{"toggle":"running"',
        b"",
    ]


def test_a_pin_that_somebody_else_has_is_told_and_the_others_go_on(
    finger: OnGpio, caplog: pytest.LogCaptureFixture
) -> None:
    taken = gpiozero.LED(27)
    given, made = Given(), Input(TWO)
    made.start(given)
    finger.press()
    made.close()
    taken.close()
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]

    assert len(given.commands) == 1
    assert len(warnings) == 1
    assert warnings[0].startswith("no button at GPIO27: pin GPIO27 is already in use by ")


def test_where_no_pin_can_be_read_it_is_told_why_and_the_line_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "nothing")
    made = Input(TWO)
    made.start(Given())
    made.close()

    (warning,) = [r.getMessage() for r in caplog.records]
    assert warning.startswith("no button can be read: Unable to find pin factory 'nothing'")
    assert warning.endswith("See [gpio] in deploy/README.md")


def test_without_gpiozero_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _name: None)

    with pytest.raises(
        SettingsError, match=r"gpiozero, .*: `sudo ./deploy/install` .* '.\[gpio\]'"
    ):
        Input(TWO)


@pytest.mark.parametrize(
    ("python", "machine", "package"),
    [
        ("3.11", "aarch64", "lgpio"),  # Raspberry Pi OS bookworm
        ("3.11", "armv7l", "lgpio"),
        ("3.13", "aarch64", "adafruit-lgpio"),  # trixie
        ("3.13", "armv7l", None),  # no wheels
        ("3.13", "x86_64", None),
    ],
)
def test_the_extra_names_what_has_wheels_for_a_pi(
    python: str, machine: str, package: str | None
) -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    place = {"python_version": python, "platform_machine": machine}
    wanted = [
        one.name
        for one in map(Requirement, extra["optional-dependencies"]["gpio"])
        if one.marker is None or one.marker.evaluate(place)
    ]

    assert wanted == ["gpiozero", *([package] if package else [])]


def test_without_a_button_it_says_how_one_is_written() -> None:
    with pytest.raises(SettingsError, match=r'expected at least one in \[gpio.press\], .*17 = "wa'):
        Input(Settings(inputs=("gpio",)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[gpio.press]\n40 = "walking"',
            r"`40` in \[gpio.press\] is no pin for a button, expected 4 to 27, as in GPIO17",
        ),
        ('[gpio.hold]\n3 = "undo"', r"`3` in \[gpio.hold\] is no pin for a button"),
        ('[gpio.press]\nGPIO17 = "walking"', r"Expected `int`, got `str` - at .*gpio.press"),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "budge.toml"
    path.write_text(text)

    with pytest.raises(SettingsError, match=sentence):
        read(path)
