"""A simulated wearer: someone with the sensor on the hip who follows a plan.

The sensor is a rigid body. Its attitude is yaw, pitch and roll (about z, y, x in this order), and
the gyro is their derivative; the accelerometer feels gravity and the body's acceleration, turned
into the sensor's frame. Everything is a function of time alone, so any chip may sample it at any
rate. It moves plausibly, it is nobody's data: figures measured on it say nothing about people.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

GRAVITY_M_S2 = 9.80665
FIRST_ROUND_S = 20.0  # of each activity, when the demo's wearer does it for the first time
TRANSITION_S = 1.0  # from one activity to the next, at the beginning of a stretch
RATTLES = 6  # sines that make up the rattle of each axis
DERIVATIVE_S = 1e-3  # half the step of the central difference; harmonics end far below 1 kHz


@dataclass(frozen=True)
class Movement:
    """One activity. Amplitudes are peak values; a stride is two steps."""

    pitch_deg: float  # posture: leaning forward is positive
    roll_deg: float  # posture
    cadence_hz: float  # steps, turns of the pedals, breaths per second
    bounce_m_s2: float  # up and down, with the cadence
    strike_m_s2: float  # its second harmonic: the heel
    push_m_s2: float  # forward and back, with the cadence
    sway_m_s2: float  # to the sides, with the stride
    nod_deg: float  # pitch, with the cadence
    tilt_deg: float  # roll, with the stride
    twist_deg: float  # yaw, with the stride
    rattle_m_s2: float  # rms of what shakes at 5-20 Hz
    turn_deg: float = 0.0  # a roll spread over TURN_S, for the sample that shows the axes


MOVEMENTS = {
    "resting": Movement(-28, 4, 0.25, 0.02, 0.0, 0.02, 0.01, 0.5, 0.3, 0.1, 0.02),
    "walking": Movement(3, 0, 1.85, 2.6, 1.1, 1.5, 0.9, 2.0, 4.0, 6.0, 0.45),
    "running": Movement(8, 0, 2.70, 9.0, 2.6, 3.2, 1.8, 4.0, 5.0, 9.0, 1.2),
    "stairs": Movement(9, 0, 1.60, 2.1, 0.8, 1.0, 1.3, 4.5, 6.0, 5.0, 0.5),
    "cycling": Movement(34, 0, 1.25, 0.5, 0.3, 0.6, 0.8, 2.0, 3.0, 2.0, 0.9),
    "quarter turn": Movement(0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0, 0, turn_deg=90),
}
TURN_FROM_S, TURN_S = 5.0, 10.0  # of a stretch of "quarter turn"
COLUMN = {field.name: index for index, field in enumerate(fields(Movement))}


class Wearer:
    """Follows `plan`, a list of (activity, seconds), from `start_s`; the last stretch never ends.

    The seed makes the person: pace, vigour, how the sensor sits. Every stretch differs a little.
    """

    def __init__(
        self, plan: Sequence[tuple[str, float]], seed: int = 0, *, start_s: float = 0.0
    ) -> None:
        for activity, seconds in plan:
            if activity not in MOVEMENTS or seconds <= TRANSITION_S:
                raise ValueError(
                    f"the plan says {activity!r} for {seconds} s, expected more than"
                    f" {TRANSITION_S} s of one of: {', '.join(MOVEMENTS)}"
                )
        if not plan:
            raise ValueError("the plan is empty, expected at least one (activity, seconds)")
        rng = np.random.default_rng(seed)
        self._activities = [activity for activity, _ in plan]
        self._starts_s = start_s + np.cumsum([0.0, *(seconds for _, seconds in plan[:-1])])
        self._movements = _personal([MOVEMENTS[activity] for activity in self._activities], rng)
        self._phases = rng.uniform(0, 2 * np.pi, 8)
        self._rattle_rad_s = 2 * np.pi * rng.uniform(5.0, 20.0, (3, RATTLES))
        self._rattle_phases = rng.uniform(0, 2 * np.pi, (3, RATTLES))

    def motion(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times (n,) -> (n, 6): ax ay az in m/s² with gravity, gx gy gz in rad/s."""
        t_s = np.asarray(t_s, np.float64)
        moments_s = np.concatenate([t_s - DERIVATIVE_S, t_s, t_s + DERIVATIVE_S])
        before, state, after = self._state(moments_s).reshape(3, -1, 6)
        rates = (after[:, :3] - before[:, :3]) / (2 * DERIVATIVE_S)
        return np.hstack([_felt(state), _turning(state[:, :3], rates)])

    def activity(self, start_s: float, end_s: float) -> str | None:
        """What fills at least 80 % of this stretch with no other activity in it.

        The transition at the beginning of an activity belongs to none.
        """
        first = max(int(np.searchsorted(self._starts_s, start_s, "right")) - 1, 0)
        after_last = int(np.searchsorted(self._starts_s, end_s, "left"))
        found: str | None = None
        for stretch in range(first, max(after_last, first + 1)):
            seconds = self._seconds_of(stretch, start_s, end_s)
            if seconds <= 0:
                continue
            if seconds < 0.8 * (end_s - start_s):
                return None
            found = self._activities[stretch]
        return found

    def _seconds_of(self, stretch: int, start_s: float, end_s: float) -> float:
        begins_s = self._starts_s[stretch] + TRANSITION_S if stretch else -np.inf
        last = stretch + 1 == len(self._starts_s)
        ends_s = np.inf if last else self._starts_s[stretch + 1]
        return float(min(end_s, ends_s) - max(start_s, begins_s))

    def _state(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 6): roll, pitch, yaw in rad; forward, sideways, upward acceleration in m/s²."""
        stretch = np.searchsorted(self._starts_s, t_s, "right") - 1
        stretch = np.maximum(stretch, 0)
        state = self._moving(stretch, t_s)
        since_s = t_s - self._starts_s[stretch]
        changing = (stretch > 0) & (since_s < TRANSITION_S)
        if changing.any():
            share = _ease(since_s[changing] / TRANSITION_S)[:, np.newaxis]
            earlier = self._moving(stretch[changing] - 1, t_s[changing])
            state[changing] = share * state[changing] + (1 - share) * earlier
        return state

    def _moving(self, stretch: NDArray[np.int64], t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `_state`, as if each time's stretch had neither beginning nor end."""
        movement = {name: self._movements[stretch, column] for name, column in COLUMN.items()}
        since_s = t_s - self._starts_s[stretch]
        a, b, c, d, e, f, g, h = self._phases
        # The cadence wanders by some 4 %; the phase is its integral.
        wander_s = 0.20 * np.sin(0.15 * since_s + a) + 0.05 * np.sin(0.41 * since_s + b)
        step = 2 * np.pi * movement["cadence_hz"] * (since_s + wander_s)
        stride = step / 2
        # No two steps are equally hard.
        vigour = 1 + 0.10 * np.sin(0.19 * step + c) + 0.06 * np.sin(0.37 * step + d)
        rattle = np.stack(
            [
                np.sin(np.multiply.outer(t_s, speeds) + phases).sum(1) * np.sqrt(2 / RATTLES)
                for speeds, phases in zip(self._rattle_rad_s, self._rattle_phases, strict=True)
            ]
        )
        forward, sideways, upward = movement["rattle_m_s2"] * rattle
        turned = _ease((since_s - TURN_FROM_S) / TURN_S)
        roll = movement["roll_deg"] + movement["tilt_deg"] * np.sin(stride + e)
        pitch = movement["pitch_deg"] + movement["nod_deg"] * vigour * np.sin(step + f)
        yaw = movement["twist_deg"] * vigour * np.sin(stride + g)
        bounce = movement["bounce_m_s2"] * np.sin(step)
        strike = movement["strike_m_s2"] * np.sin(2 * step + h)
        return np.stack(
            [
                np.radians(roll + movement["turn_deg"] * turned),
                np.radians(pitch),
                np.radians(yaw),
                forward + vigour * movement["push_m_s2"] * np.sin(step + 1.9),
                sideways + vigour * movement["sway_m_s2"] * np.sin(stride + 0.6),
                upward + vigour * (bounce + strike),
            ],
            axis=1,
        )


def demo_plan(
    seed: int = 0,
    activities: Sequence[str] = ("resting", "walking", "stairs", "running"),
    hours: float = 24.0,
) -> list[tuple[str, float]]:
    """Make a plan: each activity once, then at random, 15-45 s, never the same twice in a row."""
    if len(activities) < 2:
        raise ValueError(f"a plan needs at least two activities, got {list(activities)}")
    rng = np.random.default_rng(seed)
    plan = [(activity, FIRST_ROUND_S) for activity in activities]
    total_s = FIRST_ROUND_S * len(activities)
    while total_s < hours * 3600:
        others = [activity for activity in activities if activity != plan[-1][0]]
        seconds = float(rng.integers(15, 46))
        plan.append((others[rng.integers(len(others))], seconds))
        total_s += seconds
    return plan


def _personal(movements: list[Movement], rng: np.random.Generator) -> NDArray[np.float64]:
    """(stretches, fields of Movement): this person's, and a little different every time."""
    table = np.array([astuple(movement) for movement in movements], np.float64)
    still = table[:, COLUMN["turn_deg"]] != 0  # the sample of the axes stays exact
    person = rng.normal(size=(table.shape[1],))
    stretch = rng.normal(size=table.shape)
    varied = table * (1 + 0.08 * person + 0.06 * stretch)
    cadence = COLUMN["cadence_hz"]
    varied[:, cadence] = table[:, cadence] * (
        1 + 0.03 * person[cadence] + 0.02 * stretch[:, cadence]
    )
    for name in ("pitch_deg", "roll_deg"):  # how the sensor sits, and how it slips
        column = COLUMN[name]
        varied[:, column] = table[:, column] + 5.0 * person[column] + 2.0 * stretch[:, column]
    varied[still] = table[still]
    return varied


def _ease(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, and in between 6x⁵ - 15x⁴ + 10x³: no jerk at either end."""
    x = np.clip(x, 0.0, 1.0)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))


def _felt(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Ry(pitch)·Rx(roll))ᵀ · (forward, sideways, g + upward): what the accelerometer feels."""
    roll, pitch, _, forward, sideways, upward = state.T
    upward = GRAVITY_M_S2 + upward
    level = forward * np.sin(pitch) + upward * np.cos(pitch)
    return np.stack(
        [
            forward * np.cos(pitch) - upward * np.sin(pitch),
            sideways * np.cos(roll) + level * np.sin(roll),
            level * np.cos(roll) - sideways * np.sin(roll),
        ],
        axis=1,
    )


def _turning(angles: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates of roll, pitch and yaw -> what the gyro feels about its own x, y, z."""
    roll, pitch, _ = angles.T
    roll_rate, pitch_rate, yaw_rate = rates.T
    return np.stack(
        [
            roll_rate - yaw_rate * np.sin(pitch),
            pitch_rate * np.cos(roll) + yaw_rate * np.cos(pitch) * np.sin(roll),
            yaw_rate * np.cos(pitch) * np.cos(roll) - pitch_rate * np.sin(roll),
        ],
        axis=1,
    )
