"""The arrays of a classifier's state: checked, copied, and in the order of names."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.state import by_name, checked, from_sorted

SUMS = np.array([[1.0, 2.0]])


def test_an_array_of_the_kind_and_shape_expected_is_copied() -> None:
    found = checked({"sums": SUMS}, "sums", np.float64, (1, 2))

    npt.assert_array_equal(found, SUMS)
    assert not np.shares_memory(found, SUMS)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (SUMS.astype(np.float32), r"float32 \(1, 2\)"),
        (SUMS[0], r"float64 \(2,\)"),
        (SUMS.T, r"float64 \(2, 1\)"),
    ],
)
def test_another_kind_or_shape_is_named_beside_what_was_expected(
    array: np.ndarray, found: str
) -> None:
    with pytest.raises(ValueError, match=rf"^sums is {found}, expected float64 \(1, 2\)$"):
        checked({"sums": array}, "sums", np.float64, (1, 2))


def test_a_missing_array_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="squares"):
        checked({"sums": SUMS}, "squares", np.float64, (1, 2))


@given(names=st.lists(st.text(), unique=True))
def test_rows_that_were_put_in_the_order_of_names_come_back_in_the_order_first_known(
    names: list[str],
) -> None:
    put = [names[row] for row in by_name(names)]

    assert put == sorted(names)
    assert [put[row] for row in from_sorted(names)] == names
