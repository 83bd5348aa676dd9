"""From settings to a running line: opens what there is to open, in order, and closes it again."""

import fcntl
import importlib
import json
import logging
import pkgutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np

from deploy.output import Output
from deploy.pipeline import Pipeline
from deploy.score import Truth
from deploy.settings import Settings, SettingsError
from firmware_bridge.source import Source
from learner.journal import Journal
from learner.lessons import Teacher
from learner.recognizer import ModelFileError, Recognizer

log = logging.getLogger(__name__)


class ServiceError(RuntimeError):
    """The service cannot start; the sentence says why and what to do."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second budge off the same state: two writers would each learn half."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise ServiceError(
            f"cannot write to the state folder {folder} ({error.strerror}):"
            " name another with state_dir, or run as the user who owns it"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServiceError(
                f"another budge is running on {folder}: stop it, or name another state_dir"
            ) from error
        yield


def open_recognizer(
    settings: Settings, journal: Journal, n_channels: int
) -> tuple[Recognizer, Teacher]:
    """Take the snapshot if it is of this journal, else teach a new model all the journal holds."""
    recognizer = Recognizer(
        rate_hz=settings.window.rate_hz,
        n_channels=n_channels,
        window_s=settings.window.length_s,
        classifier=settings.classifier,
    )
    hop = round(settings.window.hop_s * settings.window.rate_hz)
    guard_us = round(settings.labelling.guard_s * 1e6)
    kept = journal.recall("snapshot")
    if kept is not None and journal.recall("snapshot of") == _identity(
        settings, journal, n_channels
    ):
        try:
            recognizer = Recognizer.load(BytesIO(kept))
        except ModelFileError as error:
            log.warning("the model's snapshot is not usable (%s): learning anew", error)
        else:
            return recognizer, Teacher(journal, recognizer, hop=hop, guard_us=guard_us)
    teacher = Teacher(journal, recognizer, hop=hop, guard_us=guard_us)
    if journal.annotations:
        windows = teacher.rebuild()
        log.info("learnt %d windows anew from the journal", windows)
    unusable_s = journal.unusable_s(rate_hz=settings.window.rate_hz, channels=n_channels)
    if unusable_s:
        log.warning(
            "%.0f s of what was taught rest: they were recorded with another rate or number of"
            " channels than %g Hz and %d, and count again when those come back",
            unusable_s,
            settings.window.rate_hz,
            n_channels,
        )
    return recognizer, teacher


def keep_snapshot(settings: Settings, journal: Journal, recognizer: Recognizer) -> None:
    """Keep the model, so that the next start need not learn it anew."""
    file = BytesIO()
    recognizer.save(file)
    # One after the other and the name last: a cut in between leaves a name that does not fit.
    journal.remember("snapshot of", b"")
    journal.remember("snapshot", file.getvalue())
    journal.remember("snapshot of", _identity(settings, journal, recognizer.n_channels))


def _identity(settings: Settings, journal: Journal, n_channels: int) -> bytes:
    """Name what a model follows from: annotations and rows, and how they are cut into windows."""
    return json.dumps(
        [
            journal.revision,
            journal.end_us,
            n_channels,
            settings.window.rate_hz,
            settings.window.length_s,
            settings.window.hop_s,
            settings.labelling.guard_s,
            settings.classifier,
        ]
    ).encode()


def warm_up(settings: Settings, channels: int = 6) -> None:
    """Compile the kernels before the first row: compiling takes longer than any FIFO lasts."""
    recognizer = Recognizer(
        rate_hz=settings.window.rate_hz,
        n_channels=channels,
        window_s=settings.window.length_s,
        classifier=settings.classifier,
    )
    noise = np.random.default_rng(0).normal(size=(2, recognizer.window_rows, channels))
    for samples, activity in zip(noise.astype(np.float32), ("a", "b"), strict=True):
        recognizer.learn(samples, activity)
    recognizer.observe(samples)
    recognizer.unlearn(samples, "b")


def serve(
    settings: Settings,
    source: Source,
    outputs: Sequence[Output],
    *,
    stay: bool = False,
    stop: threading.Event | None = None,
) -> None:
    """Run the line until it is told to end (SIGTERM, SIGINT, `stop`) or the source ends."""
    stop = stop or threading.Event()
    with locked(settings.state_path()), ExitStack() as stack:
        journal = stack.enter_context(Journal(settings.state_path() / "journal.sqlite"))
        recognizer, teacher = open_recognizer(settings, journal, len(source.scale))
        for output in outputs:
            stack.callback(output.close)
        pipeline = Pipeline(
            settings,
            source,
            journal=journal,
            recognizer=recognizer,
            teacher=teacher,
            outputs=outputs,
        )
        with signals(stop.set):
            pipeline.run(stop, stay=stay)
        keep_snapshot(settings, journal, recognizer)


@contextmanager
def signals(end: Callable[[], None]) -> Iterator[None]:
    """SIGTERM (systemd) and SIGINT (Ctrl-C) end the loop, not the program in mid-air."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: end())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_outputs(settings: Settings, truth: Truth | None = None) -> list[Output]:
    """Open the outputs the settings name; `truth`: what a recording says was really done."""
    import deploy.outputs

    known = sorted(module.name for module in pkgutil.iter_modules(deploy.outputs.__path__))
    opened: list[Output] = []
    for name in settings.outputs:
        if name not in known:
            raise SettingsError(f"output {name!r} is not known, expected one of {known}")
        module = importlib.import_module(f"deploy.outputs.{name}")
        opened.append(module.Output(settings, truth))
    return opened
