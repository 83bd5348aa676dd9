"""A damaged journal is set aside, and what is intact in it is in use again: never a crash loop."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from learner.journal import Annotation, Journal
from learner.journal_file import DamagedError, JournalError, damage_mark, set_aside
from learner.journal_rescue import open_or_rescue

S = 1_000_000
PAGE = 1024
SCALE = np.full(3, 0.001, np.float32)
LABELS = 200


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """A journal of two runs, and of 200 labels said while they were recorded."""
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for run in range(2):
            journal.begin_run(run * 2000 * S, 50.0, SCALE, "start")
            for number in range(LABELS // 2):
                journal.append(rows(250, number))
                start_us = run * 2000 * S + number * 5 * S
                journal.annotate(f"activity {number % 7}", start_us, start_us + 4 * S, "test")
        journal.remember("controls", b"paused")
        journal.remember("snapshot", b"of a model")
    return path


def rows(n: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    return np.random.default_rng(seed).integers(-9000, 9000, (n, 3)).astype(np.int16)


def all_of(path: Path) -> tuple[set[Annotation], int]:
    with Journal(path) as journal:
        return set(journal.annotations), windows(journal)


def windows(journal: Journal) -> int:
    found = journal.windows(0, 10**12, length=128, hop=64, rate_hz=50.0, channels=3)
    return sum(1 for _ in found)


def root(path: Path, table: str) -> int:
    db = sqlite3.connect(path)
    (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    db.close()
    return int(page)


def spoil(path: Path, page: int, what: bytes = b"\xa5" * PAGE) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(what)


def test_a_whole_journal_is_opened_and_nothing_is_told(path: Path) -> None:
    journal = open_or_rescue(path)
    told = journal.rescued
    journal.close()

    assert told is None
    assert set_aside(path) == []


def test_labels_on_other_pages_than_the_damaged_one_are_saved(path: Path) -> None:
    said, there = all_of(path)
    with sqlite3.connect(path) as db:
        leaves = [
            page
            for (page,) in db.execute("SELECT pageno FROM dbstat WHERE name = 'annotation'")
            if page != root(path, "annotation")
        ]
    db.close()
    spoil(path, leaves[len(leaves) // 2])
    with pytest.raises(DamagedError, match="start budge again, which sets it aside"):
        Journal(path)

    journal = open_or_rescue(path)
    told = journal.rescued
    with journal:
        saved = set(journal.annotations)
        assert LABELS - 60 < len(saved) < LABELS
        assert saved < said
        assert windows(journal) == there
        assert journal.recall("controls") == b"paused"
        assert journal.recall("snapshot") is None  # of a model that knew more
        assert journal.annotate("again", 0, S, "test").id > LABELS
    assert told is not None
    assert f"{len(saved)} labels and 0.3 h of recording could be read" in told
    assert set_aside(path)[0].name in told


@pytest.mark.parametrize("page", ["first", "schema"])
def test_where_only_the_schema_is_damaged_all_is_saved(path: Path, page: str) -> None:
    said, there = all_of(path)
    if page == "first":
        spoil(path, 1)
    else:
        data = path.read_bytes()
        path.write_bytes(data.replace(b"CREATE TABLE rows", b"CREATE TABEL rows"))

    journal = open_or_rescue(path)
    told = journal.rescued
    journal.close()
    assert told is not None
    assert all_of(path) == (said, there)


def test_a_file_that_was_cut_short_gives_what_is_left(path: Path) -> None:
    said, there = all_of(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])

    journal = open_or_rescue(path)
    with journal:
        assert len({*journal.annotations} & said) > LABELS / 10
        assert 0 < windows(journal) < there


def test_the_wal_of_a_damaged_journal_is_read_too_and_does_not_stay(
    path: Path, tmp_path: Path
) -> None:
    crashed = tmp_path / "crashed" / "journal.sqlite"
    crashed.parent.mkdir()
    with Journal(path) as journal:
        for number in range(50):
            journal.annotate("late", 10**10 + number, 10**10 + number + S, "test")
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{crashed}{end}")
        said = set(journal.annotations)
    damage_mark(crashed).touch()

    for _ in range(2):
        with open_or_rescue(crashed) as journal:
            assert set(journal.annotations) == said
            assert journal._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_never_was_a_journal_is_set_aside_untouched(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_text("not a database, but somebody's diary" * 100)

    journal = open_or_rescue(path)
    told = journal.rescued
    journal.close()
    assert told is not None
    assert "0 labels" in told or "nothing" in told
    (aside,) = set_aside(path)
    assert aside.read_text().startswith("not a database")


def test_damage_among_the_rows_is_met_later_and_mended_at_the_next_start(path: Path) -> None:
    said, there = all_of(path)
    with sqlite3.connect(path) as db:
        pages = [p for (p,) in db.execute("SELECT pageno FROM dbstat WHERE name = 'rows'")]
    db.close()
    for page in pages[100:110]:
        spoil(path, page)
    journal = open_or_rescue(path)
    told = journal.rescued
    with pytest.raises(DamagedError), journal:
        windows(journal)

    assert told is None  # the rows are not read at a start: that takes minutes
    assert damage_mark(path).exists()
    journal = open_or_rescue(path)
    told = journal.rescued
    with journal:
        assert told is not None
        assert "damage was met in it" in told
        assert set(journal.annotations) == said
        assert there / 2 < windows(journal) < there
    assert not damage_mark(path).exists()


def test_a_rescue_that_is_cut_off_anywhere_begins_again_or_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, there = all_of(path)
    whole = path.read_bytes()

    class PowerCut(BaseException):
        pass

    cuts = [(Path.rename, n) for n in range(3)] + [(Path.unlink, n) for n in range(5)]
    for real, nth in cuts:
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(whole)
        damage_mark(path).touch()
        calls = 0

        def cut(
            *arguments: object,
            real: Callable[..., object] = real,
            last: int = nth,
            **options: object,
        ) -> object:
            nonlocal calls
            calls += 1
            if calls > last:
                raise PowerCut
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Path, real.__name__, cut)
            with pytest.raises(PowerCut):
                open_or_rescue(path)
        open_or_rescue(path).close()
        assert all_of(path) == (said, there), f"cut at {real.__name__} {nth}"
        assert not damage_mark(path).exists()


def test_what_is_forgotten_is_gone_from_what_was_set_aside_too(path: Path) -> None:
    damage_mark(path).touch()
    journal = open_or_rescue(path)
    with journal:
        aside = set_aside(path)
        journal.forget("activity 3")
        journal.wipe()

    assert aside
    assert set_aside(path) == []


def test_a_journal_from_the_future_is_refused_and_not_set_aside(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(JournalError, match="schema version 99"):
        open_or_rescue(path)
    assert set_aside(path) == []


def test_whatever_is_spoilt_a_journal_comes_of_it_and_all_in_it_is_true(path: Path) -> None:
    said, _ = all_of(path)
    whole = path.read_bytes()
    rescued = 0
    for seed in range(40):
        rng = random.Random(seed)
        for file in path.parent.iterdir():
            file.unlink()
        data = bytearray(whole)
        for _ in range(rng.choice([1, 3, 30])):
            at = rng.randrange(len(data) // PAGE) * PAGE
            match rng.randrange(4):
                case 0:
                    data[at : at + PAGE] = rng.randbytes(PAGE)
                case 1:
                    data[at : at + PAGE] = bytes(PAGE)
                case 2:
                    other = rng.randrange(len(data) // PAGE) * PAGE
                    data[at : at + PAGE] = data[other : other + PAGE]
                case 3:
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        for _ in range(2):
            try:
                journal = open_or_rescue(path)
                told = journal.rescued
                rescued += told is not None
                with journal:
                    windows(journal)
                    journal.forget("activity 1")
                    journal.wipe()
                    journal.prune(1000 * S)
                    left = journal.annotations
                break
            except DamagedError:  # met later; the next start mends it
                continue
        else:
            pytest.fail(f"seed {seed}: a crash loop")
        lies = {one for one in left if one not in said}
        assert len(lies) <= 1, f"seed {seed}: {lies}"  # a flipped bit in a name is a name
    assert rescued > 20
