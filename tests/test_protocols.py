"""Nothing that is tested was taught, whatever the recordings look like."""

from collections.abc import Sequence

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.evaluation.protocols import (
    FEW_S,
    FEW_WINDOWS,
    PROTOCOLS,
    ProtocolError,
    Split,
    new_person,
    next_session,
    prequential,
    ten_seconds,
    ten_windows,
)
from learner.evaluation.windows import MIXED, Indices, Stretch, Windows, cut

RATE_HZ, NAMES = 10.0, ("sitting", "walking", "stairs")
# label and seconds; 3 is none of NAMES, -1 unlabelled
Blocks = Sequence[tuple[int, float]]


def stretch(*blocks: tuple[int, float], person: int = 0) -> Stretch:
    labels = np.concatenate([np.full(round(s * RATE_HZ), label) for label, s in blocks])
    return Stretch(person, np.zeros((len(labels), 3), np.float32), labels)


def windows(*stretches: Stretch, window_s: float = 2.0, hop_s: float = 1.0) -> Windows:
    return cut(stretches, RATE_HZ, window_s, hop_s, NAMES)


def rows(of: Windows, indices: Indices) -> set[int]:
    return {row for i in indices for row in range(of.starts[i], of.starts[i] + of.length)}


blocks = st.lists(st.tuples(st.integers(-1, 3), st.sampled_from([0.5, 1.7, 2.3, 6.0, 14.0])),
                  min_size=1, max_size=8)  # fmt: skip
people = st.lists(st.tuples(st.integers(0, 1), blocks), min_size=1, max_size=6)
shapes = st.sampled_from([(2.0, 1.0), (2.0, 0.3), (1.0, 1.0), (0.8, 0.1), (3.0, 2.0)])


def made(stretches: Sequence[tuple[int, Blocks]], shape: tuple[float, float]) -> Windows | None:
    try:
        return windows(
            *(stretch(*parts, person=person) for person, parts in stretches),
            window_s=shape[0],
            hop_s=shape[1],
        )
    except ValueError:  # nothing lasts a window
        return None


def splits(all_: Windows) -> list[tuple[int, str, Split]]:
    found = []
    for person in (0, 1):
        for name, rules in PROTOCOLS.items():
            try:
                found.append((person, name, rules.split(all_, person)))
            except ProtocolError:
                continue
    return found


# --- windows ------------------------------------------------------------------------------------


@given(people, shapes)
def test_a_window_lies_in_one_stretch_on_its_grid(
    stretches: Sequence[tuple[int, Blocks]], shape: tuple[float, float]
) -> None:
    all_ = made(stretches, shape)
    if all_ is None:
        return
    first = 0
    for number, (person, parts) in enumerate(stretches):
        length = sum(round(seconds * RATE_HZ) for _, seconds in parts)
        mine = all_.stretches == number

        expected = range(first, first + length - all_.length + 1, all_.hop)
        assert all_.starts[mine].tolist() == list(expected)
        assert (all_.people[mine] == person).all()
        first += length
    assert (np.diff(all_.starts) > 0).all()


@pytest.mark.parametrize(
    ("covered_s", "label"), [(2.0, 1), (1.6, 1), (1.5, MIXED), (0.5, MIXED), (0.4, 0)]
)
def test_a_windows_label_covers_four_fifths_of_it(covered_s: float, label: int) -> None:
    (found,) = windows(stretch((0, 2.0 - covered_s), (1, covered_s))).labels

    assert found == label


def test_unlabelled_rows_and_other_labels_are_no_label() -> None:
    assert windows(stretch((-1, 2), (3, 2))).labels.tolist() == [MIXED] * 3


def test_samples_of_a_window_are_its_rows() -> None:
    signal = np.arange(90, dtype=np.float32).reshape(30, 3)
    all_ = cut([Stretch(0, signal, np.zeros(30, int))], RATE_HZ, 2.0, 1.0, NAMES)

    npt.assert_array_equal(all_.samples(1), signal[10:30])


def test_windows_follow_one_another_on_the_grid_of_one_stretch_only() -> None:
    all_ = windows(stretch((0, 4)), stretch((0, 3)))

    assert [all_.follows(i + 1, i) for i in range(4)] == [True, True, False, True]
    assert not all_.follows(2, 0)
    apart = windows(stretch((0, 4)), stretch((0, 4)), hop_s=2.0)
    assert [apart.follows(i + 1, i) for i in range(3)] == [True, False, True]


@pytest.mark.parametrize(("window_s", "hop_s"), [(1.0, 1.1), (1.0, 0.0)])
def test_a_hop_that_is_none_is_refused(window_s: float, hop_s: float) -> None:
    with pytest.raises(ValueError, match="expected at least one row and at most the window's 1 s"):
        windows(stretch((0, 9)), window_s=window_s, hop_s=hop_s)


def test_a_window_longer_than_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="no stretch lasts a window of 10 s: record more"):
        windows(stretch((0, 9)), window_s=10.0)


# --- protocols ----------------------------------------------------------------------------------


@given(people, shapes)
def test_no_row_is_taught_and_tested(
    stretches: Sequence[tuple[int, Blocks]], shape: tuple[float, float]
) -> None:
    all_ = made(stretches, shape)
    if all_ is None:
        return
    for person, name, split in splits(all_):
        if not PROTOCOLS[name].prequential:
            assert not rows(all_, split.taught) & rows(all_, split.tested), name
        for side in split:
            assert (np.diff(side) > 0).all(), f"{name} is in order of time"
            assert (all_.people[side] == person).all()
            assert (all_.labels[side] != MIXED).all()


@given(people, shapes)
def test_of_each_label_the_earlier_is_taught(
    stretches: Sequence[tuple[int, Blocks]], shape: tuple[float, float]
) -> None:
    all_ = made(stretches, shape)
    if all_ is None:
        return
    for person, name, (taught, tested) in splits(all_):
        if name != "next_session":
            continue
        for label in np.unique(all_.labels[all_.of(person)]):
            before, after = (side[all_.labels[side] == label] for side in (taught, tested))
            if len(before) and len(after):
                assert before.max() < after.min()


def test_the_first_half_of_the_stretches_of_each_label_is_taught() -> None:
    all_ = windows(*[stretch((0, 4), (-1, 4), (1, 4))] * 4, stretch((1, 4)))
    taught, tested = next_session(all_, 0)

    def of(side: Indices, label: int) -> list[int]:
        return sorted({int(all_.stretches[i]) for i in side if all_.labels[i] == label})

    assert (of(taught, 0), of(tested, 0)) == ([0, 1], [2, 3])
    assert (of(taught, 1), of(tested, 1)) == ([0, 1, 2], [3, 4])


def test_two_sessions_are_the_first_and_the_last() -> None:
    session = stretch((0, 6), (1, 6), (-1, 3), (0, 6))
    all_ = windows(session, session)
    taught, tested = next_session(all_, 0)

    assert (all_.stretches[taught] == 0).all()
    assert (all_.stretches[tested] == 1).all()
    assert len(taught) == len(tested) == (all_.labels[all_.stretches == 0] != MIXED).sum()


@pytest.mark.parametrize("hop", [1, 5, 10])
def test_one_stretch_is_halved_in_time_and_who_straddles_is_dropped(hop: int) -> None:
    all_ = windows(stretch((0, 20)), hop_s=hop / RATE_HZ)  # 200 rows, windows of 20
    taught, tested = next_session(all_, 0)

    assert all_.starts[taught].tolist() == list(range(0, 81, hop))
    assert all_.starts[tested].tolist() == list(range(100, 181, hop))


def test_labels_whose_halves_end_in_different_stretches_do_not_touch() -> None:
    # of label 0 stretch 1 is taught, of label 1 it is tested; they meet without a gap
    both = stretch((0, 4), (1, 4))
    all_ = windows(both, both, stretch((0, 4)), stretch((0, 4)), hop_s=0.1)
    taught, tested = next_session(all_, 0)

    assert {0, 1} == set(all_.labels[taught[all_.stretches[taught] < 2]].tolist())
    assert not rows(all_, taught) & rows(all_, tested)
    # windows of label 0 reach to row 44, those of label 1 from row 36 on: both sides give way
    ends = all_.starts[taught[(all_.stretches[taught] == 1) & (all_.labels[taught] == 0)]] + 20
    starts = all_.starts[tested[(all_.stretches[tested] == 1) & (all_.labels[tested] == 1)]]
    assert (ends.max() - 80, starts.min() - 80) == (36, 44)  # stretch 1 begins at row 80


@given(people, shapes)
def test_no_more_than_ten_seconds_of_each_label_are_taught(
    stretches: Sequence[tuple[int, Blocks]], shape: tuple[float, float]
) -> None:
    all_ = made(stretches, shape)
    if all_ is None:
        return
    for person in (0, 1):
        try:
            whole, few = next_session(all_, person), ten_seconds(all_, person)
        except ProtocolError:
            continue
        assert few.tested.tolist() == whole.tested.tolist()
        for label in np.unique(all_.labels[whole.taught]):
            every = whole.taught[all_.labels[whole.taught] == label]
            kept = few.taught[all_.labels[few.taught] == label]

            assert kept.tolist() == every[: len(kept)].tolist()
            of_label = [r for r in rows(all_, kept) if all_.row_labels[r] == label]
            assert len(of_label) <= FEW_S * RATE_HZ
            if len(kept) < len(every):  # one more would be too much
                more = rows(all_, every[: len(kept) + 1])
                assert sum(all_.row_labels[r] == label for r in more) > FEW_S * RATE_HZ


def test_ten_seconds_may_lie_in_several_stretches() -> None:
    all_ = windows(*[stretch((0, 4), (1, 3))] * 8)
    taught, _ = ten_seconds(all_, 0)

    # 4 s of label 0 in each: two stretches and 2 s of a third; 3 s of label 1: three, and 1 s over
    assert np.bincount(all_.stretches[taught[all_.labels[taught] == 0]]).tolist() == [3, 3, 1]
    assert np.bincount(all_.stretches[taught[all_.labels[taught] == 1]]).tolist() == [2, 2, 2]


def test_a_window_of_more_than_ten_seconds_is_taught_once() -> None:
    all_ = windows(*[stretch((0, 40))] * 2, window_s=12.0, hop_s=4.0)

    assert len(ten_seconds(all_, 0).taught) == 1


def test_ten_windows_are_the_first_of_each_label_and_about_as_many() -> None:
    session = stretch((0, 9), (1, 9), (2, 9), (0, 9))
    all_ = windows(session, session)
    whole, few = next_session(all_, 0), ten_windows(all_, 0)

    assert len(few.taught) == FEW_WINDOWS
    assert few.taught.tolist() == sorted(few.taught.tolist())
    assert few.tested.tolist() == whole.tested.tolist()
    for label, count in ((0, 4), (1, 3), (2, 3)):
        every = whole.taught[all_.labels[whole.taught] == label]
        assert few.taught[all_.labels[few.taught] == label].tolist() == every[:count].tolist()


def test_of_more_than_ten_labels_each_is_taught_once() -> None:
    session = stretch(*((label, 4.0) for label in range(12)))
    all_ = cut([session, session], RATE_HZ, 2.0, 1.0, [f"motion {k}" for k in range(12)])

    assert np.bincount(all_.labels[ten_windows(all_, 0).taught]).tolist() == [1] * 12


def test_of_a_new_person_everything_is_tested_and_nothing_taught() -> None:
    all_ = windows(stretch((0, 9), (1, 9)), stretch((0, 5), person=1))
    taught, tested = new_person(all_, 1)

    assert taught.tolist() == []
    assert tested.tolist() == all_.of(1).tolist() != []


def test_prequential_tests_what_it_teaches() -> None:
    all_ = windows(stretch((0, 9), (1, 9)))
    taught, tested = prequential(all_, 0)

    assert taught.tolist() == tested.tolist() == next_session(all_, 0).taught.tolist()


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ([(-1, 9.0)], "no window shows one labelled activity: expected some that last a window"),
        ([(0, 2.0)], r"nothing is left to teach: expected two recordings .* more than 6 s"),
    ],
)
def test_too_little_of_a_person_is_said(blocks: Blocks, sentence: str) -> None:
    with pytest.raises(ProtocolError, match=sentence):
        next_session(windows(stretch(*blocks)), 0)
