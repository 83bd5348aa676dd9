"""Undo, forget, merge and pool, far beyond what the sample keeps: as if it had never been else."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import Samples

from learner import Recognizer
from learner.classifier import InexactError
from learner.sample import CAP, KEPT

RATE_HZ, CHANNELS, ROWS = 20.0, 3, 20
STRENGTH = {"resting": 0.05, "walking": 2.0, "running": 6.0, "falling": 20.0}  # m/s²

Lesson = tuple[str, int]


def window(activity: str, number: int) -> Samples:
    """One of as many windows of an activity as anyone asks for: noise about gravity."""
    rng = np.random.default_rng([list(STRENGTH).index(activity), number])
    samples = STRENGTH[activity] * rng.standard_normal((ROWS, CHANNELS))
    samples[:, 2] += 9.81
    return samples.astype(np.float32)


PROBES = [window(activity, 10_000 + n) for activity in STRENGTH for n in range(3)]


def taught(lessons: list[Lesson]) -> Recognizer:
    r = Recognizer(rate_hz=RATE_HZ, n_channels=CHANNELS, window_s=ROWS / RATE_HZ)
    for activity, number in lessons:
        r.learn(window(activity, number), activity)
    return r


def many(windows: dict[str, int], first: int = 0) -> list[Lesson]:
    return [(name, number) for name, n in windows.items() for number in range(first, first + n)]


def alike(one: Recognizer, other: Recognizer) -> None:
    """The same model to the bit, and what it says to 1e-9."""
    assert one.activities == other.activities
    assert one.digest() == other.digest()
    for samples in PROBES:
        expected, found = one.predict(samples), other.predict(samples)
        assert found.activity == expected.activity
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-9)
        assert found.novelty == pytest.approx(expected.novelty, abs=1e-9)


def takes_back(r: Recognizer, lesson: Lesson) -> bool:
    """Unlearn a window, or be refused and find everything as it was."""
    before = r.digest()
    try:
        r.unlearn(window(*lesson), lesson[0])
    except InexactError:
        assert r.digest() == before
        return False
    return True


# --- undo -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [1, CAP - 20, CAP, KEPT - 20, KEPT, KEPT + 150])
def test_unlearnt_is_as_if_never_taught_however_much_was(before: int) -> None:
    kept = many({"walking": before, "resting": 30})
    undone = many({"walking": 40, "resting": 5, "falling": 20}, first=5000)
    r = taught(kept)
    for activity, number in undone:
        r.learn(window(activity, number), activity)
    r.predict(PROBES[0])  # what it works out for that is not what it goes by later
    for activity, number in reversed(undone):
        r.unlearn(window(activity, number), activity)

    alike(taught(kept), r)


def test_what_was_taught_first_can_be_taken_back_last() -> None:
    lessons = many({"walking": KEPT + 100, "resting": 30})
    r = taught(lessons)
    for number in range(90):
        r.unlearn(window("walking", number), "walking")

    alike(taught([lesson for lesson in lessons if lesson not in many({"walking": 90})]), r)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_as_long_as_it_does_not_refuse_it_is_exact(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    # some windows are taught more than once
    lessons = [("walking", int(n)) for n in rng.integers(0, 400, KEPT + 100)] + [("resting", 0)]
    r, left = taught(lessons), Counter(lessons)
    for place in rng.permutation(len(lessons))[: int(share * len(lessons))]:
        lesson = lessons[place]
        if not takes_back(r, lesson):
            assert len(lessons) - left.total() >= KEPT - CAP  # half of it, not before
            break
        left[lesson] -= 1

    alike(taught(list(left.elements())), r)


# --- forget ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("windows", [1, CAP + 20, KEPT])
def test_forgotten_was_never_taught(windows: int) -> None:
    rest = many({"walking": 60, "resting": 60})
    r = taught(many({"falling": windows}) + rest)
    for number in np.random.default_rng(1).permutation(windows):
        r.unlearn(window("falling", int(number)), "falling")

    alike(taught(rest), r)


def test_what_is_not_kept_whole_is_not_forgotten_by_taking_back_and_says_so() -> None:
    lessons = many({"resting": 10, "walking": KEPT + 50})
    r, left = taught(lessons), lessons.copy()
    while takes_back(r, left[-1]):
        left.pop()

    assert len(lessons) - len(left) >= KEPT - CAP
    with pytest.raises(InexactError, match=r"'walking' was taken back.* teach an empty recognizer"):
        r.unlearn(window(*left[-1]), "walking")
    alike(taught(left), r)


# --- merge ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("windows", [30, CAP + 30, KEPT + 30])
def test_merged_is_as_if_always_called_so(windows: int) -> None:
    r = taught(many({"walking": windows, "running": windows, "resting": 20}))
    one = taught(many({"walking": windows}))
    for number in range(windows):
        one.learn(window("running", number), "walking")
    for number in range(20):
        one.learn(window("resting", number), "resting")
    r.rename("running", "walking")

    alike(one, r)
    for number in range(20):  # and can be taken back as such
        r.unlearn(window("running", number), "walking")
        one.unlearn(window("running", number), "walking")
    alike(one, r)


# --- pool -----------------------------------------------------------------------------------------


def device(n: int) -> list[Lesson]:
    """What the n-th of thirty was taught: one activity is known to few, one to all but some."""
    names = {"walking": 12, "resting": 8 if n % 3 else 0, "falling": 5 if n < 4 else 0}
    return many(names, first=100 * n)


def test_thirty_devices_pooled_are_one_that_was_taught_everything() -> None:
    lessons = [device(n) for n in range(30)]
    everything = list(chain.from_iterable(lessons))
    np.random.default_rng(2).shuffle(everything)
    one = taught([(str(activity), int(number)) for activity, number in everything])
    devices = [taught(own) for own in lessons]

    alike(one, Recognizer.pool(devices))
    alike(one, Recognizer.pool(reversed(devices)))
    halves = [Recognizer.pool(devices[:13]), Recognizer.pool(devices[13:])]
    alike(one, Recognizer.pool(halves))


def test_what_was_taken_back_on_a_device_does_not_come_back_in_the_pool() -> None:
    devices = [taught(device(n)) for n in range(30)]
    for n, member in enumerate(devices):
        for number in range(5):
            member.learn(window("running", 100 * n + number), "running")
            member.learn(window("walking", 5000 + 100 * n + number), "walking")
        for number in range(5):
            member.unlearn(window("running", 100 * n + number), "running")
            member.unlearn(window("walking", 5000 + 100 * n + number), "walking")

    alike(taught(list(chain.from_iterable(device(n) for n in range(30)))), Recognizer.pool(devices))


def test_what_is_pooled_can_be_taken_back() -> None:
    pooled = Recognizer.pool([taught(device(n)) for n in range(30)])
    for activity, number in device(7):
        pooled.unlearn(window(activity, number), activity)

    alike(taught(list(chain.from_iterable(device(n) for n in range(30) if n != 7))), pooled)
