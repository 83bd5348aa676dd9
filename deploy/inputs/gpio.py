"""Push buttons between a pin of the Pi's header and ground, by gpiozero.

    inputs = ["gpio"]
    [gpio.press]
    17 = "walking"

17 is GPIO17, which is pin 11 of the header; the pull-up is the Pi's own. The user must be in group
`gpio`, and the folder where budge is started writable: the library lgpio, which gpiozero reads pins
with, leaves a pipe there. Not yet seen on a board: gpiozero's own stand-in is all this has met.
"""

import logging
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from deploy.input import Presses
from deploy.output import Command
from deploy.settings import Settings, SettingsError

log = logging.getLogger(__name__)

BOUNCE_S = 0.02  # contacts chatter for some milliseconds, no thumb is as fast as this


class Input:
    """All the buttons. Raises SettingsError where there are none, or gpiozero is missing."""

    def __init__(self, settings: Settings) -> None:
        if find_spec("gpiozero") is None:
            raise SettingsError(
                "input 'gpio' needs gpiozero, which is not installed: `sudo ./deploy/install` adds"
                " it to the service, ./deploy/venv '.[gpio]' to a checkout"
            )
        self._press, self._hold = settings.gpio.press, settings.gpio.hold
        if not self._press and not self._hold:
            raise SettingsError(
                "input 'gpio' has no button, expected at least one in [gpio.press], such as"
                ' 17 = "walking"'
            )
        self._buttons: list[Any] = []

    def start(self, command: Command) -> None:
        """Begin; what cannot be opened is told, and the line goes on without it."""
        from gpiozero import Button

        try:
            _find_pins()
        except ImportError as error:
            log.warning("no button can be read: %s", error)
            return
        presses = Presses(self._press, self._hold, command)
        for number in sorted({*self._press, *self._hold}):
            try:
                button = Button(number, bounce_time=BOUNCE_S)
            except Exception as error:  # noqa: BLE001 whatever the library below gpiozero raises
                log.warning("no button at GPIO%d: %s", number, error)
                continue
            button.when_pressed = partial(_now, presses.down, number)
            button.when_released = partial(_now, presses.up, number)
            self._buttons.append(button)

    def close(self) -> None:
        for button in self._buttons:
            button.close()


def _find_pins() -> None:
    """Let gpiozero choose what it reads pins with. Raises ImportError that says what it tried."""
    from gpiozero import Device

    with warnings.catch_warnings(record=True) as tried:
        warnings.simplefilter("always")
        try:
            Device.ensure_pin_factory()
        except ImportError as error:
            reasons = "; ".join(str(warning.message) for warning in tried)
            raise ImportError(f"{error} {reasons}. See [gpio] in deploy/README.md") from error


def _now(take: Callable[[int, float], None], number: int) -> None:
    take(number, time.monotonic())
