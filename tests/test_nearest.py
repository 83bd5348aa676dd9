"""The store of the nearest-neighbour classifier: bounded, without order, and it can be undone."""

import numpy as np
import pytest
from motions import Samples, shaken

from learner.classifier import InexactError, WindowShape
from learner.classifiers import nearest

SMALL = WindowShape(25.0, 3, 32)


def small(hz: float, amplitude: float, seed: int) -> Samples:
    return shaken(hz, amplitude, seed=seed, rate_hz=25.0, n_channels=3, window_s=1.28)


USED = 8
WALKS = [small(2.0, 5.0, seed) for seed in range(60)]
RESTS = [small(1.0, 0.0, seed) for seed in range(5)]


@pytest.fixture(name="few")
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "USED", USED)


def stored(walks: list[Samples]) -> nearest.Learner:
    learner = nearest.Learner(SMALL)
    for activity, windows in [("walking", walks), ("resting", RESTS)]:
        for samples in windows:
            learner.learn(samples, activity)
    return learner


def verdicts(learner: nearest.Learner) -> list[object]:
    probes = [small(2.0, 5.0, 900), small(2.4, 6.0, 901), small(1.0, 0.0, 902)]
    return [(v.probabilities.tolist(), v.novelty) for v in map(learner.judge, probes)]


def held_windows(learner: nearest.Learner) -> dict[str, int]:
    state = learner.state()
    held = state["sample_windows"].astype(np.int64) + state["reserve_windows"].astype(np.int64)
    return dict(zip(sorted(learner.activities), held.tolist(), strict=True))


@pytest.mark.usefixtures("few")
def test_no_activity_holds_more_than_its_store() -> None:
    assert held_windows(stored(WALKS)) == {"walking": 2 * USED, "resting": 5}
    assert stored(WALKS).activities == {"walking": 60, "resting": 5}


@pytest.mark.usefixtures("few")
def test_an_overflowing_store_has_no_order_and_adds_up() -> None:
    learner, backwards = stored(WALKS), stored(WALKS[::-1])
    halves = stored(WALKS[:31])
    for samples in RESTS:
        halves.unlearn(samples, "resting")
    halves.add(stored(WALKS[31:]))

    for other in [backwards, halves]:
        assert other.activities == learner.activities
        for name, array in learner.state().items():
            np.testing.assert_array_equal(other.state()[name], array)
    assert verdicts(backwards) == verdicts(learner)


@pytest.mark.usefixtures("few")
def test_what_is_taken_back_from_a_full_store_might_never_have_been_taught() -> None:
    learner, taken_back = stored(WALKS), 0
    while held_windows(learner)["walking"] > USED:
        learner.unlearn(WALKS[taken_back], "walking")
        taken_back += 1
    never = stored(WALKS[taken_back:])

    assert taken_back > USED
    assert learner.activities == never.activities
    assert verdicts(learner) == verdicts(never)
    for name in ["sample_vectors", "sample_times", "sample_windows"]:
        np.testing.assert_array_equal(learner.state()[name], never.state()[name])


@pytest.mark.usefixtures("few")
def test_a_full_store_comes_back_with_its_reserve() -> None:
    learner, other = stored(WALKS), nearest.Learner(SMALL)
    other.restore(learner.activities, learner.state())
    for pupil in [learner, other]:
        pupil.learn(small(3.0, 9.0, 1), "walking")
        for samples in WALKS[:9]:
            pupil.unlearn(samples, "walking")

    assert len(learner.state()["reserve_vectors"]) > 0
    for name, array in learner.state().items():
        np.testing.assert_array_equal(other.state()[name], array)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("windows", [[-1, 6], [USED + 1, 5]])
def test_a_state_that_holds_more_than_a_store_or_less_than_nothing_is_refused(
    windows: list[int],
) -> None:
    learner, state = nearest.Learner(SMALL), stored(WALKS).state()
    state["sample_windows"] = np.array(windows, dtype=np.int64)
    state["sample_times"] = np.ones(sum(windows))
    state["sample_vectors"] = np.resize(
        state["sample_vectors"], (sum(windows), learner._describer.size)
    )

    with pytest.raises(ValueError, match=r"sample_windows is \[.*\], expected 0 to 8 of every one"):
        learner.restore({"resting": 5, "walking": 60}, state)
    assert learner.activities == {}


@pytest.mark.usefixtures("few")
def test_a_store_says_when_it_cannot_take_back_more_and_stays_as_it_is() -> None:
    learner, refused = stored(WALKS), ""
    for samples in WALKS:
        before = dict(learner.activities), verdicts(learner)
        try:
            learner.unlearn(samples, "walking")
        except InexactError as error:
            refused = str(error)
            break

    assert refused == (
        "more than half of what was taught as 'walking' was taken back, and not all of it is kept:"
        " teach an empty recognizer what is to remain"
    )
    assert (learner.activities, verdicts(learner)) == before


@pytest.mark.usefixtures("few")
def test_a_store_that_was_taught_and_taken_back_at_random_is_that_of_what_is_left() -> None:
    rng = np.random.default_rng(8)
    learner, rebuilt = stored([]), 0
    left: list[int] = []  # which windows are taught
    for step in range(400):
        if rng.uniform() < (0.7 if step % 100 < 50 else 0.3) or not left:
            left.append(int(rng.integers(len(WALKS))))
            learner.learn(WALKS[left[-1]], "walking")
        else:
            which = left.pop(int(rng.integers(len(left))))
            try:
                learner.unlearn(WALKS[which], "walking")
            except InexactError:
                learner, rebuilt = stored([WALKS[w] for w in left]), rebuilt + 1
        if step % 5 == 0 and left:
            never = stored([WALKS[w] for w in left])
            assert dict(sorted(learner.activities.items())) == dict(
                sorted(never.activities.items())
            )
            assert learner.judge(WALKS[0]).novelty == never.judge(WALKS[0]).novelty

    assert 0 < rebuilt < 10


@pytest.mark.usefixtures("few")
def test_nobody_takes_back_twice_what_was_taught_once_not_even_from_beyond_the_bound() -> None:
    for samples in WALKS[: 2 * USED + 1]:
        learner = stored(WALKS[: 2 * USED + 1])
        learner.unlearn(samples, "walking")
        with pytest.raises(ValueError, match="not the window that was taught as 'walking'"):
            learner.unlearn(samples, "walking")


@pytest.mark.usefixtures("few")
def test_a_full_store_knows_what_it_would_hold_if_it_had_been_taught() -> None:
    learner = stored(WALKS)
    refused = 0
    for seed in range(100, 150):
        try:
            learner.unlearn(small(3.0, 9.0, seed), "walking")
        except ValueError:
            refused += 1
        else:
            learner.learn(small(3.0, 9.0, seed), "walking")

    assert refused > 0
    assert verdicts(learner) == verdicts(stored(WALKS))


@pytest.mark.usefixtures("few")
def test_a_window_taught_often_takes_one_place_and_is_taken_back_as_often() -> None:
    learner = nearest.Learner(SMALL)
    for _ in range(3 * USED):
        learner.learn(WALKS[0], "walking")
    assert held_windows(learner) == {"walking": 1}

    for _ in range(3 * USED):
        learner.unlearn(WALKS[0], "walking")
    assert learner.activities == {}
