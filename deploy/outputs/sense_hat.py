"""The Sense HAT: its joystick teaches, its LEDs show what is happening and what is being taught.

    left, right   choose among the activities known, and nothing
    press         teach the chosen one; while something is being taught: stop
    hold, 1 s     take back the last; once a hold, and a hold is no press

    white         what is happening, the brighter the surer; a dim ? when unsure
    blue          the choice, for a few seconds; the dot at the bottom is its place in the list
    yellow        being taught; the bottom row grows at 1, 2, 4 … 128 windows learnt
    red, once     a command was refused, from wherever it came
    blue, once    something was taken back

On with "sense_hat" in `outputs` of the settings; the user needs the groups input and video. A stick
has no letters: an activity gets its name by the phone, by MQTT or by `budge label`, and can be
chosen here once a window of it is learnt. Not yet seen on a board: files are all this has met.

A frame is 17 ms of the bus that the IMU is on (led_matrix.py). So one is written only when the
picture has changed, and at most five times a second.
"""

import logging
import threading
import time
from math import inf
from pathlib import Path

import msgspec

from deploy.evdev import (
    BTN_DPAD_LEFT,
    BTN_DPAD_RIGHT,
    BTN_SELECT,
    HOLD,
    KEY_ENTER,
    KEY_LEFT,
    KEY_RIGHT,
    PRESS,
    Key,
    Keys,
)
from deploy.led_matrix import (
    DARK,
    LEVELS,
    OFF,
    ON,
    PICTURES,
    Colour,
    LedMatrix,
    encode,
    glyph,
    level,
)
from deploy.messages import NOT_LABELLING, UNSURE, Activity, Info, Label, Message, Response, Window
from deploy.output import Command
from deploy.score import Truth
from deploy.settings import Settings

log = logging.getLogger(__name__)

JOYSTICK = "Raspberry Pi Sense HAT Joystick"
# Raspberry Pi's kernel says arrows and Enter (rpisense-js.c, later sensehat-joystick.c), the
# mainline kernel's sensehat-joystick.c a game pad's buttons.
STEPS = {KEY_LEFT: -1, BTN_DPAD_LEFT: -1, KEY_RIGHT: 1, BTN_DPAD_RIGHT: 1}
PRESSED = (KEY_ENTER, BTN_SELECT)
HOLD_S = 1.0
CHOICE_S = 4.0
FLASH_S = 0.4  # two frames: one that is due at the next does not miss it
FRAME_S = 0.2  # from one frame to the next, at least
RETRY_S = 5.0  # between two looks for a matrix that is not there
CLOSE_S = 2.0

BLUE = Colour(0, 14, 28)
YELLOW = Colour(28, 20, 0)
DIM_YELLOW = Colour(10, 8, 0)
RED = Colour(28, 0, 0)
REST = "-"  # of the bottom row: windows that are still to come


class Scene:
    """What was heard and chosen, and the picture of it. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.taught: str | None = None
        self.chosen: str | None = None
        self._windows = 0
        self._activity = UNSURE
        self._level = LEVELS[0]
        self._choices: list[str | None] = [None]
        self._choice_until_s = -inf
        self._flash = RED
        self._flash_until_s = -inf

    def hear(self, message: Message, now_s: float) -> None:
        match message:
            case Info():
                self._choices = [None, *sorted(message.activities, key=str.casefold)]
                if self.chosen not in self._choices:
                    self.chosen = None
            case Activity() | Window():
                self._activity = message.activity
                unsure = message.activity == UNSURE
                self._level = LEVELS[0] if unsure else level(message.confidence)
            case Label():
                self.taught = None if message.label == NOT_LABELLING else message.label
                self._windows = message.windows
            case Response() if message.status != "ok":
                self._flash, self._flash_until_s = RED, now_s + FLASH_S
            case Response() if message.data.get("action") == "undone":
                self._flash, self._flash_until_s = BLUE, now_s + FLASH_S

    def choose(self, step: int, now_s: float) -> None:
        """Go left or right in the ring of choices."""
        place = self._choices.index(self.chosen)
        self.chosen = self._choices[(place + step) % len(self._choices)]
        self._choice_until_s = now_s + CHOICE_S

    def done_choosing(self) -> None:
        self._choice_until_s = -inf

    def picture(self, now_s: float) -> tuple[bytes, float]:
        """Return the frame, and until when it holds if nothing else is heard."""
        if now_s < self._flash_until_s:
            return encode([ON * 8] * 8, {ON: self._flash}), self._flash_until_s
        if now_s < self._choice_until_s:
            return self._choice(), self._choice_until_s
        if self.taught is not None:
            learnt = min(8, max(0, self._windows).bit_length())
            bottom = ON * learnt + REST * (8 - learnt)
            return encode([*glyph(self.taught), bottom], {ON: YELLOW, REST: DIM_YELLOW}), inf
        white = Colour(self._level, self._level, self._level)
        shown = glyph("?" if self._activity == UNSURE else self._activity)
        return encode([*shown, OFF * 8], {ON: white}), inf

    def _choice(self) -> bytes:
        if self.chosen is None:
            return encode([*PICTURES["nothing"], OFF * 8], {ON: BLUE})
        place = (self._choices.index(self.chosen) - 1) % 8
        bottom = OFF * place + ON + OFF * (7 - place)
        return encode([*glyph(self.chosen), bottom], {ON: BLUE})


class Output:
    """One HAT. What it lacks is told once and waited for; the rest goes on."""

    def __init__(
        self,
        settings: Settings,  # noqa: ARG002 nothing of it is for us
        _truth: Truth | None,
        *,
        sys_root: Path = Path("/sys"),
        dev_root: Path = Path("/dev"),
    ) -> None:
        self._scene = Scene()
        self._lock = threading.Lock()  # of the scene: the line, the keys and the painter meet there
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._matrix = LedMatrix(sys_root, dev_root)
        self._matrix_missed = False
        self._keys = Keys(JOYSTICK, self._key, sys_root=sys_root, dev_root=dev_root)
        self._painter = threading.Thread(target=self._paint, name="budge-leds", daemon=True)
        self._command: Command | None = None
        self._pressed_s: float | None = None  # None: not pressed, or held so long that it is told

    def start(self, command: Command) -> None:
        """Begin to listen to the stick and to draw."""
        self._command = command
        self._painter.start()
        self._keys.start()

    def send(self, message: Message) -> None:
        with self._lock:
            self._scene.hear(message, time.monotonic())
        self._changed.set()

    def close(self) -> None:
        """Leave the matrix dark."""
        self._keys.close()
        self._closed.set()
        self._changed.set()
        if self._painter.ident is not None:  # started
            self._painter.join(CLOSE_S)

    # -- the stick -------------------------------------------------------------------------------

    def _key(self, key: Key) -> None:
        if key.code in STEPS and key.value == PRESS:
            with self._lock:
                self._scene.choose(STEPS[key.code], time.monotonic())
            self._changed.set()
        elif key.code in PRESSED and key.value == PRESS:
            self._pressed_s = key.time_s
        elif key.code in PRESSED and self._pressed_s is not None:
            if key.value != HOLD:  # let go
                self._pressed_s = None
                self._give("label/set", self._start_or_stop())
            elif key.time_s - self._pressed_s >= HOLD_S:
                self._pressed_s = None
                self._give("label/undo", b"")

    def _start_or_stop(self) -> bytes:
        """Write the command for a press; with nothing chosen it is a stop, which may be refused."""
        with self._lock:
            self._scene.done_choosing()
            taught, chosen = self._scene.taught, self._scene.chosen
        self._changed.set()
        if taught is not None or chosen is None:
            return b""
        return msgspec.json.encode({"activity": chosen})  # a bare name could look like JSON

    def _give(self, topic: str, payload: bytes) -> None:
        if self._command is not None:
            self._command(topic, payload)

    # -- the matrix ------------------------------------------------------------------------------

    def _paint(self) -> None:
        """Write the newest picture whenever it is another; what came in between is left out."""
        shown: bytes | None = None
        while not self._closed.is_set():
            self._changed.clear()
            now_s = time.monotonic()
            with self._lock:
                frame, until_s = self._scene.picture(now_s)
            if frame == shown:
                self._changed.wait(None if until_s == inf else max(0.0, until_s - now_s))
            elif self._show(frame):
                shown = frame
                self._closed.wait(FRAME_S)
            else:
                shown = None
                self._closed.wait(RETRY_S)
        if shown is not None:
            self._show(DARK)
        self._matrix.close()

    def _show(self, frame: bytes) -> bool:
        try:
            self._matrix.show(frame)
        except OSError as error:
            if not self._matrix_missed:
                log.warning("no LED matrix: %s; waiting for it", error.strerror)
            self._matrix_missed = True
            return False
        if self._matrix_missed:
            log.info("the LED matrix is there")
        self._matrix_missed = False
        return True
