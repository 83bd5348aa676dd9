"""`budge probe`: what it finds without a write, what it checks, what it advises."""

import errno
import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import smbus2
from numpy.typing import NDArray
from typer.testing import CliRunner

from deploy.cli import app
from deploy.probing import NOTHING_FOUND, WARNED, WELL, Report, examine
from deploy.sensing import the_imu
from deploy.service import ServiceError, locked
from deploy.settings import I2c, Settings, SettingsError
from firmware_bridge.bus import Bus
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import ImuNotFoundError
from firmware_bridge.clock import VirtualClock
from firmware_bridge.commissioning import probe
from firmware_bridge.commissioning.checkup import MeteredBus
from firmware_bridge.emulated_chip import EmulatedChip
from firmware_bridge.emulated_chips.lsm9ds1 import Twin

EVERYWHERE = range(0x08, 0x78)
TWINS = sorted(
    file.stem
    for file in Path(importlib.import_module("firmware_bridge.emulated_chips").__path__[0]).glob(
        "[!_]*.py"
    )
    if file.stem in probe.chip_names()
)


def on_the_table(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.tile([0.0, 0.0, 9.80665, 0.0, 0.0, 0.0], (len(times_s), 1))


def carried(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """On the table, and picked up for half a second."""
    rows = on_the_table(times_s)
    rows[(times_s > 3.0) & (times_s < 3.5), 0] += 2.0
    return rows


class Registers:
    """A device that is no IMU: registers that remember, and nobody may write to them."""

    stuck = False

    def __init__(self, values: Mapping[int, int], others: int = 0x00) -> None:
        self.values = dict(values)
        self.others = others
        self.reads = 0

    def write(self, data: bytes) -> None:
        raise AssertionError(f"a stranger was written to: {data.hex()}")

    def read(self, register: int, length: int) -> bytes:
        self.reads += 1
        return bytes(self.values.get(register + k, self.others) for k in range(length))

    def brown_out(self) -> None:
        raise AssertionError("a stranger was switched off")


class Rtc(Registers):
    """A DS3231 that tells Tuesday, 24 November 2026, 07:28, and what its seconds are by `clock`.

    Beyond its registers it answers as an MPU-6050 does.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__({1: 0x28, 2: 0x07, 3: 2, 4: 0x24, 5: 0x11, 6: 0x26}, others=0x68)
        self._clock = clock

    def read(self, register: int, length: int) -> bytes:
        second = int(self._clock.now_s()) % 60
        self.values[0] = second // 10 << 4 | second % 10
        return super().read(register, length)


def name_at_0x68(name: str, register: int, value: int) -> SimpleNamespace:
    """A driver of a chip at 0x68 that is known by one register."""

    def identify(bus: Bus, address: int) -> str | None:
        try:
            return name if bus.read(address, register, 1) == bytes([value]) else None
        except OSError:
            return None

    return SimpleNamespace(ADDRESSES=(0x68,), identify=identify)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(58.0)


def scanned(
    chips: Mapping[int, EmulatedChip],
    clock: VirtualClock,
    held: Mapping[int, str] | None = None,
) -> list[tuple[int, str, str | None]]:
    devices = probe.scan(EmulatedBus(chips), EVERYWHERE, held=held, sleep_s=clock.sleep_s)
    return [(device.address, device.name, device.chip) for device in devices]


@pytest.mark.parametrize("name", TWINS)
def test_every_chip_is_found_at_each_of_its_addresses_and_taken_for_no_other(
    name: str, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
    monkeypatch.setattr(EmulatedBus, "write", lambda *_: pytest.fail("the scan wrote"))
    for address in probe.chip_modules()[name].ADDRESSES:
        (device,) = scanned({address: twins.Twin(on_the_table, clock)}, clock)
        assert (device[0], device[2]) == (address, name)


def test_two_imus_and_a_clock_are_told_apart_and_none_is_written_to(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmulatedBus, "write", lambda *_: pytest.fail("the scan wrote"))
    chips: dict[int, EmulatedChip] = {
        0x6A: Twin(on_the_table, clock),
        0x6B: Twin(on_the_table, clock),
        0x68: Rtc(clock),
        0x5F: Registers({0x0F: 0xBC}),
        0x1C: Registers({0x0F: 0x3D}),
    }

    assert scanned(chips, clock) == [
        (0x1C, "LSM9DS1 magnetometer", None),
        (0x5F, "HTS221 humidity sensor", None),
        (0x68, "real-time clock (DS3231, DS1307)", None),
        (0x6A, "LSM9DS1", "lsm9ds1"),
        (0x6B, "LSM9DS1", "lsm9ds1"),
    ]


def test_a_clock_is_no_imu_whatever_its_registers_look_like(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an MPU-6050 beyond its registers, nor a BMI270 in second 24."""
    chips = {
        "mpu": name_at_0x68("MPU-6050", 0x75, 0x68),
        "bmi": name_at_0x68("BMI270", 0x00, 0x24),
    }
    monkeypatch.setattr(probe, "chip_modules", lambda: chips)
    for second in (23.9, 24.0, 58.99):
        start = VirtualClock(second)
        assert scanned({0x68: Rtc(start)}, start)[0][2] is None


def test_a_date_that_does_not_tick_is_no_clock(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = {"mpu": name_at_0x68("MPU-6050", 0x75, 0x68)}
    monkeypatch.setattr(probe, "chip_modules", lambda: chips)
    imu = Registers({0: 0x12, 1: 0x12, 2: 0x12, 3: 1, 4: 0x12, 5: 0x12, 6: 0x12, 0x75: 0x68})

    assert scanned({0x68: imu}, clock) == [(0x68, "MPU-6050", "mpu")]


def test_a_clock_that_the_kernel_uses_is_not_even_read(clock: VirtualClock) -> None:
    rtc = Rtc(clock)

    assert scanned({0x68: rtc}, clock, {0x68: "rtc-ds1307"}) == [(0x68, "real-time clock", None)]
    assert rtc.reads == 0


def test_a_stranger_is_shown_with_what_it_answers(clock: VirtualClock) -> None:
    stranger = Registers({0x00: 0x12, 0x0F: 0x70, 0x75: 0xFF})

    assert scanned({0x6B: stranger}, clock) == [
        (0x6B, "unknown (0x00: 0x12, 0x0f: 0x70, 0x75: 0xff)", None)
    ]


def test_what_the_kernel_holds_is_read_from_sysfs(tmp_path: Path) -> None:
    drivers = tmp_path / "drivers"
    for name in ("lsm9ds1-imu-i2c", "rtc-ds1307"):
        (drivers / name).mkdir(parents=True)
    for device, driver in (
        ("1-006a", "lsm9ds1-imu-i2c"),
        ("1-0068", "rtc-ds1307"),
        ("10-0051", "rtc-ds1307"),
    ):
        (tmp_path / device).mkdir()
        (tmp_path / device / "driver").symlink_to(drivers / driver)
    (tmp_path / "1-005f").mkdir()  # known to the kernel, without a driver

    assert probe.kernel_drivers(1, tmp_path) == {0x6A: "lsm9ds1-imu-i2c", 0x68: "rtc-ds1307"}
    assert probe.kernel_drivers(0, tmp_path) == {}


def test_buses_are_those_in_dev(tmp_path: Path) -> None:
    for name in ("i2c-1", "i2c-20", "i2c-stub", "tty1"):
        (tmp_path / name).touch()

    assert probe.bus_numbers(tmp_path) == [1, 20]


def examined(
    chips: Mapping[int, EmulatedChip],
    clock: VirtualClock,
    folder: Path,
    i2c: I2c | None = None,
    held: Mapping[int, str] | None = None,
) -> Report:
    settings = Settings(state_dir=str(folder), i2c=i2c or I2c())
    return examine(settings, {1: EmulatedBus(chips)}, clock, 5.0, {1: held or {}})


def test_an_imu_on_the_table_is_well(clock: VirtualClock, tmp_path: Path) -> None:
    twin = Twin(on_the_table, clock, rate_error=-0.04)
    report = examined({0x6A: twin}, clock, tmp_path)
    (_, found), *_ = report.checks

    assert (report.exit_code, report.warnings) == (WELL, [])
    assert found.rate_hz == pytest.approx(119 * 0.96, rel=2e-3)
    assert found.nominal_hz == 119
    # 168 bits a level and 39 for each of 10 counts a second; a moment less for the start.
    assert found.bus_load == pytest.approx((119 * 0.96 * 168 + 390) / 100_000, rel=0.03)
    assert found.gravity_m_s2 == pytest.approx(9.80665, rel=1e-3)
    assert not found.moved
    assert found.rows > 4 * 50


@pytest.mark.parametrize("name", TWINS)
def test_every_chip_on_the_table_is_well(name: str, clock: VirtualClock, tmp_path: Path) -> None:
    twins = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
    address = probe.chip_modules()[name].ADDRESSES[0]
    twin = twins.Twin(on_the_table, clock, rate_error=0.05, seed=1)
    report = examined({address: twin}, clock, tmp_path)

    assert (report.exit_code, report.warnings) == (WELL, [])


def test_the_wire_is_counted_in_bits(clock: VirtualClock) -> None:
    bus = MeteredBus(EmulatedBus({0x6A: Twin(on_the_table, clock)}))
    bus.read(0x6A, 0x0F, 12)
    bus.write(0x6A, b"\x22\x05")

    assert bus.bits == 138 + 29


def test_moved_during_the_check_says_so_and_judges_no_rest(
    clock: VirtualClock, tmp_path: Path
) -> None:
    clock = VirtualClock()
    report = examined({0x6A: Twin(carried, clock)}, clock, tmp_path)

    assert report.exit_code == WARNED
    assert report.warnings == [
        "LSM9DS1 at 0x6a: it was moved during the check: lay it on a table and try again"
    ]


def test_gravity_and_bias_that_are_off_are_advised_to_calibrate(
    clock: VirtualClock, tmp_path: Path
) -> None:
    def heavy(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return on_the_table(times_s) * 1.08

    twin = Twin(heavy, clock, gyro_offset_rad_s=np.radians(-7.0))
    report = examined({0x6A: twin}, clock, tmp_path)

    assert report.exit_code == WARNED
    assert len(report.warnings) == 2
    assert "at rest it feels 10.59 m/s², +8.0% from g: `budge probe --calib" in report.warnings[0]
    assert "at rest the gyroscope says 7.0 °/s" in report.warnings[1]


def test_a_rate_no_chip_has_is_named(clock: VirtualClock, tmp_path: Path) -> None:
    report = examined({0x6A: Twin(on_the_table, clock, rate_error=0.25)}, clock, tmp_path)

    assert re.search(r"samples at 148\.\d Hz, expected 119\.0 Hz within 20%", report.warnings[0])


@pytest.mark.parametrize(("unplugged_s", "gaps", "rows"), [(1.0, 0, 0), (4.0, 1, 150)])
def test_an_imu_unplugged_during_the_check_is_told_when_the_time_is_over(
    unplugged_s: float, gaps: int, rows: int, tmp_path: Path
) -> None:
    clock = VirtualClock()
    bus = EmulatedBus({0x6A: Twin(on_the_table, clock)})
    sleep_s = clock.sleep_s

    def sleep_and_unplug(seconds: float) -> None:
        sleep_s(seconds)
        if clock.now_s() > unplugged_s:
            bus.unplug(0x6A)

    clock.sleep_s = sleep_and_unplug  # type: ignore[method-assign]
    report = examine(Settings(state_dir=str(tmp_path)), {1: bus}, clock, 5.0, {})
    (_, found), *_ = report.checks

    assert found.seconds == pytest.approx(5.0, abs=0.2)
    assert found.gaps == gaps
    assert found.rows == pytest.approx(rows, abs=50)
    assert report.exit_code == WARNED
    assert f"{gaps} gaps and {found.errors} errors" in report.warnings[0]
    assert ("Remote I/O error" in report.warnings[0]) == (gaps > 0)
    assert ("not a row came in 5 s" in report.warnings[-1]) == (rows == 0)


def test_a_driver_of_the_kernel_on_the_imu_is_a_warning(
    clock: VirtualClock, tmp_path: Path
) -> None:
    held = {0x6A: "st_lsm6dsx_i2c", 0x5F: "hts221_i2c"}
    chips: dict[int, EmulatedChip] = {
        0x6A: Twin(on_the_table, clock),
        0x5F: Registers({0x0F: 0xBC}),
    }
    report = examined(chips, clock, tmp_path, held=held)
    (warning,) = report.warnings

    assert report.exit_code == WARNED
    assert warning.startswith("the kernel's driver st_lsm6dsx_i2c holds 0x6a on bus 1: remove its")


def test_an_overlay_for_an_imu_that_is_not_there_is_named(
    clock: VirtualClock, tmp_path: Path
) -> None:
    report = examined({}, clock, tmp_path, held={0x6A: "st_lsm6dsx_i2c"})

    assert report.exit_code == NOTHING_FOUND
    assert "st_lsm6dsx_i2c holds 0x6a" in report.warnings[0]


@pytest.mark.parametrize(
    ("chips", "sentence"),
    [
        ({}, "nothing answers on bus 1: check the wires (3V3 to pin 1, SDA to pin 3,"),
        ({0x5F: Registers({0x0F: 0xBC})}, "no IMU answers on bus 1, though others do: check the"),
        ({0x6B: Registers({}, 0x42)}, "what answers where IMUs do is none that budge knows (unkn"),
    ],
)
def test_where_no_imu_is_found_it_says_what_to_check(
    chips: dict[int, EmulatedChip], sentence: str, clock: VirtualClock, tmp_path: Path
) -> None:
    report = examined(chips, clock, tmp_path)

    assert report.exit_code == NOTHING_FOUND
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith(sentence)


def test_a_bus_that_hangs_is_named_and_left(clock: VirtualClock, tmp_path: Path) -> None:
    bus = EmulatedBus({0x6A: Twin(on_the_table, clock)})
    bus.fail(errno.ETIMEDOUT, transfers=1)
    settings = Settings(state_dir=str(tmp_path))
    report = examine(settings, {1: bus}, clock, 5.0, {})

    assert report.exit_code == NOTHING_FOUND
    assert report.warnings[0].startswith("bus 1 hangs, a device or a wire holds SDA or SCL low")


@pytest.mark.parametrize(
    ("i2c", "sentence"),
    [
        (I2c(bus=3), 'says bus = 3, chip = "auto", found was bus = 1, chip = "lsm9ds1"'),
        (I2c(address=0x6B), 'chip = "auto", address = 0x6b, found was bus = 1'),
        (I2c(chip="other"), 'says bus = 1, chip = "other", found was bus = 1'),
    ],
)
def test_settings_that_do_not_fit_are_shown_beside_what_was_found(
    i2c: I2c, sentence: str, clock: VirtualClock, tmp_path: Path
) -> None:
    report = examined({0x6A: Twin(on_the_table, clock)}, clock, tmp_path, i2c)

    assert report.exit_code == WARNED
    assert sentence in report.warnings[0]


def two_imus(clock: VirtualClock) -> dict[int, EmulatedChip]:
    return {address: Twin(on_the_table, clock) for address in (0x6A, 0x6B)}


def test_two_imus_are_both_checked_and_one_must_be_chosen(
    clock: VirtualClock, tmp_path: Path
) -> None:
    report = examined(two_imus(clock), clock, tmp_path)
    chosen = examined(two_imus(clock), clock, tmp_path, I2c(address=0x6B))

    assert len(report.checks) == 2
    assert report.warnings[0].startswith("`budge run` cannot choose, say in [i2c]")
    assert chosen.exit_code == WELL


def test_auto_takes_the_only_imu() -> None:
    clock = VirtualClock()
    bus = EmulatedBus({0x6B: Twin(on_the_table, clock), 0x1C: Registers({0x0F: 0x3D})})

    assert the_imu(Settings(i2c=I2c(bus=99)), bus) == ("lsm9ds1", 0x6B)


def test_auto_does_not_choose_between_two(clock: VirtualClock) -> None:
    bus = EmulatedBus(two_imus(clock))

    with pytest.raises(
        SettingsError, match="2 IMUs on bus 99: lsm9ds1 at 0x6a, lsm9ds1 at 0x6b: say which"
    ):
        the_imu(Settings(i2c=I2c(bus=99)), bus)
    assert the_imu(Settings(i2c=I2c(bus=99, address=0x6B)), bus) == ("lsm9ds1", 0x6B)


def test_auto_without_an_imu_says_what_else_is_there() -> None:
    bus = EmulatedBus({0x6B: Registers({}, 0x42)})

    with pytest.raises(ImuNotFoundError, match=r"no IMU answered on bus 99, 0x6b: unknown \(0x00"):
        the_imu(Settings(i2c=I2c(bus=99)), bus)


def test_a_chip_that_is_named_is_not_searched_for() -> None:
    settings = Settings(i2c=I2c(bus=99, chip="lsm9ds1"))

    assert the_imu(settings, EmulatedBus({})) == ("lsm9ds1", 0x6A)


def budge_probe(*arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["probe", *arguments])
    return ended.exit_code, ended.stdout


def test_the_command_without_hardware_finds_all_well(tmp_path: Path) -> None:
    code, shown = budge_probe("--emulated", "--json", "--state-dir", str(tmp_path))
    report = json.loads(shown)

    assert code == 0
    assert report["v"] == 1
    assert report["exit"] == 0
    assert report["warnings"] == []
    assert [(device["address"], device["chip"]) for device in report["devices"]] == [
        ("0x6a", "lsm9ds1")
    ]
    assert report["checks"][0]["rate_hz"] == pytest.approx(119 * 1.03, rel=2e-3)
    code, shown = budge_probe("--emulated")
    assert code == 0
    assert "+3.0% from the nominal 119.0 Hz" in shown
    assert shown.endswith("All is well.\n")


@pytest.mark.parametrize("options", [(), ("--calibrate",)])
def test_a_sensor_that_a_running_budge_reads_is_left_alone(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with locked(tmp_path), pytest.raises(ServiceError, match="ask it with `sudo budge doctor`"):
        app(["probe", "--state-dir", str(tmp_path), *options], standalone_mode=False)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOENT, "sudo raspi-config nonint do_i2c 0"),
        (errno.EACCES, "sudo usermod -aG i2c $USER"),
    ],
)
def test_a_bus_that_cannot_be_opened_is_exit_code_3(
    number: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_number: int) -> None:
        raise OSError(number, "as the kernel says")

    monkeypatch.setattr(smbus2, "SMBus", closed)
    monkeypatch.setattr(probe, "bus_numbers", lambda: [1] if number == errno.EACCES else [])
    code, shown = budge_probe()

    assert code == 3
    assert advice in shown
    assert "well" not in shown


def test_the_help_names_the_exit_codes() -> None:
    code, shown = budge_probe("--help")

    assert code == 0
    assert "Example: budge probe" in shown
    for meaning in ("0 if", "1 if", "2 if", "3 if"):
        assert meaning in " ".join(shown.split())
