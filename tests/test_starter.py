"""What others have taught is a start: it counts for a few windows, and gives way to the owner."""

import io
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import Samples, shaken
from numpy.typing import NDArray

from learner import Prediction, Recognizer
from learner.classifier import InexactError
from learner.forest import grow_forest
from learner.sample import Sample
from learner.starter import LEAST_WINDOWS, MOST_WINDOWS, Leaning
from learner.sums import GRID, Sums

Floats = NDArray[np.float64]

BLOCKS = {"mean": slice(0, 4), "quantile": slice(4, 9), "rest": slice(9, 16)}
SIZE = 16
NAMES = ["resting", "running", "walking"]
CENTRES = dict(
    zip(NAMES, np.round(np.random.default_rng(0).normal(size=(3, SIZE)), 2), strict=True)
)


def window(name: str, seed: int) -> Floats:
    noise = 0.2 * np.random.default_rng(seed).standard_normal(SIZE)
    return np.asarray(np.round((CENTRES[name] + noise) / GRID) * GRID)


def leaning(names: list[str] = NAMES) -> Leaning:
    sums, sample = Sums(SIZE, BLOCKS), Sample()
    for name in names:
        for seed in range(40):
            x = window(name, seed)
            sums.put(name, x, np.round(0.05 * x[None] / GRID) * GRID)
            sample.put(name, (x / GRID).astype(np.int16))
    return Leaning(sums, sample)


def record(leant: Leaning) -> list[list[int]]:
    """What it was shown of each activity, sorted by name, and how often it was right."""
    rows: list[list[int]] = leant.state()["record"].tolist()
    return rows


# --- the record -----------------------------------------------------------------------------------


def test_who_is_always_right_counts_for_the_most() -> None:
    leant = leaning()
    assert leant.windows("walking") == pytest.approx(MOST_WINDOWS)
    for seed in range(50, 150):
        leant.note(window("walking", seed), "walking", 1)

    assert record(leant) == [[0, 0], [0, 0], [100, 100]]
    assert leant.windows("walking") == pytest.approx(MOST_WINDOWS)


def test_who_is_always_wrong_counts_for_about_the_least() -> None:
    leant, counts = leaning(), []
    for seed in range(50, 150):
        leant.note(window("walking", seed), "resting", 1)
        counts.append(leant.windows("resting"))

    assert record(leant) == [[100, 0], [0, 0], [0, 0]]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > MOST_WINDOWS / 2  # one window does not decide it
    assert LEAST_WINDOWS <= counts[-1] < LEAST_WINDOWS + 0.1
    assert leant.windows("walking") == pytest.approx(MOST_WINDOWS)  # each has its own record


def test_who_is_right_as_often_as_by_chance_counts_for_the_least() -> None:
    leant = leaning()
    for seed in range(50, 350):
        leant.note(window(NAMES[seed % 3], seed), "resting", 1)

    assert record(leant)[0] == [300, 100]
    assert leant.windows("resting") == pytest.approx(LEAST_WINDOWS, abs=0.1)


def test_one_activity_alone_is_always_right() -> None:
    leant = leaning(["walking"])
    leant.note(window("resting", 50), "walking", 1)

    assert leant.windows("walking") == pytest.approx(MOST_WINDOWS)


def test_what_the_starter_does_not_know_is_no_test_of_it() -> None:
    leant = leaning()
    leant.note(window("walking", 50), "stairs", 1)

    assert record(leant) == [[0, 0]] * 3
    assert leant.activities == NAMES


LESSON = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(50, 60))
Lessons = list[tuple[str, str, int]]


@settings(deadline=None)
@given(kept=st.lists(LESSON, max_size=9), undone=st.lists(LESSON, max_size=9), random=st.randoms())
def test_the_record_has_no_order_and_undo_takes_back_its_share(
    kept: Lessons, undone: Lessons, random: Any
) -> None:
    plain, muddled = leaning(), leaning()
    for shown, called, seed in kept:
        plain.note(window(shown, seed), called, 1)
    for times, lessons in [(1, kept + undone), (-1, undone)]:
        random.shuffle(lessons)
        for shown, called, seed in lessons:
            muddled.note(window(shown, seed), called, times)

    assert record(muddled) == record(plain)


def test_asking_for_its_weight_says_what_each_activity_counts_for() -> None:
    leant = leaning()
    for seed in range(50, 60):
        leant.note(window("walking", seed), "resting", 1)
    weighed = leant.weighed()

    assert weighed.sums is leant.sums
    assert weighed.windows == {name: leant.windows(name) for name in NAMES}
    assert weighed.share == pytest.approx(sum(weighed.windows.values()) / 120.0)


def test_a_restored_record_goes_on_alike() -> None:
    leant, restored = leaning(), leaning()
    for seed in range(50, 60):
        leant.note(window("walking", seed), "resting", 1)
    restored.restore(leant.state())
    for pupil in [leant, restored]:
        pupil.note(window("walking", 60), "walking", 1)

    assert record(restored) == record(leant) == [[10, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize("wrong", [np.zeros((3, 2)), np.zeros((2, 2), np.int64)])
def test_what_is_no_record_is_refused(wrong: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match=r"record is .*, expected int64 \(3, 2\)"):
        leaning().restore({"record": wrong})
    with pytest.raises(KeyError, match="record"):
        leaning().restore({})


# --- a recognizer that starts from another --------------------------------------------------------

KIND = {"rate_hz": 20.0, "n_channels": 3, "window_s": 1.0}
MOTIONS = {"resting": (1.0, 0.0), "walking": (2.0, 5.0), "running": (3.0, 12.0), "shaking": (6, 20)}


def motion(name: str, seed: int) -> Samples:
    return shaken(*MOTIONS[name], rate_hz=20.0, n_channels=3, window_s=1.0, seed=seed)


def taught(names: list[str], windows: int = 12) -> Recognizer:
    r = Recognizer(**KIND)  # type: ignore[arg-type]
    return teach(r, names, windows)


def teach(r: Recognizer, names: list[str], windows: int = 12, first: int = 0) -> Recognizer:
    for seed in range(first, first + windows):
        for name in names:
            r.learn(motion(name, seed), name)
    return r


def started(starter: Recognizer | None = None) -> Recognizer:
    return Recognizer(**KIND, starter=starter or taught(["resting", "walking"]))  # type: ignore[arg-type]


def answers(r: Recognizer) -> list[Prediction]:
    return [r.predict(motion(name, seed)) for name in MOTIONS for seed in (90, 91)]


def again(r: Recognizer) -> Recognizer:
    file = io.BytesIO()
    r.save(file)
    file.seek(0)
    return Recognizer.load(file)


def test_its_activities_are_known_before_a_window_was_taught() -> None:
    r = started()

    assert r.activities == {"resting": 0, "walking": 0}
    assert r.predict(motion("walking", 90)).activity == "walking"
    assert r.observe(motion("resting", 90)).activity == "resting"


def test_new_activities_join_and_windows_taught_are_the_owners() -> None:
    r = teach(started(), ["running", "walking"], 5)

    assert list(r.activities.items()) == [("resting", 0), ("walking", 5), ("running", 5)]
    for name in r.activities:
        assert r.predict(motion(name, 90)).activity == name


def test_what_the_starter_calls_otherwise_is_soon_called_as_the_owner_does() -> None:
    r = started()
    for seed in range(12):
        r.learn(motion("walking", seed), "resting")
        r.learn(motion("resting", seed), "walking")

    assert r.predict(motion("walking", 90)).activity == "resting"
    assert r.predict(motion("resting", 90)).activity == "walking"


def test_as_many_of_its_windows_vote_as_it_counts_for(monkeypatch: pytest.MonkeyPatch) -> None:
    r, grown = started(taught(["resting", "walking"], 50)), list[list[int]]()

    def grow(vectors: Any, classes: Any, weights: Any, kinds: int) -> Any:
        grown.append(sorted(np.bincount(classes).tolist()))
        return grow_forest(vectors, classes, weights, kinds)

    monkeypatch.setattr("learner.forest.grow_forest", grow)
    r.settle()
    assert grown[-1] == [2 * round(MOST_WINDOWS)] * 2  # each as it was, and displaced

    for seed in range(20):
        r.learn(motion("walking", seed), "resting")
    r.settle()
    assert 2 * 20 <= grown[-1][0] < 2 * 25
    assert grown[-1][1] == 2 * round(MOST_WINDOWS)


def test_both_go_on_learning_and_neither_hears_of_it() -> None:
    starter = taught(["resting", "walking"])
    r, before = started(starter), starter.digest()
    first, digest = answers(r), r.digest()
    teach(starter, ["running", "walking"])
    assert (answers(r), r.digest()) == (first, digest)

    starter = taught(["resting", "walking"])
    r = started(starter)
    teach(r, ["running", "walking"])
    r.rename("running", "racing")
    r.unlearn(motion("running", 0), "racing")
    assert starter.digest() == before


def test_what_is_unlearnt_was_never_there_and_the_start_is_left() -> None:
    r, fresh = started(), started()
    teach(r, ["walking", "running"], 5)
    for seed in (2, 0, 4, 1, 3):
        r.unlearn(motion("running", seed), "running")
        r.unlearn(motion("walking", seed), "walking")

    assert list(r.activities.items()) == [("resting", 0), ("walking", 0)]
    assert r.digest() == fresh.digest()
    assert answers(r) == answers(fresh)
    with pytest.raises(ValueError, match="'walking' was never taught; taught: nothing"):
        r.unlearn(motion("walking", 0), "walking")


def test_what_is_saved_comes_back_and_goes_on_alike() -> None:
    r = teach(started(), ["walking", "running"], 5)
    loaded = again(r)
    assert loaded.digest() == r.digest()
    assert answers(loaded) == answers(r)
    assert list(loaded.activities.items()) == list(r.activities.items())

    for pupil in [r, loaded]:
        pupil.learn(motion("running", 7), "walking")
        pupil.unlearn(motion("walking", 3), "walking")
        pupil.rename("running", "racing")
    assert loaded.digest() == r.digest()
    assert answers(loaded) == answers(r)


def test_what_the_owner_taught_first_takes_another_name() -> None:
    plain, renamed = (teach(started(), ["walking", "running"], 5) for _ in range(2))
    renamed.rename("running", "racing")

    assert renamed.activities == {"resting": 0, "walking": 5, "racing": 5}
    for mine, other in zip(answers(plain), answers(renamed), strict=True):
        expected = {name.replace("running", "racing"): p for name, p in mine.probabilities.items()}
        assert other.probabilities == pytest.approx(expected, abs=1e-12)
        assert other.novelty == pytest.approx(mine.novelty, abs=1e-12)


@pytest.mark.parametrize(
    ("old", "new"), [("walking", "strolling"), ("resting", "walking"), ("jogging", "walking")]
)
def test_what_a_starter_knows_keeps_its_name(old: str, new: str) -> None:
    r = started()
    for seed in range(6):
        r.learn(motion("running", seed), "jogging")
    before = r.digest()

    with pytest.raises(InexactError, match="what a starter knows keeps its name"):
        r.rename(old, new)
    assert r.digest() == before


def test_a_starter_that_knows_nothing_is_none() -> None:
    r = started(Recognizer(**KIND))  # type: ignore[arg-type]

    assert r.activities == {}
    assert r.digest() == Recognizer(**KIND).digest()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [{"rate_hz": 25.0}, {"n_channels": 6}, {"window_s": 2.0}, {"classifier": "naive_bayes"}],
)
def test_a_starter_of_another_kind_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"does not go with one of .* expected the same rate"):
        Recognizer(**KIND | other, starter=taught(["walking"]))


def test_a_starter_that_was_started_itself_is_refused() -> None:
    with pytest.raises(InexactError, match="leans on a starter itself: pool"):
        started(started())


def test_pooled_is_what_the_owners_taught_and_not_where_they_began() -> None:
    own = [teach(started(), ["walking", "running"], 4, first) for first in (0, 4)]
    pooled = Recognizer.pool(own)

    assert pooled.digest() == taught(["walking", "running"], 8).digest()
    assert pooled.activities == {"walking": 8, "running": 8}
    npt.assert_equal(started(pooled).activities, {"running": 0, "walking": 0})
