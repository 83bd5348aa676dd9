"""`budge bench learning`: what it measures is what it says, and it says all of it."""

import io
import re
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from deploy import benching
from deploy.cli import app
from learner import Recognizer
from learner.evaluation import speed
from learner.evaluation.protocols import Split, next_session
from learner.evaluation.vectorised import describe
from learner.evaluation.windows import Windows


@pytest.fixture(name="wearer", scope="module")
def _wearer() -> Windows:
    return benching.wearer().windows


@pytest.fixture(name="split", scope="module")
def _split(wearer: Windows) -> Split:
    return next_session(wearer, 0)


def test_the_wearer_does_everything_in_both_sessions(wearer: Windows, split: Split) -> None:
    for side in split:  # 60 s hold 45 or 46 windows on the grid of the session
        assert set(np.bincount(wearer.labels[side]).tolist()) == {45, 46}


@pytest.mark.parametrize("n_channels", [3, 6])
def test_the_features_of_the_rivals_tell_motions_apart_and_are_finite(
    wearer: Windows, n_channels: int
) -> None:
    vectors = [describe(wearer.samples(i)[:, :n_channels], 50.0) for i in range(0, 200, 20)]
    still = describe(np.zeros((128, n_channels), np.float32), 50.0)

    assert len({len(vector) for vector in (*vectors, still)}) == 1
    assert np.isfinite([*vectors, still]).all()
    assert len({vector.tobytes() for vector in vectors}) == len(vectors)


def test_all_in_the_race_are_asked_the_same_windows(
    wearer: Windows, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "ASKED", 20)
    few = Split(split.taught[::5], split.tested[::5])
    budge, *rivals = speed.race(wearer, few)

    assert budge.name == "budge"
    assert budge.accuracy > 0.9
    for each in (budge, *rivals):
        for cost in (each.features, each.learn, each.first_predict, each.predict):
            assert 0.0 < cost.median <= cost.p99, each.name
        assert each.predict.median > 0.0


def test_a_long_run_teaches_every_window_and_tells_both_ends_apart(
    wearer: Windows, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(Recognizer, "learn", lambda _self, _samples, name: counted.append(name))
    monkeypatch.setattr(Recognizer, "predict", lambda _self, _samples: None)
    times = iter(range(10**9))
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(times) ** 2)
    run = speed.long_run(wearer, split, range(1000), 1000)

    taught = [wearer.names[wearer.labels[index]] for index in split.taught]
    assert counted == [taught[k % len(taught)] for k in range(1000)]
    for first, last in (run.learn, run.first_predict, run.predict):  # on a clock that slows down
        assert last.median > 5 * first.median
    assert (run.grown_bytes is None) == (sys.platform != "linux")


def test_a_lessons_traffic_is_the_numbers_that_it_changes(
    wearer: Windows, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "ASKED", 30)
    found = speed.traffic(wearer, split)
    r = Recognizer(50.0, 6, 2.56)
    for index in split.taught[:30]:
        r.learn(wearer.samples(index), "a")
    file = io.BytesIO()
    r.save(file)

    # all of the second moment changes but what belongs to features that are zero; it is most of all
    assert 0.5 * len(file.getvalue()) < found.changed_bytes < len(file.getvalue())
    assert found.read_and_written.median > 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_is_told_in_bytes() -> None:
    now, most = speed.memory_bytes("VmRSS"), speed.memory_bytes("VmHWM")

    assert now is not None
    assert most is not None
    # Python with numpy holds tens of megabytes; the system counts late by some pages
    assert 10 * 2**20 < now < most + 2**20 < 10 * 2**30


def test_the_command_prints_every_figure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ASKED", 20)
    monkeypatch.setattr(benching, "STRETCH_S", 10.0)
    monkeypatch.setattr(benching, "STARTS", 1)
    monkeypatch.setattr(benching, "RUN_S", 3.0)
    result = CliRunner().invoke(app, ["bench", "learning", "--windows", "1000"])

    assert result.exit_code == 0, result.output
    for figure in (
        r"budge +\d+ / \d+ +\d+ / \d+ +\d+ / \d+ +\d+ / \d+ +\d+\.\d$",
        r"a lesson changes \d+ KiB; to read and write as much takes \d+ / \d+ µs",
        r"learn +\d+ / \d+ +\d+ / \d+ +\d\.\d\d$",
        r"process start to first prediction \d+\.\d\d s",
        r"window to prediction +[\d.]+ times|nobody to compare with",
    ):
        assert len(re.findall(figure, result.stdout, re.MULTILINE)) == 1, figure
    if sys.platform == "linux":
        assert "peak memory of budge run" in result.stdout
        assert re.search(r"memory grew by [+-]\d+ KiB", result.stdout)
