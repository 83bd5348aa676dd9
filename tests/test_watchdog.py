"""Long lessons under a short watchdog: neither the learner nor the sensor is taken for dead."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from living import Living
from scripted import Step, live, press
from systemd_ear import Ear, listening

from deploy import pipeline
from deploy.messages import Response
from learner.recognizer import Recognizer

FEEDS = 8  # Linux keeps as few as ten datagrams for an ear that is elsewhere
MINUTE = 3000  # rows
HUNG_S = 0.3
LESSON = {
    "rebuild": ("request/rebuild", {}),
    "forget": ("request/forget", {"activity": "walking"}),
}


@pytest.fixture(name="ear")
def _ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    with listening(tmp_path, monkeypatch, watchdog_s=1e-6) as ear:  # fed at every thought
        yield ear


@pytest.mark.parametrize("what", LESSON)
def test_the_watchdog_is_fed_while_what_was_taught_is_learnt_anew_or_unlearnt(
    tmp_path: Path, ear: Ear, what: str
) -> None:
    topic, payload = LESSON[what]
    fed: list[int] = []

    def hear() -> None:
        fed.append(ear.heard().count("WATCHDOG=1"))

    taught: list[Step] = [press("walking"), MINUTE, press("stop")]
    heard = live(tmp_path, *taught, hear, (topic, json.dumps(payload).encode()), hear)

    assert heard.of(Response)[-1].status == "ok"
    assert fed[1] >= FEEDS


def test_a_sensor_that_goes_on_while_something_is_learnt_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ear: Ear
) -> None:
    learn = Recognizer.learn

    def slowly(recognizer: Recognizer, *lesson: object) -> None:
        time.sleep(HUNG_S)
        learn(recognizer, *lesson)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "HUNG_S", HUNG_S)
    with Living(tmp_path / "state") as budge:
        time.sleep(3)
        monkeypatch.setattr(Recognizer, "learn", slowly)
        answer = budge.ask("label/set", b'{"activity":"walking","last_s":3}')

    assert answer.status == "ok"
    assert "no sign of life" not in caplog.text
