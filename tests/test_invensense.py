"""What the drivers of InvenSense's chips promise beyond test_every_chip.py, each on its twin."""

import pytest
from invensense import ADDRESS, Rig

from firmware_bridge.chip import ImuFaultError, ImuNotFoundError
from firmware_bridge.chips import icm20948, mpu6050

BYTE_FIFOS = {"mpu6050": mpu6050.FIFO_R_W, "icm20948": icm20948.FIFO_R_W}
FRAME_BYTES = {"mpu6050": 12, "icm20948": 12, "icm42688p": 16}


@pytest.mark.parametrize(
    ("who_am_i", "name", "frames"),
    [
        (0x68, "MPU-6050", 85),
        (0x70, "MPU-6500", 42),
        (0x71, "MPU-9250", 42),
        (0x73, "MPU-9255", 42),
    ],
)
def test_mpu_the_identity_decides_on_fifo_and_filter(who_am_i: int, name: str, frames: int) -> None:
    rig = Rig("mpu6050", who_am_i)
    rig.chip.start()
    rig.wait(frames + 0.5)
    full = rig.chip.pending()
    rig.wait(1)

    assert mpu6050.identify(rig.bus, ADDRESS) == name
    assert rig.chip.fifo_frames == frames
    assert full == (frames, False)
    assert rig.chip.pending().overrun
    assert (bytes((0x1D, 3)) in rig.wire.written) == (name != "MPU-6050")


@pytest.mark.parametrize("who_am_i", [0x69, 0x75])
def test_mpu_a_clone_known_as_defective_is_refused_unwritten(who_am_i: int) -> None:
    rig = Rig("mpu6050", who_am_i)

    with pytest.raises(ImuNotFoundError, match=rf"0x{who_am_i:02x} answered.*0x68 \(MPU-6050\)"):
        rig.chip.start()
    assert rig.wire.written == []


@pytest.mark.parametrize("name", sorted(BYTE_FIFOS))
def test_a_count_taken_in_the_middle_of_a_frame_is_no_overrun(name: str) -> None:
    rig = Rig(name)
    rig.chip.start()
    rig.wait(3.5)
    looks = 0

    def half_written(_: int, answer: bytes) -> bytes:
        nonlocal looks
        looks += 1
        return bytes((answer[0], answer[1] - 6)) if looks == 1 else answer

    rig.wire.change = half_written

    assert rig.chip.pending() == (3, False)
    assert looks == 2


@pytest.mark.parametrize("name", sorted(BYTE_FIFOS))
def test_bytes_lost_without_an_overflow_are_an_overrun_until_cleared(name: str) -> None:
    rig = Rig(name)
    rig.chip.start()
    rig.wait(3.5)
    rig.bus.read(ADDRESS, BYTE_FIFOS[name], 5)
    lost = rig.chip.pending()
    rig.wait(2)
    still_lost = rig.chip.pending()
    rig.chip.clear()
    rig.wait(2)

    assert lost.overrun
    assert still_lost.overrun
    assert rig.chip.pending() == (2, False)


@pytest.mark.parametrize(("name", "frame_bytes"), FRAME_BYTES.items())
def test_a_full_fifo_is_read_in_whole_frames_that_leave_others_the_bus(
    name: str, frame_bytes: int
) -> None:
    rig = Rig(name)
    rig.chip.start()
    rig.wait(rig.chip.fifo_frames + 0.5)
    rig.wire.lengths.clear()
    frames = rig.chip.read(rig.chip.fifo_frames)

    assert len(frames) == rig.chip.fifo_frames
    assert sum(rig.wire.lengths) == rig.chip.fifo_frames * frame_bytes
    assert all(length <= 256 and length % frame_bytes == 0 for length in rig.wire.lengths)


@pytest.mark.parametrize("name", sorted(FRAME_BYTES))
def test_a_count_no_fifo_holds_is_a_loose_wire(name: str) -> None:
    rig = Rig(name)
    rig.chip.start()
    rig.wire.change = lambda _, answer: b"\xff" * len(answer)

    with pytest.raises(ImuFaultError, match=r"says 0xffff, expected \d+ bytes at most: check SDA"):
        rig.chip.pending()


def test_icm20948_a_start_killed_anywhere_is_mended_by_the_next_process() -> None:
    for transfers in range(100):
        rig = Rig("icm20948")
        rig.wire.dies_after = transfers
        try:
            rig.chip.start()
        except (OSError, ImuNotFoundError):
            rig.wire.dies_after = None
        else:
            break
        again = rig.driver()
        again.start()
        rig.wait(3.5)

        assert again.pending() == (3, False)

    assert 20 < transfers < 99  # the start was gone through from end to end


def test_icm20948_a_broken_register_of_bank_2_is_the_same_fault_at_every_start() -> None:
    rig = Rig("icm20948")
    rig.wire.change = lambda register, answer: b"\x42" if register == 0x14 else answer

    for _ in range(2):
        with pytest.raises(ImuFaultError, match="register 0x14 kept 0x42"):
            rig.chip.start()


@pytest.mark.parametrize(
    ("left", "bank"),
    [
        ([(0x7F, 0x10)], 1),
        ([(0x7F, 0x30)], 3),
        ([(0x7F, 0x20), (0x14, 0x3D)], 2),  # with a filter that is not ours
    ],
)
def test_icm20948_the_bank_another_program_left_is_the_persons_to_mend(
    left: list[tuple[int, int]], bank: int
) -> None:
    rig = Rig("icm20948")
    for register_and_value in left:
        rig.bus.write(ADDRESS, bytes(register_and_value))

    with pytest.raises(ImuNotFoundError, match=rf"in bank {bank};.*`i2cset -y 1 0x68 0x7f 0`"):
        rig.chip.start()
    assert rig.wire.written == []

    rig.bus.write(ADDRESS, bytes((0x7F, 0)))
    rig.chip.start()
    assert rig.wire.written


@pytest.mark.parametrize("byte", [0x20, 0x01, 0x00])
def test_icm20948_a_clock_at_its_address_is_not_written_to(byte: int) -> None:
    rig = Rig("icm20948")
    rig.wire.change = lambda _, answer: bytes([byte]) * len(answer)

    with pytest.raises(ImuNotFoundError):
        rig.chip.start()
    assert rig.wire.written == []
