"""What sensing is worth in figures: how true the rate, how clean the rows, how little it costs.

Every chip that has a driver and a twin is read through the real source on the emulated bus, on a
virtual clock (but for the cost). So the figures are of this code; a board adds its own.
"""

import gc
import importlib
import os
import pkgutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, log10, pi
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import firmware_bridge.chips
import firmware_bridge.emulated_chips
from firmware_bridge.bus import Bus
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chip import STANDARD_GRAVITY, Chip
from firmware_bridge.clock import Clock, MonotonicClock, VirtualClock
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.rows.resample import Resampler
from firmware_bridge.source import Chunk
from firmware_bridge.sources.i2c import Source

GRID_HZ = 50.0
CLOCK_ERRORS = (-0.20, -0.10, -0.05, 0.0, 0.05, 0.10, 0.20)
TONES_HZ = tuple(range(1, 11))
JITTER_S = 0.005  # 1 sigma
MEASURED_S = 60.0
PLACE_S = 5.0  # a swing's delay is fitted over so long: the chip's noise averages out
SWING_HZ, SWING_M_S2 = 0.7, 20.0
WARM_S = 600.0  # of emulated time, after which memory must not grow


def chip_names() -> list[str]:
    """Chips with a driver and a twin, in order of the alphabet."""
    drivers, twins = (
        {module.name for module in pkgutil.iter_modules(package.__path__)}
        for package in (firmware_bridge.chips, firmware_bridge.emulated_chips)
    )
    return sorted(drivers & twins)


def emulated(
    name: str, motion: Motion, clock: Clock, rate_error: float = 0.0, seed: int = 0
) -> tuple[Any, EmulatedBus]:
    """Return a twin and the bus it is on, at its usual address."""
    module = importlib.import_module(f"firmware_bridge.emulated_chips.{name}")
    twin = module.Twin(motion, clock, rate_error=rate_error, seed=seed)
    return twin, EmulatedBus({_driver_module(name).ADDRESSES[0]: twin})


def driver(name: str, bus: Bus, clock: Clock) -> Chip:
    """Return the driver of the chip at its usual address, not yet started."""
    chip: Chip = _driver_module(name).Driver(bus, sleep_s=clock.sleep_s)
    return chip


def _driver_module(name: str) -> Any:
    return importlib.import_module(f"firmware_bridge.chips.{name}")


class JitteryClock:
    """A host under load: it wakes up late, and what it takes for now is off as often as not.

    The error stays the same between two sleeps, so that no look at the clock gives it away.
    """

    def __init__(self, true: VirtualClock, jitter_s: float, seed: int) -> None:
        self._true = true
        self._jitter_s = jitter_s
        self._rng = np.random.default_rng(seed)
        self._off_s = 0.0

    def now_s(self) -> float:
        return self._true.now_s() + self._off_s

    def sleep_s(self, seconds: float) -> None:
        late_s, self._off_s = self._jitter_s * self._rng.standard_normal(2)
        self._true.sleep_s(seconds + abs(late_s))


@dataclass(frozen=True, slots=True)
class Timing:
    """What became of one chip's clock after `MEASURED_S`."""

    chip: str
    clock_error: float  # of the chip, as a part of its nominal rate
    rate_error: float  # of the measured rate, as a part of the true one
    place_s: float  # the furthest any stretch of `PLACE_S` lay from where its rows say


def timing(name: str, clock_error: float, seed: int = 0) -> Timing:
    """Let the source measure a chip that is `clock_error` fast, from a host with jitter."""
    true = VirtualClock(1000.0)
    period_s = 0.0

    def swung(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal period_s
        if len(times_s) > 1:
            period_s = float(times_s[1] - times_s[0])  # the chip's own, whatever it says
        rows = np.zeros((len(times_s), 6))
        rows[:, 0] = SWING_M_S2 * np.sin(2 * pi * SWING_HZ * times_s)
        rows[:, 2] = STANDARD_GRAVITY
        return rows

    _, bus = emulated(name, swung, true, clock_error, seed)
    host = JitteryClock(true, JITTER_S, seed)
    source = Source(driver(name, bus, true), host, rate_hz=GRID_HZ)
    chunks = [*_until(true.now_s() + MEASURED_S, source.chunks(), true)]
    rate_error = source.health().rate_hz * period_s - 1
    counts = np.concatenate([chunk.counts[:, 0] for chunk in chunks])
    times_s = chunks[0].run_start_s + np.arange(len(counts)) / GRID_HZ
    return Timing(name, clock_error, rate_error, _worst_place_s(times_s, counts * source.scale[0]))


def _until(end_s: float, chunks: Iterator[Chunk], clock: Clock) -> Iterator[Chunk]:
    while clock.now_s() < end_s:
        yield next(chunks)


def _worst_place_s(times_s: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    phase = 2 * pi * SWING_HZ * times_s
    off = x - SWING_M_S2 * np.sin(phase)
    slope = SWING_M_S2 * 2 * pi * SWING_HZ * np.cos(phase)
    length = round(PLACE_S * GRID_HZ)
    stretches = [slice(k, k + length) for k in range(0, len(x) - length + 1, length)]
    return max(abs(float(off[s] @ slope[s] / (slope[s] @ slope[s]))) for s in stretches)


def resampling_error_db(from_hz: float, tone_hz: float) -> float:
    """Return the error of a sine on the grid against that sine, in dB; the rate is known."""
    times_s = np.arange(round(20 * from_hz)) / from_hz
    resampler = Resampler(from_hz / GRID_HZ, channels=1)
    places = resampler.position
    rows = resampler.push(np.sin(2 * pi * tone_hz * times_s)[:, None])[:, 0]
    true_s = places / from_hz + np.arange(len(rows)) / GRID_HZ
    true = np.sin(2 * pi * tone_hz * true_s)
    power = float(np.mean((rows - true) ** 2) / np.mean(true**2))
    return 10 * log10(power) if power else -inf


def worst_resampling_db(name: str, tone_hz: float) -> float:
    """Return the largest error of a sine over all clock errors of a chip."""
    _, bus = emulated(name, _resting, VirtualClock())
    nominal_hz = driver(name, bus, VirtualClock()).rate_hz
    return max(resampling_error_db(nominal_hz * (1 + error), tone_hz) for error in CLOCK_ERRORS)


class MeteredBus:
    """A bus that adds up the CPU time spent beyond it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.cpu_s = 0.0
        self.transfers = 0

    def write(self, address: int, data: bytes) -> None:
        begun_s = time.thread_time()
        self._bus.write(address, data)
        self.cpu_s += time.thread_time() - begun_s
        self.transfers += 1

    def read(self, address: int, register: int, length: int) -> bytes:
        begun_s = time.thread_time()
        answer = self._bus.read(address, register, length)
        self.cpu_s += time.thread_time() - begun_s
        self.transfers += 1
        return answer

    def close(self) -> None:
        self._bus.close()


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of the reading thread: source and driver, and apart from it what emulates."""

    chip: str
    seconds: float  # of sensor time
    cpu_s: float  # source and driver, with the metering of the bus
    emulation_cpu_s: float  # bus and twin; on a Pi the kernel's I2C instead
    transfers: int


def cost(name: str, seconds: float, clock: Clock | None = None) -> Cost:
    """Drain a resting chip as the service does; in real time unless another clock is given."""
    clock = clock or MonotonicClock()
    _, bus = emulated(name, _resting, clock)
    metered = MeteredBus(bus)
    chunks = Source(driver(name, metered, clock), clock, rate_hz=GRID_HZ).chunks()
    next(chunks)  # started, and the rate is measured
    begun_s, cpu_s, beyond_s = clock.now_s(), time.thread_time(), metered.cpu_s
    transfers = metered.transfers
    for _ in _until(begun_s + seconds, chunks, clock):
        pass
    emulation_cpu_s = metered.cpu_s - beyond_s
    return Cost(
        chip=name,
        seconds=clock.now_s() - begun_s,
        cpu_s=time.thread_time() - cpu_s - emulation_cpu_s,
        emulation_cpu_s=emulation_cpu_s,
        transfers=metered.transfers - transfers,
    )


def _resting(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.tile([0.0, 0.0, STANDARD_GRAVITY, 0.0, 0.0, 0.0], (len(times_s), 1))


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much memory grew after the first `WARM_S`."""

    chip: str
    seconds: float
    blocks: int  # objects that Python holds
    rss_bytes: int  # of the process; arrays lie outside Python's blocks


def growth(name: str, seconds: float) -> Growth:
    """Read a resting chip on a virtual clock, for `WARM_S` and then for so long again."""
    clock = VirtualClock()
    _, bus = emulated(name, _resting, clock)
    chunks = Source(driver(name, bus, clock), clock, rate_hz=GRID_HZ).chunks()
    held: list[tuple[int, int]] = []
    for end_s in (WARM_S, WARM_S + seconds):
        for _ in _until(end_s, chunks, clock):
            pass
        held.append(_held())
    (blocks, rss_bytes), (blocks_after, rss_bytes_after) = held
    return Growth(name, seconds, blocks_after - blocks, rss_bytes_after - rss_bytes)


def _held() -> tuple[int, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return sys.getallocatedblocks(), pages * os.sysconf("SC_PAGE_SIZE")
