"""A copy of a window as it might have been another day: like it in all that a day cannot change."""

import math

import naive_forest
import numpy as np
import numpy.testing as npt
import pytest
from motions import GRAVITY, Samples, shaken
from numpy.typing import NDArray

from learner import displacement
from learner.classifier import WindowShape
from learner.described import Describer, seed
from learner.displacement import COPIES, DRAWS, LARGER, SLOWER, SLOWEST, TURN_RAD, displace, draws

Floats = NDArray[np.float64]

ROWS = 96
MANY = np.concatenate([draws(n) for n in range(3000 // COPIES)])


def displaced(samples: Samples, drawn: Floats) -> Samples:
    out = np.full_like(samples, np.nan)
    displace(samples, drawn, out)
    return out


def only(**what: float) -> Floats:
    """Draws of nothing but this."""
    places = ["x", "y", "z", "tempo", "size", "part"]
    return np.array([what.get(place, 0.0) for place in places])


def turned(drawn: Floats) -> Floats:
    """The turn (3, 3) of these draws."""
    out = np.empty((3, 3))
    x, y, z = TURN_RAD * drawn[:3]
    displacement.rotation(x, y, z, out)
    return out


def walk(channels: int = 6, rows: int = ROWS) -> Samples:
    return shaken(2.0, 5.0, n_channels=channels, window_s=rows / 50.0)


@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize("rows", [8, ROWS])
@pytest.mark.parametrize("kind", ["walk", "constant", "zero"])
def test_the_copy_is_that_of_the_twin(kind: str, rows: int, channels: int) -> None:
    samples = walk(channels, rows)
    if kind != "walk":
        samples[:] = 0.0 if kind == "zero" else samples[0]
    for drawn in MANY[:50]:
        # what is written is rounded to float32
        npt.assert_allclose(
            displaced(samples, drawn), naive_forest.displace(samples, drawn), rtol=1e-6, atol=1e-5
        )


@pytest.mark.parametrize("large", [1e-9, 1.0, 20.0])
def test_the_turn_is_the_exponential_of_its_cross_product(large: float) -> None:
    for drawn in MANY[:20]:
        x, y, z = large * drawn[:3]
        out = np.empty((3, 3))
        displacement.rotation(x, y, z, out)
        if large < 10.0:  # beyond, a power series loses its digits
            npt.assert_allclose(out, naive_forest.rotation(x, y, z), atol=1e-12)
        npt.assert_allclose(out @ out.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(out) == pytest.approx(1.0)


def test_no_turn_is_the_window_itself() -> None:
    npt.assert_array_equal(displaced(walk(), only()), walk())


def test_a_turn_keeps_every_length_and_turns_both_triads_alike() -> None:
    samples, drawn = walk(), only(x=1.0, y=-2.0, z=0.5)
    copy = displaced(samples, drawn)

    for triad in [slice(0, 3), slice(3, 6)]:
        lengths = np.linalg.norm(copy[:, triad], axis=1)
        npt.assert_allclose(lengths, np.linalg.norm(samples[:, triad], axis=1), rtol=1e-6)
        npt.assert_allclose(copy[:, triad], samples[:, triad] @ turned(drawn).T, atol=1e-5)


def test_a_turn_is_by_a_few_degrees_about_every_axis_alike() -> None:
    turns = np.array([turned(drawn) for drawn in MANY])
    angles = np.arccos((np.trace(turns, axis1=1, axis2=2) - 1.0) / 2.0)
    about = np.array([turns[:, 2, 1], turns[:, 0, 2], turns[:, 1, 0]])  # small: x, y, z

    # The angle is the length of three normals: its mean is sqrt(8 / pi) of them. Of 3000 draws
    # it is known to one in a hundred, and the spread about each axis as well.
    assert np.mean(angles) == pytest.approx(TURN_RAD * math.sqrt(8.0 / math.pi), rel=0.03)
    npt.assert_allclose(about.std(axis=1), TURN_RAD, rtol=0.06)
    npt.assert_allclose(about.mean(axis=1), 0.0, atol=0.06 * TURN_RAD)


def test_half_the_tempo_is_half_the_rotation_and_every_second_row() -> None:
    samples = walk()
    drawn = only(tempo=0.5 / SLOWER)
    copy = displaced(samples, drawn)

    npt.assert_allclose(copy[0::2, :3], samples[: ROWS // 2, :3], rtol=1e-6)
    npt.assert_allclose(copy[0::2, 3:], 0.5 * samples[: ROWS // 2, 3:], rtol=1e-6)
    between = (samples[: ROWS // 2 - 1] + samples[1 : ROWS // 2]) / 2.0
    npt.assert_allclose(copy[1:-1:2, :3], between[:, :3], rtol=1e-5, atol=1e-6)


def test_the_part_that_is_stretched_lies_anywhere_in_the_window() -> None:
    seconds = np.repeat(np.arange(float(ROWS))[:, None], 3, axis=1).astype(np.float32)
    half = 0.5 / SLOWER
    for part in [0.0, 0.3, 1.0]:
        copy = displaced(seconds, only(tempo=half, part=part))[:, 0]
        npt.assert_allclose(copy[0], part * (ROWS - 1) / 2.0, rtol=1e-6)
        npt.assert_allclose(np.diff(copy), 0.5, rtol=1e-4)
    assert copy[-1] == ROWS - 1


def test_it_is_slower_in_either_case_and_never_slower_than_that() -> None:
    ramp = np.repeat(np.arange(float(ROWS))[:, None], 3, axis=1).astype(np.float32)
    for tempo in [-1000.0, -1.0, 1.0, 1000.0]:
        steps = np.diff(displaced(ramp, only(tempo=tempo))[:, 0])
        npt.assert_allclose(steps, max(1.0 - SLOWER * abs(tempo), SLOWEST), rtol=1e-4)


def test_gravity_stays_as_large_as_it_is() -> None:
    samples = walk()
    for size in [-2.0, 2.0]:
        copy = displaced(samples, only(size=size))
        still, moving = copy.mean(axis=0), copy - copy.mean(axis=0)

        npt.assert_allclose(still, samples.mean(axis=0), atol=1e-5)
        grown = math.exp(LARGER * size) * (samples - samples.mean(axis=0))
        npt.assert_allclose(moving, grown, atol=1e-5)
    still = np.array([displaced(samples, drawn).mean(axis=0) for drawn in MANY[:200]])
    # a part of a walk that is stretched has a mean of its own: some tenths of m/s²
    npt.assert_allclose(np.linalg.norm(still[:, :3], axis=1), GRAVITY, atol=0.6)


@pytest.mark.parametrize("value", [3.4e38, -3.4e38, 1e-45])
def test_absurd_samples_stay_finite(value: float) -> None:
    samples = np.full((ROWS, 6), value, dtype=np.float32)
    samples[::2, ::2] *= -1.0
    for drawn in MANY[:20]:
        assert np.isfinite(displaced(samples, drawn)).all()


def test_draws_are_normal_and_the_last_one_is_a_part() -> None:
    assert MANY.shape == (3000, DRAWS)
    normal, part = MANY[:, :-1], MANY[:, -1]

    # of 3000 draws a mean is known to 0.02, a deviation to 0.013
    npt.assert_allclose(normal.mean(axis=0), 0.0, atol=0.08)
    npt.assert_allclose(normal.std(axis=0), 1.0, atol=0.06)
    assert np.abs(np.corrcoef(MANY.T) - np.eye(DRAWS)).max() < 0.08
    assert 0.0 <= part.min() < 0.01
    assert 0.99 < part.max() < 1.0


def test_the_same_window_is_always_displaced_alike() -> None:
    shape = WindowShape(50.0, 6, ROWS)
    describer, another = Describer(shape), Describer(shape)
    windows = [shaken(2.0, 5.0, seed=n, window_s=ROWS / 50.0) for n in range(5)]
    first = [describer.displaced(window).copy() for window in windows]
    again = [another.displaced(window).copy() for window in reversed(windows)][::-1]

    npt.assert_array_equal(first, again)
    kept = another.displaced(windows[0])
    another.features(windows[1])  # which has a place of its own
    npt.assert_array_equal(kept, first[0])


def test_every_window_is_displaced_in_a_way_of_its_own() -> None:
    windows = [shaken(2.0, 5.0, seed=n) for n in range(50)]
    nearly = windows[0].copy()
    nearly[-1, -1] += np.float32(1e-3)

    assert len({draws(seed(window)).tobytes() for window in [*windows, nearly]}) == 51


def test_a_describer_shows_the_window_and_copies_that_differ_a_little() -> None:
    describer = Describer(WindowShape(50.0, 6, ROWS))
    x = describer.features(walk()).copy()
    copies = describer.displaced(walk()).copy()

    assert x.shape == (describer.size,)
    assert copies.shape == (COPIES, describer.size)
    npt.assert_array_equal(describer.features(walk()), x)
    another = np.sqrt(np.mean(np.square(describer.features(shaken(3.5, 20.0)[:ROWS]) - x)))
    for copy, drawn in zip(copies, draws(seed(walk())), strict=True):
        npt.assert_array_equal(describer.features(displaced(walk(), drawn)), copy)
        assert 0.0 < np.sqrt(np.mean(np.square(copy - x))) < another
    assert len({copy.tobytes() for copy in copies}) == COPIES
