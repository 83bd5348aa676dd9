"""The learner's public face: exact, undoable, saved whole, and firm about what it is given."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import Samples, held, shaken
from pupils import RATE_HZ, WINDOW_S, brief, saved, small, taught, untaught

from learner import Prediction, Recognizer
from learner.classifier import InexactError, Verdict

# --- learning -----------------------------------------------------------------------------------


def test_it_names_what_it_was_taught_and_says_how_sure_it_is() -> None:
    r = taught()
    p = r.predict(shaken(2.0, 5.0, seed=99))

    assert p.activity == "walking"
    assert p.confidence == p.probabilities["walking"] > 0.8
    assert list(p.probabilities) == ["walking", "running", "resting"]
    assert sum(p.probabilities.values()) == pytest.approx(1.0)
    assert r.activities == {"walking": 8, "running": 8, "resting": 8}


def test_who_was_taught_nothing_knows_nothing() -> None:
    r = untaught()
    nothing = Prediction(activity=None, confidence=0.0, novelty=1.0, probabilities={})

    assert r.predict(held()) == r.observe(held()) == nothing
    assert r.activities == {}
    assert r.window_rows == 128


def test_one_activity_alone_does_not_claim_everything() -> None:
    r = untaught()
    for seed in range(20):
        r.learn(held(seed=seed), "resting")

    assert r.predict(held(seed=99)).activity == "resting"
    assert r.predict(held(seed=99)).novelty < 0.5
    strange = r.predict(shaken(2.0, 5.0))
    assert (strange.activity, strange.confidence) == (None, 0.0)
    assert r.predict(shaken(2.0, 5.0)).novelty > 0.9


def test_asking_changes_nothing() -> None:
    r = taught()
    before, first = r.digest(), r.predict(held(seed=5))
    r.observe(shaken(2.0, 5.0, seed=6))
    r.observe(shaken(8.0, 30.0))

    assert r.predict(held(seed=5)) == first
    assert r.digest() == before


def test_a_copy_of_the_activities_is_handed_out() -> None:
    r = taught()
    r.activities["walking"] = 0

    assert r.activities["walking"] == 8


# a lesson is (what, which window of it); three windows each of four motions
MOTIONS: dict[str, list[Samples]] = {
    name: [shaken(hz, amplitude, seed=seed) for seed in range(3)]
    for name, hz, amplitude in [
        ("resting", 1.0, 0.0), ("walking", 2.0, 5.0), ("running", 3.0, 12.0), ("absurd", 5.0, 1e6)
    ]
}  # fmt: skip
LESSONS = st.lists(st.tuples(st.sampled_from(sorted(MOTIONS)), st.integers(0, 2)), max_size=12)


@settings(max_examples=25, deadline=None)
@given(kept=LESSONS, undone=LESSONS, random=st.randoms())
def test_learning_has_no_order_and_undo_gives_back_the_same_bits(
    kept: list[tuple[str, int]], undone: list[tuple[str, int]], random: Any
) -> None:
    plain = untaught()
    for name, which in kept:
        plain.learn(MOTIONS[name][which], name)

    steps = [(True, lesson) for lesson in enumerate(kept + undone)]
    random.shuffle(steps)
    for lesson in enumerate(undone, start=len(kept)):  # each taken back at some moment after
        after = steps.index((True, lesson)) + 1
        steps.insert(random.randint(after, len(steps)), (False, lesson))
    muddled = untaught()
    for forward, (_, (name, which)) in steps:
        (muddled.learn if forward else muddled.unlearn)(MOTIONS[name][which], name)

    assert muddled.digest() == plain.digest()
    assert muddled.activities == plain.activities


def test_when_all_is_undone_everything_is_zero() -> None:
    r = taught(windows=4)
    for seed in reversed(range(4)):
        r.unlearn(held(seed=seed), "resting")
        r.unlearn(shaken(2.0, 5.0, seed=seed), "walking")
        r.unlearn(shaken(3.0, 12.0, seed=seed), "running")

    assert r.activities == {}
    assert r.digest() == untaught().digest()
    assert saved(r) == saved(untaught())


def test_pooled_is_as_if_one_had_learnt_it_all() -> None:
    one, other = untaught(), untaught()
    for seed in range(5):
        one.learn(shaken(2.0, 5.0, seed=seed), "walking")
        one.learn(held(seed=seed), "resting")
        other.learn(held(seed=5 + seed), "resting")
        other.learn(shaken(3.0, 12.0, seed=seed), "running")
    before = one.digest()
    pooled = Recognizer.pool([one, other])
    alone = untaught()
    for seed in range(5):
        alone.learn(shaken(3.0, 12.0, seed=seed), "running")
        alone.learn(shaken(2.0, 5.0, seed=seed), "walking")
    for seed in range(10):
        alone.learn(held(seed=seed), "resting")

    assert pooled.digest() == alone.digest()
    assert pooled.activities == {"walking": 5, "resting": 10, "running": 5}
    assert one.digest() == before


def test_only_equals_are_pooled() -> None:
    with pytest.raises(ValueError, match="nothing to pool"):
        Recognizer.pool([])
    with pytest.raises(ValueError, match=r"of \(50\.0, 3, 2\.56, 'discriminant'\) does not go"):
        Recognizer.pool([untaught(), Recognizer(RATE_HZ, 3, WINDOW_S)])


# --- afresh, ahead of time, slowly forgetting ---------------------------------------------------


def test_cleared_it_is_as_newly_made() -> None:
    r = taught()
    for seed in range(20, 40):
        r.observe(shaken(2.0, 5.0, seed=seed))
    r.clear()
    assert r.activities == {}
    assert saved(r) == saved(untaught())
    assert r.observe(held()) == untaught().observe(held())

    for seed in range(8):
        r.learn(shaken(2.0, 5.0, seed=seed), "walking")
        r.learn(shaken(3.0, 12.0, seed=seed), "running")
        r.learn(held(seed=seed), "resting")
    assert r.digest() == taught().digest()
    assert r.observe(shaken(2.5, 8.0)) == taught().observe(shaken(2.5, 8.0))


def test_cleared_it_is_where_its_starter_left_it() -> None:
    r, fresh = (Recognizer(RATE_HZ, 6, WINDOW_S, starter=taught(2)) for _ in range(2))
    r.learn(shaken(9.0, 30.0), "shaking")
    r.rename("shaking", "strolling")
    r.clear()

    assert r.activities == fresh.activities == {"resting": 0, "running": 0, "walking": 0}
    assert r.digest() == fresh.digest()
    assert r.predict(held(seed=9)) == fresh.predict(held(seed=9))


def test_what_is_loaded_goes_on_as_it_was_made() -> None:
    starter = taught(2)
    r = Recognizer(RATE_HZ, 6, WINDOW_S, starter=starter, decay=50.0)
    r.learn(held(seed=0), "resting")
    loaded = Recognizer.load(io.BytesIO(saved(r)), starter=starter, decay=50.0)
    for pupil in [r, loaded]:
        pupil.learn(held(seed=1), "resting")
        pupil.learn(shaken(9.0, 30.0), "shaking")
    assert loaded.digest() == r.digest()

    loaded.clear()
    assert loaded.activities == {"resting": 0, "running": 0, "walking": 0}


def test_settling_works_out_what_the_next_prediction_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    r = taught()
    expected, digest = taught().predict(held(seed=9)), r.digest()
    r.settle()
    assert r.digest() == digest

    monkeypatch.setattr("learner.classifiers.discriminant.Committee", None)  # no more of that
    assert r.predict(held(seed=9)) == expected
    r.settle()
    assert r.predict(held(seed=9)) == expected


def test_who_was_taught_nothing_has_nothing_to_settle() -> None:
    r = untaught()
    r.settle()

    assert r.predict(held()).activity is None


def test_what_fades_has_an_order() -> None:
    assert untaught().order_free
    assert not Recognizer(RATE_HZ, 6, WINDOW_S, "mlp").order_free
    assert not Recognizer(RATE_HZ, 6, WINDOW_S, decay=100.0).order_free


def test_what_fades_cannot_be_taken_back() -> None:
    r = Recognizer(RATE_HZ, 6, WINDOW_S, decay=100.0)
    r.learn(held(seed=0), "resting")
    r.learn(held(seed=1), "resting")
    before = r.digest()

    with pytest.raises(InexactError, match=r"faded cannot be taken back: teach an empty"):
        r.unlearn(held(seed=1), "resting")
    assert r.digest() == before


def test_after_a_half_life_a_window_counts_for_half() -> None:
    r = small(decay=10.0)
    r.learn(brief(1.0, 1.0), "resting")
    for seed in range(10):
        r.learn(brief(2.0, 5.0, seed), "walking")

    assert r.activities == {"resting": 1, "walking": 10}  # taught, whatever they count for
    state = r._classifier.state()
    counts = [0.5, sum(0.5 ** (age / 10.0) for age in range(10))]
    assert state["masses"].tolist() == pytest.approx(counts)
    assert state["sample_times"][0] == pytest.approx(0.5)


def drifting(decay: float | None) -> float:
    """How often the last windows of a stream are named right, each before it is taught.

    Half-way all become stronger: what was called running is how walking looks from then on.
    """
    r, right = small(decay), []
    for seed in range(240):
        for name, before, after in [("walking", 4.0, 8.0), ("running", 8.0, 16.0)]:
            window = brief(2.0, before if seed < 120 else after, seed)
            if seed >= 200:
                right.append(r.predict(window).activity == name)
            r.learn(window, name)
    return float(np.mean(right))


def test_what_changes_its_meaning_is_followed_by_who_forgets() -> None:
    following, holding = drifting(decay=40.0), drifting(decay=None)

    assert following > 0.95
    assert holding < 0.8


def test_nothing_fades_so_far_that_it_cannot_be_said() -> None:
    r = small(decay=1.0)
    r.learn(brief(1.0, 0.0), "resting")
    for seed in range(1200):  # half-lives: twice what a float64 can count
        r.learn(brief(2.0, 5.0, seed % 30), "walking")
    r.settle()

    for samples in [brief(1.0, 0.0, 7), brief(2.0, 5.0, 7), brief(5.0, 40.0)]:
        p = r.predict(samples)
        assert 0.0 <= p.novelty <= 1.0
        assert sum(p.probabilities.values()) == pytest.approx(1.0)
    assert r.predict(brief(2.0, 5.0, 7)).activity == "walking"


def test_what_has_faded_is_still_known() -> None:
    r = small(decay=10.0)
    for seed in range(30):
        r.learn(brief(1.0, 0.0, seed), "resting")
    for seed in range(60):  # six half-lives
        r.learn(brief(2.0, 5.0, seed), "walking")
    p = r.predict(brief(1.0, 0.0, 90))

    assert max(p.probabilities, key=p.probabilities.__getitem__) == "resting"
    assert 0.0 <= p.novelty <= 1.0


# --- over time ----------------------------------------------------------------------------------


def test_one_odd_window_does_not_end_an_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    r = taught()
    walk, odd = Verdict(np.array([0.8, 0.1, 0.1]), 0.2), Verdict(np.array([0.4, 0.6, 0.0]), 0.2)
    verdicts = iter([walk] * 20 + [odd, odd])
    monkeypatch.setattr(r._classifier, "watch", lambda _: next(verdicts))
    seen = [r.observe(held()).activity for _ in range(21)]
    r.gap()
    afresh = r.observe(held())

    assert seen == ["walking"] * 21
    assert afresh.activity == "running"  # nothing is known of what was before


def test_a_window_like_nothing_taught_says_nothing_about_what_goes_on() -> None:
    r = taught()
    for seed in range(20, 40):
        before = r.observe(shaken(2.0, 5.0, seed=seed))
    strange = r.observe(shaken(9.0, 200.0))

    assert strange.activity is None
    assert 0.6 < strange.probabilities["walking"] < before.probabilities["walking"]


def test_a_change_is_seen_soon() -> None:
    r = taught()
    for seed in range(20, 40):
        r.observe(shaken(2.0, 5.0, seed=seed))
    seen = [r.observe(held(seed=seed)).activity for seed in range(40, 43)]

    assert seen[-1] == "resting"


def test_what_goes_on_under_another_name_still_goes_on() -> None:
    plain, renamed = taught(), taught()
    for seed in range(20, 40):
        plain.observe(shaken(2.0, 5.0, seed=seed))
        renamed.observe(shaken(2.0, 5.0, seed=seed))
    renamed.rename("walking", "strolling")

    expected = plain.observe(shaken(2.7, 8.0)).probabilities
    found = renamed.observe(shaken(2.7, 8.0)).probabilities
    assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-12)


def test_an_activity_taught_while_observing_joins_in() -> None:
    r = untaught()
    r.learn(held(seed=0), "resting")
    r.observe(held(seed=1))
    for seed in range(8):
        r.learn(held(seed=seed + 2), "resting")
        r.learn(shaken(2.0, 5.0, seed=seed), "walking")
    for seed in range(3):
        p = r.observe(shaken(2.0, 5.0, seed=90 + seed))

    assert p.activity == "walking"


# --- what it is given ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.zeros((127, 6), np.float32), "are float32 (127, 6), expected float32 (128, 6)"),
        (np.zeros((128, 3), np.float32), "are float32 (128, 3), expected float32 (128, 6)"),
        (np.zeros((128, 6), np.float64), "are float64 (128, 6), expected float32 (128, 6)"),
        ([[0.0] * 6] * 128, "are a list, expected a float32 array (128, 6)"),
    ],
)
def test_a_window_of_another_shape_is_refused(samples: Any, sentence: str) -> None:
    r = untaught()
    verbs: list[Callable[[Any], object]] = [
        r.predict,
        r.observe,
        lambda samples: r.learn(samples, "a"),
        lambda samples: r.unlearn(samples, "a"),
    ]
    for verb in verbs:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            verb(samples)


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_window_with_a_hole_is_refused_and_teaches_nothing(hole: float) -> None:
    r = taught()
    before, samples = r.digest(), held()
    samples[17, 4] = hole

    with pytest.raises(ValueError, match=f"hold {hole} at row 17, channel 4"):
        r.learn(samples, "resting")
    assert r.digest() == before


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_an_activity_needs_a_name(name: Any) -> None:
    r = untaught()

    with pytest.raises(ValueError, match=f"activity is {name!r}, expected a name"):
        r.learn(held(), name)
    assert r.activities == {}


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ({"rate_hz": 0.0}, "rate_hz is 0.0"),
        ({"rate_hz": float("nan")}, "rate_hz is nan"),
        ({"n_channels": 4}, r"n_channels is 4, expected 3 \(accelerometer\) or 6"),
        ({"window_s": 0.1}, "window_s is 0.1: at 50.0 Hz a window needs at least 8 rows"),
        ({"window_s": float("inf")}, "window_s is inf"),
        ({"classifier": "oracle"}, "no classifier is called 'oracle'"),
        ({"decay": 0.5}, "decay is 0.5, expected a half-life of at least 1 window"),
        ({"decay": float("nan")}, "decay is nan"),
        ({"decay": float("inf")}, "decay is inf"),
    ],
)
def test_a_recognizer_that_cannot_be_is_refused(kind: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Recognizer(**{"rate_hz": 50.0, "n_channels": 6, "window_s": 2.56} | kind)


def test_windows_may_be_views_and_read_only_and_stay_as_they_are() -> None:
    r, view = taught(), np.repeat(held(seed=3), 2, axis=1)[:, ::2]
    view.flags.writeable = False
    before = view.copy()

    assert r.predict(view) == r.predict(held(seed=3))
    np.testing.assert_array_equal(view, before)


def test_beyond_the_range_a_window_saturates_and_can_still_be_undone() -> None:
    r, before = taught(), taught().digest()
    r.learn(held() * np.float32(1e30), "absurd")
    assert r.predict(held() * np.float32(1e30)).activity == "absurd"
    r.unlearn(held() * np.float32(1e30), "absurd")

    assert r.digest() == before


# --- the compiler -------------------------------------------------------------------------------


def python(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )  # fmt: skip
    return run.stdout.strip()


def test_nobody_waits_for_numba_before_a_kernel_is_needed() -> None:
    code = "import sys, learner; from learner import Recognizer; print('numba' in sys.modules)"

    assert python(code) == "False"


def test_without_numba_the_same_is_learnt_with_one_warning() -> None:
    code = """
import warnings
from learner import Recognizer
from motions import shaken
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    r = Recognizer(20.0, 3, 1.0)
    for seed in range(2):
        for name, hz in [("slow", 1.0), ("fast", 4.0)]:
            r.learn(shaken(hz, 5.0, rate_hz=20.0, n_channels=3, window_s=1.0, seed=seed), name)
    p = r.predict(shaken(1.0, 5.0, rate_hz=20.0, n_channels=3, window_s=1.0, seed=9))
print(p.activity, r.digest(), [str(w.message)[:22] for w in caught], sep=chr(10))
"""
    compiled = python(code).splitlines()
    plain = python("import sys; sys.modules['numba'] = None" + code).splitlines()

    assert compiled[0] == plain[0] == "slow"
    assert compiled[1] == plain[1]  # the grid swallows what the compiler rounds otherwise
    assert compiled[2] == "[]"
    assert plain[2] == "['numba is not installed']"
