"""An IMU that a kernel driver reads already (Linux Industrial I/O): a live source.

Where the driver has a buffer and something that triggers it (for most chips the INT wire), the
kernel samples, stamps and keeps; we take the scans ten times a second. Else each axis is read from
sysfs on its own, as often as that goes: many drivers take a tenth of a second for each, so it is
slow, and the axes of a row are not of one moment. `formats/iio_device.py` tells what sysfs holds.
"""

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_bridge.clock import Clock
from firmware_bridge.formats.iio_device import TIMESTAMP, Device, find
from firmware_bridge.rows.payload import Stretch
from firmware_bridge.rows.stamped import Stamped
from firmware_bridge.source import Chunk, Health, SourceError

log = logging.getLogger(__name__)

SYSFS = Path("/sys/bus/iio/devices")
DEV = Path("/dev")
DRAIN_S = 0.1
READ_BYTES = 65536
LENGTH = 512  # scans the kernel keeps: 2.5 s at 200 Hz
HUNG_S = 5.0  # without a sample: set up anew
BACK_OFF_S = (0.5, 30.0)  # between two attempts: at first, and at most; it doubles


class Buffer:
    """What the kernel keeps of one device, switched on until `close`."""

    def __init__(self, device: Device, node: Path) -> None:
        """Raises OSError where the driver has no buffer, no trigger, or we may not."""
        self._device = device
        if not device.can_scan:
            raise OSError(errno.ENOTSUP, "the driver has no buffer with time stamps")
        device.write("buffer/enable", "0")
        for name in (*device.channels, TIMESTAMP):
            device.write(f"scan_elements/{name}_en", "1")
        with contextlib.suppress(OSError):  # before Linux 4.5: the wall clock, which we follow
            device.write("current_timestamp_clock", "monotonic")
        device.write("buffer/length", str(LENGTH))
        self._scan = device.scan()
        self._begun = b""  # a scan of which the end has not come yet
        self._file = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
        try:
            device.write("buffer/enable", "1")
        except OSError:
            os.close(self._file)
            raise

    def read(self) -> Stretch | None:
        """Take what has come, if something has."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._file, READ_BYTES)
            if data == b"":
                raise OSError(errno.ENODEV, "the device is gone")
            self._begun += data
        whole = len(self._begun) // self._scan.bytes * self._scan.bytes
        if whole == 0:
            return None
        data, self._begun = self._begun[:whole], self._begun[whole:]
        table = self._scan.decode(data, (TIMESTAMP, *self._device.channels))
        stamps = table[:, 0] / 1e9
        return Stretch(stamps, self._device.si(table[:, 1:]), float(stamps[-1]))

    def close(self) -> None:
        os.close(self._file)
        with contextlib.suppress(OSError):  # it may be unplugged
            self._device.write("buffer/enable", "0")


class Poll:
    """Axis by axis from sysfs, at most `rate_hz` times a second."""

    def __init__(self, device: Device, clock: Clock, rate_hz: float) -> None:
        self._device = device
        self._clock = clock
        self._period_s = 1 / rate_hz
        self._due_s = clock.now_s()

    def read(self) -> Stretch:
        """Read once, when it is time; its stamp is the middle of the reading."""
        self._clock.sleep_s(self._due_s - self._clock.now_s())
        before_s = self._clock.now_s()
        raw = self._device.poll()
        after_s = self._clock.now_s()
        self._due_s = max(self._due_s + self._period_s, after_s)
        return Stretch(np.array([(before_s + after_s) / 2]), self._device.si(raw), after_s)

    def close(self) -> None:
        """Nothing was opened."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which of the kernel's devices."""

    device: str | None = None  # a name like mpu6050 or iio:device0; None: the only accelerometer


def open_source(options: Options, clock: Clock, rate_hz: float) -> "Source":
    """Find the device. Raises SourceError if it is not there."""
    return Source(options.device, clock, rate_hz=rate_hz)


class Source:
    """Rows from one device. All but `close` and `health` is one thread's."""

    live = True

    def __init__(
        self,
        device: str | None,
        clock: Clock,
        *,
        rate_hz: float = 50.0,
        sysfs: Path = SYSFS,
        dev: Path = DEV,
    ) -> None:
        """`device` is a name like mpu6050 or iio:device0; None is the only accelerometer.

        Raises SourceError if it is not there.
        """
        self.rate_hz = rate_hz
        self._clock = clock
        self._sysfs = sysfs
        self._dev = dev
        self._device = find(sysfs, device)
        self._wanted = device or self._device.name
        self._stamped = Stamped(len(self._device.channels), clock, rate_hz)
        self.scale = self._stamped.scale
        self._closed = threading.Event()
        self._buffered: bool | None = None  # None: to be tried
        self._heard_s = clock.now_s()
        self._back_off_s = BACK_OFF_S[0]

    def now_s(self) -> float:
        return self._clock.now_s()

    def truth(self, start_s: float, end_s: float) -> str | None:  # noqa: ARG002 nobody knows
        return None

    def health(self) -> Health:
        return self._stamped.health()

    def close(self) -> None:
        self._closed.set()

    def chunks(self) -> Iterator[Chunk]:
        """Yield until closed. Nothing raises: a device that is away is waited for."""
        while not self._closed.is_set():
            try:
                with contextlib.closing(self._opened()) as reader:
                    yield from self._read(reader)
            except (OSError, ValueError, SourceError) as error:
                self._fail(error)

    def _opened(self) -> Buffer | Poll:
        self._device = find(self._sysfs, self._wanted)
        self._heard_s = self._clock.now_s()
        if self._buffered is not False:
            try:
                buffer = Buffer(self._device, self._dev / self._device.node)
            except OSError as error:
                if self._buffered:
                    raise
                log.warning(
                    "%s is read axis by axis, which is slow: its buffer cannot be had (%s);"
                    " it needs a trigger, such as the INT wire, and the right to write to %s",
                    *(self._device.name, error.strerror, self._device.folder),
                )
                self._buffered = False
            else:
                self._buffered = True
                return buffer
        return Poll(self._device, self._clock, self.rate_hz)

    def _read(self, reader: Buffer | Poll) -> Iterator[Chunk]:
        while not self._closed.is_set():
            stretch = reader.read()
            now_s = self._clock.now_s()
            if stretch is not None:
                self._heard_s = now_s
                self._back_off_s = BACK_OFF_S[0]
                yield from self._stamped.push(stretch, now_s)
            elif now_s - self._heard_s > HUNG_S:
                raise OSError(errno.ETIMEDOUT, f"no sample came for {HUNG_S:g} s")
            if self._buffered:
                self._clock.sleep_s(DRAIN_S)

    def _fail(self, error: Exception) -> None:
        """End the run and wait, longer every time."""
        self._stamped.errors += 1
        cause = error.strerror if isinstance(error, OSError) else str(error)
        if self._back_off_s == BACK_OFF_S[0]:
            log.warning("%s is away, trying again: %s", self._device.name, cause)
        self._stamped.lose(f"iio error: {cause}")
        due_s = self._clock.now_s() + self._back_off_s
        while not self._closed.is_set() and (left_s := due_s - self._clock.now_s()) > 0:
            self._clock.sleep_s(min(left_s, DRAIN_S))
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])
