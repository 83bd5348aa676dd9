"""A device that is taught, over and over, each time in a process of its own with a fault in it.

Started with the shim before it; reads `folder seed kind call` from standard input, a line a life,
and answers with its exit code. The log of what it wrote is `folder.log`.
"""

import ctypes
import json
import logging
import os
import random
import sqlite3
import sys
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.gestures import Forget, RefusedError, Rename, Span, Start, Stop, Teaching, Undo
from deploy.labelling import Labelling
from deploy.record import Record
from learner import Recognizer
from learner.journal import Journal
from learner.journal_file import JournalError
from learner.lessons import Teacher

S = 1_000_000
RATE_HZ = 50.0
SCALE = np.full(3, 0.001, np.float32)
COMMANDS = 40
NAMES = ("walking", "resting", "stairs")
HUSHED = "rendezvous"  # in stretches of its own, and forgotten


def rows(run: int, first: int, n: int) -> NDArray[np.int16]:
    """What the sensor saw then: from the numbers it can be told where a row belongs."""
    at = np.arange(first, first + n)[:, None] * 3 + np.arange(3)
    return ((at * 7919 + run * 104729) % 60000 - 30000).astype(np.int16)


def untaught() -> Recognizer:
    return Recognizer(RATE_HZ, 3, 0.64, "naive_bayes")


def teacher_of(journal: Journal, recognizer: Recognizer) -> Teacher:
    return Teacher(journal, recognizer, hop=16, guard_us=200_000)


def command(rng: random.Random, labelling: Labelling, now_us: int) -> Teaching:
    """Choose what a thumb does next."""
    activity, chance = rng.choice(NAMES), rng.random()
    known = {said.activity for said in labelling._journal.annotations}
    if labelling.teaching is not None and chance < 0.5:
        return Stop(now_us)
    if labelling.teaching is None and chance < 0.2:
        return Start(activity, now_us)
    if known and chance < 0.3:
        return Undo()
    if activity in known and chance < 0.4:
        return Rename(activity, rng.choice([*NAMES, "cycling"]))
    if HUSHED in known and chance < 0.6:
        return Forget(HUSHED)
    back_us = rng.randint(2, 20) * S
    return Span(HUSHED if chance > 0.9 else activity, max(now_us - back_us, 0), now_us)


class Device:
    """Rows come in, a thumb presses, and the log of the disk is told what was answered."""

    def __init__(self, journal: Journal, rng: random.Random, shim: ctypes.CDLL) -> None:
        self._journal, self._rng, self._shim = journal, rng, shim
        recognizer = untaught()
        self._labelling = Labelling(
            journal,
            teacher_of(journal, recognizer),
            recognizer,
            Record(journal),
            limit_us=3600 * S,
        )
        self._run = self._seen = 0

    def begin_run(self) -> None:
        self._run += 1
        self._seen = 0
        self._journal.begin_run(self._journal.end_us + S, RATE_HZ, SCALE, "start")

    def see(self) -> None:
        part = self._rng.randint(20, 100)
        self._journal.append(rows(self._run, self._seen, part))
        self._seen += part
        if self._journal.keep(durable=self._labelling.teaching is not None):
            self._labelling.tick()

    def press(self) -> None:
        told = command(self._rng, self._labelling, self._journal.end_us)
        self._note("begun", told)
        try:
            self._labelling.handle(told, self._journal.end_us, "test")
        except RefusedError:
            self._note("denied", told)
        except sqlite3.OperationalError:
            self._note("refused", told)
        else:
            self._note("done", told)
        if self._journal.to_wipe:
            with suppress(sqlite3.OperationalError):
                self._journal.wipe()

    def _note(self, what: str, told: Teaching) -> None:
        standing = [[a.activity, a.start_us, a.end_us] for a in self._journal.annotations]
        stored = self._journal._db.execute(
            "SELECT run, first, n, start_us FROM rows JOIN run ON run = run.id"
        ).fetchall()
        command = [type(told).__name__, *told]
        self._shim.faults_note(json.dumps([what, command, standing, stored]).encode())


def live(folder: Path, seed: int, shim: ctypes.CDLL) -> None:
    rng = random.Random(seed)
    with Journal(folder / "journal.sqlite") as journal:
        device = Device(journal, rng, shim)
        for number in range(COMMANDS):
            if number == 0 or rng.random() < 0.1:
                device.begin_run()
            for _ in range(rng.randint(1, 5)):
                device.see()
            journal.remember("transition", rng.randbytes(rng.choice([50, 5000])))
            device.press()
            if number % 10 == 9:
                journal.prune(journal.end_us - 60 * S, 150_000)


def main() -> None:
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    logging.disable()
    warm = untaught()
    warm.learn(np.ones((warm.window_rows, 3), np.float32), "warm")  # not in every life anew
    for line in sys.stdin:
        folder, seed, kind, call = line.split()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                shim.faults_arm(f"{folder}.log".encode(), int(call), int(kind))
                live(Path(folder), int(seed), shim)
                status = 0
            except JournalError as error:
                status = int("cannot be used now" not in str(error))
            except Exception:  # noqa: BLE001 whatever it is, the parent's loop is not the child's
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
