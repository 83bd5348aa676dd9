"""How often a line was right, where the source knows what was really done."""

from collections.abc import Callable

from deploy.messages import Message, Window
from deploy.output import Command

Truth = Callable[[float, float], str | None]


class Output:
    """Compares every window with the truth; a window of a transition belongs to no activity."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._scored: list[tuple[float, bool]] = []  # end of the window, right?
        self._end_s = 0.0

    def start(self, command: Command) -> None:
        """Nothing to begin."""

    def send(self, message: Message) -> None:
        if isinstance(message, Window):
            self._end_s = message.end_s
            truth = self._truth(message.start_s, message.end_s)
            if truth is not None:
                self._scored.append((message.end_s, truth == message.activity))

    def last(self, seconds: float) -> tuple[int, int]:
        """Right and scored windows that ended in the last `seconds`."""
        recent = [right for end_s, right in self._scored if end_s > self._end_s - seconds]
        return sum(recent), len(recent)

    def close(self) -> None:
        """Nothing to end."""
