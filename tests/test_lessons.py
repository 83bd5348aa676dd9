"""What the user said, and what follows from it: the model is a fold over the journal."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner import Recognizer
from learner.journal import Annotation, Journal
from learner.lessons import Stretch, Teacher, paint, painted

RATE_HZ, WINDOW_S, HOP = 20.0, 1.0, 10
GUARD_US = 500_000
SCALE = np.full(3, 1 / 256, np.float32)
S = 1_000_000  # a second in journal time


def said(activity: str, start_s: float, end_s: float | None, number: int = 1) -> Annotation:
    return Annotation(
        number, activity, round(start_s * S), None if end_s is None else round(end_s * S), "test"
    )


def stretches(*parts: tuple[float, float, str]) -> list[Stretch]:
    return [Stretch(round(start * S), round(end * S), name) for start, end, name in parts]


def test_a_later_annotation_lies_over_an_earlier_one() -> None:
    annotations = [said("walking", 0, 60), said("stairs", 20, 30)]

    assert paint(annotations, 0) == stretches(
        (0, 20, "walking"), (20, 30, "stairs"), (30, 60, "walking")
    )


def test_touching_stretches_of_one_activity_have_no_border_between_them() -> None:
    assert paint([said("walking", 0, 10), said("walking", 10, 20)], 0) == stretches(
        (0, 20, "walking")
    )


def test_an_open_annotation_reaches_to_now() -> None:
    assert paint([said("walking", 5, None)], 9 * S) == stretches((5, 9, "walking"))


def test_a_window_is_painted_only_if_one_activity_covers_all_of_it() -> None:
    painting = stretches((0, 10, "walking"), (10, 20, "stairs"))

    assert painted(painting, 8 * S, 10 * S) == "walking"
    assert painted(painting, 9 * S, 11 * S) is None
    assert painted(painting, 19 * S, 21 * S) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.integers(0, 30), st.one_of(st.none(), st.integers(0, 30))
        ),
        max_size=8,
    )
)
def test_painting_agrees_with_a_brush_moved_second_by_second(
    annotations: list[tuple[str, int, int | None]],
) -> None:
    canvas: list[str | None] = [None] * 30
    for activity, start, end in annotations:
        for second in range(start, 30 if end is None else end):
            canvas[second] = activity

    painting = paint([said(a, s, e) for a, s, e in annotations], 30 * S)

    assert [painted(painting, t * S, (t + 1) * S) for t in range(30)] == canvas
    assert all(one.end_us <= two.start_us for one, two in pairwise(painting))


def recognizer() -> Recognizer:
    return Recognizer(rate_hz=RATE_HZ, n_channels=3, window_s=WINDOW_S)


def rows(seed: int, seconds: float) -> NDArray[np.int16]:
    shaken = np.random.default_rng(seed).normal(size=(round(seconds * RATE_HZ), 3))
    return (shaken * 256 * 3 + [0, 0, 9.8 * 256]).astype(np.int16)


@pytest.fixture(name="journals")
def _journals(tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    """Fresh journals, as many as a test wants."""
    opened: list[Journal] = []

    def fresh() -> Journal:
        opened.append(Journal(tmp_path / f"{len(opened)}.sqlite"))
        return opened[-1]

    yield fresh
    for journal in opened:
        journal.close()


def learner_of(journal: Journal) -> tuple[Recognizer, Teacher]:
    model = recognizer()
    return model, Teacher(journal, model, hop=HOP, guard_us=GUARD_US)


def test_windows_within_the_guard_zones_are_not_taught(journals: Callable[[], Journal]) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    journal.begin_run(0, RATE_HZ, SCALE, "start")
    journal.append(rows(1, 20))
    journal.annotate("walking", 5 * S, 10 * S, "test")
    teacher.follow()

    # Windows of 1 s every 0.5 s inside 5.5 … 9.5 s begin at 5.5, 6.0, … 8.5.
    assert model.activities == {"walking": 7}


def test_a_correction_takes_back_what_straddles_its_border(journals: Callable[[], Journal]) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    journal.begin_run(0, RATE_HZ, SCALE, "start")
    journal.append(rows(1, 30))
    journal.annotate("walking", 0, 30 * S, "test")
    teacher.follow()
    before, digest = model.activities, model.digest()
    journal.annotate("stairs", 10 * S, 20 * S, "test")
    teacher.follow()
    corrected = model.activities
    journal.retract(journal.annotations[-1])
    teacher.follow()

    # 30 s hold windows at 0.5 … 28.5; 10 s hold 17 of stairs, and 17 before and after of walking.
    assert before == {"walking": 57}
    assert corrected == {"walking": 34, "stairs": 17}
    assert model.activities == before
    assert model.digest() == digest


def test_a_window_never_spans_a_gap_even_if_the_annotation_does(
    journals: Callable[[], Journal],
) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    for start_s in (0, 6):
        journal.begin_run(start_s * S, RATE_HZ, SCALE, "start")
        journal.append(rows(start_s, 5))
    journal.annotate("walking", 0, 11 * S, "test")
    teacher.follow()

    # Run one: 0.5 … 4.0. Run two, with its own grid: 6.0 … 9.5. None over the gap from 5 to 6.
    assert model.activities == {"walking": 8 + 8}


# A day in steps: rows arrive, a run ends, something is said or taken back.
STEPS = st.one_of(
    st.tuples(st.just("rows"), st.integers(1, 20)),
    st.tuples(st.just("gap"), st.integers(1, 3)),
    st.tuples(st.just("start"), st.sampled_from(["walking", "stairs"])),
    st.tuples(st.just("stop"), st.integers(-2000, 5000)),
    st.tuples(
        st.just("span"),
        st.sampled_from(["walking", "stairs"]),
        st.integers(0, 200),
        st.integers(1, 100),
    ),
    st.tuples(st.just("undo"), st.integers(0, 3)),
)


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, max_size=20))
def test_the_model_that_learnt_live_is_the_one_rebuilt_bit_for_bit(
    journals: Callable[[], Journal], steps: list[tuple[object, ...]]
) -> None:
    journal = journals()
    live, teacher = learner_of(journal)
    journal.begin_run(0, RATE_HZ, SCALE, "start")
    for step, (kind, *rest) in enumerate(steps):
        now = journal.end_us
        match kind, rest:
            case "rows", [int(seconds)]:
                for part in range(seconds // 5 + 1):  # in pieces, as they come from a sensor
                    journal.append(rows(100 * step + part, min(5, seconds - 5 * part)))
                    teacher.follow()
            case "gap", [int(seconds)]:
                journal.begin_run(now + seconds * S, RATE_HZ, SCALE, "unplugged")
            case "start", [str(activity)] if journal.open_annotation is None:
                journal.annotate(activity, now, None, "test")
            case "stop", [int(milliseconds)] if journal.open_annotation is not None:
                # The press comes before the rows of its moment: the end may lie ahead of them.
                opened = journal.open_annotation
                journal.finish(opened, max(opened.start_us, now + milliseconds * 1000))
            case "span", [str(activity), int(back), int(tenths)]:
                start_us = max(0, now - back * S // 10)
                journal.annotate(activity, start_us, start_us + tenths * S // 10, "test")
            case "undo", [int(back)] if len(journal.annotations) > back:
                journal.retract(journal.annotations[-1 - back])
        teacher.follow()

    rebuilt, second = learner_of(journal)
    second.rebuild()

    assert rebuilt.activities == live.activities
    assert rebuilt.digest() == live.digest()
