"""What scikit-learn asks of an estimator, by its own checks; and what is said of ours."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from motions import Samples, held, shaken

from learner.recognizer import Recognizer

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

from learner.adapters import BudgeClassifier


def windows(n: int, first_seed: int = 0) -> tuple[Samples, list[str]]:
    """`n` windows of each of two motions."""
    seeds = range(first_seed, first_seed + n)
    moving, still = [shaken(2.0, 5.0, seed=seed) for seed in seeds], [held(seed=s) for s in seeds]
    return np.stack([*moving, *still]), ["walking"] * n + ["resting"] * n


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=check.func.__name__)
        for _, check in estimator_checks_generator(BudgeClassifier(), mark="skip")
    ],
)
def test_scikit_learn_finds_an_estimator(check: Callable[[Any], None]) -> None:
    """None of its checks is left out: their tables are windows of one axis."""
    check(BudgeClassifier())


def test_windows_of_six_channels_are_told_apart() -> None:
    samples, labels = windows(12)
    model = BudgeClassifier().fit(*windows(6, first_seed=100))

    assert model.classes_.tolist() == ["resting", "walking"]
    assert model.predict(samples).tolist() == labels
    assert cross_val_score(BudgeClassifier(), samples, labels, cv=3).min() == 1.0


def test_what_is_learnt_is_what_a_recognizer_learns() -> None:
    (samples, labels), recognizer = windows(5), Recognizer(25.0, 6, 5.12)
    for window, label in zip(samples, labels, strict=True):
        recognizer.learn(window, label)
    model = BudgeClassifier(rate_hz=25.0).fit(samples, labels)
    expected = [recognizer.predict(window).probabilities for window in samples]

    assert model.recognizer_.digest() == recognizer.digest()
    npt.assert_array_equal(
        model.predict_proba(samples), [[each["resting"], each["walking"]] for each in expected]
    )


def test_fit_forgets_what_was_learnt_before() -> None:
    model = BudgeClassifier().fit(*windows(3))
    model.fit(windows(2)[0], [7, 7, 8, 8])

    assert model.classes_.tolist() == [7, 8]
    assert model.recognizer_.activities == {"7": 2, "8": 2}


def test_lessons_in_parts_bring_classes_that_nobody_announced() -> None:
    samples, labels = windows(3)
    model = BudgeClassifier().partial_fit(samples[:3], labels[:3], classes=["cycling", "walking"])
    npt.assert_allclose(model.predict_proba(samples[:1]), [[0.0, 1.0]])

    model.partial_fit(samples[3:], labels[3:])
    assert model.classes_.tolist() == ["cycling", "resting", "walking"]
    assert model.predict(samples).tolist() == labels


def test_the_most_probable_class_is_named_where_the_recognizer_says_unknown() -> None:
    model, strange = BudgeClassifier().fit(*windows(6)), shaken(9.0, 60.0)

    assert model.recognizer_.predict(strange).activity is None
    assert model.predict(strange[None])[0] in {"walking", "resting"}


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((4, 128, 4), "n_channels is 4, expected 3"),
        ((4, 2, 2, 2), r"X is \(4, 2, 2, 2\), expected \(windows, rows, 3 or 6\)"),
    ],
)
def test_what_is_no_window_is_refused(shape: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BudgeClassifier().fit(np.ones(shape), [0, 0, 1, 1])


def test_windows_of_another_shape_than_taught_are_refused() -> None:
    model, samples = BudgeClassifier().fit(*windows(2)), windows(2)[0]

    with pytest.raises(ValueError, match="64 features, but BudgeClassifier is expecting 128"):
        model.predict(samples[:, :64])
    with pytest.raises(ValueError, match=r"float32 \(128, 3\), expected float32 \(128, 6\)"):
        model.predict(samples[:, :, :3])


def test_one_axis_is_an_accelerometer_whose_others_rest_and_short_windows_are_held() -> None:
    model = BudgeClassifier(rate_hz=10.0).fit(np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]), [0, 1])
    recognizer = Recognizer(30.0, 3, 0.3)
    for label, values in (("0", [1, 2, 3]), ("1", [3, 1, 2])):
        axis = np.repeat(np.array(values, np.float32), 3)
        recognizer.learn(np.stack([axis, 0 * axis, 0 * axis], axis=1), label)

    assert model.recognizer_.digest() == recognizer.digest()
    assert model.predict([[1.0, 2.0, 3.0]]).dtype == np.dtype(int)


def test_a_pickled_classifier_is_the_same_bit_for_bit() -> None:
    model = BudgeClassifier().fit(*windows(4))
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - just made

    assert again.recognizer_.digest() == model.recognizer_.digest()
    npt.assert_array_equal(again.predict_proba(windows(4)[0]), model.predict_proba(windows(4)[0]))
