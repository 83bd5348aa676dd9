"""A stop that was forgotten, noticed by the motion."""

import pytest

from deploy.second_thoughts import KNOWN, LEARNT, STRANGE_WINDOWS, SecondThoughts
from learner.recognizer import Prediction

HOP_US = 2_560_000
WALKING = Prediction("walking", 0.95, 0.1, {})
SITTING = Prediction("sitting", 0.95, 0.1, {})
PERHAPS_SITTING = Prediction("sitting", 0.6, 0.1, {})
UNLIKE_ANY = Prediction(None, 0.0, 0.9, {})
PLENTY = 30


def follow(thoughts: SecondThoughts, *seen: Prediction, learnt: int = PLENTY) -> list[bool]:
    """Judge windows of a stretch of walking, a hop apart, from its beginning."""
    return [
        thoughts.follow("walking", learnt, prediction, k * HOP_US, (k + 2) * HOP_US)
        for k, prediction in enumerate(seen)
    ]


@pytest.mark.parametrize("other", [SITTING, UNLIKE_ANY], ids=["another", "unknown"])
def test_another_motion_for_long_enough_is_for_good(other: Prediction) -> None:
    thoughts = SecondThoughts()
    final = follow(thoughts, *[WALKING] * 10, *[other] * STRANGE_WINDOWS)

    assert final == [False] * (9 + STRANGE_WINDOWS) + [True]
    assert thoughts.since_us == 10 * HOP_US  # the start of the first strange window


def test_a_traffic_light_is_not_for_good() -> None:
    thoughts = SecondThoughts()
    final = follow(thoughts, *[WALKING] * 10, *[SITTING] * (STRANGE_WINDOWS - 1), WALKING)
    assert not any(final)
    assert thoughts.since_us is None

    assert not any(follow(thoughts, *[SITTING] * (STRANGE_WINDOWS - 1)))


def test_what_is_only_perhaps_something_else_is_learnt_on() -> None:
    thoughts = SecondThoughts()

    assert not any(follow(thoughts, *[WALKING] * 10, *[PERHAPS_SITTING] * 40))
    assert thoughts.since_us is None


def test_until_it_knows_what_is_taught_nothing_is_strange() -> None:
    thoughts = SecondThoughts()

    assert not any(follow(thoughts, *[SITTING] * 40))  # it never looked like walking
    assert not any(follow(thoughts, *[WALKING] * 9, *[SITTING] * 40, learnt=LEARNT - 1))
    assert thoughts.since_us is None


def test_it_must_have_looked_like_itself_on_end() -> None:
    thoughts = SecondThoughts()
    seen = [*[WALKING] * (KNOWN - 1), SITTING] * 10

    assert not any(follow(thoughts, *seen))
    assert thoughts.since_us is None


def test_short_windows_need_as_long() -> None:
    thoughts = SecondThoughts()
    for k in range(20):
        thoughts.follow("walking", PLENTY, WALKING, k * 250_000, k * 250_000 + 500_000)
    final = [
        thoughts.follow("walking", PLENTY, SITTING, k * 250_000, k * 250_000 + 500_000)
        for k in range(20, 20 + 119)
    ]

    assert final == [False] * 118 + [True]  # 30 s
