"""What every file in `learner/classifiers/` promises, and a new one the moment it exists."""

from collections.abc import Mapping

import numpy as np
import numpy.testing as npt
import pytest
from motions import held, shaken
from numpy.typing import NDArray

from learner import classifier as contract
from learner.classifier import Classifier, InexactError, WindowShape

SHAPE = WindowShape(50.0, 6, 128)
STATE = Mapping[str, NDArray[np.generic]]


@pytest.fixture(params=contract.names(), name="name")
def _name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=contract.names(), name="exact_name")
def _exact_name(request: pytest.FixtureRequest) -> str:
    if not contract.named(request.param, SHAPE).order_free:
        pytest.skip(f"{request.param} depends on the order of its lessons")
    return str(request.param)


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


def test_what_cannot_be_exact_is_refused_and_changes_nothing(name: str) -> None:
    learner = taught(name)
    if learner.order_free:
        pytest.skip("it is exact")
    before = learner.state()
    with pytest.raises(InexactError, match=name):
        learner.unlearn(held(seed=0), "resting")
    with pytest.raises(InexactError, match=name):
        learner.add(taught(name))

    assert same(learner.state(), before)
    assert learner.activities == {"walking": 6, "resting": 6}


def test_what_is_unlearnt_was_never_there(exact_name: str) -> None:
    learner = taught(exact_name)
    for seed in range(6):
        learner.unlearn(shaken(2.0, 5.0, seed=seed), "walking")
    assert list(learner.activities) == ["resting"]

    for seed in range(6):
        learner.unlearn(held(seed=seed), "resting")
    assert learner.activities == {}
    assert same(learner.state(), contract.named(exact_name, SHAPE).state())


def test_nobody_unlearns_what_was_not_taught(exact_name: str) -> None:
    learner = taught(exact_name, windows=1)
    before = learner.state()

    with pytest.raises(ValueError, match="'running' was never taught; taught: walking, resting"):
        learner.unlearn(held(), "running")
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
def test_merged_activities_are_one(name: str, order: list[str]) -> None:
    learner, one = contract.named(name, SHAPE), contract.named(name, SHAPE)
    for seed in range(4):
        learner.learn(held(seed=seed), "resting")
        one.learn(held(seed=seed), "resting")
        learner.learn(shaken(2.0, 5.0, seed=seed), order[seed % 2])
        one.learn(shaken(2.0, 5.0, seed=seed), "b")
    if not learner.order_free:
        with pytest.raises(InexactError):
            learner.rename("a", "b")
        assert set(learner.activities) == {"resting", "a", "b"}
        return
    learner.rename("a", "b")

    assert learner.activities == one.activities
    assert same(learner.state(), one.state())


def test_an_unknown_classifier_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no classifier is called 'oracle'; there are: .*discrim"):
        contract.named("oracle", SHAPE)
