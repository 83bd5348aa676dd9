"""Rows on time, from a chip whose clock wanders."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.rows.grid import STEER_MOST, Grid
from firmware_bridge.rows.rate import Rate
from firmware_bridge.source import Chunk

SWING_HZ = 0.7
SWING = 20_000.0  # counts


def warming_up(seconds: float, ppm_per_minute: float) -> NDArray[np.float64]:
    """The times of a chip's samples, which begin 5 % fast and become faster."""
    drift = ppm_per_minute * 1e-6 / 60
    even_s = np.arange(int(seconds * 119 * 1.05)) / (119 * 1.05)
    return even_s - drift * even_s**2 / 2


def gridded(times_s: NDArray[np.float64], jitter_s: float = 0.001) -> list[Chunk]:
    rate = Rate(119.0)
    grid = Grid(run=3, cause="start", rate=rate, rate_hz=50.0)
    rng = np.random.default_rng(0)
    frames = np.rint(SWING * np.sin(2 * np.pi * SWING_HZ * times_s))[:, None].astype(np.int16)
    asked_s = np.arange(0.1, times_s[-1], 0.1)
    asked_s += rng.uniform(0, 1 / 119, len(asked_s))
    chunks = []
    for last_s, now_s in pairwise([0.0, *asked_s]):
        first, end = np.searchsorted(times_s, [last_s, now_s], side="right")
        first = 0 if last_s == 0.0 else first
        told_s = now_s + jitter_s * rng.standard_normal()
        rate.observe(int(end), told_s, told_s)
        if chunk := grid.push(frames[first:end]):
            chunks.append(chunk)
    return chunks


def test_rows_stay_on_time_while_the_chip_warms_up() -> None:
    chunks = gridded(warming_up(seconds=600, ppm_per_minute=100))

    counts = np.concatenate([chunk.counts for chunk in chunks])[:, 0]
    phase = 2 * np.pi * SWING_HZ * (chunks[0].run_start_s + np.arange(len(counts)) / 50)
    slope = SWING * 2 * np.pi * SWING_HZ * np.cos(phase)
    off = counts - SWING * np.sin(phase)
    late_s = [
        float(off[k : k + 500] @ slope[k : k + 500] / (slope[k : k + 500] ** 2).sum())
        for k in range(0, len(counts) - 500, 500)
    ]
    # 1.5 ms the line lags behind a rate that changes so, and 1 ms is its noise; the rate alone,
    # unsteered, would be late by 100 ppm a minute * 1 minute of lag * 600 s = 60 ms.
    assert np.abs(late_s).max() < 0.004


def test_rows_are_steered_and_never_jump() -> None:
    chunks = gridded(warming_up(seconds=60, ppm_per_minute=0), jitter_s=0.005)

    counts = np.concatenate([chunk.counts for chunk in chunks])[:, 0] / SWING
    # Of a swing, a row is known from the two before it: x[k] = 2 cos(w) x[k-1] - x[k-2].
    w = 2 * np.pi * SWING_HZ / 50
    surprise = counts[2:] - 2 * np.cos(w) * counts[1:-1] + counts[:-2]
    # Steering moves a row by STEER_MOST of a row at most; a jump of 0.5 ms
    # would surprise by 0.0022.
    assert np.abs(surprise).max() < 2 * STEER_MOST * w + 4 * 0.5 / SWING


def test_a_chunk_says_which_run_it_is_of_and_why_that_began() -> None:
    chunks = gridded(warming_up(seconds=10, ppm_per_minute=0))

    assert {(chunk.run, chunk.cause) for chunk in chunks} == {(3, "start")}
    assert chunks[0].first == 0
    assert chunks[0].counts.dtype == np.int16
