"""What systemd hears of the service: a real datagram socket stands where systemd's would."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from systemd_ear import Ear, listening

from deploy.notify import Systemd

ALL_WELL = {"sensor": True, "MQTT": True}
LIMIT_S = 0.4


@pytest.fixture(name="ear")
def _ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    with listening(tmp_path, monkeypatch, LIMIT_S) as ear:
        yield ear


@pytest.fixture(name="systemd")
def _systemd(ear: Ear) -> Iterator[Systemd]:
    systemd = Systemd()
    yield systemd
    systemd.close()


def test_ready_status_and_the_end_are_said(systemd: Systemd, ear: Ear) -> None:
    systemd.ready()
    systemd.status("walking")
    systemd.status("walking")
    systemd.status("resting")
    systemd.stopping()

    first, *others = ear.heard()
    assert first.splitlines()[0] == "READY=1"
    assert others == ["STATUS=walking", "STATUS=resting", "STOPPING=1"]


def test_the_watchdog_is_fed_several_times_within_its_limit_and_not_at_every_turn(
    systemd: Systemd, ear: Ear
) -> None:
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        systemd.feed(ALL_WELL)

    assert 2 <= len(ear.heard()) <= 5


@pytest.mark.parametrize("part", ["sensor", "MQTT"])
def test_one_dead_part_starves_the_watchdog_and_is_named_once(
    systemd: Systemd, ear: Ear, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        systemd.feed({**ALL_WELL, part: False})

    assert ear.heard() == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(f"{part}: no sign of life; systemd will restart budge")


def test_a_part_that_lives_again_feeds_it_again(systemd: Systemd, ear: Ear) -> None:
    systemd.feed({**ALL_WELL, "sensor": False})
    systemd.feed(ALL_WELL)

    assert ear.heard() == ["WATCHDOG=1"]


def test_slow_work_is_waited_for_and_no_longer(systemd: Systemd, ear: Ear) -> None:
    with systemd.slow(600):
        during = ear.heard()

    assert during == ["WATCHDOG_USEC=600000000"]
    assert ear.heard() == ["WATCHDOG=1\nWATCHDOG_USEC=400000"]


def test_a_second_beginning_may_take_as_long_as_the_first_and_then_all_is_as_usual(
    systemd: Systemd, ear: Ear
) -> None:
    systemd.beginning_again()
    systemd.ready()

    assert ear.heard() == [
        "WATCHDOG_USEC=1200000000\nWATCHDOG=1",
        "READY=1\nWATCHDOG_USEC=400000",
    ]


def test_the_watchdog_of_another_process_is_not_fed(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    systemd = Systemd()
    systemd.feed(ALL_WELL)
    systemd.close()

    assert ear.heard() == []


def test_the_address_may_be_an_abstract_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    name = f"budge-test-{os.getpid()}"
    ear = Ear(f"\0{name}")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    systemd = Systemd()
    systemd.ready()
    systemd.close()

    assert ear.heard() == ["READY=1"]
    ear.close()


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    systemd = Systemd()
    systemd.ready()
    systemd.feed(ALL_WELL)
    with systemd.slow(600):
        pass
    systemd.close()


def test_an_ear_that_is_full_or_gone_holds_nothing_up(systemd: Systemd, ear: Ear) -> None:
    for number in range(10_000):
        systemd.status(str(number))
    ear.close()
    systemd.ready()
