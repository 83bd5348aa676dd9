"""What the owner sets while it runs, by the line that obeys it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from scripted import Listener, Script, Step, live, model_of, press, rebuilt

from deploy.gestures import RefusedError, parse
from deploy.messages import (
    UNSURE,
    Activity,
    ControlResponse,
    Controls,
    Info,
    Label,
    RebuildResponse,
    Response,
    RestartResponse,
    Scores,
    Taught,
    Trace,
    Window,
)
from deploy.outputs.console import Output as Console
from deploy.service import serve
from deploy.settings import Settings
from firmware_bridge.source import Chunk
from learner.recognizer import Prediction, Recognizer

PAUSE = ("learning/set", b"OFF")
GO_ON = ("learning/set", b"ON")
MINUTE = 3000  # rows
AS_SENSED = [50] * 60  # the same, a second at a time: a window is seen before the next comes


def json(topic: str, **fields: object) -> tuple[str, bytes]:
    return topic, msgspec.json.encode(fields)


def test_while_learning_is_paused_nothing_is_taught_and_that_is_said(tmp_path: Path) -> None:
    heard = live(
        tmp_path, press("walking"), MINUTE, PAUSE, press("stairs"), MINUTE, GO_ON, press("stairs")
    )

    done = [(r.data.get("action"), r.error) for r in heard.of(Response)]
    assert done == [
        ("started", None),
        ("set", None),
        (None, "learning is paused: switch it on first"),
        ("set", None),
        ("started", None),
    ]
    assert [c.learning for c in heard.of(Controls)] == [True, False, True]
    assert "stairs" not in heard.of(Info)[-1].activities
    assert heard.of(Taught)[-2].stretches[0].end is not None  # the pause has ended the stretch


def test_what_was_set_outlives_a_restart(tmp_path: Path) -> None:
    live(tmp_path, PAUSE, ("threshold/set", b"35"))

    assert live(tmp_path).of(Controls)[0] == Controls(learning=False, threshold_percent=35.0)


def test_what_was_set_outlives_what_is_forgotten(tmp_path: Path) -> None:
    forget = json("request/forget", activity="walking")
    live(tmp_path, press("walking"), MINUTE, PAUSE, ("threshold/set", b"35"), forget)

    assert live(tmp_path).of(Controls)[0] == Controls(learning=False, threshold_percent=35.0)


def test_what_is_less_sure_than_asked_for_is_unsure(tmp_path: Path) -> None:
    both: list[Step] = [press("walking"), MINUTE, press("stairs"), MINUTE, press("stop")]
    heard = live(tmp_path, *both, ("threshold/set", b"99.9"), MINUTE)  # of one and the same motion

    assert {a.activity for a in heard.of(Activity)} > {UNSURE}
    last = heard.of(Window)[-1]
    assert (last.activity, last.confidence) == (UNSURE, 0.0)
    assert heard.of(Activity)[-1].probabilities  # they still tell


@pytest.mark.parametrize(
    ("topic", "payload", "sentence"),
    [
        ("threshold/set", b"101", "expected 0 to 100"),
        ("threshold/set", b"a lot", "expected a number"),
        ("threshold/set", b'{"threshold_percent":-1}', "expected 0 to 100"),
        ("learning/set", b"perhaps", "expected ON, OFF"),
        ("learning/set", b"", "expected ON, OFF"),
    ],
)
def test_what_cannot_be_set_is_refused_with_a_sentence(
    topic: str, payload: bytes, sentence: str
) -> None:
    with pytest.raises(RefusedError, match=sentence):
        parse(topic, payload, 0, lambda wall_us: wall_us)


def test_one_button_starts_and_stops(tmp_path: Path) -> None:
    toggle = json("label/set", toggle="walking")
    heard = live(tmp_path, toggle, MINUTE, toggle, 300, toggle, 300, json("label/set", toggle="x"))

    done = [(r.data["action"], r.data["activity"]) for r in heard.of(Response)]
    assert done == [
        ("started", "walking"),
        ("stopped", "walking"),
        ("started", "walking"),
        ("started", "x"),
    ]


NOW_US = 1_700_000_000_000_000
OLD = "2023-11-14T22:12:00Z"  # 80 s before


def test_a_press_that_waited_in_a_queue_is_not_of_now() -> None:
    def read(**fields: object) -> object:
        return parse(*json("label/set", **fields), NOW_US, lambda wall_us: wall_us)[0]

    with pytest.raises(RefusedError, match=r"sent 80 s ago, expected at most 30 s"):
        read(activity="walking", sent=OLD)
    with pytest.raises(RefusedError, match="80 s ago"):
        read(activity="walking", last_s=10, sent=OLD)

    assert read(activity="walking", sent="2023-11-14T22:13:00Z")  # 20 s before
    assert read(activity="walking", sent=OLD, start_age_ms=80_000)  # it says its own age


def test_the_model_is_taught_anew_when_asked(tmp_path: Path) -> None:
    heard = live(tmp_path, press("walking"), MINUTE, press("stop"), ("request/rebuild", b""))

    response = heard.of(RebuildResponse)[-1]
    assert response.data == {"action": "rebuilt", "windows": 44}
    assert model_of(heard) == rebuilt(tmp_path)


def test_it_ends_and_says_that_it_is_to_begin_again(tmp_path: Path) -> None:
    listener = Listener()
    steps = (300, ("request/restart", b""), 300)
    settings = replace(Settings(), state_dir=str(tmp_path))
    source = Script(steps, listener, 3, 0)

    assert serve(settings, source, [listener], stay=True)  # it would stay, else
    assert listener.of(RestartResponse)[-1].status == "ok"
    assert not serve(settings, Script((300,), listener, 3, 0), [listener])


def test_what_was_said_is_told_with_what_undo_would_take_back(tmp_path: Path) -> None:
    heard = live(
        tmp_path, press("walking"), MINUTE, press("stop"), press("stairs"), ("label/undo", b"")
    )

    told = [
        ([s.activity for s in t.stretches], t.undo and t.undo.activity) for t in heard.of(Taught)
    ]
    assert told == [
        ([], None),
        (["walking"], "walking"),
        (["walking"], "walking"),
        (["walking", "stairs"], "stairs"),
        (["walking"], "walking"),
    ]
    first, stopped = heard.of(Taught)[1:3]
    assert first.stretches[0].end is None
    assert stopped.stretches[0].end is not None
    assert stopped.stretches[0].origin == "scripted"  # the output by which it was said


def test_how_good_it_is_at_what_was_taught_again(tmp_path: Path) -> None:
    heard = live(
        tmp_path, press("walking"), *AS_SENSED, press("stop"), press("walking"), *AS_SENSED
    )

    walking = heard.of(Scores)[-1].activities["walking"]
    assert walking.windows > 60
    assert walking.right is not None
    assert walking.right > 0.9  # there is nothing else it could be
    assert live(tmp_path).of(Scores)[0].activities["walking"] == walking


def test_a_forgotten_stop_is_made_up_for_when_the_motion_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The script's motion is always the same, so what is seen in it is said here."""
    observe, seen = Recognizer.observe, 0

    def changed(recognizer: Recognizer, samples: np.ndarray) -> Prediction:
        nonlocal seen
        seen += 1
        prediction = observe(recognizer, samples)
        return Prediction(None, 0.0, 1.0, prediction.probabilities) if seen > 60 else prediction

    monkeypatch.setattr(Recognizer, "observe", changed)
    with caplog.at_level(logging.WARNING):
        heard = live(
            tmp_path,
            press("walking"),
            *AS_SENSED,
            *AS_SENSED,
            json("label/set", activity="stairs", last_s=20),
        )

    label = next(label for label in heard.of(Label) if label.ended)
    assert label.label == "not labelling"
    assert (label.ended.reason, label.ended.activity) == ("motion", "walking")
    stretch = heard.of(Taught)[-1].stretches[0]
    assert max(told.windows for told in heard.of(Label)) < 60  # what is strange is held back
    assert heard.of(Label)[-1].ended is None  # something else was said
    assert stretch.end == label.ended.end < label.ended.until
    assert heard.of(Info)[-1].activities == {
        "walking": 57,  # from 1 s to 76.8 - 1 s
        "stairs": 12,  # the last windows were held back no longer
    }
    assert model_of(heard) == rebuilt(tmp_path)
    assert "the motion is another" in caplog.text

    after = live(
        tmp_path,
        json("label/set", activity="walking", start=label.ended.end, end=label.ended.until),
    )
    assert after.of(Info)[-1].activities["walking"] > 70  # its tail was walking, too


class Eye(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Trace] = []

    def show(self, trace: Trace) -> None:
        self.seen.append(trace)


@pytest.mark.parametrize(("rate_hz", "every"), [(50.0, 2), (20.0, 1), (100.0, 4)])
def test_who_draws_gets_rows_thinned_out_evenly(tmp_path: Path, rate_hz: float, every: int) -> None:
    eye = Eye()
    source = Script((7, 100, 1, 33), eye, 6, 0)
    source.rate_hz = rate_hz
    kept: list[Chunk] = []
    chunks = source.chunks

    def keep() -> Iterator[Chunk]:
        for chunk in chunks():
            kept.append(chunk)
            yield chunk

    source.chunks = keep  # type: ignore[method-assign]
    settings = replace(Settings(), state_dir=str(tmp_path))
    settings = replace(settings, window=replace(settings.window, rate_hz=rate_hz))
    serve(settings, source, [eye])

    rows = np.concatenate([chunk.counts for chunk in kept])[::every, :3] * source.scale[:3]
    drawn = np.array([row for t in eye.seen for row in zip(t.x, t.y, t.z, strict=True)])
    assert np.abs(drawn - rows).max() <= 0.005 + 1e-6  # two decimals
    assert {t.rate_hz for t in eye.seen} == {rate_hz / every}
    assert not eye.of(Trace)  # it is no message for all


def test_the_terminal_tells_what_was_set(capfd: pytest.CaptureFixture[str]) -> None:
    console = Console(Settings())
    console.start(lambda *_: True)
    console.send(
        ControlResponse(
            status="ok", data={"action": "set", "learning": False, "threshold_percent": 35.0}
        )
    )
    console.send(RebuildResponse(status="ok", data={"action": "rebuilt", "windows": 44}))
    console.close()

    out = capfd.readouterr().out
    assert "set learning: False, threshold_percent: 35.0" in out
    assert "rebuilt (44 windows)" in out
