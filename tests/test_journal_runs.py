"""Runs of the journal whose rows are gone: a year of restarts and gaps must not fill the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from learner.journal import Journal

S = 1_000_000
RATE_HZ = 50.0
SCALE = np.full(3, 0.0024, np.float32)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture(name="journal")
def _journal(path: Path) -> Iterator[Journal]:
    """A minute of rows, four times, 40 s apart."""
    with Journal(path) as journal:
        for start_s in (0, 100, 200, 300):
            run(journal, start_s)
        yield journal


def run(journal: Journal, start_s: int, seconds: int = 60) -> None:
    journal.begin_run(start_s * S, RATE_HZ, SCALE, "bus error")
    if seconds:
        journal.append(np.zeros((round(seconds * RATE_HZ), 3), np.int16))


def runs(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [start_us // S for (start_us,) in db.execute("SELECT start_us FROM run ORDER BY id")]


def windows(journal: Journal, start_s: int, end_s: int) -> list[tuple[int, int]]:
    return [
        (window.run, window.start_us)
        for window in journal.windows(
            start_s * S, end_s * S, length=128, hop=64, rate_hz=RATE_HZ, channels=3
        )
    ]


def test_a_run_goes_with_the_last_of_its_rows(journal: Journal, path: Path) -> None:
    journal.flush()
    journal.prune(190 * S)

    assert runs(path) == [200, 300]
    assert not journal.recorded(0, 190 * S)


def test_what_is_taught_keeps_its_run_and_its_windows(journal: Journal, path: Path) -> None:
    said = journal.annotate("walking", 110 * S, 150 * S, "test")
    before = windows(journal, 110, 150)
    journal.prune(1000 * S)

    assert runs(path) == [100, 300]
    assert windows(journal, 110, 150) == before != []
    with Journal(path) as second:
        assert second.annotations == (said,)
        assert windows(second, 110, 150) == before


def test_rows_that_are_not_in_the_file_yet_keep_their_run(journal: Journal, path: Path) -> None:
    journal._db.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:  # the disk is busy
        other.execute("BEGIN IMMEDIATE")
        run(journal, 400)
    journal.prune(1000 * S)
    journal.flush()

    assert runs(path) == [300, 400]
    assert len(windows(journal, 300, 360)) == (60 * 50 - 128) // 64 + 1


def test_time_goes_on_from_a_last_run_of_which_nothing_is_left(
    journal: Journal, path: Path
) -> None:
    journal.flush()
    journal.prune(1000 * S)
    ended_us = journal.end_us
    run(journal, 0, seconds=0)  # the clock was set back, and the sensor gave nothing
    run(journal, 0, seconds=10)
    journal.flush()
    journal.prune(ended_us)

    assert ended_us == 360 * S
    assert runs(path) == [360]
    assert len(windows(journal, 360, 370)) == 6
    with Journal(path) as second:
        assert second.end_us == 370 * S
