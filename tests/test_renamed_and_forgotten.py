"""Renamed, merged, forgotten: what a life is told of its activities, and what stays of them."""

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from scripted import live, model_of, press, rebuilt

from deploy.messages import (
    ForgetResponse,
    Info,
    Label,
    RenameResponse,
    Response,
    Transition,
)
from learner.journal import Journal

UNDO = ("label/undo", b"")
MINUTE = 3000  # rows


def answers(listener: object) -> list[tuple[str, object]]:
    return [(r.status, r.data.get("action") or r.error) for r in listener.of(Response)]  # type: ignore[attr-defined]


def rename(old: str, new: str) -> tuple[str, bytes]:
    return "request/rename", json.dumps({"from": old, "to": new}).encode()


def forget(activity: str) -> tuple[str, bytes]:
    return "request/forget", json.dumps({"activity": activity}).encode()


def test_a_renamed_activity_is_the_same_activity(tmp_path: Path) -> None:
    life = live(tmp_path, press("wlaking"), MINUTE, press("stop"), rename("Wlaking", "walking"))
    (answer,) = life.of(RenameResponse)

    assert (answer.topic, answer.status) == ("response/rename", "ok")
    assert answer.data == {
        "action": "renamed",
        "activity": "walking",
        "from": "wlaking",
        "to": "walking",
        "windows": 44,
    }
    assert life.of(Info)[-1].activities == {"walking": 44}
    assert model_of(life) == rebuilt(tmp_path)


def test_what_is_being_taught_goes_on_under_its_new_name(tmp_path: Path) -> None:
    life = live(
        tmp_path, press("wlaking"), MINUTE, rename("wlaking", "walking"), MINUTE, press("stop")
    )

    assert [label.label for label in life.of(Label)][-2:] == ["walking", "not labelling"]
    assert life.of(Response)[-1].data["windows"] == (2 * MINUTE - 178) // 64
    assert model_of(life) == rebuilt(tmp_path)


def test_undoing_a_press_gives_back_the_one_it_ended_under_its_new_name(tmp_path: Path) -> None:
    life = live(
        tmp_path,
        *(press("wlaking"), MINUTE, press("stairs"), 300, rename("wlaking", "walking")),
        *(UNDO, MINUTE, press("stop")),
    )

    assert life.of(Response)[-1].data["windows"] == (2 * MINUTE + 300 - 178) // 64
    assert life.of(Info)[-1].activities == {"walking": (2 * MINUTE + 300 - 178) // 64}
    assert model_of(life) == rebuilt(tmp_path)


def test_what_another_brings_was_not_learnt_in_the_stretch_being_taught(tmp_path: Path) -> None:
    life = live(
        tmp_path,
        *(press("strolling"), MINUTE, press("walking"), MINUTE),
        *(rename("strolling", "walking"), press("stop")),
    )

    assert life.of(Response)[-1].data["windows"] == 43
    assert life.of(Info)[-1].activities == {"walking": 44 + 3 + 43}


def test_what_another_brings_was_not_learnt_in_the_stretch_given_back(tmp_path: Path) -> None:
    life = live(
        tmp_path,
        *(press("strolling"), MINUTE, press("walking"), MINUTE, press("running"), 1000),
        *(rename("strolling", "walking"), UNDO, press("stop")),
    )

    # From its press in row 3000 to the stop in row 7000: windows 48 … 106. Three more lie across
    # the border that is none any more.
    assert [r.data["action"] for r in life.of(Response)][-3:] == ["merged", "undone", "stopped"]
    assert life.of(Response)[-1].data["windows"] == 59
    assert life.of(Info)[-1].activities == {"walking": 44 + 3 + 59}
    assert model_of(life) == rebuilt(tmp_path)


def test_merged_activities_are_one_from_then_on(tmp_path: Path) -> None:
    life = live(
        tmp_path,
        *(press("walking"), MINUTE, press("strolling"), MINUTE, press("stop")),
        *(rename("strolling", "WALKING"), press("strolling"), MINUTE, press("stop")),
    )
    (answer,) = life.of(RenameResponse)

    assert (answer.data["action"], answer.data["to"]) == ("merged", "walking")
    assert life.of(Info)[-1].activities == {"walking": 90, "strolling": 43}
    assert model_of(life) == rebuilt(tmp_path)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (rename("running", "walking"), "nothing was taught as 'running', only as: walking"),
        (rename("walking", "walking"), "'walking' is called so already"),
        (forget("running"), "nothing was taught as 'running', only as: walking"),
        (forget("Walking"), "'walking' is being taught now: stop it first"),
        (
            ("request/forget", b'{"start":"2026-01-01T00:00:00Z","end":"2099-01-01T00:00:00Z"}'),
            "'walking' is being taught since before then: stop it first",
        ),
    ],
)
def test_what_cannot_be_renamed_or_forgotten_stays_and_is_taught_on(
    tmp_path: Path, command: tuple[str, bytes], sentence: str
) -> None:
    life = live(tmp_path, press("walking"), MINUTE, command, 640, press("stop"))

    assert life.of(Response)[1].error == sentence
    assert [label.error for label in life.of(Label) if label.error] == [sentence] * 11
    assert life.of(Response)[-1].data["windows"] == 54
    assert model_of(life) == rebuilt(tmp_path)


def traces(folder: Path, name: str) -> list[str]:
    """Files below the folder that hold the name, as text or escaped in JSON."""
    forms = {name.encode(), json.dumps(name)[1:-1].encode()}
    return [f.name for f in folder.iterdir() if any(form in f.read_bytes() for form in forms)]


def test_a_forgotten_activity_was_never_there(tmp_path: Path) -> None:
    """Also where it went on just then, was taken back before and is in the model's snapshot."""
    hushed = "rendezvous au caf\u00e9"
    live(tmp_path, press("walking"), MINUTE, press("stop"))
    expected = rebuilt(tmp_path)
    live(tmp_path, press(hushed), MINUTE, press("stop"))
    assert traces(tmp_path, hushed)
    during: list[str] = []
    life = live(
        tmp_path,
        *(press(hushed), MINUTE, press("stop"), press(hushed), 640, UNDO, MINUTE, forget(hushed)),
        lambda: during.extend(traces(tmp_path, hushed)),
        640,
    )
    (answer,) = life.of(ForgetResponse)

    assert (answer.topic, answer.status) == ("response/forget", "ok")
    assert answer.data == {"action": "forgotten", "activity": hushed, "windows": 88}
    assert during == traces(tmp_path, hushed) == []
    assert life.of(Info)[-1].activities == {"walking": 44}
    assert model_of(life) == rebuilt(tmp_path) == expected
    events = [(m.event_type, m.activity, m.id) for m in life.of(Transition)]
    assert any(activity == hushed for _, activity, _ in events)
    began = {(id_, activity) for what, activity, id_ in events if what == "started"}
    assert began == {(id_, activity) for what, activity, id_ in events if what == "ended"}


def test_a_forgotten_day_takes_all_of_it(tmp_path: Path) -> None:
    life = live(tmp_path, press("walking"), MINUTE, press("stairs"), MINUTE, press("stop"))
    start = datetime.fromisoformat(life.of(Response)[1].data["start"])
    end = start + timedelta(minutes=2)
    command = json.dumps({"start": start.isoformat(), "end": end.isoformat()}).encode()
    after = live(tmp_path, ("request/forget", command))
    (answer,) = after.of(ForgetResponse)

    assert answer.data["action"] == "forgotten"
    assert (answer.data["activity"], answer.data["windows"]) == (None, 43)
    assert after.of(Info)[-1].activities == {"walking": 44}
    assert model_of(after) == rebuilt(tmp_path)
    assert traces(tmp_path, "stairs") == []


def test_a_kill_between_forgetting_and_wiping_leaves_it_to_the_next_life(tmp_path: Path) -> None:
    live(tmp_path, press("walking"), MINUTE, press("stop"), press("stairs"), MINUTE, press("stop"))
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.forget("stairs")
        assert journal.to_wipe
    after = live(tmp_path)

    with Journal(tmp_path / "journal.sqlite") as journal:
        assert not journal.to_wipe
    assert traces(tmp_path, "stairs") == []
    assert after.of(Info)[0].activities == {"walking": 44}


def test_a_wipe_that_fails_is_answered_and_made_up_for_by_the_next_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Journal, *_spared: str) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "wipe", full)
        life = live(
            tmp_path,
            *(press("walking"), MINUTE, press("stop"), forget("walking"), press("stairs")),
        )
    refused, good = life.of(Response)[-2:]
    after = live(tmp_path)

    assert refused.status == "error"
    assert "still in the journal's file (database or disk is full): make room" in refused.error
    assert [info.activities for info in life.of(Info)][-3:] == [{"walking": 44}, {}, {}]
    assert good.status == "ok"
    assert traces(tmp_path, "walking") == []
    assert {r.status for r in after.of(Response)} == set()
