"""Faults of the Pi while it runs: a bus that hangs, a clock that is set, no time and no memory."""

import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from budge import Budge
from living import BRISK, PATIENT, Living
from mosquitto import Mosquitto
from numpy.typing import NDArray
from outlet import eventually
from phone import Phone, seconds
from scripted import rebuilt
from systemd_ear import Ear, listening
from worn import Worn

from deploy import health, pipeline
from deploy.messages import Activity, Health, Info, Label, Window
from deploy.settings import I2c
from firmware_bridge.wearer import Wearer
from learner.journal import Journal

Floats = NDArray[np.floating[Any]]

YEAR_S = 365 * 86400
RATE_HZ = 50
PIECE = 50  # rows
ROOM = 8 << 20  # bytes
WATCHDOG_S = 2.0


@pytest.fixture(name="ear")
def _ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    with listening(tmp_path, monkeypatch, WATCHDOG_S) as ear:
        yield ear


def fed(ear: Ear) -> bool:
    """Whether the watchdog was fed since the last call."""
    return any(line.startswith("WATCHDOG=1") for line in ear.heard())


def test_a_bus_that_hangs_starves_the_watchdog_while_the_line_obeys_and_what_it_cost_is_told(
    tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "EVERY_S", 1.0)
    monkeypatch.setattr(pipeline, "HUNG_S", 1.0)
    monkeypatch.setattr(pipeline, "SILENCE_US", 2_000_000)
    with Living(tmp_path / "state") as budge:
        budge.ask("label/set", b"walking")
        budge.wait_for(Label, lambda m: m.windows >= 3)
        budge.ask("label/set", b"")
        budge.wait_for(Activity, lambda m: m.activity == "walking")
        known = len(budge.heard)
        lost = budge.of(Health)[-1].lost  # where the machine was too busy
        budge.bus.hang()
        hung_s = time.monotonic()
        budge.wait_for(Activity, lambda m: m.activity == "unsure", known)
        eventually(lambda: "the sensor: no sign of life" in caplog.text)
        answer = budge.ask("label/set", b'{"activity": "resting", "last_s": 4}')
        fed(ear)
        time.sleep(WATCHDOG_S)
        starved = not fed(ear)
        silent_s = time.monotonic() - hung_s
        known = len(budge.heard)
        budge.bus.let_go()
        well = budge.wait_for(Health, lambda m: m.state == "connected" and m.gaps, known)
        budge.ask("label/undo", b"")
        budge.wait_for(Activity, lambda m: m.activity == "walking", known)
        time.sleep(WATCHDOG_S / 2)
        assert fed(ear)

    assert answer.status == "ok"
    assert starved
    assert not well.problem
    assert "timed out" in (well.cause or "")
    assert well.errors >= 1
    # All that the chip measured meanwhile and its FIFO does not keep.
    assert well.lost - lost == pytest.approx(silent_s * well.rate_hz, rel=0.25)


class Wall:
    """The wall clock of this process; it can be set, the monotonic one cannot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._true_ns = time.time_ns
        self.ahead_s = 0
        monkeypatch.setattr(time, "time_ns", lambda: self._true_ns() + self.ahead_s * 10**9)
        monkeypatch.setattr(time, "time", lambda: self._true_ns() / 1e9 + self.ahead_s)


def years_ahead(told: Activity) -> int:
    return round((seconds(told.ts) - time.time()) / YEAR_S)


def test_a_clock_set_forth_and_back_by_a_year_moves_what_is_told_and_nothing_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "FLUSH_US", 500_000)
    monkeypatch.setattr(pipeline, "PRUNE_US", 500_000)  # at every jump there is one
    wall = Wall(monkeypatch)
    with Living(tmp_path, chip=PATIENT) as budge:
        budge.ask("label/set", b"walking")
        budge.wait_for(Label, lambda m: m.windows >= 3)
        budge.wait_for(Activity, lambda m: m.activity == "walking")
        for ahead_s in (0, YEAR_S, -YEAR_S, 0):
            wall.ahead_s = ahead_s
            known = len(budge.heard)
            budge.wait_for(Label, lambda m: m.windows > 0, known)  # a message may be on its way
            told = budge.wait_for(Activity, after=len(budge.heard))
            assert seconds(told.ts) == pytest.approx(time.time(), abs=3)
        windows = budge.of(Label)[-1].windows
        budge.ask("label/set", b"")
    heard = budge.of(Window)

    assert windows >= 8  # learnt on through all of it
    steps_s = np.diff([window.end_s for window in heard])
    assert steps_s == pytest.approx(0.5, abs=0.002)  # not one is missing
    stays = [pair for pair in pairwise(budge.of(Activity)) if pair[0].activity == pair[1].activity]
    begun_s = [[seconds(m.since) - years_ahead(m) * YEAR_S for m in pair] for pair in stays]
    moved_s = np.diff(begun_s)
    assert np.abs(moved_s).max() < 0.05  # at once, whatever the wall shows
    assert any(years_ahead(before) != years_ahead(after) for before, after in stays)
    assert budge.of(Info)[-1].model == rebuilt(tmp_path, BRISK, channels=6)
    with Journal(tmp_path / "journal.sqlite") as journal:
        (said,) = journal.annotations
        stored = journal.windows(0, journal.end_us, length=50, hop=25, rate_hz=50.0, channels=6)
        assert len(list(stored)) == len(heard)  # nothing was pruned, nothing is out of order
    assert said.end_us is not None
    assert 3e6 < said.end_us - said.start_us < 60e6


def more_than(known: int, info: Info) -> bool:
    return len(info.activities) > known


def test_a_life_that_begins_a_year_off_adds_to_what_was_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PRUNE_US", 500_000)
    wall = Wall(monkeypatch)
    activities = ["walking", "marching", "strolling"]
    for life, ahead_s in enumerate((0, YEAR_S, -YEAR_S)):
        wall.ahead_s = ahead_s
        with Living(tmp_path, chip=PATIENT) as budge:
            budge.ask("label/set", activities[life].encode())
            budge.wait_for(Label, lambda m: m.windows >= 2)
            budge.ask("label/set", b"")
            known = set(budge.wait_for(Info, partial(more_than, life)).activities)
            told = budge.wait_for(Activity, after=len(budge.heard))
            assert seconds(told.ts) == pytest.approx(time.time(), abs=3)
    with Journal(tmp_path / "journal.sqlite") as journal:
        starts_us = [said.start_us for said in journal.annotations]

    assert known == {*activities}
    assert starts_us == sorted(starts_us)
    assert budge.of(Info)[-1].model == rebuilt(tmp_path, BRISK, channels=6)


# -- no processor ------------------------------------------------------------------------------


def lag_s(wearer: Wearer, times_s: Floats, rows: Floats) -> float:
    """By how much the rows are later than the movement they are of."""
    lags = np.linspace(-0.2, 0.2, 81)
    misses = [np.square((rows - wearer.motion(times_s - lag))[:, :3]).mean() for lag in lags]
    return float(lags[np.argmin(misses)])


def test_a_busy_machine_costs_rows_which_are_counted_and_no_run_has_a_seam(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Phone(broker.port, "worn") as phone,
        Worn(tmp_path, broker.port, i2c=I2c(chip="lsm9ds1")) as worn,
    ):
        start_s, wearer = worn.follow([("walking", 600)], seed=3)
        assert worn._process is not None
        phone.wait_for("health", lambda m: m["state"] == "connected")
        time.sleep(max(start_s + 1 - time.monotonic(), 0))
        burning = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(2 * (os.cpu_count() or 1))
        ]
        try:
            time.sleep(2)
            # A processor that others have for a second: the FIFO holds a quarter of one.
            worn._process.send_signal(signal.SIGSTOP)
            time.sleep(1)
            worn._process.send_signal(signal.SIGCONT)
            time.sleep(1)
        finally:
            for process in burning:
                process.kill()
                process.wait()
        time.sleep(3)
        monotonic_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000
    log = (tmp_path / "worn.log").read_text()
    missing_s = sum(map(float, re.findall(r"rows again, ([0-9.]+) s are missing", log)))

    runs = list(recorded(tmp_path / "state" / "journal.sqlite"))
    stored_s = sum(len(rows) for _, rows in runs) / RATE_HZ
    span_s = (runs[-1][0] - runs[0][0]) / 1e6 + len(runs[-1][1]) / RATE_HZ
    lags_s = []
    for start_us, rows in runs:
        times_s = (start_us - monotonic_us) / 1e6 + np.arange(len(rows)) / RATE_HZ
        for at in range(0, len(rows) - PIECE + 1, PIECE):
            piece = slice(at, at + PIECE)
            if times_s[at] > start_s:
                lags_s.append(lag_s(wearer, times_s[piece], rows[piece]))
    assert len(runs) >= 2
    assert missing_s > 1
    assert stored_s + missing_s == pytest.approx(span_s, abs=0.1 * len(runs))
    assert len(lags_s) >= 3
    assert np.abs(lags_s).max() <= 0.02  # each row is of the moment it says


def recorded(path: Path) -> Iterator[tuple[int, Floats]]:
    """Yield the start of each run and its rows in SI."""
    with closing(sqlite3.connect(path)) as file:
        for run, start_us, scale in file.execute("SELECT id, start_us, scale FROM run ORDER BY id"):
            blobs = file.execute("SELECT counts FROM rows WHERE run = ? ORDER BY first", (run,))
            counts = np.frombuffer(b"".join(blob for (blob,) in blobs), "<i2").reshape(-1, 6)
            yield start_us, counts * np.frombuffer(scale, "<f4")


# -- no memory, and the signals ----------------------------------------------------------------


def running_budge(folder: Path, port: int) -> Budge:
    (folder / "budge.toml").write_text(
        'device = "pi"\noutputs = ["mqtt"]\nstate_dir = "state"\n[i2c]\nbus = "emulated"\n'
        "[window]\nlength_s = 1.0\nhop_s = 0.5\n[labelling]\nguard_s = 0\n"
        f"[mqtt]\nport = {port}\n"
    )
    return Budge(folder, "run", "--config", "budge.toml")


def whole(folder: Path) -> list[str]:
    """Check the journal's file; return what was said, in order."""
    with closing(sqlite3.connect(folder / "state" / "journal.sqlite")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in file.execute("SELECT activity FROM annotation ORDER BY id")]


def test_what_does_not_fit_into_memory_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "pi") as phone:
        with running_budge(tmp_path, broker.port) as budge:
            phone.wait_for("availability", lambda m: m == "online")
            assert phone.ask({"activity": "walking"})["status"] == "ok"
            phone.wait_for("label", lambda m: m["windows"] >= 2)
            pid = budge._process.pid
            found = re.search(r"VmData:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
            assert found is not None
            limit = int(found[1]) * 1024 + ROOM
            resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))
            phone.press("x" * 4 * ROOM)
            eventually(lambda: "MemoryError" in budge.log or "no more memory" in budge.log)
            if budge.running():  # its connection alone may have met it, or the line, which ends
                budge.kill()
        phone.wait_for("availability", lambda m: m == "offline")  # behind all that it said
        said = whole(tmp_path)
        after = len(phone.messages)
        with running_budge(tmp_path, broker.port) as budge:
            info = phone.wait_for("info", after=after)
            assert budge.end() == 0

    assert said == ["walking"]
    assert info["activities"]["walking"] >= 2


def test_each_signal_ends_it_cleanly_while_it_is_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)  # with it SIGHUP is `systemctl reload`
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "pi") as phone:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            after = len(phone.messages)
            with running_budge(tmp_path, broker.port) as budge:
                phone.wait_for("availability", lambda m: m == "online", after=after)
                assert phone.ask({"activity": number.name})["status"] == "ok"
                phone.wait_for("label", lambda m: m["windows"] >= 2, after=len(phone.messages))
                os.kill(budge._process.pid, number)
                assert budge.wait(30) == 0
                phone.wait_for("availability", lambda m: m == "offline", after=after)
            assert "Traceback" not in budge.log
        assert whole(tmp_path) == ["SIGTERM", "SIGINT", "SIGHUP"]
        info = phone.of("info")[-1]

    assert info["activities"].keys() >= {"SIGTERM", "SIGINT"}  # and so did the lives before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_between_two_lives_ends_it_cleanly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "pi") as phone:
        # While the last words are said; then wherever the next life has got to.
        for wait_s in (0.0, 0.05, 0.1, 0.2, 0.4):
            after = len(phone.messages)
            with running_budge(tmp_path, broker.port) as budge:
                phone.wait_for("availability", lambda m: m == "online", after=after)
                phone.press("", topic="request/restart")
                phone.wait_for("availability", lambda m: m == "offline", after=after)
                time.sleep(wait_s)
                os.kill(budge._process.pid, number)
                assert budge.wait(30) == 0
            phone.press("", topic="over")
            phone.wait_for("over", after=after)  # all that was said before has arrived
            assert phone.of("availability")[-1] == "offline"
            assert "Traceback" not in budge.log
