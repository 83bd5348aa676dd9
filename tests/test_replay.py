"""What a network remembers is a fair sample of every activity, drawn evenly."""

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from learner.described import words
from learner.replay import KEPT, Replay
from learner.sums import GRID


def described(rows: NDArray[np.int16]) -> NDArray[np.float64]:
    return rows * np.float64(GRID)


def test_what_is_kept_does_not_depend_on_the_order() -> None:
    rows = words(np.random.default_rng(0).standard_normal((3 * KEPT, 4)))
    one, other = Replay(4, described), Replay(4, described)
    for row in rows:
        one.add("a", row)
    for row in rows[::-1]:
        other.add("a", row)
        other.add("a", row)  # the same again is no other

    kept = one.state()["sample_vectors"]
    npt.assert_array_equal(kept, other.state()["sample_vectors"])
    assert len(kept) == KEPT
    assert len(one.state()["reserve_vectors"]) == 0
    fresh = np.isin(kept[:, 0], rows[2 * KEPT :, 0]).mean()
    assert 0.2 < fresh < 0.5  # a fair sample of all three hundred: a third, give or take


def test_activities_are_drawn_evenly_and_measured_alike() -> None:
    store = Replay(1, described)
    for value in range(KEPT):
        store.add("long", np.array([value], dtype=np.int16))
    store.add("short", np.array([4096], dtype=np.int16))
    places = [place for place, _ in store.draw(np.random.default_rng(0), 1000)]

    assert places.count(0) == places.count(1) == 500
    assert store.centre[0] == pytest.approx((49.5 * GRID + 1.0) / 2)


def test_what_is_kept_goes_by_the_name_it_was_given_last() -> None:
    store, restored = Replay(1, described), Replay(1, described)
    for value in range(3):
        store.add("walking", np.array([value], dtype=np.int16))
    store.add("resting", np.array([4096], dtype=np.int16))
    store.rename("walking", "strolling")
    restored.restore({"strolling": 3, "resting": 1}, store.state())
    restored.add("strolling", np.array([3], dtype=np.int16))

    assert restored.state()["sample_windows"].tolist() == [1, 4]
    assert restored.centre[0] == pytest.approx((1.5 * GRID + 1.0) / 2)
