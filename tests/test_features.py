"""What features promise: physical, of order one, the same at every rate, blind to the mounting."""

import math

import numpy as np
import numpy.testing as npt
import pytest
from motions import GRAVITY, held, shaken

from learner.features import FLOOR, GYRO_UNIT, Features


@pytest.mark.parametrize("n_channels", [3, 6])
@pytest.mark.parametrize("rate_hz", [20.0, 52.0, 102.49, 200.0, 1000.0])
@pytest.mark.parametrize("window_s", [0.01, 0.5, 2.56, 10.0])
def test_any_rate_and_length_is_described_finitely(
    rate_hz: float, n_channels: int, window_s: float
) -> None:
    rows = max(8, round(rate_hz * window_s))  # the shortest there is
    describe = Features(rate_hz, n_channels, rows)
    lively = shaken(2.0, 8.0, rate_hz=rate_hz, n_channels=n_channels, window_s=rows / rate_hz)
    for samples in [lively, np.zeros_like(lively), np.ones_like(lively), 1e30 * lively]:
        assert np.isfinite(describe(samples)).all()


def test_a_brisk_walk_and_a_tremble_are_both_of_order_one() -> None:
    describe = Features(50.0, 6, 128)

    for amplitude in [0.01, 0.1, 1.0, 10.0, 30.0]:
        assert np.abs(describe(shaken(2.0, amplitude))).max() < 6.0


def test_the_same_motion_looks_the_same_at_another_rate() -> None:
    slow = Features(50.0, 6, 128)
    fast = Features(100.0, 6, 256)
    a = slow(shaken(1.9, 4.0, rate_hz=50.0, seed=3)).copy()
    b = fast(shaken(1.9, 4.0, rate_hz=100.0, seed=3))

    assert slow.blocks == fast.blocks
    # only tracks that move: on the others noise is compared, of which a faster sensor has more
    for block in ["mean", "quantile", "part_level"]:
        where = slow.blocks[block]
        npt.assert_allclose(a[where], b[where], atol=0.15)
    autocorrelation = slow.blocks["autocorrelation"]
    moving = slice(autocorrelation.start, autocorrelation.start + 10)  # of ax
    # a lag is rounded to half a row, 10 ms at 50 Hz: 2π · 1.9 Hz · 10 ms
    npt.assert_allclose(a[moving], b[moving], atol=0.12)


def test_turning_the_sensor_changes_neither_lengths_nor_what_lies_along_gravity() -> None:
    describe = Features(50.0, 6, 128)
    samples = shaken(2.0, 4.0)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    turned = np.hstack([samples[:, :3] @ turn, samples[:, 3:] @ turn]).astype(np.float32)
    blocks = {name: describe(samples)[where].copy() for name, where in describe.blocks.items()}

    for name in ["mean", "band", "rhythm", "autocorrelation"]:
        before = blocks[name].reshape(12, -1)
        after = describe(turned)[describe.blocks[name]].reshape(12, -1)
        npt.assert_allclose(after[6:], before[6:], atol=1e-3)
        assert np.abs(after[:6] - before[:6]).max() > 0.1


def test_gravity_counts_one_and_shows_where_it_points() -> None:
    describe = Features(50.0, 3, 128)
    mean = describe(held(n_channels=3))[describe.blocks["mean"]]

    # x y z, length, along, across; noise of 2 mg lengthens what is across only
    npt.assert_allclose(mean, [0.0, 0.0, 1.0, 1.0, 1.0, 0.0], atol=0.005)


def test_the_bands_hold_the_energy_at_its_frequency() -> None:
    describe = Features(50.0, 6, 128)
    samples = np.zeros((128, 6), dtype=np.float32)
    samples[:, 2] = GRAVITY
    samples[:, 3] = np.sin(2.0 * np.pi * 5.0 * np.arange(128) / 50.0)  # rad/s
    rms = np.exp(describe(samples)[describe.blocks["band"]]).reshape(12, -1)[3] - FLOOR

    assert rms.argmax() == 6  # 4.5 to 6.5 Hz
    assert math.hypot(*rms) == pytest.approx(math.sqrt(0.5) / GYRO_UNIT, rel=0.01)


def test_the_rhythm_of_two_steps_a_second_is_one_octave() -> None:
    describe = Features(50.0, 6, 150)
    rhythm = describe(shaken(2.0, 4.0, window_s=3.0))[describe.blocks["rhythm"]]
    octave, share, centre, entropy = rhythm[:4]  # of ax

    assert octave == pytest.approx(1.0, abs=0.05)
    assert share > 0.5
    assert centre == pytest.approx(1.0, abs=0.1)
    assert entropy < 0.4


def test_what_was_described_before_leaves_no_trace() -> None:
    used, fresh = Features(50.0, 6, 128), Features(50.0, 6, 128)
    used(shaken(3.0, 20.0))

    npt.assert_array_equal(used(held()), fresh(held()))


def test_every_place_of_the_vector_belongs_to_one_block() -> None:
    describe = Features(50.0, 6, 128)
    places = [np.arange(describe.size)[where] for where in describe.blocks.values()]

    npt.assert_array_equal(np.concatenate(places), np.arange(describe.size))
