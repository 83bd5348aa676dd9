"""A line in this process: rows by script, presses between them, and everything that is said."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from deploy.messages import Info, Message, Response
from deploy.models import new_recognizer
from deploy.output import Command
from deploy.service import serve
from deploy.settings import Settings
from firmware_bridge.source import Chunk, Health
from learner.journal import Journal
from learner.lessons import Teacher

RATE_HZ = 50.0
Press = tuple[str, bytes]  # topic, payload
Step = int | Press | Callable[[], None]  # rows to give, a press, or anything else to do


class Listener:
    """An output that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.command: Command | None = None

    def start(self, command: Command) -> None:
        self.command = command

    def send(self, message: Message) -> None:
        self.heard.append(message)

    def close(self) -> None: ...

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


class Script:
    """A recording that is made up while it plays: shaken rows, and presses in between."""

    rate_hz = RATE_HZ
    live = False

    def __init__(self, steps: Sequence[Step], listener: Listener, channels: int, seed: int) -> None:
        self.scale = np.full(channels, 1 / 1024, np.float32)
        self._steps = steps
        self._listener = listener
        self._rng = np.random.default_rng(seed)
        self._given = 0

    def now_s(self) -> float:
        return self._given / RATE_HZ

    def chunks(self) -> Iterator[Chunk]:
        for step in self._steps:
            if isinstance(step, int):
                shaken = self._rng.normal(0, 2000, (step, len(self.scale))).astype(np.int16)
                first, self._given = self._given, self._given + step
                yield Chunk(0, first, 0.0, shaken, "start")
                continue
            while self._pipeline._inbox.waiting:  # what is taken is dealt with before the press
                pause()
            if callable(step):
                step()
                continue
            answers = len(self._listener.of(Response))
            self._listener.command(*step)  # type: ignore[misc]
            while len(self._listener.of(Response)) == answers:
                pause()

    @property
    def _pipeline(self) -> Any:
        return self._listener.command.func.__self__  # type: ignore[union-attr]

    def truth(self, start_s: float, end_s: float) -> str | None:
        return None

    def health(self) -> Health:
        return Health("connected", 0.0, RATE_HZ, 0, 0, 0, None)

    def close(self) -> None: ...


def pause() -> None:
    threading.Event().wait(0.001)


def press(activity: str) -> Press:
    return "label/set", activity.encode()


def live(
    folder: Path, *steps: Step, settings: Settings | None = None, channels: int = 3, seed: int = 0
) -> Listener:
    """One life of a line on the state in `folder`: it ends cleanly when the steps do."""
    listener = Listener()
    settings = replace(settings or Settings(), state_dir=str(folder))
    serve(settings, Script(steps, listener, channels, seed), [listener])
    return listener


def rebuilt(folder: Path, settings: Settings | None = None, channels: int = 3) -> str:
    """Digest of the model that follows from the journal alone."""
    settings = settings or Settings()
    window = settings.window
    model = new_recognizer(settings, channels)
    with Journal(folder / "journal.sqlite") as journal:
        Teacher(
            journal,
            model,
            hop=round(window.hop_s * window.rate_hz),
            guard_us=round(settings.labelling.guard_s * 1e6),
        ).rebuild()
    return model.digest()


def model_of(listener: Listener) -> str:
    """Digest of the model as the line last told it."""
    return str(listener.of(Info)[-1].model)
