"""Whether an IMU is well, and what it is off by: read for a while as `budge run` would read it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bus import Bus
from firmware_bridge.chip import Chip
from firmware_bridge.clock import Clock
from firmware_bridge.commissioning.calibration import Poses, still
from firmware_bridge.sources.i2c import Source

STANDARD_MODE_HZ = 100_000  # of the bus, unless config.txt says otherwise
PATIENCE_S = 300.0  # to turn a sensor to six sides and rest it on each: a minute does it


class MeteredBus:
    """Passes all on to a bus and counts the bits on the wire."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.bits = 0

    def write(self, address: int, data: bytes) -> None:
        # start | address | data … | stop; each byte has its acknowledge
        self.bits += 2 + 9 * (1 + len(data))
        self._bus.write(address, data)

    def read(self, address: int, register: int, length: int) -> bytes:
        # start | address | register | start | address | data … | stop
        self.bits += 3 + 9 * (3 + length)
        return self._bus.read(address, register, length)

    def close(self) -> None:
        self._bus.close()


class _Timer:
    """A clock that calls `ring` once its time has come, even if no row ever does."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end_s = clock.now_s() + seconds
        self.ring: Callable[[], None] = lambda: None

    def now_s(self) -> float:
        return self._clock.now_s()

    def sleep_s(self, seconds: float) -> None:
        self._clock.sleep_s(seconds)
        if self._clock.now_s() >= self._end_s:
            self.ring()


@dataclass(frozen=True, slots=True)
class Check:
    """What an IMU did in a few seconds on the table."""

    seconds: float
    rows: int
    nominal_hz: float
    rate_hz: float
    bus_load: float  # share of a 100 kHz bus
    gaps: int
    errors: int
    cause: str | None  # of the last gap
    moved: bool
    accel_m_s2: tuple[float, ...]  # mean, in the body's frame
    accel_noise_m_s2: float  # standard deviation, rms over the axes
    gyro_rad_s: tuple[float, ...]  # mean: the bias; empty without a gyro
    gyro_noise_rad_s: float

    @property
    def gravity_m_s2(self) -> float:
        return float(np.linalg.norm(self.accel_m_s2))


def check(chip: Chip, bus: MeteredBus, clock: Clock, seconds: float) -> Check:
    """Run `chip`, which is on `bus`, for so long, and look at what came.

    Raises ImuNotFoundError and ImuFaultError as its start does.
    """
    timer = _Timer(clock, seconds)
    source = Source(chip, timer)
    timer.ring = source.close
    bits, begun_s = bus.bits, clock.now_s()
    chunks = [chunk.counts for chunk in source.chunks()]
    spent_s = clock.now_s() - begun_s
    counts = np.concatenate(chunks) if chunks else np.zeros((0, len(chip.scale)), np.int16)
    rows = np.asarray(counts * chip.scale, np.float64)
    health = source.health()
    return Check(
        seconds=spent_s,
        rows=len(rows),
        nominal_hz=chip.rate_hz,
        rate_hz=health.rate_hz,
        bus_load=(bus.bits - bits) / spent_s / STANDARD_MODE_HZ,
        gaps=health.gaps,
        errors=health.errors,
        cause=health.cause,
        moved=len(rows) > 0 and not still(rows),
        accel_m_s2=_mean(rows[:, :3]),
        accel_noise_m_s2=_noise(rows[:, :3]),
        gyro_rad_s=_mean(rows[:, 3:]),
        gyro_noise_rad_s=_noise(rows[:, 3:]),
    )


def rest_poses(
    chip: Chip, clock: Clock, found: Callable[[Poses], None], patience_s: float = PATIENCE_S
) -> Poses:
    """Watch `chip` until it has rested in enough poses, or patience is out; tell of each found."""
    timer = _Timer(clock, patience_s)
    source = Source(chip, timer)
    timer.ring = source.close
    poses, run = Poses(source.rate_hz), 0
    for chunk in source.chunks():
        if chunk.run != run:
            poses.interrupt()
            run = chunk.run
        if poses.push(chunk.counts * source.scale):
            found(poses)
            if poses.enough():
                source.close()
    return poses


def _mean(rows: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in rows.mean(axis=0)) if len(rows) else ()


def _noise(rows: NDArray[np.float64]) -> float:
    return float(np.sqrt(rows.var(axis=0).mean())) if rows.size else 0.0
