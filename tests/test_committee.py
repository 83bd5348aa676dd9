"""How sure the discriminant says it is, and what it says of motions nobody taught it."""

from pathlib import Path

import pytest
from motions import held, shaken

from deploy.evaluating import load
from learner import Recognizer
from learner.committee import LEAST
from learner.evaluation.figures import protocol_figures
from learner.evaluation.trial import Trial


def taught(windows: int) -> Recognizer:
    r = Recognizer(50.0, 6, 2.56)
    for seed in range(windows):
        r.learn(shaken(1.8, 4.0, seed=seed), "walking")
        r.learn(shaken(2.4, 6.0, seed=seed), "marching")
    return r


def test_what_is_far_from_what_was_taught_is_said_with_less_certainty() -> None:
    r = taught(10)
    r.settle()
    committee = r._classifier._committee  # type: ignore[attr-defined]
    x = committee._centre
    temperatures = [committee._temperature(x, far, 0, 1) for far in (0.0, 0.5, 1.0, 10.0)]

    assert temperatures == sorted(temperatures)
    assert temperatures[0] == LEAST < temperatures[1]
    assert committee._temperature(x + 0.1, 1.0, 0, 1) > temperatures[2]


def test_two_names_for_one_motion_are_as_likely_and_nothing_breaks() -> None:
    r = Recognizer(50.0, 6, 2.56)
    for name in ("walking", "strolling"):
        r.learn(held(), name)

    for samples in (held(), shaken(3.0, 8.0)):
        p = r.predict(samples)
        assert list(p.probabilities.values()) == pytest.approx([0.5, 0.5])
        assert 0.0 <= p.novelty <= 1.0


def test_what_falls_between_two_activities_is_newer_than_distance_alone_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from learner import committee

    between = shaken(2.1, 5.0, seed=900)
    novelty = taught(10).predict(between).novelty
    monkeypatch.setattr(committee, "BETWEEN_WEIGHT", 0.0)
    by_distance = taught(10).predict(between).novelty

    assert novelty > by_distance


@pytest.mark.parametrize("protocol", ["ten_windows", "ten_seconds"])
def test_real_people_get_from_a_few_windows_what_they_are_promised(
    datasets: Path, protocol: str
) -> None:
    people = load([datasets / "hapt.npz"], 2.56, 1.28, "6")
    trial = Trial(people.windows, lambda: Recognizer(50.0, 6, 2.56), over_time=False)
    outcomes = [trial.run(protocol, person) for person in range(30)]
    figures = protocol_figures(people.windows, outcomes, prequential=False)
    # 0.050 and 0.020 here; another processor may round otherwise
    assert figures.calibration_error.predict <= 0.06
