"""From the bytes of a command to what the user meant, or a sentence that says why not.

label/set    walking                                         start now
             (empty), stop, not labelling                    stop now
             {"activity":"walking","last_s":30}              that was walking
             {"activity":"walking","start_age_ms":9000}      started 9 s ago: a late press
             {"end_age_ms":9000}                             stopped 9 s ago
             {"activity":…,"start_age_ms":…,"end_age_ms":…}  a press that waited for the Wi-Fi
             {"activity":…,"start":"…Z","end":"…Z"}          a stretch, in our own time stamps
             {"toggle":"walking"}                            start, or stop if it is being taught
label/undo   (anything)                                      take back the last

learning/set    ON, OFF, {"learning":false}                  whether anything can be taught
threshold/set   35, {"threshold_percent":35}                 what is less sure is `unsure`
request/rename  {"from":"walk","to":"walking"}               another name, or a merger
request/forget  {"activity":"walking"}                       as if it had never been taught
                {"start":"…Z","end":"…Z"}                    nor whatever was taught then
request/rebuild (anything)                                   teach the model anew

JSON may say when it was "sent". What says `now` and was sent long ago is refused: it waited in
somebody's queue, and now is another moment.
"""

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from deploy.messages import NOT_LABELLING, UNSURE

MAX_PAYLOAD_BYTES = 4096
MAX_NAME_CHARACTERS = 64
# Home Assistant and our own topics give these words a meaning of their own.
RESERVED = frozenset({"none", "unknown", "unavailable", UNSURE, NOT_LABELLING, "stop"})
MAX_AGE_S = 366 * 86400.0
STALE_S = 30.0


class Start(NamedTuple):
    activity: str
    at_us: int


class Stop(NamedTuple):
    at_us: int


class Span(NamedTuple):
    """From start to end, this was it."""

    activity: str
    start_us: int
    end_us: int


class Toggle(NamedTuple):
    activity: str
    at_us: int


class Undo(NamedTuple):
    pass


class Rename(NamedTuple):
    old: str
    new: str


class Forget(NamedTuple):
    activity: str


class ForgetSpan(NamedTuple):
    start_us: int
    end_us: int


class SetLearning(NamedTuple):
    on: bool


class SetThreshold(NamedTuple):
    percent: float


class Rebuild(NamedTuple):
    pass


class Restart(NamedTuple):
    pass


Teaching = Start | Stop | Span | Toggle | Undo | Rename | Forget | ForgetSpan  # for Labelling
Gesture = Teaching | SetLearning | SetThreshold | Rebuild | Restart


class RefusedError(ValueError):
    """A command that cannot be followed: what was found, what was expected."""

    def __init__(self, sentence: str, transaction: str | None = None) -> None:
        super().__init__(sentence)
        self.transaction = transaction


class _Json(msgspec.Struct, forbid_unknown_fields=True):
    transaction: str | None = None
    sent: datetime | None = None


class _LabelJson(_Json, forbid_unknown_fields=True):
    activity: str | None = None
    toggle: str | None = None
    last_s: float | None = None
    start_age_ms: float | None = None
    end_age_ms: float | None = None
    start: datetime | None = None
    end: datetime | None = None


class _RenameJson(
    _Json, forbid_unknown_fields=True, kw_only=True, rename={"old": "from", "new": "to"}
):
    old: str
    new: str


class _ForgetJson(_Json, forbid_unknown_fields=True):
    activity: str | None = None
    start: datetime | None = None
    end: datetime | None = None


class _LearningJson(_Json, forbid_unknown_fields=True, kw_only=True):
    learning: bool


class _ThresholdJson(_Json, forbid_unknown_fields=True, kw_only=True):
    threshold_percent: float


# What a command's JSON may say, and what else may come.
SHAPES: dict[str, tuple[type[_Json], str]] = {
    "label/set": (_LabelJson, 'a name, or an object such as {"activity":"walking","last_s":30}'),
    "label/undo": (_LabelJson, "anything else"),
    "learning/set": (_LearningJson, 'ON, OFF, or an object such as {"learning":false}'),
    "threshold/set": (_ThresholdJson, 'a number, or an object such as {"threshold_percent":35}'),
    "request/rename": (_RenameJson, 'an object such as {"from":"walk","to":"walking"}'),
    "request/forget": (_ForgetJson, 'an object such as {"activity":"walking"}'),
    "request/rebuild": (_Json, "an object, or nothing"),
    "request/restart": (_Json, "an object, or nothing"),
}


def parse(
    topic: str, payload: bytes, now_us: int, at_wall: Callable[[int], int]
) -> tuple[Gesture, str | None]:
    """Read a command that arrived at `now_us`; returns the gesture and its transaction.

    `at_wall` gives the journal time at which our wall clock showed so many microseconds since
    1970. Raises RefusedError.
    """
    if topic not in SHAPES:
        raise RefusedError(f"nothing listens on {topic}: use {', '.join(SHAPES)}")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise RefusedError(
            f"the payload has {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}"
        )
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"the payload is not UTF-8: byte 0x{payload[error.start]:02x} at {error.start}"
        ) from error
    command = _read(topic, text)
    try:
        if command.sent is not None:
            _check_fresh(command, now_us - _journal_us(command.sent, at_wall))
        return _gesture(topic, command, now_us, at_wall), command.transaction
    except RefusedError as error:
        raise RefusedError(str(error), command.transaction) from error


def _read(topic: str, text: str) -> _Json:
    """Read JSON, or the bare words of switches, sliders and dashboards."""
    shape, example = SHAPES[topic]
    if text[:1] not in ("{", "[", '"'):
        if shape is _LabelJson:
            return _LabelJson(activity=text or None)
        if shape is _Json:
            return _Json()
        if shape is _LearningJson and text.casefold() in ("on", "off"):
            return _LearningJson(learning=text.casefold() == "on")
        if shape is _ThresholdJson and re.fullmatch(r"\d{1,3}(\.\d*)?", text):
            return _ThresholdJson(threshold_percent=float(text))
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.DecodeError as error:
        raise RefusedError(
            f"the payload is not a JSON command ({error}): expected {example}"
        ) from error


def _check_fresh(command: _Json, age_us: int) -> None:
    dated = isinstance(command, _LabelJson) and (
        command.start is not None
        or command.start_age_ms is not None
        or command.end_age_ms is not None
    )
    if age_us > STALE_S * 1e6 and not dated:
        raise RefusedError(
            f"this was sent {age_us / 1e6:.0f} s ago, expected at most {STALE_S:.0f} s: do it"
            " again, or say when it was, by start_age_ms and end_age_ms"
        )


def _gesture(topic: str, command: _Json, now_us: int, at_wall: Callable[[int], int]) -> Gesture:
    gesture: Gesture
    match command:
        case _LabelJson() if topic == "label/undo":
            gesture = Undo()
        case _LabelJson(toggle=str() as activity):
            gesture = _toggle(activity, command, now_us)
        case _LabelJson():
            gesture = _label(command, now_us, at_wall)
        case _LearningJson():
            gesture = SetLearning(command.learning)
        case _ThresholdJson():
            gesture = _threshold(command.threshold_percent)
        case _RenameJson():
            gesture = Rename(checked_name(command.old), checked_name(command.new))
        case _ForgetJson():
            gesture = _forget(command, now_us, at_wall)
        case _:
            gesture = Restart() if topic == "request/restart" else Rebuild()
    return gesture


def _toggle(activity: str, command: _LabelJson, now_us: int) -> Toggle:
    others = command.activity, command.last_s, command.end_age_ms, command.start, command.end
    if any(other is not None for other in others):
        raise RefusedError("beside toggle only start_age_ms can be said")
    age_s = (command.start_age_ms or 0) / 1e3
    return Toggle(checked_name(activity), _ago(now_us, age_s, "start_age_ms"))


def _forget(command: _ForgetJson, now_us: int, at_wall: Callable[[int], int]) -> Gesture:
    match command.activity, command.start, command.end:
        case str() as activity, None, None:
            return Forget(checked_name(activity))
        case None, datetime() as start, datetime() as end:
            start_us, end_us = (_journal_us(moment, at_wall) for moment in (start, end))
            return ForgetSpan(*_ordered(start_us, min(end_us, now_us)))
    raise RefusedError("say what to forget in one way: activity, or start and end")


def _threshold(percent: float) -> SetThreshold:
    if not 0 <= percent <= 100:
        raise RefusedError(f"threshold_percent is {percent:g}, expected 0 to 100")
    return SetThreshold(percent)


def _label(command: _LabelJson, now_us: int, at_wall: Callable[[int], int]) -> Gesture:
    spans = [
        command.last_s is not None,
        command.start_age_ms is not None or command.end_age_ms is not None,
        command.start is not None or command.end is not None,
    ]
    if sum(spans) > 1:
        raise RefusedError("say when in one way: last_s, or ages, or start and end")
    # An empty payload is a stop, an empty name in JSON a mistake.
    stop = command.activity is None or command.activity.casefold() in ("stop", NOT_LABELLING)
    if stop and command.last_s is None and command.start_age_ms is None and command.start is None:
        if command.end is not None:
            return Stop(min(_recent_us(command.end, now_us, at_wall), now_us))
        return Stop(_ago(now_us, (command.end_age_ms or 0) / 1e3, "end_age_ms"))
    activity = checked_name(command.activity or "")
    if command.last_s is not None:
        if not command.last_s > 0:
            raise RefusedError(f"last_s is {command.last_s}, expected more than 0 seconds")
        return Span(activity, _ago(now_us, command.last_s, "last_s"), now_us)
    if command.start is not None or command.end is not None:
        if command.start is None or command.end is None:
            raise RefusedError("a stretch needs both start and end")
        start, end = (_recent_us(t, now_us, at_wall) for t in (command.start, command.end))
        return Span(activity, *_ordered(start, min(end, now_us)))
    start = _ago(now_us, (command.start_age_ms or 0) / 1e3, "start_age_ms")
    if command.end_age_ms is None:
        return Start(activity, start)
    if command.start_age_ms is None:
        raise RefusedError("end_age_ms with an activity needs start_age_ms, too")
    end = _ago(now_us, command.end_age_ms / 1e3, "end_age_ms")
    return Span(activity, *_ordered(start, end))


def _ago(now_us: int, seconds: float, field: str) -> int:
    if not (math.isfinite(seconds) and 0 <= seconds <= MAX_AGE_S):
        raise RefusedError(f"{field} says {seconds:g} s ago, expected 0 s to a year")
    return now_us - round(seconds * 1e6)


def _journal_us(moment: datetime, at_wall: Callable[[int], int]) -> int:
    if moment.tzinfo is None:
        raise RefusedError(f"{moment.isoformat()} has no time zone: write it with a Z, in UTC")
    try:
        return at_wall(round(moment.astimezone(UTC).timestamp() * 1e6))
    except OverflowError as error:  # a zone moves it out of the years 1 to 9999
        raise RefusedError(f"{moment.isoformat()} is no moment of ours") from error


def _recent_us(moment: datetime, now_us: int, at_wall: Callable[[int], int]) -> int:
    at_us = _journal_us(moment, at_wall)
    if abs(now_us - at_us) > MAX_AGE_S * 1e6:
        raise RefusedError(f"{moment.isoformat()} is more than a year away from now")
    return at_us


def _ordered(start_us: int, end_us: int) -> tuple[int, int]:
    if start_us >= end_us:
        raise RefusedError(
            f"the stretch ends {(start_us - end_us) / 1e6:.1f} s before it starts,"
            " expected its end after its start and both in the past"
        )
    return start_us, end_us


def checked_name(name: str) -> str:
    """Return the activity's name as it is kept (trimmed, NFC), or raise RefusedError."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        raise RefusedError("the activity has no name")
    if len(name) > MAX_NAME_CHARACTERS:
        raise RefusedError(
            f"the name has {len(name)} characters, expected at most {MAX_NAME_CHARACTERS}"
        )
    if bad := sorted({c for c in name if c in "+#/" or not c.isprintable()}):
        raise RefusedError(
            f"the name {name!r} contains {', '.join(map(repr, bad))}:"
            " no control characters and none of + # / which MQTT topics need"
        )
    if name.casefold() in RESERVED:
        raise RefusedError(f"{name!r} has a meaning of its own here: choose another name")
    return name
