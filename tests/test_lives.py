"""One life of a line after another: what a stop, a clock or a setting may not change."""

import logging
import sqlite3
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from scripted import live, model_of, press, rebuilt

from deploy.messages import Activity, Info, Label, Response
from deploy.settings import Settings
from learner.journal import Journal
from learner.journal_file import JournalError

UNDO = ("label/undo", b"")
MINUTE = 3000  # rows


def answers(listener: object) -> list[tuple[str, object]]:
    return [(r.status, r.data.get("action") or r.error) for r in listener.of(Response)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("phase", range(0, 64, 3))
def test_a_clean_stop_while_teaching_leaves_the_model_of_the_journal(
    tmp_path: Path, phase: int
) -> None:
    live(tmp_path, press("walking"), 640, *[1] * phase)  # row by row, after the last window
    expected = rebuilt(tmp_path)
    after = live(tmp_path, UNDO)

    assert after.of(Info)[0].model == expected
    assert answers(after) == [("ok", "undone")]
    assert after.of(Info)[-1].activities == {}


def test_a_snapshot_is_used_only_for_the_rows_and_the_sensor_it_is_of(tmp_path: Path) -> None:
    live(tmp_path, press("walking"), MINUTE, press("stop"), channels=6)
    other = live(tmp_path, 200, channels=3)
    back = live(tmp_path, 200, channels=6)

    assert other.of(Info)[-1].activities == {}
    assert back.of(Info)[-1].activities == {"walking": 44}
    assert model_of(back) == rebuilt(tmp_path, channels=6)


def test_what_rests_after_a_change_of_rate_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live(tmp_path, press("walking"), MINUTE, press("stop"))
    settings = replace(Settings(), window=replace(Settings().window, rate_hz=25.0))
    with caplog.at_level(logging.WARNING):
        live(tmp_path, settings=settings)

    assert "60 s of what was taught rest: they were recorded with another rate" in caplog.text


def test_a_label_that_outlived_the_sensor_is_not_said_of_the_next_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = time.time_ns()
    live(tmp_path, press("walking"), MINUTE, press("stop"))
    with Journal(tmp_path / "journal.sqlite") as journal:  # the stop came ten minutes later
        (said,) = journal.annotations
        journal.finish(said, journal.end_us + 600_000_000)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns - 365 * 86400 * 10**9)
    after = live(tmp_path, MINUTE)

    assert {label.label for label in after.of(Label)} == {"not labelling"}
    assert after.of(Info)[-1].activities == {"walking": 44}
    assert model_of(after) == rebuilt(tmp_path)


def test_our_own_time_stamps_mean_what_they_meant_when_the_clock_was_wrong(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.note_wall(1_000_000_000, -60_000_000)  # the clock was a minute behind,
        journal.note_wall(1_100_000_000, 0)  # then NTP came

        assert journal.at_wall(1_000_000_000 - 60_000_000 + 5) == 1_000_000_005
        assert journal.at_wall(1_100_000_007) == 1_100_000_007
        assert journal.at_wall(5) == 5 + 60_000_000  # before all that is known
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.at_wall(1_000_000_000 - 60_000_000 + 5) == 1_000_000_005
        journal.note_wall(1_200_000_000, 100_000)  # drift, not news
        assert journal.at_wall(1_200_000_000) == 1_200_000_000


def test_the_same_command_twice_is_obeyed_once(tmp_path: Path) -> None:
    again = ("label/undo", b'{"transaction":"t1"}')
    life = live(tmp_path, press("walking"), MINUTE, press("stairs"), MINUTE, again, again)

    assert [r.data["activity"] for r in life.of(Response)[2:]] == ["stairs", "stairs"]
    assert [label.label for label in life.of(Label)][-1] == "walking"


def test_undoing_a_press_gives_back_the_one_it_ended(tmp_path: Path) -> None:
    life = live(
        tmp_path, press("walking"), MINUTE, press("stairs"), 300, UNDO, MINUTE, press("stop")
    )

    assert answers(life) == [
        ("ok", "started"),
        ("ok", "started"),
        ("ok", "undone"),
        ("ok", "stopped"),
    ]
    assert life.of(Info)[-1].activities == {"walking": (2 * MINUTE + 300 - 228) // 64 + 1}
    assert model_of(life) == rebuilt(tmp_path)


def test_a_stretch_never_counts_less_than_nothing(tmp_path: Path) -> None:
    correction = b'{"activity":"stairs","start_age_ms":80000,"end_age_ms":20000}'
    life = live(
        tmp_path,
        *(press("walking"), MINUTE, press("stop"), press("walking"), 1000),
        *(("label/set", correction), 200, press("stop")),
    )

    assert min(label.windows for label in life.of(Label)) == 0


def test_a_new_activity_is_named_in_info_before_it_is_published(tmp_path: Path) -> None:
    life = live(tmp_path, press("walking"), *[50] * 40)
    named = next(
        n for n, m in enumerate(life.heard) if isinstance(m, Info) and "walking" in m.activities
    )
    used = next(
        n for n, m in enumerate(life.heard) if isinstance(m, Activity) and m.activity == "walking"
    )

    assert named < used


def test_the_first_word_is_that_nothing_is_known(tmp_path: Path) -> None:
    first = live(tmp_path).of(Activity)[0]

    assert (first.activity, first.confidence) == ("unsure", 0.0)


def test_a_journal_that_cannot_be_written_answers_and_goes_on(tmp_path: Path) -> None:
    holders: list[sqlite3.Connection] = []

    def hold() -> None:  # another program, for longer than SQLite waits
        path = tmp_path / "journal.sqlite"
        holders.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        holders[0].execute("BEGIN IMMEDIATE")

    def release() -> None:
        holders[0].close()

    life = live(tmp_path, 300, hold, press("walking"), release, press("walking"))

    refused, kept = life.of(Response)
    assert refused.status == "error"
    assert "not kept, the journal cannot be written (database is locked)" in refused.error
    assert kept.status == "ok"


def test_a_file_that_is_busy_is_not_called_broken(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.sqlite").close()
    (tmp_path / "folder.sqlite").mkdir()

    with pytest.raises(JournalError, match="cannot be opened: unable to open database file"):
        Journal(tmp_path / "folder.sqlite")
