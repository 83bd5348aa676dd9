"""Other people's learners stand in the recognizer's place and answer as it does."""

import pytest
from motions import held, shaken

from learner import Prediction
from learner.classifier import InexactError
from learner.evaluation import rivals
from learner.features import Features


@pytest.fixture(params=rivals.MODELS, name="rival")
def _rival(request: pytest.FixtureRequest) -> rivals.Rival:
    if request.param not in rivals.names():
        pytest.skip(f"needs the extra `bench`, for {request.param}")
    return rivals.Rival(request.param, ["resting", "walking"], Features(50.0, 6, 128))


def test_who_was_taught_nothing_knows_nothing(rival: rivals.Rival) -> None:
    assert rival.predict(held()) == Prediction(None, 0.0, 1.0, {})


def test_it_names_what_it_was_taught(rival: rivals.Rival) -> None:
    for seed in range(30):  # mixed: what blocks of labels do to some of them is another matter
        rival.learn(held(seed=seed), "resting")
        rival.learn(shaken(2.0, 5.0, seed=seed), "walking")
    for seed in range(100, 105):
        for samples, activity in (
            (held(seed=seed), "resting"),
            (shaken(2.0, 5.0, seed=seed), "walking"),
        ):
            said = rival.predict(samples)

            assert said.activity == activity
            assert said.confidence == max(said.probabilities.values()) == 1.0 - said.novelty
            assert sum(said.probabilities.values()) == pytest.approx(1.0)


def test_rivals_are_not_pooled(rival: rivals.Rival) -> None:
    with pytest.raises(InexactError, match="1 rivals cannot be pooled"):
        rivals.Rival.pool([rival])
