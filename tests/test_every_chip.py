"""Every driver on its twin: what `chip.py` promises, for every file in chips/."""

import contextlib
import errno
import importlib
import os
from dataclasses import dataclass, field
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import firmware_bridge.chips
import firmware_bridge.emulated_chips
from firmware_bridge.bus import Bus
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import Chip, ImuFaultError, ImuNotFoundError
from firmware_bridge.clock import VirtualClock

G = 9.80665


def names(package: Any) -> set[str]:
    files = (file for folder in package.__path__ for file in Path(folder).glob("*.py"))
    return {file.stem for file in files} - {"__init__"}


def posed(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gravity a little different on each axis, turning about each at another rate."""
    row = [0.48 * G, -0.6 * G, 0.64 * G, radians(90), radians(-45), radians(20)]
    return np.tile(row, (len(t_s), 1))


def ramp(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every axis grows with time, accel and gyro together: a frame out of step is seen."""
    return np.outer(t_s, [10.0, 10.0, 10.0, 5.0, 5.0, 5.0])


@dataclass
class Wire:
    """A bus that remembers what was said, and can be made deaf or a stranger."""

    bus: Bus
    said: list[str] = field(default_factory=list)
    deaf: bool = False  # writes are acknowledged and lost
    stranger: bool = False  # another chip, which answers 0x42 to everything

    def write(self, address: int, data: bytes) -> None:
        self.said.append("write")
        if not self.deaf:
            self.bus.write(address, data)

    def read(self, address: int, register: int, length: int) -> bytes:
        self.said.append("read")
        answer = self.bus.read(address, register, length)
        return b"\x42" * length if self.stranger else answer

    def close(self) -> None:
        self.bus.close()


class Rig:
    """One driver, its twin and what lies between."""

    def __init__(self, name: str, motion: Any = posed) -> None:
        driver = importlib.import_module(f"firmware_bridge.chips.{name}")
        emulated = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
        self.address: int = driver.ADDRESSES[0]
        self.clock = VirtualClock()
        self.twin = emulated.Twin(motion, self.clock, seed=1)
        self.bus = EmulatedBus({self.address: self.twin})
        self.wire = Wire(self.bus)
        self.chip: Chip = driver.Driver(self.wire, self.address, sleep_s=self.clock.sleep_s)

    def start(self) -> None:
        """Start, and come to half a period after a frame, which is taken."""
        self.chip.start()
        self.align()

    def align(self) -> float:
        """Wait to half a period after the next frame and take what came; return its moment."""
        self.chip.read(self.chip.pending().frames)
        while self.chip.pending().frames == 0:
            self.wait(0.05)
        sampled_s = self.clock.now_s()
        self.chip.read(1)
        self.wait(0.5)
        return sampled_s

    def wait(self, frames: float) -> None:
        self.clock.sleep_s(frames / self.chip.rate_hz)

    def drain(self) -> NDArray[np.float64]:
        """All that waits, (n, c) in SI."""
        counts = self.chip.read(self.chip.pending().frames)
        return np.asarray(counts * self.chip.scale.astype(np.float64))


@pytest.fixture(params=sorted(names(firmware_bridge.chips)))
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


@pytest.fixture(params=sorted(names(firmware_bridge.chips)))
def ramped(request: pytest.FixtureRequest) -> Rig:
    rig = Rig(request.param, ramp)
    rig.start()
    return rig


def test_every_driver_has_a_twin_and_every_twin_a_driver() -> None:
    assert names(firmware_bridge.chips) == names(firmware_bridge.emulated_chips)


def test_the_identity_is_read_before_anything_is_written(rig: Rig) -> None:
    rig.chip.start()

    assert rig.wire.said[0] == "read"
    assert "write" in rig.wire.said


def test_a_stranger_is_named_and_not_written_to(rig: Rig) -> None:
    rig.wire.stranger = True

    with pytest.raises(ImuNotFoundError, match=rf"0x42 .*0x{rig.address:02x}.*expected 0x"):
        rig.chip.start()
    assert "write" not in rig.wire.said


def test_nobody_there_is_said_with_the_address(rig: Rig) -> None:
    rig.bus.unplug(rig.address)

    with pytest.raises(ImuNotFoundError, match=rf"0x{rig.address:02x}.*i2cdetect"):
        rig.chip.start()


def test_a_register_that_does_not_keep_is_a_fault(rig: Rig) -> None:
    rig.wire.deaf = True

    with pytest.raises(ImuFaultError, match=r"register 0x[0-9a-f]{2}.*0x[0-9a-f]{2}"):
        rig.chip.start()


def test_gravity_and_rotation_come_out_in_si_and_in_order(rig: Rig) -> None:
    rig.start()
    rig.wait(20)
    frames = rig.drain()
    expected = posed(np.zeros(1))[0][: frames.shape[1]]

    assert len(frames) == 20
    # The mean of 20 frames is noisy by 0.003 m/s² and 0.02 dps, a count is as little; a wrong range
    # is off by a factor of two or, with ST's gyros, by 15 %.
    assert np.abs(frames.mean(axis=0) - expected)[:3].max() < 0.02
    assert np.abs(frames.mean(axis=0) - expected)[3:].max(initial=0) < radians(0.2)


def test_the_nominal_rate_is_the_chips(rig: Rig) -> None:
    rig.start()
    taken = 0
    for _ in range(100):
        rig.wait(10)
        taken += len(rig.drain())

    assert taken == 1000


def test_counts_are_a_new_array_of_whole_frames(rig: Rig) -> None:
    rig.start()
    rig.wait(5)
    first = rig.chip.read(2)
    first[:] = 0
    second = rig.chip.read(3)

    assert (first.shape, second.shape) == ((2, len(rig.chip.scale)), (3, len(rig.chip.scale)))
    assert second.dtype == np.int16
    assert second.any()
    assert rig.chip.pending().frames == 0


def test_a_full_fifo_is_no_overrun_and_one_more_frame_is(rig: Rig) -> None:
    rig.start()
    rig.wait(rig.chip.fifo_frames)
    full = rig.chip.pending()
    rig.wait(1)

    assert full == (rig.chip.fifo_frames, False)
    assert rig.chip.pending().overrun


def assert_in_step(rig: Rig, sampled_s: float, frames: NDArray[np.float64]) -> None:
    """Frames of `ramp` lie one period apart after `sampled_s`, accel and gyro of one moment."""
    accel_s = frames[:, :3].mean(axis=1) / 10
    expected_s = sampled_s + np.arange(1, len(frames) + 1) / rig.chip.rate_hz
    # Noise moves a frame by a millisecond or two, one frame out of step is eight or more.
    tolerance_s = 0.5 / rig.chip.rate_hz

    assert np.abs(accel_s - expected_s).max() < tolerance_s
    if frames.shape[1] == 6:
        assert np.abs(accel_s - frames[:, 3:].mean(axis=1) / 5).max() < tolerance_s


def test_frames_come_oldest_first_and_in_step(ramped: Rig) -> None:
    sampled_s = ramped.align()
    ramped.wait(10)
    frames = ramped.drain()

    assert len(frames) == 10
    assert_in_step(ramped, sampled_s, frames)


def test_after_an_overrun_and_clear_frames_are_in_step_and_new(ramped: Rig) -> None:
    ramped.wait(3 * ramped.chip.fifo_frames)
    overrun = ramped.chip.pending().overrun
    ramped.chip.clear()
    after_clear = ramped.chip.pending()
    sampled_s = ramped.align()
    ramped.wait(10)

    assert overrun
    assert after_clear == (0, False)
    assert_in_step(ramped, sampled_s, ramped.drain())


def test_a_transfer_lost_in_the_middle_of_a_frame_is_mended_by_clear(ramped: Rig) -> None:
    ramped.wait(4)
    taken = 0

    def lost_half_way(register: int, length: int) -> bytes:
        nonlocal taken
        taken += 1
        if taken == 2:
            raise OSError(errno.EREMOTEIO, "lost")
        answer: bytes = type(ramped.twin).read(ramped.twin, register, length)
        return answer

    ramped.twin.read = lost_half_way
    with contextlib.suppress(OSError):  # a chip whose frames come in one burst loses nothing
        ramped.chip.read(4)
    del ramped.twin.read
    ramped.chip.clear()
    sampled_s = ramped.align()
    ramped.wait(10)

    assert_in_step(ramped, sampled_s, ramped.drain())


@pytest.mark.parametrize("number", [errno.EREMOTEIO, errno.ETIMEDOUT, errno.EAGAIN])
def test_errors_of_the_bus_pass_through_and_end(rig: Rig, number: int) -> None:
    rig.chip.start()
    rig.bus.fail(number, transfers=1)

    with pytest.raises(OSError, match=os.strerror(number)):
        rig.chip.pending()
    assert not rig.chip.pending().overrun


def test_a_chip_plugged_in_again_needs_a_start_and_then_works(rig: Rig) -> None:
    rig.chip.start()
    rig.bus.unplug(rig.address)
    with pytest.raises(OSError, match="Remote I/O error"):
        rig.chip.pending()
    rig.bus.plug(rig.address)
    rig.wait(10)
    forgotten = rig.chip.pending()
    rig.start()
    rig.wait(5)

    assert forgotten == (0, False)
    assert rig.chip.pending() == (5, False)


def test_a_stopped_chip_sleeps(rig: Rig) -> None:
    rig.chip.start()
    rig.wait(5)
    rig.chip.stop()
    rig.wait(50)

    assert rig.chip.pending() == (0, False)
