"""Every part of the default learner that can be switched off does something, and comes back."""

import numpy as np
import pytest
from motions import Samples, held, shaken

from deploy import evaluating
from deploy.evaluating import DEFAULT, WITHOUT, People
from learner import Recognizer
from learner.evaluation.ablation import PARTS, without
from learner.evaluation.windows import Stretch, cut
from learner.features import TYPICAL_SPREADS, Features, Floats


def lying(seed: int) -> Samples:
    """At rest on another side: without a tilt, no displacement is plausible."""
    return held(seed=seed)[:, [2, 0, 1, 5, 3, 4]]


def taught() -> Recognizer:
    r = Recognizer(50.0, 6, 2.56)
    for seed in range(4):
        r.learn(held(seed=seed), "resting")
        r.learn(lying(seed), "lying")
        r.learn(shaken(2.0, 5.0, seed=seed), "walking")
        r.learn(shaken(1.8, 4.0, seed=seed), "strolling")
    return r


def said() -> Floats:
    """All that is answered, first to windows by themselves and then in a row.

    Some are plain, so that the filter and the offset have something to go by; others are not, so
    that it depends.
    """
    r = taught()
    motions = [*(held(seed=50 + k) for k in range(6)), lying(60)]
    motions += [shaken(1.9, 4.5, seed=70 + k) for k in range(6)]
    answers = [ask(samples) for ask in (r.predict, r.observe) for samples in motions]
    return np.array([[*each.probabilities.values(), each.novelty] for each in answers])


@pytest.fixture(name="whole", scope="module")
def _whole() -> Floats:
    return said()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_does_something_and_is_there_again_afterwards(part: str, whole: Floats) -> None:
    with without(part):
        assert not np.array_equal(said(), whole)
    assert np.array_equal(said(), whole)


def test_a_part_is_there_again_after_an_error(whole: Floats) -> None:
    with pytest.raises(ValueError, match="was never taught"), without("forest"):
        Recognizer(50.0, 6, 2.56).unlearn(held(), "resting")

    assert np.array_equal(said(), whole)


def test_without_the_filter_observe_is_predict() -> None:
    with without("forward filter"), without("offset over time"):
        r = taught()
        for seed in range(50, 55):
            samples = shaken(1.7, 4.0, seed=seed)
            assert r.observe(samples).probabilities == r.predict(samples).probabilities


@pytest.mark.parametrize("block", TYPICAL_SPREADS)
def test_of_a_block_of_features_that_is_off_all_are_zero_and_no_others(block: str) -> None:
    features = Features(50.0, 6, 128)
    every = features(lying(0)).copy()
    with without(f"features: {block}"):
        left = features(lying(0)).copy()

    assert not left[features.blocks[block]].any()
    every[features.blocks[block]] = 0.0
    assert np.array_equal(left, every)


def novelties(people: People, kinds: list[str], processes: int) -> dict[str, list[float]]:
    """Of each kind, what was said of a person that only others had taught."""
    tasks = evaluating.tasks(people, kinds, ["new_person"], [0, 1], unknown=False, curves=False)
    found = dict(evaluating.evaluate(people, tasks, processes))
    return {task.kind: found[task].predict.novelty.tolist() for task in tasks}


def test_workers_switch_off_what_they_are_told_whatever_they_did_before() -> None:
    swings = np.repeat([0.0, 5.0], 5)
    labels = np.repeat([0, 1], 5 * 128)
    stretches = [
        Stretch(
            person,
            np.concatenate(
                [shaken(2.0, swing, seed=50 * person + k) for k, swing in enumerate(swings)]
            ),
            labels,
        )
        for person in (0, 1)
    ]
    people = People(cut(stretches, 50.0, 2.56, 1.28, ["resting", "walking"]), ("ann", "bob"))
    kinds = [DEFAULT, f"{WITHOUT}novelty: nearest window", f"{WITHOUT}features: band"]
    here = novelties(people, kinds, processes=1)

    assert len({tuple(each) for each in here.values()}) == len(kinds)
    assert novelties(people, kinds, processes=2) == here
    assert novelties(people, kinds[2:], processes=1)[kinds[2]] == here[kinds[2]]
