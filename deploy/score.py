"""How often a line was right, where the source knows what was really done."""

from collections import deque
from collections.abc import Callable

from deploy.messages import Message, Window
from deploy.output import Command

Truth = Callable[[float, float], str | None]

RECENT_S = 30.0


class Output:
    """Compares every window with the truth; a window of a transition belongs to no activity."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._right = self._scored = 0
        self._recent: deque[tuple[float, bool]] = deque()  # end of the window, right?

    def start(self, command: Command) -> None:
        """Nothing to begin."""

    def send(self, message: Message) -> None:
        if not isinstance(message, Window):
            return
        truth = self._truth(message.start_s, message.end_s)
        if truth is not None:
            right = truth == message.activity
            self._right += right
            self._scored += 1
            self._recent.append((message.end_s, right))
        while self._recent and self._recent[0][0] <= message.end_s - RECENT_S:
            self._recent.popleft()

    def all(self) -> tuple[int, int]:
        """Right and scored windows."""
        return self._right, self._scored

    def recent(self) -> tuple[int, int]:
        """Those of them that ended in the last RECENT_S."""
        return sum(right for _, right in self._recent), len(self._recent)

    def close(self) -> None:
        """Nothing to end."""
