"""What the bytes of a command mean, or the sentence that says why they mean nothing."""

import pytest

from deploy.gestures import (
    SHAPES,
    Forget,
    ForgetSpan,
    Gesture,
    RefusedError,
    Rename,
    Span,
    Start,
    Stop,
    Undo,
    parse,
)
from deploy.messages import RESPONSES

NOW = 1_764_000_000_000_000
OFFSET = 5_000_000  # the wall clock is 5 s ahead of journal time
S = 1_000_000


def read(payload: bytes | str, topic: str = "label/set") -> Gesture:
    data = payload.encode() if isinstance(payload, str) else payload
    return parse(topic, data, NOW, lambda wall_us: wall_us - OFFSET)[0]


@pytest.mark.parametrize(
    ("payload", "meaning"),
    [
        ("walking", Start("walking", NOW)),
        ("  spin cycle\n", Start("spin cycle", NOW)),
        ("Treppe hinauf (schnell)", Start("Treppe hinauf (schnell)", NOW)),
        ("歩く", Start("歩く", NOW)),
        ("cafe\u0301", Start("caf\u00e9", NOW)),  # one name, however it was typed
        ("", Stop(NOW)),
        ("stop", Stop(NOW)),
        ("not labelling", Stop(NOW)),  # what Home Assistant's select sends
        ('{"activity":"walking"}', Start("walking", NOW)),
        ('{"activity":"walking","last_s":30}', Span("walking", NOW - 30 * S, NOW)),
        ('{"activity":"walking","start_age_ms":9000}', Start("walking", NOW - 9 * S)),
        ('{"end_age_ms":2500}', Stop(NOW - 2_500_000)),
        ('{"end":"2025-11-24T16:00:00Z"}', Stop(NOW - OFFSET)),
        (
            '{"activity":"walking","start_age_ms":90000,"end_age_ms":30000}',
            Span("walking", NOW - 90 * S, NOW - 30 * S),
        ),
        (
            # Our own time stamps are of the wall clock: 16:00:00 UTC is NOW.
            '{"activity":"walking","start":"2025-11-24T15:59:35Z","end":"2025-11-24T16:59:55+01:00"}',
            Span("walking", NOW - 30 * S, NOW - 10 * S),
        ),
    ],
)
def test_a_payload_means(payload: str, meaning: Gesture) -> None:
    assert read(payload) == meaning


def test_anything_on_undo_is_an_undo_and_keeps_its_transaction() -> None:
    assert parse("label/undo", b"", NOW, int) == (Undo(), None)
    assert parse("label/undo", b"PRESS", NOW, int) == (Undo(), None)
    assert parse("label/undo", b'{"transaction":"x7"}', NOW, int) == (Undo(), "x7")


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"walk\xffing", "not UTF-8: byte 0xff at 4"),
        (b"\xff\xfe", "not UTF-8: byte 0xff at 0"),
        ('{"activity":"wal', "not a JSON command"),
        ("{}}", "not a JSON command"),
        ("[1,2]", "not a JSON command .*expected a name, or an object"),
        ('"walking"', "not a JSON command"),
        ('{"activity":7}', "not a JSON command .*Expected `str"),
        ('{"activity":"walking","lasts":30}', "not a JSON command .*unknown field `lasts`"),
        ("x" * 10_000, "10000 bytes, expected at most 4096"),
        ("x" * 65, "65 characters, expected at most 64"),
        ("a+b", r"contains '\+'"),
        ("a#", "contains '#'"),
        ("up/down", "contains '/'"),
        ("bell\x07", r"contains '\\x07'"),
        ("two\nlines", r"contains '\\n'"),
        ("zero\u200bwidth", "contains"),
        ('{"activity":"a\\u0000b"}', r"contains '\\x00'"),
        ("none", "meaning of its own"),
        ("Unknown", "meaning of its own"),
        ("UNAVAILABLE", "meaning of its own"),
        ("unsure", "meaning of its own"),
        ('{"activity":"stop","last_s":30}', "meaning of its own"),
        ('{"activity":"","last_s":30}', "has no name"),
        ('{"last_s":30}', "has no name"),
        ('{"activity":"walking","last_s":0}', "expected more than 0"),
        ('{"activity":"walking","last_s":-5}', "expected more than 0"),
        ('{"activity":"walking","last_s":1e300}', "expected 0 s to a year"),
        ('{"activity":"walking","start_age_ms":-1}', "expected 0 s to a year"),
        ('{"activity":"walking","end_age_ms":5}', "needs start_age_ms"),
        (
            '{"activity":"walking","start_age_ms":1000,"end_age_ms":5000}',
            "ends 4.0 s before it starts",
        ),
        ('{"activity":"walking","last_s":3,"start_age_ms":1}', "say when in one way"),
        ('{"activity":"walking","start":"2025-11-24T15:59:35Z"}', "both start and end"),
        (
            '{"activity":"walking","start":"2025-11-24T15:00:00","end":"2025-11-24T15:00:09"}',
            "no time zone",
        ),
        (
            '{"activity":"walking","start":"2031-01-01T00:00:00Z","end":"2031-01-01T00:01:00Z"}',
            "more than a year away",
        ),
        (
            # All of it in the future: the end is cut to now, the start is after it.
            '{"activity":"walking","start":"2025-12-01T00:00:00Z","end":"2025-12-01T00:01:00Z"}',
            "both in the past",
        ),
        (
            '{"activity":"a","start":"0001-01-01T00:00:00+12:00","end":"2025-11-24T15:00:00Z"}',
            "no moment of ours",
        ),
        ('{"end":"9999-12-31T23:59:59-23:59"}', "no moment of ours"),
        ('{"end":"0001-01-01T00:00:00Z"}', "more than a year away"),
    ],
)
def test_a_payload_is_refused_with_a_sentence(payload: bytes | str, sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence):
        read(payload)


@pytest.mark.parametrize(
    ("topic", "payload", "meaning"),
    [
        ("rename", '{"from":"walk","to":" walking "}', Rename("walk", "walking")),
        ("rename", '{"from":"cafe\u0301","to":"x"}', Rename("caf\u00e9", "x")),
        ("forget", '{"activity":"walking"}', Forget("walking")),
        (
            "forget",
            '{"start":"2025-11-24T15:59:35Z","end":"2025-11-24T16:59:55+01:00"}',
            ForgetSpan(NOW - 30 * S, NOW - 10 * S),
        ),
        (
            "forget",
            '{"start":"2025-11-24T00:00:00Z","end":"2025-11-25T00:00:00Z"}',
            ForgetSpan(NOW - OFFSET - 16 * 3600 * S, NOW),
        ),
        (  # years ago, which nobody would label
            "forget",
            '{"start":"1970-01-01T00:00:00Z","end":"1970-01-02T00:00:00Z"}',
            ForgetSpan(-OFFSET, 86400 * S - OFFSET),
        ),
    ],
)
def test_a_request_means(topic: str, payload: str, meaning: Gesture) -> None:
    assert read(payload, f"request/{topic}") == meaning


@pytest.mark.parametrize(
    ("topic", "payload", "sentence"),
    [
        ("rename", "walking", 'not a JSON command .*expected an object such as {"from"'),
        ("rename", "", "not a JSON command"),
        ("rename", '{"from":"walk"}', "missing required field `to`"),
        ("rename", '{"from":"walk","to":"unknown"}', "meaning of its own"),
        ("rename", '{"from":"walk","to":""}', "has no name"),
        ("rename", '{"from":"walk","into":"walking"}', "unknown field `into`"),
        ("forget", "walking", 'not a JSON command .*expected an object such as {"activity"'),
        ("forget", "{}", "in one way: activity, or start and end"),
        ("forget", '{"start":"2025-11-24T15:59:35Z"}', "in one way: activity, or start and end"),
        (
            "forget",
            '{"activity":"a","start":"2025-11-24T15:59:35Z","end":"2025-11-24T15:59:36Z"}',
            "in one way: activity, or start and end",
        ),
        (
            "forget",
            '{"start":"2025-11-24T15:59:35Z","end":"2025-11-24T15:59:34Z"}',
            "ends 1.0 s before it starts",
        ),
    ],
)
def test_a_request_is_refused_with_a_sentence(topic: str, payload: str, sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence):
        read(payload, f"request/{topic}")


def test_every_command_that_is_understood_has_its_answer() -> None:
    assert set(SHAPES) == set(RESPONSES)


def test_a_refusal_keeps_the_transaction() -> None:
    with pytest.raises(RefusedError) as refused:
        read('{"activity":"unknown","transaction":"x7"}')

    assert refused.value.transaction == "x7"


def test_an_empty_name_in_json_is_a_mistake_not_a_stop() -> None:
    with pytest.raises(RefusedError, match="has no name"):
        read('{"activity":""}')


def test_nothing_else_is_listened_to() -> None:
    with pytest.raises(RefusedError, match="nothing listens on label/get: use label/set"):
        read("walking", topic="label/get")
