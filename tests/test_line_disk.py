"""The line on a disk that takes nothing for a while, or that forgets: it says so, and goes on."""

import sqlite3
from contextlib import ExitStack
from pathlib import Path

import pytest
from budge import ROOT, Budge
from mosquitto import Mosquitto
from phone import Phone
from small_disk import Limited, SmallDisk, small_disk

from learner import Recognizer
from learner.journal import Journal
from learner.lessons import Teacher

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"


@pytest.mark.parametrize("limited", [False, True])
def test_a_disk_that_takes_nothing_pauses_learning_and_nothing_else(
    tmp_path: Path, limited: bool
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    # No console: its lines would go to a file, which the limit is for as well.
    (tmp_path / "budge.toml").write_text('outputs = ["mqtt"]\n')
    with ExitStack() as stack:
        disk: SmallDisk | None = None if limited else stack.enter_context(small_disk(state))
        broker = stack.enter_context(Mosquitto(tmp_path))
        phone = stack.enter_context(Phone(broker.port, "t"))
        with Budge(
            tmp_path,
            *("replay", DAY, "--speed", "20", "--stay", "--windows", "--device", "t"),
            *("--broker", broker.address, "--state-dir", state, "--config", "budge.toml"),
        ) as budge:
            if disk is None:
                disk = Limited(state, budge._process.pid)
            phone.wait_for("window", lambda m: m["end_s"] > 20)
            assert phone.ask({"activity": "walking"})["status"] == "ok"
            phone.wait_for("label", lambda m: m["windows"] >= 3)
            disk.fill()
            heard = len(phone.messages)
            health = phone.wait_for("health", lambda m: m["problem"], after=heard)
            refused = phone.ask({"activity": "stairs", "last_s": 8})
            stopped = phone.ask({})
            seen_s = phone.of("window")[-1]["end_s"]
            phone.wait_for("window", lambda m: m["end_s"] > seen_s + 20)
            label = phone.of("label")[-1]
            disk.make_room()
            heard = len(phone.messages)
            phone.wait_for("health", lambda m: not m["problem"], after=heard)
            later = phone.ask({"activity": "resting", "last_s": 30})
            info = phone.of("info")[-1]  # it goes out before the answer
            assert budge.end() == 0

        assert disk.cause in health["cause"]
        assert refused["error"] == f"not kept, the journal cannot be written, {disk.cause}"
        assert stopped["status"] == "error"
        assert label["label"] == "not labelling"
        assert later["status"] == "ok"
        with Journal(state / "journal.sqlite") as journal:
            assert [said.activity for said in journal.annotations] == ["walking", "resting"]
            assert all(said.end_us is not None for said in journal.annotations)
            anew = Recognizer(rate_hz=50.0, n_channels=6, window_s=2.56)
            Teacher(journal, anew, hop=64, guard_us=1_000_000).rebuild()
        assert anew.digest() == info["model"]


def start(folder: Path, broker: Mosquitto) -> Budge:
    return Budge(
        folder,
        *("replay", DAY, "--speed", "max", "--stay", "--windows", "--device", "t"),
        *("--broker", broker.address, "--state-dir", folder / "state"),
    )


def test_damage_that_is_met_while_it_runs_ends_it_and_the_next_start_mends(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.sqlite"
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "t") as phone:
        with start(tmp_path, broker) as budge:
            phone.wait_for("window", lambda m: m["end_s"] > 599)
            assert phone.ask({"activity": "walking", "last_s": 400})["status"] == "ok"
            assert budge.end() == 0
        with sqlite3.connect(path) as db:
            found = db.execute(
                "SELECT pageno FROM dbstat WHERE name = 'rows' AND pagetype = 'overflow'"
            ).fetchall()
        db.close()
        with path.open("r+b") as file:
            for (page,) in found[len(found) // 2 : len(found) // 2 + 20]:
                file.seek((page - 1) * 1024)
                file.write(bytes(1024))
        heard = len(phone.messages)
        with start(tmp_path, broker) as budge:
            phone.wait_for("availability", lambda m: m == "online", after=heard)
            phone.press({}, "label/undo")  # which looks at the rows
            assert budge.wait(60) == 1
            assert "is not a whole budge journal" in budge.log
            assert "start budge again, which sets it aside" in budge.log
            assert "Traceback" not in budge.log
        phone.wait_for("availability", lambda m: m == "offline", after=heard)  # behind all else
        heard = len(phone.messages)
        with start(tmp_path, broker) as budge:
            phone.wait_for("window", lambda m: m["end_s"] > 599, after=heard)
            answer = phone.ask({"activity": "resting", "last_s": 30})
            health = phone.of("health")[-1]
            assert budge.end() == 0

    assert health["problem"]
    assert "the journal was damaged" in health["cause"]
    assert answer["status"] == "ok"
    assert "the journal was damaged" in budge.log
    assert list(path.parent.glob("journal.sqlite.damaged-*"))
    with Journal(path) as journal:
        assert {said.activity for said in journal.annotations} >= {"resting"}
