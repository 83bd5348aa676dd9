"""Opens the sensor that the settings name: a real bus, or the emulated one with a wearer."""

import importlib
import pkgutil
from contextlib import ExitStack
from typing import Any

import firmware_bridge.chips
from deploy.settings import I2c, Settings, SettingsError
from firmware_bridge.bus import Bus
from firmware_bridge.chip import Chip
from firmware_bridge.clock import Clock, MonotonicClock
from firmware_bridge.sources.i2c import Source as I2cSource
from firmware_bridge.wearer import Wearer, demo_plan

# No two chips run alike; the emulated one is this much faster than its data sheet says.
EMULATED_RATE_ERROR = 0.03


def chip_module(name: str) -> Any:
    """Import the driver of this name. Raises SettingsError with the names there are."""
    known = sorted(module.name for module in pkgutil.iter_modules(firmware_bridge.chips.__path__))
    if name not in known:
        raise SettingsError(f"chip {name!r} is not known, expected one of {', '.join(known)}")
    return importlib.import_module(f"firmware_bridge.chips.{name}")


def open_i2c(settings: Settings, stack: ExitStack) -> I2cSource:
    """Open the bus and the chip of the settings; `stack` closes the bus."""
    if settings.i2c.bus == "emulated":
        wearer = Wearer(demo_plan(), start_s=MonotonicClock().now_s())
        return open_emulated(settings, stack, wearer, MonotonicClock())
    from firmware_bridge.buses.linux import LinuxBus

    bus = LinuxBus(settings.i2c.bus)
    stack.callback(bus.close)
    return I2cSource(_driver(settings.i2c, bus), MonotonicClock(), rate_hz=settings.window.rate_hz)


def open_emulated(settings: Settings, stack: ExitStack, wearer: Wearer, clock: Clock) -> I2cSource:
    """Open an emulated chip that `wearer` moves, behind the same driver as a real one."""
    from firmware_bridge.buses.emulated import EmulatedBus

    chip_module(settings.i2c.chip)
    twins = importlib.import_module(f"firmware_bridge.emulated_chips.{settings.i2c.chip}")
    twin = twins.Twin(wearer.motion, clock, rate_error=EMULATED_RATE_ERROR)
    address = settings.i2c.address or chip_module(settings.i2c.chip).ADDRESSES[0]
    bus = EmulatedBus({address: twin})
    stack.callback(bus.close)
    driver = chip_module(settings.i2c.chip).Driver(bus, address, sleep_s=clock.sleep_s)
    return I2cSource(driver, clock, rate_hz=settings.window.rate_hz, truth=wearer.activity)


def _driver(settings: I2c, bus: Bus) -> Chip:
    module = chip_module(settings.chip)
    driver: Chip = module.Driver(bus, settings.address or module.ADDRESSES[0])
    return driver
