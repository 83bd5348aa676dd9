"""The page about MQTT is what the code says and hears."""

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from budge import ROOT

from deploy import messages
from deploy.gestures import RefusedError, parse
from deploy.messages import RESPONSES, Health, Label, Stretch, Taught
from deploy.schema import EXAMPLES, MEANINGS, Example, kinds, meaning, page, schema

NOW_US = 1_795_600_000_000_000  # 2026-11-25
PAGE = ROOT / "deploy" / "mqtt.md"


def test_the_page_is_as_the_code_is() -> None:
    command = [sys.executable, "-m", "deploy.schema"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert PAGE.read_text() == written, "run: python -m deploy.schema > deploy/mqtt.md"


def test_every_topic_is_on_it() -> None:
    topics = {kind.topic for kind in kinds()} | {a.topic for a in RESPONSES.values()}

    assert [topic for topic in topics if f"`{topic}`" not in page()] == []
    assert "`trace`" not in page()  # which is never published


def test_every_command_has_an_example() -> None:
    assert {example.topic for example in EXAMPLES} == set(RESPONSES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.topic} {e.payload}")
def test_the_examples_are_understood(example: Example) -> None:
    parse(example.topic, example.payload.encode(), NOW_US, int)


def test_an_example_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedError):
        parse("threshold/set", b"much", NOW_US, int)


def test_a_comment_on_a_field_is_its_meaning_else_its_name() -> None:
    assert meaning(Label, "label") == "`not labelling` when nothing is"
    assert meaning(Health, "uptime_s") == MEANINGS["uptime_s"]


@pytest.mark.parametrize(
    "message",
    [
        Label(label="walking", since=None, windows=3),
        Taught(
            stretches=(Stretch(id=1, activity="a", start="", end=None, origin="mqtt"),), undo=None
        ),
    ],
    ids=["label", "taught"],
)
def test_the_schema_knows_every_field_that_is_sent(message: messages.Message) -> None:
    parts: dict[str, Any] = schema()["$defs"]
    sent = json.loads(msgspec.json.encode(message))
    said = parts[type(message).__name__]

    assert set(said["properties"]) == set(sent)
    assert set(said["required"]) <= set(sent)
    assert all(field["description"] for field in said["properties"].values())


def test_the_schema_on_the_page_is_json() -> None:
    (_, _, shown) = page().partition("```json\n")

    assert json.loads(shown.removesuffix("```\n")) == json.loads(json.dumps(schema()))
