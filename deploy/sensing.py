"""Opens the sensor that the settings name: a real bus, or the emulated one with a wearer."""

import importlib
import logging
import pkgutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import firmware_bridge.sources
from deploy.settings import Settings, SettingsError, source_options
from firmware_bridge.bus import Bus
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import Chip, ImuNotFoundError
from firmware_bridge.clock import Clock, MonotonicClock
from firmware_bridge.commissioning import calibration, probe
from firmware_bridge.commissioning.mounting import Axes, AxesError, Mounted, read_axes
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.rows import rate_store
from firmware_bridge.source import Source
from firmware_bridge.sources.i2c import Source as I2cSource
from firmware_bridge.wearer import Wearer, demo_plan

log = logging.getLogger(__name__)

EMULATED_CHIP = "lsm9ds1"  # where the settings say "auto"
# No two chips run alike; the emulated one is this much faster than its data sheet says.
EMULATED_RATE_ERROR = 0.03
CALIBRATIONS, RATES = "calibration.json", "rates.json"  # in the state folder


def chip_module(name: str) -> Any:
    """Import the driver of this name. Raises SettingsError with the names there are."""
    known = probe.chip_names()
    if name not in known:
        names = ", ".join(["auto", *known])
        raise SettingsError(f"chip {name!r} is not known, expected one of {names}")
    return importlib.import_module(f"firmware_bridge.chips.{name}")


def open_source(settings: Settings, stack: ExitStack) -> Source:
    """Open the source of the settings: a file in `firmware_bridge/sources` by its name."""
    name = settings.source
    if name == "i2c":
        return open_i2c(settings, stack)
    files = {module.name for module in pkgutil.iter_modules(firmware_bridge.sources.__path__)}
    known = sorted(files - {"recording"})  # that one is `budge replay`'s
    if name not in known:
        raise SettingsError(f"source {name!r} is not known, expected one of {', '.join(known)}")
    module = importlib.import_module(f"firmware_bridge.sources.{name}")
    options = source_options(settings, module.Options)
    source: Source = module.open_source(options, MonotonicClock(), settings.window.rate_hz)
    return source


def open_i2c(settings: Settings, stack: ExitStack) -> I2cSource:
    """Open the bus and the chip of the settings; `stack` closes the bus."""
    if settings.i2c.bus == "emulated":
        wearer = Wearer(demo_plan(), start_s=MonotonicClock().now_s())
        return open_emulated(settings, stack, wearer, MonotonicClock())
    from firmware_bridge.buses.linux import LinuxBus

    bus = LinuxBus(settings.i2c.bus)
    stack.callback(bus.close)
    name, address = the_imu(settings, bus)
    chip = mounted(settings, chip_module(name).Driver(bus, address), name, address)
    rates, device = settings.state_path() / RATES, device_name(name, address)
    source = I2cSource(
        chip,
        MonotonicClock(),
        rate_hz=settings.window.rate_hz,
        stored_rate_hz=rate_store.load(rates, device, chip.rate_hz),
    )
    stack.callback(_keep_rate, source, rates, device)
    return source


def _keep_rate(source: I2cSource, path: Path, device: str) -> None:
    """Remember the rate for the next start; without it that start takes a second or two more."""
    try:
        rate_store.store(path, device, source.health().rate_hz, source.rate_doubt)
    except OSError as error:
        log.warning("the chip's rate was not kept: %s", error)


def open_emulated(settings: Settings, stack: ExitStack, wearer: Wearer, clock: Clock) -> I2cSource:
    """Open an emulated chip that `wearer` moves, behind the same driver as a real one."""
    name, address, bus = emulated_bus(settings, wearer.motion, clock)
    stack.callback(bus.close)
    chip = Mounted(
        chip_module(name).Driver(bus, address, sleep_s=clock.sleep_s), body_axes(settings)
    )
    return I2cSource(chip, clock, rate_hz=settings.window.rate_hz, truth=wearer.activity)


def emulated_bus(settings: Settings, motion: Motion, clock: Clock) -> tuple[str, int, EmulatedBus]:
    """Put the emulated chip of the settings on a bus; returns its name and address, too."""
    name = EMULATED_CHIP if settings.i2c.chip == "auto" else settings.i2c.chip
    address = settings.i2c.address or chip_module(name).ADDRESSES[0]
    twins = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
    twin = twins.Twin(motion, clock, rate_error=EMULATED_RATE_ERROR)
    return name, address, EmulatedBus({address: twin})


def the_imu(settings: Settings, bus: Bus) -> tuple[str, int]:
    """Name the driver and the address: the settings' or, where they say "auto", the only IMU's.

    Raises ImuNotFoundError where there is none, SettingsError where there are several.
    """
    i2c = settings.i2c
    if i2c.chip != "auto":
        return i2c.chip, i2c.address or chip_module(i2c.chip).ADDRESSES[0]
    held = probe.kernel_drivers(i2c.bus) if isinstance(i2c.bus, int) else {}
    addresses = probe.imu_addresses() if i2c.address is None else {i2c.address}
    devices = probe.scan(bus, addresses, held=held)
    found = [(device.chip, device.address) for device in devices if device.chip is not None]
    if len(found) > 1:
        names = ", ".join(f"{name} at 0x{address:02x}" for name, address in found)
        raise SettingsError(
            f"there are {len(found)} IMUs on bus {i2c.bus}: {names}:"
            " say which with `chip` and `address` in [i2c]"
        )
    if not found:
        others = "".join(f", 0x{device.address:02x}: {device.name}" for device in devices)
        raise ImuNotFoundError(
            f"no IMU answered on bus {i2c.bus}{others}:"
            " check the wiring, `budge probe` looks on every bus and says more"
        )
    return found[0]


def body_axes(settings: Settings) -> Axes:
    """How the sensor is mounted. Raises SettingsError."""
    try:
        found = read_axes(settings.i2c.axes)
    except AxesError as error:
        raise SettingsError(str(error)) from error
    if found.handedness < 0:
        log.warning(
            'axes "%s" is a mirror image, which no way of mounting a sensor is:'
            " right for a sensor worn on the other side, wrong if one sign was forgotten",
            settings.i2c.axes,
        )
    return found


def device_name(chip: str, address: int) -> str:
    """Name a sensor by what is known of it: what is stored about one goes by this name."""
    return f"{chip}@0x{address:02x}"


def mounted(settings: Settings, chip: Chip, name: str, address: int) -> Mounted:
    """Turn `chip` as the settings say and correct it by its calibration, if it has one."""
    if settings.i2c.bus == "emulated":  # exact; what is stored is a real one's of the same name
        return Mounted(chip, body_axes(settings))
    path = settings.state_path() / CALIBRATIONS
    return Mounted(chip, body_axes(settings), calibration.load(path, device_name(name, address)))
