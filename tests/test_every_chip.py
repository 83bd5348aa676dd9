"""Every driver on its twin: what `chip.py` promises, for every file in chips/, whatever goes wrong.

Nothing here knows a chip: a tenth one is tested as soon as its two files exist, under every
identity its `identify` names. One fault cannot be had: i2c-bcm2835 (Pi 0-4) refuses a transfer with
two read messages (EOPNOTSUPP), and our `Bus` has no words for such a transfer.
"""

import contextlib
import errno
import os
from math import radians

import numpy as np
import pytest
from numpy.typing import NDArray
from rig import RAMP_S, SWING, SWING_HZ, Rig, Story, hard, known_variants, names, posed, ramp, swung

import firmware_bridge.chips
import firmware_bridge.emulated_chips
from firmware_bridge.chip import ImuFaultError, ImuNotFoundError
from firmware_bridge.source import Chunk

NACK, HANGS, ARBITRATION_LOST = errno.EREMOTEIO, errno.ETIMEDOUT, errno.EAGAIN
VARIANTS = known_variants()


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> tuple[str, int]:
    return VARIANTS[request.param]


@pytest.fixture
def rig(variant: tuple[str, int]) -> Rig:
    return Rig(*variant)


@pytest.fixture
def ramped(variant: tuple[str, int]) -> Rig:
    rig = Rig(*variant, ramp)
    rig.start()
    return rig


def assert_si(rig: Rig) -> None:
    """Twenty frames of `posed` come out as they went in."""
    rig.wait(20)
    frames = rig.drain()
    expected = posed(np.zeros(1))[0][: frames.shape[1]]

    assert len(frames) == 20
    # The mean of 20 frames is noisy by 0.003 m/s² and 0.02 dps, a count is as little; a wrong range
    # is off by a factor of two or, with ST's gyros, by 15 %.
    assert np.abs(frames.mean(axis=0) - expected)[:3].max() < 0.02
    assert np.abs(frames.mean(axis=0) - expected)[3:].max(initial=0) < radians(0.2)


def test_every_driver_has_a_twin_and_every_twin_a_driver() -> None:
    assert names(firmware_bridge.chips) == names(firmware_bridge.emulated_chips)


# Identity and start


def test_identify_names_it_and_only_reads(rig: Rig) -> None:
    name = rig.driver.identify(rig.wire, rig.address)

    assert name
    assert set(rig.wire.said) == {"read"}


def test_identify_knows_no_stranger_and_nobody_and_only_reads(rig: Rig) -> None:
    rig.wire.stranger = True
    stranger = rig.driver.identify(rig.wire, rig.address)
    rig.bus.unplug(rig.address)
    nobody = rig.driver.identify(rig.wire, rig.address)

    assert (stranger, nobody) == (None, None)
    assert set(rig.wire.said) == {"read"}


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


# Frames


def test_gravity_and_rotation_come_out_in_si_and_in_order(rig: Rig) -> None:
    rig.start()

    assert_si(rig)


def test_seven_g_and_1800_dps_are_not_clipped(variant: tuple[str, int]) -> None:
    rig = Rig(*variant, hard)
    rig.start()
    rig.wait(5)
    off = np.abs(rig.drain() / hard(np.zeros(1))[0][: len(rig.chip.scale)] - 1)

    # A count is 0.05 %, noise 0.1 %, a datasheet's rounding 0.2 %; clipping at 4 g is 43 %.
    assert off.max() < 0.01


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
    expected_s = (sampled_s + np.arange(1, len(frames) + 1) / rig.chip.rate_hz) % RAMP_S
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


# Start, whatever came before


def test_a_start_that_lost_a_transfer_says_so_or_works_and_the_next_one_works(rig: Rig) -> None:
    rig.chip.start()
    transfers = len(rig.wire.said)
    failed = 0
    for lost in range(transfers):
        rig.wire.lost = len(rig.wire.said) + lost
        try:
            rig.start()
        except (OSError, ImuNotFoundError) as error:
            failed += 1
            assert "Remote I/O error" in str(error)  # noqa: PT017 - one that may or may not come
            rig.start()

        assert_si(rig)
    assert failed > transfers / 2


def test_whatever_another_program_left_in_a_register_start_sets_right_or_refuses(rig: Rig) -> None:
    for register in range(0x80):
        for value in (0xFF, 0x55, 0xAA):
            rig.twin.write(bytes([register, value]))
            try:
                rig.start()
            except ImuNotFoundError:  # in another bank it does not show who it is
                rig.twin.brown_out()
                rig.start()

            assert_si(rig)


def test_whatever_another_program_left_everywhere_the_fifo_is_as_deep_as_it_says(rig: Rig) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        for register in rng.permutation(0x80):
            rig.twin.write(bytes([register, rng.integers(0x100)]))
        with contextlib.suppress(ImuNotFoundError):
            rig.start()
            rig.wait(rig.chip.fifo_frames)

            assert rig.chip.pending() == (rig.chip.fifo_frames, False)
        rig.twin.brown_out()


def test_it_can_be_started_while_it_runs_and_has_overrun(rig: Rig) -> None:
    rig.chip.start()
    rig.wait(3 * rig.chip.fifo_frames)
    rig.start()

    assert_si(rig)


# The bus


@pytest.mark.parametrize("number", [NACK, HANGS, ARBITRATION_LOST])
@pytest.mark.parametrize("call", ["pending", "read", "clear", "stop"])
def test_errors_of_the_bus_pass_through_and_end(rig: Rig, call: str, number: int) -> None:
    rig.start()
    rig.wait(3)
    rig.bus.fail(number, transfers=1)

    with pytest.raises(OSError, match=os.strerror(number)):
        getattr(rig.chip, call)(*[2] * (call == "read"))
    rig.start()
    assert_si(rig)


@pytest.mark.parametrize("number", [NACK, HANGS, ARBITRATION_LOST])
def test_an_error_while_asking_loses_nothing(ramped: Rig, number: int) -> None:
    sampled_s = ramped.align()
    ramped.wait(4)
    ramped.bus.fail(number, transfers=1)
    with pytest.raises(OSError, match=os.strerror(number)):
        ramped.chip.pending()
    frames = ramped.drain()

    assert len(frames) == 4
    assert_in_step(ramped, sampled_s, frames)


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
    assert rig.twin._sampler.rate_hz == 0  # no sensor is left on


def test_a_stopped_chip_can_be_started_again(rig: Rig) -> None:
    rig.start()
    rig.chip.stop()
    rig.wait(50)
    rig.start()

    assert_si(rig)


# Through the source: what becomes of the rows


def assert_nothing_is_invented(story: Story, chunks: list[Chunk]) -> None:
    """Every row is the movement at the time it claims, to 6 ms, noise and a count."""
    time_s = story.times_s(chunks)
    rows = np.concatenate([chunk.counts for chunk in chunks]) * story.source.scale
    channels = rows.shape[1]
    off = np.abs(rows - swung(time_s)[:, :channels])
    steepest = 2 * np.pi * SWING_HZ * SWING
    noise = np.repeat([0.15, 0.02], 3)  # m/s², rad/s: ten sigma of the noise

    assert (np.diff(time_s) > 0.99 / story.source.rate_hz).all()  # no row twice
    assert (off < (0.006 * steepest + noise)[:channels]).all()


def assert_one_gap(
    story: Story, chunks: list[Chunk], cause: str, *, begun_s: float, over_s: float
) -> None:
    """Two runs and a gap between them, which is counted; it lasts until `over_s` at least."""
    runs = [[chunk for chunk in chunks if chunk.run == run] for run in (0, 1)]
    before_s, after_s = story.times_s(runs[0]), story.times_s(runs[1])

    assert chunks == runs[0] + runs[1]
    assert (runs[0][0].cause, cause in runs[1][0].cause) == ("start", True)
    assert begun_s - 0.5 < before_s[-1] < begun_s + 0.3
    assert over_s < after_s[0]
    assert story.source.health().gaps == 1


@pytest.mark.parametrize("rate_error", [-0.2, 0.2])
def test_a_clock_20_percent_off_is_measured_and_the_rows_lie_where_they_say(
    variant: tuple[str, int], rate_error: float
) -> None:
    story = Story(variant, 30, rate_error=rate_error)
    chunks = story.told()
    true_hz = story.rig.chip.rate_hz * (1 + rate_error)

    assert {chunk.run for chunk in chunks} == {0}
    assert_nothing_is_invented(story, chunks)
    assert story.source.health().rate_hz == pytest.approx(true_hz, rel=1e-3)


@pytest.mark.parametrize("number", [NACK, HANGS, ARBITRATION_LOST])
def test_a_disturbed_transfer_is_a_gap_and_a_new_run(variant: tuple[str, int], number: int) -> None:
    story = Story(variant, 16)
    story.at(10, lambda: story.rig.bus.fail(number, transfers=1))
    chunks = story.told()

    assert_one_gap(story, chunks, os.strerror(number), begun_s=10, over_s=10)
    assert_nothing_is_invented(story, chunks)


def test_a_plug_pulled_and_put_back_is_a_gap_and_a_new_run(variant: tuple[str, int]) -> None:
    story = Story(variant, 40)
    story.at(10, lambda: story.rig.bus.unplug(story.rig.address))
    story.at(20, lambda: story.rig.bus.plug(story.rig.address))
    chunks = story.told()

    assert_one_gap(story, chunks, "Remote I/O error", begun_s=10, over_s=20)
    assert_nothing_is_invented(story, chunks)


def test_a_brown_out_is_a_gap_and_a_new_run(variant: tuple[str, int]) -> None:
    story = Story(variant, 20)
    story.at(10, story.rig.twin.brown_out)
    chunks = story.told()

    assert_one_gap(story, chunks, "", begun_s=10, over_s=10)
    assert_nothing_is_invented(story, chunks)


def test_a_host_that_slept_through_an_overrun_is_a_gap_and_a_new_run(
    variant: tuple[str, int],
) -> None:
    story = Story(variant, 60)
    deepest_s = story.rig.chip.fifo_frames / story.rig.chip.rate_hz
    story.at(10, lambda: story.rig.clock.sleep_s(2.5 * deepest_s))
    chunks = story.told()

    assert_one_gap(story, chunks, "", begun_s=10, over_s=10 + deepest_s)
    assert_nothing_is_invented(story, chunks)


def test_a_sensor_stuck_at_zero_gives_no_rows_for_longer_than_it_takes_to_see(
    variant: tuple[str, int],
) -> None:
    story = Story(variant, 100)
    story.at(10, lambda: setattr(story.rig.twin, "stuck", True))
    story.at(60, lambda: setattr(story.rig.twin, "stuck", False))
    chunks = story.told()

    # It takes 0.5 s to see, and rows are told 0.35 s late.
    assert_one_gap(story, chunks, "", begun_s=10, over_s=60)
    assert_nothing_is_invented(story, [chunk for chunk in chunks if chunk.run == 1])
