"""Finds out what a microcontroller on a serial port sends: how fast, which format, which units.

Listens at one baud rate after the other until readings come in a row, of frames or of lines. Our
frames are in SI units. Lines do not say; but gravity is always there, so the accelerometer's unit
shows in how large its vector is. A gyro at rest shows nothing: its unit has to be set.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2, pi

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.chip import STANDARD_GRAVITY
from firmware_bridge.clock import Clock
from firmware_bridge.formats.frames import FrameDecoder
from firmware_bridge.formats.lines import Layout, LineDecoder
from firmware_bridge.formats.readings import Broken, Decoder, Reading
from firmware_bridge.formats.tty import Tty
from firmware_bridge.source import SourceError

log = logging.getLogger(__name__)

BAUDS = (115200, 921600, 460800, 230400, 57600, 38400, 9600)  # the forwarder's first
FIRST_LISTEN_S = 5.0  # the sender may be starting: 2 s, and then 1 s must be heard in a row
LISTEN_S = 2.5
LOOK_S = 0.1
ENOUGH = 8  # readings in a row are no chance
ENOUGH_S = 1.0

ACCEL_UNITS = {"m/s2": 1.0, "g": STANDARD_GRAVITY}  # in m/s²
GYRO_UNITS = {"rad/s": 1.0, "dps": pi / 180}  # in rad/s
COUNTS_PER_G = (2048, 4096, 8192, 16384)  # 16 bits at 16, 8, 4, 2 g
LIKE_G = 1.25  # the vector may be larger or smaller than gravity by this; below √2 for the counts

ACCEL_FULL_SCALE = 16 * STANDARD_GRAVITY  # doubled until what was seen fits
GYRO_FULL_SCALE = 2000 * GYRO_UNITS["dps"]

Unit = str | float  # a name, or counts per g and counts per dps


@dataclass(frozen=True, eq=False)
class Sender:
    """What is at the other end. After it was found out it stays so, whatever comes."""

    baud: int
    layout: Layout | None  # of lines; None: frames
    nominal_hz: float  # by the sender's own clock if it has one
    to_si: NDArray[np.float64]  # (c,) m/s² and rad/s per unit of the sender
    scale: NDArray[np.float32]  # (c,) m/s² and rad/s per count of ours

    def decoder(self) -> Decoder:
        return LineDecoder(self.layout) if self.layout else FrameDecoder(len(self.scale))


def find(
    tty: Tty,
    clock: Clock,
    *,
    baud: int | None = None,
    accel_unit: Unit | None = None,
    gyro_unit: Unit | None = None,
) -> Sender:
    """Listen until it is clear who sends; the units are of lines, frames have theirs.

    Takes 1 s to 20 s. Raises SourceError, which says what was heard; OSError when the port goes.
    """
    bauds = BAUDS if baud is None else (baud,)
    heard = []
    for tried in bauds:
        tty.set_baud(tried)
        ears = _Ear(FrameDecoder()), _Ear(LineDecoder())
        until_s = clock.now_s() + (FIRST_LISTEN_S if tried == bauds[0] else LISTEN_S)
        n_bytes = 0
        while clock.now_s() < until_s:
            clock.sleep_s(LOOK_S)
            data = tty.read()
            n_bytes += len(data)
            for ear in ears:
                ear.hear(data, clock.now_s())
                if ear.convinced:
                    return _understood(ear, tried, accel_unit, gyro_unit)
        complaint = next((ear.complaint for ear in reversed(ears) if ear.complaint), "no end")
        heard.append(f"{tried}: {n_bytes} bytes, {complaint}" if n_bytes else f"{tried}: nothing")
    raise SourceError(
        f"no reading came from {tty.path} (at {'; '.join(heard)}): expected lines such as"
        " `-0.12,-6.20,7.90`, 5 a second and more, or the frames of firmware/budge_imu;"
        " check the sketch, and set baud if it is none of these"
    )


class _Ear:
    """Readings in a row that one decoder has made of the stream."""

    def __init__(self, decoder: FrameDecoder | LineDecoder) -> None:
        self.decoder = decoder
        self.complaint = ""
        self.readings: list[Reading] = []
        self.times_s: list[float] = []

    def hear(self, data: bytes, now_s: float) -> None:
        for found in self.decoder.feed(data):
            if isinstance(found, Broken):
                self.complaint = found.cause
                self._start_over()
                continue
            if self.readings and len(self.readings[0].values) != len(found.values):
                self._start_over()
            self.readings.append(found)
            self.times_s.append(now_s)

    def _start_over(self) -> None:
        self.readings.clear()
        self.times_s.clear()

    @property
    def convinced(self) -> bool:
        return len(self.readings) >= ENOUGH and self.times_s[-1] - self.times_s[0] >= ENOUGH_S

    @property
    def rate_hz(self) -> float:
        """By our clock: what came after the first look, until the last."""
        after_first = sum(time_s > self.times_s[0] for time_s in self.times_s)
        return after_first / (self.times_s[-1] - self.times_s[0])


def _understood(ear: _Ear, baud: int, accel_unit: Unit | None, gyro_unit: Unit | None) -> Sender:
    values = np.array([reading.values for reading in ear.readings])
    layout = ear.decoder.layout if isinstance(ear.decoder, LineDecoder) else None
    to_si = np.ones(values.shape[1])
    if layout is not None:
        to_si[:3] = _accel_unit(accel_unit, values[:, :3])
        if len(to_si) == 6:
            to_si[3:] = _gyro_unit(gyro_unit)
    most = np.abs(values * to_si).max(axis=0)
    scale = np.full(len(to_si), per_count(most[:3].max(), ACCEL_FULL_SCALE), np.float32)
    scale[3:] = per_count(most[3:].max(initial=0), GYRO_FULL_SCALE)
    sender = Sender(baud, layout, _nominal_hz(ear), to_si, scale)
    log.info(
        "%s at %d baud: %d axes, about %.0f Hz, 1 = %.4g m/s²",
        *("frames" if layout is None else "lines", baud, len(to_si), sender.nominal_hz, to_si[0]),
    )
    return sender


def _nominal_hz(ear: _Ear) -> float:
    """By the sender's clock if there is one: 1 s of it tells what takes ours many."""
    first, last = ear.readings[0], ear.readings[-1]
    if first.time_us is None or last.time_us is None:
        return ear.rate_hz
    steps = len(ear.readings) - 1
    if first.sequence is not None and last.sequence is not None:
        steps = (last.sequence - first.sequence) % 2**16
    period_us = (last.time_us - first.time_us) % 2**32 / max(steps, 1)
    if not 0.5 < period_us * ear.rate_hz / 1e6 < 2:
        raise SourceError(
            f"the sender's clock goes on by {period_us:.0f} from reading to reading, of which there"
            f" are {ear.rate_hz:.0f} a second: expected {1e6 / ear.rate_hz:.0f} or so, microseconds"
            " (micros(), not millis(); 4 or 7 columns begin with the time)"
        )
    return 1e6 / period_us


def _accel_unit(unit: Unit | None, accel: NDArray[np.float64]) -> float:
    if unit is not None:
        return _of("accel_unit", unit, ACCEL_UNITS, STANDARD_GRAVITY)
    length = float(np.median(np.linalg.norm(accel, axis=1)))
    for g in (1.0, STANDARD_GRAVITY, *COUNTS_PER_G):
        if 1 / LIKE_G < length / g < LIKE_G:
            return STANDARD_GRAVITY / g
    raise SourceError(
        f"the acceleration is {length:.4g} long, expected gravity: 1 (g), 9.8 (m/s²) or counts of"
        f" {', '.join(map(str, COUNTS_PER_G))}; hold the sensor still while this starts, or set"
        ' accel_unit to "g", "m/s2" or the counts per g'
    )


def _gyro_unit(unit: Unit | None) -> float:
    if unit is not None:
        return _of("gyro_unit", unit, GYRO_UNITS, GYRO_UNITS["dps"])
    raise SourceError(
        "lines of six axes came, which do not say what the gyro's unit is:"
        ' set gyro_unit to "dps", "rad/s" or the counts per dps'
    )


def _of(key: str, unit: Unit, names: Mapping[str, float], per_whole: float) -> float:
    """What one of the sender's units is, in SI."""
    if isinstance(unit, str):
        if unit in names:
            return names[unit]
    elif unit > 0:
        return per_whole / unit
    expected = " or ".join(f'"{name}"' for name in names)
    raise SourceError(f"{key} is {unit!r}, expected {expected}, or a number of counts above 0")


def per_count(most: float, full_scale: float) -> float:
    """What a count is worth when int16 holds `full_scale`, or the doubled one that `most` needs."""
    doublings = max(ceil(log2(most / full_scale)), 0) if most > 0 else 0
    return full_scale * 2.0**doublings / 32768
