"""What an output promises: it takes every message and never holds up the line.

One output is one file in `outputs/`; the name in the settings is the name of the file, and the
file's class is called `Output`, made as `Output(settings, truth)`: `truth` tells what was really
done, where a recording or a simulated wearer knows it, else it is None.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from deploy.messages import Message, Response, Trace


class Command(Protocol):
    """Takes a command from outside: its topic below the device ("label/set"), its payload.

    Returns at once, from any thread; False when too many wait. The answer comes as a Response
    through the outputs; `answered` is called with it, too, by the line's thread: it must not block.
    """

    def __call__(
        self, topic: str, payload: bytes, answered: Callable[[Response], None] | None = None, /
    ) -> bool: ...


class Output(Protocol):
    """Someone who listens, and may give commands."""

    def start(self, command: Command) -> None:
        """Begin; called once, before the first message."""

    def send(self, message: Message) -> None:
        """Take a message. Must not block: a sensor cannot wait."""

    def close(self) -> None:
        """Say the last words and end, within a few seconds."""


@runtime_checkable
class Threaded(Output, Protocol):
    """An output with a thread of its own, whose end must not go unnoticed."""

    @property
    def alive(self) -> bool:
        """Whether that thread is there and goes round."""


@runtime_checkable
class Viewer(Output, Protocol):
    """An output that draws what the sensor sees, too."""

    def show(self, trace: Trace) -> None:
        """Take rows, several times a second. Must not block."""
