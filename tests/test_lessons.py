"""What the user said, and what follows from it: the model is a fold over the journal."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner import Recognizer, lessons
from learner.classifier import InexactError
from learner.features import Samples
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
    return model, teacher_of(journal, model)


def teacher_of(journal: Journal, model: Recognizer) -> Teacher:
    return Teacher(journal, model, hop=HOP, guard_us=GUARD_US)


def rebuilt(journal: Journal) -> Recognizer:
    """Learn what the next process finds in the file."""
    with Journal(journal._path) as again:
        model, teacher = learner_of(again)
        teacher.rebuild()
    return model


class Ordered(Recognizer):
    """Of a kind that cannot subtract: what it has learnt is its lessons in their order."""

    def __init__(self) -> None:
        super().__init__(rate_hz=RATE_HZ, n_channels=3, window_s=WINDOW_S)
        self.lessons: list[tuple[str, bytes]] = []

    @property
    def order_free(self) -> bool:
        return False

    def learn(self, samples: Samples, activity: str) -> None:
        super().learn(samples, activity)
        self.lessons.append((activity, samples.tobytes()))

    def unlearn(self, samples: Samples, activity: str) -> None:
        raise InexactError("what was learnt cannot be told apart")

    def rename(self, old: str, new: str) -> None:
        if new in self.activities:
            raise InexactError("two cannot become one")
        super().rename(old, new)
        self.lessons = [(new if name == old else name, window) for name, window in self.lessons]

    def clear(self) -> None:
        super().clear()
        self.lessons = []


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


def test_a_correction_finds_the_windows_of_a_sensor_that_is_a_little_slow(
    journals: Callable[[], Journal],
) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    journal.begin_run(0, 19.92, SCALE, "start")
    journal.append(rows(1, 30))
    journal.annotate("walking", 0, 30 * S, "test")
    teacher.follow()
    # Window 20 is 10.040 … 11.044 s and longer than a second: with its guard it reaches 11.544 s.
    journal.annotate("stairs", 11_542_000, 20 * S, "test")
    teacher.follow()

    assert model.digest() == rebuilt(journal).digest()


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


ACTIVITIES = st.sampled_from(["walking", "stairs", "cycling"])

# A day in steps: rows arrive, a run ends, something is said, taken back, renamed or forgotten.
STEPS = st.one_of(
    st.tuples(st.just("rows"), st.integers(1, 20)),
    st.tuples(st.just("gap"), st.integers(1, 3)),
    st.tuples(st.just("start"), ACTIVITIES),
    st.tuples(st.just("stop"), st.integers(-2000, 5000)),
    st.tuples(st.just("span"), ACTIVITIES, st.integers(0, 200), st.integers(1, 100)),
    st.tuples(st.just("undo"), st.integers(0, 3)),
    st.tuples(st.just("rename"), ACTIVITIES, ACTIVITIES),
    st.tuples(st.just("forget"), ACTIVITIES),
    st.tuples(st.just("forget between"), st.integers(0, 200), st.integers(1, 100)),
)


def live(journal: Journal, teacher: Teacher, steps: list[tuple[object, ...]]) -> None:  # noqa: C901 a case a step
    """Live through the steps; the model follows each."""
    journal.begin_run(0, RATE_HZ, SCALE, "start")
    for step, (kind, *rest) in enumerate(steps):
        now = journal.end_us
        opened = journal.open_annotation
        match kind, rest:
            case "rows", [int(seconds)]:
                for part in range(seconds // 5 + 1):  # in pieces, as they come from a sensor
                    journal.append(rows(100 * step + part, min(5, seconds - 5 * part)))
                    teacher.follow()
            case "gap", [int(seconds)]:
                slower_hz = RATE_HZ * (1 - 0.0016 * seconds)  # longer windows, the grid's still
                journal.begin_run(now + seconds * S, slower_hz, SCALE, "unplugged")
            case "start", [str(activity)] if opened is None:
                journal.annotate(activity, now, None, "test")
            case "stop", [int(milliseconds)] if opened is not None:
                # The press comes before the rows of its moment: the end may lie ahead of them.
                journal.finish(opened, max(opened.start_us, now + milliseconds * 1000))
            case "span", [str(activity), int(back), int(tenths)]:
                start_us = max(0, now - back * S // 10)
                journal.annotate(activity, start_us, start_us + tenths * S // 10, "test")
            case "undo", [int(back)] if len(journal.annotations) > back:
                journal.retract(journal.annotations[-1 - back])
            case "rename", [str(old), str(new)] if old != new:
                teacher.rename(old, new)
            case "forget", [str(activity)] if opened is None or opened.activity != activity:
                journal.forget(activity)
                teacher.finish()
                journal.wipe()
            case "forget between", [int(back), int(tenths)] if opened is None:
                start_us = max(0, now - back * S // 10)
                journal.forget_between(start_us, start_us + tenths * S // 10)
                teacher.finish()
                journal.wipe()
        teacher.follow()


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, max_size=20), st.sampled_from([3, 256]))
def test_the_model_that_learnt_live_is_the_one_rebuilt_bit_for_bit(
    journals: Callable[[], Journal], steps: list[tuple[object, ...]], at_most: int
) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "LESSON_WINDOWS", at_most)
        live(journal, teacher, steps)
    teacher.finish()

    again = rebuilt(journal)
    assert again.activities == model.activities
    assert again.digest() == model.digest()


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, max_size=20))
def test_what_cannot_subtract_has_learnt_the_same_windows_in_whatever_order(
    journals: Callable[[], Journal], steps: list[tuple[object, ...]]
) -> None:
    journal, model, again = journals(), Ordered(), Ordered()
    live(journal, teacher_of(journal, model), steps)
    teacher_of(journal, again).rebuild()

    assert sorted(model.lessons) == sorted(again.lessons)


def taught_as_it_happened(journal: Journal, teacher: Teacher, *activities: str) -> None:
    """Say what is done for 20 s each, one after the other."""
    journal.begin_run(0, RATE_HZ, SCALE, "start")
    for seed, activity in enumerate(activities):
        said = journal.annotate(activity, journal.end_us, None, "test")
        for part in range(4):
            journal.append(rows(10 * seed + part, 5))
            teacher.follow()
        journal.finish(said, journal.end_us)
        teacher.follow()


def test_what_cannot_subtract_and_was_taught_as_it_happened_is_the_model_rebuilt(
    journals: Callable[[], Journal],
) -> None:
    journal, model, again = journals(), Ordered(), Ordered()
    taught_as_it_happened(journal, teacher_of(journal, model), "walking", "stairs", "walking")
    teacher_of(journal, again).rebuild()

    assert model.activities == {"walking": 74, "stairs": 37}
    assert model.lessons == again.lessons


@pytest.mark.parametrize("change", ["undo", "merge", "forget"])
def test_what_cannot_subtract_is_taught_anew_in_the_order_of_time(
    journals: Callable[[], Journal], change: str
) -> None:
    journal, model, again = journals(), Ordered(), Ordered()
    teacher = teacher_of(journal, model)
    taught_as_it_happened(journal, teacher, "walking", "stairs", "cycling")
    journal.annotate("stairs", 2 * S, 12 * S, "test")  # of time that is past: out of order
    teacher.follow()
    match change:
        case "undo":
            journal.retract(journal.annotations[-1])
        case "merge":
            teacher.rename("stairs", "walking")
        case "forget":
            journal.forget("stairs")
    windows = teacher.finish()
    teacher_of(journal, again).rebuild()

    assert model.lessons == again.lessons
    # 10 s hold 17 windows, and 3 straddle each of its ends.
    assert windows == {"undo": 17 + 6, "merge": 0, "forget": 37 + 17 + 6}[change]


def test_another_name_costs_what_cannot_subtract_no_lesson(
    journals: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, model = journals(), Ordered()
    teacher = teacher_of(journal, model)
    taught_as_it_happened(journal, teacher, "walking", "stairs")
    monkeypatch.setattr(model, "learn", None)
    teacher.rename("walking", "strolling")

    assert model.activities == {"strolling": 37, "stairs": 37}


def test_a_merger_teaches_what_straddled_the_border_between_the_two(
    journals: Callable[[], Journal],
) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    taught_as_it_happened(journal, teacher, "walking", "strolling", "stairs")
    before = model.activities
    teacher.rename("strolling", "walking")

    # 20 s hold windows at 0.5 … 18.5 s, 40 s hold them at 0.5 … 38.5 s.
    assert before == {"walking": 37, "strolling": 37, "stairs": 37}
    assert model.activities == {"walking": 77, "stairs": 37}
    assert model.digest() == rebuilt(journal).digest()


def test_an_undo_reaches_what_was_said_before_a_rename(journals: Callable[[], Journal]) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    taught_as_it_happened(journal, teacher, "walking")
    digest = model.digest()
    taught_as_it_happened(journal, teacher, "stairs")
    teacher.rename("stairs", "steps")
    journal.retract(journal.annotations[-1])
    teacher.follow()

    assert model.activities == {"walking": 37}
    assert model.digest() == digest


def test_what_is_forgotten_was_never_taught(journals: Callable[[], Journal]) -> None:
    models = []
    for said in (["walking", "stairs", "walking"], ["walking", "walking"]):
        journal = journals()
        model, teacher = learner_of(journal)
        journal.begin_run(0, RATE_HZ, SCALE, "start")
        journal.append(rows(1, 60))
        for activity, start_s in zip(said, (0, 10, 40) if len(said) == 3 else (0, 40), strict=True):
            journal.annotate(activity, start_s * S, (start_s + 20) * S, "test")
            teacher.follow()
        if "stairs" in said:
            journal.forget("stairs")
            assert teacher.finish() > 0
            journal.wipe()
        models.append(model)

    assert models[0].activities == {"walking": 74}
    assert models[0].digest() == models[1].digest()


def test_hours_taught_at_once_are_learnt_a_part_a_call(journals: Callable[[], Journal]) -> None:
    journal = journals()
    model, teacher = learner_of(journal)
    journal.begin_run(0, RATE_HZ, SCALE, "start")
    journal.append(rows(1, 300))
    journal.annotate("walking", 0, 300 * S, "test")
    first, more = teacher.follow(), [teacher.behind]
    journal.append(rows(2, 10))  # rows go on, and what is said
    journal.annotate("stairs", 301 * S, 310 * S, "test")
    while teacher.behind:
        teacher.follow()
        more.append(teacher.behind)

    assert first == lessons.LESSON_WINDOWS == 256
    assert more == [True, True, False]
    assert model.activities == {"walking": 597, "stairs": 15}
    assert model.digest() == rebuilt(journal).digest()
