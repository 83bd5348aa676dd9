"""Metrics: what Prometheus reads is what was told."""

import re
import shutil
import subprocess
from typing import NamedTuple

import msgspec
import pytest
from msgspec.structs import replace
from page import state_of

from deploy.messages import Activity, Controls, Health, Info, Label, Message, Score, Scores
from deploy.page.metrics import metrics

NASTY = 'a "b"\\c\nd{e="f"} ü'  # all that the format gives a meaning, and more

HEALTH = replace(
    state_of(Health),
    problem=True,
    state="gap",
    cause="unplugged",
    rate_hz=49.5,
    gaps=3,
    errors=4,
    lost=5,
    waiting=6,
    uptime_s=7.5,
    memory_mb=123.4,
    drifting=("walking",),
)
INFO = replace(state_of(Info), version="0.1.0", activities={"walking": 12, NASTY: 3})
ACTIVITY = Activity(
    activity=NASTY, confidence=0.93, since="", ts="", novelty=1e-7, probabilities={"walking": 0.07}
)
SCORES = Scores(
    activities={"walking": Score(windows=9, right=0.98), NASTY: Score(windows=1, right=None)}
)
ALL: list[Message] = [
    INFO,
    Controls(learning=False, threshold_percent=35.0),
    HEALTH,
    SCORES,
    Label(label="walking", since=None, windows=8),
    ACTIVITY,
]

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


def read(text: str) -> list[Sample]:
    """Read the exposition format 0.0.4, and stumble over what is not in it."""
    assert text.endswith("\n")
    samples: list[Sample] = []
    family, kinds = "", {}
    for line in text.removesuffix("\n").split("\n"):
        if found := re.fullmatch(r"# HELP (budge_[a-z_]+) [A-Z0-9].*\.", line):
            assert found[1] not in kinds, "a family is told once"
            family = found[1]
        elif found := re.fullmatch(r"# TYPE (budge_[a-z_]+) (gauge|counter)", line):
            assert found[1] == family
            assert (found[2] == "counter") == family.endswith("_total")
            kinds[family] = found[2]
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == family, "samples follow their family's head"
            pairs = tuple((key, unescaped(value)) for key, value in LABEL.findall(found[2] or ""))
            samples.append(Sample(family, pairs, float(found[3])))
    assert len({(name, labels) for name, labels, _ in samples}) == len(samples)
    return samples


def unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def told(*messages: Message, watchers: int = 0) -> str:
    return metrics({type(message).topic: message for message in messages}, watchers)


def test_all_that_was_told_can_be_read() -> None:
    samples = read(told(*ALL, watchers=2))
    plain = {name: value for name, labels, value in samples if not labels}
    labelled = {(name, *labels): value for name, labels, value in samples if labels}

    assert plain == {
        "budge_page_clients": 2,
        "budge_learning": 0,
        "budge_threshold_ratio": 0.35,
        "budge_problem": 1,
        "budge_rate_hertz": 49.5,
        "budge_waiting_chunks": 6,
        "budge_drifting_activities": 1,
        "budge_uptime_seconds": 7.5,
        "budge_memory_bytes": 123.4e6,
        "budge_gaps_total": 3,
        "budge_errors_total": 4,
        "budge_lost_total": 5,
        "budge_label_windows": 8,
        "budge_activity_confidence": 0.93,
        "budge_novelty": 1e-7,
    }
    assert labelled == {
        ("budge_info", ("version", "0.1.0"), ("device", "pi")): 1,
        ("budge_windows_taught", ("activity", "walking")): 12,
        ("budge_windows_taught", ("activity", NASTY)): 3,
        ("budge_score_right", ("activity", "walking")): 0.98,
        ("budge_activity", ("activity", "walking")): 0,
        ("budge_activity", ("activity", NASTY)): 1,
        ("budge_activity", ("activity", "unsure")): 0,
    }


def test_what_nobody_has_told_is_left_out() -> None:
    assert read(told()) == [Sample("budge_page_clients", (), 0)]
    samples = read(told(ACTIVITY, HEALTH))
    assert "budge_temperature_celsius" not in {sample.name for sample in samples}
    assert [dict(s.labels) for s in samples if s.name == "budge_activity"] == [
        {"activity": "unsure"},
        {"activity": NASTY},
    ]


def test_just_one_activity_is_going_on_whichever_it_is() -> None:
    for name in ("walking", NASTY, "unsure", "not taught any more"):
        samples = read(told(INFO, msgspec.structs.replace(ACTIVITY, activity=name)))
        on = [dict(s.labels)["activity"] for s in samples if s.name == "budge_activity" and s.value]
        assert on == [name]


@pytest.mark.parametrize("messages", [[], ALL], ids=["nothing", "all"])
def test_promtool_finds_nothing_to_say(messages: list[Message]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: sudo apt-get install prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=told(*messages),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
