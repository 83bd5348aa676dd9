"""What the Sense HAT's matrix shows, at which time."""

from collections.abc import Callable
from math import inf

import pytest
from hat_scenes import (
    ALL_BLUE,
    ALL_RED,
    DIM_QUESTION,
    NOTHING,
    REFUSED,
    UNDONE,
    blue,
    happening,
    info,
    label,
    white,
    window,
    yellow,
)

from deploy.led_matrix import LEVELS
from deploy.messages import NOT_LABELLING, UNSURE, Message, Response
from deploy.outputs.sense_hat import CHOICE_S, FLASH_S, Scene


def scene(*messages: Message) -> Scene:
    """At 100 s it has heard these."""
    made = Scene()
    for message in messages:
        made.hear(message, 100.0)
    return made


def test_before_anything_is_heard_it_is_unsure() -> None:
    assert scene().picture(100.0) == (DIM_QUESTION, inf)


@pytest.mark.parametrize("said", [happening, window])
def test_it_shows_what_is_happening_the_brighter_the_surer(
    said: Callable[[str, float], Message],
) -> None:
    shown = [scene(said("walking", p)).picture(100.0) for p in (0.3, 0.6, 0.8, 0.95)]

    assert shown == [(white("walking", brightness), inf) for brightness in LEVELS]


def test_unsure_is_a_dim_question_mark_however_sure_of_that() -> None:
    assert scene(window("walking", 0.9), window(UNSURE, 0.9)).picture(100.0) == (DIM_QUESTION, inf)


@pytest.mark.parametrize(
    ("windows", "row"),
    [
        (0, "--------"),
        (1, "#-------"),
        (2, "##------"),
        (3, "##------"),
        (4, "###-----"),
        (127, "#######-"),
        (128, "########"),
        (9999, "########"),
    ],
)
def test_while_teaching_a_row_grows_with_the_windows(windows: int, row: str) -> None:
    taught = scene(window("resting", 0.9), label("walking", windows))

    assert taught.picture(100.0) == (yellow("walking", row), inf)


def test_when_teaching_ends_it_shows_again_what_is_happening() -> None:
    taught = scene(window("resting", 0.95), label("walking", 3), label(NOT_LABELLING))

    assert taught.picture(100.0) == (white("resting", LEVELS[-1]), inf)


@pytest.mark.parametrize(("answer", "frame"), [(REFUSED, ALL_RED), (UNDONE, ALL_BLUE)])
def test_refused_and_undone_flash_once_over_whatever_is_shown(
    answer: Response, frame: bytes
) -> None:
    taught = scene(label("walking", 1))
    taught.choose(1, 100.0)
    taught.done_choosing()
    taught.hear(answer, 100.0)

    assert taught.picture(100.0) == (frame, 100.0 + FLASH_S)
    assert taught.picture(100.0 + FLASH_S) == (yellow("walking", "#-------"), inf)


def test_a_command_that_was_followed_does_not_flash() -> None:
    said = scene(Response(status="ok", data={"action": "started", "activity": "x", "windows": 0}))

    assert said.picture(100.0) == (DIM_QUESTION, inf)


def test_the_choices_are_a_ring_of_nothing_and_all_that_is_known() -> None:
    known = scene(info("Walking", "dancing", "resting"))
    right, left = [], []
    for _ in range(5):
        known.choose(1, 100.0)
        right.append(known.chosen)
    for _ in range(5):
        known.choose(-1, 100.0)
        left.append(known.chosen)

    assert right == ["dancing", "resting", "Walking", None, "dancing"]
    assert left == [None, "Walking", "resting", "dancing", None]


def test_a_choice_is_seen_with_its_place_and_then_what_is_happening_again() -> None:
    known = scene(info("dancing", "driving"), window("dancing", 0.95))
    known.choose(1, 100.0)
    assert known.picture(100.0) == (blue("D", "#......."), 100.0 + CHOICE_S)
    known.choose(1, 101.0)
    assert known.picture(104.9) == (blue("D", ".#......"), 101.0 + CHOICE_S)
    assert known.picture(105.0) == (white("D", LEVELS[-1]), inf)
    assert known.chosen == "driving"
    known.choose(1, 106.0)
    assert known.picture(106.0) == (NOTHING, 106.0 + CHOICE_S)


def test_a_choice_lasts_until_its_activity_is_forgotten() -> None:
    known = scene(info("dancing", "driving"))
    known.choose(-1, 100.0)
    known.hear(info("baking", "driving"), 101.0)
    assert known.chosen == "driving"
    known.hear(info("baking"), 102.0)
    assert known.chosen is None
    assert known.picture(102.0) == (NOTHING, 100.0 + CHOICE_S)
