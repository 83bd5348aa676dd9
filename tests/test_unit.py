"""budge.service as systemd itself judges it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from budge import ROOT

from deploy.notify import START_US

UNIT = (ROOT / "deploy" / "budge.service").read_text()
EXPOSURE = 2.0


def analyzed(folder: Path, unit: str, *arguments: str) -> str:
    """What systemd-analyze says of a unit whose program is one that this machine has."""
    command = shutil.which("systemd-analyze")
    if command is None:
        pytest.skip("not run: systemd-analyze is missing, sudo apt-get install systemd")
    file = folder / "budge.service"
    file.write_text(unit.replace("/opt/budge/current/bin/budge", "/bin/true"))
    ended = subprocess.run(
        [command, *arguments, file], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.stdout + ended.stderr


def with_the_bus(unit: str) -> str:
    """As deploy/install completes it."""
    return unit.replace("[Install]", "DeviceAllow=/dev/i2c-1 rw\n\n[Install]")


def exposure(said: str) -> float:
    found = re.search(r"Overall exposure level for budge.service: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    assert analyzed(tmp_path, with_the_bus(UNIT), "verify") == ""


def test_systemd_would_find_a_mistyped_line(tmp_path: Path) -> None:
    assert "NoNewPriviledges" in analyzed(
        tmp_path, UNIT.replace("NoNewPrivileges", "NoNewPriviledges"), "verify"
    )


def test_it_is_exposed_to_little(tmp_path: Path) -> None:
    said = analyzed(tmp_path, with_the_bus(UNIT), "security", "--offline=true")

    assert exposure(said) <= EXPOSURE


def test_a_second_beginning_is_given_as_long_as_the_first() -> None:
    assert f"TimeoutStartSec={START_US / 60e6:.0f}min" in UNIT.splitlines()


def test_loops_may_be_compiled_and_the_bus_be_seen() -> None:
    lines = UNIT.splitlines()

    assert "MemoryDenyWriteExecute=yes" not in lines
    assert "PrivateDevices=yes" not in lines


def test_no_secret_is_where_others_may_read_it() -> None:
    """The settings hold the broker's password: they come as a credential, of which root has one."""
    assert "LoadCredential=budge.toml:/etc/budge/budge.toml" in UNIT
    assert "ExecStart=/opt/budge/current/bin/budge run --config %d/budge.toml" in UNIT
