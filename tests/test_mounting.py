"""How the sensor sits: exact in counts, and gyro and gravity still belong together."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.sensing import open_emulated
from deploy.settings import I2c, Settings, SettingsError
from firmware_bridge.chip import Pending
from firmware_bridge.clock import VirtualClock
from firmware_bridge.commissioning.mounting import AxesError, Mounted, read_axes
from firmware_bridge.wearer import Wearer

ALL_MAPS = [
    ",".join(sign + axis for sign, axis in zip(signs, order, strict=True))
    for order in permutations("xyz")
    for signs in product(["", "-"], repeat=3)
]


class Still:
    """A chip that has these counts to give, and counts a g as 1000, a rad/s as 100."""

    rate_hz = 100.0
    fifo_frames = 32

    def __init__(self, counts: NDArray[np.int16]) -> None:
        self.counts = counts
        self.scale = np.array([0.00980665] * 3 + [0.01] * 3, np.float32)[: counts.shape[1]]
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def pending(self) -> Pending:
        return Pending(len(self.counts), overrun=False)

    def read(self, frames: int) -> NDArray[np.int16]:
        return self.counts[:frames]

    def clear(self) -> None:
        self.calls.append("clear")

    def stop(self) -> None:
        self.calls.append("stop")


def turned(text: str, counts: NDArray[np.int16]) -> NDArray[np.int16]:
    return Mounted(Still(counts), read_axes(text)).read(len(counts))


FRAME = np.array([[100, 200, 300, 10, 20, 30]], np.int16)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x,y,z", [100, 200, 300, 10, 20, 30]),
        ("x,-z,y", [100, -300, 200, 10, -30, 20]),
        (" -y , +x,z", [-200, 100, 300, -20, 10, 30]),
        ("x,y,-z", [100, 200, -300, -10, -20, 30]),
        ("y,x,z", [200, 100, 300, -20, -10, -30]),
    ],
)
def test_the_body_s_axes_are_the_chip_s_that_the_map_names(text: str, expected: list[int]) -> None:
    assert turned(text, FRAME).tolist() == [expected]


@pytest.mark.parametrize("text", ["x,y,y", "x,y", "x,y,z,x", "", "x,y,w", "x y z", "--x,y,z"])
def test_a_map_that_is_none_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(AxesError, match=f'axes is "{text}", expected x, y and z once each'):
        read_axes(text)


def rotating(seconds: float) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Up, as a sensor feels it that turns about a slanting axis, and its rate: 100 a second."""
    axis = np.array([0.6, -0.48, 0.64])
    cross = np.cross(np.eye(3), axis)  # cross @ v = axis x v
    for angle in np.arange(0, seconds, 0.01):
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        yield turn.T @ np.array([0.0, 0.0, 1.0]), axis


@pytest.mark.parametrize("text", ALL_MAPS)
def test_gravity_turns_as_the_gyro_says_under_every_map(text: str) -> None:
    up, rate = map(np.array, zip(*rotating(3.0), strict=True))
    counts = np.rint(np.hstack([up * 30000, rate * 10000])).astype(np.int16)
    rows = turned(text, counts)
    up, rate = rows[:, :3] / 30000, rows[:, 3:] / 10000

    derivative = (up[2:] - up[:-2]) / 0.02
    # Half a count is 1.7e-5 of g, through the difference 1.7e-3 1/s; the curve adds 2e-5.
    assert np.abs(derivative - np.cross(up[1:-1], rate[1:-1])).max() < 3e-3


def test_a_mirror_is_told_from_a_turn() -> None:
    turns = [text for text in ALL_MAPS if read_axes(text).handedness == 1]

    assert len(ALL_MAPS) == 48
    assert len(turns) == 24
    assert {"x,y,z", "x,-z,y", "-x,-y,z"} <= set(turns)
    assert not {"x,y,-z", "y,x,z"} & set(turns)


def test_what_cannot_be_negated_saturates_and_all_else_is_exact() -> None:
    counts = np.array([[-32768, -32767, 32767, -32768, 5, -32768]], np.int16)

    assert turned("x,y,z", counts).tolist() == counts.tolist()
    assert turned("-x,-y,z", counts).tolist() == [[32767, 32767, 32767, 32767, -5, -32768]]


def test_an_accelerometer_alone_is_turned_too() -> None:
    assert turned("-z,y,x", FRAME[:, :3]).tolist() == [[-300, 200, 100]]


def test_the_scale_follows_its_axis() -> None:
    chip = Still(FRAME)
    chip.scale = np.arange(1, 7, dtype=np.float32)  # an ADXL345's z differs from its x and y

    assert Mounted(chip, read_axes("z,-x,y")).scale.tolist() == [3, 1, 2, 6, 4, 5]


def test_all_else_reaches_the_chip() -> None:
    chip = Still(FRAME)
    mounted = Mounted(chip, read_axes("z,y,x"))
    chip.fifo_frames = 64  # an MPU-6050, which is asked only at the start what it is
    mounted.start()
    mounted.clear()
    mounted.stop()

    assert chip.calls == ["start", "clear", "stop"]
    assert mounted.pending() == (1, False)
    assert (mounted.rate_hz, mounted.fifo_frames) == (100.0, 64)


def rows_at_rest(axes: str) -> NDArray[np.float64]:
    """What the line stores of a wearer who lies 28 degrees back, through the whole source."""
    clock = VirtualClock()
    wearer = Wearer([("resting", 60)], seed=3)
    with ExitStack() as stack:
        settings = Settings(i2c=I2c(bus="emulated", axes=axes))
        source = open_emulated(settings, stack, wearer, clock)
        chunks = source.chunks()
        chunk = next(chunks)
        source.close()
        return np.asarray(chunk.counts * source.scale, np.float64)


def test_what_is_stored_is_in_the_body_s_frame() -> None:
    chip, body = rows_at_rest("x,y,z").mean(axis=0), rows_at_rest("x,-z,y").mean(axis=0)

    assert chip[2] > 8  # upright
    assert body == pytest.approx(chip[[0, 2, 1, 3, 5, 4]] * [1, -1, 1, 1, -1, 1], abs=1e-6)


def test_the_settings_axes_are_checked_and_a_mirror_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SettingsError, match='axes is "x,x,z", expected x, y and z once each'):
        rows_at_rest("x,x,z")
    assert not caplog.text

    rows_at_rest("-x,y,z")

    assert 'axes "-x,y,z" is a mirror image' in caplog.text
