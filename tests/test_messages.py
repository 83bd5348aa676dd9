"""The messages are a contract: names and types are frozen, and only ever added to."""

import msgspec
import pytest

from deploy import messages
from deploy.messages import (
    RESPONSES,
    Confusion,
    Controls,
    Ended,
    Message,
    Score,
    Stretch,
    rfc3339,
)

RESPONSE = {
    "v": int,
    "status": str,
    "data": dict[str, str | int | float | None],
    "error": str | None,
    "transaction": str | None,
}

# To add a field, add it here. To change or remove one: do not; somebody's automation reads it.
CONTRACT = {
    "Activity": (
        "activity",
        True,
        {
            "v": int,
            "activity": str,
            "confidence": float,
            "since": str,
            "ts": str,
            "novelty": float,
            "probabilities": dict[str, float],
        },
    ),
    "Window": (
        "window",
        False,
        {
            "v": int,
            "activity": str,
            "confidence": float,
            "novelty": float,
            "start": str,
            "ts": str,
            "start_s": float,
            "end_s": float,
        },
    ),
    "Transition": (
        "transition",
        False,
        {
            "v": int,
            "id": str,
            "event_type": str,
            "activity": str,
            "start": str,
            "end": str | None,
            "duration_s": float | None,
        },
    ),
    "Label": (
        "label",
        True,
        {
            "v": int,
            "label": str,
            "since": str | None,
            "windows": int,
            "error": str | None,
            "ended": Ended | None,
        },
    ),
    "Info": (
        "info",
        True,
        {
            "v": int,
            "version": str,
            "device": str,
            "source": str,
            "started": str,
            "rate_hz": float,
            "channels": int,
            "window_s": float,
            "hop_s": float,
            "classifier": str,
            "activities": dict[str, int],
            "model": str,
            "base": str,
        },
    ),
    "Taught": (
        "taught",
        True,
        {"v": int, "stretches": tuple[Stretch, ...], "undo": Stretch | None},
    ),
    "Scores": (
        "scores",
        True,
        {
            "v": int,
            "activities": dict[str, Score],
            "confused": tuple[Confusion, ...],
            "advice": str | None,
        },
    ),
    "Controls": ("controls", True, {"v": int, "learning": bool, "threshold_percent": float}),
    "Trace": (
        "trace",
        False,
        {
            "v": int,
            "ts": str,
            "rate_hz": float,
            "x": tuple[float, ...],
            "y": tuple[float, ...],
            "z": tuple[float, ...],
        },
    ),
    "Health": (
        "health",
        True,
        {
            "v": int,
            "problem": bool,
            "state": str,
            "since": str,
            "cause": str | None,
            "rate_hz": float,
            "gaps": int,
            "errors": int,
            "lost": int,
            "waiting": int,
            "uptime_s": float,
            "memory_mb": float | None,
            "temperature_c": float | None,
            "drifting": tuple[str, ...],
            "advice": str | None,
        },
    ),
    "Response": ("response/label", False, RESPONSE),
    "RenameResponse": ("response/rename", False, RESPONSE),
    "ForgetResponse": ("response/forget", False, RESPONSE),
    "ControlResponse": ("response/controls", False, RESPONSE),
    "RebuildResponse": ("response/rebuild", False, RESPONSE),
    "RestartResponse": ("response/restart", False, RESPONSE),
}
PARTS = {
    Stretch: {"id": int, "activity": str, "start": str, "end": str | None, "origin": str},
    Ended: {"reason": str, "activity": str, "start": str, "end": str, "until": str},
    Score: {"windows": int, "right": float | None},
    Confusion: {"one": str, "other": str, "share": float},
}
COMMANDS = {
    "label/set": "response/label",
    "label/undo": "response/label",
    "learning/set": "response/controls",
    "threshold/set": "response/controls",
    "request/rename": "response/rename",
    "request/forget": "response/forget",
    "request/rebuild": "response/rebuild",
    "request/restart": "response/restart",
}


def kinds(of: type[Message]) -> set[str]:
    return {name for kind in of.__subclasses__() for name in (kind.__name__, *kinds(kind))}


def types(of: type[msgspec.Struct]) -> dict[str, object]:
    return {field.name: field.type for field in msgspec.structs.fields(of)}


def test_every_message_is_under_contract() -> None:
    assert kinds(Message) == set(CONTRACT)


def test_the_topics_of_commands_are_frozen() -> None:
    assert {command: answer.topic for command, answer in RESPONSES.items()} == COMMANDS


@pytest.mark.parametrize("name", CONTRACT)
def test_topic_names_and_types_are_frozen(name: str) -> None:
    kind = getattr(messages, name)
    topic, retained, fields = CONTRACT[name]

    assert (kind.topic, kind.retained) == (topic, retained)
    assert types(kind) == fields


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_names_and_types_of_parts_are_frozen(part: type[msgspec.Struct]) -> None:
    assert types(part) == PARTS[part]


def test_what_a_newer_budge_adds_does_not_hinder_an_older_one() -> None:
    later = b'{"v":1,"learning":true,"threshold_percent":0.0,"mood":"fine"}'

    assert msgspec.json.decode(later, type=Controls).learning


def test_words_that_stand_for_nothing_are_frozen() -> None:
    assert (messages.UNSURE, messages.NOT_LABELLING) == ("unsure", "not labelling")


def test_time_is_rfc3339_in_utc() -> None:
    assert rfc3339(1_764_000_000_250_000) == "2025-11-24T16:00:00.250Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
