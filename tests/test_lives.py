"""One life of a line after another: what a stop, a clock or a setting may not change."""

import json
import logging
import sqlite3
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from scripted import Listener, Script, Step, live, model_of, pause, press, rebuilt

from deploy.messages import (
    Activity,
    Info,
    Label,
    Response,
    Window,
)
from deploy.service import serve, warm_up
from deploy.settings import Learning, Settings, SettingsError
from learner import Recognizer
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


def test_with_decay_the_model_that_learnt_live_is_the_one_rebuilt(tmp_path: Path) -> None:
    """As far as that is promised: where all was taught while it happened, or anew since."""
    settings = Settings(learning=Learning(decay_windows=50))
    live(
        tmp_path,
        *(press("walking"), MINUTE, press("stairs"), MINUTE, press("stop")),
        settings=settings,
    )
    second = live(tmp_path, press("walking"), MINUTE, press("stop"), settings=settings)
    assert second.of(Info)[-1].activities == {"walking": 88, "stairs": 43}
    assert model_of(second) == rebuilt(tmp_path, settings)

    third = live(
        tmp_path,
        *(MINUTE, ("label/set", b'{"activity":"stairs","last_s":30}'), UNDO, UNDO),
        settings=settings,
    )
    assert third.of(Info)[-1].activities == {"walking": 44, "stairs": 43}
    assert model_of(third) == rebuilt(tmp_path, settings)
    assert model_of(third) != rebuilt(tmp_path)


def starter(file: Path, activity: str, channels: int = 3) -> Settings:
    """Settings that name a model that was taught one activity."""
    model, rng = Recognizer(50.0, channels, 2.56), np.random.default_rng(1)
    for _ in range(10):
        model.learn(rng.normal(0, 2, (128, channels)).astype(np.float32), activity)
    model.save(file)
    return Settings(learning=Learning(starter=str(file)))


def test_one_that_starts_from_others_knows_what_they_know_and_learns_on(tmp_path: Path) -> None:
    settings = starter(tmp_path / "others.model", "walking")
    life = live(tmp_path, MINUTE, press("resting"), MINUTE, press("stop"), settings=settings)

    assert life.of(Info)[0].activities == {"walking": 0}
    assert life.of(Activity)[1].activity == "walking"
    assert life.of(Info)[-1].activities == {"walking": 0, "resting": 43}
    assert model_of(life) == rebuilt(tmp_path, settings)
    assert live(tmp_path, settings=settings).of(Info)[0].model == model_of(life)


def test_a_snapshot_is_used_only_with_the_starter_and_the_decay_it_is_of(tmp_path: Path) -> None:
    settings = starter(tmp_path / "others.model", "walking")
    live(tmp_path, press("resting"), MINUTE, press("stop"), settings=settings)
    for other in (
        starter(tmp_path / "others.model", "cycling"),  # another model in the same file
        replace(settings, learning=replace(settings.learning, decay_windows=9)),
        Settings(),
    ):
        life = live(tmp_path, settings=other)

        assert model_of(life) == rebuilt(tmp_path, other)
        assert life.of(Info)[-1].activities["resting"] == 44


def test_a_starter_of_another_kind_of_sensor_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = starter(tmp_path / "others.model", "walking", channels=6)

    with pytest.raises(SettingsError) as refused:
        live(tmp_path, settings=settings)
    assert str(refused.value) == (
        f"`starter` in [learning], {tmp_path / 'others.model'}, is a model of 6 channels, 50 Hz,"
        " windows of 2.56 s, discriminant, expected 3 channels, 50 Hz, windows of 2.56 s,"
        " discriminant: pool devices with these settings, or change [window]"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "starter.model: No such file"), (b"?", "starter.model is not a whole model")],
)
def test_a_starter_that_is_no_model_is_refused_at_the_start(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "starter.model"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SettingsError, match=rf"`starter` in \[learning\]: .*{sentence}"):
        live(tmp_path, settings=Settings(learning=Learning(starter=str(file))))


def test_a_classifier_that_cannot_fade_says_so_at_the_start(tmp_path: Path) -> None:
    settings = Settings(classifier="tree", learning=Learning(decay_windows=100))

    with pytest.raises(SettingsError, match=r"\[learning\] cannot be used: tree knows no .*decay"):
        live(tmp_path, settings=settings)


def test_one_that_cannot_unlearn_can_be_warmed_up() -> None:
    warm_up(Settings(classifier="tree"), channels=3)


def test_what_a_window_shows_is_said_before_it_is_learnt(tmp_path: Path) -> None:
    life = live(tmp_path, press("walking"), *[64] * 10)
    learnt = next(n for n, m in enumerate(life.heard) if isinstance(m, Label) and m.windows == 1)
    before = [m for m in life.heard[:learnt] if isinstance(m, Window)]

    # Window 1, rows 64 … 192, is taught once row 242 is in, a guard zone later: with window 2.
    assert [round(m.end_s * 50) for m in before] == [128, 192, 256]


def test_when_nothing_is_to_be_done_what_a_lesson_left_is_worked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[int] = []
    original = Recognizer.settle

    def settle(recognizer: Recognizer) -> None:
        settled.append(sum(recognizer.activities.values()))
        original(recognizer)

    monkeypatch.setattr(Recognizer, "settle", settle)
    monkeypatch.setattr("deploy.pipeline.WAIT_S", 60.0)  # a sensor's rows never let it pass
    listener = Listener()

    def wait(windows: int) -> None:
        for _ in range(5000):  # at most some seconds
            if settled and settled[-1] == windows:
                break
            pause()

    steps: list[Step] = [press("walking"), partial(wait, 0), 640, partial(wait, 7)]
    serve(Settings(state_dir=str(tmp_path)), Script(steps, listener, 3, 0), [listener])

    assert listener.of(Label)[-1].windows == 7  # (640 - 178) / 64
    assert settled[-1] == 7


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


def test_a_long_lesson_is_learnt_between_the_rows_and_told_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learner.lessons.LESSON_WINDOWS", 16)
    said = json.dumps({"activity": "walking", "last_s": 10 * 60})
    life = live(tmp_path, 10 * MINUTE, ("label/set", said.encode()), *[64] * 40)
    counts = [info.activities.get("walking", 0) for info in life.of(Info)]

    assert life.of(Response)[0].data["windows"] == 16
    assert counts == [0, 16, (10 * MINUTE - 178) // 64]
    assert model_of(life) == rebuilt(tmp_path)


def test_a_long_lesson_is_learnt_also_when_no_rows_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learner.lessons.LESSON_WINDOWS", 16)
    said = json.dumps({"activity": "walking", "last_s": 10 * 60})
    listener = Listener()

    def wait() -> None:
        while listener.of(Info)[-1].activities != {"walking": (10 * MINUTE - 178) // 64}:
            pause()

    script = Script([10 * MINUTE, ("label/set", said.encode()), wait], listener, 3, 0)
    serve(replace(Settings(), state_dir=str(tmp_path)), script, [listener])

    assert model_of(listener) == rebuilt(tmp_path)


def test_what_is_still_to_be_unlearnt_is_not_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learner.lessons.LESSON_WINDOWS", 16)
    monkeypatch.setattr("deploy.pipeline.PRUNE_US", 1)
    settings = replace(Settings(), journal=replace(Settings().journal, retain_hours=1 / 60))
    steps: list[Step] = [press("walking"), 10 * MINUTE, press("stop"), UNDO, *[64] * 40]
    life = live(tmp_path, *steps, settings=settings)

    assert life.of(Info)[-1].activities == {}
    assert model_of(life) == rebuilt(tmp_path)
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert not journal.recorded(0, journal.end_us - 120_000_000)


def test_a_clean_stop_in_a_long_lesson_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learner.lessons.LESSON_WINDOWS", 16)
    said = json.dumps({"activity": "walking", "last_s": 10 * 60})
    live(tmp_path, 10 * MINUTE, ("label/set", said.encode()))
    after = live(tmp_path)

    assert model_of(after) == rebuilt(tmp_path)


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
    assert refused.error == (
        "not kept, the journal cannot be written, another program holds it: end that one"
    )
    assert kept.status == "ok"


def test_a_file_that_is_busy_is_not_called_broken(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.sqlite").close()
    (tmp_path / "folder.sqlite").mkdir()

    with pytest.raises(JournalError, match="cannot be opened: unable to open database file"):
        Journal(tmp_path / "folder.sqlite")
