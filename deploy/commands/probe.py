"""`budge probe`: whether there is a sensor, and whether it is well."""

from collections.abc import Iterable
from contextlib import ExitStack
from math import degrees
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Config, StateDir, changed

if TYPE_CHECKING:
    from deploy.probing import Report
    from deploy.settings import Settings
    from firmware_bridge.bus import Bus


def probe(
    seconds: Annotated[float, typer.Option(min=3.0, help="How long to check.")] = 5.0,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Find out what it is off by, and keep that.")
    ] = False,
    emulated: Annotated[bool, typer.Option("--emulated", help="Without hardware.")] = False,
    config: Config = None,
    state_dir: StateDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Find the sensor on the I2C buses and check it; lay it on a table, it should not move.

    Nothing is written to any device before its identity is known. Stop the service first, for two
    readers take each other's rows: sudo systemctl stop budge. While it runs, budge doctor asks it.

    Ends with 0 if a sensor was found and is well, 1 if there is a warning or the settings cannot
    be used, 2 if none was found, 3 if no bus can be opened.

    Example: budge probe --json
    """
    from msgspec.structs import replace

    from deploy.doctor import runs_on
    from deploy.service import ServiceError
    from deploy.settings import read

    settings = changed(read(config), state_dir=state_dir)
    if emulated:
        settings = replace(settings, i2c=replace(settings.i2c, bus="emulated"))
    elif settings.i2c.bus != "emulated" and runs_on(settings.state_path()):
        raise ServiceError(
            "a budge is running and reads the sensor: ask it with `sudo budge doctor`, or stop it"
            " with `sudo systemctl stop budge`, probe, and start it again"
        )
    with ExitStack() as stack:
        if calibrate:
            _calibrate(settings, stack, as_json=as_json)
        else:
            _probe(settings, stack, seconds, as_json=as_json)


def _probe(settings: "Settings", stack: ExitStack, seconds: float, *, as_json: bool) -> None:
    import json

    from deploy.probing import NO_BUS, Report, examine, on_the_table
    from deploy.sensing import emulated_bus
    from firmware_bridge.clock import MonotonicClock, VirtualClock

    unopened: list[str] = []
    if settings.i2c.bus == "emulated":
        clock = VirtualClock()
        bus = emulated_bus(settings, on_the_table, clock)[2]
        report = examine(settings, {"emulated": bus}, clock, seconds, {})
    else:
        buses, unopened = _open_buses(settings.i2c.bus, stack)
        report = (
            examine(settings, buses, MonotonicClock(), seconds, _held(buses))
            if buses
            else Report(exit_code=NO_BUS)
        )
    report.warnings += unopened
    if as_json:
        print(json.dumps(report.json(), ensure_ascii=False))
    else:
        _show(report)
    raise typer.Exit(report.exit_code)


def _open_buses(wanted: int, stack: ExitStack) -> "tuple[dict[int | str, Bus], list[str]]":
    """Open every I2C bus there is; and for those that cannot be opened, why."""
    from firmware_bridge.buses.linux import LinuxBus
    from firmware_bridge.commissioning.probe import bus_numbers
    from firmware_bridge.source import SourceError

    buses: dict[int | str, Bus] = {}
    unopened = []
    for number in bus_numbers() or [wanted]:  # with none, opening it says why
        try:
            bus = LinuxBus(number)
        except SourceError as error:
            unopened.append(str(error))
        else:
            buses[number] = bus
            stack.callback(bus.close)
    return buses, unopened


def _held(buses: Iterable[int | str]) -> "dict[int | str, dict[int, str]]":
    from firmware_bridge.commissioning.probe import kernel_drivers

    return {number: kernel_drivers(number) for number in buses if isinstance(number, int)}


def _show(report: "Report") -> None:
    for found in report.found:
        driver = found.device.kernel_driver
        held = f" (kernel driver {driver})" if driver else ""
        print(f"bus {found.bus}  0x{found.device.address:02x}  {found.device.name}{held}")
    for found, result in report.checks:
        print(f"\n{found}, {result.seconds:.0f} s:")
        off = result.rate_hz / result.nominal_hz - 1
        print(
            f"  rate     {result.rate_hz:.2f} Hz, {off:+.1%} from the nominal"
            f" {result.nominal_hz:.1f} Hz"
        )
        print(f"  bus      {result.bus_load:.0%} of 100 kHz, {result.rows} rows")
        print(f"  errors   {result.errors}, gaps {result.gaps}")
        if result.rows:
            accel = " ".join(f"{value:+.2f}" for value in result.accel_m_s2)
            print(
                f"  gravity  {result.gravity_m_s2:.3f} m/s² ({accel}),"
                f" noise {result.accel_noise_m_s2 * 1000:.0f} mm/s²"
            )
        if result.gyro_rad_s:
            bias = " ".join(f"{degrees(rate):+.2f}" for rate in result.gyro_rad_s)
            print(f"  gyro     {bias} °/s, noise {degrees(result.gyro_noise_rad_s):.2f} °/s")
    for warning in report.warnings:
        print(f"\n! {warning}")
    if not report.warnings:
        print("\nAll is well.")


def _calibrate(settings: "Settings", stack: ExitStack, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from deploy.calibrating import calibrate
    from firmware_bridge.buses.linux import LinuxBus
    from firmware_bridge.clock import MonotonicClock

    if settings.i2c.bus == "emulated":
        raise typer.BadParameter("an emulated sensor lies on one side for ever")
    bus = LinuxBus(settings.i2c.bus)
    stack.callback(bus.close)
    if not as_json:
        print("Lay the sensor on each of its six sides in turn and let go of it for two seconds.")
    found = calibrate(settings, bus, MonotonicClock(), print if not as_json else _quiet)
    if as_json:
        print(json.dumps({"v": 1, **asdict(found), "stored": str(found.stored)}))
        return
    gain = " ".join(f"{value:.4f}" for value in found.calibration.accel_gain)
    offset = " ".join(f"{value:+.3f}" for value in found.calibration.accel_offset_m_s2)
    bias = " ".join(f"{degrees(value):+.2f}" for value in found.calibration.gyro_offset_rad_s)
    print(
        f"\n{found.device}, {found.poses} poses:\n"
        f"  gain     {gain}\n  offset   {offset} m/s²\n  gyro     {bias} °/s\n"
        f"  gravity  up to {found.off_before:.2%} off before, {found.off_after:.2%} after,"
        f" in these poses\nKept in {found.stored}."
    )


def _quiet(_sentence: str) -> None:
    """A program reads the last line only."""
