"""A disk that takes nothing: what was seen waits, what is said is refused, later all goes on."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_disk import Limited, SmallDisk, small_disk

from learner import Recognizer
from learner.journal import Journal
from learner.journal_rows import BATCH_ROWS, MAX_BATCHES
from learner.lessons import Teacher

S = 1_000_000
RATE_HZ = 50.0
SCALE = np.full(3, 0.001, np.float32)


@pytest.fixture(name="disk", params=["full", "limited"])
def _disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    if request.param == "full":
        with small_disk(tmp_path) as disk:
            yield disk
    else:
        limited = Limited(tmp_path, os.getpid())
        yield limited
        limited.make_room()  # also for what else this process writes


def rows(n: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    return np.random.default_rng(seed).integers(-9000, 9000, (n, 3)).astype(np.int16)


def windows(journal: Journal) -> list[tuple[int, int]]:
    found = journal.windows(0, 10**12, length=128, hop=64, rate_hz=RATE_HZ, channels=3)
    return [(w.run, w.number) for w in found]


def recognizer() -> Recognizer:
    return Recognizer(rate_hz=RATE_HZ, n_channels=3, window_s=0.64, classifier="naive_bayes")


def test_rows_wait_for_room_and_are_all_there_then(disk: SmallDisk) -> None:
    with Journal(disk.folder / "journal.sqlite") as journal:
        journal.begin_run(0, RATE_HZ, SCALE, "start")
        journal.append(rows(500))
        journal.annotate("walking", 0, 9 * S, "test")
        disk.fill()
        journal.append(rows(BATCH_ROWS))
        journal.begin_run(400 * S, RATE_HZ, SCALE, "fifo overrun")
        journal.append(rows(BATCH_ROWS))
        kept = journal.keep()
        journal.remember("transition", b"walking")
        trouble = journal.trouble
        disk.make_room()

        assert not kept
        assert trouble == f"the journal cannot be written, {disk.cause}"
        assert journal.recall("transition") == b"walking"
        assert journal.keep(durable=True)
        assert journal.trouble is None
        assert journal.dropped_rows == 0
    with Journal(disk.folder / "journal.sqlite") as again:
        assert len(windows(again)) == (500 + BATCH_ROWS) // 64 - 1 + BATCH_ROWS // 64 - 1
        assert again.recall("transition") == b"walking"


def test_what_is_said_is_refused_and_leaves_nothing(disk: SmallDisk) -> None:
    with Journal(disk.folder / "journal.sqlite") as journal:
        journal.begin_run(0, RATE_HZ, SCALE, "start")
        journal.append(rows(500))
        said = journal.annotate("walking", 0, None, "test")
        disk.fill()
        journal.append(rows(BATCH_ROWS))
        for refused in (
            lambda: journal.annotate("stairs", 0, S, "test"),
            lambda: journal.finish(said, 5 * S),
            lambda: journal.retract(said),
            lambda: journal.rename("walking", "cycling"),
        ):
            with pytest.raises(sqlite3.OperationalError, match=disk.refusal):
                refused()
        assert journal.annotations == (said,)
        disk.make_room()

        assert journal.finish(said, 5 * S).end_us == 5 * S
    with Journal(disk.folder / "journal.sqlite") as again:
        assert [(a.activity, a.end_us) for a in again.annotations] == [("walking", 5 * S)]


def test_what_waits_too_long_becomes_a_hole_that_no_window_spans(disk: SmallDisk) -> None:
    with Journal(disk.folder / "journal.sqlite") as journal:
        model = recognizer()
        teacher = Teacher(journal, model, hop=16, guard_us=200_000)
        journal.begin_run(0, RATE_HZ, SCALE, "start")
        journal.append(rows(640))
        journal.annotate("walking", 0, None, "test")
        teacher.follow()
        disk.fill()
        for part in range(MAX_BATCHES + 2):
            journal.append(rows(BATCH_ROWS, part))
            if journal.keep():  # else nothing of it may be learnt
                teacher.follow()
        disk.make_room()
        journal.append(rows(640))
        assert journal.keep(durable=True)
        teacher.finish()

        assert journal.dropped_rows >= BATCH_ROWS
        numbers = {number for _, number in windows(journal)}
        hole = range(640 // 64 - 1, (640 + journal.dropped_rows) // 64)
        assert not numbers & {*hole}
        assert {0, hole.start - 1, hole.stop + 1} <= numbers
        with Journal(disk.folder / "journal.sqlite") as again:
            anew = recognizer()
            Teacher(again, anew, hop=16, guard_us=200_000).rebuild()
        assert anew.digest() == model.digest()


def test_a_device_starts_on_a_full_disk_and_recovers(disk: SmallDisk) -> None:
    with Journal(disk.folder / "journal.sqlite") as journal:
        journal.begin_run(0, RATE_HZ, SCALE, "start")
        journal.append(rows(500))
        journal.annotate("walking", 0, 9 * S, "test")
    disk.fill()
    with Journal(disk.folder / "journal.sqlite") as journal:
        there = [said.activity for said in journal.annotations]
        journal.begin_run(20 * S, RATE_HZ, SCALE, "start")
        trouble = journal.trouble
        disk.make_room()

        assert there == ["walking"]
        assert trouble is not None
        journal.annotate("stairs", 0, 9 * S, "test")
        assert journal.trouble is None


def test_the_end_of_a_stretch_waits_for_room_and_comes_before_any_further_row(
    disk: SmallDisk,
) -> None:
    path = disk.folder / "journal.sqlite"
    with Journal(path) as journal:
        journal.begin_run(0, RATE_HZ, SCALE, "start")
        journal.append(rows(500))
        said = journal.annotate("walking", 0, None, "test")
        disk.fill()
        journal.append(rows(500))
        revision = journal.revision
        journal.finish_later(said, 15 * S)

        assert journal.open_annotation is None
        with Journal(path) as after_a_power_cut:
            assert after_a_power_cut.open_annotation == said
            assert after_a_power_cut.end_us == 10 * S
        disk.make_room()
        journal.append(rows(500))
        assert journal.keep()
        assert journal.revision == revision + 1
        with Journal(path) as again:
            assert again.annotations == (said._replace(end_us=15 * S),)
            assert again.end_us == 30 * S


def test_what_must_be_on_the_disk_is_remembered_there_or_refused(disk: SmallDisk) -> None:
    with Journal(disk.folder / "journal.sqlite") as journal:
        journal.remember("controls", b"paused", durable=True)
        disk.fill()
        with pytest.raises(sqlite3.OperationalError, match=disk.refusal):
            journal.remember("controls", bytes(200_000), durable=True)

        assert journal.recall("controls") == b"paused"
        disk.make_room()
