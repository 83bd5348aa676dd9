"""A device of Linux's Industrial I/O, as it shows in sysfs: its channels, units and scans.

    iio:device0/name                       mpu6050
                in_accel_x_raw             -312         (raw + offset) · scale is m/s²,
                in_accel_scale             0.000598     of in_anglvel_… it is rad/s
                in_mount_matrix            0, 1, 0; -1, 0, 0; 0, 0, 1
                scan_elements/in_accel_x_en, …_index, …_type

A type is [be|le]:[s|u]bits/storagebits[Xrepeat][>>shift]. A scan, as /dev/iio:device0 gives it, is
the enabled elements by index, each aligned to its own size, the whole to the largest of them:

    be:s16/16>>0 three times, le:s64/64>>0     x x y y z z - - t t t t t t t t

Linux, Documentation/ABI/testing/sysfs-bus-iio and Documentation/iio/iio_devbuf.rst (2026);
iio_compute_scan_bytes in drivers/iio/industrialio-buffer.c.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.source import SourceError

ACCEL = ("in_accel_x", "in_accel_y", "in_accel_z")
GYRO = ("in_anglvel_x", "in_anglvel_y", "in_anglvel_z")
TIMESTAMP = "in_timestamp"
TYPE = re.compile(r"(le|be):([su])(\d+)/(8|16|32|64)(?:X(\d+))?(?:>>(\d+))?")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Element:
    """One channel in a scan."""

    name: str
    dtype: np.dtype[np.void] | np.dtype[np.generic]
    repeat: int
    signed: bool
    bits: int
    shift: int

    @property
    def size(self) -> int:
        return self.dtype.itemsize * self.repeat

    def values(self, stored: NDArray[np.generic]) -> NDArray[np.int64]:
        """The numbers in their storage: shifted, cut to their bits, with their sign."""
        if self.bits == 64:
            return stored.astype(np.int64)
        numbers = (stored.astype(np.int64) >> self.shift) & ((1 << self.bits) - 1)
        sign = 1 << (self.bits - 1) if self.signed else 0
        return (numbers ^ sign) - sign


def read_type(name: str, text: str) -> Element:
    """Read a scan element's type. Raises SourceError."""
    found = TYPE.fullmatch(text.strip())
    if found is None:
        raise SourceError(f"{name}_type is {text.strip()!r}, expected one like be:s16/16>>0")
    order, sign, bits, storage, repeat, shift = found.groups()
    dtype = np.dtype(f"{'<' if order == 'le' else '>'}i{int(storage) // 8}")
    return Element(name, dtype, int(repeat or 1), sign == "s", int(bits), int(shift or 0))


class Scan:
    """How the enabled elements lie in a scan."""

    def __init__(self, elements: list[Element]) -> None:
        """`elements` in the order of their index."""
        self._elements = {element.name: element for element in elements}
        offsets, at = [], 0
        for element in elements:
            at += -at % element.size
            offsets.append(at)
            at += element.size
        self.bytes = at + -at % max(element.size for element in elements)
        self._dtype = np.dtype(
            {
                "names": [element.name for element in elements],
                "formats": [element.dtype for element in elements],
                "offsets": offsets,
                "itemsize": self.bytes,
            }
        )

    def decode(self, data: bytes, names: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the raw values (n, c) of whole scans."""
        table = np.frombuffer(data, self._dtype)
        return np.column_stack([self._elements[name].values(table[name]) for name in names])


class Device:
    """The files of one device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = folder.name
        self.name = self.text("name") or folder.name
        self.channels = ACCEL + GYRO if self._has(GYRO) else ACCEL
        self._offset = np.array([self._shared(name, "offset", 0.0) for name in self.channels])
        self._scale = np.array([self._shared(name, "scale", None) for name in self.channels])
        self._turn = self._mount_matrix()

    def text(self, file: str) -> str | None:
        """The content of a file, None if there is none."""
        path = self.folder / file
        return path.read_text().strip() if path.exists() else None

    def write(self, file: str, value: str) -> None:
        (self.folder / file).write_text(value)

    def si(self, raw: NDArray[np.int64]) -> Floats:
        """Raw values (n, c) in m/s² and rad/s, on the axes of the mount matrix."""
        values = (raw + self._offset) * self._scale
        turned = values.reshape(len(values), -1, 3) @ self._turn.T
        return np.asarray(turned.reshape(values.shape), np.float64)

    def poll(self) -> NDArray[np.int64]:
        """Read every channel on its own: (1, c)."""
        return np.array(
            [[int((self.folder / f"{name}_raw").read_text()) for name in self.channels]]
        )

    @property
    def can_scan(self) -> bool:
        names = (*self.channels, TIMESTAMP)
        return all((self.folder / "scan_elements" / f"{name}_en").exists() for name in names)

    def scan(self) -> Scan:
        """How the elements that are enabled now lie in a scan. Raises SourceError."""
        folder = self.folder / "scan_elements"
        enabled = [
            path.name.removesuffix("_en")
            for path in folder.glob("*_en")
            if path.read_text().strip() == "1"
        ]
        enabled.sort(key=lambda name: int((folder / f"{name}_index").read_text()))
        return Scan([read_type(name, (folder / f"{name}_type").read_text()) for name in enabled])

    def _has(self, names: tuple[str, ...]) -> bool:
        return all((self.folder / f"{name}_raw").exists() for name in names)

    def _shared(self, name: str, what: str, default: float | None) -> float:
        """A channel's own figure, or the one it shares with the other axes."""
        kind = name.rsplit("_", 1)[0]
        text = self.text(f"{name}_{what}") or self.text(f"{kind}_{what}")
        if text is None and default is None:
            raise SourceError(f"{self.folder} has no {kind}_{what}, expected what a count is worth")
        return float(text) if text is not None else default or 0.0

    def _mount_matrix(self) -> Floats:
        text = self.text("in_accel_mount_matrix") or self.text("in_mount_matrix")
        if text is None:
            return np.eye(3)
        try:
            matrix = np.array([row.split(",") for row in text.split(";")], np.float64)
        except ValueError:
            matrix = np.empty(0)
        if matrix.shape != (3, 3):
            raise SourceError(f"the mount matrix of {self.folder} is {text!r}, expected 3 x 3")
        return matrix


def find(sysfs: Path, wanted: str | None) -> Device:
    """The device of this name or number, or the only one with an accelerometer.

    Raises SourceError, which names what there is.
    """
    folders = sorted(sysfs.glob("iio:device*"))
    motion = [folder for folder in folders if (folder / f"{ACCEL[0]}_raw").exists()]
    devices = {folder.name: (folder / "name").read_text().strip() for folder in motion}
    chosen = [folder for folder in motion if wanted in {None, folder.name, devices[folder.name]}]
    if len(chosen) == 1:
        return Device(chosen[0])
    there = ", ".join(f"{node} ({name})" for node, name in devices.items()) or "none"
    raise SourceError(
        f"of accelerometers below {sysfs} there is {there}, expected"
        f" {'one' if wanted is None else wanted}: "
        + ("name one of them" if devices else "is the overlay loaded, such as i2c-sensor,mpu6050?")
    )
