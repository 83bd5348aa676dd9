"""Makes the recordings in data_samples/: the simulated wearer, seen through the whole live line.

Wearer, emulated chip, driver, source: what is written is what a Pi would have recorded, a chip
that runs a little slow included. On a virtual clock, so ten minutes take seconds and every run
gives the same bytes.
"""

from pathlib import Path

from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chips import lsm9ds1 as driver
from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chips import lsm9ds1 as emulated
from firmware_bridge.recordings.recorder import record
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
    bus = EmulatedBus({driver.ADDRESSES[0]: chip})
    imu = driver.Driver(bus, sleep_s=clock.sleep_s)
    source = i2c.Source(imu, clock, rate_hz=RATE_HZ)
    rows = round(sum(seconds for _, seconds in script) * RATE_HZ)
    return record(source, path, rows, lambda t_s: wearer.activity(t_s, t_s + 1 / RATE_HZ) or "")
