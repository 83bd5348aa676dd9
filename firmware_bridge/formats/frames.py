"""Our own frames on a serial line: one sample each, checked, numbered and timed.

    offset  bytes        little endian, as every chip is that anybody would program for this
    0       1            version, 1
    1       2            sequence: counts samples, also those that were not sent
    3       4            time_us: the sender's clock when the sample was taken
    7       12 or 24     float32: ax ay az in m/s², then gx gy gz in rad/s if there is a gyro
    19, 31  2            CRC-16/CCITT-FALSE over all before

The 21 or 33 bytes go out COBS-encoded, which frees them of zeros at the cost of one byte, and
then a zero, which so occurs nowhere but at the end of a frame: 23 or 35 bytes, 329 six-axis frames
a second at 115200 baud. SI units and no full scale: the host needs to be told nothing.

COBS: S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on
Networking 7(2), 1999. The CRC is the one of that name in the RevEng catalogue (there also
CRC-16/IBM-3740): polynomial 0x1021, begun with 0xffff, not reflected, 0x29b1 for "123456789".
"""

import struct
from binascii import crc_hqx
from math import isfinite

from firmware_bridge.formats.readings import Broken, Pieces, Reading

VERSION = 1
HEAD = struct.Struct("<BHI")  # version, sequence, time_us
CRC = struct.Struct("<H")
VALUES = {
    HEAD.size + values.size + CRC.size: values for values in map(struct.Struct, ("<3f", "<6f"))
}
LONGEST = 64  # bytes without a zero; no frame is longer than 34
MOST_BEFORE_A_CODE = 254  # bytes, in COBS


def encode(reading: Reading) -> bytes:
    """Write a frame, its zero included. The host never sends; this is what a sender has to do."""
    if len(reading.values) not in {3, 6}:
        raise ValueError(f"{len(reading.values)} values, expected 3 or 6")
    head = HEAD.pack(VERSION, (reading.sequence or 0) & 0xFFFF, (reading.time_us or 0) & 0xFFFFFFFF)
    body = head + struct.pack(f"<{len(reading.values)}f", *reading.values)
    return cobs_encode(body + CRC.pack(crc16(body))) + b"\0"


class FrameDecoder:
    """Finds the frames in a stream, those with three axes, with six, or whichever come."""

    def __init__(self, axes: int | None = None) -> None:
        self._axes = axes
        self._pieces = Pieces(b"\0", LONGEST)

    def feed(self, data: bytes) -> list[Reading | Broken]:
        return [
            piece if isinstance(piece, Broken) else self._frame(piece)
            for piece in self._pieces.cut(data)
            if piece != b""  # a sender may begin with a zero to end whatever was there
        ]

    def _frame(self, piece: bytes) -> Reading | Broken:
        found = _decoded(piece)
        if isinstance(found, Reading) and len(found.values) != (self._axes or len(found.values)):
            return Broken(f"a frame of {len(found.values)} axes, expected {self._axes}")
        return found


def _decoded(piece: bytes) -> Reading | Broken:
    frame = cobs_decode(piece)
    if frame is None:
        return Broken("a frame that is not COBS")
    values = VALUES.get(len(frame))
    if values is None:
        return Broken(f"a frame of {len(frame)} bytes, expected {' or '.join(map(str, VALUES))}")
    body, (said,) = frame[: -CRC.size], CRC.unpack(frame[-CRC.size :])
    if said != crc16(body):
        return Broken(f"a frame with CRC 0x{said:04x}, expected 0x{crc16(body):04x}")
    version, sequence, time_us = HEAD.unpack_from(body)
    if version != VERSION:
        return Broken(f"a frame of version {version}, expected {VERSION}")
    measured = values.unpack_from(body, HEAD.size)
    if not all(map(isfinite, measured)):
        return Broken("a frame with a value that is not a number")
    return Reading(measured, time_us, sequence)


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE; the standard library has its polynomial as XMODEM's, begun with 0."""
    return crc_hqx(data, 0xFFFF)


def cobs_encode(data: bytes) -> bytes:
    """Each zero becomes the distance to the next, or to the end; the first distance leads.

        11 00 22 33  ->  02 11 03 22 33

    A distance of 255 stands for 254 bytes with no zero after them.
    """
    encoded = bytearray()
    for block in data.split(b"\0"):
        left = block
        while len(left) >= MOST_BEFORE_A_CODE:
            encoded += b"\xff" + left[:MOST_BEFORE_A_CODE]
            left = left[MOST_BEFORE_A_CODE:]
        encoded += bytes([len(left) + 1]) + left
    return bytes(encoded)


def cobs_decode(encoded: bytes) -> bytes | None:
    """Undo `cobs_encode`; None if this is not COBS."""
    data = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        block = encoded[at + 1 : at + code]
        if code == 0 or 0 in block or len(block) < code - 1:
            return None
        data += block
        at += code
        if code <= MOST_BEFORE_A_CODE and at < len(encoded):
            data.append(0)
    return bytes(data) if encoded else None
