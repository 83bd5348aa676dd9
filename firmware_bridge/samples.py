"""Makes the recordings in data_samples/: the simulated wearer, seen through the whole live line.

Wearer, emulated chip, driver, source: what is written is what a Pi would have recorded, a chip
that runs a little slow included. On a virtual clock, so ten minutes take seconds and every run
gives the same bytes.
"""

from pathlib import Path

import numpy as np

from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chips import lsm9ds1 as driver
from firmware_bridge.clock import VirtualClock
from firmware_bridge.csv_file import CsvWriter
from firmware_bridge.emulated_chips import lsm9ds1 as emulated
from firmware_bridge.sources import i2c
from firmware_bridge.wearer import Wearer

# What the wearer does, in seconds.
SCRIPTS: dict[str, list[tuple[str, float]]] = {
    "rest": [("resting", 30)],
    "quarter_turn": [("quarter turn", 20)],
    "mixed_day": [
        ("resting", 60),
        ("walking", 75),
        ("stairs", 30),
        ("walking", 45),
        ("resting", 45),
        ("cycling", 90),
        ("walking", 30),
        ("running", 60),
        ("walking", 30),
        ("stairs", 40),
        ("resting", 40),
        ("running", 25),
        ("cycling", 30),
    ],
}
RATE_HZ = 50.0
RATE_ERROR = -0.013  # of the chip's clock; real ones are off by so much and more
SEED = 1


def record_wearer(name: str, path: Path) -> int:
    """Write the recording `name` to `path`, .csv or .csv.gz; return its rows."""
    if name not in SCRIPTS:
        raise ValueError(f"no wearer is called {name!r}, there are: {', '.join(SCRIPTS)}")
    script = SCRIPTS[name]
    clock = VirtualClock()
    wearer = Wearer(script, SEED)
    chip = emulated.Twin(wearer.motion, clock, rate_error=RATE_ERROR, seed=SEED)
    address = 0x6A  # where the Sense HAT has it
    imu = driver.Driver(EmulatedBus({address: chip}), address, sleep_s=clock.sleep_s)
    source = i2c.Source(imu, clock, rate_hz=RATE_HZ)
    wanted = round(sum(seconds for _, seconds in script) * RATE_HZ)
    written = 0
    origin_s: float | None = None
    with CsvWriter(path, len(source.scale)) as writer:
        for chunk in source.chunks():
            origin_s = chunk.run_start_s if origin_s is None else origin_s
            counts = chunk.counts[: wanted - written]
            rows = chunk.first + np.arange(len(counts))
            times_s = chunk.run_start_s + rows / RATE_HZ
            activities = [wearer.activity(t, t + 1 / RATE_HZ) or "" for t in times_s.tolist()]
            writer.write(times_s - origin_s, counts * source.scale, activities)
            written += len(counts)
            if written == wanted:
                source.close()
    return written
