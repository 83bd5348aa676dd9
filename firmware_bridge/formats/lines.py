"""Lines of numbers on a serial line: what the Edge Impulse data forwarder reads.

One line a reading, `-0.12,-6.20,7.90` or with TABs: no time, no check, no names
(docs.edgeimpulse.com, "Data forwarder", Protocol). A line may end in CR LF. Beyond that we read
names where a sender prints them once, `t_us,ax,ay,az,gx,gy,gz`, and its clock where it gives it.
"""

import re
from dataclasses import dataclass
from itertools import takewhile
from math import isfinite

from firmware_bridge.formats.readings import Broken, Pieces, Reading

AXES = ("ax", "ay", "az", "gx", "gy", "gz")
TIME = "t_us"
LONGEST = 256  # bytes; seven numbers of 24 characters are 174
NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")  # not float's nan, inf and 1_000
NAME = re.compile(rb"[A-Za-z_]\w*")
SEPARATOR = re.compile(rb"[,\t]")
SHOWN = 40  # bytes of a bad line


@dataclass(frozen=True)
class Layout:
    """What stands in which column."""

    columns: int
    axes: tuple[int, ...]  # where ax ay az (gx gy gz) are
    time: int | None
    named: bool = False  # by the sender, not guessed from the number of columns


# Lines without names: three axes or six, with the sender's clock before them or without.
UNNAMED = {
    3: Layout(3, (0, 1, 2), None),
    4: Layout(4, (1, 2, 3), 0),
    6: Layout(6, (0, 1, 2, 3, 4, 5), None),
    7: Layout(7, (1, 2, 3, 4, 5, 6), 0),
}


class LineDecoder:
    """Finds the lines of one layout in a stream, or finds out the layout.

    Without a layout the first line of numbers is believed, until one comes that does not fit.
    """

    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout
        self._learning = layout is None
        self._pieces = Pieces(b"\n", LONGEST)

    def feed(self, data: bytes) -> list[Reading | Broken]:
        read = []
        for piece in self._pieces.cut(data):
            found = piece if isinstance(piece, Broken) else self._line(piece.strip())
            if isinstance(found, Broken) and self._learning and not self._named:
                self.layout = None
            if found is not None:
                read.append(found)
        return read

    @property
    def _named(self) -> bool:
        return self.layout is not None and self.layout.named

    def _line(self, line: bytes) -> Reading | Broken | None:
        if line == b"":
            return None
        words = [word.strip() for word in SEPARATOR.split(line)]
        if all(map(NAME.fullmatch, words)):
            return self._names([word.decode() for word in words], line)
        if all(map(NUMBER.fullmatch, words)):
            return self._numbers(words, line)
        return _no_numbers(line)

    def _numbers(self, words: list[bytes], line: bytes) -> Reading | Broken:
        layout = self.layout or UNNAMED.get(len(words))
        if layout is None or layout.columns != len(words):
            expected = "3, 4, 6 or 7" if layout is None else layout.columns
            return Broken(f"a line of {len(words)} values, expected {expected}")
        values = tuple(float(words[column]) for column in layout.axes)
        if not all(map(isfinite, values)):
            return Broken(f"a line with a value past all bounds, {line[:SHOWN]!r}")
        time_us = None
        if layout.time is not None:
            if not words[layout.time].isdigit():
                return Broken(f"a line at {words[layout.time]!r}, expected whole microseconds")
            time_us = int(words[layout.time]) % 2**32
        self.layout = layout
        return Reading(values, time_us)

    def _names(self, names: list[str], line: bytes) -> Broken:
        axes = tuple(takewhile(names.__contains__, AXES))
        if len(axes) not in {3, 6}:
            return _no_numbers(line)
        layout = Layout(
            columns=len(names),
            axes=tuple(map(names.index, axes)),
            time=names.index(TIME) if TIME in names else None,
            named=True,
        )
        if self._learning:
            self.layout = layout
        # Names are printed when a sender starts.
        return Broken(f"the sender started again, with {','.join(names)}")


def _no_numbers(line: bytes) -> Broken:
    return Broken(f"a line that is no numbers, {line[:SHOWN]!r}")
