"""The journal: what is acknowledged is on the disk, what is stored is what was seen."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.source import Chunk
from firmware_bridge.window import Window, Windower
from learner.journal import Annotation, Journal
from learner.journal_file import DamagedError, JournalError
from learner.journal_rows import BLOB_ROWS

SCALE = np.array([0.0023, 0.0023, 0.0024], np.float32)
S = 1_000_000


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture(name="journal")
def _journal(path: Path) -> Iterator[Journal]:
    with Journal(path) as journal:
        yield journal


def rows(n: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-30000, 30000, (n, 3)).astype(np.int16)


def windows(journal: Journal, start_us: int, end_us: int) -> list[tuple[int, int]]:
    return [
        (w.run, w.number)
        for w in journal.windows(start_us, end_us, length=128, hop=64, rate_hz=50.0, channels=3)
    ]


def test_what_was_said_is_there_after_a_kill(path: Path) -> None:
    journal = Journal(path)
    journal.begin_run(0, 50.0, SCALE, "start")
    journal.append(rows(500))
    journal.annotate("walking", 0, 9 * S, "test")
    # Not closed: what a second reader of the file sees is what a killed process would leave.
    with Journal(path) as second:
        assert second.annotations == (Annotation(1, "walking", 0, 9 * S, "test"),)
        assert second.end_us == 10 * S
    journal.close()


def test_the_journal_gives_back_the_very_windows_that_the_live_line_saw(journal: Journal) -> None:
    counts = rows(3 * BLOB_ROWS + 77)
    windower = Windower(50.0, SCALE, 128, 64)
    journal.begin_run(0, 50.0, SCALE, "start")
    live: list[Window] = []
    for first in range(0, len(counts), 50):
        part = counts[first : first + 50]
        journal.append(part)
        live += windower.push(Chunk(0, first, 0.0, part, "start"))
        if first % 700 == 0:
            journal.flush()

    stored = list(journal.windows(0, 10**12, length=128, hop=64, rate_hz=50.0, channels=3))

    assert [w.number for w in stored] == [w.index for w in live]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(stored, live, strict=True))
    assert [w.start_us for w in stored] == [round(w.start_s * 1e6) for w in live]


def test_only_windows_wholly_inside_are_given(journal: Journal) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    journal.append(rows(1000))

    # Window k is k·1.28 … k·1.28 + 2.56 s.
    assert windows(journal, 0, 2_560_000) == [(1, 0)]
    assert windows(journal, 1, 5_120_000) == [(1, 1), (1, 2)]
    assert windows(journal, 1_280_000, 3_839_999) == []


def test_a_run_never_begins_before_the_last_one_ended(journal: Journal) -> None:
    journal.begin_run(10 * S, 50.0, SCALE, "start")
    journal.append(rows(100))
    journal.begin_run(3 * S, 50.0, SCALE, "the clock was set back")

    assert journal.end_us == 12 * S


def test_rows_of_another_rate_or_shape_are_passed_over(journal: Journal) -> None:
    journal.begin_run(0, 100.0, SCALE, "start")
    journal.append(rows(1000))
    journal.begin_run(20 * S, 50.0, SCALE, "settings changed")
    journal.append(rows(128))
    journal.begin_run(30 * S, 50.1, SCALE, "a recording's measured rate")
    journal.append(rows(128))

    assert windows(journal, 0, 60 * S) == [(2, 0), (3, 0)]
    assert not list(journal.windows(0, 60 * S, length=128, hop=64, rate_hz=50.0, channels=6))


def test_pruning_keeps_what_an_annotation_covers_and_the_grid(journal: Journal) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    for _ in range(100):  # 1000 s in blobs of 10 s
        journal.append(rows(500))
        journal.flush()
    journal.annotate("walking", 500 * S, 600 * S, "test")
    before = windows(journal, 500 * S, 600 * S)
    journal.prune(900 * S)

    assert windows(journal, 500 * S, 600 * S) == before
    assert windows(journal, 0, 490 * S) == []
    assert not journal.recorded(0, 490 * S)
    assert journal.recorded(500 * S, 501 * S)
    assert windows(journal, 900 * S, 1000 * S)


def test_a_file_that_grows_too_large_loses_its_oldest_rows_first_and_nothing_taught(
    journal: Journal, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    for block in range(300):  # 3000 s in blobs of 10 s and 3 kB
        journal.append(rows(500))
        journal.flush()
        if block == 50:
            journal.annotate("walking", 400 * S, 500 * S, "test")
        if block % 10 == 9:
            journal.prune(0, 400_000)
    taught = windows(journal, 400 * S, 500 * S)

    assert len(taught) > 70
    assert not journal.recorded(0, 390 * S)
    assert not journal.recorded(510 * S, 1800 * S)
    assert len(windows(journal, 2200 * S, 3000 * S)) > 600
    assert path.stat().st_size < 600_000  # what was free is used again

    for _ in range(2):
        journal.prune(0, 10_000)
    assert windows(journal, 400 * S, 500 * S) == taught
    assert not journal.recorded(510 * S, 3000 * S)
    assert caplog.text.count("nothing taught is dropped") == 1


def test_rows_far_apart_are_found_without_looking_at_all_between(journal: Journal) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    journal.append(rows(500))
    journal.flush()
    journal.append(rows(500))
    journal._waiting[0].first += 2**36  # as in a file that somebody made
    journal.flush()
    looked = 0

    def look() -> int:
        nonlocal looked
        looked += 1
        return int(looked > 100)

    with Journal(journal._path) as again:
        again._db.set_progress_handler(look, 1000)
        assert len(windows(again, 0, 2**62)) == 12


def test_a_retracted_annotation_is_kept_in_the_file_but_says_nothing(
    journal: Journal, path: Path
) -> None:
    said = journal.annotate("walking", 0, S, "test")
    journal.retract(said)

    assert journal.annotations == ()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT activity, retracted FROM annotation").fetchall() == [
            ("walking", 1)
        ]
    db.close()


def test_every_change_of_what_was_said_is_a_new_revision(journal: Journal) -> None:
    revisions = [journal.revision]
    said = journal.annotate("walking", 0, None, "test")
    revisions.append(journal.revision)
    said = journal.finish(said, S)
    revisions.append(journal.revision)
    journal.retract(said)
    revisions.append(journal.revision)

    assert revisions == [0, 1, 2, 3]


def test_another_name_is_on_the_disk_for_all_that_was_said(journal: Journal, path: Path) -> None:
    journal.retract(journal.annotate("walk", 0, S, "test"))
    journal.annotate("stairs", 0, S, "test")
    journal.annotate("walk", 2 * S, 3 * S, "test")
    journal.annotate("walk", 4 * S, None, "test")
    revision = journal.revision
    journal.rename("walk", "walking")

    with Journal(path) as second:
        assert second.annotations == journal.annotations
        assert second.open_annotation == Annotation(4, "walking", 4 * S, None, "test")
        assert second.ever_said() == ["walking", "stairs"]
        assert second.revision == revision + 1
    assert [said.activity for said in journal.annotations] == ["stairs", "walking", "walking"]


def on_the_disk(path: Path) -> bytes:
    """All bytes of the journal's files."""
    files = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
    return b"".join(file.read_bytes() for file in files if file.exists())


SECRET, OTHER = "caf\u00e9 rendezvous", "Rendezvous"


@pytest.mark.parametrize("how", ["activity", "time"])
def test_what_is_forgotten_leaves_no_trace_in_the_file(
    journal: Journal, path: Path, how: str
) -> None:
    journal._db.execute("PRAGMA secure_delete = OFF")  # as some builds of SQLite have it
    counts = rows(6000)
    journal.begin_run(0, 50.0, SCALE, "start")
    for first in range(0, 6000, 300):
        journal.append(counts[first : first + 300])
        journal.annotate("walking", 0, first * 1000, "test")
    journal.annotate(OTHER, 34 * S, 46 * S, "test")
    journal.rename(OTHER, SECRET)
    journal.retract(journal.annotate(SECRET, 40 * S, 46 * S, "test"))
    said = journal.annotate(SECRET, 46 * S, None, "test")
    journal.finish(said, 60 * S)
    journal.remember("snapshot", SECRET.encode() * 1000)
    seen = [counts[first : first + 20].astype("<i2").tobytes() for first in range(1710, 2990, 20)]
    names = [SECRET.encode(), OTHER.encode()]
    before = on_the_disk(path)

    if how == "activity":
        journal.forget(SECRET)
    else:
        journal.forget_between(34 * S, 60 * S)
    assert journal.to_wipe
    journal.wipe()

    assert all(name in before for name in names)
    assert sum(part in before for part in seen) > 50  # the others lie across two pages
    assert not [name for name in names if name in on_the_disk(path)]
    assert not [part for part in seen if part in on_the_disk(path)]
    assert not journal.recorded(34 * S + 20_000, 60 * S - 20_000)
    assert journal.recorded(33 * S, 34 * S)
    assert journal.recorded(60 * S, 61 * S)
    assert not journal.to_wipe


def test_rows_that_something_else_covers_stay_when_an_activity_is_forgotten(
    journal: Journal,
) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    journal.append(rows(3000))
    journal.annotate("walking", 0, 13 * 1_280_000 + 2_560_000, "test")
    journal.annotate("stairs", 10 * S, 40 * S, "test")
    journal.annotate("cycling", 28 * 1_280_000, 50 * S, "test")
    before = windows(journal, 0, 60 * S)
    journal.forget("stairs")
    until_wiped = windows(journal, 0, 60 * S)
    journal.wipe()

    # Window k is k·1.28 … k·1.28 + 2.56 s; nothing is left between 13 and 28.
    assert before == until_wiped == [(1, k) for k in range(45)]
    assert windows(journal, 0, 60 * S) == [(1, k) for k in (*range(14), *range(28, 45))]
    assert windows(journal, 0, 20 * S) == [(1, k) for k in range(14)]


def test_rows_of_a_press_that_was_taken_back_are_forgotten_with_it(journal: Journal) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    journal.append(rows(1000))
    said = journal.annotate("walking", 10 * S, None, "test")
    journal.append(rows(500))
    journal.retract(said)
    journal.append(rows(500))
    journal.forget("walking")
    journal.wipe()

    # 10 … 30 s: from the press to the undo.
    assert windows(journal, 0, 40 * S) == [(1, k) for k in (*range(6), *range(24, 30))]


def test_what_reaches_out_of_a_forgotten_time_is_cut_and_keeps_its_place(
    journal: Journal, path: Path
) -> None:
    for activity, start_s, end_s in [
        ("before", 0, 10),
        ("into", 5, 25),
        ("across", 0, 60),
        ("inside", 25, 35),
        ("out of", 35, 50),
        ("after", 40, 50),
    ]:
        journal.annotate(activity, start_s * S, end_s * S, "test")
    journal.forget_between(20 * S, 40 * S)

    # In the order they are painted: what was said after the one that is now two is so still.
    assert [(a.activity, a.start_us // S, (a.end_us or 0) // S) for a in journal.annotations] == [
        ("before", 0, 10),
        ("into", 5, 20),
        ("across", 0, 20),
        ("across", 40, 60),
        ("out of", 40, 50),
        ("after", 40, 50),
    ]
    assert [a.id for a in journal.annotations[:3]] == [1, 2, 3]
    with Journal(path) as second:
        assert second.annotations == journal.annotations


def test_a_kill_before_the_wipe_leaves_it_to_the_next_process(journal: Journal, path: Path) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    journal.append(rows(1000))
    journal.annotate(SECRET, 0, 20 * S, "test")
    journal.forget(SECRET)

    with Journal(path) as second:
        assert second.to_wipe
        second.wipe()
        assert SECRET.encode() not in on_the_disk(path)
        assert not second.recorded(0, 20 * S)


def test_a_wipe_that_another_program_hinders_says_so_and_can_be_tried_again(
    journal: Journal, path: Path
) -> None:
    journal.annotate(SECRET, 0, S, "test")
    journal._db.execute("PRAGMA busy_timeout = 0")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM annotation").fetchall()
    journal.forget(SECRET)
    with pytest.raises(sqlite3.OperationalError, match="another program reads it"):
        journal.wipe()
    assert journal.to_wipe
    reader.close()
    journal.wipe()

    assert SECRET.encode() not in on_the_disk(path)


def test_what_only_a_forgotten_label_kept_is_dropped_when_it_is_old(journal: Journal) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")
    journal.append(rows(3000))
    journal.annotate("walking", 10 * S, 20 * S, "test")
    journal.prune(60 * S)
    kept = journal.recorded(0, 9 * S)  # in the same blob
    journal.forget("walking")
    journal.wipe()
    journal.prune(60 * S)

    assert kept
    assert not journal.recorded(0, 60 * S)


def test_what_is_open_is_still_open_for_the_next_process(journal: Journal, path: Path) -> None:
    said = journal.annotate("walking", 5, None, "test")

    with Journal(path) as second:
        assert second.open_annotation == said


def test_a_strangers_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("this is not a database, and long enough to be looked at" * 50)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()

    with pytest.raises(DamagedError, match=r"not a whole budge journal .*: start budge again"):
        Journal(text)
    with pytest.raises(JournalError, match="a database of another program"):
        Journal(other)
    assert text.read_text().startswith("this is not")


def test_a_journal_from_the_future_is_refused(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(JournalError, match="schema version 99, this budge reads 1: install"):
        Journal(path)


def test_rows_of_the_wrong_shape_are_refused(journal: Journal) -> None:
    journal.begin_run(0, 50.0, SCALE, "start")

    with pytest.raises(ValueError, match=r"rows have shape \(5, 2\), expected \(n, 3\)"):
        journal.append(np.zeros((5, 2), np.int16))
