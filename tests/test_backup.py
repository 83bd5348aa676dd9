"""Backups: one moment of a running budge in one file, and back, whatever happens meanwhile."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from budge import BUDGE, Budge
from journals import SCALE, START_US, S, in_file, rows, small_disk, taught, teach
from mosquitto import Mosquitto
from phone import Phone

from deploy import backup as backups
from deploy.archive import BackupError
from deploy.backup import backup, check, stage, take
from learner.journal import Journal
from learner.journal_check import verify
from learner.journal_rescue import open_or_rescue

CALIBRATION = '{"lsm9ds1@0x6a": {"accel_gain": [1.01, 1.0, 1.0]}}'


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> Path:
    return teach(tmp_path / "state", "walking", "stairs")


@pytest.fixture(name="file")
def _file(state: Path, tmp_path: Path) -> Path:
    backup(state, tmp_path / "pi.budge", device="pi")
    return tmp_path / "pi.budge"


def budge(*arguments: str | Path, asked: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUDGE, *arguments], capture_output=True, text=True, timeout=120, check=False, input=asked
    )


def test_what_was_taught_comes_back_on_another_pi(file: Path, state: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    stage(file, other)

    assert take(other)
    assert taught(other) == ["walking", "stairs"]
    with Journal(state / "journal.sqlite") as here, Journal(other / "journal.sqlite") as there:
        kept = [
            list(journal.windows(0, 2**60, length=128, hop=64, rate_hz=50.0, channels=6))
            for journal in (here, there)
        ]
    assert len(kept[0]) == len(kept[1]) > 20
    assert all((a.samples == b.samples).all() for a, b in zip(*kept, strict=True))


def test_a_backup_is_one_moment_of_a_journal_that_is_written_meanwhile(
    state: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    stop = threading.Event()

    def go_on() -> None:
        with Journal(state / "journal.sqlite") as journal:
            journal.begin_run(START_US + 100 * S, 50.0, SCALE, "start")
            while not stop.is_set():
                journal.append(rows(500, len(said)))
                at_us = journal.end_us
                journal.annotate(f"number {len(said)}", at_us - S, at_us, "test")
                said.append(f"number {len(said)}")

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        for number in range(5):
            before = len(said)
            to = tmp_path / f"{number}.budge"
            backup(state, to)
            stage(to, tmp_path / "other")
            held = in_file(tmp_path / "other" / "restore.sqlite")[2:]
            assert held == [f"number {k}" for k in range(len(held))]
            assert before <= len(held) <= len(said) + 1
    finally:
        stop.set()
        writer.join()
    assert len(said) > 5


def test_secrets_and_what_was_deleted_stay_at_home(state: Path, tmp_path: Path) -> None:
    (state / "tokens.json").write_text('{"tokens": "hush-hush"}')
    (state / "before-restore-20260101T000000Z.sqlite").write_text("hush-hush")
    with Journal(state / "journal.sqlite") as journal:
        journal.begin_run(START_US + 100 * S, 50.0, SCALE, "start")
        secret = journal.annotate("rendezvous", START_US, START_US + S, "test")
        journal.retract(secret)
        journal._db.execute("PRAGMA secure_delete = OFF")  # as most of the world builds SQLite
        journal._db.execute("DELETE FROM annotation WHERE id = ?", (secret.id,))
    assert b"rendezvous" in (state / "journal.sqlite").read_bytes()
    backup(state, tmp_path / "pi.budge")

    content = (tmp_path / "pi.budge").read_bytes()
    assert b"hush-hush" not in content
    assert b"rendezvous" not in content
    assert b"walking" in content
    assert (tmp_path / "pi.budge").stat().st_mode & 0o077 == 0


def test_a_backup_says_what_it_is(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))

    assert (manifest["v"], manifest["device"], manifest["schema"]) == (1, "pi", 1)
    assert manifest["created"].endswith("Z")
    assert list(manifest["members"]) == ["journal.sqlite"]


def test_what_is_forgotten_is_not_kept_in_what_a_restore_set_aside(
    file: Path, tmp_path: Path
) -> None:
    here = teach(tmp_path / "here", "rendezvous")
    stage(file, here)
    take(here)
    with Journal(here / "journal.sqlite") as journal:
        journal.forget("walking")
        journal.wipe()

    assert not list(here.glob("before-restore-*"))


def test_what_is_known_of_the_sensor_travels_but_gives_way_to_what_is_known_here(
    state: Path, tmp_path: Path
) -> None:
    (state / "calibration.json").write_text(CALIBRATION)
    (state / "rates.json").write_text('{"lsm9ds1@0x6a": 121.4}')
    backup(state, tmp_path / "pi.budge")
    other = tmp_path / "other"
    other.mkdir()
    (other / "rates.json").write_text('{"mpu6050@0x68": 99.0}')
    stage(tmp_path / "pi.budge", other)

    assert (other / "calibration.json").read_text() == CALIBRATION
    assert "mpu6050" in (other / "rates.json").read_text()


def test_what_was_here_is_set_aside_and_the_newest_two_are_kept(file: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    for number in range(4):
        teach(here, f"life {number}")
        stage(file, here)
        at_s = 1_800_000_000 + number
        os.utime(here / "restore.sqlite", (at_s, at_s))
        assert take(here)
        assert taught(here) == ["walking", "stairs"]

    kept = sorted(here.glob("before-restore-*"))
    assert [in_file(path)[-1] for path in kept] == ["life 2", "life 3"]
    assert not take(here)


# What a kill may come before: every call that changes what is on the disk.
KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from deploy import backup
left = int(sys.argv[2])
def deadly(function):
    def call(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    return call
for place, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (Path, "chmod"),
                    (Path, "mkdir"), (os, "fsync"), (os, "chown"), (sqlite3, "connect")):
    setattr(place, name, deadly(getattr(place, name)))
eval(sys.argv[1])
"""


def killed(call: str, before: int) -> bool:
    """Do `call` in a process that is killed before so many changes to the disk, if there are."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, call, str(before)], check=False, capture_output=True
    )
    assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr.decode()
    return ended.returncode != 0


def left_by_a_kill(state: Path, activity: str) -> None:
    """Let a process die with what it said in the WAL only."""
    code = (
        "import os, sys; from pathlib import Path; from learner.journal import Journal;"
        "j = Journal(Path(sys.argv[1]) / 'journal.sqlite'); j.annotate(sys.argv[2], 5, 9, 'x');"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, state, activity], check=True)
    assert (state / "journal.sqlite-wal").stat().st_size


def test_killed_at_any_instant_of_taking_it_is_the_old_journal_or_the_new(
    file: Path, tmp_path: Path
) -> None:
    before, old, new = -1, ["old", "old, in the WAL"], ["walking", "stairs"]
    going = True
    while going:
        before += 1
        here = teach(tmp_path / f"here {before}", "old")
        left_by_a_kill(here, "old, in the WAL")
        stage(file, here)
        going = killed(f"backup.take(Path({str(here)!r}))", before)
        found = here / "journal.sqlite"
        assert not found.exists() or in_file(found) in (old, new)

        take(here)  # as the next start does
        (aside,) = here.glob("before-restore-*.sqlite")
        assert in_file(aside) == old
        assert taught(here) == new
        verify(found)
    assert before >= 6  # or nothing was tried


def test_killed_at_any_instant_of_staging_nothing_is_lost(file: Path, tmp_path: Path) -> None:
    here, before = teach(tmp_path / "here", "old"), 0
    while killed(f"backup.stage(Path({str(file)!r}), Path({str(here)!r}))", before):
        before += 1
        staged = here / "restore.sqlite"
        assert in_file(here / "journal.sqlite") == ["old"]
        if staged.exists():
            assert verify(staged) == 1
            staged.unlink()
    assert before >= 6
    for folder in here.glob(".budge-*"):
        os.utime(folder, (0, 0))
    take(here)
    assert not list(here.glob(".budge-*"))  # what a kill left is cleared away


def test_a_rescue_that_was_under_way_does_not_undo_a_restore(file: Path, tmp_path: Path) -> None:
    here = teach(tmp_path / "here", "old")
    (here / "journal.sqlite.damaged").touch()
    (teach(tmp_path / "there", "rescued") / "journal.sqlite").rename(
        here / "journal.sqlite.rescued"
    )
    stage(file, here)
    take(here)
    with open_or_rescue(here / "journal.sqlite") as journal:
        assert journal.rescued is None
    assert taught(here) == ["walking", "stairs"]


def test_a_damaged_journal_is_set_aside_with_its_wal(file: Path, tmp_path: Path) -> None:
    here = teach(tmp_path / "here", "old")
    left_by_a_kill(here, "more")
    (here / "journal.sqlite").write_bytes(b"not a database, for sure" * 500)
    stage(file, here)
    take(here)

    assert taught(here) == ["walking", "stairs"]
    assert len(list(here.glob("before-restore-*.sqlite*"))) == 2


def test_a_budge_that_runs_goes_on_and_takes_a_backup_when_it_starts_anew(tmp_path: Path) -> None:
    settings = tmp_path / "budge.toml"
    with Mosquitto(tmp_path) as broker:
        settings.write_text(
            f'device = "pi"\nstate_dir = "{tmp_path}/state"\noutputs = ["mqtt"]\n'
            f'[i2c]\nbus = "emulated"\n[mqtt]\nport = {broker.port}\n'
        )
        run = ("run", "--config", settings)
        made, file = ("--config", settings), tmp_path / "pi.budge"
        with Phone(broker.port, "pi") as phone:
            with Budge(tmp_path, *run) as pi:
                phone.wait_for("health", lambda m: m["state"] == "connected", timeout_s=120)
                time.sleep(6)  # of the wearer, to teach
                phone.ask({"activity": "kept", "last_s": 5})
                done = budge("backup", file, *made)
                assert done.returncode == 0, done.stderr
                phone.ask({"activity": "too late", "last_s": 5})
                done = budge("restore", file, *made, "--yes")
                assert done.returncode == 0, done.stderr
                assert "1 stretches of 1 activities" in done.stdout
                assert "sudo systemctl restart budge" in done.stdout
                phone.wait_for("taught", lambda m: said(m) == ["kept", "too late"])
                assert pi.running()
                assert pi.end() == 0
            before = len(phone.messages)
            with Budge(tmp_path, *run) as pi:
                phone.wait_for("taught", lambda m: said(m) == ["kept"], after=before)
                assert pi.end() == 0
    (aside,) = (tmp_path / "state").glob("before-restore-*.sqlite")
    assert in_file(aside) == ["kept", "too late"]


def said(message: Any) -> list[str]:
    return [stretch["activity"] for stretch in message["stretches"]]


def test_a_file_is_not_written_over_unless_that_is_wanted(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "pi.budge"
    file.write_text("something dear")
    refused = budge("backup", file, "--state-dir", state)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"budge: {file} is there already: name another, or replace it with --force\n"
    )
    assert file.read_text() == "something dear"

    assert budge("backup", file, "--state-dir", state, "--force").returncode == 0
    check(file)


def test_in_a_folder_the_file_is_named_after_device_and_day(state: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    done = budge("backup", stick, "--state-dir", state, "--device", "attic")
    assert done.returncode == 0, done.stderr

    (file,) = stick.iterdir()
    assert file.name.startswith("budge-attic-20")
    assert file.suffix == ".budge"


def test_a_restore_asks_first_and_no_means_no(file: Path, tmp_path: Path) -> None:
    here = teach(tmp_path / "here", "old")
    declined = budge("restore", file, "--state-dir", here, asked="n\n")
    assert declined.returncode == 1
    assert "of pi, made 20" in declined.stdout
    assert taught(here) == ["old"]
    assert sorted(path.name for path in here.iterdir()) == ["journal.sqlite"]

    accepted = budge("restore", file, "--state-dir", here, asked="y\n")
    assert accepted.returncode == 0, accepted.stderr
    assert taught(here) == ["walking", "stairs"]


def test_nothing_to_back_up_is_said(tmp_path: Path) -> None:
    refused = budge("backup", tmp_path / "x.budge", "--state-dir", tmp_path / "nowhere")

    assert refused.returncode == 1
    assert "holds no journal.sqlite, so there is nothing to back up: name the" in refused.stderr


@pytest.mark.parametrize("size", ["100k", "300k"])  # full at the first copy, at the second
def test_a_full_disk_is_said_before_and_leaves_nothing_behind(
    size: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(state, minutes=4)  # 150 kB of rows
    with small_disk(tmp_path / "small", size) as small:
        with pytest.raises(BackupError, match=r"small has 0 MB free, expected 5\d MB: make room"):
            backup(state, small / "pi.budge")
        monkeypatch.setattr(backups, "need_room", lambda *_: None)  # it filled up meanwhile
        with pytest.raises(BackupError, match=r"is full|No space left on device"):
            backup(state, small / "pi.budge")
        assert not list(small.iterdir())


def test_what_root_restores_belongs_to_the_service(file: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    here = tmp_path / "here"
    here.mkdir()
    os.chown(here, 4711, 4712)
    stage(file, here)
    take(here)

    found = (here / "journal.sqlite").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (4711, 4712, 0o600)
