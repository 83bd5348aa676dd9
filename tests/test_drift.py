"""The alarm when a taught activity stops looking like itself."""

from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from drift_figures import Person, false_alarms, people, tilt, turned, windows_to_alarm
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import held, shaken
from naive_drift import adwin

from learner import Recognizer
from learner.drift import BUCKETS, DELTA, EVERY, Adwin, Drift

# --- ADWIN ----------------------------------------------------------------------------------------

NUMBERS = st.floats(0.0, 1.0, width=16)
# parts of a stream: (from, to, how many) numbers spread over from … to
PARTS = st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(1, 150)), min_size=1, max_size=4)


def stream(parts: list[tuple[float, float, int]], seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [number for low, high, n in parts for number in rng.uniform(low, high, n).tolist()]


@settings(max_examples=40, deadline=None)
@given(parts=PARTS, delta=st.sampled_from([0.3, DELTA, 1e-4]))
def test_the_histogram_says_what_the_slow_twin_says(
    parts: list[tuple[float, float, int]], delta: float
) -> None:
    numbers = stream([(min(a, b), max(a, b), n) for a, b, n in parts])
    window = Adwin(delta)
    said = [(window.put(number), window.count) for number in numbers]
    expected = adwin(numbers, delta, BUCKETS, EVERY)

    assert [count for _, count in said] == [count for _, count in expected]
    # sums of the same numbers, rounded in another order
    npt.assert_allclose([c for c, _ in said], [c for c, _ in expected], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.6, 1), (0.6, 0.1, -1)])
def test_a_change_is_seen_with_its_direction_and_what_was_before_is_forgotten(
    low: float, high: float, sign: int
) -> None:
    window = Adwin(DELTA)
    before = [window.put(n) for n in stream([(low, low + 0.3, 200)])]
    after = [window.put(n) for n in stream([(high, high + 0.3, 200)])]

    assert not any(before)
    assert {np.sign(change) for change in after if change} == {sign}
    assert max(map(abs, after)) == pytest.approx(0.5, abs=0.1)
    # Of the 200 before, at most the bucket in which the change lies is left.
    assert 200 <= window.count <= 232


def test_numbers_that_do_not_change_are_no_change() -> None:
    window = Adwin(DELTA)

    assert {window.put(0.5) for _ in range(1000)} == {0.0}
    assert window.count == 1000


def test_chance_is_seldom_taken_for_a_change() -> None:
    alarms = 0
    for seed in range(100):
        window = Adwin(DELTA)
        changes = [window.put(number) for number in stream([(0.0, 1.0, 1000)], seed)]
        alarms += any(changes)

    assert alarms <= 100 * DELTA


def test_memory_grows_with_the_logarithm_only() -> None:
    window = Adwin(DELTA)
    for number in np.random.default_rng(0).uniform(size=50_000).tolist():
        window.put(number)

    assert window.count == 50_000
    assert window.buckets <= BUCKETS * np.log2(50_000)


# --- activities -----------------------------------------------------------------------------------


def drifted(*activities: str) -> Drift:
    drift = Drift()
    for activity in activities:
        for novelty in [0.2] * 100 + [0.9] * 100:
            drift.note(activity, novelty)
    return drift


def test_an_activity_that_looks_newer_than_it_did_has_drifted() -> None:
    assert drifted("walking", "resting").activities == ("resting", "walking")


def test_an_activity_that_looks_more_like_itself_has_not() -> None:
    drift = Drift()
    for novelty in [0.9] * 100 + [0.2] * 100:
        drift.note("walking", novelty)

    assert drift.activities == ()


def test_the_alarm_ends_when_it_looks_like_itself_again() -> None:
    drift = drifted("walking", "resting")
    for _ in range(100):
        drift.note("walking", 0.2)

    assert drift.activities == ("resting",)


def test_an_activity_looked_at_afresh_may_look_as_it_does_now() -> None:
    drift = drifted("walking")
    drift.restart("walking")
    assert drift.activities == ()

    for _ in range(200):
        drift.note("walking", 0.9)
    assert drift.activities == ()


def test_the_alarm_goes_with_the_name() -> None:
    drift = drifted("walking")
    drift.rename("walking", "strolling")
    assert drift.activities == ("strolling",)

    for _ in range(100):
        drift.note("strolling", 0.2)
    assert not drift.activities


def test_one_that_takes_another_in_is_looked_at_afresh() -> None:
    drift = drifted("walking", "strolling")
    drift.rename("walking", "strolling")

    assert drift.activities == ()


# --- the recognizer -------------------------------------------------------------------------------


def taught() -> Recognizer:
    r = Recognizer(rate_hz=50.0, n_channels=6, window_s=2.56)
    for seed in range(10):
        r.learn(shaken(2.0, 5.0, seed=seed), "walking")
        r.learn(held(seed=seed), "resting")
    return r


def walked(r: Recognizer, windows: int, degrees: float = 0.0) -> None:
    """Let it see so much walking, with the sensor tilted."""
    turn = tilt(np.array([0.0, 0.0, 1.0]), degrees)
    for seed in range(windows):
        r.observe(turned(shaken(2.0, 5.0, seed=100 + seed), turn))


@pytest.fixture(name="r")
def _r() -> Recognizer:
    r = taught()
    walked(r, 40)
    assert r.drifting == ()
    walked(r, 40, degrees=30)
    return r


def test_a_sensor_that_was_tilted_is_noticed_and_nothing_is_learnt_from_it(r: Recognizer) -> None:
    assert r.drifting == ("walking",)
    assert r.digest() == taught().digest()


def test_asking_about_single_windows_is_not_looking() -> None:
    r = taught()
    turn = tilt(np.array([0.0, 0.0, 1.0]), 30)
    for window in [shaken(2.0, 5.0, seed=n) for n in range(100)]:
        r.predict(window)
    for window in [turned(shaken(2.0, 5.0, seed=n), turn) for n in range(100)]:
        r.predict(window)

    assert r.drifting == ()


def test_a_lesson_in_another_activity_does_not_end_the_alarm(r: Recognizer) -> None:
    r.learn(held(seed=50), "resting")
    assert r.drifting == ("walking",)

    r.learn(shaken(2.0, 5.0, seed=50), "walking")
    assert not r.drifting


def test_a_lesson_taken_back_ends_the_alarm(r: Recognizer) -> None:
    r.unlearn(shaken(2.0, 5.0, seed=0), "walking")

    assert r.drifting == ()


def test_the_alarm_is_renamed_with_the_activity(r: Recognizer) -> None:
    r.rename("walking", "strolling")

    assert r.drifting == ("strolling",)


def test_the_alarm_is_neither_saved_nor_survives_a_fresh_start(
    r: Recognizer, tmp_path: Path
) -> None:
    r.save(tmp_path / "model")
    assert Recognizer.load(tmp_path / "model").drifting == ()

    r.clear()
    assert r.drifting == ()


# --- real people ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("datasets")
@pytest.mark.parametrize("name", ["hapt", "wisdm"])
def test_real_people_who_stay_as_they_are_are_hardly_ever_said_to_have_changed(name: str) -> None:
    everybody = people(name)
    persons = [Person(everybody, k) for k in range(10)]
    hours = sum(person.windows * person.hop_s for person in persons) / 3600

    assert sum(map(false_alarms, persons)) < hours


@pytest.mark.usefixtures("datasets")
def test_a_real_sensor_that_is_put_on_otherwise_is_noticed_within_minutes() -> None:
    everybody = people("hapt")
    first, other = Person(everybody, 0), Person(everybody, 1)
    minutes = [
        (windows_to_alarm(first, first, 60) or 10**6) * first.hop_s / 60,
        (windows_to_alarm(other, other, 90) or 10**6) * first.hop_s / 60,
    ]

    assert max(minutes) < 10
