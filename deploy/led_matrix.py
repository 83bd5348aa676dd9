"""The Sense HAT's 8x8 LEDs: pictures drawn in characters, a glyph an activity, and their device.

The kernel makes a framebuffer of the matrix, so the standard library is enough:

    /dev/fbN, 128 bytes: row by row from the top left, 2 bytes a pixel, low byte first
    rrrrr ggg  ggg bbbbb     RGB565; the driver drops green's lowest bit

That, the name and the gamma table below are from Raspberry Pi's kernel: rpisense-fb.c. The table
makes 0 of all levels under 6 of 31, which python-sense-hat's issue 67 saw as "below 48 of 255". The
driver's own ioctls for brightness are left alone, since some kernels refuse them (issue 145); a
dim picture is written dim.

Whoever writes a frame has not waited for it: the driver takes the bytes, and 10 ms later sends the
whole picture, 193 bytes, over the I2C bus that the IMU is on. At 100 kHz that is 17 ms. It tells
nobody when nothing answers there. Not yet seen on a board: files are all this has met.
"""

import errno
import os
import struct
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

NAME = "RPi-Sense FB"
ON = "#"
OFF = "."


class Colour(NamedTuple):
    """Levels of 0 to 31."""

    red: int
    green: int
    blue: int


DARK = bytes(128)
# A level, and what the driver's default gamma table makes of it: 9: 2, 14: 6, 20: 12, 28: 25.
LEVELS = (9, 14, 20, 28)
LEVEL_FROM = (0.5, 0.7, 0.9)  # confidence; four steps, so that the picture changes seldom


def encode(picture: Sequence[str], palette: Mapping[str, Colour]) -> bytes:
    """Make a frame of 8 lines of 8 characters; OFF is dark, for the others ask the palette."""
    words = {OFF: 0} | {
        character: colour.red << 11 | colour.green << 6 | colour.blue
        for character, colour in palette.items()
    }
    return struct.pack("<64H", *(words[character] for line in picture for character in line))


def level(confidence: float) -> int:
    """How bright that is."""
    return LEVELS[bisect_right(LEVEL_FROM, confidence)]


def glyph(activity: str) -> tuple[str, ...]:
    """Return 7 lines of 8 characters: the activity's own, or its first letter, or `?`.

    The eighth line, at the bottom, is left for what else there is to say.
    """
    name = " ".join(activity.casefold().replace("_", " ").replace("-", " ").split())
    if name in PICTURE_OF:
        return PICTURES[PICTURE_OF[name]]
    # É is an E with an accent that 5 dots have no room for.
    return CHARACTERS.get(unicodedata.normalize("NFKD", name)[:1].upper(), UNKNOWN)


def _cut(names: Sequence[str], drawing: str) -> dict[str, tuple[str, ...]]:
    """Cut 7 lines of glyphs that stand side by side, and put each in the middle of 8 columns."""
    columns = zip(*(line.split() for line in drawing.split("\n") if line), strict=True)
    return {
        name: tuple(line.center(8, OFF) for line in column)
        for name, column in zip(names, columns, strict=True)
    }


PICTURES = _cut(
    ("still", "standing", "walking", "running", "up"),
    """
..##.... ...##... ...##... .....##. ......##
..##.... ...##... ...##... .....##. ......##
..#..... ..####.. ..####.. ..####.. ....##..
..##.... ..####.. .#.##.#. .#.##.#. ....##..
..####.. ...##... ...##... ..##.... ..##....
.....#.. ...##... ..#..#.. .#..##.. ..##....
.....##. ...##... .#....#. #.....#. ##......
""",
) | _cut(
    ("down", "cycling", "lying", "washing", "nothing"),
    """
##...... ...##... ........ ######## ........
##...... ..###... ........ #.#....# ........
..##.... ..#.##.. .##..... ######## ........
..##.... ...##... .##..... #..##..# ..####..
....##.. .#....#. ...##### #.#..#.# ........
....##.. #.#..#.# ######## #..##..# ........
......## .#....#. #......# ######## ........
""",
)
PICTURE_OF = {
    name: picture
    for picture, names in {
        "still": "still, resting, rest, sitting, idle",
        "standing": "standing",
        "walking": "walking, walk",
        "running": "running, run, jogging",
        "up": "up, stairs, stairs up, upstairs, walking upstairs, climbing stairs",
        "down": "down, stairs down, downstairs, walking downstairs, descending stairs",
        "cycling": "cycling, biking, bicycle",
        "lying": "lying, laying, lying down, sleeping",
        "washing": "washing, spin, spinning, spin cycle, washing machine",
    }.items()
    for name in names.split(", ")
}
CHARACTERS = (
    _cut(
        "ABCDEFGHIJKLM",
        """
.###. ####. .#### ####. ##### ##### .#### #...# .###. ....# #...# #.... #...#
#...# #...# #.... #...# #.... #.... #.... #...# ..#.. ....# #..#. #.... ##.##
#...# #...# #.... #...# #.... #.... #.... #...# ..#.. ....# #.#.. #.... #.#.#
##### ####. #.... #...# ####. ####. #..## ##### ..#.. ....# ##... #.... #.#.#
#...# #...# #.... #...# #.... #.... #...# #...# ..#.. ....# #.#.. #.... #...#
#...# #...# #.... #...# #.... #.... #...# #...# ..#.. #...# #..#. #.... #...#
#...# ####. .#### ####. ##### #.... .#### #...# .###. .###. #...# ##### #...#
""",
    )
    | _cut(
        "NOPQRSTUVWXYZ",
        """
#...# .###. ####. .###. ####. .#### ##### #...# #...# #...# #...# #...# #####
##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....#
#.#.# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#.
#.#.# #...# ####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#.. ..#.. ..#..
#..## #...# #.... #.#.# #.#.. ....# ..#.. #...# .#.#. #.#.# .#.#. ..#.. .#...
#...# #...# #.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...# ..#.. #....
#...# .###. #.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. #####
""",
    )
    | _cut(
        "0123456789?",
        """
.###. ..#.. .###. ####. ...#. ##### .###. ##### .###. .###. .###.
#..## .##.. #...# ....# ..##. #.... #.... ....# #...# #...# #...#
#.#.# ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...# ....#
#.#.# ..#.. ...#. .###. #..#. ....# ####. ...#. .###. .#### ...#.
#.#.# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....# ..#..
##..# ..#.. .#... ....# ...#. #...# #...# ..#.. #...# ....# .....
.###. .###. ##### ####. ...#. .###. .###. ..#.. .###. .###. ..#..
""",
    )
)
UNKNOWN = CHARACTERS["?"]


class LedMatrix:
    """The framebuffer, found by its name at the first frame and again after an error."""

    def __init__(self, sys_root: Path = Path("/sys"), dev_root: Path = Path("/dev")) -> None:
        self._sys_root = sys_root
        self._dev_root = dev_root
        self._file: int | None = None

    def show(self, frame: bytes) -> None:
        """Write a whole frame. Raises OSError whose sentence says what to check."""
        if self._file is None:
            self._file = self._open()
        try:
            os.pwrite(self._file, frame, 0)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        graphics = self._sys_root / "class" / "graphics"
        for name in sorted(graphics.glob("fb*/name")):
            if name.read_text().strip() == NAME:
                path = self._dev_root / name.parent.name
                break
        else:
            raise OSError(
                errno.ENODEV,
                f"no framebuffer under {graphics} is called {NAME!r}: check that the Sense HAT sits"
                " on all 40 pins, then try dtoverlay=rpi-sense in /boot/firmware/config.txt",
            )
        try:
            return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except PermissionError as error:
            raise OSError(
                errno.EACCES,
                f"{path} may not be opened by this user, who must be in group video:"
                " run `sudo usermod -aG video $USER` and log in again",
            ) from error
