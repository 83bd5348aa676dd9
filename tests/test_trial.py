"""Who is examined is taught what the protocol says, in that order, and asked the rest."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Self

import numpy as np
import pytest

from learner import Prediction, Recognizer
from learner.classifier import InexactError
from learner.evaluation.figures import Ways, protocol_figures, unknown_figures
from learner.evaluation.measures import UNKNOWN
from learner.evaluation.protocols import PROTOCOLS, ProtocolError, new_person, next_session
from learner.evaluation.trial import Answers, Outcome, Trial
from learner.evaluation.windows import Stretch, Windows, cut

RATE_HZ, NAMES = 10.0, ("low", "middle", "high")
HEIGHT = {0: 1.0, 1: 2.0, 2: 3.0, -1: 9.0}  # of the samples of each label
Event = tuple[Any, ...]


class Pupil:
    """Names the height that it was taught, and writes down what happens to it."""

    def __init__(self, diary: list[Event], *, starter: Self | None = None) -> None:
        self.known: dict[float, str] = dict(starter.known) if starter else {}
        self.lessons: int = starter.lessons if starter else 0
        self.diary = diary
        diary.append(("new", starter.lessons if starter else None))

    def learn(self, samples: Any, activity: str) -> None:
        self.known[float(samples.mean())] = activity
        self.lessons += 1
        self.diary.append(("learn", activity))

    def predict(self, samples: Any) -> Prediction:
        self.diary.append(("predict", len(self.known)))
        return self._named(samples)

    def observe(self, samples: Any) -> Prediction:
        self.diary.append(("observe", round(float(samples.mean()))))
        return self._named(samples)

    def gap(self) -> None:
        self.diary.append(("gap",))

    def _named(self, samples: Any) -> Prediction:
        name = self.known.get(float(samples.mean()))
        known = {each: 1.0 if each == name else 0.0 for each in self.known.values()}
        return Prediction(name, 1.0 if name else 0.0, 0.0 if name else 1.0, known)

    @classmethod
    def pool(cls, recognizers: Iterable[Self]) -> Self:
        members = list(recognizers)
        pooled = cls(members[0].diary)
        for member in members:
            pooled.known |= member.known
            pooled.lessons += member.lessons
        pooled.diary.append(("pool", [member.lessons for member in members]))
        return pooled


class Loner(Pupil):
    @classmethod
    def pool(cls, recognizers: Iterable[Self]) -> Self:
        raise InexactError(f"{len(list(recognizers))} loners")


def stretch(person: int, *blocks: tuple[int, float]) -> Stretch:
    labels = np.concatenate([np.full(round(s * RATE_HZ), label) for label, s in blocks])
    heights = np.array([HEIGHT[int(label)] for label in labels], np.float32)
    return Stretch(person, np.repeat(heights[:, None], 3, axis=1), labels)


def windows(*stretches: Stretch) -> Windows:
    return cut(stretches, RATE_HZ, 1.0, 1.0, NAMES)


SESSION = ((0, 3.0), (-1, 2.0), (1, 3.0), (0, 2.0))
TWO_SESSIONS = (stretch(0, *SESSION), stretch(0, *SESSION))


def examined(
    *stretches: Stretch, kind: type[Pupil] = Pupil, **options: Any
) -> tuple[Trial, list[Event]]:
    diary: list[Event] = []
    return Trial(windows(*stretches), partial(kind, diary), **options), diary


def test_the_first_session_is_taught_before_anything_is_asked() -> None:
    trial, diary = examined(*TWO_SESSIONS)
    outcome = trial.run("next_session", 0)

    lessons = [("learn", name) for name in ["low"] * 3 + ["middle"] * 3 + ["low"] * 2]
    assert diary[:9] == [("new", None), *lessons]
    assert diary[9:17] == [("predict", 2)] * 8
    assert outcome.n_taught == 8
    assert outcome.truth.tolist() == outcome.predict.named.tolist() == [0, 0, 0, 1, 1, 1, 0, 0]
    assert outcome.predict.confidence.tolist() == [1.0] * 8


def test_observe_is_told_of_a_gap_where_windows_do_not_follow_one_another() -> None:
    trial, diary = examined(*TWO_SESSIONS)
    trial.run("next_session", 0)
    observed = diary[17 : diary.index(("new", None), 1)]

    expected = [("gap",), *[("observe", 1)] * 3, ("gap",), *[("observe", 2)] * 3]
    assert observed == [*expected, ("observe", 1), ("observe", 1)]


def test_live_is_a_fresh_pupil_that_sees_what_lies_between() -> None:
    trial, diary = examined(*TWO_SESSIONS)
    outcome = trial.run("next_session", 0)
    live = diary[diary.index(("new", None), 1) :]

    assert [event[0] for event in live[:9]] == ["new"] + ["learn"] * 8
    assert live[9:] == [
        ("gap",),
        *(("observe", height) for height in [1] * 3 + [9] * 2 + [2] * 3 + [1] * 2),
    ]
    assert outcome.live.named.tolist() == outcome.truth.tolist()


def test_without_a_sense_of_time_everything_is_predict() -> None:
    trial, diary = examined(*TWO_SESSIONS, over_time=False)
    next_, test_train = trial.run("next_session", 0), trial.run("prequential", 0)

    assert next_.predict is next_.observe is next_.live
    assert test_train.predict is test_train.observe
    assert not {"observe", "gap"} & {event[0] for event in diary}


def test_prequential_asks_before_it_teaches() -> None:
    trial, diary = examined(*TWO_SESSIONS)
    outcome = trial.run("prequential", 0)

    assert [event[0] for event in diary[1:8]] == [
        *("predict", "gap", "observe", "learn"),
        *("predict", "observe", "learn"),
    ]
    assert outcome.predict.named.tolist() == [UNKNOWN, 0, 0, UNKNOWN, 1, 1, 0, 0]
    figures = protocol_figures(windows(*TWO_SESSIONS), [outcome], prequential=True)
    (mine,) = figures.people
    assert mine.prequential is not None
    assert mine.prequential.no_change == 5 / 8


def test_a_new_person_is_asked_what_everybody_else_has_taught() -> None:
    trial, diary = examined(*TWO_SESSIONS, stretch(1, (0, 4.0)), stretch(2, (1, 5.0)))
    outcome = trial.run("new_person", 0)

    assert ("pool", [4, 5]) in diary
    assert outcome.n_taught == 0
    assert outcome.tested.tolist() == new_person(windows(*TWO_SESSIONS), 0).tested.tolist()
    assert (outcome.predict.named == outcome.truth).all()


def test_what_each_person_taught_is_learnt_once() -> None:
    trial, diary = examined(*(stretch(person, (0, 9.0)) for person in range(4)))
    for person in range(4):
        trial.run("new_person", person)

    assert sum(event[0] == "learn" for event in diary) == 4 * 9


@pytest.mark.parametrize(
    ("protocol", "lessons"), [("new_person_next_session", 12), ("new_person_ten_seconds", 10)]
)
def test_a_starter_comes_before_the_persons_own_lessons(protocol: str, lessons: int) -> None:
    own = stretch(0, (0, 12.0))
    trial, diary = examined(own, own, stretch(1, (1, 7.0)))
    outcome = trial.run(protocol, 0)

    start = diary.index(("new", 7))
    assert diary[start + 1 : start + 1 + lessons] == [("learn", "low")] * lessons
    assert diary[start + 1 + lessons][0] == "predict"
    assert outcome.n_taught == lessons


def test_who_cannot_be_pooled_learns_from_everybody_in_turn() -> None:
    trial, diary = examined(*TWO_SESSIONS, stretch(1, (2, 2.0)), stretch(2, (1, 2.0)), kind=Loner)
    trial.run("new_person_next_session", 0)

    learnt = [event[1] for event in diary if event[0] == "learn"]
    assert learnt[:5] == ["high", "high", "middle", "middle", "low"]
    assert {event[0] for event in diary} == {"new", "learn", "predict", "observe", "gap"}


def test_alone_nobody_is_a_new_person() -> None:
    trial, _ = examined(*TWO_SESSIONS)

    with pytest.raises(ProtocolError, match="nobody else is there to learn from: expected"):
        trial.run("new_person", 0)


def test_every_activity_is_left_out_in_turn() -> None:
    trial, diary = examined(*TWO_SESSIONS)
    low, middle = trial.unknown(0)

    assert [event for event in diary if event[0] == "learn"] == [("learn", "middle")] * 3 + [
        ("learn", "low")
    ] * 5
    assert (low.left_out, middle.left_out) == (0, 1)
    assert (
        low.strange.tolist() == low.named_unknown.tolist() == [True] * 3 + [False] * 3 + [True] * 2
    )
    figures = unknown_figures(windows(*TWO_SESSIONS), [low, middle])
    assert figures.auroc_of_label == {"low": 1.0, "middle": 1.0}
    assert (figures.taught_called_unknown, figures.strange_called_unknown) == (0.0, 1.0)


def test_one_activity_alone_cannot_be_left_out() -> None:
    trial, _ = examined(stretch(0, (0, 9.0)))

    with pytest.raises(ProtocolError, match="one activity only: expected another"):
        trial.unknown(0)


def test_a_curve_teaches_so_many_windows_of_each_label_and_no_more() -> None:
    trial, diary = examined(*TWO_SESSIONS)
    accuracies = trial.curve(0, (1, 2, 4))

    lessons, asked = [], []
    for event in diary:
        lessons += [event[1]] if event[0] == "learn" else []
        asked += [len(lessons)] if event[0] == "predict" else []
    assert asked == [2] * 8 + [4] * 8 + [7] * 8  # of "middle" there are three
    assert accuracies == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_runs_with_the_recognizer_itself(protocol: str) -> None:
    rng = np.random.default_rng(0)

    def session(person: int) -> Stretch:
        plan = stretch(person, (0, 14.0), (1, 14.0))
        noise = rng.normal(size=plan.samples.shape).astype(np.float32)
        moving = plan.labels[:, None].astype(np.float32)
        return Stretch(person, plan.samples + moving * noise, plan.labels)

    all_ = windows(*(session(person) for person in (0, 0, 1, 1)))
    outcome = Trial(all_, partial(Recognizer, RATE_HZ, 3, 1.0)).run(protocol, 1)
    figures = protocol_figures(all_, [outcome], prequential=PROTOCOLS[protocol].prequential)

    # prequential is wrong at the first windows of each of two labels, of 28: this is no contest
    assert figures.accuracy_mean.predict >= 0.7
    assert np.sum(figures.confusion) == len(outcome.truth)


def test_figures_are_means_over_people_and_of_all_windows() -> None:
    all_ = windows(*TWO_SESSIONS, stretch(1, (0, 4.0)))
    tested, other = next_session(all_, 0).tested, all_.of(1)

    def said(names: list[int], confidence: float) -> Answers:
        return Answers(np.array(names), np.full(len(names), confidence), np.zeros(len(names)))

    right = said([0, 0, 0, 1, 1, 1, 0, 0], 1.0)
    late = said([0, 0, 0, 0, 1, 1, 1, UNKNOWN], 0.5)  # 5 of 8 right
    half = said([0, 0, 1, UNKNOWN], 0.5)
    outcomes = [
        Outcome(8, tested, all_.labels[tested], right, late, late),
        Outcome(3, other, all_.labels[other], half, half, half),
    ]
    figures = protocol_figures(all_, outcomes, prequential=False)
    first, second = figures.people

    assert (first.taught, first.tested, second.taught, second.tested) == (8, 8, 3, 4)
    assert figures.accuracy_mean == Ways(0.75, 0.5625, 0.5625)
    assert figures.accuracy_minimum == Ways(0.5, 0.5, 0.5)
    assert second.macro_f1.predict == pytest.approx(2 / 3)  # 2 · 2 / (4 + 2)
    assert figures.macro_f1_mean.predict == pytest.approx((1 + 2 / 3) / 2)
    assert figures.called_unknown == Ways(1 / 12, 2 / 12, 2 / 12)
    assert figures.calibration_error.predict == pytest.approx(0.0)  # sure and right, half and half
    assert figures.calibration_error.live == pytest.approx(abs(7 / 12 - 0.5))
    assert figures.confusion == [[7, 1, 0, 1], [0, 3, 0, 0], [0, 0, 0, 0]]
    assert (figures.predict_delay.changes, figures.predict_delay.counts) == (2, (2,))
    assert (figures.live_delay.median, figures.live_delay.counts) == (1.5, (0, 1, 1))
