"""How the sensor sits today: what windows share in how they lie off, and no more than plausible."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import Samples, shaken
from numpy.typing import NDArray

from learner import Recognizer, offset
from learner.offset import HALF_LIFE_WINDOWS, INDEPENDENT, Offset

Floats = NDArray[np.float64]


def estimated(residuals: Floats, odds: Floats) -> Floats:
    seen = Offset(residuals.shape[1])
    for residual in residuals:
        seen.note(residual, odds)
    return seen.estimate


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-8.0, 8.0), min_size=3, max_size=3), min_size=1, max_size=200),
    st.lists(st.floats(0.0, 100.0), min_size=3, max_size=3),
)
def test_the_estimate_is_the_posterior_mean_of_what_windows_share(
    rows: list[list[float]], odds: list[float]
) -> None:
    residuals, v_over_w = np.array(rows), np.array(odds)
    age = np.arange(len(residuals))[::-1]
    weight = 0.5 ** (age / HALF_LIFE_WINDOWS)
    mean = weight @ residuals / weight.sum()
    n = INDEPENDENT * weight.sum()
    expected = mean * n * v_over_w / (n * v_over_w + 1.0)  # r̄ · v / (v + w / n)

    npt.assert_allclose(estimated(residuals, v_over_w), expected, rtol=1e-9, atol=1e-12)


def test_before_anything_is_seen_nothing_is_off() -> None:
    npt.assert_array_equal(Offset(3).estimate, np.zeros(3))


def test_what_does_not_move_is_never_off() -> None:
    estimate = estimated(np.full((50, 2), 3.0), np.array([0.0, 5.0]))

    assert estimate[0] == 0.0
    assert estimate[1] == pytest.approx(3.0, rel=0.02)


def test_one_window_says_less_than_many_that_agree() -> None:
    odds = np.array([0.1])
    sizes = [estimated(np.ones((n, 1)), odds)[0] for n in (1, 5, 50, 500)]

    assert sizes == sorted(sizes)
    assert sizes[0] < 0.1
    # only so many half-lives count, so it stays a little doubtful
    assert 0.7 < sizes[-1] < 1.0


def test_old_windows_fade() -> None:
    before, after = np.full((1000, 1), 1.0), np.full((round(HALF_LIFE_WINDOWS), 1), -1.0)
    odds = np.array([1e9])

    # after one half-life the old and the new weigh the same
    npt.assert_allclose(estimated(np.vstack([before, after]), odds), 0.0, atol=0.02)
    npt.assert_allclose(estimated(np.vstack([before] + 8 * [after]), odds), -1.0, atol=0.02)


def test_a_residual_is_only_borrowed() -> None:
    seen, residual, odds = Offset(2), np.ones(2), np.ones(2)
    seen.note(residual, odds)
    first = seen.estimate
    before = first.copy()
    seen.note(residual, odds)

    npt.assert_array_equal(residual, np.ones(2))
    npt.assert_array_equal(odds, np.ones(2))
    npt.assert_array_equal(first, before)


# --- in a recognizer ------------------------------------------------------------------------------


def posture(kind: str, seed: int, tilt_deg: float) -> Samples:
    """Walking, or lying still at one of two angles that are 16 degrees apart, worn tilted."""
    samples = shaken(2.0, 5.0 if kind == "walking" else 0.05, seed=seed, n_channels=3)
    own = {"walking": 8.0, "sitting": 0.0, "standing": 16.0}[kind]
    lean = np.radians(own + tilt_deg + np.random.default_rng(seed + 1000).normal(0.0, 2.0))
    turn = np.array(
        [[1.0, 0.0, 0.0], [0.0, np.cos(lean), -np.sin(lean)], [0.0, np.sin(lean), np.cos(lean)]]
    )
    return np.asarray(samples @ turn.T, dtype=np.float32)


def taught() -> Recognizer:
    r = Recognizer(rate_hz=50.0, n_channels=3, window_s=2.56)
    for seed in range(30):
        for kind in ["walking", "sitting", "standing"]:
            r.learn(posture(kind, seed, 0.0), kind)
    return r


def standing_seen(r: Recognizer, tilt_deg: float) -> int:
    """How many of twenty windows are called standing, with the sensor tilted."""
    windows = [posture("standing", 300 + seed, tilt_deg) for seed in range(20)]
    return sum(r.observe(window).activity == "standing" for window in windows)


TILT_DEG = -9.0  # puts standing beyond the middle, on the side of sitting


def test_a_walk_tells_how_the_sensor_sits_and_standing_is_seen_for_what_it_is() -> None:
    fresh, walked = taught(), taught()
    for seed in range(120):
        walked.observe(posture("walking", 100 + seed, TILT_DEG))
    before = walked.predict(posture("standing", 300, TILT_DEG))

    assert standing_seen(fresh, TILT_DEG) <= 10
    assert standing_seen(walked, TILT_DEG) >= 16
    # without a label nothing is learnt: it is allowed for in what is observed, and there only
    assert (
        before
        == fresh.predict(posture("standing", 300, TILT_DEG))
        == walked.predict(posture("standing", 300, TILT_DEG))
    )
    assert walked.digest() == fresh.digest()


def test_what_was_noticed_is_gone_with_all_lessons() -> None:
    r = taught()
    for seed in range(40):
        r.observe(posture("walking", 100 + seed, TILT_DEG))
    r.clear()
    for seed in range(30):
        for kind in ["walking", "sitting", "standing"]:
            r.learn(posture(kind, seed, 0.0), kind)
    probe = posture("standing", 300, TILT_DEG)

    assert r.observe(probe) == taught().observe(probe)


def test_a_window_that_is_not_plain_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    r, noted = taught(), list[Floats]()
    monkeypatch.setattr(offset.Offset, "note", lambda self, residual, odds: noted.append(residual))
    r.observe(shaken(9.0, 300.0, n_channels=3))
    assert noted == []

    for seed in range(20):
        r.observe(posture("walking", 100 + seed, 0.0))
    assert noted
