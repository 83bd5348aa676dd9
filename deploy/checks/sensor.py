"""The sensor: the bus, who may use it, what is on it, and how fast it really samples."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from deploy.doctor import Case, Finding

SECONDS = 3.0  # the least that says how fast it is
LIST = "ls -l /dev/serial/by-id/"


def check(case: Case) -> Iterator[Finding]:
    settings = case.settings
    if settings.source == "i2c" and settings.i2c.bus != "emulated":
        node = case.root / f"dev/i2c-{settings.i2c.bus}"
        trouble = _of_the_bus(case, node)
        if trouble is not None:
            yield trouble
            if not case.running:
                return
        else:
            yield Finding("bus", "good", f"{node}")
    elif settings.source != "i2c":
        yield from _of_a_port(case)
    if case.running is not False:
        yield _as_told(case)
    elif settings.source == "i2c":
        yield from _looked_at(case)
    else:
        yield Finding(
            "sensor",
            "note",
            f"it is {settings.source!r}: whether rows come, a running budge knows",
            "budge run",
        )


def _of_the_bus(case: Case, node: Path) -> Finding | None:
    if not node.exists():
        others = sorted(path.name for path in (case.root / "dev").glob("i2c-[0-9]*"))
        there = f"there is {', '.join(others)}" if others else "I2C is switched off"
        return Finding(
            "bus", "bad", f"there is no {node}: {there}", "sudo raspi-config nonint do_i2c 0"
        )
    if not os.access(node, os.R_OK | os.W_OK):
        return Finding(
            "bus",
            "bad",
            f"{node} may not be opened by this user, expected one in group i2c",
            "sudo usermod -aG i2c $USER, then log in again",
        )
    return None


def _of_a_port(case: Case) -> Iterator[Finding]:
    """A source that reads a device file names it as `port`."""
    port = case.settings.sources.get(case.settings.source, {}).get("port")
    if not isinstance(port, str) or not port.startswith("/"):
        return
    node = case.root / port[1:]
    if not node.exists():
        yield Finding("port", "bad", f"there is no {port}: is it plugged in?", LIST)
    elif not os.access(node, os.R_OK | os.W_OK):
        yield Finding(
            "port",
            "bad",
            f"{port} may not be opened by this user, expected one in group dialout",
            "sudo usermod -aG dialout $USER, then log in again",
        )
    else:
        yield Finding("port", "good", port)


def _as_told(case: Case) -> Finding:
    """Two readers take each other's rows: what a service reads is left to it."""
    health = case.health
    if case.running is None or health is None:
        return Finding(
            "sensor", "note", "left alone: a budge may be reading it", "sudo budge doctor"
        )
    said = (
        f"the running budge says: {health.state}, {health.rate_hz:.1f} Hz, {health.gaps} gaps,"
        f" {health.errors} errors, {health.lost} readings lost"
    )
    if health.problem:
        cause = f" ({health.cause})" if health.cause else ""
        return Finding(
            "sensor", "bad", f"{said}{cause}", "sudo systemctl stop budge && budge probe"
        )
    return Finding("sensor", "good", said)


def _looked_at(case: Case) -> Iterator[Finding]:
    from deploy.probing import Report, examine, on_the_table
    from deploy.sensing import emulated_bus, the_imu
    from deploy.settings import SettingsError
    from firmware_bridge.bus import Bus
    from firmware_bridge.buses.linux import LinuxBus
    from firmware_bridge.chip import ImuNotFoundError
    from firmware_bridge.clock import Clock, MonotonicClock, VirtualClock
    from firmware_bridge.commissioning.probe import kernel_drivers
    from firmware_bridge.source import SourceError

    settings = case.settings
    with ExitStack() as stack:
        bus: Bus
        clock: Clock
        held: dict[int | str, dict[int, str]] = {}
        try:
            if isinstance(settings.i2c.bus, int):
                bus, clock = LinuxBus(settings.i2c.bus), MonotonicClock()
                held[settings.i2c.bus] = kernel_drivers(settings.i2c.bus)
            else:
                clock = VirtualClock()
                bus = emulated_bus(settings, on_the_table, clock)[2]
            stack.callback(bus.close)
            the_imu(settings, bus)
        except (SourceError, ImuNotFoundError, SettingsError) as error:
            yield Finding("sensor", "bad", str(error), "budge probe")
            return
        report: Report = examine(settings, {settings.i2c.bus: bus}, clock, SECONDS, held)
        for found, result in report.checks:
            yield Finding(
                "sensor",
                "good",
                f"{found}, {result.rate_hz:.1f} Hz ({result.rate_hz / result.nominal_hz - 1:+.1%}"
                f" from the nominal), {result.errors} errors",
            )
        for warning in report.warnings:
            yield Finding("sensor", "note", warning, "budge probe")
