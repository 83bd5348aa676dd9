"""What a chip tells of lost or spoiled frames, each in its own way, is seen and said."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import BURST_BYTES, Chip, FrameLossError, ImuFaultError
from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chip import Motion

ALL = ["adxl345", "bmi160", "lis3dh", "lsm6ds3", "lsm6dsox"]


def still(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.tile([0.0, 0.0, 9.8, 0.0, 0.0, 0.0], (len(t_s), 1))


class Rig:
    """A started driver on its twin, and a second hand on the wire that spoils things."""

    def __init__(self, name: str, who_am_i: int | None = None, motion: Motion = still) -> None:
        driver = importlib.import_module(f"firmware_bridge.chips.{name}")
        emulated = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
        self.clock = VirtualClock()
        self.twin = emulated.Twin(motion, self.clock, who_am_i=who_am_i)
        self.address: int = driver.ADDRESSES[0]
        bus = EmulatedBus({self.address: self.twin})
        self.chip: Chip = driver.Driver(bus, self.address, self.clock.sleep_s)
        self.chip.start()

    def wait(self, frames: float) -> None:
        self.clock.sleep_s(frames / self.chip.rate_hz)

    def answer(self, change: Callable[[int, bytes], bytes]) -> None:
        """Let every answer of the twin go through `change(register, answer)`."""
        twin: Any = self.twin
        honest = twin.read

        def changed(register: int, length: int) -> bytes:
            return change(register, honest(register, length))

        twin.read = changed


@pytest.fixture(params=ALL)
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


def test_a_burst_leaves_the_bus_to_others_after_256_bytes(rig: Rig) -> None:
    lengths: list[int] = []

    def measured(register: int, answer: bytes) -> bytes:
        lengths.append(len(answer))
        return answer

    rig.wait(min(rig.chip.fifo_frames, 60) - 1)  # 60 frames fit into no single burst
    frames = rig.chip.pending().frames
    rig.answer(measured)
    counts = rig.chip.read(frames)

    assert len(counts) == frames
    assert max(lengths) <= BURST_BYTES == 256


def test_a_line_that_nobody_drives_is_a_fault(rig: Rig) -> None:
    rig.answer(lambda register, answer: b"\xff" * len(answer))

    with pytest.raises(ImuFaultError, match=r"0x[0-9a-f]+ says 0x[f]+, expected .*loose wire"):
        rig.chip.pending()


@pytest.mark.parametrize("name", ALL)
def test_what_a_wrist_does_is_not_clipped(name: str) -> None:
    hardest = [7.5 * 9.8, -7.5 * 9.8, 7.5 * 9.8, 33.0, -33.0, 33.0]  # m/s², rad/s; 2000 dps is 34.9
    rig = Rig(name, motion=lambda t_s: np.tile(hardest, (len(t_s), 1)))
    rig.wait(1.5)
    seen = rig.chip.read(1)[0] * rig.chip.scale

    assert np.abs(seen - hardest[: len(seen)]).max() < 0.1  # 6 sigma of the noise


@pytest.mark.parametrize("words", [1, 2, 3])
def test_lsm6dsox_sees_words_that_went_missing(words: int) -> None:
    rig = Rig("lsm6dsox")
    rig.wait(10.5)
    rig.chip.read(5)
    rig.twin.read(0x78, 7 * words)

    with pytest.raises(FrameLossError, match=r"LSM6DSOX FIFO .* are missing"):
        rig.chip.read(2)


def test_lsm6dsox_does_not_count_on_from_before_a_clear() -> None:
    rig = Rig("lsm6dsox")
    for frames in range(1, 5):  # whatever slot the FIFO begins with, it follows one of these four
        rig.wait(frames + 0.5)
        rig.chip.read(frames)
        rig.chip.clear()
        rig.wait(1.5)

        assert len(rig.chip.read(1)) == 1


def test_lsm6dsox_pairs_words_in_either_order() -> None:
    rig = Rig("lsm6dsox")
    rig.wait(3.5)

    tags: list[int] = []

    def swapped(register: int, answer: bytes) -> bytes:
        pairs = [answer[at : at + 14] for at in range(0, len(answer), 14)]
        tags.extend(pair[0] >> 3 for pair in pairs)
        return b"".join(pair[7:] + pair[:7] for pair in pairs)

    first = rig.chip.read(1)
    rig.answer(swapped)
    other = rig.chip.read(2)

    assert len(set(tags)) == 1  # the twin always begins with the same sensor
    for counts in (first, other):
        assert np.abs(counts[:, 2] * rig.chip.scale[2] - 9.8).max() < 0.1  # 6 sigma of the noise


def test_lsm6ds3_sees_that_its_words_are_out_of_step() -> None:
    rig = Rig("lsm6ds3")
    rig.wait(10.5)
    rig.twin.read(0x3E, 4)

    with pytest.raises(FrameLossError, match=r"number 2 of 6, expected number 0"):
        rig.chip.read(5)


@pytest.mark.parametrize(("identity", "frames"), [(0x69, 682), (0x6A, 341)])
def test_lsm6ds3_knows_how_much_its_variant_holds(identity: int, frames: int) -> None:
    rig = Rig("lsm6ds3", identity)
    rig.wait(frames + 0.5)
    full = rig.chip.pending()
    rig.wait(1)

    assert rig.chip.fifo_frames == frames
    assert full == (frames, False)
    assert rig.chip.pending().overrun


def test_bmi160_is_told_by_a_skip_frame_how_many_were_lost() -> None:
    rig = Rig("bmi160")
    rig.wait(rig.chip.fifo_frames + 6.5)  # one more than it counts on fits

    with pytest.raises(FrameLossError, match=r"0x40 says 5 frames lost, expected 0x8c"):
        rig.chip.read(10)


def test_bmi160_takes_an_empty_fifo_for_no_frame() -> None:
    rig = Rig("bmi160")
    rig.wait(2.5)

    with pytest.raises(FrameLossError, match=r"0x80 says another frame, expected 0x8c"):
        rig.chip.read(3)


def test_adxl345_sees_samples_that_went_missing() -> None:
    rig = Rig("adxl345")
    rig.wait(5.5)
    frames = rig.chip.pending().frames
    rig.twin.read(0x32, 6)

    with pytest.raises(FrameLossError, match=r"holds \d samples after one was read, expected \d"):
        rig.chip.read(frames)


def test_adxl345_sees_that_it_overran_while_it_was_read() -> None:
    rig = Rig("adxl345")
    rig.wait(5.5)
    frames = rig.chip.pending().frames
    rig.wait(40)

    with pytest.raises(FrameLossError, match=r"holds 3\d samples after one was read"):
        rig.chip.read(frames)


def test_adxl345_sees_that_its_settings_are_gone() -> None:
    rig = Rig("adxl345")
    rig.wait(5.5)
    rig.twin.brown_out()

    with pytest.raises(ImuFaultError, match=r"0x38 says 0x00, expected 0x80, as written"):
        rig.chip.read(1)
