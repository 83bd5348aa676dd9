"""What deploy/install installs, on an emulated Pi: systemd, /dev/i2c-1, and a plug to pull."""

import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from budge import ROOT
from guest import BOOT_S, Guest, missing
from installed import DISK, INSTALL_S, Installed, copy, install, kept, pack
from phone import Phone, seconds
from tiny_usb import Adapter

from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.clock import MonotonicClock
from firmware_bridge.emulated_chips.lsm9ds1 import Twin
from firmware_bridge.wearer import Wearer, demo_plan

LONG = os.environ.get("BUDGE_EMULATED_PI") == "long"
CUTS = 10 if LONG else 2
SEED = int(os.environ.get("BUDGE_SEED", "20261124"))
ADDRESS = 0x6A  # the Sense HAT's LSM9DS1
PATIENCE_S = 300.0
MEMORY_KB = 220_000
ONLY_LONG = pytest.mark.skipif(not LONG, reason="not run: only by ./tests/emulated_pi/run")
pytestmark = pytest.mark.timeout(7200 if LONG else 600)


class Hat(NamedTuple):
    """What hangs on the guest's two buses: on the second, the chip that the wearer moves."""

    buses: tuple[Adapter, Adapter]
    chip: EmulatedBus


@pytest.fixture(name="hat", scope="module")
def _hat() -> Iterator[Hat]:
    clock = MonotonicClock()
    wearer = Wearer(demo_plan(), start_s=clock.now_s())
    decoy, chip = (EmulatedBus({ADDRESS: Twin(wearer.motion, clock)}) for _ in range(2))
    with Adapter(decoy) as other, Adapter(chip) as bus:
        yield Hat((other, bus), chip)


@pytest.fixture(name="installed", scope="module")
def _installed(hat: Hat, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    why = missing()
    if why is None and not DISK.exists():
        why = "there is no disk with Debian, ./tests/emulated_pi/run makes one"
    if why is not None:
        pytest.skip(f"not run: {why}")
    found = kept()
    if found is None and LONG:
        found = install(tmp_path_factory.mktemp("install"), hat.buses)
    if found is None:
        pytest.skip("not run: this version is not installed, ./tests/emulated_pi/run does that")
    return found


@pytest.fixture(name="disk")
def _disk(installed: Installed, tmp_path: Path) -> Iterator[Path]:
    """A disk of one test's own."""
    disk = copy(installed.disk, tmp_path)
    yield disk
    disk.unlink()


@contextmanager
def booted(
    disk: Path, hat: Hat, *, memory_mb: int = 512, clock: str = "utc", cargo: Path | None = None
) -> Iterator[Guest]:
    """A guest whose service runs."""
    with Guest(disk, hat.buses, memory_mb=memory_mb, clock=clock, cargo=cargo) as guest:
        guest.wait_for_boot()
        wait_until_active(guest)
        yield guest


def wait_until_active(guest: Guest) -> None:
    guest.run("until systemctl is-active --quiet budge; do sleep 1; done", patience_s=BOOT_S)


@contextmanager
def phone_in_hand(guest: Guest, installed: Installed) -> Iterator[Phone]:
    """A phone with the password that the installation showed."""
    phone = Phone(guest.mqtt_port, "pi")
    phone._client.username_pw_set("phone", installed.passwords["phone"])
    with phone:
        phone.wait_for("availability", lambda m: m == "online", timeout_s=PATIENCE_S)
        yield phone


def answered(phone: Phone, transaction: str) -> Any:
    """Wait for an answer; an emulated processor takes its time."""
    return phone.wait_for(
        "response/label", lambda m: m["transaction"] == transaction, timeout_s=PATIENCE_S
    )


def wait_for_rows(phone: Phone) -> None:
    """Wait until so much is recorded that a stretch can be taught."""
    for trial in range(100):
        phone.press({"activity": "resting", "last_s": 7, "transaction": f"rows {trial}"})
        if answered(phone, f"rows {trial}")["status"] == "ok":
            return
        time.sleep(1)
    raise AssertionError(phone.messages[-5:])


def restarts(guest: Guest) -> int:
    return int(guest.run("systemctl show -P NRestarts budge"))


def peak_memory_kb(guest: Guest) -> int:
    status = guest.run("cat /proc/$(systemctl show -P MainPID budge)/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found, status
    return int(found[1])


class Press(NamedTuple):
    """A stretch that is told by no other: by how long it lasted."""

    number: int

    @property
    def activity(self) -> str:
        return ("walking", "resting", "stairs")[self.number % 3]

    @property
    def lasted_ms(self) -> int:
        return 6000 + self.number

    def send(self, phone: Phone) -> None:
        phone.press(
            {
                "activity": self.activity,
                "start_age_ms": self.lasted_ms + 1000,
                "end_age_ms": 1000,
                "transaction": str(self.number),
            }
        )


def on_the_disk(guest: Guest) -> list[tuple[str, int]]:
    """The stretches that the journal holds: activity, milliseconds."""
    said = guest.run(
        'python3 -c "import sqlite3; [print(*row) for row in sqlite3.connect('
        "'file:/var/lib/private/budge/journal.sqlite?mode=ro', uri=True).execute("
        "'SELECT activity, (end_us - start_us + 500) / 1000 FROM annotation"
        " WHERE end_us NOT NULL AND NOT retracted ORDER BY id')]\""
    )
    rows = (line.rpartition(" ") for line in said.splitlines())
    return [(activity, int(lasted)) for activity, _, lasted in rows]


def test_whatever_moment_the_plug_is_pulled_no_acknowledged_label_is_lost(
    disk: Path, hat: Hat, installed: Installed
) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    acknowledged: list[Press] = []
    number = 0
    for life in range(CUTS + 1):
        with Guest(disk, hat.buses) as guest:
            guest.wait_for_boot()
            there = on_the_disk(guest)
            lost = [p for p in acknowledged if (p.activity, p.lasted_ms) not in there]
            assert not lost, f"after cut {life}: {lost} of {len(acknowledged)} are not in {there}"
            if life == CUTS:
                guest.power_off()
                break
            wait_until_active(guest)
            with phone_in_hand(guest, installed) as phone:
                wait_for_rows(phone)
                cut_s = time.monotonic() + rng.uniform(3, 15)
                while time.monotonic() < cut_s:
                    Press(number).send(phone)
                    number += 1
                    time.sleep(rng.uniform(0, 0.4))
                guest.cut_power()
                acknowledged += [
                    Press(int(answer["transaction"]))
                    for answer in phone.of("response/label")
                    if answer["status"] == "ok" and answer["transaction"].isdigit()
                ]

    assert len(acknowledged) > CUTS, "the cuts must hit the teaching"
    checked = subprocess.run(
        ["/sbin/e2fsck", "-fn", disk], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@ONLY_LONG
def test_deploy_install_shows_its_passwords_once_and_nowhere_else(
    disk: Path, hat: Hat, installed: Installed
) -> None:
    assert set(installed.passwords) == {"phone", "reader"}
    assert "budge runs." in installed.said
    with booted(disk, hat) as guest:
        guest.run("systemctl is-enabled budge mosquitto")
        found = guest.run(
            "read -r words; journalctl --no-pager | grep -c -E -f - <<<$words;"
            " grep -rlE -f - /etc /var/log /opt/budge/current/*.* <<<$words",
            typed="|".join(installed.passwords.values()) + "\n",
            fails=True,
        )
        assert found == "0\n"
        nobody = guest.run("setpriv --reuid=65534 cat /etc/budge/budge.toml", fails=True)
        assert "Permission denied" in nobody


@ONLY_LONG
def test_it_may_open_its_own_bus_and_no_other(disk: Path, hat: Hat, installed: Installed) -> None:
    with booted(disk, hat) as guest:
        # Root in the service's control group meets the same rule as the service.
        opened = guest.run(
            "echo $$ >/sys/fs/cgroup/system.slice/budge.service/cgroup.procs;"
            "for bus in 0 1; do : <>/dev/i2c-$bus && echo $bus opened; done",
            fails=True,
        )
        assert "/dev/i2c-0: Operation not permitted" in opened
        assert "1 opened" in opened
        assert "0 opened" not in opened


@ONLY_LONG
def test_a_service_that_hangs_is_ended_by_the_watchdog_and_starts_again(
    disk: Path, hat: Hat, installed: Installed
) -> None:
    with booted(disk, hat) as guest, phone_in_hand(guest, installed) as phone:
        wait_for_rows(phone)
        Press(1).send(phone)
        assert answered(phone, "1")["status"] == "ok"
        before = restarts(guest)
        guest.run("kill -STOP $(systemctl show -P MainPID budge)")
        heard = len(phone.messages)
        phone.wait_for("availability", lambda m: m == "offline", after=heard, timeout_s=PATIENCE_S)
        phone.wait_for("availability", lambda m: m == "online", after=heard, timeout_s=PATIENCE_S)
        wait_until_active(guest)

        assert restarts(guest) == before + 1
        assert "Failed with result 'watchdog'" in guest.run("journalctl -u budge --no-pager")
        assert (Press(1).activity, Press(1).lasted_ms) in on_the_disk(guest)


@ONLY_LONG
def test_a_chip_that_goes_and_comes_back_is_a_gap_and_no_restart(
    disk: Path, hat: Hat, installed: Installed
) -> None:
    with booted(disk, hat) as guest, phone_in_hand(guest, installed) as phone:
        phone.wait_for("health", lambda m: m["state"] == "connected", timeout_s=PATIENCE_S)
        before = restarts(guest)
        hat.chip.unplug(ADDRESS)
        try:
            heard = len(phone.messages)
            gap = phone.wait_for(
                "health", lambda m: m["problem"], after=heard, timeout_s=PATIENCE_S
            )
        finally:
            hat.chip.plug(ADDRESS)
        heard = len(phone.messages)
        phone.wait_for(
            "health", lambda m: m["state"] == "connected", after=heard, timeout_s=PATIENCE_S
        )

        assert gap["cause"]
        assert restarts(guest) == before


@ONLY_LONG
def test_a_bus_that_goes_and_comes_back_is_read_again(
    disk: Path, hat: Hat, installed: Installed
) -> None:
    with booted(disk, hat) as guest, phone_in_hand(guest, installed) as phone:
        phone.wait_for("health", lambda m: m["state"] == "connected", timeout_s=PATIENCE_S)
        heard = len(phone.messages)
        hat.buses[1].unplug()
        try:
            guest.run("until [ ! -e /dev/i2c-1 ]; do sleep 0.2; done")
            phone.wait_for("health", lambda m: m["problem"], after=heard, timeout_s=PATIENCE_S)
        finally:
            hat.buses[1].plug()
        guest.run("until [ -e /dev/i2c-1 ]; do sleep 0.2; done")
        heard = len(phone.messages)
        phone.wait_for(
            "health", lambda m: m["state"] == "connected", after=heard, timeout_s=PATIENCE_S
        )


@ONLY_LONG
def test_a_clock_that_is_wrong_at_boot_harms_no_label_and_since_is_put_right(
    disk: Path, hat: Hat, installed: Installed
) -> None:
    with booted(disk, hat, clock="2020-01-01") as guest, phone_in_hand(guest, installed) as phone:
        now_s = time.time()
        activity = phone.wait_for("activity", timeout_s=PATIENCE_S)
        assert seconds(activity["ts"]) < now_s - 86400, "the clock was to be wrong"
        wait_for_rows(phone)
        Press(1).send(phone)
        assert answered(phone, "1")["status"] == "ok"
        phone.press({"activity": "resting", "transaction": "2"})
        assert answered(phone, "2")["status"] == "ok"
        guest.run(f"date -s @{now_s:.0f}")  # as it comes from the network, later
        heard = len(phone.messages)
        label = phone.wait_for(
            "label",
            lambda m: m["label"] == "resting" and m["windows"] > 0,
            after=heard,
            timeout_s=PATIENCE_S,
        )
        assert abs(seconds(label["since"]) - now_s) < 120
        Press(3).send(phone)
        assert answered(phone, "3")["status"] == "ok"

        there = on_the_disk(guest)
        assert [(Press(n).activity, Press(n).lasted_ms) for n in (1, 3)] == [
            one for one in there if one[1] in (Press(1).lasted_ms, Press(3).lasted_ms)
        ]


@ONLY_LONG
@pytest.mark.parametrize("memory_mb", [512, 416])
def test_it_lives_in_the_memory_of_a_small_pi(
    disk: Path, hat: Hat, installed: Installed, memory_mb: int
) -> None:
    with booted(disk, hat, memory_mb=memory_mb) as guest, phone_in_hand(guest, installed) as phone:
        before = restarts(guest)
        wait_for_rows(phone)
        for number in range(12):
            Press(number).send(phone)
            assert answered(phone, str(number))["status"] == "ok"
        peak_kb = peak_memory_kb(guest)
        print(f"with {memory_mb} MB: VmHWM {peak_kb} kB;", guest.run("free -m | sed -n 2p"))

        assert peak_kb <= MEMORY_KB
        assert restarts(guest) == before
        assert "Out of memory" not in guest.run("dmesg")


@ONLY_LONG
@pytest.mark.parametrize("works", [False, True], ids=["broken", "working"])
def test_an_upgrade_takes_over_only_if_it_works(
    disk: Path, hat: Hat, installed: Installed, tmp_path: Path, *, works: bool
) -> None:
    name = "deploy/pipeline.py"
    new = (ROOT / name).read_bytes() + (b"# new\n" if works else b"raise SystemExit('broken')\n")
    with booted(disk, hat, cargo=pack(tmp_path, {name: new})) as guest:
        with phone_in_hand(guest, installed) as phone:
            wait_for_rows(phone)
            Press(1).send(phone)
            assert answered(phone, "1")["status"] == "ok"
        before = guest.run("readlink /opt/budge/current")
        guest.run("tar -xf /dev/vdb -C /root")
        said = guest.run("budge upgrade /root/budge", patience_s=INSTALL_S, fails=True)
        wait_until_active(guest)

        assert ("was not well, so" not in said) == works, said
        assert (guest.run("readlink /opt/budge/current") != before) == works
        assert (Press(1).activity, Press(1).lasted_ms) in on_the_disk(guest)
