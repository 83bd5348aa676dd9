"""What a window costs: budge against other people's learners, in one run, on the same windows."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from learner.classifier import WindowShape
from learner.described import Describer
from learner.evaluation import rivals
from learner.evaluation.protocols import Split
from learner.evaluation.trial import Pupil
from learner.evaluation.vectorised import Same, compact
from learner.evaluation.windows import Windows
from learner.features import Features, Floats
from learner.recognizer import Recognizer
from learner.sums import SHEAF, Sums

BUDGE = "budge"
COMPACT, SAME = "compact features", "the same features"  # of a rival, both in numpy
RIVALS = ("river_amf", "river_arf", "river_softmax", "sklearn_sgd")
ENTRANTS = 1 + 2 * len(RIVALS)
ASKED = 1000  # predictions timed of each: for a p99 that ten of them exceed
WARM = 10  # lessons that are not timed: they compile, import and allocate
ASK_EVERY = 50  # windows of the long run, for a lesson lasts a minute, not a window


class Racer(Pupil, Protocol):
    """Who may leave something of a lesson for later, and does it when told."""

    def settle(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Cost:
    """Time of one call, in µs."""

    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class Entrant:
    """What one of them costs, from the raw window on, and what it is worth."""

    name: str
    seen: str  # COMPACT or SAME for rivals, BUDGE for budge
    features: Cost
    learn: Cost
    settle: Cost  # what a lesson leaves for later; it may be done beside the line
    next_predict: Cost  # the prediction after that
    predict: Cost  # one among others
    accuracy: float


@dataclass(frozen=True, slots=True)
class LongRun:
    """Whether a window costs the same at the end as at the beginning."""

    windows: int
    learn: tuple[Cost, Cost]  # the first and the last tenth
    settle: tuple[Cost, Cost]
    predict: tuple[Cost, Cost]
    grown_bytes: int | None  # resident memory since the first tenth; None where nobody can tell


@dataclass(frozen=True, slots=True)
class Traffic:
    """The least that a lesson must do: read and write once the sums that it changes."""

    changed_bytes: int
    read_and_written: Cost
    summed: Cost  # by a lesson alone
    in_a_row: Cost  # by each of SHEAF lessons that nobody looks between


def race(windows: Windows, split: Split) -> Iterator[Entrant]:
    """Measure budge, then every rival whose library is installed, on either kind of features."""
    shape = windows.rate_hz, windows.signal.shape[1], windows.length
    own = _recognizer(windows), Features(*shape)
    yield _entrant(*own, windows, split, name=BUDGE, seen=BUDGE)
    numpys: dict[str, Callable[..., Floats]] = {
        COMPACT: partial(compact, rate_hz=windows.rate_hz),
        SAME: Same(*shape),
    }
    for seen, describe in numpys.items():
        for name in RIVALS:
            if name in rivals.names():
                rival = rivals.Rival(name, windows.names, describe)
                yield _entrant(rival, describe, windows, split, name=name, seen=seen)


def long_run(windows: Windows, split: Split, lessons: Iterable[int], count: int) -> LongRun:
    """Teach `count` lessons, the same windows again and again; settle and ask every ASK_EVERY.

    `lessons` counts from 0 to count - 1, so that who calls may show how far it is.
    """
    pupil = _recognizer(windows)
    asked = count // ASK_EVERY
    # filled, so that the pages are there before memory is looked at
    learn, settle, ask = np.full(count, np.nan), np.full(asked, np.nan), np.full(asked, np.nan)
    resident = None
    for k in lessons:
        index = split.taught[k % len(split.taught)]
        samples, name = windows.samples(index), windows.names[windows.labels[index]]
        learn[k] = _timed(pupil.learn, samples, name)
        if (k + 1) % ASK_EVERY == 0:
            samples = windows.samples(split.tested[k % len(split.tested)])
            settle[k // ASK_EVERY] = _timed(pupil.settle)
            ask[k // ASK_EVERY] = _timed(pupil.predict, samples)
            if k // ASK_EVERY == asked // 10:
                resident = memory_bytes("VmRSS")
    end = memory_bytes("VmRSS")
    grown = None if resident is None or end is None else end - resident
    return LongRun(count, _tenths(learn), _tenths(settle), _tenths(ask), grown)


def traffic(windows: Windows, split: Split) -> Traffic:
    """Measure the memory traffic of a lesson beside the whole of its summing up."""
    describer = Describer(WindowShape(windows.rate_hz, windows.signal.shape[1], windows.length))
    sums = Sums(describer.size, describer.blocks)
    taught = []
    for index in split.taught:
        samples = windows.samples(index)
        x = describer.features(samples).copy()
        taught.append((windows.names[windows.labels[index]], x, describer.displaced(samples) - x))
    lessons = cycle(taught)

    def put(count: int) -> None:
        for lesson in islice(lessons, count):
            sums.put(*lesson)
        sums.sum_up()

    summed = [_timed(put, 1) for _ in range(ASKED)]
    sheaves = [_timed(put, SHEAF) / SHEAF for _ in range(ASKED // SHEAF)]
    before = sums.state()
    sums.put(*taught[0])
    changed = sum(int(np.sum(before[name] != array)) for name, array in sums.state().items())
    numbers = np.zeros(changed)
    moved = [_timed(np.add, numbers, 1.0, numbers) for _ in range(ASKED)]
    return Traffic(numbers.nbytes, _cost(moved), _cost(summed), _cost(sheaves))


def memory_bytes(figure: str, process: int | None = None) -> int | None:
    """VmRSS, what this process or that one holds now, or VmHWM, the most it ever did.

    None where the system does not tell: only Linux does.
    """
    status = Path(f"/proc/{process or 'self'}/status")
    if not status.exists():
        return None
    (line,) = [line for line in status.read_text().splitlines() if line.startswith(figure)]
    return int(line.split()[1]) * 1024


def _recognizer(windows: Windows) -> Recognizer:
    return Recognizer(windows.rate_hz, windows.signal.shape[1], windows.window_s)


def _entrant(
    pupil: Racer,
    features: Callable[..., Floats],
    windows: Windows,
    split: Split,
    *,
    name: str,
    seen: str,
) -> Entrant:
    taught, tested = split
    learn, settle, after = [], [], []
    for k, index in enumerate(taught):
        lesson = windows.samples(index), windows.names[windows.labels[index]]
        learn.append(_timed(pupil.learn, *lesson))
        settle.append(_timed(pupil.settle))
        after.append(_timed(pupil.predict, windows.samples(tested[k % len(tested)])))
    asked = [windows.samples(tested[k % len(tested)]) for k in range(ASKED)]
    described = [_timed(features, samples) for samples in asked]
    predict = [_timed(pupil.predict, samples) for samples in asked]
    right = [
        pupil.predict(windows.samples(index)).activity == windows.names[windows.labels[index]]
        for index in tested
    ]
    return Entrant(
        name,
        seen,
        _cost(described),
        _cost(learn[WARM:]),
        _cost(settle[WARM:]),
        _cost(after[WARM:]),
        _cost(predict),
        float(np.mean(right)),
    )


def _timed(call: Callable[..., Any], *arguments: Any) -> float:
    """How long it takes, in µs."""
    start = time.perf_counter_ns()
    call(*arguments)
    return (time.perf_counter_ns() - start) / 1000.0


def _cost(times: Floats | list[float]) -> Cost:
    return Cost(float(np.median(times)), float(np.quantile(times, 0.99)))


def _tenths(times: Floats) -> tuple[Cost, Cost]:
    tenth = max(len(times) // 10, 1)
    return _cost(times[:tenth]), _cost(times[-tenth:])
