"""The messages are a contract: names and types are frozen, and only ever added to."""

import msgspec
import pytest

from deploy import messages
from deploy.messages import RESPONSES, Message, rfc3339

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
        {"v": int, "label": str, "since": str | None, "windows": int, "error": str | None},
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
}
COMMANDS = {"label/set", "label/undo", "request/rename", "request/forget"}


def kinds(of: type[Message]) -> set[str]:
    return {name for kind in of.__subclasses__() for name in (kind.__name__, *kinds(kind))}


def test_every_message_is_under_contract() -> None:
    assert kinds(Message) == set(CONTRACT)


def test_the_topics_of_commands_are_frozen() -> None:
    assert set(RESPONSES) == COMMANDS


@pytest.mark.parametrize("name", CONTRACT)
def test_topic_names_and_types_are_frozen(name: str) -> None:
    kind = getattr(messages, name)
    topic, retained, fields = CONTRACT[name]

    assert (kind.topic, kind.retained) == (topic, retained)
    assert {field.name: field.type for field in msgspec.structs.fields(kind)} == fields


def test_time_is_rfc3339_in_utc() -> None:
    assert rfc3339(1_764_000_000_250_000) == "2025-11-24T16:00:00.250Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
