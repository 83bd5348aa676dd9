"""Sensors that answer and do not measure, and those that lie very still."""

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.rows.stuck import Stuck, StuckError

RATE_HZ = 100.0


def repeated(frame: list[int], frames: int) -> NDArray[np.int16]:
    return np.tile(np.array(frame, np.int16), (frames, 1))


def drained(stuck: Stuck, frames: NDArray[np.int16], piece: int = 10) -> float:
    """Push as a source would; the seconds after which it is called stuck, or infinity."""
    for first in range(0, len(frames), piece):
        try:
            stuck.push(frames[first : first + piece])
        except StuckError:
            return (first + piece) / RATE_HZ
    return np.inf


@pytest.mark.parametrize("channels", [3, 6])
def test_nothing_but_zeros_is_called_stuck_after_half_a_second(channels: int) -> None:
    zeros = np.zeros((200, channels), np.int16)

    assert drained(Stuck(RATE_HZ), zeros) == pytest.approx(0.5, abs=0.11)
    assert drained(Stuck(RATE_HZ), zeros[:50]) == np.inf


def test_any_other_value_that_stays_is_called_stuck_after_half_a_second() -> None:
    frames = repeated([10, -20, 4096, 1, 0, -1], 200)

    assert drained(Stuck(RATE_HZ), frames) == pytest.approx(0.5, abs=0.11)


def test_one_channel_that_moves_by_one_count_is_life() -> None:
    frames = repeated([10, -20, 4096, 1, 0, -1], 500)
    frames[::40, 4] += 1

    assert drained(Stuck(RATE_HZ), frames) == np.inf


def test_an_accelerometer_of_twelve_bits_may_lie_still_for_long_and_not_for_ever() -> None:
    frames = repeated([3, -7, 250], 3000)

    assert drained(Stuck(RATE_HZ), frames) == pytest.approx(20, abs=0.11)


@pytest.mark.parametrize(
    ("channels", "rms"), [(3, 0.25), (6, 1.0)], ids=["12 bits at 8 g", "16 bits with a gyro"]
)
def test_a_sensor_at_rest_is_not_stuck_however_quiet(channels: int, rms: float) -> None:
    """An hour in the worst pose: every value in the middle of a count.

    0.25 counts is 1 mg at 8 g in 12 bits, white: a frame stays by 0.87, so 20 s by 1e-120. Chips
    that filter have fewer independent looks a second: see stuck.py.
    """
    rng = np.random.default_rng(0)
    frames = np.rint(rms * rng.standard_normal((360_000, channels)) + 7).astype(np.int16)

    assert drained(Stuck(RATE_HZ), frames) == np.inf


def test_a_sensor_is_alive_once_a_value_moved_in_one_drain_or_between_two() -> None:
    within, between, still = Stuck(RATE_HZ), Stuck(RATE_HZ), Stuck(RATE_HZ)
    within.push(np.array([[1, 1, 1], [1, 2, 1]], np.int16))
    between.push(repeated([1, 1, 1], 1))
    first = between.alive
    between.push(repeated([1, 1, 2], 1))
    still.push(repeated([1, 1, 1], 9))

    assert within.alive
    assert (first, between.alive) == (False, True)
    assert not still.alive


def test_the_watch_begins_anew_with_every_change_however_the_frames_are_cut() -> None:
    frames = np.concatenate([repeated([1, 1, 1, 1, 1, 1], 45), repeated([2, 1, 1, 1, 1, 1], 45)])

    for piece in (1, 7, 90):
        assert drained(Stuck(RATE_HZ), frames, piece) == np.inf
