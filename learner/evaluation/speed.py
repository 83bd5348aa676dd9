"""What a window costs: budge against other people's learners, in one run, on the same windows."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from learner.evaluation import rivals
from learner.evaluation.protocols import Split
from learner.evaluation.trial import Pupil
from learner.evaluation.vectorised import describe
from learner.evaluation.windows import Windows
from learner.features import Features, Floats
from learner.recognizer import Recognizer

BUDGE = "budge"
RIVALS = ("river_amf", "river_arf", "river_softmax", "sklearn_sgd")
ASKED = 1000  # predictions timed of each: for a p99 that ten of them exceed
WARM = 10  # lessons that are not timed: they compile, import and allocate
ASK_EVERY = 50  # windows of the long run, for a lesson lasts a minute, not a window


@dataclass(frozen=True, slots=True)
class Cost:
    """Time of one call, in µs."""

    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class Entrant:
    """What one of them costs, from the raw window on, and what it is worth."""

    name: str
    features: Cost
    learn: Cost
    first_predict: Cost  # the prediction after a lesson: a lazy solver pays here
    predict: Cost  # those after it
    accuracy: float


@dataclass(frozen=True, slots=True)
class LongRun:
    """Whether a window costs the same at the end as at the beginning."""

    windows: int
    learn: tuple[Cost, Cost]  # the first and the last tenth
    first_predict: tuple[Cost, Cost]
    predict: tuple[Cost, Cost]
    grown_bytes: int | None  # resident memory since the first tenth; None where nobody can tell


@dataclass(frozen=True, slots=True)
class Traffic:
    """The least that a lesson must do: read and write once the numbers that it changes."""

    changed_bytes: int
    read_and_written: Cost
    update: float  # median of a lesson without the features, µs


def race(windows: Windows, split: Split) -> Iterator[Entrant]:
    """Measure budge, then every rival whose library is installed."""
    channels = windows.signal.shape[1]
    own = Features(windows.rate_hz, channels, windows.length)
    yield _entrant(BUDGE, _recognizer(windows), own, windows, split)
    numpys = partial(describe, rate_hz=windows.rate_hz)
    for name in RIVALS:
        if name in rivals.names():
            rival = rivals.Rival(name, windows.names, numpys)
            yield _entrant(name, rival, numpys, windows, split)


def long_run(windows: Windows, split: Split, lessons: Iterable[int], count: int) -> LongRun:
    """Teach `count` lessons, the same windows again and again; ask twice after every ASK_EVERY.

    `lessons` counts from 0 to count - 1, so that who calls may show how far it is.
    """
    pupil = _recognizer(windows)
    asked = count // ASK_EVERY
    # filled, so that the pages are there before memory is looked at
    learn, first, again = np.full(count, np.nan), np.full(asked, np.nan), np.full(asked, np.nan)
    resident = None
    for k in lessons:
        index = split.taught[k % len(split.taught)]
        samples, name = windows.samples(index), windows.names[windows.labels[index]]
        learn[k] = _timed(pupil.learn, samples, name)
        if (k + 1) % ASK_EVERY == 0:
            samples = windows.samples(split.tested[k % len(split.tested)])
            first[k // ASK_EVERY] = _timed(pupil.predict, samples)
            again[k // ASK_EVERY] = _timed(pupil.predict, samples)
            if k // ASK_EVERY == asked // 10:
                resident = memory_bytes("VmRSS")
    end = memory_bytes("VmRSS")
    grown = None if resident is None or end is None else end - resident
    return LongRun(count, _tenths(learn), _tenths(first), _tenths(again), grown)


def traffic(windows: Windows, split: Split) -> Traffic:
    """Measure the memory traffic of a lesson beside what lessons in a row take."""
    pupil = _recognizer(windows)
    features = Features(windows.rate_hz, windows.signal.shape[1], windows.length)
    lessons = [
        (windows.samples(index), windows.names[windows.labels[index]])
        for index in np.resize(split.taught, ASKED).tolist()
    ]
    learn = [_timed(pupil.learn, *lesson) for lesson in lessons]
    described = [_timed(features, samples) for samples, _ in lessons]
    before = _arrays(pupil)
    pupil.learn(*lessons[0])
    changed = 0
    for name, array in _arrays(pupil).items():
        old = before[name]
        same = old.shape == array.shape
        changed += int(np.sum(old != array)) * array.itemsize if same else array.nbytes
    numbers = np.zeros(changed // 8)
    moved = [_timed(np.add, numbers, 1.0, numbers) for _ in range(ASKED)]
    return Traffic(changed, _cost(moved), float(np.median(learn) - np.median(described)))


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
    name: str, pupil: Pupil, features: Callable[..., Floats], windows: Windows, split: Split
) -> Entrant:
    taught, tested = split
    learn, first = [], []
    for k, index in enumerate(taught):
        lesson = windows.samples(index), windows.names[windows.labels[index]]
        learn.append(_timed(pupil.learn, *lesson))
        first.append(_timed(pupil.predict, windows.samples(tested[k % len(tested)])))
    asked = [windows.samples(tested[k % len(tested)]) for k in range(ASKED)]
    described = [_timed(features, samples) for samples in asked]
    predict = [_timed(pupil.predict, samples) for samples in asked]
    right = [
        pupil.predict(windows.samples(index)).activity == windows.names[windows.labels[index]]
        for index in tested
    ]
    return Entrant(
        name,
        _cost(described),
        _cost(learn[WARM:]),
        _cost(first[WARM:]),
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


def _arrays(pupil: Recognizer) -> dict[str, Any]:
    file = io.BytesIO()
    pupil.save(file)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
