"""A Bluetooth shutter as the button: how it is named, what it wakes up to, what is told of it."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hat import HOLD, PRESS, RELEASE, until
from shutter import KEY_ENTER, KEY_VOLUMEUP, NAME, Shutter

from deploy.inputs.keys import Input
from deploy.messages import Response
from deploy.settings import Keys, Settings, SettingsError, read

SETTINGS = Settings(
    keys=Keys(device=NAME, press={"KEY_VOLUMEUP": "walking"}, hold={"KEY_VOLUMEUP": "undo"})
)


@pytest.fixture(name="shutter")
def _shutter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shutter]:
    monkeypatch.setattr("deploy.evdev.RETRY_S", 0.01)
    shutter = Shutter(tmp_path)
    yield shutter
    shutter.let_go()


@pytest.fixture(name="given")
def _given(shutter: Shutter) -> Iterator[list[tuple[str, Any]]]:
    given: list[tuple[str, Any]] = []

    def command(
        topic: str, payload: bytes, _answered: Callable[[Response], None] | None = None, /
    ) -> bool:
        given.append((topic, json.loads(payload) if payload else None))
        return True

    made = Input(SETTINGS, sys_root=shutter.sys_root, dev_root=shutter.dev_root)
    made.start(command)
    yield given
    made.close()


def test_a_shutter_that_sleeps_is_waited_for_and_its_first_press_counts(
    shutter: Shutter, given: list[tuple[str, Any]]
) -> None:
    for _ in range(2):
        shutter.wake()
        shutter.press(KEY_VOLUMEUP, ago_s=3.0)
        until(lambda: given, "the press is heard")
        ((topic, payload),) = given
        given.clear()
        shutter.sleep()

        assert (topic, payload["toggle"]) == ("label/set", "walking")
        assert payload["start_age_ms"] >= 3000


def test_a_key_that_repeats_while_it_is_held_is_one_hold(
    shutter: Shutter, given: list[tuple[str, Any]]
) -> None:
    shutter.wake()
    for value, at_s in [(PRESS, 50.0), (HOLD, 50.25), (HOLD, 50.5), (HOLD, 51.1), (RELEASE, 51.2)]:
        shutter.key(KEY_VOLUMEUP, value, at_s)
    shutter.press(KEY_VOLUMEUP)
    until(lambda: len(given) == 2, "both are heard")

    assert [topic for topic, _ in given] == ["label/undo", "label/set"]


def test_the_name_of_a_key_that_means_nothing_is_told_once(
    shutter: Shutter, given: list[tuple[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shutter.wake()
    until(lambda: caplog.text.count("is there: ") == 2, "both halves are there")
    shutter.press(KEY_ENTER)
    until(lambda: "KEY_ENTER" in caplog.text, "it is told")
    shutter.press(KEY_ENTER)
    shutter.press(KEY_VOLUMEUP)
    until(lambda: given, "the other key is heard")

    assert caplog.text.count("KEY_ENTER means nothing in [keys.press] and [keys.hold]") == 1
    assert caplog.text.count("means nothing") == 1


def test_without_a_device_it_says_how_to_find_one() -> None:
    with pytest.raises(SettingsError, match=r'expected what Linux calls it, such as "AB Shutter3"'):
        Input(Settings(inputs=("keys",)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[keys.press]\nKEY_VOLUMUP = "walking"',
            r"unknown key `KEY_VOLUMUP` in \[keys.press\]: did you mean `KEY_VOLUMEUP`\?",
        ),
        ('[keys.hold]\nenter = "undo"', r"unknown key `enter` in \[keys.hold\]: .* `KEY_ENTER`\?"),
        ('[keys]\ndevice = " "', r"`device` in \[keys\] is empty, expected what Linux calls"),
        ('[keys]\ndevise = "x"', r"unknown key `devise` in \[keys\]: did you mean `device`"),
        ("[keys.press]\nKEY_A = 1", r"Expected `str`, got `int` - at `keys.press\[...\]`"),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "budge.toml"
    path.write_text(text)

    with pytest.raises(SettingsError, match=sentence):
        read(path)
