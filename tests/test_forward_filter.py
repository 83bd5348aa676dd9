"""What goes on, given what each window shows: Bayes' rule over "mostly it goes on"."""

from itertools import pairwise

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner import forward_filter as module
from learner.forward_filter import ForwardFilter

Floats = NDArray[np.float64]

NAMES = ["walking", "resting", "running"]


def showing(name: str, *, by: float = 0.8, names: list[str] = NAMES) -> Floats:
    """The probabilities of a window that shows `name`."""
    rest = (1.0 - by) / (len(names) - 1)
    return np.array([by if other == name else rest for other in names])


def followed(shown: list[str], *, by: float = 0.8) -> ForwardFilter:
    filtered = ForwardFilter()
    for name in shown:
        filtered.follow(NAMES, showing(name, by=by))
    return filtered


def change_after(shown: list[str]) -> float:
    """How often it changes, plainly: lasting changes over windows, old ones fading."""
    changes = module.CHANGES * module.KEEP ** len(shown)
    windows = module.WINDOWS * module.KEEP ** len(shown)
    steady: str | None = None
    for n in range(len(shown)):
        fading = module.KEEP ** (len(shown) - 1 - n)
        windows += fading
        latest = shown[max(0, n + 1 - module.STEADY) : n + 1]
        if latest == [shown[n]] * module.STEADY and steady != shown[n]:
            changes += fading if steady is not None else 0.0
            steady = shown[n]
    rate = module.COUNTS_FOR * changes / windows
    return float(np.clip(rate, module.LEAST_CHANGE, module.MOST_CHANGE))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 6)), min_size=5, max_size=15))
def test_how_often_it_changes_is_counted_from_changes_that_last(
    runs: list[tuple[str, int]],
) -> None:
    shown = [name for name, windows in runs for _ in range(windows)]

    assert followed(shown).change == pytest.approx(change_after(shown))


def test_changes_are_counted_from_what_windows_show_and_not_from_what_is_believed() -> None:
    shown = ["walking"] * 300 + ["resting"] * 3
    filtered = followed(shown, by=0.5)

    assert filtered.change == pytest.approx(change_after(shown))
    assert filtered.follow(NAMES, None).argmax() == 0


PROBABILITIES = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda p: sum(p) > 0.1)
WINDOW = st.none() | PROBABILITIES


def windows(lists: list[list[float] | None]) -> list[Floats | None]:
    return [None if p is None else np.array(p) / sum(p) for p in lists]


@settings(deadline=None)
@given(st.lists(WINDOW, max_size=30))
def test_beliefs_follow_from_bayes_rule(lists: list[list[float] | None]) -> None:
    filtered, belief = ForwardFilter(), np.full(3, 1.0 / 3.0)
    for n, window in enumerate(windows(lists)):
        # it may be anything else with two in three at most: then nothing is known of the last
        often = filtered.change
        stays = 1.0 - min(often, 2.0 / 3.0)
        goes_on = np.full((3, 3), (1.0 - stays) / 2.0)
        np.fill_diagonal(goes_on, stays)
        belief = goes_on @ belief if n else belief
        if window is not None:
            own = module.OWN + (1.0 - module.OWN) * often / module.MOST_CHANGE
            belief = belief * window**own
        belief = belief / belief.sum()

        npt.assert_allclose(filtered.follow(NAMES, window), belief, atol=1e-12)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True),
            st.lists(st.sampled_from([0.0, 1e-300, 0.1, 0.5, 1.0]), min_size=4, max_size=4),
            st.sampled_from(["window", "window", "nothing", "gap", "rename"]),
        ),
        max_size=25,
    )
)
def test_a_belief_is_a_distribution_whatever_comes_and_goes(
    steps: list[tuple[list[str], list[float], str]],
) -> None:
    filtered = ForwardFilter()
    for names, raw, what in steps:
        if what == "gap":
            filtered.gap()
        if what == "rename":
            filtered.rename(names[0], names[-1] if len(names) > 1 else "e")
        p = np.array(raw[: len(names)])
        p = p / p.sum() if p.sum() > 0.0 else np.full(len(names), 1.0 / len(names))
        belief = filtered.follow(names, None if what == "nothing" else p)

        assert belief.shape == (len(names),)
        assert (belief >= 0.0).all()
        assert belief.sum() == pytest.approx(1.0)
        assert module.LEAST_CHANGE <= filtered.change <= module.MOST_CHANGE


def test_the_window_is_only_borrowed() -> None:
    window, filtered = showing("walking"), ForwardFilter()
    belief = filtered.follow(NAMES, window)
    before = belief.copy()
    filtered.follow(NAMES, showing("resting"))

    npt.assert_array_equal(window, showing("walking"))
    npt.assert_array_equal(belief, before)


# --- it sticks, and lets go -----------------------------------------------------------------------


def test_one_odd_window_does_not_end_an_activity() -> None:
    filtered = followed(["walking"] * 20)
    odd = filtered.follow(NAMES, showing("resting"))
    after = filtered.follow(NAMES, showing("walking"))

    assert odd.argmax() == after.argmax() == 0
    assert odd[0] < after[0]


def test_three_windows_do() -> None:
    filtered = followed(["walking"] * 20)
    for _ in range(3):
        belief = filtered.follow(NAMES, showing("resting"))

    assert belief.argmax() == 1


def test_a_window_that_says_nothing_leaves_less_certain() -> None:
    filtered = followed(["walking"] * 20)
    before = filtered.follow(NAMES, showing("walking"))
    beliefs = [filtered.follow(NAMES, None) for _ in range(300)]

    assert before[0] > beliefs[0][0] > beliefs[1][0] > 0.5
    npt.assert_allclose(beliefs[-1], 1.0 / 3.0, atol=1e-3)
    assert all(belief.argmax() == 0 for belief in beliefs[:20])


def test_what_seldom_changes_sticks_more() -> None:
    calm, restless = followed(["walking"] * 200), followed((["walking"] * 4 + ["resting"] * 4) * 25)
    for filtered in [calm, restless]:
        for _ in range(4):
            filtered.follow(NAMES, showing("walking"))
    odd = [filtered.follow(NAMES, showing("resting")) for filtered in (calm, restless)]

    assert calm.change < 0.2 < restless.change
    assert odd[0].argmax() == 0
    assert odd[1].argmax() == 1


def test_however_often_it_changes_no_change_is_expected_more_than_any_other() -> None:
    filtered = followed((["walking"] * 3 + ["resting"] * 3) * 20)
    assert filtered.change == module.MOST_CHANGE

    npt.assert_allclose(filtered.follow(["walking", "resting"], None), 0.5)


def test_flicker_is_no_change() -> None:
    flickering, calm = followed((["walking"] * 3 + ["resting"]) * 30), followed(["walking"] * 120)

    assert flickering.change == calm.change


def test_a_change_that_was_long_ago_counts_for_less() -> None:
    restless = (["walking"] * 3 + ["resting"] * 3) * 20
    after = [followed(restless + ["walking"] * more).change for more in (150, 300, 450, 3000)]

    assert all(later < sooner for sooner, later in pairwise(after))
    assert after[-1] == module.LEAST_CHANGE


# --- gaps, names ----------------------------------------------------------------------------------


def test_after_a_gap_anything_may_be_going_on() -> None:
    filtered, fresh = followed(["walking"] * 20), ForwardFilter()
    filtered.gap()
    window = showing("resting", by=0.5)

    # the first window speaks for itself; how much it says is still what was learnt
    own = module.OWN + (1.0 - module.OWN) * filtered.change / module.MOST_CHANGE
    npt.assert_allclose(filtered.follow(NAMES, window), window**own / (window**own).sum())
    assert fresh.follow(NAMES, window).argmax() == 1


def test_what_changed_behind_a_gap_is_not_counted() -> None:
    across, shown = followed(["walking"] * 20), ["resting"] * 20
    across.gap()
    for name in shown:
        across.follow(NAMES, showing(name))

    assert across.change == pytest.approx(change_after(["walking"] * 40))
    assert followed(["walking"] * 20 + shown).change > across.change


def test_a_gap_breaks_a_run_of_windows() -> None:
    filtered = followed(["walking"] * 9 + ["resting"] * 2)
    filtered.gap()
    filtered.follow(NAMES, showing("resting"))  # the first of its run: not yet steady
    for _ in range(3):
        filtered.follow(NAMES, showing("walking"))

    assert filtered.change == pytest.approx(change_after(["walking"] * 15))


def test_another_name_is_only_another_name() -> None:
    plain, renamed = followed(["walking"] * 9), followed(["walking"] * 9)
    renamed.rename("walking", "strolling")
    names = ["strolling", "resting", "running"]
    for shown in ["resting"] + ["walking"] * 4 + ["resting"] * 4:
        window = showing(shown)
        npt.assert_array_equal(renamed.follow(names, window), plain.follow(NAMES, window))

    assert renamed.change == plain.change


def test_renamed_in_the_middle_of_a_run_it_is_the_same_run() -> None:
    filtered = followed(["resting"] * 9 + ["walking"] * 2)
    filtered.rename("walking", "strolling")
    filtered.follow(["strolling", "resting", "running"], showing("walking"))

    assert filtered.change == pytest.approx(change_after(["resting"] * 9 + ["walking"] * 3))


def test_two_that_become_one_are_believed_together() -> None:
    filtered = ForwardFilter()
    belief = filtered.follow(NAMES, np.array([0.5, 0.3, 0.2]))
    filtered.rename("running", "walking")
    both = filtered.follow(["walking", "resting"], None)

    change = filtered.change
    walks = belief[0] + belief[2]
    npt.assert_allclose(both[0], (1.0 - change) * walks + change * (1.0 - walks))


def test_a_new_activity_starts_from_an_even_share() -> None:
    filtered = ForwardFilter()
    belief = filtered.follow(["walking", "resting"], np.array([0.9, 0.1]))
    joined = filtered.follow(NAMES, None)

    change, before = filtered.change, np.array([*belief, 1.0 / 3.0]) / (4.0 / 3.0)
    npt.assert_allclose(joined, (1.0 - change) * before + change * (1.0 - before) / 2.0)


def test_what_is_left_when_the_certain_one_is_forgotten_is_all_there_is() -> None:
    filtered = ForwardFilter()
    filtered.follow(["walking", "resting"], np.array([1.0, 0.0]))

    npt.assert_array_equal(filtered.follow(["resting"], np.array([1.0])), [1.0])


def test_one_activity_alone_is_believed_and_another_soon_after() -> None:
    filtered = ForwardFilter()
    for _ in range(9):
        npt.assert_array_equal(filtered.follow(["walking"], np.ones(1)), [1.0])
    for _ in range(4):
        belief = filtered.follow(["walking", "resting"], np.array([0.1, 0.9]))

    assert belief.argmax() == 1
