"""Calibration: a planted error, seen through twin, driver and source, is found and undone."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.calibrating import calibrate
from deploy.sensing import mounted
from deploy.settings import I2c, Settings
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import STANDARD_GRAVITY
from firmware_bridge.chips.lsm9ds1 import Driver
from firmware_bridge.clock import VirtualClock
from firmware_bridge.commissioning.calibration import (
    Calibration,
    CalibrationError,
    Poses,
    amplification,
    fit,
    load,
    store,
)
from firmware_bridge.commissioning.checkup import rest_poses
from firmware_bridge.commissioning.mounting import UNTURNED, Mounted
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.emulated_chips.lsm9ds1 import Twin
from firmware_bridge.source import Chunk
from firmware_bridge.sources.i2c import Source

ADDRESS = 0x6A
SIDES = np.vstack([np.eye(3), -np.eye(3)])
# As bad as a part may be: measured = true / gain + offset.
GAIN = np.array([1.03, 0.975, 1.02])
OFFSET = np.array([0.49, -0.4, 0.78])  # m/s²: 50 mg, and 80 mg along z
BIAS = np.radians([8.0, -5.0, 3.0])
HOLD_S, TURN_S = 3.0, 1.0


def laid(directions: NDArray[np.float64]) -> Motion:
    """Rest with each of these up for 3 s, a second's turn in between, on the last for ever."""

    def motion(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        at = times_s / (HOLD_S + TURN_S)
        now = np.clip(at.astype(int), 0, len(directions) - 1)
        later = np.minimum(now + 1, len(directions) - 1)
        share = np.clip(((at % 1) * (HOLD_S + TURN_S) - HOLD_S) / TURN_S, 0, 1)[:, None]
        share = np.where((now == later)[:, None], 0, share)
        up = (1 - share) * directions[now] + share * directions[later]
        # Opposite sides meet half way in nothing: turned over by way of a third.
        up = up + (share * (1 - share)) * np.array([0.31, 0.17, 0.23])
        up = up / np.linalg.norm(up, axis=1, keepdims=True)
        turning = np.where((share > 0) & (share < 1), 1.5, 0.0) * np.ones(3)
        return np.hstack([STANDARD_GRAVITY * up, turning])

    return motion


def off(motion: Motion) -> Motion:
    """The same, felt by a sensor that is off."""

    def felt(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = motion(times_s)
        return np.hstack([rows[:, :3] / GAIN + OFFSET, rows[:, 3:] + BIAS])

    return felt


def bus_of(motion: Motion, clock: VirtualClock) -> EmulatedBus:
    return EmulatedBus({ADDRESS: Twin(motion, clock, rate_error=0.03, seed=2)})


def anywhere(poses: int, seed: int) -> NDArray[np.float64]:
    """Directions (n, 3) at random."""
    directions = np.random.default_rng(seed).normal(size=(poses, 3))
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def settings_in(folder: Path) -> Settings:
    return Settings(state_dir=str(folder), i2c=I2c(bus=1, chip="lsm9ds1"))


def gravity_errors(
    settings: Settings | None, directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far |a| is from g in each pose, as a part of it: through the source, as it is stored."""
    errors = []
    for direction in directions:
        clock = VirtualClock()
        driver = Driver(bus_of(off(laid(direction[None])), clock), ADDRESS, clock.sleep_s)
        chip = (
            Mounted(driver, UNTURNED)
            if settings is None
            else mounted(settings, driver, "lsm9ds1", ADDRESS)
        )
        source = Source(chip, clock)
        rows = next(source.chunks()).counts * source.scale
        errors.append(np.linalg.norm(rows[:, :3].mean(axis=0)) / STANDARD_GRAVITY - 1)
    return np.abs(errors)


@pytest.mark.parametrize(
    "directions", [SIDES, anywhere(14, seed=5)], ids=["six sides", "a free wiggle"]
)
def test_after_calibration_gravity_is_right_in_poses_never_seen(
    tmp_path: Path, directions: NDArray[np.float64]
) -> None:
    clock = VirtualClock()
    said: list[str] = []
    found = calibrate(
        settings_in(tmp_path), bus_of(off(laid(directions)), clock), clock, said.append
    )
    unseen = anywhere(12, seed=9)

    assert gravity_errors(None, unseen).max() > 0.05
    # The noise of a pose's mean is 0.02 % of g, an offset is rounded by 0.01 % at most.
    assert gravity_errors(settings_in(tmp_path), unseen).max() < 0.002
    assert found.calibration.accel_gain == pytest.approx(GAIN, abs=0.002)
    assert found.calibration.accel_offset_m_s2 == pytest.approx(OFFSET, abs=0.015)
    # One count is 0.07 dps, its mean over the rest far less.
    assert found.calibration.gyro_offset_rad_s == pytest.approx(BIAS, abs=np.radians(0.03))
    assert found.off_before > 0.05
    assert len(said) == found.poses


def test_six_sides_are_enough_and_are_counted_aloud(tmp_path: Path) -> None:
    clock = VirtualClock()
    said: list[str] = []
    calibrate(settings_in(tmp_path), bus_of(off(laid(SIDES)), clock), clock, said.append)

    assert said[0] == "pose 1: x up; still missing: x down, y up, y down, z up, z down"
    assert said[-1] == "pose 6: z down; every side was up"
    assert clock.now_s() < 6 * (HOLD_S + TURN_S)


def test_half_of_the_sides_tell_too_little_and_nothing_is_kept(tmp_path: Path) -> None:
    clock = VirtualClock()
    chip = Driver(bus_of(laid(SIDES[:3]), clock), ADDRESS, clock.sleep_s)
    poses = rest_poses(chip, clock, lambda _: None, patience_s=20)

    assert len(poses.means) == 3
    assert not poses.enough()
    with pytest.raises(CalibrationError, match="3 poses tell too little, expected 6 or more"):
        fit(poses.means)


def test_six_poses_with_the_same_half_up_tell_too_little() -> None:
    slant = np.radians(55)
    around = np.radians(np.arange(0, 360, 60))
    cone = np.stack(
        [np.sin(slant) * np.cos(around), np.sin(slant) * np.sin(around), np.full(6, np.cos(slant))],
        axis=1,
    )

    assert amplification(SIDES) == pytest.approx(np.sqrt(0.5))
    assert amplification(cone) > 5
    with pytest.raises(CalibrationError, match="turn it further between them"):
        fit(np.hstack([cone * STANDARD_GRAVITY, np.zeros((6, 3))]))


def still_rows(seconds: float, up: tuple[float, float, float] = (0, 0, 1)) -> NDArray[np.float32]:
    noise = np.random.default_rng(1).normal(size=(round(seconds * 50), 6)) * (
        [0.02] * 3 + [2e-3] * 3
    )
    noise[:, :3] += STANDARD_GRAVITY * np.array(up)
    return np.asarray(noise, np.float32)


def tremble(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """0.3 m/s² at 9 Hz, as of a hand."""
    shaken = rows + 0.3 * np.sin(2 * np.pi * 9 * np.arange(len(rows)) / 50)[:, None]
    return np.asarray(shaken, np.float32)


def tip(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """3 degrees a second, steadily: the gyro's spread says nothing of it."""
    angle = np.radians(3) * np.arange(len(rows)) / 50
    tipped = rows.copy()
    tipped[:, 0] += STANDARD_GRAVITY * np.sin(angle)
    return tipped


@pytest.mark.parametrize("moved", [tremble, tip])
def test_a_sensor_that_moves_is_in_no_pose(
    moved: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> None:
    assert Poses(50.0).push(still_rows(3))
    assert not Poses(50.0).push(moved(still_rows(3)))


def test_a_pose_is_taken_once_and_not_across_a_gap() -> None:
    poses = Poses(50.0)

    assert not poses.push(still_rows(1))
    poses.interrupt()
    assert not poses.push(still_rows(1))
    assert poses.push(still_rows(1))
    assert not poses.push(still_rows(5))
    assert not poses.push(still_rows(5, (0.3, 0.0, 0.95)))  # 18 degrees further
    assert poses.push(still_rows(5, (0.6, 0.0, 0.8)))
    assert len(poses.means) == 2


def test_rest_before_and_after_a_gap_is_not_one_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock()
    chip = Driver(bus_of(laid(SIDES), clock), ADDRESS, clock.sleep_s)
    second = np.rint(still_rows(1) / chip.scale).astype(np.int16)
    runs = [0, 0, 1, 2]
    monkeypatch.setattr(
        Source, "chunks", lambda _: [Chunk(run, 0, 0.0, second, "gap") for run in runs]
    )
    assert len(rest_poses(chip, clock, lambda _: None).means) == 1

    runs[:] = [0, 1, 2, 3]
    assert len(rest_poses(chip, clock, lambda _: None).means) == 0


def test_an_accelerometer_alone_has_no_bias_to_know() -> None:
    calibration = fit(SIDES * STANDARD_GRAVITY / GAIN + OFFSET)

    assert calibration.accel_gain == pytest.approx(GAIN)
    assert calibration.accel_offset_m_s2 == pytest.approx(OFFSET)
    assert calibration.gyro_offset_rad_s == (0, 0, 0)


def test_a_sensor_that_is_off_beyond_belief_is_not_calibrated() -> None:
    with pytest.raises(
        CalibrationError, match=r"gains 0\.800 1\.000 1\.000, .* expected within 10%"
    ):
        fit(SIDES * STANDARD_GRAVITY / [0.8, 1, 1])


def test_poses_that_disagree_are_not_kept(tmp_path: Path) -> None:
    """Two poses more than six, one of them felt with half a m/s² too much, as on a lift."""
    clock = VirtualClock()
    directions = np.vstack([anywhere(5, seed=1), SIDES])
    rest = laid(directions)

    def lifted(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = rest(times_s)
        rows[times_s < HOLD_S + TURN_S / 2, :3] *= 1.06
        return rows

    with pytest.raises(CalibrationError, match="the poses disagree by"):
        calibrate(settings_in(tmp_path), bus_of(lifted, clock), clock, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_counts_are_corrected_in_whole_counts_and_the_gain_is_in_the_scale() -> None:
    clock = VirtualClock()
    driver = Driver(bus_of(laid(SIDES[:1]), clock), ADDRESS, clock.sleep_s)
    calibration = Calibration((1.03, 1.0, 0.98), (0.1, -0.2, 0.0), (0.0, 0.05, 0.0))
    chip = Mounted(driver, UNTURNED, calibration)
    raw = np.array([[100, 200, -32768, 1, 2, 3]], np.int16)
    driver.read = lambda frames: raw  # type: ignore[method-assign]

    # 0.1 m/s² is 41.8 counts of 0.244 mg, 0.2 is 83.6; 0.05 rad/s is 40.9 counts of 70 mdps.
    assert chip.read(1).tolist() == [[100 - 42, 200 + 84, -32768, 1, 2 - 41, 3]]
    assert chip.scale == pytest.approx(driver.scale * [1.03, 1.0, 0.98, 1, 1, 1])


ONE = Calibration((1.01, 1.0, 0.99), (0.1, 0.2, 0.3), (0.01, 0.02, 0.03))


def test_what_was_stored_is_read_again_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calibration.json"

    assert load(path, "lsm9ds1@0x6a") is None
    store(path, "lsm9ds1@0x6a", ONE)
    store(path, "mpu6050@0x68", Calibration())
    assert load(path, "lsm9ds1@0x6a") == ONE
    assert load(path, "mpu6050@0x68") == Calibration()
    assert load(path, "lsm9ds1@0x6b") is None
    assert [file.name for file in path.parent.iterdir()] == ["calibration.json"]


def test_a_store_cut_short_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calibration.json"
    store(path, "a", ONE)

    def cut(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", cut)
    with pytest.raises(OSError, match="No space"):
        store(path, "a", Calibration())
    assert load(path, "a") == ONE


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"a": 1}',
        '{"a": {"accel_gain": [1, 1]}}',
        '{"a": {"gain": [1, 1, 1]}}',
        '{"a": {"accel_gain": [NaN, 1, 1]}}',
        '{"a": {"gyro_offset_rad_s": [NaN, 1, 1]}}',
    ],
)
def test_a_damaged_file_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)

    with pytest.raises(CalibrationError, match=re.escape(str(path)) + ".*calibrate again"):
        load(path, "a")
