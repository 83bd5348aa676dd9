"""What the figures mean, each against the obvious loop, and against scikit-learn where it is."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.evaluation.measures import (
    UNKNOWN,
    accuracy,
    auroc,
    calibration_error,
    changes,
    confusion,
    delays,
    macro_f1,
    prequential,
)

K = 4
# (true label, named label or -1, confidence, novelty to a tenth so that there are ties)
answers = st.lists(
    st.tuples(
        st.integers(0, K - 1),
        st.integers(UNKNOWN, K - 1),
        st.floats(0.0, 1.0),
        st.integers(0, 10).map(lambda tenths: tenths / 10),
    ),
    min_size=1,
    max_size=40,
)
Answers = list[tuple[int, int, float, float]]


def columns(of: Answers) -> tuple[Any, Any, Any, Any]:
    truth, named, confidence, novelty = zip(*of, strict=True)
    return np.array(truth), np.array(named), np.array(confidence), np.array(novelty)


@given(answers)
def test_accuracy_counts_unknown_as_wrong(of: Answers) -> None:
    truth, named, _, _ = columns(of)

    right = sum(t == n for t, n in zip(truth, named, strict=True) if n != UNKNOWN)
    assert accuracy(truth, named) == pytest.approx(right / len(of))


@given(answers)
def test_the_confusion_matrix_counts_every_window_once(of: Answers) -> None:
    truth, named, _, _ = columns(of)
    expected = np.zeros((K, K + 1), int)
    for t, n in zip(truth, named, strict=True):
        expected[t, K if n == UNKNOWN else n] += 1

    assert confusion(truth, named, K).tolist() == expected.tolist()


@given(answers)
def test_macro_f1_is_the_mean_over_labels_that_occur(of: Answers) -> None:
    truth, named, _, _ = columns(of)
    of_label = []
    for label in set(truth.tolist()):
        hits = int(np.sum((truth == label) & (named == label)))
        missed, false = int(np.sum(truth == label)) - hits, int(np.sum(named == label)) - hits
        of_label.append(2 * hits / (2 * hits + missed + false))

    assert macro_f1(confusion(truth, named, K)) == pytest.approx(np.mean(of_label))


@given(answers)
def test_calibration_error_is_the_gap_between_sure_and_right_in_each_of_fifteen_bins(
    of: Answers,
) -> None:
    truth, named, confidence, _ = columns(of)
    right = truth == named
    expected = 0.0
    for k in range(15):
        low, high = k / 15, (k + 1) / 15
        # the product tells the bin just as the measure does: 15 · 0.2 may round either way
        inside = (confidence * 15 > k) & (confidence * 15 <= k + 1)
        if k == 0:
            inside |= confidence == 0.0
        if inside.any():
            assert low - 1e-9 <= confidence[inside].min() <= confidence[inside].max() <= high + 1e-9
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())

    assert calibration_error(confidence, right) == pytest.approx(expected, abs=1e-12)


def test_who_is_as_sure_as_right_has_no_calibration_error() -> None:
    right = np.array([True, True, True, False] * 5)

    assert calibration_error(np.full(20, 0.75), right) == pytest.approx(0.0)
    assert calibration_error(np.full(20, 1.0), right) == pytest.approx(0.25)


@given(answers)
def test_auroc_is_the_share_of_pairs_in_order(of: Answers) -> None:
    truth, _, _, novelty = columns(of)
    positive = truth == 0
    pairs = [
        1.0 if above > below else 0.5 if above == below else 0.0
        for above in novelty[positive]
        for below in novelty[~positive]
    ]
    if not pairs:
        return

    assert auroc(novelty, positive) == pytest.approx(np.mean(pairs))


@settings(deadline=None)  # importing it takes a while
@given(answers)
def test_scikit_learn_measures_the_same(of: Answers) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, named, _, novelty = columns(of)

    counts = confusion(truth, named, K)
    assert accuracy(truth, named) == pytest.approx(metrics.accuracy_score(truth, named))
    theirs = metrics.f1_score(
        truth, named, labels=np.unique(truth), average="macro", zero_division=0.0
    )
    assert macro_f1(counts) == pytest.approx(theirs)
    matrix = metrics.confusion_matrix(truth, named, labels=[*range(K), UNKNOWN])
    assert counts.tolist() == matrix[:K].tolist()
    if 0 < np.sum(truth == 0) < len(truth):
        assert auroc(novelty, truth == 0) == pytest.approx(
            metrics.roc_auc_score(truth == 0, novelty)
        )


# --- over time ----------------------------------------------------------------------------------


def series(text: str) -> Any:
    """Letters are labels, a dot is unknown."""
    return np.array([UNKNOWN if c == "." else "abc".index(c) for c in text])


@pytest.mark.parametrize(
    ("truth", "named", "late"),
    [
        ("aaabbb", "aaabbb", [0]),
        ("aaabbb", "aaaabb", [1]),
        ("aaabbb", "aaa..b", [2]),
        ("aaabbb", "aaaaaa", [3]),  # never: by all of its windows
        ("aaabbb", "aabbbb", [0]),  # early is not late
        ("aaabba", "aaaaba", [1, 0]),
        ("aabbcc", "aaaabc", [2, 1]),  # b is named when it is over
        ("aaaaaa", "bbbbbb", []),
    ],
)
def test_a_delay_is_counted_from_the_change_to_its_first_right_name(
    truth: str, named: str, late: list[int]
) -> None:
    assert delays(series(truth), series(named), np.zeros(6, int)).tolist() == late


def test_a_gap_is_no_change_and_ends_what_went_on() -> None:
    truth, stretches = series("aabbbb"), np.array([0, 0, 1, 1, 2, 2])

    assert changes(truth, stretches).tolist() == []
    stretches = np.array([0, 0, 0, 1, 1, 1])
    assert changes(truth, stretches).tolist() == [2]
    assert delays(truth, series("aaabbb"), stretches).tolist() == [1]
    stretches = np.array([0, 0, 0, 0, 1, 1])  # never in its stretch: by its two windows there
    assert delays(truth, series("aaaaab"), stretches).tolist() == [2]


def test_no_change_is_right_but_at_changes() -> None:
    found = prequential(series("aaabbbbaaa"), series(".aaabbb.aa"))

    assert (found.no_change, found.changes, found.at_changes) == (0.7, 2, 0.0)


def test_where_nothing_changes_nothing_is_said_of_changes() -> None:
    found = prequential(series("aaaa"), series("aaaa"))

    assert (found.no_change, found.changes) == (0.75, 0)
    assert np.isnan(found.at_changes)
