"""What budge tells the world: one struct a topic, flat, additive only.

A field is never renamed, retyped or taken away; `tests/test_messages.py` freezes them. Times are
RFC 3339 in UTC. Everything that listens (MQTT, console) gets these same structs.
"""

from datetime import UTC, datetime
from typing import ClassVar

import msgspec

UNSURE = "unsure"  # a word, since Home Assistant takes `unknown` and `none` as states of its own
NOT_LABELLING = "not labelling"


def rfc3339(time_us: int) -> str:
    """Write microseconds since 1970 as `2026-11-24T08:30:00.250Z`."""
    moment = datetime.fromtimestamp(time_us / 1e6, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message; `topic` is what follows `budge/<device>/`."""

    topic: ClassVar[str]
    retained: ClassVar[bool] = False

    v: int = 1


class Activity(Message, frozen=True, kw_only=True):
    """What is happening: on every change, and as a heartbeat."""

    topic: ClassVar[str] = "activity"
    retained: ClassVar[bool] = True

    activity: str  # `unsure` when it looks like nothing taught
    confidence: float  # 0 … 1
    since: str
    ts: str  # end of the window that says so
    novelty: float  # 0 … 1, how unlike anything taught
    probabilities: dict[str, float]


class Window(Message, frozen=True, kw_only=True):
    """What one window looks like; off on MQTT unless the settings say otherwise."""

    topic: ClassVar[str] = "window"

    activity: str
    confidence: float
    novelty: float
    start: str
    ts: str  # its end
    start_s: float  # the same in seconds of the source: of a recording, its own time
    end_s: float


class Transition(Message, frozen=True, kw_only=True):
    """An activity started or ended; the two share an id."""

    topic: ClassVar[str] = "transition"

    id: str
    event_type: str  # "started" or "ended"
    activity: str
    start: str
    end: str | None
    duration_s: float | None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch whose stop was forgotten; what is said next clears it."""

    reason: str  # "motion": it looked like something else for long; "limit": it was long enough
    activity: str
    start: str
    end: str  # up to here it is taught
    until: str  # when that was noticed: from `end` to here is the tail, which is not taught


class Label(Message, frozen=True, kw_only=True):
    """What is being taught."""

    topic: ClassVar[str] = "label"
    retained: ClassVar[bool] = True

    label: str  # `not labelling` when nothing is
    since: str | None
    windows: int  # learnt so far in this stretch
    error: str | None = None  # why the last command was refused; cleared by the next good one
    ended: Ended | None = None  # the last stretch, where it ended by itself


class Info(Message, frozen=True, kw_only=True):
    """Who is speaking, and what it has been taught."""

    topic: ClassVar[str] = "info"
    retained: ClassVar[bool] = True

    version: str
    device: str
    source: str
    started: str
    rate_hz: float
    channels: int
    window_s: float
    hop_s: float
    classifier: str
    activities: dict[str, int]  # windows taught of each
    model: str  # digest: two models are the same bits when this is the same
    base: str = "budge"  # topics are <base>/<device>/…


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """From start to end it was this, somebody said."""

    id: int
    activity: str
    start: str
    end: str | None  # None: it is being taught
    origin: str  # by what it was said: "mqtt", "page", …


class Taught(Message, frozen=True, kw_only=True):
    """What was said last, and counts; the later is laid over the earlier."""

    topic: ClassVar[str] = "taught"
    retained: ClassVar[bool] = True

    stretches: tuple[Stretch, ...]  # the newest last
    undo: Stretch | None  # what label/undo would take back


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How good it is at one activity: what it said of windows before it was taught them."""

    windows: int  # so many were judged
    right: float | None  # 0 … 1, the share that was right, older ones count less; None: too few


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Two activities that look alike from here."""

    one: str
    other: str
    share: float  # 0 … 1, of the windows of both: one called the other


class Scores(Message, frozen=True, kw_only=True):
    """Its own prequential record."""

    topic: ClassVar[str] = "scores"
    retained: ClassVar[bool] = True

    activities: dict[str, Score]
    confused: tuple[Confusion, ...] = ()  # the worst first
    advice: str | None = None  # what to teach, for people


class Controls(Message, frozen=True, kw_only=True):
    """What the owner has set while it runs; kept over a restart."""

    topic: ClassVar[str] = "controls"
    retained: ClassVar[bool] = True

    learning: bool  # False: nothing can be taught, what is known is still recognised
    threshold_percent: float  # an activity less sure than that is told as `unsure`


class Trace(Message, frozen=True, kw_only=True):
    """Rows as they come in, to be drawn: for who shows rows, see `output.py`; never on MQTT."""

    topic: ClassVar[str] = "trace"

    ts: str  # of the last row
    rate_hz: float  # of these rows: the sensor's, thinned out
    x: tuple[float, ...]  # m/s²
    y: tuple[float, ...]
    z: tuple[float, ...]


class Health(Message, frozen=True, kw_only=True):
    """How the device itself is doing."""

    topic: ClassVar[str] = "health"
    retained: ClassVar[bool] = True

    problem: bool  # something is wrong now, and `cause` says what
    state: str  # of the source: starting, not started (for too long), connected, gap
    since: str  # how long it has been in this state
    cause: str | None  # why the last gap began
    rate_hz: float  # measured, of the sensor
    gaps: int
    errors: int
    lost: int  # samples or rows that never came
    waiting: int  # chunks in the inbox: more than a few and the learner is too slow
    uptime_s: float
    memory_mb: float | None
    temperature_c: float | None
    drifting: tuple[str, ...] = ()  # activities that look less like what was taught than they did
    advice: str | None = None  # what to do about those, for people


class Response(Message, frozen=True, kw_only=True):
    """The answer to a press of the button. `ok` means: it is on the disk."""

    topic: ClassVar[str] = "response/label"

    status: str  # "ok" or "error"
    data: dict[str, str | int | float | None]
    error: str | None = None
    transaction: str | None = None  # whatever the command brought


class RenameResponse(Response, frozen=True, kw_only=True):
    """The answer to `request/rename`."""

    topic: ClassVar[str] = "response/rename"


class ForgetResponse(Response, frozen=True, kw_only=True):
    """The answer to `request/forget`. `ok` means: there is no trace of it in the file."""

    topic: ClassVar[str] = "response/forget"


class ControlResponse(Response, frozen=True, kw_only=True):
    """The answer to `learning/set` and `threshold/set`."""

    topic: ClassVar[str] = "response/controls"


class RebuildResponse(Response, frozen=True, kw_only=True):
    """The answer to `request/rebuild`: the model was taught anew all that the journal holds."""

    topic: ClassVar[str] = "response/rebuild"


class RestartResponse(Response, frozen=True, kw_only=True):
    """The answer to `request/restart`: it ends now, and begins again."""

    topic: ClassVar[str] = "response/restart"


# States are said to a newcomer in this order: who we are before what is happening.
STATE_ORDER = ("info", "controls", "health", "scores", "taught", "label", "activity")

# Every command there is, and what answers it.
RESPONSES: dict[str, type[Response]] = {
    "label/set": Response,
    "label/undo": Response,
    "learning/set": ControlResponse,
    "threshold/set": ControlResponse,
    "request/rename": RenameResponse,
    "request/forget": ForgetResponse,
    "request/rebuild": RebuildResponse,
    "request/restart": RestartResponse,
}
