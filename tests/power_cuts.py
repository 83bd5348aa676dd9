"""A device loses its power, or its disk fails, in the middle of being taught: at every n-th call.

    .venv/bin/python tests/power_cuts.py [points]

Prints how many points of each kind were tried, and stops at the first at which something that was
acknowledged is not there, or the journal is not whole. `faults/shim.c` is between the device and
the disk, `faults/disk.py` makes files as a power cut leaves them.
"""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from faults.disk import Disk, Record, read_log
from faults.life import RATE_HZ, SCALE, rows, teacher_of, untaught

from learner.journal_rescue import open_or_rescue

HERE = Path(__file__).parent / "faults"
NONE, KILL, TEAR_KILL, IO_ERROR, FULL, TEAR_ERROR, SHORT, IO_ERROR_ON, FULL_ON = range(9)
FAULTS = {
    KILL: "killed",
    TEAR_KILL: "killed in the middle of a write",
    IO_ERROR: "one call fails",
    FULL: "one call finds the disk full",
    TEAR_ERROR: "half a write, then an error",
    SHORT: "half a write, which says so",
    IO_ERROR_ON: "every call fails from then on",
    FULL_ON: "the disk is full from then on",
}
ROW_US = 1e6 / RATE_HZ
CUTS = ("nothing", "all", "first", "any")

Standing = list[tuple[str, int, int | None]]


class Told(NamedTuple):
    """What the device said of itself."""

    what: str  # begun, done, denied, refused
    command: list[object]
    standing: Standing
    stored: list[list[int]]  # run, first row, number of rows, when the run began


class Device:
    """Lives of a device, one process each, that are started from one that is ready."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shim = folder / "shim.so"
        self._number = 0

    def __enter__(self) -> Self:
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-o", self._shim, HERE / "shim.c", "-ldl"],
            check=True,
        )
        self._process = subprocess.Popen(
            [sys.executable, HERE / "life.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "LD_PRELOAD": str(self._shim),
                "FAULTS_FOLDER": str(self._folder),
                "PYTHONPATH": os.pathsep.join(map(str, [HERE.parent.parent, HERE.parent])),
                "OPENBLAS_NUM_THREADS": "1",
            },
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def live(self, seed: int, kind: int = NONE, call: int = 0) -> tuple[Path, list[Record], int]:
        """Live once; the folder of the journal, the log of the disk, the exit code."""
        assert self._process.stdin
        assert self._process.stdout
        self._number += 1
        folder = self._folder / f"life{self._number}"
        folder.mkdir()
        self._process.stdin.write(f"{folder} {seed} {kind} {call}\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        log = Path(f"{folder}.log")
        records = read_log(log)
        log.unlink()
        return folder, records, status


def told(records: list[Record]) -> list[Told]:
    said = [json.loads(record.data) for record in records if record.kind == "N"]
    return [
        Told(what, command, [(a, s, e) for a, s, e in standing], stored)
        for what, command, standing, stored in said
    ]


def after(standing: Standing, command: list[object]) -> Standing:
    """What stands after a command."""
    match command:
        case ["Start", str(activity), int(at_us)]:
            return [*standing, (activity, at_us, None)]
        case ["Span", str(activity), int(start_us), int(end_us)]:
            return [*standing, (activity, start_us, end_us)]
        case ["Stop", int(at_us)]:
            return [(a, s, max(at_us, s) if e is None else e) for a, s, e in standing]
        case ["Undo"]:
            return standing[:-1]
        case ["Rename", str(old), str(new)]:
            return [(new if a == old else a, s, e) for a, s, e in standing]
        case ["Forget", str(activity)]:
            return [said for said in standing if said[0] != activity]
    raise AssertionError(command)


def check(folder: Path, records: list[Record], where: str) -> None:
    """The journal is whole, and all that was acknowledged up to here is in it."""
    story = told(records)
    done = [at for at, one in enumerate(story) if one.what == "done"]
    last = story[done[-1]] if done else Told("done", [], [], [])
    in_doubt = story[done[-1] + 1 :] if done else story
    allowed = [last.standing]
    allowed += [after(last.standing, one.command) for one in in_doubt if one.what != "denied"]

    with open_or_rescue(folder / "journal.sqlite") as journal:
        assert journal.rescued is None, f"{where}: {journal.rescued}"
        assert journal._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], where
        there = [(a.activity, a.start_us, a.end_us) for a in journal.annotations]
        assert there in allowed, f"{where}: acknowledged {last.standing}, on the disk {there}"
        lasting = {*last.standing} & {*there}
        runs = {run.id for run in journal._runs}
        for of, first, n, began_us in last.stored:  # a run goes when all of it was pruned
            low_us, past_us = began_us + first * ROW_US, began_us + (first + n) * ROW_US
            for activity, start_us, end_us in lasting if of not in runs else ():
                reached = start_us < past_us and (end_us is None or end_us > low_us)
                assert not reached, f"{where}: {activity} lost run {of}"
        for run in journal._runs:
            found, kept = journal._rows(run, 0, run.rows)
            assert (found[kept] == rows(run.id, 0, run.rows)[kept]).all(), f"{where}: other rows"
            was = [range(first, first + n) for of, first, n, _ in last.stored if of == run.id]
            for activity, start_us, end_us in lasting:
                low, past = run.rows_touched(start_us, 2**62 if end_us is None else end_us)
                lost = [
                    row
                    for stored in was
                    for row in range(max(stored.start, low), min(stored.stop, past))
                    if row >= run.rows or not kept[row]
                ]
                assert not lost, f"{where}: {activity} lost rows {lost[0]} to {lost[-1]}"
        teacher_of(journal, untaught()).rebuild()
        journal.begin_run(journal.end_us, RATE_HZ, SCALE, "again")
        journal.annotate("again", 0, 1, "test")


@contextmanager
def _folder(inside: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=inside))
    yield folder
    shutil.rmtree(folder)


def cut(records: list[Record], inside: Path, rng: random.Random, points: int, where: str) -> None:
    """Cut the power at so many moments of a life."""
    disk, at = Disk(), 0
    for past in sorted(rng.randint(0, len(records)) for _ in range(points)):
        for record in records[at:past]:
            disk.take(record)
        at = past
        how = rng.choice(CUTS)
        with _folder(inside) as folder:
            disk.cut(folder, rng, how)
            check(folder, records[:past], f"{where}, cut after {past} ({how})")


def try_points(inside: Path, points: int, seed: int, *, cuts: int) -> Counter[str]:
    """Try at least so many points; returns how many of each kind. AssertionError for a loss.

    Of each life: the power is cut in it, and each kind of fault happens at a call of it, after
    which the power is cut, too, `cuts` times.
    """
    rng = random.Random(seed)
    tried: Counter[str] = Counter()
    with Device(inside) as device:
        while tried.total() < points:
            life = rng.randrange(10**6)
            _, records, status = device.live(life)
            assert status == 0, f"seed {life}: exit code {status}"
            cut(records, inside, rng, 4 * cuts, f"seed {life}")
            tried["power cut"] += 4 * cuts
            calls = sum(record.kind in "WSTUD" for record in records)
            for kind in [KILL, TEAR_KILL] * (cuts - 1) + [*FAULTS]:
                call = rng.randint(1, calls)
                where = f"seed {life}, {FAULTS[kind]}, call {call}"
                folder, records, status = device.live(life, kind, call)
                expected = -signal.SIGKILL if kind in (KILL, TEAR_KILL) else 0
                assert status == expected, f"{where}: exit code {status}"
                check(folder, records, where)
                tried[FAULTS[kind]] += 1
                if not expected:
                    cut(records, inside, rng, cuts, where)
                    tried["power cut in a life with an error"] += cuts
    return tried


def main() -> None:
    points = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", flush=True)
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        tried = try_points(Path(folder), points, seed, cuts=8)
    for name, n in tried.items():
        print(f"{n:6} {name}")
    print(f"{tried.total():6} points: nothing acknowledged was lost, every journal was whole")


if __name__ == "__main__":
    main()
