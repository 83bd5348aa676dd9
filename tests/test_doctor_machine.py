"""`budge doctor` at the sensor, the disk, the clock and the machine: what is wrong is found."""

import time
from pathlib import Path

import pytest
from journals import small_disk, teach
from patient import case, command, found, put

from deploy.settings import I2c

# -- the sensor ----------------------------------------------------------------------------------


def test_a_sensor_on_the_emulated_bus_is_found_and_timed(tmp_path: Path) -> None:
    finding = found("sensor", case(tmp_path))["sensor"]

    assert finding.level == "good"
    assert finding.found.startswith("LSM9DS1 at 0x6a, 122.6 Hz (+3.0% from the nominal), 0 errors")


def test_a_bus_that_is_switched_off_is_said(tmp_path: Path) -> None:
    bare = case(tmp_path, i2c=I2c(bus=1))
    finding = found("sensor", bare)["bus"]
    assert finding.found == f"there is no {bare.root}/dev/i2c-1: I2C is switched off"
    assert finding.mend == "sudo raspi-config nonint do_i2c 0"

    put(bare, "dev/i2c-20")
    assert found("sensor", bare)["bus"].found.endswith("there is i2c-20")


def test_a_bus_that_this_user_may_not_open_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = case(tmp_path, i2c=I2c(bus=1))
    put(bare, "dev/i2c-1").chmod(0)
    # Root may open everything; anybody else may what the mode says.
    monkeypatch.setattr("os.access", lambda path, _: bool(Path(path).stat().st_mode & 0o600))
    assert found("sensor", bare)["bus"].mend == "sudo usermod -aG i2c $USER, then log in again"


def test_a_serial_port_that_is_not_there_is_said(tmp_path: Path) -> None:
    serial = case(tmp_path, source="serial", sources={"serial": {"port": "/dev/ttyACM7"}})
    assert found("sensor", serial)["port"].found == "there is no /dev/ttyACM7: is it plugged in?"
    put(serial, "dev/ttyACM7")
    assert found("sensor", serial)["port"].level == "good"


# -- the disk ------------------------------------------------------------------------------------


def test_a_journal_is_looked_at_to_the_last_page(tmp_path: Path) -> None:
    teach(tmp_path / "state", "walking", "stairs", minutes=3)
    whole = found("storage", case(tmp_path))
    assert {finding.level for finding in whole.values()} == {"good"}
    assert "2 stretches taught, activities: 2" in whole["journal"].found
    assert "even if all of it were taught" in whole["room"].found

    journal = tmp_path / "state" / "journal.sqlite"
    content = bytearray(journal.read_bytes())
    content[-4096 * 3 :] = b"\xaa" * 4096 * 3
    journal.write_bytes(content)
    finding = found("storage", case(tmp_path))["journal"]
    assert finding.level == "bad"
    assert f"{journal} is damaged (" in finding.found

    journal.write_text("something else altogether, and long enough to be looked at " * 9)
    assert found("storage", case(tmp_path))["journal"].level == "bad"


def test_a_full_disk_is_bad(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state", "2m"):
        finding = found("storage", case(tmp_path))["room"]

    assert (finding.level, finding.found) == ("bad", "2 MB free, expected 100 MB at least")


def test_a_folder_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    assert "the first start makes it" in found("storage", case(tmp_path))["storage"].found


def test_what_a_restore_leaves_is_told(tmp_path: Path) -> None:
    state = teach(tmp_path / "state")
    (state / "restore.sqlite").touch()
    (state / "before-restore-20260101T000000Z.sqlite").write_bytes(bytes(3_000_000))
    by_name = found("storage", case(tmp_path))

    assert by_name["restore"].mend == "sudo systemctl restart budge"
    assert by_name["set aside"].found.startswith("1 files of journals that were damaged, or that")
    (state / "journal.sqlite.damaged").touch()
    assert found("storage", case(tmp_path))["damage"].level == "bad"


# -- clock and machine ---------------------------------------------------------------------------


def test_the_clock_is_right_once_somebody_told_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.checks.clock._synchronised", lambda: False)
    pi = case(tmp_path)
    assert found("clock", pi)["clock"].level == "note"
    put(pi, "run/systemd/timesync/synchronized")
    assert found("clock", pi)["clock"].level == "good"

    monkeypatch.setattr(time, "time", lambda: 86_400.0)
    assert "which is past" in found("clock", pi)["clock"].found


def test_the_time_zone_is_told(tmp_path: Path) -> None:
    pi = case(tmp_path)
    assert found("clock", pi)["time zone"].found.startswith("not set")
    (pi.root / "etc").mkdir()
    (pi.root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert found("clock", pi)["time zone"].found.startswith("Europe/Berlin")


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ("0x0", {"power": "good"}),
        ("0x50000", {"power": "note"}),
        ("0x50005", {"power": "bad", "speed": "note"}),
        ("0x20002", {"power": "good", "speed": "note"}),
    ],
)
def test_a_weak_power_supply_is_told(
    flags: str, names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, tmp_path, "vcgencmd", f"throttled={flags}\n")
    by_name = found("machine", case(tmp_path))
    assert {name: by_name[name].level for name in ("power", "speed") if name in by_name} == names


def test_where_there_is_no_pi_to_ask_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found("machine", case(tmp_path))["power"].found == "no Raspberry Pi to ask"
    command(monkeypatch, tmp_path, "vcgencmd", "", status=1)
    assert "group video" in found("machine", case(tmp_path))["power"].found


def test_heat_and_memory_are_told(tmp_path: Path) -> None:
    pi = case(tmp_path)
    assert (found("machine", pi)["heat"].level, found("machine", pi)["memory"].level) == (
        "none",
        "none",
    )
    for temperature, available, levels in (
        ("48300", 300_000, ("good", "good")),
        ("81000", 100_000, ("note", "note")),
        ("60000", 30_000, ("good", "bad")),
    ):
        put(pi, "sys/class/thermal/thermal_zone0/temp", f"{temperature}\n")
        put(pi, "proc/meminfo", f"MemTotal: 440000 kB\nMemAvailable: {available} kB\n")
        by_name = found("machine", pi)
        assert (by_name["heat"].level, by_name["memory"].level) == levels


def test_where_compiled_loops_are_kept_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert "the first start takes long" in found("machine", case(tmp_path))["cache"].found
    (tmp_path / "cache" / "learner").mkdir(parents=True)
    (tmp_path / "cache" / "learner" / "kernels.x.nbi").touch()
    assert found("machine", case(tmp_path))["cache"].found.startswith("1 compiled loops are kept")
