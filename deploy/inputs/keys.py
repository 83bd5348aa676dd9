"""A Bluetooth shutter, a keyboard, a game pad: whatever Linux takes for a device with keys.

    inputs = ["keys"]
    [keys]
    device = "AB Shutter3"
    [keys.press]
    KEY_VOLUMEUP = "walking"

A shutter is paired with the Pi as a keyboard is (`bluetoothctl`, then `pair`, `trust` and `connect`
with its address). It sleeps after some minutes, which Linux sees as unplugging; the press that
wakes it may get lost, and nothing on it can show whether one was heard. A device that is no
shutter goes on doing what it did: a keyboard still types.

The user must be in group `input`. The name of a key that nothing is said of is told once, so that
it can be found by pressing it; once only, for who types a password should not find it in the log.
"""

import logging
from pathlib import Path

from deploy.evdev import PRESS, RELEASE, Key, Keys
from deploy.input import Presses
from deploy.key_names import CODES, name_of
from deploy.output import Command
from deploy.settings import Settings, SettingsError

log = logging.getLogger(__name__)


class Input:
    """One device, by its name. Raises SettingsError where none is named."""

    def __init__(
        self, settings: Settings, *, sys_root: Path = Path("/sys"), dev_root: Path = Path("/dev")
    ) -> None:
        table = settings.keys
        if table.device is None:
            raise SettingsError(
                "`device` in [keys] is missing, expected what Linux calls it, such as"
                ' "AB Shutter3": `cat /sys/class/input/event*/device/name` lists what is there'
            )
        self._press = {CODES[key]: meaning for key, meaning in table.press.items()}
        self._hold = {CODES[key]: meaning for key, meaning in table.hold.items()}
        self._told = False
        self._presses: Presses[int] | None = None
        self._keys = Keys(table.device, self._take, sys_root=sys_root, dev_root=dev_root)

    def start(self, command: Command) -> None:
        self._presses = Presses(self._press, self._hold, command)
        self._keys.start()

    def close(self) -> None:
        self._keys.close()

    def _take(self, key: Key) -> None:
        if self._presses is None:
            return
        if key.value == PRESS:
            self._presses.down(key.code, key.time_s)
            if not (self._told or key.code in self._press or key.code in self._hold):
                self._told = True
                log.info("%s means nothing in [keys.press] and [keys.hold]", name_of(key.code))
        elif key.value == RELEASE:
            self._presses.up(key.code, key.time_s)
