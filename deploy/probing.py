"""What `budge probe` finds out, and what it advises: bus by bus, then the IMUs that are there."""

import errno
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import degrees
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.sensing import chip_module, mounted
from deploy.settings import Settings
from firmware_bridge.bus import Bus
from firmware_bridge.chip import STANDARD_GRAVITY, ImuFaultError, ImuNotFoundError
from firmware_bridge.clock import Clock
from firmware_bridge.commissioning import probe
from firmware_bridge.commissioning.checkup import Check, MeteredBus, check

WELL, WARNED, NOTHING_FOUND, NO_BUS = range(4)  # exit codes

GRAVITY_OFF_MOST = 0.05
BIAS_MOST_DPS = 5.0  # parts come with up to 20 (MPU-6050), which calibrating takes away
RATE_OFF_MOST = 0.2  # the worst of our chips may be 19 % off (LSM6DSO)
BUS_LOAD_MOST = 0.5  # a Pi's bus at 100 kHz runs at 62 at times, and is there for others, too

WIRING = (
    "check the wires (3V3 to pin 1, SDA to pin 3, SCL to pin 5, GND to pin 6), or that the hat"
    " sits on all 40 pins"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A device and where it is."""

    bus: int | str
    device: probe.Device

    def __str__(self) -> str:
        return f"{self.device.name} at 0x{self.device.address:02x}"

    def json(self) -> dict[str, Any]:
        return {"bus": self.bus, **asdict(self.device), "address": f"0x{self.device.address:02x}"}


@dataclass
class Report:
    """Everything that was found, and what to do about it."""

    found: list[Found] = field(default_factory=list)
    checks: list[tuple[Found, Check]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    exit_code: int = WELL

    def json(self) -> dict[str, Any]:
        return {
            "v": 1,
            "exit": self.exit_code,
            "devices": [found.json() for found in self.found],
            "checks": [
                {**found.json(), **asdict(result), "gravity_m_s2": result.gravity_m_s2}
                for found, result in self.checks
            ],
            "warnings": self.warnings,
        }


def examine(
    settings: Settings,
    buses: Mapping[int | str, Bus],
    clock: Clock,
    seconds: float,
    held: Mapping[int | str, Mapping[int, str]],
) -> Report:
    """Scan the buses, then check each IMU for `seconds`. `held`: `kernel_drivers` of each bus."""
    report = Report()
    for number, bus in buses.items():
        try:
            addresses = probe.imu_addresses() | probe.other_addresses()
            devices = probe.scan(bus, addresses, held=held.get(number), sleep_s=clock.sleep_s)
        except OSError as error:
            if error.errno != errno.ETIMEDOUT:
                raise
            report.warnings.append(
                f"bus {number} hangs, a device or a wire holds SDA or SCL low: switch the Pi off"
                f" and on, then {WIRING}"
            )
        else:
            report.found += [Found(number, device) for device in devices]
    imus = [found for found in report.found if found.device.chip is not None]
    report.warnings += _of_the_kernel(report.found)
    for found in imus:
        metered = MeteredBus(buses[found.bus])
        try:
            result = _checked(settings, metered, found.device, clock, seconds)
        except (ImuNotFoundError, ImuFaultError) as error:
            report.warnings.append(str(error))
        else:
            report.checks.append((found, result))
            report.warnings += [f"{found}: {advice}" for advice in _advice(result)]
    if imus:
        report.warnings += _of_the_settings(settings, imus)
        report.exit_code = WARNED if report.warnings else WELL
    else:
        report.warnings.append(_why_none(report.found, buses))
        report.exit_code = NOTHING_FOUND
    return report


def _checked(
    settings: Settings, bus: MeteredBus, device: probe.Device, clock: Clock, seconds: float
) -> Check:
    name = device.chip or ""
    driver = chip_module(name).Driver(bus, device.address, sleep_s=clock.sleep_s)
    return check(mounted(settings, driver, name, device.address), bus, clock, seconds)


def _advice(result: Check) -> list[str]:
    advice = []
    if result.gaps or result.errors:
        last = f", the last: {result.cause}" if result.cause else ""
        advice.append(
            f"{result.gaps} gaps and {result.errors} errors{last}. Loose or long wires do that,"
            " and another program that reads the sensor: `sudo systemctl stop budge` for the time"
            " of the check"
        )
    if result.rows == 0:
        return [*advice, f"not a row came in {result.seconds:.0f} s: {WIRING}"]
    if abs(result.rate_hz / result.nominal_hz - 1) > RATE_OFF_MOST:
        advice.append(
            f"it samples at {result.rate_hz:.1f} Hz, expected {result.nominal_hz:.1f} Hz within"
            f" {RATE_OFF_MOST:.0%}: it may be another chip, or a bad copy"
        )
    if result.bus_load > BUS_LOAD_MOST:
        advice.append(
            f"it needs {result.bus_load:.0%} of a 100 kHz bus: set"
            " `dtparam=i2c_arm_baudrate=400000` in /boot/firmware/config.txt"
        )
    if result.moved:
        return [*advice, "it was moved during the check: lay it on a table and try again"]
    off = result.gravity_m_s2 / STANDARD_GRAVITY - 1
    if abs(off) > GRAVITY_OFF_MOST:
        advice.append(
            f"at rest it feels {result.gravity_m_s2:.2f} m/s², {off:+.1%} from g:"
            " `budge probe --calibrate` corrects that"
        )
    bias_dps = max((abs(degrees(rate)) for rate in result.gyro_rad_s), default=0.0)
    if bias_dps > BIAS_MOST_DPS:
        advice.append(
            f"at rest the gyroscope says {bias_dps:.1f} °/s:"
            " `budge probe --calibrate` takes that away"
        )
    return advice


def _of_the_kernel(found: list[Found]) -> list[str]:
    """Two readers take each other's frames. A driver on a device that is no IMU is welcome."""
    return [
        f"the kernel's driver {one.device.kernel_driver} holds 0x{one.device.address:02x} on bus"
        f" {one.bus}: remove its dtoverlay from /boot/firmware/config.txt and restart"
        for one in found
        if one.device.kernel_driver is not None
        and (one.device.chip is not None or one.device.name == probe.SILENT)
        and one.device.address in probe.imu_addresses()
    ]


def _of_the_settings(settings: Settings, imus: list[Found]) -> list[str]:
    """What keeps `budge run` from the IMUs that are there."""
    i2c = settings.i2c
    wanted = [
        imu
        for imu in imus
        if imu.bus == i2c.bus
        and i2c.chip in {"auto", imu.device.chip}
        and i2c.address in {None, imu.device.address}
    ]
    listed = "; ".join(
        f'bus = {imu.bus}, chip = "{imu.device.chip}", address = 0x{imu.device.address:02x}'
        for imu in imus
    )
    if not wanted:
        address = "" if i2c.address is None else f", address = 0x{i2c.address:02x}"
        said = f'bus = {i2c.bus}, chip = "{i2c.chip}"{address}'
        return [f"[i2c] of the settings says {said}, found was {listed}"]
    if len(wanted) > 1:
        return [f"`budge run` cannot choose, say in [i2c] of the settings which: {listed}"]
    return []


def _why_none(found: list[Found], buses: Mapping[int | str, Bus]) -> str:
    numbers = ", ".join(str(number) for number in buses)
    strangers = [
        f"{one} on bus {one.bus}"
        for one in found
        if one.device.name.startswith("unknown") and one.device.address in probe.imu_addresses()
    ]
    if strangers:
        return (
            f"what answers where IMUs do is none that budge knows ({', '.join(strangers)}):"
            f" it reads {', '.join(probe.chip_names())}"
        )
    if found:
        return f"no IMU answers on bus {numbers}, though others do: {WIRING}"
    return f"nothing answers on bus {numbers}: {WIRING}"


def on_the_table(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lie flat for ever: how an emulated IMU moves that is probed."""
    return np.tile([0.0, 0.0, STANDARD_GRAVITY, 0.0, 0.0, 0.0], (len(times_s), 1))
