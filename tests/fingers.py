"""A finger for every input: what it presses is as real as a machine without hands allows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import gpiozero
from gpiozero.pins.mock import MockFactory
from shutter import KEY_VOLUMEUP, NAME, Shutter

from deploy.input import Input
from deploy.inputs import gpio, keys
from deploy.settings import Gpio, Keys, Settings


class Finger(Protocol):
    """Rests on the one key of one input."""

    def settings(self, press: str | None, hold: str | None) -> Settings:
        """Let the key mean this; None: nothing."""

    def input(self, settings: Settings) -> Input: ...

    def press(self) -> None:
        """Press and let go."""

    def unplug(self) -> None:
        """Take away what the key is on, and put it back when the test is over."""

    def close(self) -> None: ...


class OnKeys:
    """On the big button of a Bluetooth shutter."""

    def __init__(self, folder: Path) -> None:
        self._shutter = Shutter(folder)
        self._shutter.wake()

    def settings(self, press: str | None, hold: str | None) -> Settings:
        return Settings(
            inputs=("keys",),
            keys=Keys(
                device=NAME,
                press={} if press is None else {"KEY_VOLUMEUP": press},
                hold={} if hold is None else {"KEY_VOLUMEUP": hold},
            ),
        )

    def input(self, settings: Settings) -> Input:
        return keys.Input(
            settings, sys_root=self._shutter.sys_root, dev_root=self._shutter.dev_root
        )

    def press(self) -> None:
        self._shutter.press(KEY_VOLUMEUP, for_s=0.01)

    def unplug(self) -> None:
        self._shutter.sleep()

    def close(self) -> None:
        self._shutter.let_go()


class OnGpio:
    """On a button between GPIO17 and ground."""

    def __init__(self, _folder: Path) -> None:
        gpiozero.Device.pin_factory = MockFactory()
        self.pin = gpiozero.Device.pin_factory.pin(17)
        self._taken: Any = None

    def settings(self, press: str | None, hold: str | None) -> Settings:
        return Settings(
            inputs=("gpio",),
            gpio=Gpio(
                press={} if press is None else {17: press}, hold={} if hold is None else {17: hold}
            ),
        )

    def input(self, settings: Settings) -> Input:
        return gpio.Input(settings)

    def press(self) -> None:
        self.pin.drive_low()
        self.pin.drive_high()

    def unplug(self) -> None:
        self._taken = gpiozero.LED(17)  # somebody else has the pin

    def close(self) -> None:
        if self._taken is not None:
            self._taken.close()
        gpiozero.Device.pin_factory.close()
        gpiozero.Device.pin_factory = None


FINGERS: Mapping[str, Callable[[Path], Finger]] = {"keys": OnKeys, "gpio": OnGpio}
