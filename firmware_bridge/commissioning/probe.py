"""What is on the bus, found without writing to it.

Several kinds of devices share an address: at 0x68 sits an IMU, or the clock that tells a Pi the
time. So everything here only reads: each driver is asked whether its identity register holds what
it knows, and what else answers is named only when that is sure.
"""

import errno
import importlib
import pkgutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import firmware_bridge.chips
from firmware_bridge.bus import Bus

CLOCK_ADDRESS = 0x68
SILENT = "nothing answers"  # though the kernel has a driver there
SYSFS = Path("/sys/bus/i2c/devices")


class Other(NamedTuple):
    """A device that is no IMU of ours, known by what it answers."""

    name: str
    addresses: tuple[int, ...]
    register: int
    answer: bytes


# Each identity as ST's, Linux's or Adafruit's driver of the device has it, and one more.
OTHERS = (
    Other("LSM9DS1 magnetometer", (0x1C, 0x1E), 0x0F, b"\x3d"),
    Other("Sense HAT LEDs and joystick", (0x46,), 0xF0, b"s"),
    Other("LPS25H pressure sensor", (0x5C, 0x5D), 0x0F, b"\xbd"),
    Other("LPS22HB pressure sensor", (0x5C, 0x5D), 0x0F, b"\xb1"),
    Other("HTS221 humidity sensor", (0x5F,), 0x0F, b"\xbc"),
    Other("TCS34725 colour sensor", (0x29,), 0x92, b"\x44"),
    Other("MCP9808 thermometer", (0x18, 0x19), 0x06, b"\x00\x54"),
    Other("BNO055, an IMU without a FIFO", (0x28, 0x29), 0x00, b"\xa0"),
)


@dataclass(frozen=True, slots=True)
class Device:
    """Something that acknowledges its address, or that the kernel believes to be there."""

    address: int
    name: str
    chip: str | None = None  # the driver that reads it, a file in chips/
    kernel_driver: str | None = None  # what the kernel has bound to this address


def chip_names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(firmware_bridge.chips.__path__))


def chip_modules() -> dict[str, Any]:
    """Import every driver there is, by name."""
    return {name: importlib.import_module(f"firmware_bridge.chips.{name}") for name in chip_names()}


def imu_addresses() -> set[int]:
    return {address for chip in chip_modules().values() for address in chip.ADDRESSES}


def other_addresses() -> set[int]:
    return {address for other in OTHERS for address in other.addresses}


def bus_numbers(dev: Path = Path("/dev")) -> list[int]:
    """Which I2C buses this machine has switched on."""
    return sorted(int(path.name.removeprefix("i2c-")) for path in dev.glob("i2c-[0-9]*"))


def kernel_drivers(bus: int, sysfs: Path = SYSFS) -> dict[int, str]:
    """Which addresses of a bus the kernel has a driver on: what `i2cdetect` shows as UU."""
    return {
        int(link.parent.name.partition("-")[2], 16): link.resolve().name
        for link in sysfs.glob(f"{bus}-*/driver")
    }


def scan(
    bus: Bus,
    addresses: Collection[int],
    *,
    held: Mapping[int, str] | None = None,
    sleep_s: Callable[[float], None] = time.sleep,
) -> list[Device]:
    """Name what answers at these addresses; nothing is written. `held`: see `kernel_drivers`.

    Raises OSError ETIMEDOUT where a line of the bus is held low.
    """
    chips, held, found = chip_modules(), held or {}, []
    for address in sorted(addresses):
        driver = held.get(address)
        if driver is not None and driver.startswith("rtc-"):  # not even read: it is in use
            found.append(Device(address, "real-time clock", None, driver))
        elif _read(bus, address, 0x00, 1) is not None:
            chip, name = _identify(bus, address, chips, sleep_s)
            found.append(Device(address, name, chip, driver))
        elif driver is not None:
            found.append(Device(address, SILENT, None, driver))
    return found


def _identify(
    bus: Bus, address: int, chips: Mapping[str, Any], sleep_s: Callable[[float], None]
) -> tuple[str | None, str]:
    """The driver, if there is one, and the name."""
    if address == CLOCK_ADDRESS and _ticks(bus, sleep_s):  # before its seconds look like a chip's
        return None, "real-time clock (DS3231, DS1307)"
    # Chips that live at this address are asked first; an identity may mean another elsewhere.
    for chip in sorted(chips, key=lambda name: address not in chips[name].ADDRESSES):
        name = chips[chip].identify(bus, address)
        if name is not None:
            return chip, name
    for other in OTHERS:
        if address in other.addresses:
            answer = _read(bus, address, other.register, len(other.answer))
            if answer == other.answer:
                return None, other.name
    shown = [
        f"0x{register:02x}: 0x{answer[0]:02x}"
        for register in (0x00, 0x0F, 0x75)  # where chips keep their identity
        if (answer := _read(bus, address, register, 1))
    ]
    return None, f"unknown ({', '.join(shown)})"


def _ticks(bus: Bus, sleep_s: Callable[[float], None]) -> bool:
    """Whether a clock runs there: seven registers of a date, and a second later a second more.

    DS3231 datasheet 19-5170 rev 10, figure 1; the DS1307 begins with the same seven.
    """
    before = _seconds(_read(bus, CLOCK_ADDRESS, 0x00, 7))
    if before is None:
        return False
    sleep_s(1.05)
    after = _seconds(_read(bus, CLOCK_ADDRESS, 0x00, 7))
    return after is not None and (after - before) % 60 in {1, 2}


def _seconds(date: bytes | None) -> int | None:
    #        00 seconds  01 minutes  02 hours  03 weekday  04 day  05 month  06 year, in BCD
    most = (0x59, 0x59, 0x72, 0x07, 0x31, 0x92, 0x99)
    least = (0x00, 0x00, 0x00, 0x01, 0x01, 0x01, 0x00)
    if date is None or any(value & 0x0F > 9 for value in date):
        return None
    if not all(low <= value <= high for low, value, high in zip(least, date, most, strict=True)):
        return None
    return (date[0] >> 4) * 10 + (date[0] & 0x0F)


def _read(bus: Bus, address: int, register: int, length: int) -> bytes | None:
    try:
        return bus.read(address, register, length)
    except OSError as error:
        if error.errno == errno.ETIMEDOUT:
            raise  # each further one would take a second, and say the same
        return None
