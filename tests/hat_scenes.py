"""What the Sense HAT's tests show and say: pictures as they must be, messages as they come."""

from deploy.led_matrix import LEVELS, OFF, ON, PICTURES, Colour, encode, glyph
from deploy.messages import Activity, Info, Label, Response, Window
from deploy.outputs.sense_hat import BLUE, DIM_YELLOW, RED, YELLOW

NO_ROW = OFF * 8
ALL_RED = encode([ON * 8] * 8, {ON: RED})
ALL_BLUE = encode([ON * 8] * 8, {ON: BLUE})
BTN_SELECT, BTN_DPAD_RIGHT = 0x13A, 0x223


def white(activity: str, brightness: int) -> bytes:
    return encode([*glyph(activity), NO_ROW], {ON: Colour(brightness, brightness, brightness)})


def blue(activity: str, row: str) -> bytes:
    return encode([*glyph(activity), row], {ON: BLUE})


def yellow(activity: str, row: str) -> bytes:
    return encode([*glyph(activity), row], {ON: YELLOW, "-": DIM_YELLOW})


NOTHING = encode([*PICTURES["nothing"], NO_ROW], {ON: BLUE})
DIM_QUESTION = white("?", LEVELS[0])


def info(*activities: str) -> Info:
    return Info(
        version="1",
        device="test",
        source="",
        started="",
        rate_hz=50.0,
        channels=6,
        window_s=2.56,
        hop_s=1.28,
        classifier="",
        activities=dict.fromkeys(activities, 5),
        model="",
    )


def happening(activity: str, confidence: float) -> Activity:
    return Activity(
        activity=activity, confidence=confidence, since="", ts="", novelty=0.0, probabilities={}
    )


def window(activity: str, confidence: float) -> Window:
    return Window(
        activity=activity,
        confidence=confidence,
        novelty=0.0,
        start="",
        ts="",
        start_s=0.0,
        end_s=0.0,
    )


def label(activity: str, windows: int = 0) -> Label:
    return Label(label=activity, since=None, windows=windows)


REFUSED = Response(status="error", data={}, error="no")
UNDONE = Response(status="ok", data={"action": "undone", "activity": "walking", "windows": 3})
