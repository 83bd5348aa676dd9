"""Recordings as text: `time_s,ax,ay,az,gx,gy,gz,activity`, in seconds, m/s² and rad/s.

The gyro's three columns may be missing, and so may the activity; an empty activity is unlabelled.
A name that ends in .gz is gzipped.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from itertools import islice, pairwise
from math import log10
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.recording import LARGEST, UNLABELLED, Recording, RecordingError, Run

ACCEL = ("ax", "ay", "az")
GYRO = ("gx", "gy", "gz")
# Jitter moves a time by part of a step, a lost row makes the step twice as long: cut between.
GAP_STEPS = 1.5
LATEST_S, SHORTEST_S = 1e12, 1e-6  # beyond it is no time, and below no step of a sensor
BLOCK_ROWS = 20_000  # at once: a day of text as Python strings would not fit into a small Pi


class _Block(NamedTuple):
    numbers: NDArray[np.float64]  # (n, 1 + c) time and channels
    names: list[str]  # (n,) activities


def read_csv(path: Path) -> Recording:
    """Read one CSV. Raises RecordingError with the line that is wrong."""
    try:
        blocks = _decoded(path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordingError(f"{path}: the gzip file is damaged or cut short: {error}") from error
    if sum(len(block.names) for block in blocks) < 2:
        raise RecordingError(f"{path}: expected at least 2 rows below the header")
    numbers = np.concatenate([block.numbers for block in blocks])
    names = [name for block in blocks for name in block.names]
    activities = tuple(sorted(set(names) - {""}))
    code_of = {name: code for code, name in enumerate(activities)} | {"": UNLABELLED}
    codes = np.array([code_of[name] for name in names], np.int16)
    times_s, samples = numbers[:, 0], numbers[:, 1:].astype(np.float32)
    rate_hz, cuts = _pace(path, times_s)
    bounds = [0, *cuts, len(times_s)]
    runs = tuple(
        Run(float(times_s[first]), samples[first:after], codes[first:after])
        for first, after in pairwise(bounds)
    )
    return Recording(rate_hz, runs, samples.shape[1], path.name, activities)


def _decoded(path: Path) -> list[_Block]:
    try:
        with _open(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
            return _read_blocks(path, csv.reader(text, strict=True))
    except UnicodeDecodeError as error:
        line = _first_undecodable_line(path)
        raise RecordingError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from error


def _open(path: Path) -> BinaryIO:
    if path.name.endswith(".gz"):
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def _first_undecodable_line(path: Path) -> int:
    """The text layer decodes by the buffer and cannot say; here line by line."""
    with _open(path) as binary:
        for number, line in enumerate(binary, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    raise AssertionError("the text layer refused bytes in which every line is UTF-8")


def _read_blocks(path: Path, reader: Any) -> list[_Block]:
    blocks: list[_Block] = []
    last_s = -np.inf
    try:
        header = next(reader, None)
        if header is None:
            raise RecordingError(f"{path}: the file is empty, expected the header {_header(6)}")
        columns = _checked_header(path, [name.strip() for name in header])
        first_line = reader.line_num + 1
        while rows := list(islice(reader, BLOCK_ROWS)):
            if reader.line_num + 1 - first_line != len(rows):
                raise RecordingError(
                    f"{path}, lines {first_line}-{reader.line_num}: a quoted line break,"
                    " expected one row per line"
                )
            block = _parsed(rows, columns, last_s)
            if block is None:
                raise RecordingError(_first_fault(path, first_line, rows, columns, last_s))
            blocks.append(block)
            last_s = float(block.numbers[-1, 0])
            first_line += len(rows)
    except csv.Error as error:
        raise RecordingError(f"{path}, line {reader.line_num}: {error}") from error
    return blocks


def _header(n_channels: int) -> str:
    return ",".join(("time_s", *(ACCEL + GYRO)[:n_channels], "activity"))


def _checked_header(path: Path, header: list[str]) -> list[str]:
    required = ["time_s", *ACCEL]
    if any(name in header for name in GYRO):
        required += GYRO
    missing = [name for name in required if name not in header]
    unknown = [name for name in header if name not in (*required, "activity")]
    if missing or unknown or header not in (required, [*required, "activity"]):
        found = (
            f"column {missing[0]!r} is missing"
            if missing
            else f"column {unknown[0]!r} is unknown"
            if unknown
            else "the columns are in another order"
        )
        raise RecordingError(
            f"{path}, line 1: {found}, expected the header {_header(len(required) - 1)}"
            " in m/s² and rad/s"
        )
    return header


def _parsed(rows: list[list[str]], columns: list[str], last_s: float) -> _Block | None:
    """The rows as numbers, or None when any of them is wrong. Made for speed: no look at why."""
    n_numbers = 1 + sum(name in ACCEL + GYRO for name in columns)
    if {len(row) for row in rows} != {len(columns)}:
        return None
    try:
        numbers = np.array([[*map(float, row[:n_numbers])] for row in rows])
    except ValueError:
        return None
    times_s = numbers[:, 0]
    if not ((np.abs(numbers[:, 1:]) < LARGEST).all() and (np.abs(times_s) < LATEST_S).all()):
        return None
    if not (np.diff(times_s, prepend=last_s) > 0).all():
        return None
    labelled = len(columns) > n_numbers
    return _Block(numbers, [row[-1].strip() if labelled else "" for row in rows])


def _first_fault(
    path: Path, first_line: int, rows: list[list[str]], columns: list[str], last_s: float
) -> str:
    """Say what is wrong with the first bad row, which `_parsed` knows to exist."""
    for line, row in enumerate(rows, first_line):
        where = f"{path}, line {line}"
        if len(row) != len(columns):
            return f"{where}: {len(row)} fields, expected {len(columns)}: {','.join(columns)}"
        for name, text in zip(columns, row, strict=True):
            if name == "activity":
                continue
            try:
                number = float(text)
            except ValueError:
                return f"{where}: {name} is {text!r}, expected a number"
            most = LATEST_S if name == "time_s" else LARGEST
            if not abs(number) < most:
                return f"{where}: {name} is {text!r}, expected a finite number below {most:.0f}"
        time_s = float(row[0])
        if time_s <= last_s:
            return (
                f"{where}: time_s is {time_s:g} after {last_s:g}, expected every row later than"
                " the one before it"
            )
        last_s = time_s
    raise AssertionError("the fast parser refused rows in which the slow one finds no fault")


def _pace(path: Path, times_s: NDArray[np.float64]) -> tuple[float, list[int]]:
    """The rate, and the rows at which a new run begins."""
    steps_s = np.diff(times_s)
    usual_s = np.median(steps_s)
    gaps = steps_s > GAP_STEPS * usual_s
    # Over all runs together, first row to last: jitter of single times averages out.
    steps, total_s = int((~gaps).sum()), float(steps_s[~gaps].sum())
    if total_s < steps * SHORTEST_S:
        raise RecordingError(
            f"{path}: rows {total_s / steps:g} s apart, expected time_s in seconds"
        )
    rate_hz = steps / total_s
    # Times are written to 10 µs; what this leaves uncertain of the rate is rounded away.
    decimals = max(int(log10(total_s / (1e-5 * rate_hz))), 0)
    rate_hz = round(rate_hz, decimals)
    return rate_hz, [int(row) + 1 for row in np.flatnonzero(gaps)]


class CsvWriter:
    """Writes a CSV as the rows come. The same rows give the same bytes, gzipped or not."""

    def __init__(self, path: Path, n_channels: int) -> None:
        self._path = path
        self._n_channels = n_channels

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        binary: Any = self._file
        if self._path.name.endswith(".gz"):  # neither time nor name in the gzip header
            binary = gzip.GzipFile("", "wb", fileobj=self._file, mtime=0)
        self._text = io.TextIOWrapper(binary, "utf-8", newline="")
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(_header(self._n_channels).split(","))
        return self

    def write(
        self,
        times_s: NDArray[np.float64],
        samples: NDArray[np.float32],
        activities: Iterable[str],
    ) -> None:
        """Add rows: (n,), (n, c) in m/s² and rad/s, and n names, "" for unlabelled."""
        numbers = np.round(np.column_stack([times_s, samples]).astype(np.float64), 5) + 0.0  # no -0
        self._csv.writerows(
            [*(f"{number:.5f}" for number in row), activity]
            for row, activity in zip(numbers.tolist(), activities, strict=True)
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._text.close()
        self._file.close()  # GzipFile leaves the file it was given open


def write_csv(recording: Recording, path: Path) -> None:
    """Write a whole recording; `read_csv` gives it back, times and values to 5 decimals."""
    with CsvWriter(path, recording.n_channels) as writer:
        for run in recording.runs:
            times_s = run.start_s + np.arange(len(run.samples)) / recording.rate_hz
            names = [recording.activities[code] if code >= 0 else "" for code in run.codes]
            writer.write(times_s, run.samples, names)
