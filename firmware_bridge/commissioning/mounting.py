"""How the sensor sits: a chip whose counts come out in the body's frame, and calibrated.

Which way a hat, a breakout or a strap has the chip's x pointing is data, not code: "x,-z,y" says
that the body's x is the chip's x, its y the chip's z turned round, its z the chip's y (Klipper's
`axes_map` says it the same way). It is undone at the chip, so that whoever comes after, the
journal first, never sees anything but the body's frame.

Nothing is quantised a second time. A count moves to another column or changes its sign; an offset
is subtracted in whole counts, half a count being less than what is left of it anyhow; a gain goes
into `scale`, which says what a count is worth.

An acceleration is an arrow and turns with the axes. A rate of rotation is an arrow only by the
right-hand rule, and a mirror turns a right hand into a left one: under a map that mirrors, the
gyro's signs are all the other way round. Otherwise gravity would seem to turn against the gyro:

    d(up)/dt = cross(up, rate)        R·cross(up, rate) = det(R) · cross(R·up, R·rate)

That is so for a chip whose own axes are right-handed, as datasheets draw them.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.chip import Chip, Pending
from firmware_bridge.commissioning.calibration import Calibration

NAMES = "xyz"


class AxesError(ValueError):
    """The map of the axes cannot be used; the sentence says what was found and what is expected."""


@dataclass(frozen=True, slots=True)
class Axes:
    """For each axis of the body, which of the chip's it is, and which way round."""

    order: tuple[int, ...]
    signs: tuple[int, ...]

    @property
    def handedness(self) -> int:
        """1: the chip is turned. -1: it is mirrored, which no way of mounting it does."""
        even = self.order in {(0, 1, 2), (1, 2, 0), (2, 0, 1)}
        return int(np.prod(self.signs)) * (1 if even else -1)


def read_axes(text: str) -> Axes:
    """Read a map like "x,-z,y". Raises AxesError; a mirror is allowed."""
    parts = [re.fullmatch(r"\s*([+-]?)\s*([xyz])\s*", part) for part in text.split(",")]
    found = [part for part in parts if part is not None]
    order = tuple(NAMES.index(part[2]) for part in found)
    if len(parts) != 3 or sorted(order) != [0, 1, 2]:
        raise AxesError(
            f'axes is "{text}", expected x, y and z once each, in any order and with any signs:'
            " \"x,-z,y\" if the body's y is the chip's z turned round"
        )
    return Axes(order, tuple(-1 if part[1] == "-" else 1 for part in found))


UNTURNED = read_axes("x,y,z")


class Mounted:
    """Keeps the contract `Chip` for a chip that is turned, and calibrated in its own frame."""

    def __init__(self, chip: Chip, axes: Axes, calibration: Calibration | None = None) -> None:
        calibration = calibration or Calibration()
        self.rate_hz = chip.rate_hz
        self.fifo_frames = chip.fifo_frames
        self._chip = chip
        channels = len(chip.scale)
        order = np.array([*axes.order, *(3 + column for column in axes.order)])
        signs = np.array([*axes.signs, *(axes.handedness * sign for sign in axes.signs)])
        gain = np.array([*calibration.accel_gain, 1.0, 1.0, 1.0])
        offset = np.array([*calibration.accel_offset_m_s2, *calibration.gyro_offset_rad_s])
        self._order, self._signs = order[:channels], signs[:channels]
        self._offset = np.rint(offset[:channels] / chip.scale).astype(np.int32)
        self.scale: NDArray[np.float32] = (chip.scale * gain[:channels]).astype(np.float32)[
            self._order
        ]

    def start(self) -> None:
        self._chip.start()
        self.fifo_frames = self._chip.fifo_frames  # some know it only now

    def pending(self) -> Pending:
        return self._chip.pending()

    def read(self, frames: int) -> NDArray[np.int16]:
        counts = self._chip.read(frames).astype(np.int32) - self._offset
        # -32768 the other way round is one more than there is: what is clipped stays clipped.
        turned = np.clip(counts[:, self._order] * self._signs, -32768, 32767)
        return np.asarray(turned, np.int16)

    def clear(self) -> None:
        self._chip.clear()

    def stop(self) -> None:
        self._chip.stop()
