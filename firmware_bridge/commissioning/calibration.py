"""What this one sensor is off by, found by holding it still, and kept per device.

Held still, an accelerometer feels gravity and nothing else, whichever side is up. So

    | gain · (measured - offset) | = g       gain, offset: one of each per axis

for every pose, and six poses that differ enough tell the six unknowns. No level table and no
right angle is needed; whoever wiggles the sensor and rests it now and then does as well. The gyro
should say zero meanwhile: what it says is its bias.

A datasheet allows 3 % of scale and 50 mg (z: 80 mg) of offset, and a rate of 20 dps at rest
(MPU-6050, PS-MPU-6000A rev 3.4, §6.1 and 6.2). What is left: axes not quite square to each other
(2 % there), the change with temperature, and that g is not 9.80665 m/s² everywhere but up to
0.3 % less or more, which goes into the gain.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.chip import STANDARD_GRAVITY

REST_S = 1.5
# A part at rest shows 0.04 m/s² and 0.15 dps at worst (ADXL345, one count of 4 mg), a hand that
# tries to be still 0.2 m/s² and several dps, and a breath's slow tilt 1 dps.
STILL_M_S2 = 0.1  # standard deviation of any axis
STILL_RAD_S = np.radians(2.0)
ANOTHER_WAY_UP = np.cos(np.radians(25.0))  # less than that apart, a pose tells little that is new
POSES = 6
# How much larger than the error of one pose that of a parameter may be. Six sides up: 0.7, each of
# them 20 degrees askew: 1.2; six poses with the same half up: over 8. At random it takes ten.
AMPLIFIED_MOST = 2.0
GAIN_OFF_MOST = 0.1  # three times what the worst datasheet allows
OFFSET_MOST_M_S2 = 3.0  # 300 mg; people have bought MPU-6050 that were 160 mg off
BIAS_MOST_RAD_S = np.radians(60.0)

Three = tuple[float, float, float]


class CalibrationError(ValueError):
    """These figures are no calibration; the sentence says which and what to do."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """True = gain · (measured - offset), axis by axis, in the chip's own frame."""

    accel_gain: Three = (1.0, 1.0, 1.0)
    accel_offset_m_s2: Three = (0.0, 0.0, 0.0)
    gyro_offset_rad_s: Three = (0.0, 0.0, 0.0)

    def gravity(self, accel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Poses (n, 3) in m/s² as measured -> (n,) the magnitude of each, corrected."""
        corrected = np.array(self.accel_gain) * (accel - self.accel_offset_m_s2)
        return np.asarray(np.linalg.norm(corrected, axis=1))


def still(rows: NDArray[np.floating]) -> bool:
    """Whether nothing moved during `rows` (n, c), in m/s² and rad/s."""
    spread = rows.std(axis=0, dtype=np.float64)
    return bool((spread[:3] < STILL_M_S2).all() and (spread[3:] < STILL_RAD_S).all())


class Poses:
    """Watches rows go by, and keeps the mean of each pose that the sensor rests in."""

    def __init__(self, rate_hz: float) -> None:
        self._rest_rows = round(REST_S * rate_hz)
        self._rows = np.empty((0, 0), np.float32)
        self._taken: list[NDArray[np.float64]] = []

    @property
    def means(self) -> NDArray[np.float64]:
        """(poses, c) in m/s² and rad/s, in the order they were taken."""
        return np.array(self._taken)

    def interrupt(self) -> None:
        """Say that the next rows do not follow on the last."""
        self._rows = self._rows[:0]

    def push(self, rows: NDArray[np.float32]) -> bool:
        """Take rows (n, c) in m/s² and rad/s; True when a new pose was found in them."""
        self._rows = np.concatenate([self._rows, rows]) if len(self._rows) else rows
        found = False
        while len(self._rows) >= self._rest_rows:
            rest = self._rows[: self._rest_rows]
            if still(rest) and self._is_new(rest):
                self._taken.append(rest.mean(axis=0, dtype=np.float64))
                found = True
            self._rows = self._rows[self._rest_rows // 3 :]
        return found

    def enough(self) -> bool:
        """Whether the poses differ so much that they tell all six unknowns."""
        return len(self._taken) >= POSES and amplification(self.means[:, :3]) <= AMPLIFIED_MOST

    def _is_new(self, rest: NDArray[np.float32]) -> bool:
        up = _direction(rest[:, :3].mean(axis=0, dtype=np.float64))
        return all(up @ _direction(other[:3]) < ANOTHER_WAY_UP for other in self._taken)


def amplification(accel: NDArray[np.float64]) -> float:
    """How many times the error of one pose the worst combination of parameters is off by.

    One over the smallest singular value of the Jacobian, gain and offset/g being alike in size.
    """
    up = accel / np.linalg.norm(accel, axis=1, keepdims=True)
    smallest = np.linalg.svd(np.hstack([up**2, -up]), compute_uv=False)[-1]
    return float(1 / smallest) if len(accel) >= POSES and smallest > 0 else np.inf


def fit(means: NDArray[np.float64]) -> Calibration:
    """Find gain and offset from poses (n, c), n at least 6, by Gauss-Newton on | |a| - g |².

    Raises CalibrationError where the poses are too few or too much alike, or say what no sensor is
    off by.
    """
    accel = means[:, :3]
    if amplification(accel) > AMPLIFIED_MOST:
        raise CalibrationError(
            f"{len(means)} poses tell too little, expected {POSES} or more with every side of the"
            " sensor up once: turn it further between them"
        )
    gain, offset = np.ones(3), np.zeros(3)
    for _ in range(20):  # from a part that is 10 % off, five are enough
        centred = accel - offset
        corrected = gain * centred
        magnitude = np.linalg.norm(corrected, axis=1)
        up = corrected / magnitude[:, None]
        jacobian = np.hstack([up * centred, -up * gain])
        step = np.linalg.lstsq(jacobian, STANDARD_GRAVITY - magnitude, rcond=None)[0]
        gain, offset = gain + step[:3], offset + step[3:]
        if np.abs(step).max() < 1e-9:
            break
    bias = means[:, 3:6].mean(axis=0) if means.shape[1] == 6 else np.zeros(3)
    return _plausible(Calibration(_three(gain), _three(offset), _three(bias)))


def load(path: Path, device: str) -> Calibration | None:
    """Return what was stored for `device`, or None. Raises CalibrationError if it is damaged."""
    try:
        stored = json.loads(path.read_text()).get(device)
        if stored is None:
            return None
        fields = {name: _three(np.array(values, float)) for name, values in stored.items()}
        return _plausible(Calibration(**fields))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CalibrationError(
            f"{path} is no calibration of {device} ({error}):"
            " delete it, or calibrate again with `budge probe --calibrate`"
        ) from error


def store(path: Path, device: str, calibration: Calibration) -> None:
    """Keep `calibration` beside the other devices', whole or not at all."""
    try:
        stored = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        stored = {}
    stored[device] = asdict(calibration)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(stored, file, indent=1)
        file.flush()
        os.fsync(file.fileno())  # before the name: power may fail between the two
    new.replace(path)


def _plausible(calibration: Calibration) -> Calibration:
    gain, offset = calibration.accel_gain, calibration.accel_offset_m_s2
    bias = calibration.gyro_offset_rad_s
    if not (  # so put that not-a-number is out, too
        all(abs(value - 1) <= GAIN_OFF_MOST for value in gain)
        and all(abs(value) <= OFFSET_MOST_M_S2 for value in offset)
        and all(abs(value) <= BIAS_MOST_RAD_S for value in bias)
    ):
        raise CalibrationError(
            f"gains {_shown(gain)}, offsets {_shown(offset)} m/s² and {_shown(bias)} rad/s,"
            f" expected within {GAIN_OFF_MOST:.0%} of 1, {OFFSET_MOST_M_S2} m/s² and"
            f" {BIAS_MOST_RAD_S:.2f} rad/s of 0: was it held quite still?"
            " A sensor that is really so far off is broken"
        )
    return calibration


def _direction(accel: NDArray[np.float64]) -> NDArray[np.float64]:
    return accel / max(float(np.linalg.norm(accel)), 1e-9)


def _three(values: NDArray[np.float64]) -> Three:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _shown(values: Three) -> str:
    return " ".join(f"{value:.3f}" for value in values)
