"""A key goes down and up: when that is a press, when a hold, and from which moment it counts."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from deploy.input import HOLD_S, Presses
from deploy.messages import Response

BOTH, PRESSED, HELD, NEITHER = 1, 2, 3, 4


@pytest.fixture(name="given")
def _given() -> list[tuple[str, Any]]:
    return []


@pytest.fixture(name="presses")
def _presses(given: list[tuple[str, Any]]) -> Presses[int]:
    def command(
        topic: str, payload: bytes, _answered: Callable[[Response], None] | None = None, /
    ) -> bool:
        given.append((topic, json.loads(payload) if payload else None))
        return True

    return Presses({BOTH: "walking", PRESSED: "walking"}, {BOTH: "undo", HELD: "undo"}, command)


@pytest.mark.parametrize(
    ("key", "seconds", "topics"),
    [
        (PRESSED, 0.1, ["label/set"]),
        (PRESSED, 5.0, ["label/set"]),
        (BOTH, HOLD_S - 0.01, ["label/set"]),
        (BOTH, HOLD_S, ["label/undo"]),
        (HELD, HOLD_S - 0.01, []),
        (HELD, HOLD_S, ["label/undo"]),
        (NEITHER, 5.0, []),
    ],
)
def test_it_depends_on_the_key_and_how_long_it_was_down(
    presses: Presses[int], given: list[tuple[str, Any]], key: int, seconds: float, topics: list[str]
) -> None:
    presses.down(key, 100.0)
    presses.up(key, 100.0 + seconds)

    assert [topic for topic, _ in given] == topics


def test_without_a_hold_a_press_does_not_wait_for_the_release(
    presses: Presses[int], given: list[tuple[str, Any]]
) -> None:
    presses.down(PRESSED, 100.0)

    assert len(given) == 1


@pytest.mark.parametrize("key", [PRESSED, BOTH])
def test_what_is_read_late_counts_from_the_moment_it_was_pressed(
    presses: Presses[int], given: list[tuple[str, Any]], key: int
) -> None:
    down_s = time.monotonic() - 20.0
    presses.down(key, down_s)
    presses.up(key, down_s + 0.5)
    age_ms = given[0][1]["start_age_ms"]

    assert 20_000 <= age_ms <= 1e3 * (time.monotonic() - down_s)


def test_a_clock_that_is_ahead_makes_no_press_of_the_future(
    presses: Presses[int], given: list[tuple[str, Any]]
) -> None:
    presses.down(PRESSED, time.monotonic() + 3600)

    assert given == [("label/set", {"toggle": "walking", "start_age_ms": 0})]


def test_a_release_that_was_never_a_press_is_nothing(
    presses: Presses[int], given: list[tuple[str, Any]]
) -> None:
    presses.up(BOTH, 100.0)  # it was down before we looked

    assert given == []


def test_a_press_whose_release_got_lost_is_forgotten_at_the_next(
    presses: Presses[int], given: list[tuple[str, Any]]
) -> None:
    presses.down(BOTH, 100.0)  # then the shutter fell asleep
    presses.down(BOTH, 500.0)
    presses.up(BOTH, 500.1)

    assert [topic for topic, _ in given] == ["label/set"]
