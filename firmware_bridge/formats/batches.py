"""What a microcontroller publishes over MQTT: batches of samples, as JSON or as bytes.

JSON, in m/s² and rad/s, rows `ax ay az` or `ax ay az gx gy gz`:

    {"v":1, "seq":17, "t_us":34000000, "rate_hz":50, "rows":[[0.1,0,9.8,0,0,0], …]}

Bytes, a third of that, little endian:

    offset  bytes
    0       2        "bI"
    2       1        version, 1
    3       1        columns, 3 or 6
    4       4        seq       uint32: counts the batches from the start of the sender, from 0
    8       8        t_us      uint64: the sender's clock, in µs, when the first row was taken
    16      4        rate_hz   float32: rows a second, roughly
    20      4        float32, m/s² per count
    24      4        float32, rad/s per count
    28      2 each   int16 counts, row by row: ax ay az, then gx gy gz

Half a second of rows is a good batch. The clock must not wrap: `esp_timer_get_time()`, not
`micros()`. How fast the rows were taken is told by `t_us` of the next batch, since no sender knows
its own rate well; so a batch is given on when the next one has come.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from firmware_bridge.rows.payload import Floats, Lost, PayloadError, Stretch

VERSION = 1
MAGIC = b"bI"
HEAD = struct.Struct("<2sBBIQfff")
LATE = 1.5  # times as long as rate_hz says: it paused between the batches

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    sequence: int
    time_us: int
    rate_hz: float
    rows: Floats  # (n, c) m/s², rad/s


class _Json(msgspec.Struct):
    v: int
    seq: Count
    t_us: Count
    rate_hz: float
    rows: list[list[float]]


def from_json(message: dict[str, Any]) -> Batch:
    """Read a batch of decoded JSON. Raises PayloadError."""
    try:
        found = msgspec.convert(message, _Json)
        rows = np.array(found.rows, np.float64)
    except (msgspec.ValidationError, ValueError) as error:
        raise PayloadError("batch", f"a batch that cannot be read: {error}") from error
    return _checked(found.v, Batch(found.seq, found.t_us, found.rate_hz, rows))


def from_bytes(payload: bytes) -> Batch:
    """Read a binary batch. Raises PayloadError."""
    if len(payload) < HEAD.size:
        raise PayloadError(
            "batch", f"a batch of {len(payload)} bytes, expected {HEAD.size} and rows"
        )
    _, version, columns, sequence, time_us, rate_hz, accel, gyro = HEAD.unpack_from(payload)
    counts = payload[HEAD.size :]
    if columns not in {3, 6} or len(counts) % (2 * columns):
        raise PayloadError("rows", f"{len(counts)} bytes of rows in {columns} columns of 2 bytes")
    per_count = np.array([accel] * 3 + [gyro] * (columns - 3))
    rows = np.frombuffer(counts, "<i2").reshape(-1, columns) * per_count
    return _checked(version, Batch(sequence, time_us, rate_hz, rows))


def _checked(version: int, batch: Batch) -> Batch:
    if version != VERSION:
        raise PayloadError("version", f"a batch of version {version}, expected {VERSION}")
    if batch.rows.ndim != 2 or len(batch.rows) == 0 or batch.rows.shape[1] not in {3, 6}:
        raise PayloadError("rows", f"rows of shape {batch.rows.shape}, expected (n, 3) or (n, 6)")
    if not np.isfinite(batch.rows).all():
        raise PayloadError("rows", "a row with a value that is not a number")
    if not 0 < batch.rate_hz < np.inf:
        raise PayloadError("rate", f"rate_hz is {batch.rate_hz}, expected more than 0")
    return batch


class Batches:
    """The batches of one sender, with the time of every row."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._last: Batch | None = None
        self._period_s = 0.0  # as it was measured last; 0: not yet

    def read(self, batch: Batch) -> Iterator[Stretch | Lost]:
        """Yield the batch before this one, and what is missing between them."""
        if batch.rows.shape[1] < self._channels:
            raise PayloadError(
                "columns",
                f"rows of {batch.rows.shape[1]} columns, expected {self._channels}:"
                " send the gyro, too, or set gyro = false",
            )
        last = self._last
        if last is not None and (last.sequence, last.time_us) == (batch.sequence, batch.time_us):
            return  # delivered twice, as QoS 1 may
        self._last = batch
        if last is None:
            return
        ahead = batch.sequence - last.sequence
        took_s = (batch.time_us - last.time_us) / 1e6
        again = ahead <= 0 or took_s <= 0
        expected_s = len(last.rows) * (self._period_s or 1 / last.rate_hz)
        if ahead == 1 and 0 < took_s < LATE * expected_s:
            expected_s = took_s
            self._period_s = took_s / len(last.rows)
        stamps = last.time_us / 1e6 + np.linspace(0, expected_s, len(last.rows), endpoint=False)
        period_s = self._period_s or 1 / last.rate_hz
        newest_s = batch.time_us / 1e6 + (len(batch.rows) - 1) * period_s
        yield Stretch(stamps, last.rows[:, : self._channels], stamps[-1] if again else newest_s)
        if again:
            self._period_s = 0.0
            yield Lost("the sender started again", again=True)
        elif ahead > 1:
            yield Lost(f"{ahead - 1} batches were lost")
