"""What an input promises: a key goes down and up, and a command comes of it.

One input is one file in `inputs/`; the name in the settings is the name of the file, its table
there has the same name, and the file's class is called `Input`, made as `Input(settings)`. What a
key means is said alike for all of them:

    [<input>.press]            when it goes down; where it has a hold, too: when it comes up again
    <key> = "walking"          an activity: begin to teach it, or stop where it is being taught
    [<input>.hold]             when it comes up after a second or more
    <key> = "undo"             take back the last thing that was taught; "stop": stop teaching

A press is of the moment at which the key went down, however late it is read.
"""

import time
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

from deploy.gestures import RefusedError, checked_name
from deploy.output import Command

UNDO, STOP = "undo", "stop"
HOLD_S = 1.0

Key = TypeVar("Key")


class Input(Protocol):
    """Someone who has keys to press and nothing to show."""

    def start(self, command: Command) -> None:
        """Begin; called once. What is not there is told once, and is no error."""

    def close(self) -> None:
        """End, within a few seconds; also where it was never started."""


def check_meanings(place: str, meanings: Mapping[Key, str]) -> None:
    """Check what keys are to do, as `place` of the settings says it. Raises ValueError."""
    for key, meaning in meanings.items():
        if meaning in (UNDO, STOP):
            continue
        try:
            checked_name(meaning)
        except RefusedError as error:
            raise ValueError(
                f'`{key}` in {place}: {error}; expected an activity, "{STOP}" or "{UNDO}"'
            ) from error


class Presses(Generic[Key]):
    """Makes commands of keys that go down and come up; called from one thread."""

    def __init__(self, press: Mapping[Key, str], hold: Mapping[Key, str], command: Command) -> None:
        self._press = press
        self._hold = hold
        self._command = command
        self._since_s: dict[Key, float] = {}  # keys that are down and may become a hold

    def down(self, key: Key, at_s: float) -> None:
        """Take that `key` went down, in seconds of the monotonic clock."""
        if key in self._hold:
            self._since_s[key] = at_s
        elif key in self._press:
            self._give(self._press[key], at_s)

    def up(self, key: Key, at_s: float) -> None:
        """Take that `key` came up."""
        since_s = self._since_s.pop(key, None)
        if since_s is None:  # it was done already, or went down before we looked
            return
        if at_s - since_s >= HOLD_S:
            self._give(self._hold[key], since_s)
        elif key in self._press:
            self._give(self._press[key], since_s)

    def _give(self, meaning: str, at_s: float) -> None:
        age_ms = max(0, round((time.monotonic() - at_s) * 1e3))
        if meaning == UNDO:
            self._command("label/undo", b"")
        elif meaning == STOP:
            self._command("label/set", msgspec.json.encode({"end_age_ms": age_ms}))
        else:
            said = {"toggle": meaning, "start_age_ms": age_ms}
            self._command("label/set", msgspec.json.encode(said))
