"""From a source into a recording file, as the rows come."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from firmware_bridge.recordings.csv_file import CsvWriter
from firmware_bridge.source import Source


def record(source: Source, path: Path, rows: int, activity: Callable[[float], str]) -> int:
    """Write `rows` rows of `source` to `path` and close it; returns how many there were.

    `activity` tells for the source time of a row what was done, "" if unknown. The file's times
    begin at 0. A gap stays one: its rows are missing, and the times tell.
    """
    written = 0
    origin_s: float | None = None
    with CsvWriter(path, len(source.scale)) as writer:
        for chunk in source.chunks():
            origin_s = chunk.run_start_s if origin_s is None else origin_s
            counts = chunk.counts[: rows - written]
            times_s = chunk.run_start_s + (chunk.first + np.arange(len(counts))) / source.rate_hz
            names = [activity(t) for t in times_s.tolist()]
            writer.write(times_s - origin_s, counts * source.scale, names)
            written += len(counts)
            if written == rows:
                source.close()
    return written
