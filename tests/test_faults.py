"""Power cuts, kills and failing disks under the database; `power_cuts.py` tries a thousand more."""

import shutil
from pathlib import Path

import pytest
from power_cuts import FAULTS, Device, try_points


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler: sudo apt-get install gcc libc6-dev")
    return tmp_path


def test_nothing_acknowledged_is_lost_wherever_the_power_or_the_disk_fails(folder: Path) -> None:
    tried = try_points(folder, 60, seed=20261124, cuts=2)

    assert tried.keys() == {*FAULTS.values(), "power cut", "power cut in a life with an error"}


def test_the_log_between_the_device_and_the_disk_has_all_of_the_journal(folder: Path) -> None:
    with Device(folder) as device:
        _, records, _ = device.live(seed=1)

    # Else SQLite writes past us, and the test above would find nothing wrong with anything.
    kinds = [record.kind for record in records]
    assert {name for _, _, name, _, _ in records} >= {"journal.sqlite", "journal.sqlite-wal"}
    assert kinds.count("W") > 500
    assert kinds.count("S") > 40
