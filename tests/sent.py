"""Movement as a sender with a clock of its own sees it, and what rows made of it must be."""

from collections.abc import Iterable

import numpy as np
from board import GRAVITY, SWING, SWING_HZ
from numpy.typing import NDArray

from firmware_bridge.source import Chunk, Source

Floats = NDArray[np.float64]

STEEPEST = 2 * np.pi * SWING_HZ * SWING  # m/s³ along x
GYRO = (0.1, -0.2, 0.3)  # rad/s
GRID_HZ = 50.0


def moved(times_s: Floats) -> Floats:
    """Acceleration (n, 3): x tells the time, z is gravity."""
    x = SWING * np.sin(2 * np.pi * SWING_HZ * times_s)
    return np.column_stack([x, np.zeros_like(x), np.full_like(x, GRAVITY)])


def turned(times_s: Floats) -> Floats:
    """Rate of rotation (n, 3): z tells the time, too."""
    rates = np.tile(np.array(GYRO), (len(times_s), 1))
    rates[:, 2] += np.sin(2 * np.pi * SWING_HZ * times_s)
    return rates


def times_of(chunk: Chunk) -> Floats:
    return chunk.run_start_s + (chunk.first + np.arange(len(chunk.counts))) / GRID_HZ


def assert_true(source: Source, chunks: Iterable[Chunk], within_s: float) -> None:
    """Every row is the movement of the time it claims, to `within_s` and a count."""
    for chunk in chunks:
        values = chunk.counts * source.scale.astype(np.float64)
        wanted = np.column_stack([moved(times_of(chunk)), turned(times_of(chunk))])
        room = np.array([STEEPEST, 0, 0, 0, 0, 2 * np.pi * SWING_HZ]) * within_s + source.scale[0]
        assert (np.abs(values - wanted[:, : values.shape[1]]) <= room[: values.shape[1]]).all()


def assert_whole(chunks: list[Chunk]) -> None:
    """Runs count up from 0, and no row of one is missing."""
    due = 0
    for before, chunk in zip([None, *chunks], chunks, strict=False):
        if before is None or chunk.run != before.run:
            assert chunk.run == (0 if before is None else before.run + 1)
            due = 0
        assert chunk.first == due
        due += len(chunk.counts)


def rows(chunks: Iterable[Chunk], run: int | None = None) -> int:
    return sum(len(chunk.counts) for chunk in chunks if run in {None, chunk.run})
