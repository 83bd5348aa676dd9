"""`budge probe --calibrate`: watches the sensor being laid on its sides, fits, keeps the result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.sensing import CALIBRATIONS, chip_module, device_name, the_imu
from deploy.settings import Settings
from firmware_bridge.bus import Bus
from firmware_bridge.chip import STANDARD_GRAVITY
from firmware_bridge.clock import Clock
from firmware_bridge.commissioning.calibration import Calibration, CalibrationError, fit, store
from firmware_bridge.commissioning.checkup import rest_poses

# Of g, in any pose, after the fit: noise and 2 % of askew axes leave less. More is a pose that was
# not held still, or a sensor that says something else each time.
OFF_MOST = 0.01
SIDES = ("x up", "x down", "y up", "y down", "z up", "z down")


@dataclass(frozen=True, slots=True)
class Calibrated:
    device: str
    poses: int
    calibration: Calibration
    off_before: float  # of g, in the worst pose
    off_after: float  # where there are six poses only, the fit makes this nothing
    stored: Path


def calibrate(settings: Settings, bus: Bus, clock: Clock, say: Callable[[str], None]) -> Calibrated:
    """Calibrate the IMU of the settings in its own frame, and keep that in the state folder.

    Raises CalibrationError, and then keeps nothing.
    """
    name, address = the_imu(settings, bus)
    chip = chip_module(name).Driver(bus, address, sleep_s=clock.sleep_s)
    poses = rest_poses(chip, clock, lambda found: say(_progress(found.means[:, :3])))
    calibration = fit(poses.means)
    accel = poses.means[:, :3]
    after = _worst(calibration.gravity(accel))
    if after > OFF_MOST:
        raise CalibrationError(
            f"the poses disagree by {after:.1%} of g, expected less than {OFF_MOST:.0%}:"
            " try again, and let go of the sensor in each"
        )
    path = settings.state_path() / CALIBRATIONS
    store(path, device_name(name, address), calibration)
    return Calibrated(
        device=device_name(name, address),
        poses=len(accel),
        calibration=calibration,
        off_before=_worst(np.linalg.norm(accel, axis=1)),
        off_after=after,
        stored=path,
    )


def _worst(gravity: NDArray[np.float64]) -> float:
    return float(np.abs(gravity / STANDARD_GRAVITY - 1).max())


def _progress(accel: NDArray[np.float64]) -> str:
    """Name the sides that were up, of the chip's own axes, and what is still missing."""
    axes = np.abs(accel).argmax(axis=1)
    up = [SIDES[2 * axis + int(pose[axis] < 0)] for axis, pose in zip(axes, accel, strict=True)]
    missing = [side for side in SIDES if side not in up]
    left = f"still missing: {', '.join(missing)}" if missing else "every side was up"
    return f"pose {len(up)}: {up[-1]}; {left}"
