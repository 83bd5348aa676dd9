"""The networks keep what they were taught when labels come in blocks, and are bounded."""

import numpy as np
import numpy.testing as npt
import pytest
from motions import held, shaken

from learner import classifier as contract
from learner import replay
from learner.classifier import Classifier, WindowShape
from learner.classifiers import mlp, recurrent
from learner.replay import KEPT
from learner.sums import GRID

SHAPE = WindowShape(50.0, 6, 128)
NETWORKS = ["mlp", "recurrent"]


def in_blocks(name: str) -> Classifier:
    learner = contract.named(name, SHAPE)
    for seed in range(40):
        learner.learn(shaken(1.8, 5.0, seed=seed), "walking")
    for seed in range(80):
        learner.learn(shaken(1.8, 0.3, seed=seed), "swaying")
    for seed in range(160):
        learner.learn(held(seed=seed), "resting")
    return learner


@pytest.mark.parametrize("name", NETWORKS)
def test_a_long_block_of_one_activity_does_not_drive_out_another(name: str) -> None:
    learner = in_blocks(name)
    for seed in range(500, 510):
        for place, window in enumerate(
            [shaken(1.8, 5.0, seed=seed), shaken(1.8, 0.3, seed=seed), held(seed=seed)]
        ):
            assert learner.judge(window).probabilities[place] > 0.8


@pytest.mark.parametrize("name", NETWORKS)
def test_memory_is_bounded(name: str) -> None:
    learner = in_blocks(name)
    before = {key: array.shape for key, array in learner.state().items()}
    learner.learn(held(seed=999), "resting")

    assert learner.state()["sample_windows"].tolist() == [KEPT, 80, 40]
    assert {key: array.shape for key, array in learner.state().items()} == before


@pytest.mark.parametrize(("name", "least"), [("mlp", 0.2), ("recurrent", 0.1)])
def test_inputs_are_standardised_by_what_is_remembered(name: str, least: float) -> None:
    learner = contract.named(name, SHAPE)
    for seed in range(6):
        learner.learn(held(seed=seed), "resting")
        learner.learn(shaken(2.0, 5.0, seed=seed), "walking")
    assert isinstance(learner, mlp.Learner | recurrent.Learner)
    vectors = learner.state()["sample_vectors"].astype(np.float64) * GRID
    inputs = vectors.reshape(-1, learner._centre.size)

    # float32 has seven digits
    npt.assert_allclose(learner._centre, inputs.mean(axis=0), rtol=1e-5, atol=1e-6)
    npt.assert_allclose(learner._scale, 1.0 / np.sqrt(inputs.var(axis=0) + least**2), rtol=1e-5)


@pytest.mark.parametrize(("name", "layer"), [("mlp", "inward"), ("recurrent", "weights")])
def test_a_window_that_is_not_kept_teaches_too(
    name: str, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "KEPT", 1)
    learnt = []
    for seed in range(8):
        learner = contract.named(name, SHAPE)
        learner.learn(shaken(2.0, 5.0), "walking")
        for first in range(100, 105):
            learner.learn(held(seed=first), "resting")
        kept = learner.state()["sample_vectors"]
        learner.learn(held(seed=seed), "resting")
        if np.array_equal(learner.state()["sample_vectors"], kept):
            learnt.append(learner.state()[layer].tobytes())

    assert len(set(learnt)) == len(learnt) > 1


@pytest.mark.parametrize("name", NETWORKS)
def test_something_else_altogether_is_new(name: str) -> None:
    learner = contract.named(name, SHAPE)
    for seed in range(20):
        learner.learn(held(seed=seed), "resting")
    assert learner.judge(shaken(2.5, 20.0)).novelty > 0.85

    for seed in range(20):
        learner.learn(shaken(1.8, 5.0, seed=seed), "walking")
    assert learner.judge(held(seed=99)).novelty < 0.5
    assert learner.judge(shaken(1.8, 5.0, seed=99)).novelty < 0.5
    assert learner.judge(shaken(6.0, 40.0)).novelty > 0.85


@pytest.mark.parametrize("name", NETWORKS)
def test_a_state_in_which_nothing_is_kept_of_an_activity_is_refused(name: str) -> None:
    learner = contract.named(name, SHAPE)
    learner.learn(held(), "resting")
    state = learner.state()
    state["sample_windows"] = np.array([1, 0], dtype=np.int64)
    state["reserve_windows"] = np.array([0, 0], dtype=np.int64)
    state["reserve_bounds"] = np.repeat(state["reserve_bounds"], 2)

    with pytest.raises(ValueError, match=rf"nothing is kept of 'sleeping', expected 1 to {KEPT}"):
        learner.restore({"resting": 4, "sleeping": 1}, state)
    assert learner.activities == {"resting": 1}
