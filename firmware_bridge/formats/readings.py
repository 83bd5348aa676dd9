"""What comes out of a byte stream: readings, and between them what could not be read."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample as the sender gave it, in the sender's units."""

    values: tuple[float, ...]  # ax ay az, gx gy gz where there is a gyro
    time_us: int | None = None  # the sender's own clock, modulo 2³²
    sequence: int | None = None  # counts the sender's samples, modulo 2¹⁶


@dataclass(frozen=True, slots=True)
class Broken:
    """At this place of the stream something was lost; the cause says what was found instead."""

    cause: str


class Decoder(Protocol):
    """Bytes in, in pieces of any length; what they hold comes out in its order."""

    def feed(self, data: bytes) -> list[Reading | Broken]:
        """Take in bytes. What came before the first delimiter is a part and dropped unsaid."""


class Pieces:
    """Cuts a stream at its delimiter, and does not grow when the delimiter never comes."""

    def __init__(self, delimiter: bytes, longest: int) -> None:
        self._delimiter = delimiter
        self._longest = longest
        self._begun = b""
        self._lost = True  # the place in the stream: until the next delimiter nothing is whole

    def cut(self, data: bytes) -> list[bytes | Broken]:
        """Return the pieces that `data` completes."""
        whole: list[bytes | Broken] = []
        *ended, self._begun = (self._begun + data).split(self._delimiter)
        for piece in ended:
            if self._lost:
                self._lost = False
            elif len(piece) > self._longest:
                whole.append(self._too_long())
            else:
                whole.append(piece)
        if len(self._begun) > self._longest:
            self._begun = b""
            if not self._lost:
                self._lost = True
                whole.append(self._too_long())
        return whole

    def _too_long(self) -> Broken:
        return Broken(f"no {self._delimiter!r} in more than {self._longest} bytes")
