"""What every file in `learner/classifiers/` promises, and a new one the moment it exists."""

from collections.abc import Callable, Mapping
from inspect import isfunction, signature
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import Samples, held, shaken
from numpy.typing import NDArray

from learner import Recognizer
from learner import classifier as contract
from learner.classifier import Classifier, InexactError, WindowShape

SHAPE = WindowShape(50.0, 6, 128)
SMALL = WindowShape(25.0, 3, 32)
STATE = Mapping[str, NDArray[np.generic]]


@pytest.fixture(scope="module", params=contract.names(), name="name")
def _name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", name="exact_name")
def _exact_name(name: str) -> str:
    if not contract.named(name, SHAPE).order_free:
        pytest.skip(f"{name} depends on the order of its lessons")
    return name


@pytest.fixture(scope="module", name="inexact_name")
def _inexact_name(name: str) -> str:
    if contract.named(name, SHAPE).order_free:
        pytest.skip(f"{name} is exact")
    return name


def taught(name: str, windows: int = 6) -> Classifier:
    learner = contract.named(name, SHAPE)
    for seed in range(windows):
        learner.learn(shaken(2.0, 5.0, seed=seed), "walking")
        learner.learn(held(seed=seed), "resting")
    return learner


def same(state: STATE, other: STATE) -> bool:
    return state.keys() == other.keys() and all(
        np.array_equal(state[key], other[key]) for key in state
    )


def test_it_has_every_method_of_the_contract_with_the_same_parameters(name: str) -> None:
    kind = type(contract.named(name, SHAPE))
    for method, promised in vars(Classifier).items():
        if isfunction(promised) and (method == "__init__" or not method.startswith("_")):
            parameters = list(signature(getattr(kind, method)).parameters)

            # the first is the learner, whatever it is called
            assert parameters[1:] == list(signature(promised).parameters)[1:], method


def test_it_tells_apart_what_it_was_taught(name: str) -> None:
    learner = taught(name)

    assert list(learner.activities.items()) == [("walking", 6), ("resting", 6)]
    for seed in range(100, 110):
        assert learner.judge(shaken(2.0, 5.0, seed=seed)).probabilities.argmax() == 0
        assert learner.judge(held(seed=seed)).probabilities.argmax() == 1


def test_it_judges_from_the_first_window_on(name: str) -> None:
    learner = contract.named(name, SHAPE)
    assert learner.judge(held()).probabilities.size == 0

    for count, activity in enumerate(["a", "b", "b", "c"], start=1):
        learner.learn(shaken(float(count), 4.0), activity)
        probabilities, novelty = learner.judge(held())

        assert len(probabilities) == len(learner.activities)
        assert probabilities.min() >= 0.0
        assert probabilities.sum() == pytest.approx(1.0)
        assert 0.0 <= novelty <= 1.0


@pytest.mark.parametrize("shape", [WindowShape(20.0, 3, 10), WindowShape(200.0, 6, 2000)])
def test_it_takes_windows_of_any_shape(name: str, shape: WindowShape) -> None:
    learner = contract.named(name, shape)
    samples = np.ones((shape.rows, shape.n_channels), dtype=np.float32)
    learner.learn(samples, "still")

    npt.assert_allclose(learner.judge(samples).probabilities, [1.0])


def test_asking_changes_nothing(name: str) -> None:
    learner = taught(name)
    before = {key: array.copy() for key, array in learner.state().items()}
    first, window = learner.judge(held(seed=7)), held(seed=7)
    learner.judge(window)
    learner.judge(shaken(9.0, 30.0))
    again = learner.judge(held(seed=7))

    npt.assert_array_equal(window, held(seed=7))
    npt.assert_array_equal(again.probabilities, first.probabilities)
    assert again.novelty == first.novelty
    assert same(learner.state(), before)


def test_watching_is_judging_until_something_was_noticed_and_teaches_nothing(name: str) -> None:
    learner = taught(name)
    before = {key: array.copy() for key, array in learner.state().items()}
    first, watched = learner.judge(held(seed=7)), learner.watch(held(seed=7))
    for seed in range(20):
        learner.watch(held(seed=seed))
        learner.notice("resting")
    again = learner.judge(held(seed=7))

    for verdict in [watched, again]:
        npt.assert_array_equal(verdict.probabilities, first.probabilities)
        assert verdict.novelty == first.novelty
    assert same(learner.state(), before)


def test_state_carries_all_that_was_learnt(name: str) -> None:
    learner, other = taught(name), contract.named(name, SHAPE)
    other.restore(learner.activities, learner.state())
    learner.learn(shaken(3.0, 5.0), "running")
    other.learn(shaken(3.0, 5.0), "running")

    assert list(other.activities.items()) == list(learner.activities.items())
    assert same(other.state(), learner.state())
    npt.assert_array_equal(
        other.judge(shaken(2.5, 5.0)).probabilities, learner.judge(shaken(2.5, 5.0)).probabilities
    )


def test_a_restored_learner_shares_nothing_with_the_state_it_came_from(name: str) -> None:
    learner, other = taught(name), contract.named(name, SHAPE)
    state, activities = learner.state(), dict(learner.activities)
    before = {key: array.copy() for key, array in state.items()}
    other.restore(activities, state)
    other.learn(held(seed=50), "resting")
    other.learn(held(seed=51), "sleeping")

    assert same(state, before)
    assert activities == learner.activities == {"walking": 6, "resting": 6}
    assert same(learner.state(), before)


def test_the_state_of_another_shape_is_refused(name: str) -> None:
    other = contract.named(name, WindowShape(50.0, 3, 128))

    with pytest.raises(ValueError, match="expected"):
        other.restore(taught(name).activities, taught(name).state())
    with pytest.raises(KeyError):
        other.restore({}, {})
    assert other.activities == {}


def test_what_cannot_be_exact_is_refused_and_changes_nothing(inexact_name: str) -> None:
    learner = taught(inexact_name)
    before = {key: array.copy() for key, array in learner.state().items()}
    with pytest.raises(InexactError, match=f"{inexact_name}.* teach an empty one"):
        learner.unlearn(held(seed=0), "resting")
    with pytest.raises(InexactError, match=f"{inexact_name}.* teach an empty one"):
        learner.add(taught(inexact_name))
    with pytest.raises(InexactError, match=f"{inexact_name}.* teach an empty one"):
        learner.rename("walking", "resting")

    assert same(learner.state(), before)
    assert list(learner.activities.items()) == [("walking", 6), ("resting", 6)]


def test_what_is_unlearnt_was_never_there(exact_name: str) -> None:
    learner = taught(exact_name)
    for seed in range(6):
        learner.unlearn(shaken(2.0, 5.0, seed=seed), "walking")
    assert list(learner.activities) == ["resting"]

    for seed in range(6):
        learner.unlearn(held(seed=seed), "resting")
    assert learner.activities == {}
    assert same(learner.state(), contract.named(exact_name, SHAPE).state())


def test_nobody_unlearns_what_was_not_taught(name: str) -> None:
    r = Recognizer(rate_hz=50.0, n_channels=6, window_s=2.56, classifier=name)
    with pytest.raises(ValueError, match="'running' was never taught; taught: nothing"):
        r.unlearn(held(), "running")
    r.learn(shaken(2.0, 5.0), "walking")
    r.learn(held(), "resting")
    before = r.digest()

    with pytest.raises(ValueError, match="'running' was never taught; taught: walking, resting"):
        r.unlearn(held(), "running")
    assert r.digest() == before


def test_another_window_than_was_taught_is_not_unlearnt(exact_name: str) -> None:
    learner = taught(exact_name, windows=1)
    before = learner.state()

    with pytest.raises(ValueError, match="not the window that was taught as 'resting'"):
        learner.unlearn(held(seed=99), "resting")
    assert same(learner.state(), before)


def test_adding_is_learning_what_the_other_has_learnt(exact_name: str) -> None:
    learner, other, both = taught(exact_name), contract.named(exact_name, SHAPE), taught(exact_name)
    for pupil in [other, both]:
        pupil.learn(shaken(3.0, 5.0, seed=1), "running")
        pupil.learn(shaken(2.0, 5.0, seed=77), "walking")
    before = {key: array.copy() for key, array in other.state().items()}
    learner.add(other)

    assert learner.activities == both.activities == {"walking": 7, "resting": 6, "running": 1}
    assert same(learner.state(), both.state())
    assert same(other.state(), before)


def test_another_name_is_only_another_name(name: str) -> None:
    learner = taught(name)
    before = learner.judge(shaken(2.5, 5.0)).probabilities
    learner.rename("walking", "strolling")

    assert list(learner.activities.items()) == [("strolling", 6), ("resting", 6)]
    npt.assert_array_equal(learner.judge(shaken(2.5, 5.0)).probabilities, before)


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_merged_activities_are_one(exact_name: str, order: list[str]) -> None:
    learner, one = contract.named(exact_name, SHAPE), contract.named(exact_name, SHAPE)
    for seed in range(4):
        learner.learn(held(seed=seed), "resting")
        one.learn(held(seed=seed), "resting")
        learner.learn(shaken(2.0, 5.0, seed=seed), order[seed % 2])
        one.learn(shaken(2.0, 5.0, seed=seed), "b")
    learner.rename("a", "b")

    assert learner.activities == one.activities
    assert same(learner.state(), one.state())


# --- whatever is taught, in whatever order ------------------------------------------------------

# a lesson is (what, which window of it)
MOTIONS: dict[str, list[Samples]] = {
    name: [
        shaken(hz, amplitude, seed=seed, rate_hz=25.0, n_channels=3, window_s=1.28)
        for seed in range(3)
    ]
    for name, hz, amplitude in [
        ("resting", 1.0, 0.0), ("walking", 2.0, 5.0), ("running", 3.0, 12.0), ("absurd", 5.0, 1e6)
    ]
}  # fmt: skip
LESSON = st.tuples(st.sampled_from(sorted(MOTIONS)), st.integers(0, 2))
LESSONS = st.lists(LESSON, min_size=1, max_size=12)
PROBES = [MOTIONS["resting"][0], shaken(2.5, 8.0, rate_hz=25.0, n_channels=3, window_s=1.28)]


def small(name: str, lessons: list[tuple[str, int]], called: Mapping[str, str]) -> Classifier:
    """One that was taught small windows, every motion under the name it is called."""
    learner = contract.named(name, SMALL)
    for motion, which in lessons:
        learner.learn(MOTIONS[motion][which], called[motion])
    return learner


ITSELF = {motion: motion for motion in MOTIONS}


def judged(learner: Classifier, samples: Samples) -> dict[str, float]:
    """The probabilities by name, and the novelty: all sane."""
    probabilities, novelty = learner.judge(samples)

    assert probabilities.shape == (len(learner.activities),)
    assert probabilities.min() >= 0.0
    assert probabilities.sum() == pytest.approx(1.0)
    assert 0.0 <= novelty <= 1.0
    return dict(zip(learner.activities, probabilities.tolist(), strict=True)) | {"": novelty}


@settings(max_examples=8, deadline=None)
@given(lessons=LESSONS, random=st.randoms())
def test_the_order_of_lessons_does_not_matter(
    exact_name: str, lessons: list[tuple[str, int]], random: Any
) -> None:
    shuffled = lessons.copy()
    random.shuffle(shuffled)
    learner, other = small(exact_name, lessons, ITSELF), small(exact_name, shuffled, ITSELF)

    assert learner.activities == other.activities
    assert same(learner.state(), other.state())
    for samples in PROBES:  # what is solved for is then rounded in another order
        assert judged(other, samples) == pytest.approx(judged(learner, samples), abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(lessons=LESSONS, undone=LESSONS, random=st.randoms())
def test_learning_and_unlearning_cancel_at_any_time(
    exact_name: str, lessons: list[tuple[str, int]], undone: list[tuple[str, int]], random: Any
) -> None:
    learner = small(exact_name, lessons, ITSELF)
    before = {key: array.copy() for key, array in learner.state().items()}
    verdicts = [judged(learner, samples) for samples in PROBES]
    for motion, which in undone:
        learner.learn(MOTIONS[motion][which], motion)
    learner.judge(PROBES[0])  # and what it worked out for that is not what it goes by
    random.shuffle(undone)
    for motion, which in undone:
        learner.unlearn(MOTIONS[motion][which], motion)

    assert same(learner.state(), before)
    assert [judged(learner, samples) for samples in PROBES] == verdicts


@settings(max_examples=8, deadline=None)
@given(lessons=LESSONS, names=st.permutations(["d", "c", "b", "a"]))
def test_other_names_for_the_same_are_only_other_names(
    name: str, lessons: list[tuple[str, int]], names: list[str]
) -> None:
    called = dict(zip(MOTIONS, names, strict=True))
    plain, renamed = small(name, lessons, ITSELF), small(name, lessons, called)

    assert list(renamed.activities) == [called[motion] for motion in plain.activities]
    for samples in PROBES:
        expected = judged(plain, samples)
        for motion, probability in judged(renamed, samples).items():
            original = {new: old for old, new in called.items()}.get(motion, motion)
            assert probability == pytest.approx(expected[original], abs=1e-12)


@settings(max_examples=8, deadline=None)
@given(lessons=LESSONS, later=LESSON)
def test_the_same_lessons_give_the_same_bits(
    name: str, lessons: list[tuple[str, int]], later: tuple[str, int]
) -> None:
    learner, other = small(name, lessons, ITSELF), small(name, lessons, ITSELF)
    restored = contract.named(name, SMALL)
    restored.restore(learner.activities, learner.state())
    for pupil in [learner, other, restored]:
        pupil.learn(MOTIONS[later[0]][later[1]], later[0])

    assert same(learner.state(), other.state())
    assert same(learner.state(), restored.state())
    for samples in PROBES:
        assert judged(learner, samples) == judged(other, samples) == judged(restored, samples)


VALUES = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from(
    [0.0, -0.0, 9.81, 1e-38, 3e38]
)


@settings(max_examples=25, deadline=None)
@given(
    rate_hz=st.floats(1.0, 1000.0),
    channels=st.sampled_from([3, 6]),
    rows=st.integers(8, 64),
    values=st.lists(st.lists(VALUES, min_size=1, max_size=7), min_size=1, max_size=4),
)
def test_windows_of_any_shape_and_value_are_learnt_and_judged(
    name: str, rate_hz: float, channels: int, rows: int, values: list[list[float]]
) -> None:
    shape = WindowShape(rate_hz, channels, rows)
    learner, restored = contract.named(name, shape), contract.named(name, shape)
    windows = [np.resize(np.array(row, np.float32), (rows, channels)) for row in values]
    for activity, samples in enumerate(windows):
        learner.learn(samples, str(activity % 3))
    restored.restore(learner.activities, learner.state())

    for array in learner.state().values():
        assert np.isfinite(array).all()
    for samples in windows:
        assert judged(restored, samples) == judged(learner, samples)


# --- odd lessons ----------------------------------------------------------------------------------


def odd(kind: str) -> list[tuple[Samples, str]]:
    """Lessons that leave some matrix, variance or distance at nothing."""
    if kind == "constant":
        levels = {"flat": [0.0, 0.0, 9.81], "upright": [9.81, 0.0, 0.0]}
        still = {name: np.array(level, dtype=np.float32) for name, level in levels.items()}
        return [(np.tile(still[name], (32, 1)), name) for name in ["flat", "upright"] * 4]
    if kind == "zero":
        return [(np.zeros((32, 3), dtype=np.float32), name) for name in "aab"]
    if kind == "duplicated channels":
        lessons = odd("walks and rests")
        return [(np.repeat(samples[:, :1], 3, axis=1), name) for samples, name in lessons]
    if kind == "duplicated windows":
        return odd("walks and rests")[:1] * 20 + odd("walks and rests")[1:2] * 20
    return [(MOTIONS[name][which], name) for which in range(3) for name in ["walking", "resting"]]


@pytest.mark.parametrize("kind", ["constant", "duplicated channels", "duplicated windows"])
def test_odd_windows_that_differ_are_told_apart(name: str, kind: str) -> None:
    learner = contract.named(name, SMALL)
    for samples, activity in odd(kind):
        learner.learn(samples, activity)

    for samples, activity in odd(kind):
        verdict = judged(learner, samples)
        assert verdict[activity] > 0.5
        assert verdict[""] < 0.5


def test_windows_that_are_all_the_same_cannot_be_told_apart(exact_name: str) -> None:
    learner = contract.named(exact_name, SMALL)
    for samples, activity in odd("zero"):
        learner.learn(samples, activity)

    verdict = judged(learner, odd("zero")[0][0])
    assert verdict["a"] == pytest.approx(verdict["b"], abs=0.3)  # it was taught more of a


def test_one_activity_alone_is_certain_but_strange_motion_is_novel(name: str) -> None:
    learner = contract.named(name, SHAPE)
    for seed in range(10):
        learner.learn(held(seed=seed), "resting")
    known, strange = judged(learner, held(seed=99)), judged(learner, shaken(2.0, 5.0))

    assert known["resting"] == strange["resting"] == pytest.approx(1.0)
    assert known[""] < 0.5 < strange[""]


def test_what_is_novel_is_no_longer_when_it_was_taught(name: str) -> None:
    learner = taught(name)
    strange = [shaken(7.0, 30.0, seed=seed) for seed in range(6)]
    before = learner.judge(strange[0]).novelty
    for samples in strange[1:]:
        learner.learn(samples, "shaking")

    assert learner.judge(strange[0]).novelty < before - 0.2


def test_beyond_the_range_a_window_is_as_large_as_can_be_said(name: str) -> None:
    learner, other = taught(name), taught(name)
    learner.learn(held() * np.float32(1e20), "absurd")
    other.learn(held() * np.float32(1e25), "absurd")

    for samples in [held(seed=9), shaken(3.0, 8.0), held() * np.float32(1e22)]:
        # shares of power and the like differ where a float32 rounds, displaced copies more so, and
        # how sure it is follows from what lies how far apart
        assert judged(other, samples) == pytest.approx(judged(learner, samples), abs=0.05)


def test_two_hundred_activities_are_held_apart(name: str) -> None:
    rng = np.random.default_rng(200)
    learner, restored = contract.named(name, SMALL), contract.named(name, SMALL)
    windows = {
        f"activity {n}": np.tile(rng.uniform(-10, 10, 3), (32, 1)).astype(np.float32)
        + rng.normal(scale=rng.uniform(0.0, 5.0), size=(32, 3)).astype(np.float32)
        for n in range(200)
    }
    for activity, samples in windows.items():
        learner.learn(samples, activity)
    restored.restore(learner.activities, learner.state())
    best = []
    for samples in windows.values():
        verdict = judged(learner, samples)
        assert verdict == judged(restored, samples)
        best.append(max(learner.activities, key=verdict.__getitem__))

    assert list(learner.activities) == list(windows)
    assert sum(a == b for a, b in zip(best, windows, strict=True)) > 60  # chance: 1


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_window_with_a_hole_reaches_no_classifier(name: str, hole: float) -> None:
    r = Recognizer(rate_hz=50.0, n_channels=6, window_s=2.56, classifier=name)
    r.learn(held(), "resting")
    before, samples = r.digest(), held()
    samples[17, 4] = hole

    verbs: list[Callable[[Samples], object]] = [
        r.predict,
        r.observe,
        lambda samples: r.learn(samples, "resting"),
    ]
    for verb in verbs:
        with pytest.raises(ValueError, match=f"hold {hole} at row 17, channel 4"):
            verb(samples)
    with pytest.raises(ValueError, match=r"expected float32 \(128, 6\)"):
        r.learn(held()[1:], "resting")
    assert r.digest() == before


def test_an_unknown_classifier_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no classifier is called 'oracle'; there are: .*discrim"):
        contract.named("oracle", SHAPE)
