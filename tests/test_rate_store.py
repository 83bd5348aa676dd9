"""The chip's rate from day to day."""

import json
import logging
import os
from pathlib import Path

import pytest

from firmware_bridge.rows.rate_store import load, store

SENSE_HAT = "lsm9ds1@0x6a"
NOMINAL_HZ = 119.0


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "rates.json"


def test_a_rate_is_there_the_next_day_by_chip_and_address(path: Path) -> None:
    store(path, SENSE_HAT, 121.5, 1e-4)
    store(path, "lsm9ds1@0x6b", 117.25, 1e-4)

    assert load(path, SENSE_HAT, NOMINAL_HZ) == 121.5
    assert load(path, "lsm9ds1@0x6b", NOMINAL_HZ) == 117.25
    assert load(path, "mpu6050@0x68", 100.0) is None


def test_nothing_is_known_before_the_first_day(path: Path) -> None:
    assert load(path, SENSE_HAT, NOMINAL_HZ) is None


def test_a_rate_still_in_doubt_is_not_kept(path: Path) -> None:
    store(path, SENSE_HAT, 121.5, 0.002)

    assert not path.exists()


def test_a_known_rate_is_refined_slowly(path: Path) -> None:
    store(path, SENSE_HAT, 121.0, 1e-4)
    store(path, SENSE_HAT, 121.5, 1e-4)

    assert load(path, SENSE_HAT, NOMINAL_HZ) == pytest.approx(121.1)
    for _ in range(30):
        store(path, SENSE_HAT, 121.5, 1e-4)
    assert load(path, SENSE_HAT, NOMINAL_HZ) == pytest.approx(121.5, abs=0.001)


def test_another_chip_in_the_same_place_begins_anew(path: Path) -> None:
    store(path, SENSE_HAT, 121.0, 1e-4)
    store(path, SENSE_HAT, 115.0, 1e-4)

    assert load(path, SENSE_HAT, NOMINAL_HZ) == 115.0


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"7", b"[" * 100_000, b"null"]
)
def test_a_broken_file_is_a_warning_and_then_a_new_one(
    path: Path, caplog: pytest.LogCaptureFixture, broken: bytes
) -> None:
    path.write_bytes(broken)

    assert load(path, SENSE_HAT, NOMINAL_HZ) is None
    assert "measured anew" in caplog.text
    store(path, SENSE_HAT, 121.5, 1e-4)
    assert load(path, SENSE_HAT, NOMINAL_HZ) == 121.5


@pytest.mark.parametrize("value", ["-121.5", "0", "400", "NaN", "1e999", '"121"', "true", "null"])
def test_a_rate_that_cannot_be_is_not_believed(
    path: Path, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    path.write_text(f'{{"{SENSE_HAT}": {value}}}')

    assert load(path, SENSE_HAT, NOMINAL_HZ) is None
    assert ("measured anew" in caplog.text) is (value != "null")
    store(path, SENSE_HAT, 121.5, 1e-4)
    assert load(path, SENSE_HAT, NOMINAL_HZ) == 121.5


def test_a_power_cut_while_writing_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(path, SENSE_HAT, 121.0, 1e-4)

    def cut(_descriptor: int) -> None:
        raise OSError(5, "the power is gone")

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(OSError, match="the power is gone"):
        store(path, SENSE_HAT, 115.0, 1e-4)

    assert json.loads(path.read_text()) == {SENSE_HAT: 121.0}


def test_what_others_wrote_there_is_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text('{"mpu6050@0x68": 100.7}')
    caplog.set_level(logging.WARNING)
    store(path, SENSE_HAT, 121.0, 1e-4)

    assert load(path, "mpu6050@0x68", 100.0) == 100.7
    assert caplog.text == ""
