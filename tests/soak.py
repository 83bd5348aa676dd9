"""Days of a sensor's life in an hour, in which all goes wrong that can: what has grown by it.

    .venv/bin/python tests/soak.py [--days 4] [--seed N]

An emulated chip under the real driver on a virtual clock, the real line with its journal on the
disk, a real mosquitto with the real MQTT output; `soaked.py` has who teaches it and what happens.
Prints what was held in each tenth of the time, and fails where an acknowledged label is not in the
journal as it was acknowledged, or where something has grown.
"""

import argparse
import gc
import logging
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest
from mosquitto import Mosquitto
from scripted import rebuilt
from soak_ledger import Ledger
from soaked import Owner, Phone, Sensor, SoakClock

from deploy.models import open_recognizer
from deploy.outputs.mqtt import Output as MqttOutput
from deploy.service import serve, warm_up
from deploy.settings import Journal as JournalSettings
from deploy.settings import Mqtt, Settings
from firmware_bridge.figures import driver, emulated
from firmware_bridge.sources.i2c import Source
from firmware_bridge.wearer import Wearer, demo_plan
from learner.journal import Journal
from learner.journal_check import verify

CHIP = "bmi160"  # of all with a gyro the cheapest to read, having a deep FIFO
DRAIN_S = 0.35
DAY_S = 86400.0
EPOCH_S = 1_800_000_000  # of the wall clock, which goes with the sensor's
PAUSE_S = 30.0  # between two lives
WARM_S = 4500.0  # until rows are pruned as fast as they come
EVERY_S = 1200.0  # between two things that happen, on average
SAMPLES = 200
TENTHS = 10


class Held(NamedTuple):
    """What the process holds at one moment; the whole of it, with who teaches."""

    resident_mb: float
    objects: int
    threads: int
    handles: int
    journal_mb: float


# From the first tenth to the last, more than which is growth.
# (what went by last, in deploy/record.py, comes to 15,000 objects after two hours of a life)
ROOM = Held(resident_mb=15, objects=20_000, threads=1, handles=2, journal_mb=4)


class Soaked(NamedTuple):
    """What became of it."""

    days: float
    took_s: float
    tenths: list[Held]  # the medians of each
    ledger: Ledger
    happened: Counter[str]
    by_mqtt: int
    lives: int
    lost: list[str]  # sentences
    same_model: bool  # the one that learnt live, and the one that follows from the journal

    @property
    def grown(self) -> list[str]:
        if len(self.tenths) < TENTHS:
            return ["it was ended too soon to say what has grown"]
        first, last = self.tenths[0], self.tenths[-1]
        return [
            f"{name} grew from {before:g} to {after:g}"
            for name, before, after, room in zip(Held._fields, first, last, ROOM, strict=True)
            if after - before > room
        ]


def held(folder: Path) -> Held:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Held(
        resident_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        objects=sys.getallocatedblocks(),
        threads=threading.active_count(),
        handles=len(list(Path("/proc/self/fd").iterdir())),
        journal_mb=sum(file.stat().st_size for file in folder.glob("journal.sqlite*")) / 1e6,
    )


def soak(days: float, seed: int, folder: Path, every_s: float = EVERY_S) -> Soaked:
    """Live so long. AssertionError where a command is never answered.

    `every_s`: between two things that happen, on average.
    """
    clock = SoakClock()
    with Mosquitto(folder) as broker, pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: round((EPOCH_S + clock.now_s()) * 1e9))
        settings = Settings(
            device="soaked",
            state_dir=str(folder / "state"),
            journal=JournalSettings(retain_hours=1.0),
            mqtt=Mqtt(port=broker.port),
        )
        wearer = Wearer(demo_plan(seed), seed)
        sensor = Sensor(*emulated(CHIP, lambda t_s: wearer.motion(t_s % DAY_S), clock, seed=seed))
        phone = Phone(broker.port, f"budge/{settings.device}/")
        owner = Owner(clock, sensor, broker, phone, seed=seed, every_s=every_s)
        try:
            return _live(settings, clock, owner, sensor, days * DAY_S)
        finally:
            phone.close()


def _live(
    settings: Settings, clock: SoakClock, owner: Owner, sensor: Sensor, seconds: float
) -> Soaked:
    began_s, folder = time.monotonic(), settings.state_path()
    warm_up(settings)
    samples: list[Held] = []

    def sample() -> None:
        samples.append(held(folder))
        if len(samples) < SAMPLES:
            clock.at(clock.now_s() + seconds / SAMPLES, sample)

    clock.at(WARM_S + seconds / SAMPLES, sample)
    clock.at(WARM_S + seconds, owner.end)
    lives = 0
    while not owner.ended and (lives == 0 or owner.restarting):
        lives += 1
        source = Source(driver(CHIP, sensor.bus, clock), clock, drain_s=DRAIN_S)
        owner.live(MqttOutput(settings, None))
        serve(settings, source, [owner.mqtt, owner], stop=clock.ended)
        owner.died()
        clock.pass_by(PAUSE_S)
    lost = _lost(settings, owner.ledger)
    with Journal(folder / "journal.sqlite") as journal:
        model, _ = open_recognizer(settings, journal, len(source.scale))
    size = len(samples) / TENTHS
    tenths = [samples[round(k * size) : round((k + 1) * size)] for k in range(TENTHS)]
    return Soaked(
        days=clock.now_s() / DAY_S,
        took_s=time.monotonic() - began_s,
        tenths=[Held(*map(median, zip(*tenth, strict=True))) for tenth in tenths if tenth],
        ledger=owner.ledger,
        happened=owner.happened,
        by_mqtt=owner.by_mqtt,
        lives=lives,
        lost=lost,
        same_model=model.digest() == rebuilt(folder, settings, len(source.scale)),
    )


def _lost(settings: Settings, ledger: Ledger) -> list[str]:
    path = settings.state_path() / "journal.sqlite"
    verify(path)
    with Journal(path) as journal:
        return ledger.lost(journal)


def table(soaked: Soaked) -> str:
    """Print it."""
    head = f"{'tenth':>6}" + "".join(f"{name:>13}" for name in Held._fields)
    rows = [
        f"{k:6}" + "".join(f"{value:13.1f}" if value % 1 else f"{value:13.0f}" for value in tenth)
        for k, tenth in enumerate(soaked.tenths, 1)
    ]
    ledger = soaked.ledger
    happened = ", ".join(f"{n} {kind}" for kind, n in soaked.happened.most_common())
    speed = soaked.days * DAY_S / soaked.took_s
    told = f"""\
{soaked.days:.2f} days of sensor time in {soaked.took_s:.0f} s, {speed:.0f} times as fast
{soaked.lives} lives; tried: {happened}
{ledger.acknowledged} commands acknowledged, {ledger.refused} refused; {soaked.by_mqtt} by MQTT
{len(ledger.standing)} labels stand, {len(soaked.lost)} lost
the model is {"" if soaked.same_model else "not "}the one that the journal makes"""
    return "\n".join([head, *rows, told, *soaked.lost, *soaked.grown])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        soaked = soak(given.days, given.seed, Path(folder))
    print(table(soaked))
    sys.exit(bool(soaked.lost or soaked.grown or not soaked.same_model))


if __name__ == "__main__":
    main()
