"""A sample of what was taught: bounded, of no order, and taken back as if never there."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.classifier import InexactError
from learner.sample import Sample, Vector

CAP, KEPT = 2, 4  # so small that the bound is always in sight
SIZE = 2
WINDOWS: list[Vector] = [np.array([n, -n], dtype=np.int16) for n in range(10)]
WHICH = st.integers(0, len(WINDOWS) - 1)
MANY = st.lists(WHICH, max_size=30)
# put or, where it was taught, discard; long enough for many to be kept no more
STEPS = st.lists(st.tuples(st.booleans(), WHICH), min_size=20, max_size=60)
Steps = list[tuple[bool, int]]


def sampled(whiches: list[int], activity: str = "walking") -> Sample:
    sample = Sample(CAP, KEPT)
    for which in whiches:
        sample.put(activity, WINDOWS[which])
    return sample


def used(sample: Sample, activity: str = "walking") -> list[int]:
    return [int(vector[0]) for vector in sample.used(activity)]


def lowest(whiches: Counter[int]) -> list[int]:
    """What is to be used of these, plainly: the distinct ones with the lowest keys."""
    return sorted(+whiches, key=lambda which: Sample.key(WINDOWS[which]))[:CAP]


def learnt(sample: Sample, activities: tuple[str, ...] = ("walking",)) -> dict[str, bytes]:
    """All but the reserve, to the bit."""
    state = sample.state(list(activities), SIZE)
    return {name: array.tobytes() for name, array in state.items() if name.startswith("sample")}


@settings(deadline=None)
@given(taught=MANY, random=st.randoms())
def test_the_order_of_teaching_does_not_matter(taught: list[int], random: Any) -> None:
    shuffled = random.sample(taught, len(taught))
    one, other = sampled(taught).state(["walking"], SIZE), sampled(shuffled).state(["walking"], 2)

    assert used(sampled(taught)) == lowest(Counter(taught))
    for name, array in one.items():  # nothing was taken back: the reserve is alike, too
        npt.assert_array_equal(array, other[name])


def play(steps: Steps, sample: Sample, taught: Counter[int]) -> None:
    """Take these steps with a sample of what was taught, and see that it is one all along."""
    for forward, which in steps:
        if forward:
            sample.put("walking", WINDOWS[which])
        elif taught[which]:
            before = sample.state(["walking"], SIZE)
            try:
                assert sample.discard("walking", WINDOWS[which])
            except InexactError:  # then nothing has changed
                for name, array in sample.state(["walking"], SIZE).items():
                    npt.assert_array_equal(array, before[name])
                continue
        else:
            continue
        taught[which] += 1 if forward else -1

        assert used(sample) == lowest(taught)
        times = sample.state(["walking"], SIZE)["sample_times"].tolist()
        assert times == [taught[which] for which in lowest(taught)]


@settings(deadline=None)
@given(STEPS)
def test_what_is_used_is_what_it_would_be_without_what_was_taken_back(steps: Steps) -> None:
    play(steps, Sample(CAP, KEPT), Counter())


def test_an_activity_small_enough_to_be_kept_whole_is_taken_back_whole() -> None:
    sample = sampled(list(range(KEPT)) * 2)
    for which in [*range(KEPT), *range(KEPT)]:
        sample.discard("walking", WINDOWS[which])

    assert used(sample) == []
    assert learnt(sample) == learnt(Sample(CAP, KEPT))


def test_what_was_never_taught_is_told_where_it_would_be_kept() -> None:
    sample = sampled([1, 2])
    assert not sample.discard("walking", WINDOWS[3])
    assert not sample.discard("running", WINDOWS[1])
    assert sorted(used(sample)) == [1, 2]

    by_key = sorted(range(10), key=lambda which: Sample.key(WINDOWS[which]))
    full = sampled(by_key[1:])
    assert not full.discard("walking", WINDOWS[by_key[0]])
    assert full.discard("walking", WINDOWS[by_key[9]])  # it may have been dropped: who knows
    assert used(full) == by_key[1 : 1 + CAP]


def test_fewer_than_are_used_can_be_asked_for() -> None:
    sample = sampled(list(range(10)))
    by_key = [vector.tolist() for vector in sample.used("walking")]

    assert len(by_key) == CAP
    assert [vector.tolist() for vector in sample.used("walking", 1)] == by_key[:1]
    assert sample.used("walking", 0) == []


@settings(deadline=None)
@given(MANY)
def test_windows_kept_are_counted_as_often_as_they_were_taught(taught: list[int]) -> None:
    by_key = sorted(set(taught), key=lambda which: Sample.key(WINDOWS[which]))

    assert sampled(taught).windows("walking") == sum(taught.count(n) for n in by_key[:KEPT])
    assert sampled(taught).windows("running") == 0


def test_more_than_half_of_a_large_activity_is_not_taken_back() -> None:
    sample = sampled(list(range(10)))
    by_key = sorted(range(10), key=lambda which: Sample.key(WINDOWS[which]))
    for which in by_key[: KEPT - CAP]:
        sample.discard("walking", WINDOWS[which])
    sample.discard("walking", WINDOWS[by_key[-1]])  # never kept: nothing to miss

    with pytest.raises(InexactError, match=r"more than half .* 'walking'.* teach an empty"):
        sample.discard("walking", WINDOWS[by_key[KEPT - CAP]])
    assert used(sample) == by_key[KEPT - CAP : KEPT]
    assert sample.state(["walking"], SIZE)["sample_windows"] == [CAP]


@settings(deadline=None)
@given(MANY)
def test_it_never_holds_more_than_twice_what_it_uses(taught: list[int]) -> None:
    windows = sampled(taught).state(["walking"], SIZE)
    kept = min(len(set(taught)), KEPT)

    assert windows["sample_windows"].tolist() == [min(kept, CAP)]
    assert windows["reserve_windows"].tolist() == [max(kept - CAP, 0)]


def test_the_draw_is_fair_over_time() -> None:
    sample = Sample(100, 200)
    for n in range(2000):
        sample.put("walking", np.array([n, 7], dtype=np.int16))
    drawn = [int(vector[0]) for vector in sample.used("walking")]

    # the mean of 100 out of 0..2000 is 1000 with a deviation of 2000 / sqrt(12 · 100) = 58
    assert 800 < np.mean(drawn) < 1200
    assert len(set(drawn)) == 100


@settings(deadline=None)
@given(one=MANY, other=MANY)
def test_the_sample_of_both_is_that_of_everything(one: list[int], other: list[int]) -> None:
    both, second = sampled(one), sampled(other)
    before = second.state(["walking"], SIZE)
    both.add(second)

    assert learnt(both) == learnt(sampled(one + other))
    both.put("walking", WINDOWS[0])
    for name, array in second.state(["walking"], SIZE).items():
        npt.assert_array_equal(array, before[name])


@pytest.mark.parametrize("how", ["add", "rename"])
@settings(deadline=None)
@given(one=STEPS, other=STEPS, later=STEPS)
def test_what_was_taken_back_on_either_side_is_missing_in_neither(
    how: str, one: Steps, other: Steps, later: Steps
) -> None:
    first, second = Sample(CAP, KEPT), Sample(CAP, KEPT)
    taught, others = Counter[int](), Counter[int]()
    play(one, first, taught)
    play(other, second, others)
    if how == "add":
        first.add(second)
    else:
        first.rename("walking", "running")
        first.add(second)
        first.rename("running", "walking")
    taught += others

    assert used(first) == lowest(taught)
    play(later, first, taught)


@pytest.mark.parametrize("other", [[9], [5, 6, 7, 8, 9]])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("how", ["add", "rename"])
def test_what_one_side_has_dropped_is_missed_in_both(
    other: list[int], last: bool, how: str
) -> None:
    by_key = sorted(range(10), key=lambda which: Sample.key(WINDOWS[which]))
    # the third and fourth are left of the first five, and the fifth was dropped
    thin = sampled(by_key[:5], "running")
    for which in by_key[:2]:
        thin.discard("running", WINDOWS[which])
    full = sampled([by_key[place] for place in other], "running")
    both, joining = (full, thin) if last else (thin, full)
    if how == "add":
        both.add(joining)
        both.rename("running", "walking")
    else:
        joining.rename("running", "walking")
        both.add(joining)
        both.rename("running", "walking")

    assert used(both) == by_key[2:4]
    with pytest.raises(InexactError):  # the next would be the fifth
        both.discard("walking", WINDOWS[by_key[2]])


@settings(deadline=None)
@given(one=MANY, other=MANY, new=st.sampled_from(["strolling", "walking"]))
def test_under_one_name_two_are_one(one: list[int], other: list[int], new: str) -> None:
    sample = sampled(one)
    for which in other:
        sample.put("running", WINDOWS[which])
    sample.rename("running", new)
    if new == "walking":
        assert learnt(sample) == learnt(sampled(one + other))
    else:
        assert learnt(sample) == learnt(sampled(one))
        assert learnt(sample, (new,)) == learnt(sampled(other))
    assert used(sample, "running") == []


def test_activities_do_not_crowd_each_other_out() -> None:
    sample = sampled(list(range(10)))
    sample.put("resting", WINDOWS[0])
    sample.drop("walking")

    assert used(sample, "resting") == [0]
    assert used(sample) == []
    last = max(range(10), key=lambda which: Sample.key(WINDOWS[which]))
    sample.put("walking", WINDOWS[last])  # nor is there a bound left of what was there before
    assert used(sample) == [last]


def test_what_faded_to_little_makes_room() -> None:
    sample = sampled([1, 2, 2, 2])
    sample.fade(0.5)
    assert sorted(used(sample)) == [1, 2]

    sample.fade(0.5)  # half of a half: 1 · 0.25 is too little, 3 · 0.25 is not
    assert used(sample) == [2]
    sample.put("walking", WINDOWS[2])
    assert sample.state(["walking"], SIZE)["sample_times"] == [1.75]


def test_of_what_has_all_faded_one_window_still_tells_how_it_looked() -> None:
    sample = sampled([1, 2, 3])
    sample.fade(0.001)

    assert used(sample) == lowest(Counter([1, 2, 3]))[:1]


# --- as arrays ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(taught=MANY, later=st.lists(st.tuples(st.booleans(), WHICH), max_size=20))
def test_what_is_restored_goes_on_alike(taught: list[int], later: list[tuple[bool, int]]) -> None:
    sample, restored = sampled(taught), Sample(CAP, KEPT)
    restored.restore(["walking"], SIZE, sample.state(["walking"], SIZE))
    outcomes = []
    for pupil in [sample, restored]:
        refused = []
        for forward, which in later:
            try:
                (pupil.put if forward else pupil.discard)("walking", WINDOWS[which])
            except InexactError as error:
                refused.append(str(error))
        state = pupil.state(["walking"], SIZE)
        outcomes.append((refused, {name: array.tobytes() for name, array in state.items()}))

    assert outcomes[0] == outcomes[1]


def test_every_activity_gets_its_own_windows_back() -> None:
    sample, restored = sampled(list(range(8))), Sample(CAP, KEPT)
    sample.put("resting", WINDOWS[9])
    names = ["resting", "walking", "yawning"]
    restored.restore(names, SIZE, sample.state(names, SIZE))

    assert [used(restored, name) for name in names] == [[9], lowest(Counter(range(8))), []]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("sample_windows", np.array([2.0])),
        ("sample_windows", np.array([2, 0])),
        ("sample_windows", np.array([CAP + 1])),
        ("reserve_windows", np.array([-1])),
        ("sample_times", np.ones(3)),
        ("sample_vectors", np.zeros((CAP, 3), dtype=np.int16)),
        ("sample_vectors", np.zeros((CAP, SIZE), dtype=np.int32)),
        ("reserve_vectors", np.zeros((1, SIZE), dtype=np.int16)),
        ("reserve_bounds", np.array([1])),
    ],
)
def test_what_is_no_sample_is_refused_and_changes_nothing(name: str, wrong: Any) -> None:
    state, sample = sampled(list(range(10))).state(["walking"], SIZE), sampled([4])
    with pytest.raises(ValueError, match=f"{name} is .*, expected "):
        sample.restore(["walking"], SIZE, state | {name: wrong})
    with pytest.raises(KeyError, match=name):
        sample.restore(["walking"], SIZE, {key: a for key, a in state.items() if key != name})
    assert used(sample) == [4]


def test_a_sample_out_of_order_is_refused() -> None:
    state = sampled(list(range(10))).state(["walking"], SIZE)
    vectors = state["sample_vectors"][[1, 0]]

    with pytest.raises(ValueError, match="'walking' is out of order, expected rising keys"):
        Sample(CAP, KEPT).restore(["walking"], SIZE, state | {"sample_vectors": vectors})


def test_where_all_has_faded_there_is_room_again() -> None:
    sample = sampled(list(range(10)))  # more than are kept
    highest = sorted(range(10), key=lambda which: Sample.key(WINDOWS[which]))[-2:]
    assert not {*highest} & {*used(sample)}
    sample.fade(0.01)
    for which in highest:
        sample.put("walking", WINDOWS[which])

    assert used(sample)[1:] == highest[:1]  # after the one that tells how all looked
