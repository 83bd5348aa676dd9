"""The simulated wearer moves like a body, and says truly what it does."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.wearer import MOVEMENTS, Wearer, demo_plan

G = 9.80665
ACTIVITIES = ["resting", "walking", "running", "stairs", "cycling"]
DAY = [(activity, 20.0) for activity in [*ACTIVITIES, *reversed(ACTIVITIES)]]


def times(start_s: float, seconds: float, rate_hz: float = 100.0) -> NDArray[np.float64]:
    return start_s + np.arange(int(seconds * rate_hz)) / rate_hz


def within(wearer: Wearer, stretch: int, rate_hz: float = 100.0) -> NDArray[np.float64]:
    """Motion inside one 20 s stretch of DAY, without its transition."""
    return wearer.motion(times(20.0 * stretch + 2, 16, rate_hz))


def strongest_hz(signal: NDArray[np.float64], rate_hz: float = 100.0) -> float:
    spectrum = np.abs(np.fft.rfft(signal - signal.mean()))
    return float(np.fft.rfftfreq(len(signal), 1 / rate_hz)[spectrum.argmax()])


def orientations(
    gyro: NDArray[np.float64], rate_hz: float, up: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where `up` goes in the sensor's frame when only the gyro is believed, (n, 3)."""
    carried = [up]
    for before, after in pairwise(gyro):
        turn = -(before + after) / 2 / rate_hz  # the world turns the other way
        angle = float(np.linalg.norm(turn))
        axis = turn / max(angle, 1e-12)
        v = carried[-1]
        carried.append(
            v * np.cos(angle)
            + np.cross(axis, v) * np.sin(angle)
            + axis * (axis @ v) * (1 - np.cos(angle))
        )
    return np.array(carried)


# A body


@given(seed=st.integers(0, 1000), cut=st.integers(1, 199))
@settings(max_examples=20, deadline=None)
def test_motion_is_a_function_of_time_alone(seed: int, cut: int) -> None:
    wearer = Wearer(DAY, seed)
    t_s = times(19, 2)
    at_once = wearer.motion(t_s)
    in_parts = np.vstack([wearer.motion(t_s[:cut]), wearer.motion(t_s[cut:])])
    shuffled = np.random.default_rng(seed).permutation(len(t_s))

    np.testing.assert_allclose(in_parts, at_once, atol=1e-9)
    np.testing.assert_allclose(wearer.motion(t_s[shuffled]), at_once[shuffled], atol=1e-9)


def test_the_seed_makes_the_person() -> None:
    t_s = times(25, 5)

    np.testing.assert_array_equal(Wearer(DAY, 1).motion(t_s), Wearer(DAY, 1).motion(t_s))
    assert np.abs(Wearer(DAY, 1).motion(t_s) - Wearer(DAY, 2).motion(t_s)).max() > 1


def test_at_rest_the_accelerometer_feels_one_g() -> None:
    accel = within(Wearer(DAY, 3), 0)[:, :3]

    assert np.linalg.norm(accel, axis=1) == pytest.approx(G, abs=0.2)


@pytest.mark.parametrize("stretch", range(5))
def test_on_average_everybody_feels_gravity(stretch: int) -> None:
    # Whoever does not fly away accelerates to nowhere; what is left is the turning posture.
    assert np.linalg.norm(within(Wearer(DAY, 3), stretch)[:, :3].mean(axis=0)) == pytest.approx(
        G, rel=0.03
    )


def test_the_gyro_is_the_rotation_that_moves_gravity() -> None:
    # From rest into cycling is the widest change of posture, with nothing but it at its ends.
    rate_hz = 1000.0
    wearer = Wearer([("resting", 5), ("cycling", 5), ("resting", 10)], 3)
    before, after = wearer.motion(times(0, 4.5)), wearer.motion(times(12, 3))
    path = wearer.motion(times(2, 11, rate_hz))
    up_before, up_after = before[:, :3].mean(axis=0), after[:, :3].mean(axis=0)
    at_cycling = wearer.motion(times(7, 2.5))[:, :3].mean(axis=0)
    carried = orientations(path[:, 3:], rate_hz, path[0, :3])

    def degrees_between(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))

    assert degrees_between(up_before, at_cycling) > 45
    assert degrees_between(carried[5000:7500].mean(axis=0), at_cycling) < 3
    assert degrees_between(carried[-1000:].mean(axis=0), up_after) < 1.5


def test_the_gyro_matches_gravity_at_every_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """d(up)/dt = -gyro x up, for someone who leans, sways, nods and twists but is not shaken."""
    shaken = {field: 0.0 for field in asdict(MOVEMENTS["walking"]) if field.endswith("m_s2")}
    leaning = replace(MOVEMENTS["walking"], pitch_deg=35, roll_deg=25, **shaken)
    monkeypatch.setitem(MOVEMENTS, "walking", leaning)
    t_s = times(0, 10, 2000.0)
    motion = Wearer([("walking", 10)], 3).motion(t_s)
    up, gyro = motion[:, :3] / G, motion[:, 3:]
    moved = np.gradient(up, t_s, axis=0)

    assert np.linalg.norm(moved, axis=1).max() > 0.5
    assert np.linalg.norm(moved + np.cross(gyro, up), axis=1)[1:-1].max() < 1e-3
    # What turns about the vertical leaves gravity alone; it is there, and goes nowhere.
    about_up = (gyro * up).sum(axis=1)
    assert 0.3 < about_up.std() < 1.0
    assert abs(about_up.mean()) < 2 * np.radians(12) / 10  # never more than 12° to either side


def test_a_quarter_turn_moves_gravity_from_z_to_y_about_x() -> None:
    wearer = Wearer([("quarter turn", 20)], 5)
    t_s = times(0, 20)
    motion = wearer.motion(t_s)

    np.testing.assert_allclose(motion[0], [0, 0, G, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(motion[-1], [0, G, 0, 0, 0, 0], atol=1e-9)
    assert motion[:, 3].sum() / 100 == pytest.approx(np.pi / 2, abs=1e-3)
    assert np.abs(motion[:, 4:]).max() < 1e-9


def test_transitions_have_no_step() -> None:
    t_s = times(0, 200, 1000.0)
    steps = np.abs(np.diff(Wearer(DAY, 3).motion(t_s), axis=0)).max(axis=1)
    near_change = np.abs((t_s[1:] + 1) % 20 - 1) < 1.5

    assert steps[near_change].max() < 1.5 * steps[~near_change].max()


# Activities


@pytest.mark.parametrize(
    ("activity", "low_hz", "high_hz"),
    [("walking", 1.6, 2.1), ("running", 2.4, 3.0), ("stairs", 1.35, 1.85)],
)
def test_steps_come_with_the_cadence(activity: str, low_hz: float, high_hz: float) -> None:
    accel = within(Wearer(DAY, 3), ACTIVITIES.index(activity))[:, :3]

    assert low_hz < strongest_hz(accel @ accel.mean(axis=0)) < high_hz


def test_pedals_turn_the_hip_while_the_road_shakes_it() -> None:
    cycling = within(Wearer(DAY, 3), ACTIVITIES.index("cycling"))

    assert 1.0 < strongest_hz(cycling[:, 4]) < 1.5
    assert 5.0 < strongest_hz(cycling[:, 2]) < 20.0


def test_running_is_fiercer_than_walking_and_walking_than_rest() -> None:
    spread = [np.linalg.norm(within(Wearer(DAY, 3), k)[:, :3].std(axis=0)) for k in range(3)]

    assert 20 * spread[0] < spread[1] < spread[2] / 2


def test_no_two_stretches_of_one_activity_are_the_same() -> None:
    wearer = Wearer(DAY, 3)
    first, second = (within(wearer, stretch).std(axis=0) for stretch in (1, 8))

    assert np.abs(second / first - 1).max() > 0.01


def test_stairs_and_walking_overlap_between_people() -> None:
    """No single number tells them apart for everybody: people differ more than activities."""
    people = [Wearer(DAY, seed) for seed in range(12)]
    walking, stairs = (
        np.array([np.hstack([within(p, k).mean(axis=0), within(p, k).std(axis=0)]) for p in people])
        for k in (ACTIVITIES.index("walking"), ACTIVITIES.index("stairs"))
    )
    apart = (walking.min(axis=0) > stairs.max(axis=0)) | (stairs.min(axis=0) > walking.max(axis=0))

    assert apart.sum() <= 2


# Truth


def test_inside_a_stretch_the_activity_is_known() -> None:
    assert Wearer(DAY).activity(45, 47.56) == "running"


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (18, 22, None),  # across the change
        (20, 21, None),  # all of it transition
        (20.6, 22.6, "walking"),  # 0.4 of 2 s are transition
        (20.4, 22.4, None),  # 0.6 of 2 s are
        (18.4, 20.4, "resting"),  # 0.4 of 2 s are the next transition
        (2, 40.5, None),
        (0, 1, "resting"),  # nothing comes before the first
        (500, 510, "resting"),  # the last stretch never ends
    ],
)
def test_truth_needs_four_fifths_and_no_change(
    start_s: float, end_s: float, expected: str | None
) -> None:
    assert Wearer(DAY).activity(start_s, end_s) == expected


def test_a_tail_of_another_activity_is_a_change_however_short() -> None:
    # 27 of 29 s walking, one of transition, one of running
    assert Wearer(DAY).activity(13, 42) is None
    assert Wearer([("walking", 40), ("running", 20)]).activity(12, 42) is None


def test_a_plan_may_begin_anywhere_in_the_hosts_time() -> None:
    late, early = Wearer(DAY, 1, start_s=1e6), Wearer(DAY, 1)

    assert late.activity(1e6 + 45, 1e6 + 47) == "running"
    # The rattle and nothing else goes by the host's clock.
    np.testing.assert_allclose(
        late.motion(times(1e6 + 2, 16))[:, 3:], early.motion(times(2, 16))[:, 3:], atol=1e-5
    )


# Plans


def test_the_demo_shows_each_activity_once_and_never_the_same_twice_in_a_row() -> None:
    plan = demo_plan(seed=4, hours=2)
    names = [activity for activity, _ in plan]

    assert len(set(names[:4])) == 4
    assert [seconds for _, seconds in plan[:4]] == [20.0] * 4
    assert all(first != second for first, second in pairwise(names))
    assert sum(seconds for _, seconds in plan) >= 7200
    assert demo_plan(seed=4, hours=2) == plan != demo_plan(seed=5, hours=2)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ([], "the plan is empty"),
        ([("flying", 20)], "'flying' for 20 s, expected more than 1.0 s of one of: resting"),
        ([("walking", 0.5)], "'walking' for 0.5 s"),
    ],
)
def test_a_wrong_plan_is_refused(plan: list[tuple[str, float]], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Wearer(plan)


def test_every_movement_can_be_worn() -> None:
    plan = [(activity, 5.0) for activity in MOVEMENTS]

    assert np.isfinite(Wearer(plan).motion(times(0, 30))).all()
