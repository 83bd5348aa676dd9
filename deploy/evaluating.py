"""Recordings to be evaluated, and the evaluation in as many processes as there are cores."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.recording import Recording, RecordingError
from firmware_bridge.recordings.files import read
from learner import Recognizer
from learner.evaluation import rivals
from learner.evaluation.protocols import ProtocolError
from learner.evaluation.trial import Trial
from learner.evaluation.windows import MIXED, Stretch, Windows, cut
from learner.features import Features

WEARER = "wearer"  # of files that do not say whose they are: the one who owns budge
# Clocks of two sensors of a kind are this far apart; beyond it a window is another window.
SAME_RATE = 0.01


class People(NamedTuple):
    """What is evaluated."""

    windows: Windows
    names: tuple[str, ...]  # person k of the windows is called names[k]


DEFAULT = "discriminant"
WITHOUT = "without "  # and a part of the default: a kind of learner, too
UNKNOWN, CURVE = "unknown", "curve"


class Task(NamedTuple):
    """A part of the evaluation that needs no other."""

    kind: str  # of learner: a classifier, a rival, or WITHOUT something
    what: str  # a protocol, or UNKNOWN or CURVE
    person: int
    counts: tuple[int, ...] = ()  # of a curve


def load(files: Sequence[Path], window_s: float, hop_s: float, labels: str | None) -> People:
    """Read recordings of one kind of sensor and cut them into windows.

    All files that do not say whose they are, are of one person, in the order of the list. Raises
    RecordingError, also where a file has no labels or `labels` names none of them.
    """
    recordings = [read(file) for file in files]
    first = recordings[0]
    names: list[str] = []
    for file, recording in zip(files, recordings, strict=True):
        _check(file, recording, first, files[0])
        names += [name for name in recording.activities if name not in names]
    chosen = _chosen(names, labels)
    people: dict[str, int] = {}
    stretches = []
    for file, recording in zip(files, recordings, strict=True):
        number = {code: chosen.get(name, MIXED) for code, name in enumerate(recording.activities)}
        for run in recording.runs:
            who = WEARER if run.subject is None else str(run.subject)
            if run.subject is not None and len(files) > 1:
                alone = [other.name for other in files].count(file.name) == 1
                who = f"{file.name if alone else file} {who}"
            person = people.setdefault(who, len(people))
            stretches.append(Stretch(person, run.samples, _renumbered(run.codes, number)))
    try:
        windows = cut(stretches, first.rate_hz, window_s, hop_s, list(chosen))
    except ValueError as error:
        raise RecordingError(f"{', '.join(map(str, files))}: {error}") from error
    return People(windows, tuple(people))


def tasks(
    people: People,
    kinds: Sequence[str],
    protocols: Sequence[str],
    tested: Sequence[int],
    *,
    unknown: bool,
    curves: bool,
) -> list[Task]:
    """List what there is to do. `unknown`: also how a next session tells what was never taught."""
    parts: list[tuple[str, tuple[int, ...]]] = [(protocol, ()) for protocol in protocols]
    if unknown and "next_session" in protocols:
        parts.append((UNKNOWN, ()))
    if curves:
        parts.append((CURVE, _doublings(people.windows, tested)))
    return [
        Task(kind, what, person, counts)
        for kind in kinds
        for what, counts in parts
        for person in tested
    ]


def _doublings(windows: Windows, tested: Sequence[int]) -> tuple[int, ...]:
    """1, 2, 4, ... windows, up to what of some activity of somebody is taught."""
    of_label = [np.bincount(windows.labels[windows.of(person)], minlength=1) for person in tested]
    most = max(int(counts.max()) for counts in of_label) // 2
    return tuple(2**k for k in range(most.bit_length()))


def evaluate(people: People, tasks: Sequence[Task], processes: int) -> Iterator[tuple[Task, Any]]:
    """Do all tasks, and yield each with what it came to as soon as that is known.

    What it came to is a ProtocolError where there is too little of this person.
    """
    if min(processes, len(tasks)) == 1:
        worker = Worker(people.windows)
        for task in tasks:
            yield task, worker.do(task)
        return
    # not forked: a process with threads, as BLAS has them, may hang when it is
    pool = ProcessPoolExecutor(
        min(processes, len(tasks)),
        multiprocessing.get_context("spawn"),
        _start_worker,
        (people.windows,),
    )
    try:
        futures = {pool.submit(_do, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


class Worker:
    """Does tasks, one after another, and keeps what those of one kind need."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._trial: tuple[str, Trial] | None = None  # not of all kinds: that takes memory

    def do(self, task: Task) -> Any:
        with _limited(task.kind):
            if self._trial is None or self._trial[0] != task.kind:
                self._trial = task.kind, self._new_trial(task.kind)
            _, trial = self._trial
            try:
                if task.what == UNKNOWN:
                    return trial.unknown(task.person)
                if task.what == CURVE:
                    return trial.curve(task.person, task.counts)
                return trial.run(task.what, task.person)
            except ProtocolError as error:
                return error

    def _new_trial(self, kind: str) -> Trial:
        windows = self._windows
        shape = (windows.rate_hz, windows.signal.shape[1], windows.window_s)
        if kind in rivals.MODELS:
            same = Features(windows.rate_hz, windows.signal.shape[1], windows.length)
            rival = partial(rivals.Rival, kind, windows.names, same)
            return Trial(windows, rival, over_time=False)
        classifier = DEFAULT if kind.startswith(WITHOUT) else kind
        return Trial(windows, partial(Recognizer, *shape, classifier=classifier))


def _limited(kind: str) -> AbstractContextManager[None]:
    if not kind.startswith(WITHOUT):
        return nullcontext()
    from learner.evaluation import ablation  # brings numba with it

    return ablation.without(kind.removeprefix(WITHOUT))


_worker: list[Worker] = []  # of this process


def _start_worker(windows: Windows) -> None:
    _worker.append(Worker(windows))


def _do(task: Task) -> Any:
    return _worker[0].do(task)


def _check(file: Path, recording: Recording, first: Recording, first_file: Path) -> None:
    if not any((run.codes >= 0).any() for run in recording.runs):
        raise RecordingError(
            f"{file}: no row has a label, expected what was done: `budge record --activity NAME`"
            " writes it"
        )
    apart = abs(recording.rate_hz / first.rate_hz - 1.0)
    if apart > SAME_RATE or recording.n_channels != first.n_channels:
        raise RecordingError(
            f"{file}: {recording.rate_hz:g} Hz and {recording.n_channels} channels, expected"
            f" {first.rate_hz:g} Hz and {first.n_channels} as in {first_file}: evaluate one kind"
            " of recording at a time"
        )


def _chosen(names: Sequence[str], labels: str | None) -> dict[str, int]:
    """The labels to be told apart, numbered."""
    if labels is None:
        kept: Sequence[str] = names
    elif labels.isdigit() and int(labels) > 0:
        kept = names[: int(labels)]
    else:
        kept = [name.strip() for name in labels.split(",")]
    for name in kept:
        if name not in names:
            raise RecordingError(f"--labels {labels}: no {name!r}, there are: {', '.join(names)}")
    return {name: number for number, name in enumerate(dict.fromkeys(kept))}


def _renumbered(codes: NDArray[np.int16], number: dict[int, int]) -> NDArray[np.int16]:
    table = np.array([*number.values(), MIXED], dtype=np.int16)  # the last is that of code -1
    return table[codes]
