"""Rows as they come in, thinned out to be drawn."""

from collections.abc import Callable
from math import ceil

from deploy.messages import Trace
from firmware_bridge.source import Chunk, Source

TRACE_HZ = 25.0  # rows that are drawn, at most


def thinned(chunk: Chunk, source: Source, at: Callable[[float], str]) -> Trace | None:
    """Take every so many-eth row of a chunk; None where none of those is in it.

    `at` writes a moment of the source, in s.
    """
    every = ceil(source.rate_hz / TRACE_HZ)
    rows = chunk.counts[-chunk.first % every :: every, :3] * source.scale[:3]
    if not len(rows):
        return None
    x, y, z = rows.T.astype(float).round(2).tolist()
    return Trace(
        ts=at(chunk.run_start_s + (chunk.first + len(chunk.counts)) / source.rate_hz),
        rate_hz=source.rate_hz / every,
        x=tuple(x),
        y=tuple(y),
        z=tuple(z),
    )
