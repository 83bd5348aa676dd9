"""From settings to a running line: opens what there is to open, in order, and closes it again."""

import fcntl
import importlib
import logging
import os
import pkgutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from deploy.backup import take
from deploy.input import Input
from deploy.models import keep_snapshot, open_recognizer, untaught
from deploy.notify import Systemd
from deploy.output import Output
from deploy.pipeline import Pipeline
from deploy.score import Truth
from deploy.settings import Settings, SettingsError
from firmware_bridge.source import Source
from learner.journal_rescue import open_or_rescue

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
        if os.geteuid() == 0:  # root restores for the service, which must be able to open it
            owner = folder.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServiceError(
                f"another budge is running on {folder}: stop it, or name another state_dir"
            ) from error
        yield


def warm_up(settings: Settings, channels: int = 6) -> None:
    """Compile the kernels before the first row: compiling takes longer than any FIFO lasts."""
    recognizer = untaught(settings, channels)
    noise = np.random.default_rng(0).normal(size=(2, recognizer.window_rows, channels))
    for samples, activity in zip(noise.astype(np.float32), ("a", "b"), strict=True):
        recognizer.learn(samples, activity)
    recognizer.observe(samples)
    if recognizer.order_free:
        recognizer.unlearn(samples, "b")


def serve(
    settings: Settings,
    source: Source,
    outputs: Sequence[Output],
    *,
    inputs: Sequence[Input] = (),
    stay: bool = False,
    stop: threading.Event | None = None,
) -> bool:
    """Run the line until it is told to end (SIGTERM, SIGINT, `stop`) or the source ends.

    Returns whether it was told to begin again, and not to end since.
    """
    stop = stop or threading.Event()
    with locked(settings.state_path()), ExitStack() as stack:
        take(settings.state_path())  # what `budge restore` or the page has put there
        journal = stack.enter_context(open_or_rescue(settings.state_path() / "journal.sqlite"))
        recognizer, teacher = open_recognizer(settings, journal, len(source.scale))
        for one in (*outputs, *inputs):  # the inputs first: what is pressed is still answered
            stack.callback(one.close)
        systemd = Systemd()
        stack.callback(systemd.close)
        pipeline = Pipeline(
            settings,
            source,
            journal=journal,
            recognizer=recognizer,
            teacher=teacher,
            systemd=systemd,
            outputs=outputs,
            inputs=inputs,
        )
        reload = pipeline.begin_again if systemd.there else stop.set  # else a terminal was closed
        with signals(stop.set, reload):
            again = pipeline.run(stop, stay=stay)
            if again:
                systemd.beginning_again()
            else:
                systemd.stopping()
            keep_snapshot(settings, journal, recognizer)
            stack.close()  # here, so that no signal cuts the last words short
    return again and not stop.is_set()


@contextmanager
def signals(end: Callable[[], None], hang_up: Callable[[], None] | None = None) -> Iterator[None]:
    """SIGTERM (systemd) and SIGINT (Ctrl-C) end the loop, not the program in mid-air.

    `hang_up`: for SIGHUP, if that is not to do the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    calls = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: hang_up or end}
    before = {
        number: signal.signal(number, lambda *_, call=call: call())
        for number, call in calls.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_outputs(settings: Settings, truth: Truth | None = None) -> list[Output]:
    """Open the outputs the settings name; `truth`: what a recording says was really done."""
    import deploy.outputs

    files = _files(deploy.outputs, settings.outputs, "output")
    return [file.Output(settings, truth) for file in files]


def open_inputs(settings: Settings) -> list[Input]:
    """Open the inputs the settings name."""
    import deploy.inputs

    return [file.Input(settings) for file in _files(deploy.inputs, settings.inputs, "input")]


def _files(folder: ModuleType, names: Sequence[str], kind: str) -> list[ModuleType]:
    """Import the files of a plural folder that have these names. Raises SettingsError."""
    known = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    for name in names:
        if name not in known:
            raise SettingsError(f"{kind} {name!r} is not known, expected one of {known}")
    return [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
