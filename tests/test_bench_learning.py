"""`budge bench learning`: what it measures is what it says, and it says all of it."""

import re
import sys

import numpy as np
import numpy.testing as npt
import pytest
from typer.testing import CliRunner

from deploy import benching
from deploy.cli import app
from learner import Recognizer
from learner.classifier import WindowShape
from learner.described import Describer
from learner.evaluation import speed
from learner.evaluation.protocols import Split, next_session
from learner.evaluation.speed import Cost, Entrant
from learner.evaluation.vectorised import Same, compact
from learner.evaluation.windows import Windows
from learner.features import Features


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
def test_the_compact_features_of_the_rivals_tell_motions_apart_and_are_finite(
    wearer: Windows, n_channels: int
) -> None:
    vectors = [compact(wearer.samples(i)[:, :n_channels], 50.0) for i in range(0, 200, 20)]
    still = compact(np.zeros((128, n_channels), np.float32), 50.0)

    assert len({len(vector) for vector in (*vectors, still)}) == 1
    assert np.isfinite([*vectors, still]).all()
    assert len({vector.tobytes() for vector in vectors}) == len(vectors)


@pytest.mark.parametrize(
    ("rate_hz", "n_channels", "rows"),
    [(50.0, 6, 128), (20.0, 3, 50), (102.5, 6, 102), (200.0, 6, 100), (25.0, 3, 12), (50.0, 3, 8)],
)
def test_the_same_features_are_the_same(rate_hz: float, n_channels: int, rows: int) -> None:
    same, own = Same(rate_hz, n_channels, rows), Features(rate_hz, n_channels, rows)
    rng = np.random.default_rng(0)
    for strength in (0.0, 0.01, 1.0, 30.0):
        samples = strength * rng.standard_normal((rows, n_channels)).astype(np.float32)
        # not quite upright: across gravity is the root of a difference, and 1e-16 of it is 1e-8
        samples[:, :3] += 9.0 * np.array([0.1, 0.3, 1.0], np.float32) * (strength > 0.0)

        npt.assert_allclose(same(samples), own(samples), rtol=0.0, atol=1e-9)


def test_all_in_the_race_are_asked_the_same_windows(
    wearer: Windows, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "ASKED", 20)
    few = Split(split.taught[::5], split.tested[::5])
    budge, *rivals = speed.race(wearer, few)

    assert budge.name == "budge"
    assert budge.accuracy > 0.9
    half = len(rivals) // 2
    assert [each.name for each in rivals[:half]] == [each.name for each in rivals[half:]]
    assert {each.seen for each in rivals[:half]} <= {speed.COMPACT}
    assert {each.seen for each in rivals[half:]} <= {speed.SAME}
    for each in (budge, *rivals):
        for cost in (each.features, each.learn, each.settle, each.next_predict, each.predict):
            assert 0.0 < cost.median <= cost.p99, each.name
    # a solver of some hundred features costs more than a lesson; nothing costs a fraction of it
    assert budge.settle.median > budge.learn.median
    for each in rivals:
        assert each.settle.median < 0.1 * each.learn.median


def test_who_is_fastest_is_told_for_either_kind_of_features(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def entrant(name: str, seen: str, predict: float, learn: float, *, right: float) -> Entrant:
        settle = Cost(90.0 if name == "budge" else 0.0, 9e9)
        after = Cost(predict / 2.0, 9e9)
        features = Cost(1.0, 9e9)
        return Entrant(
            name, seen, features, Cost(learn, 9e9), settle, after, Cost(predict, 9e9), right
        )

    benching.print_race(
        [
            entrant("budge", speed.BUDGE, 10.0, 10.0, right=0.99),
            entrant("slow", speed.COMPACT, 100.0, 100.0, right=0.5),
            entrant("quick", speed.COMPACT, 80.0, 35.0, right=0.6),
            entrant("slow", speed.SAME, 40.0, 430.0, right=0.7),
        ]
    )
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    assert "a prediction 8 quick, 60.0 % right 4 slow, 70.0 % right" in lines
    with_lesson = "a lesson and a prediction, solver"
    assert f"{with_lesson} beside the line 5 quick, 60.0 % right 30 slow, 70.0 % right" in lines
    assert f"{with_lesson} in the path 0.71 quick, 60.0 % right 4.3 slow, 70.0 % right" in lines


def test_a_long_run_teaches_every_window_and_tells_both_ends_apart(
    wearer: Windows, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(Recognizer, "learn", lambda _self, _samples, name: counted.append(name))
    monkeypatch.setattr(Recognizer, "settle", lambda _self: None)
    monkeypatch.setattr(Recognizer, "predict", lambda _self, _samples: None)
    times = iter(range(10**9))
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(times) ** 2)
    run = speed.long_run(wearer, split, range(1000), 1000)

    taught = [wearer.names[wearer.labels[index]] for index in split.taught]
    assert counted == [taught[k % len(taught)] for k in range(1000)]
    for first, last in (run.learn, run.settle, run.predict):  # on a clock that slows down
        assert last.median > 5 * first.median
    assert (run.grown_bytes is None) == (sys.platform != "linux")


def test_a_lessons_traffic_is_the_sums_that_it_changes(
    wearer: Windows, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "ASKED", 30)
    found = speed.traffic(wearer, split)
    describer = Describer(WindowShape(50.0, 6, 128))
    x = describer.features(wearer.samples(split.taught[0])).copy()
    changed = describer.displaced(wearer.samples(split.taught[0])) - x
    moments = [np.tril(rows.T @ rows) for rows in (x[None], changed)]
    triangles = sum(map(np.count_nonzero, moments))

    # sums over the features of one activity, and of its blocks, are some more
    assert 8 * triangles < found.changed_bytes < 8 * (triangles + 2 * describer.size)
    assert 0.0 < found.read_and_written.median <= found.summed.p99
    assert found.in_a_row.median > 0.0


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
    monkeypatch.setattr(benching, "RUN_S", 1.5)
    result = CliRunner().invoke(app, ["bench", "learning", "--windows", "1000"])

    assert result.exit_code == 0, result.output
    for figure in (
        r"budge( +\d+ / \d+){5} +\d+\.\d$",
        r"a lesson changes \d+ KiB of sums; to read and write that takes \d+ / \d+ µs",
        r"Summing it up takes \d+ / \d+ µs, \d+\.\d times as long",
        r"lessons in a row, 4 of which are summed up at once, \d+ / \d+ µs each",
        r"settle +\d+ / \d+ +\d+ / \d+ +\d+\.\d\d$",
        r"process start to first prediction \d+\.\d\d s",
        r"and one cached kernel \d+\.\d\d s: \d+\.\d\d times as long",
        r"a prediction +[\d.]+ \w+, [\d.]+ % right|nobody to compare with",
    ):
        assert len(re.findall(figure, result.stdout, re.MULTILINE)) == 1, figure
    if sys.platform == "linux":
        assert "peak memory of budge run" in result.stdout
        assert re.search(r"memory grew by [+-]\d+ KiB", result.stdout)
