"""What the ICM-42688-P's packets tell beyond test_every_chip.py: a loss shows in themselves."""

import numpy as np
import pytest
from invensense import ADDRESS, Rig

from firmware_bridge.chip import FrameLossError
from firmware_bridge.chips import icm42688p


def running(packets: int, rate_error: float = 0.0) -> Rig:
    """Make a rig with so many packets waiting, after one that was read."""
    rig = Rig("icm42688p", rate_error=rate_error)
    rig.chip.start()
    rig.wait(1.5)
    rig.chip.read(1)
    rig.wait(packets)
    return rig


@pytest.mark.parametrize("missing", [1, 7, 59, 103])
def test_missing_packets_are_told_by_the_time_in_the_next(missing: int) -> None:
    rig = running(missing + 2)
    rig.bus.read(ADDRESS, icm42688p.FIFO_DATA, 16 * missing)
    with pytest.raises(FrameLossError, match="some are missing"):
        rig.chip.read(2)
    rig.chip.clear()
    rig.wait(2.5)

    assert rig.chip.read(2).shape == (2, 6)


@pytest.mark.parametrize("rate_error", [-0.05, 0.05])
def test_a_clock_that_is_wrong_loses_nothing(rate_error: float) -> None:
    rig = running(0, rate_error=rate_error)
    taken = 0
    for _ in range(25):
        rig.wait(10)
        taken += len(rig.chip.read(rig.chip.pending().frames))

    assert abs(taken - 250 * (1 + rate_error)) <= 1  # where the last one falls


@pytest.mark.parametrize("ticks", [586, 625])
def test_a_tick_may_be_16_us_or_32_30_of_it(ticks: int) -> None:
    rig = running(0)
    rig.chip.clear()
    number = 0

    def timed(register: int, answer: bytes) -> bytes:
        nonlocal number
        if register != icm42688p.FIFO_DATA:
            return answer
        packets = np.frombuffer(answer, np.uint8).reshape(-1, 16).copy()
        for packet in packets:
            number += 1
            packet[14:] = list((number * ticks % 65536).to_bytes(2, "big"))
        return packets.tobytes()

    rig.wire.change = timed
    for _ in range(25):
        rig.wait(10)
        rig.chip.read(rig.chip.pending().frames)

    assert number == 250


@pytest.mark.parametrize(
    ("at", "put", "sentence"),
    [
        (16, b"\x80", "header is 0x80, expected 0x68"),  # the second packet's header: empty
        (16, b"\x48", "header is 0x48, expected 0x68"),  # a packet without gyroscope
        (16 + 7, b"\x80\x00", "lacks the value"),  # gx
    ],
)
def test_a_packet_that_is_none_is_no_frame(at: int, put: bytes, sentence: str) -> None:
    rig = running(3)

    def spoilt(register: int, answer: bytes) -> bytes:
        if register != icm42688p.FIFO_DATA:
            return answer
        return answer[:at] + put + answer[at + len(put) :]

    rig.wire.change = spoilt

    with pytest.raises(FrameLossError, match=sentence):
        rig.chip.read(3)


def test_a_bank_left_behind_is_left_where_the_identity_shows_in_all() -> None:
    rig = Rig("icm42688p")
    rig.bus.write(ADDRESS, bytes((icm42688p.REG_BANK_SEL, 1)))
    rig.wire.change = lambda register, answer: b"\x47" if register == 0x75 else answer
    rig.chip.start()
    rig.wait(2.5)

    assert rig.chip.pending() == (2, False)
