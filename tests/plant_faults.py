"""Plant faults in every driver, one at a time, and see which test of test_every_chip.py tells.

    python tests/plant_faults.py

Takes about two minutes. The faults are those that people who write drivers make: a range bit, the
order of the sensors, the order of the bytes, the address of the FIFO's data. Each goes into a copy
of the package; the tree itself is not touched. Ends with 1 if a fault survived.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent


class Fault(NamedTuple):
    name: str
    right: str  # stands in the driver's file exactly once
    wrong: str


def accel_range(right: str, wrong: str) -> Fault:
    return Fault("accel range bit", right, wrong)


def gyro_range(right: str, wrong: str) -> Fault:
    return Fault("gyro range bit", right, wrong)


def sensors(right: str, wrong: str) -> Fault:
    return Fault("gyro and accel swapped", right, wrong)


def bytes_(right: str, wrong: str) -> Fault:
    return Fault("bytes swapped", right, wrong)


def address(right: str, wrong: str) -> Fault:
    return Fault("data address + 1", right, wrong)


ACCEL_FIRST = ".astype(np.int16).reshape(frames, 6)"
GYRO_FIRST = ".astype(np.int16).reshape(frames, 6)[:, [3, 4, 5, 0, 1, 2]]"

FAULTS = {
    "adxl345": [
        accel_range("RANGE_8_G = Range(bits=0b10", "RANGE_8_G = Range(bits=0b01"),
        bytes_('"<i2"', '">i2"'),
        address("DATAX0 = 0x32", "DATAX0 = 0x33"),
    ],
    "bmi160": [
        accel_range("ACC_RANGE_8_G = Range(bits=0b1000", "ACC_RANGE_8_G = Range(bits=0b0101"),
        gyro_range(
            "GYR_RANGE_2000_DPS = Range(bits=0b000", "GYR_RANGE_2000_DPS = Range(bits=0b001"
        ),
        sensors('[told["accel"], told["gyro"]]', '[told["gyro"], told["accel"]]'),
        bytes_(
            '("gyro", "<i2", 3), ("accel", "<i2", 3)', '("gyro", ">i2", 3), ("accel", ">i2", 3)'
        ),
        address("FIFO_DATA = 0x24", "FIFO_DATA = 0x25"),
    ],
    "icm20948": [
        accel_range("ACCEL_FS_SEL_8_G = Range(bits=0b10", "ACCEL_FS_SEL_8_G = Range(bits=0b11"),
        gyro_range(
            "GYRO_FS_SEL_2000_DPS = Range(bits=0b11", "GYRO_FS_SEL_2000_DPS = Range(bits=0b10"
        ),
        sensors(ACCEL_FIRST, GYRO_FIRST),
        bytes_('">i2"', '"<i2"'),
        address("FIFO_R_W = 0x72", "FIFO_R_W = 0x73"),
    ],
    "icm42688p": [
        accel_range("ACCEL_FS_8_G = Range(bits=0b001", "ACCEL_FS_8_G = Range(bits=0b000"),
        gyro_range("GYRO_FS_2000_DPS = Range(bits=0b000", "GYRO_FS_2000_DPS = Range(bits=0b001"),
        sensors(
            'packets["counts"].astype(np.int16)',
            'packets["counts"].astype(np.int16)[:, [3, 4, 5, 0, 1, 2]]',
        ),
        bytes_('("counts", ">i2", 6)', '("counts", "<i2", 6)'),
        address("FIFO_DATA = 0x30", "FIFO_DATA = 0x31"),
    ],
    "lis3dh": [
        accel_range("FS_8_G = Range(bits=0b10", "FS_8_G = Range(bits=0b01"),
        bytes_('"<i2"', '">i2"'),
        address("OUT_X_L = 0x28", "OUT_X_L = 0x29"),
    ],
    "lsm6ds3": [
        accel_range("FS_XL_8_G = Range(bits=0b11", "FS_XL_8_G = Range(bits=0b10"),
        gyro_range("FS_G_2000_DPS = Range(bits=0b110", "FS_G_2000_DPS = Range(bits=0b100"),
        sensors("np.roll(gyro_first, 3, axis=1)", "gyro_first"),
        bytes_('"<i2"', '">i2"'),
        address("FIFO_DATA_OUT_L = 0x3E", "FIFO_DATA_OUT_L = 0x3F"),
    ],
    "lsm6dsox": [
        accel_range("FS_XL_8_G = Range(bits=0b11", "FS_XL_8_G = Range(bits=0b10"),
        gyro_range("FS_G_2000_DPS = Range(bits=0b110", "FS_G_2000_DPS = Range(bits=0b100"),
        sensors("GYRO, ACCEL = 0x01, 0x02", "GYRO, ACCEL = 0x02, 0x01"),
        bytes_('"<i2"', '">i2"'),
        address("FIFO_DATA_OUT_TAG = 0x78", "FIFO_DATA_OUT_TAG = 0x79"),
    ],
    "lsm9ds1": [
        accel_range("FS_XL_8_G = Range(bits=0b11", "FS_XL_8_G = Range(bits=0b10"),
        gyro_range("FS_G_2000_DPS = Range(bits=0b11", "FS_G_2000_DPS = Range(bits=0b01"),
        sensors(ACCEL_FIRST, GYRO_FIRST),
        bytes_('"<i2"', '">i2"'),
        address("OUT_X_L_XL = 0x28", "OUT_X_L_XL = 0x29"),
        address("OUT_X_L_G = 0x18", "OUT_X_L_G = 0x19"),
    ],
    "mpu6050": [
        accel_range("AFS_SEL_8_G = Range(bits=0b10", "AFS_SEL_8_G = Range(bits=0b11"),
        gyro_range("FS_SEL_2000_DPS = Range(bits=0b11", "FS_SEL_2000_DPS = Range(bits=0b10"),
        sensors(ACCEL_FIRST, GYRO_FIRST),
        bytes_('">i2"', '"<i2"'),
        address("FIFO_R_W = 0x74", "FIFO_R_W = 0x75"),
    ],
}


def planted(chip: str, source: str, fault: Fault) -> str:
    if source.count(fault.right) != 1:
        sys.exit(
            f"chips/{chip}.py holds {fault.right!r} {source.count(fault.right)} times, expected"
            f" once: put what the driver says now into FAULTS ({fault.name})"
        )
    return source.replace(fault.right, fault.wrong)


def caught_by(copy: Path, chip: str) -> str | None:
    """Name the first test of `chip` that fails in this copy, if one does."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "tests/test_every_chip.py",
            "-k",
            f"{chip}-0x",
        ],
        cwd=copy,  # `-m` puts it first on the path
        # The planted file is as long and, to the second, as old as the right one: no .pyc then.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) [^:]+::(\S+)", run.stdout, re.MULTILINE)
    if run.returncode != 1 or failed is None:
        sys.exit(f"the tests of {chip} did not run:\n{run.stdout}{run.stderr}")
    return failed[1]


def main() -> None:
    chips = {file.stem for file in (PROJECT / "firmware_bridge" / "chips").glob("*.py")}
    if chips - {"__init__"} != set(FAULTS):
        sys.exit(f"chips/ and FAULTS differ by {sorted(chips - {'__init__'} ^ set(FAULTS))}")
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        without_pyc = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / "firmware_bridge", copy / "firmware_bridge", ignore=without_pyc)
        (copy / "tests").mkdir()
        for file_name in ("test_every_chip.py", "rig.py"):
            shutil.copy(PROJECT / "tests" / file_name, copy / "tests")
        shutil.copy(PROJECT / "pyproject.toml", copy)
        for chip, faults in FAULTS.items():
            file = copy / "firmware_bridge" / "chips" / f"{chip}.py"
            source = file.read_text()
            wrong = [planted(chip, source, fault) for fault in faults]
            if broken := caught_by(copy, chip):
                print(f"{chip:10} {'none':23} FAILS {broken}: mend that first", flush=True)
                survived += len(faults)
                continue
            for fault, text in zip(faults, wrong, strict=True):
                file.write_text(text)
                caught = caught_by(copy, chip)
                survived += caught is None
                print(f"{chip:10} {fault.name:23} {caught or 'NOT CAUGHT'}", flush=True)
            file.write_text(source)
    sys.exit(f"{survived} faults were not caught" if survived else 0)


if __name__ == "__main__":
    main()
