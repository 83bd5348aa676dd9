"""A recording as a source: its rows, its pace, its truth."""

import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.clock import MonotonicClock, VirtualClock
from firmware_bridge.recording import Recording, Run
from firmware_bridge.recordings.files import read
from firmware_bridge.source import Chunk, Health
from firmware_bridge.sources.recording import Source
from firmware_bridge.window import Windower

G = 9.80665


def run(start_s: float, rows: int, *, peak: float = 15.0, n_channels: int = 6) -> Run:
    rng = np.random.default_rng(rows)
    samples = rng.uniform(-1, 1, (rows, n_channels)).astype(np.float32)
    samples *= peak / np.abs(samples).max(axis=0)
    return Run(start_s, samples, np.zeros(rows, np.int16))


def recorded(*runs: Run, rate_hz: float = 50.0) -> Recording:
    return Recording(rate_hz, runs, runs[0].samples.shape[1], "r", ("walking", "stairs"))


def values(source: Source, chunks: list[Chunk]) -> NDArray[np.float32]:
    return np.concatenate([chunk.counts for chunk in chunks]) * source.scale


@pytest.mark.parametrize("rate_hz", [None, 50.0, 50.2])
def test_rows_pass_unchanged_but_for_one_rounding(rate_hz: float | None) -> None:
    recording = recorded(run(3.0, 333))
    source = Source(recording, VirtualClock(), rate_hz=rate_hz, speed=None)
    chunks = list(source.chunks())

    assert source.rate_hz == 50.0
    assert np.abs(values(source, chunks) - recording.runs[0].samples).max() <= (
        source.scale.max() * 0.501
    )
    assert (chunks[0].run_start_s, chunks[0].cause, source.live) == (3.0, "start", False)


@pytest.mark.parametrize("rate_hz", [25.0, 40.0, 51.0, 104.0])
def test_another_rate_is_resampled(rate_hz: float) -> None:
    t_s = np.arange(500) / 50
    sine = np.outer(np.sin(2 * np.pi * 1.5 * t_s), np.ones(3)).astype(np.float32)
    recording = recorded(Run(0.0, sine, np.zeros(500, np.int16)))
    source = Source(recording, VirtualClock(), rate_hz=rate_hz, speed=None)
    rows = values(source, list(source.chunks()))
    grid_s = np.arange(len(rows)) / rate_hz
    inside = (grid_s > 1) & (grid_s < 9)

    assert source.rate_hz == rate_hz
    assert len(rows) == int(499 / 50 * rate_hz + 1e-9) + 1
    assert np.abs(rows[inside, 0] - np.sin(2 * np.pi * 1.5 * grid_s[inside])).max() < 0.002


@pytest.mark.parametrize(
    ("peak_g", "full_scale_g"), [(0.5, 2), (1.9999, 2), (2.0, 4), (3.9, 4), (15.9, 16), (40, 64)]
)
def test_the_finest_usual_accel_range_that_covers_is_taken(
    peak_g: float, full_scale_g: float
) -> None:
    source = Source(recorded(run(0, 50, peak=peak_g * G, n_channels=3)), VirtualClock(), speed=None)
    rows = values(source, list(source.chunks()))

    assert source.scale.tolist() == pytest.approx([full_scale_g * G / 32768] * 3)
    assert np.abs(rows).max() == pytest.approx(peak_g * G, abs=float(source.scale[0]))


def test_accel_and_gyro_have_ranges_of_their_own() -> None:
    quiet = run(0, 50, peak=0.1)
    quiet.samples[:, 4] *= 100  # 10 rad/s are 573 dps
    source = Source(recorded(quiet), VirtualClock(), speed=None)

    assert source.scale[0] == pytest.approx(2 * G / 32768)
    assert source.scale[3:] == pytest.approx([np.radians(1000) / 32768] * 3)


def test_a_recording_of_zeros_has_a_scale() -> None:
    zeros = Run(0.0, np.zeros((10, 6), np.float32), np.zeros(10, np.int16))
    source = Source(recorded(zeros), VirtualClock(), speed=None)

    assert (source.scale > 0).all()
    assert not values(source, list(source.chunks())).any()


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    speed=st.sampled_from([None, 0.5, 1.0, 8.0]),
    rate_hz=st.sampled_from([None, 20.0]),
)
@settings(max_examples=40, deadline=None)
def test_runs_are_kept_apart_and_complete(
    lengths: list[int], speed: float | None, rate_hz: float | None
) -> None:
    starts_s = np.cumsum([0.0, *(length / 50 + 1 for length in lengths[:-1])])
    recording = recorded(*(run(float(t), n) for t, n in zip(starts_s, lengths, strict=True)))
    source = Source(recording, VirtualClock(), rate_hz=rate_hz, speed=speed)
    windower = Windower(source.rate_hz, source.scale, 1, 1)  # it refuses rows out of order
    chunks = list(source.chunks())
    windows = [window for chunk in chunks for window in windower.push(chunk)]

    kept = 50 / source.rate_hz
    assert len(windows) == sum(int((length - 1) / kept + 1e-9) + 1 for length in lengths)
    assert sorted({chunk.run for chunk in chunks}) == list(range(len(lengths)))
    assert [c.cause for a, c in pairwise(chunks) if a.run != c.run] == ["gap in the file"] * (
        len(lengths) - 1
    )
    assert max(len(chunk.counts) for chunk in chunks) <= source.rate_hz
    assert source.now_s() == pytest.approx(windows[-1].start_s)


@pytest.mark.parametrize(("speed", "expected_s"), [(1.0, 12.98), (4.0, 3.245)])
def test_it_takes_as_long_as_it_took_gaps_included(speed: float, expected_s: float) -> None:
    clock = VirtualClock(100.0)
    source = Source(recorded(run(7.0, 100), run(17.0, 150)), clock, speed=speed)
    given_s = [(clock.now_s() - 100, source.now_s() - 7) for _ in source.chunks()]

    assert clock.now_s() - 100 == pytest.approx(expected_s)
    assert [host_s * speed for host_s, _ in given_s] == pytest.approx([t for _, t in given_s])
    assert max(b[1] - a[1] for a, b in pairwise(given_s)) == pytest.approx(
        8.1
    )  # the gap and the next 5 rows
    assert source.now_s() == 17.0 + 149 / 50


def test_without_speed_it_never_sleeps() -> None:
    clock = VirtualClock()
    list(Source(recorded(run(0, 5000)), clock, speed=None).chunks())

    assert clock.now_s() == 0.0


@pytest.mark.parametrize("begins_with_a_gap", [True, False])
def test_close_from_another_thread_ends_it_even_in_a_long_gap(begins_with_a_gap: bool) -> None:
    runs = [run(0, 5), run(1000.0, 5)] if begins_with_a_gap else [run(0, 50_000)]
    source = Source(recorded(*runs), MonotonicClock())
    thread = threading.Thread(target=lambda: list(source.chunks()))
    thread.start()
    time.sleep(0.2)
    source.close()
    thread.join(timeout=2)

    assert not thread.is_alive()
    assert source.now_s() < 1


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (10.0, 12.0, "walking"),
        (18.4, 20.4, "walking"),  # 80 % of it
        (18.5, 20.5, None),
        (19.5, 21.5, None),
        (19.6, 21.6, "stairs"),
        (30.5, 32.5, None),  # unlabelled
        (39.0, 41.0, None),  # half of it after the end
        (-1.0, 1.0, None),  # half of it before the beginning
        (-0.4, 1.6, "walking"),
        (50.0, 52.0, None),  # in the gap
        (60.2, 62.2, "stairs"),  # in the second run
        (10.0, 10.0, None),
    ],
)
def test_truth_is_what_fills_four_fifths(start_s: float, end_s: float, expected: str) -> None:
    first, second = run(0.0, 2000), run(60.0, 500)
    first.codes[1000:] = 1
    first.codes[1500:] = -1
    second.codes[:] = 1

    for rate_hz in (None, 20.0):
        source = Source(recorded(first, second), VirtualClock(), rate_hz=rate_hz, speed=None)

        assert source.truth(start_s, end_s) == expected


def test_what_cannot_be_replayed_is_refused() -> None:
    with pytest.raises(ValueError, match="speed is 0, expected more than 0, or None not to wait"):
        Source(recorded(run(0, 5)), VirtualClock(), speed=0)
    with pytest.raises(ValueError, match=r"rate_hz is -1\.0, expected more than 0"):
        Source(recorded(run(0, 5)), VirtualClock(), rate_hz=-1.0)


def test_health_tells_the_rate_and_the_gaps() -> None:
    source = Source(recorded(run(0, 5), run(9, 5)), VirtualClock(), speed=None)
    list(source.chunks())

    assert source.health() == Health("connected", 0.0, 50.0, 1, 0, 0, "gap in the file")


def test_a_real_session_is_replayed_whole(datasets: Path) -> None:
    recording = read(datasets / "hapt.npz", subject=1, session=1)
    source = Source(recording, VirtualClock(), rate_hz=50.0, speed=None)
    windower = Windower(source.rate_hz, source.scale, 128, 64)
    windows = [window for chunk in source.chunks() for window in windower.push(chunk)]
    truths = {source.truth(window.start_s, window.end_s) for window in windows}

    assert len(windows) == (recording.rows - 128) // 64 + 1
    assert source.scale[0] == pytest.approx(2 * G / 32768)
    assert {"WALKING", "SITTING", "LAYING", None} <= truths
