"""`budge bench learning`: its windows, its tables, and what starting costs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from deploy.evaluating import People
from deploy.tables import print_table
from firmware_bridge.wearer import Wearer
from learner.evaluation.speed import (
    COMPACT,
    SAME,
    Cost,
    Entrant,
    LongRun,
    Traffic,
    memory_bytes,
)
from learner.evaluation.windows import Stretch, cut
from learner.sums import SHEAF

RATE_HZ, WINDOW_S, HOP_S = 50.0, 2.56, 1.28
ACTIVITIES = ("resting", "walking", "stairs", "running", "cycling")
STRETCH_S = 60.0
SEED = 0

RACES: dict[str, Callable[[Entrant], float]] = {
    "a prediction": lambda e: e.predict.median,
    "a lesson and a prediction, solver beside the line": lambda e: (
        e.learn.median + e.next_predict.median
    ),
    "a lesson and a prediction, solver in the path": lambda e: (
        e.learn.median + e.settle.median + e.next_predict.median
    ),
}

STARTS = 5  # of each program; the median is told
RUN_S = 10.0  # by then a line that starts has judged some windows
# As where no extra is installed: what comes with them, numba imports wherever it finds it.
LEAN = "import sys\nsys.modules.update(scipy=None, cffi=None)\n"
ONE_PREDICTION = """
import numpy as np
from learner import Recognizer
r = Recognizer(50.0, 6, 2.56)
window = np.random.default_rng(0).standard_normal((r.window_rows, 6)).astype(np.float32)
r.learn(window, "a")
r.predict(window)
"""
KERNEL = """
import numba
@numba.njit(cache=True)
def add_one(x):
    return x + 1.0
"""
ONE_COMPILED = """
import time, numba
numba.njit(lambda x: x + 1.0)(1.0)
time.sleep(60)
"""
RUN = "import sys; sys.argv = ['budge', 'run', '-c', 'b.toml']; from deploy.cli import main; main()"
SETTINGS = 'outputs = ["console"]\nstate_dir = "state"\n[i2c]\nbus = "emulated"\n'


def wearer() -> People:
    """Two sessions of somebody who does not exist: no figure of it says anything about people."""
    plan = [(activity, STRETCH_S) for activity in ACTIVITIES]
    seconds = np.arange(round(2 * STRETCH_S * len(plan) * RATE_HZ)) / RATE_HZ
    samples = Wearer(plan * 2, SEED).motion(seconds).astype(np.float32)
    labels = np.repeat(np.tile(np.arange(len(plan)), 2), round(STRETCH_S * RATE_HZ))
    half = len(samples) // 2
    sessions = [
        Stretch(0, samples[part], labels[part]) for part in (slice(half), slice(half, None))
    ]
    return People(cut(sessions, RATE_HZ, WINDOW_S, HOP_S, ACTIVITIES), ("wearer",))


def print_race(entrants: Sequence[Entrant]) -> None:
    """Print all of them, and how much slower the fastest rival is."""
    budge, *rivals = entrants
    head = ["", "features", "predict", "learn", "settle", "next predict", "% right"]
    for seen in dict.fromkeys(each.seen for each in entrants):
        rows = [
            [
                *(each.name, _cost(each.features), _cost(each.predict), _cost(each.learn)),
                *(_cost(each.settle), _cost(each.next_predict), f"{100 * each.accuracy:.1f}"),
            ]
            for each in entrants
            if each.seen == seen
        ]
        title = f"{seen}: µs from the raw window on, median / 99th percentile"
        print_table(title, head, rows)
    if not rivals:
        print("  nobody to compare with: pip install 'budge[bench]'\n")
        return
    rows = []
    for what, cost in RACES.items():
        row = [what]
        for seen in (COMPACT, SAME):
            fastest = min((each for each in rivals if each.seen == seen), key=cost)
            times = cost(fastest) / cost(budge)
            row.append(f"{times:.2g} {fastest.name}, {100 * fastest.accuracy:.1f} % right")
        rows.append(row)
    print_table(
        f"how many times longer the fastest of the others takes, budge being right in"
        f" {100 * budge.accuracy:.1f} %",
        ["from the raw window to", COMPACT, SAME],
        rows,
    )


def print_traffic(traffic: Traffic) -> None:
    """Print what a lesson cannot do without, and how much more it takes."""
    least = traffic.read_and_written
    print(
        f"a lesson changes {traffic.changed_bytes / 1024:.0f} KiB of sums; to read and write that"
        f" takes {_cost(least)} µs.\n  Summing it up takes {_cost(traffic.summed)} µs,"
        f" {traffic.summed.median / least.median:.1f} times as long;\n"
        f"  of lessons in a row, {SHEAF} of which are summed up at once,"
        f" {_cost(traffic.in_a_row)} µs each.\n"
    )


def print_long_run(run: LongRun) -> None:
    """Print whether the last windows cost what the first did."""
    print_table(
        f"{run.windows} windows taught, µs, median / 99th percentile",
        ["", "first tenth", "last tenth", "ratio of medians"],
        [
            [name, _cost(first), _cost(last), f"{last.median / first.median:.2f}"]
            for name, (first, last) in (
                ("learn", run.learn),
                ("settle", run.settle),
                ("predict", run.predict),
            )
        ],
    )
    if run.grown_bytes is not None:
        print(f"  memory grew by {run.grown_bytes / 1024:+.0f} KiB after the first tenth\n")


def print_start() -> None:
    """Print how long a start takes and how much memory a line, beside numba alone."""
    with TemporaryDirectory() as folder:
        Path(folder, "kernel.py").write_text(KERNEL)
        compiler = _seconds("import numba", folder)
        kernel = _seconds("import kernel; kernel.add_one(1.0)", folder)
        prediction = _seconds(ONE_PREDICTION, folder)
    print(f"process start to first prediction {prediction:.2f} s")
    print(f"  python -c 'import numba' {compiler:.2f} s: {prediction / compiler:.2f} times as long")
    print(f"  and one cached kernel {kernel:.2f} s: {prediction / kernel:.2f} times as long")
    least, line = _peak_bytes(ONE_COMPILED), _peak_bytes(RUN)
    if least is not None and line is not None:
        print(
            f"peak memory of budge run {line / 2**20:.0f} MiB, of numba with one compiled function"
        )
        print(f"  {least / 2**20:.0f} MiB: {line / least:.2f} times as much")


def _cost(cost: Cost) -> str:
    return f"{cost.median:.0f} / {cost.p99:.0f}"


def _seconds(code: str, folder: str) -> float:
    """Median time of a process in `folder`, its caches warm: numba's, and Python's bytecode."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(1 + STARTS):
        start = time.perf_counter()
        subprocess.run(  # noqa: S603  # our own code
            [sys.executable, "-c", LEAN + code], check=True, cwd=folder, env=environment
        )
        times.append(time.perf_counter() - start)
    return median(times[1:])


def _peak_bytes(code: str) -> int | None:
    """The most memory that a process held in its first RUN_S; then it is ended."""
    with TemporaryDirectory() as folder:
        Path(folder, "b.toml").write_text(SETTINGS)
        process = subprocess.Popen(  # noqa: S603  # our own code
            [sys.executable, "-c", code],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(RUN_S)
        peak = memory_bytes("VmHWM", process.pid)
        process.terminate()
        process.wait(RUN_S)
    return peak
