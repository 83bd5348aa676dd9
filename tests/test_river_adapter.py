"""What River asks of a classifier, by its own checks; and what is said of ours.

No check is left out. They are given rows of a sensor instead of River's web pages and pictures,
which have none of its channels.
"""

import pickle
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
from motions import Samples, held, shaken

from learner.recognizer import Recognizer

pytest.importorskip("river", reason="River is not installed")

from river import checks, evaluate, metrics

from learner.adapters import BudgeStream

NAMES = ("ax", "ay", "az", "gx", "gy", "gz")


def rows(samples: Samples) -> list[dict[Any, float]]:
    return [dict(zip(NAMES, row, strict=False)) for row in samples.tolist()]


def day(blocks: int) -> Iterator[tuple[dict[Any, float], str]]:
    """Rows of two windows of each motion in turn, with their labels."""
    for seed in range(0, 2 * blocks, 2):
        moving = seed % 4 == 0
        for each in (seed, seed + 1):
            samples = shaken(2.0, 5.0, seed=each) if moving else held(seed=each)
            yield from ((row, "walking" if moving else "resting") for row in rows(samples))


def its_checks() -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_yield_datasets", lambda _model, scale=1: [list(day(4 * scale))])
        asked = checks.yield_checks(BudgeStream())
        return [pytest.param(check, id=check.__name__) for check in asked]


@pytest.mark.parametrize("check", its_checks())
def test_river_finds_a_classifier(check: Callable[[Any], None]) -> None:
    check(BudgeStream())


def test_a_stream_teaches_each_half_window_that_has_one_label() -> None:
    stream, recognizer, lessons = BudgeStream(), Recognizer(50.0, 6, 2.56), list(day(5))
    lessons = lessons[30:]  # so that changes do not fall on the edges of windows
    for x, y in lessons:
        stream.learn_one(x, y)
    samples = np.array([[*x.values()] for x, _ in lessons], np.float32)
    left_out = 0
    for first in range(0, len(lessons) - 127, 64):
        labels = [label for _, label in lessons[first : first + 128]]
        walking = labels.count("walking")
        if max(walking, 128 - walking) >= 103:  # 80 % of 128
            its = "walking" if walking > 64 else "resting"
            recognizer.learn(samples[first : first + 128], its)
        else:
            left_out += 1

    assert stream._recognizer.digest() == recognizer.digest()
    assert left_out > 0


def test_a_stream_is_right_about_what_comes_next() -> None:
    stream = BudgeStream()
    for x, y in day(4):
        stream.learn_one(x, y)
    stream.gap()
    accuracy: Any = metrics.Accuracy()  # type: ignore[no-untyped-call,unused-ignore]

    # at each change it takes half a window, a quarter of a block, until it can know
    assert evaluate.progressive_val_score(day(8), stream, accuracy).get() > 0.7


def test_before_a_window_is_whole_it_knows_how_often_each_label_was_said() -> None:
    stream, lessons = BudgeStream(), rows(held())
    assert stream.predict_proba_one(lessons[0]) == {}
    assert stream.predict_one(lessons[0]) is None
    for x, y in zip(lessons, [1, 2, 2, 2], strict=False):
        stream.learn_one(x, y)

    assert stream.predict_proba_one(lessons[4]) == {1: 0.25, 2: 0.75}


def test_a_row_without_a_label_moves_the_window_and_teaches_nothing() -> None:
    stream = BudgeStream()
    for x, y in day(4):
        stream.learn_one(x, y)
    stream.gap()
    learnt = stream._recognizer.digest()
    for x in chain(rows(held(seed=50)), rows(held(seed=51))):
        stream.learn_one(x)
    assert stream.predict_one(x) == "resting"

    for x in rows(shaken(2.0, 5.0, seed=52)):
        stream.learn_one(x)
    assert stream.predict_one(x) == "walking"
    assert stream._recognizer.digest() == learnt


def test_asking_changes_nothing() -> None:
    stream = BudgeStream()
    for x, y in day(4):
        stream.learn_one(x, y)
    before = pickle.dumps(stream)
    for x in rows(shaken(9.0, 30.0)):
        stream.predict_proba_one(x)

    assert pickle.dumps(stream) == before


def test_no_window_of_a_stream_holds_both_sides_of_a_gap() -> None:
    stream = BudgeStream()
    for x in rows(held())[:100]:
        stream.learn_one(x, "sitting")
    stream.gap()
    for x in rows(held())[:127]:
        stream.learn_one(x, "resting")
    assert stream._recognizer.activities == {}

    stream.learn_one(x, "resting")
    assert stream._recognizer.activities == {"resting": 1}
    assert stream.predict_proba_one(x)["sitting"] == 0.0

    stream.gap()
    assert stream.predict_proba_one(x)["sitting"] == 100 / 228


def test_a_channel_keeps_its_last_value_and_a_row_of_none_is_refused() -> None:
    stream = BudgeStream(channels=NAMES[:3])
    first, second = rows(held(n_channels=3))[:2]
    stream.learn_one({"ax": first["ax"]})  # no row yet: two channels were never seen
    stream.learn_one({"ay": first["ay"], "az": first["az"], "button": True})
    stream.learn_one({"az": second["az"]})
    assert list(stream._window) == [[*first.values()], [first["ax"], first["ay"], second["az"]]]

    with pytest.raises(
        ValueError, match=r"x has \['x', 'y'\], expected some of the channels \('ax"
    ):
        stream.learn_one({"x": 1.0, "y": 2.0}, "resting")
    with pytest.raises(ValueError, match="x has nan as ay, expected a finite number"):
        stream.predict_one({"ay": float("nan")})


def test_a_pickled_stream_goes_on_as_if_nothing_had_happened() -> None:
    stream, lessons = BudgeStream(), list(day(5))
    for x, y in lessons[:700]:
        stream.learn_one(x, y)
    again = pickle.loads(pickle.dumps(stream))  # noqa: S301 - just made
    for x, y in lessons[700:]:
        stream.learn_one(x, y)
        again.learn_one(x, y)

    assert again._recognizer.digest() == stream._recognizer.digest()
    assert again.predict_proba_one(lessons[0][0]) == stream.predict_proba_one(lessons[0][0])
