"""Numbers in columns of text, as collections are published."""

from collections.abc import Sequence
from math import isfinite, isnan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.recording import RecordingError


def read_table(
    path: Path,
    columns: int,
    used: Sequence[int],
    *,
    delimiter: str | None = None,
    header: str | None = None,
    holes: bool = False,
) -> NDArray[np.float64]:
    """Read (n, len(used)) of a file's columns, with white space between them by default.

    With `holes` a number may be NaN. Raises RecordingError with the line that is wrong.
    """
    # the last column is read to find a line that was cut short, whoever uses it
    read = [*used, columns - 1]
    with path.open(encoding="latin-1") as text:  # any byte is something, if only not a number
        if header is not None and (found := text.readline().strip()) != header:
            raise RecordingError(f"{path}, line 1: {found[:80]!r}, expected {header!r}")
        if not text.readline().strip():
            raise RecordingError(f"{path}: no rows, expected {columns} numbers a line")
    try:
        table = np.loadtxt(
            path,
            delimiter=delimiter,
            usecols=read,
            skiprows=int(header is not None),
            comments=None,
            ndmin=2,
            encoding="latin-1",
        )[:, :-1]
    except ValueError as error:
        raise RecordingError(_fault(path, columns, read, delimiter, header)) from error
    sound = np.isfinite(table) | np.isnan(table) if holes else np.isfinite(table)
    if not sound.all():
        raise RecordingError(_fault(path, columns, used, delimiter, header, holes=holes))
    return table


def _fault(
    path: Path,
    columns: int,
    used: Sequence[int],
    delimiter: str | None,
    header: str | None,
    *,
    holes: bool = True,
) -> str:
    """Say what is wrong with the first bad line, which is known to exist."""
    with path.open(encoding="latin-1") as text:
        for line, row in enumerate(text, 1):
            fields = row.strip().split(delimiter)
            if (line == 1 and header is not None) or fields in ([], [""]):
                continue
            where = f"{path}, line {line}"
            if len(fields) <= max(used):
                return f"{where}: {len(fields)} columns, expected {columns}"
            for column in used:
                try:
                    number = float(fields[column])
                except ValueError:
                    return f"{where}: {fields[column]!r} in column {column + 1}, expected a number"
                if not isfinite(number) and not (holes and isnan(number)):
                    return f"{where}: {number} in column {column + 1}, expected a finite number"
    return f"{path}: not a table of {columns} columns of numbers"
