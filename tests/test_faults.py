"""Power cuts, kills and failing disks under the database; `power_cuts.py` tries a thousand more."""

import json
import random
import shutil
from pathlib import Path

import pytest
from faults.disk import Disk
from power_cuts import FAULTS, IO_ERROR, Device, check, try_points


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


def test_what_is_acknowledged_after_a_sync_that_failed_does_not_hang_on_it(folder: Path) -> None:
    tried = 0
    with Device(folder) as device:
        _, calm, _ = device.live(seed=1)
        calls = [record.kind for record in calm if record.kind in "WSTUD"]
        for call in [number for number, kind in enumerate(calls, 1) if kind == "S"][5::6]:
            _, records, _ = device.live(1, IO_ERROR, call)
            disk, failed, done = Disk(), False, 0
            for past, record in enumerate(records, 1):
                disk.take(record)
                failed |= record.failed
                done += failed and record.kind == "N" and json.loads(record.data)[0] == "done"
                if done == 2:  # the first commit that follows, and another
                    cut = folder / f"cut{call}"
                    cut.mkdir()
                    disk.cut(cut, random.Random(call), "nothing")
                    check(cut, records[:past], f"sync {call} fails")
                    tried += 1
                    break

    assert tried > 5
