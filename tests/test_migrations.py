"""Journals of every released schema: opened, brought up to date, restored, or refused with why."""

import sqlite3
from pathlib import Path

import pytest
from journals import S, taught, teach

from deploy.archive import BackupError
from deploy.backup import backup, check, stage, take
from learner import journal_file
from learner.journal import Annotation, Journal
from learner.journal_check import read_only, schema_version, verify
from learner.journal_file import STEPS

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
START_US = 1_764_000_000 * S
NEXT = "ALTER TABLE annotation ADD COLUMN note TEXT"  # as a later version might


def made(dump: Path, state: Path) -> Path:
    """Make the state folder that a budge of that time left."""
    state.mkdir()
    db = sqlite3.connect(state / "journal.sqlite")
    db.executescript(dump.read_text())
    db.close()
    return state


def test_every_schema_has_a_journal_that_was_written_with_it() -> None:
    assert [path.stem for path in SCHEMAS] == [str(k + 1) for k in range(len(STEPS))]


@pytest.mark.parametrize("dump", SCHEMAS, ids=lambda path: path.stem)
def test_a_released_schema_is_never_changed(dump: Path, tmp_path: Path) -> None:
    """What the steps make today is what was written then, to the letter."""
    with read_only(made(dump, tmp_path / "state") / "journal.sqlite") as db:
        assert schema_version(db) == int(dump.stem)


@pytest.mark.parametrize("dump", SCHEMAS, ids=lambda path: path.stem)
def test_nothing_is_lost_from_a_journal_of_that_time(dump: Path, tmp_path: Path) -> None:
    state = made(dump, tmp_path / "state")
    with Journal(state / "journal.sqlite") as journal:
        assert journal.annotations == (
            Annotation(1, "walking", START_US, START_US + S // 2, "mqtt"),
            Annotation(3, "Treppe, hinauf", START_US + 10 * S, None, "wearer"),
        )
        assert journal.ever_said() == ["walking", "stairs", "Treppe, hinauf"]
        assert journal.revision == 4
        assert journal.at_wall(START_US + 250_000 + S) == START_US + S
        windows = list(journal.windows(0, 2**60, length=20, hop=20, rate_hz=50.0, channels=6))
        assert [(w.run, w.number) for w in windows] == [(1, 0), (1, 1), (2, 0), (2, 1)]
        assert windows[3].samples[-1] == pytest.approx(
            [(at * 37 % 211 - 100) * (0.0024 if at % 6 < 3 else 0.0006) for at in range(234, 240)]
        )
    verify(state / "journal.sqlite")


@pytest.mark.parametrize("dump", SCHEMAS, ids=lambda path: path.stem)
def test_a_backup_of_that_time_is_restored_today(dump: Path, tmp_path: Path) -> None:
    backup(made(dump, tmp_path / "state"), tmp_path / "old.budge")
    stage(tmp_path / "old.budge", tmp_path / "here")
    assert take(tmp_path / "here")

    assert taught(tmp_path / "here") == ["walking", "Treppe, hinauf"]
    assert verify(tmp_path / "here" / "journal.sqlite") == len(STEPS)


def test_a_newer_budge_brings_an_older_journal_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = teach(tmp_path / "state", "walking")
    backup(state, tmp_path / "old.budge")
    newer = (*STEPS, f"\n{NEXT};\n")
    monkeypatch.setattr(journal_file, "STEPS", newer)
    monkeypatch.setattr("learner.journal_check.STEPS", newer)
    stage(tmp_path / "old.budge", tmp_path / "here")
    take(tmp_path / "here")

    for folder in (state, tmp_path / "here"):
        assert taught(folder) == ["walking"]
        assert verify(folder / "journal.sqlite") == len(newer)
        with read_only(folder / "journal.sqlite") as db:
            assert db.execute("SELECT activity, note FROM annotation").fetchall() == [
                ("walking", None)
            ]
    # A new one and one that came a long way look alike.
    assert verify(teach(tmp_path / "new", "walking") / "journal.sqlite") == len(newer)


def test_a_step_that_fails_half_way_leaves_the_old_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = teach(tmp_path / "state", "walking")
    with monkeypatch.context() as later:
        later.setattr(journal_file, "STEPS", (*STEPS, f"\n{NEXT};\nDROP TABLE nowhere;\n"))
        with pytest.raises(journal_file.JournalError, match="no such table: nowhere"):
            Journal(state / "journal.sqlite")

    assert taught(state) == ["walking"]
    assert verify(state / "journal.sqlite") == len(STEPS)


def test_an_older_budge_says_what_a_newer_backup_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        newer = (*STEPS, f"\n{NEXT};\n")
        later.setattr(journal_file, "STEPS", newer)
        later.setattr("learner.journal_check.STEPS", newer)
        backup(teach(tmp_path / "state", "walking"), tmp_path / "new.budge")

    with pytest.raises(BackupError, match="version 2, this budge reads 1 and older: upgrade this"):
        check(tmp_path / "new.budge")
