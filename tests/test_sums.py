"""Sums have no order, take back to the last bit, and refuse what is none."""

from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner.displacement import COPIES
from learner.sums import GRID, LIMIT, Sums

Floats = NDArray[np.float64]

BLOCKS = {"mean": slice(0, 4), "quantile": slice(4, 9), "rest": slice(9, 13)}
SIZE = 13

# a window is x and as many e as there are copies: drawn from all over the grid, and both ends of it
DRAWN = np.random.default_rng(1).integers(-(2**15) + 1, 2**15, (6, 1 + COPIES, SIZE)) * GRID
ENDS = np.stack([np.full(DRAWN.shape[1:], LIMIT), np.full(DRAWN.shape[1:], -LIMIT)])
WINDOWS: Floats = np.concatenate([DRAWN, ENDS])

LESSONS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 7)), max_size=15)
Lessons = list[tuple[str, int]]


def lesson(which: int) -> tuple[Floats, Floats]:
    """Window `which`: x (size,), e (copies, size)."""
    return WINDOWS[which][0], WINDOWS[which][1:]


def summed(lessons: Lessons) -> Sums:
    sums = Sums(SIZE, BLOCKS)
    for activity, which in lessons:
        sums.put(activity, *lesson(which))
    return sums


def bits(sums: Sums) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in sums.state().items()}


def of(lessons: Lessons, activity: str) -> Floats:
    """The windows of an activity, (n, 1 + copies, size)."""
    return np.array([WINDOWS[which] for name, which in lessons if name == activity])


@settings(deadline=None)  # the first example waits for the compiler
@given(kept=LESSONS, undone=LESSONS, random=st.randoms())
def test_no_order_of_putting_and_discarding_leaves_a_trace(
    kept: Lessons, undone: Lessons, random: Any
) -> None:
    steps = [(True, each) for each in enumerate(kept + undone)]
    random.shuffle(steps)
    for each in enumerate(undone, start=len(kept)):  # each taken back at some moment after
        after = steps.index((True, each)) + 1
        steps.insert(random.randint(after, len(steps)), (False, each))
    sums = Sums(SIZE, BLOCKS)
    for forward, (_, (activity, which)) in steps:
        (sums.put if forward else sums.discard)(activity, *lesson(which))

    assert bits(sums) == bits(summed(kept))
    assert sorted(sums.masses) == sorted({activity for activity, _ in kept})


@settings(deadline=None)
@given(lessons=LESSONS, random=st.randoms())
def test_who_looks_between_lessons_changes_nothing(lessons: Lessons, random: Any) -> None:
    looked = Sums(SIZE, BLOCKS)
    for activity, which in lessons:
        looked.put(activity, *lesson(which))
        if random.random() < 0.3:
            looked.sum_up()

    assert bits(looked) == bits(summed(lessons))


@pytest.mark.parametrize(
    ("windows", "names"),
    [
        (2.0**23, ["masses", "sums", "moment"]),
        (2.0**22, ["displaced"]),  # of two copies: half of each
        (2.0**19, ["squares"]),  # of a block five features wide, each window adds five products
    ],
)
def test_a_window_is_taken_back_to_the_last_bit_among_millions(
    windows: float, names: list[str]
) -> None:
    sums = summed([("a", 0), ("a", 6)])  # the last one as large as can be
    sums.fade(windows / 2.0)  # a power of two: as if each had been taught so often
    before = bits(sums)
    for which in range(6):
        sums.put("a", *lesson(which))
    assert all(bits(sums)[name] != before[name] for name in names)
    for which in range(6):
        sums.discard("a", *lesson(which))

    assert {name: bits(sums)[name] for name in names} == {name: before[name] for name in names}


def test_with_its_last_window_an_activity_goes() -> None:
    sums = summed([("a", 0), ("b", 1), ("b", 2)])
    sums.discard("b", *lesson(2))
    assert sums.masses == {"a": 1.0, "b": 1.0}

    sums.discard("b", *lesson(1))
    assert sums.masses == {"a": 1.0}
    assert sums.sums.keys() == sums.squares.keys() == {"a"}


@settings(deadline=None)
@given(LESSONS)
def test_sums_are_those_of_numpy(lessons: Lessons) -> None:
    sums, everything = summed(lessons), np.array([WINDOWS[which] for _, which in lessons])
    for activity in sums.masses:
        windows = of(lessons, activity)

        assert sums.masses[activity] == len(windows)
        npt.assert_array_equal(sums.sums[activity], windows[:, 0].sum(axis=0))
        for b, block in enumerate(BLOCKS.values()):
            of_all = np.square(windows[:, :, block]).sum(axis=(0, 2))
            squares = [of_all[0], of_all[1:].mean()]
            npt.assert_array_equal(sums.squares[activity][:, b], squares)
    assert sums.mass == len(lessons)
    x, *copies = everything.reshape(-1, 1 + COPIES, SIZE).swapaxes(0, 1)
    npt.assert_array_equal(sums.moment, np.tril(x.T @ x))
    npt.assert_array_equal(sums.displaced, np.tril(sum(e.T @ e for e in copies)) / COPIES)


@settings(deadline=None)
@given(LESSONS)
def test_the_scatter_within_is_that_about_each_mean(lessons: Lessons) -> None:
    expected = np.zeros((SIZE, SIZE))
    for activity in "abc":
        if len(windows := of(lessons, activity)):
            off = windows[:, 0] - windows[:, 0].mean(axis=0)
            expected += off.T @ off

    # some hundred terms of at most 64, each off by an ulp
    npt.assert_allclose(np.tril(summed(lessons).within()), np.tril(expected), atol=1e-9)


@settings(deadline=None)
@given(lessons=LESSONS, names=st.permutations(["x", "y", "z"]), random=st.randoms())
def test_under_other_names_and_in_another_order_the_scatter_has_the_same_bits(
    lessons: Lessons, names: list[str], random: Any
) -> None:
    called = dict(zip("abc", names, strict=True))
    others = [(called[activity], which) for activity, which in lessons]
    random.shuffle(others)

    assert summed(others).within().tobytes() == summed(lessons).within().tobytes()


@settings(deadline=None)
@given(lessons=LESSONS, others=LESSONS)
def test_what_two_have_summed_is_what_one_would_have(lessons: Lessons, others: Lessons) -> None:
    sums, other = summed(lessons), summed(others)
    sums.add(other)
    assert bits(sums) == bits(summed(lessons + others))

    for activity in "abc":  # and from then on nothing is shared
        sums.put(activity, *lesson(0))
    assert bits(other) == bits(summed(others))


@settings(deadline=None)
@given(lessons=LESSONS, new=st.sampled_from(["b", "d"]))
def test_another_name_is_as_if_it_had_been_called_so(lessons: Lessons, new: str) -> None:
    sums = summed([("a", 0), *lessons])
    sums.rename("a", new)
    called = [(new if name == "a" else name, which) for name, which in [("a", 0), *lessons]]

    assert bits(sums) == bits(summed(called))
    assert list(sums.masses) == list(sums.sums) == list(sums.squares)


def test_what_faded_counts_for_as_much_less() -> None:
    sums, whole = summed([("a", 0), ("a", 1), ("b", 2)]), summed([("a", 0), ("a", 1), ("b", 2)])
    sums.fade(0.25)  # a power of two: exact

    assert sums.masses == {"a": 0.5, "b": 0.25}
    for name, array in sums.state().items():
        npt.assert_array_equal(array, 0.25 * whole.state()[name].astype(np.float64))
    npt.assert_array_equal(sums.within(), 0.25 * whole.within())


def test_block_means_are_over_each_block() -> None:
    values = WINDOWS[0]
    expected = [[row[block].mean() for block in BLOCKS.values()] for row in values]

    npt.assert_allclose(summed([]).block_means(values), expected, rtol=1e-15)


# --- as arrays ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(LESSONS)
@example([("b", 0), ("a", 0), ("a", 6), ("a", 7)])  # the same sums, of one window and of three
def test_what_is_restored_is_the_same_and_shares_nothing(lessons: Lessons) -> None:
    sums, restored = summed(lessons), Sums(SIZE, BLOCKS)
    state, names = sums.state(), sorted(sums.masses)
    restored.restore(names, state)

    assert bits(restored) == bits(sums)
    assert restored.within().tobytes() == sums.within().tobytes()
    for activity in "abc":
        restored.put(activity, *lesson(0))
    assert {name: array.tobytes() for name, array in state.items()} == bits(sums)


@pytest.mark.parametrize("name", ["masses", "sums", "squares", "moment", "displaced"])
def test_what_are_no_sums_is_refused_and_changes_nothing(name: str) -> None:
    sums, right = summed([("c", 3)]), summed([("a", 0), ("b", 1)]).state()
    before = bits(sums)
    shape = right[name].shape
    for wrong, sentence in [
        (right[name].astype(np.float32), f"{name} is float32 .*, expected float64"),
        (right[name][:-1], f"{name} is float64 .*, expected float64"),
        (np.full(shape, np.nan), f"{name} is not finite everywhere"),
        (np.full(shape, np.inf), f"{name} is not finite everywhere"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            sums.restore(["a", "b"], right | {name: wrong})
    with pytest.raises(KeyError, match=name):
        sums.restore(["a", "b"], {key: array for key, array in right.items() if key != name})

    assert bits(sums) == before


def test_sums_of_other_activities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"masses is float64 \(2,\), expected float64 \(1,\)"):
        summed([]).restore(["a"], summed([("a", 0), ("b", 1)]).state())
