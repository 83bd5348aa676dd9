"""Days of a sensor's life in an hour, in which all goes wrong that can: what has grown by it.

    .venv/bin/python tests/soak.py [--days 4] [--seed N] [--folder DIR]

An emulated chip under the real driver on a virtual clock, the real line with its journal on the
disk, a real mosquitto with the real MQTT output; `soaked.py` has who teaches it and what happens.
Prints what was held in each tenth of the time, also where it is ended by Ctrl+C, and fails where
after any life an acknowledged label is not in the journal as it was acknowledged, or where
something has grown. In a folder that is kept another soak goes on where this one ended.
"""

import argparse
import ctypes
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

import numpy as np
import pytest
from budge import ROOT
from mosquitto import Mosquitto
from scripted import rebuilt
from soak_ledger import Ledger
from soaked import Owner, Phone, Sensor, SoakClock

from deploy.models import open_recognizer
from deploy.outputs.mqtt import Output as MqttOutput
from deploy.service import serve, warm_up
from deploy.settings import Journal as JournalSettings
from deploy.settings import Labelling, Mqtt, Settings
from firmware_bridge.emulated_chip import Motion
from firmware_bridge.figures import driver, emulated
from firmware_bridge.sources.i2c import Source
from firmware_bridge.wearer import Wearer, demo_plan
from learner.journal import Journal
from learner.journal_check import verify

CHIP = "bmi160"  # of all with a gyro the cheapest to read, having a deep FIFO
DRAIN_S = 0.35
DAY_S, HOUR_S = 86400.0, 3600
EPOCH_S = 1_800_000_000  # of the wall clock, which goes with the sensor's
PAUSE_S = 30.0  # between two lives
WARM_S = 4500.0  # until rows are pruned as fast as they come
EVERY_S = 1200.0  # between two things that happen, on average
SAMPLES = 40
TENTHS = 10
LIMIT_MIN = 2.0  # of a forgotten stop: what is learnt costs a hundred times what is only seen
MOVES_HZ = 100  # as the chip samples
M_MMAP_THRESHOLD = -3  # of glibc's mallopt


class Held(NamedTuple):
    """What the process holds at one moment; the whole of it, with who teaches."""

    resident_mb: float
    objects: int
    threads: int
    handles: int
    journal_mb: float


# From the first tenth to the last, more than which is growth.
# (what went by last, in deploy/record.py, comes to 15,000 objects after two hours of a life)
# (a journal has as much as was ever in use at once: rows, what is taught, and its WAL)
ROOM = Held(resident_mb=15, objects=20_000, threads=1, handles=2, journal_mb=8)


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


def as_the_service_does() -> None:
    """Let go of large arrays at once, as MALLOC_MMAP_THRESHOLD_ in budge.service says."""
    unit = (ROOT / "deploy" / "budge.service").read_text(encoding="utf-8")
    threshold = int(unit.partition("MALLOC_MMAP_THRESHOLD_=")[2].split()[0])
    assert ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, threshold) == 1


def hour_of(wearer: Wearer) -> Motion:
    """One hour of a wearer, again and again: looked up, since working it out takes longer."""
    minutes = np.arange(HOUR_S * MOVES_HZ).reshape(60, -1) / MOVES_HZ
    moves = np.concatenate([wearer.motion(minute).astype(np.float32) for minute in minutes])
    return lambda t_s: moves[np.rint(t_s * MOVES_HZ).astype(int) % len(moves)].astype(float)


def begun(settings: Settings) -> Ledger:
    """Open the account, with what an earlier soak left in the same folder."""
    settings.state_path().mkdir(parents=True, exist_ok=True)
    with Journal(settings.state_path() / "journal.sqlite") as journal:
        return Ledger.of(journal)


def soak(days: float, seed: int, folder: Path, every_s: float = EVERY_S) -> Soaked:
    """Live so long. AssertionError where a command is never answered.

    `every_s`: between two things that happen, on average.
    """
    as_the_service_does()
    clock = SoakClock()
    with Mosquitto(folder) as broker, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            time, "time_ns", lambda: round((EPOCH_S + clock.now_s() + clock.wrong_s) * 1e9)
        )
        settings = Settings(
            device="soaked",
            state_dir=str(folder / "state"),
            journal=JournalSettings(retain_hours=1.0),
            labelling=Labelling(limit_min=LIMIT_MIN),
            mqtt=Mqtt(port=broker.port),
        )
        sensor = Sensor(*emulated(CHIP, hour_of(Wearer(demo_plan(seed), seed)), clock, seed=seed))
        phone = Phone(broker.port, f"budge/{settings.device}/")
        ledger = begun(settings)
        owner = Owner(clock, sensor, broker, phone, seed=seed, every_s=every_s, ledger=ledger)
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
    lost: list[str] = []
    while not owner.ended and (lives == 0 or owner.restarting):
        lives += 1
        source = Source(driver(CHIP, sensor.bus, clock), clock, drain_s=DRAIN_S)
        owner.live(MqttOutput(settings, None))
        serve(settings, source, [owner.mqtt, owner], stop=clock.ended)
        owner.died()
        lost += _lost(settings, owner.ledger)
        clock.pass_by(PAUSE_S)
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
{len(ledger.standing)} labels stand, {ledger.ended_by_themselves} have ended by themselves, \
{len(soaked.lost)} lost
the model is {"" if soaked.same_model else "not "}the one that the journal makes"""
    return "\n".join([head, *rows, told, *soaked.lost, *soaked.grown])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--folder", type=Path, help="kept, and gone on with if there is one")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        soaked = soak(given.days, given.seed, given.folder or Path(folder))
    print(table(soaked))
    sys.exit(bool(soaked.lost or soaked.grown or not soaked.same_model))


if __name__ == "__main__":
    main()
