"""Rows as WISDM writes them: `user,activity,time in ns,x,y,z;`.

Some lines hold two records, some none, some half of one; some records came twice.
"""

import re
from array import array
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.recording import RecordingError

NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
RECORD = re.compile(
    rf"\s*(\d+),\s*(\w+),\s*(\d+),\s*({NUMBER}),\s*({NUMBER}),\s*({NUMBER}),?\s*", re.ASCII
)
# About one record in ten thousand is broken as published: many more are another file.
BROKEN = 0.01


class Records(NamedTuple):
    """In the order of the file."""

    users: NDArray[np.int64]  # (n,)
    codes: NDArray[np.int16]  # (n,)
    times_s: NDArray[np.float64]  # (n,)
    values: NDArray[np.float64]  # (n, 3)

    def of(self, chosen: NDArray[np.bool_]) -> "Records":
        """Some of them."""
        return Records(
            self.users[chosen], self.codes[chosen], self.times_s[chosen], self.values[chosen]
        )


def read_records(path: Path, code_of: dict[str, int], skipped: Counter[str]) -> Records:
    """Read a file and leave out what is broken. Raises RecordingError where that is too much."""
    users, codes, times_ns, values = array("q"), array("h"), array("q"), array("d")
    broken, first_fault = 0, ""
    with path.open(encoding="latin-1") as text:
        for line, content in enumerate(text, 1):
            for record in content.strip().split(";"):
                if not record:
                    continue
                found = RECORD.fullmatch(record)
                # no phone was switched on at that instant: such a record is all zeros
                if found is None or found[2] not in code_of or int(found[3]) == 0:
                    broken += 1
                    first_fault = first_fault or f"{path}, line {line}: {record[:80]!r}"
                    continue
                users.append(int(found[1]))
                codes.append(code_of[found[2]])
                times_ns.append(int(found[3]))
                values.extend((float(found[4]), float(found[5]), float(found[6])))
    if not users and not broken:
        raise RecordingError(f"{path}: no records, expected user,activity,time,x,y,z;")
    if not users or broken > BROKEN * len(users) + 1:
        raise RecordingError(
            f"{first_fault}, expected user,activity,time,x,y,z; and {broken} of"
            f" {len(users) + broken} records are like it"
        )
    skipped["broken records"] += broken
    records = Records(
        np.array(users),
        np.array(codes),
        np.array(times_ns) / 1e9,
        np.array(values).reshape(-1, 3),
    )
    once = np.zeros(len(users), np.bool_)
    once[np.unique(np.column_stack([users, times_ns]), axis=0, return_index=True)[1]] = True
    skipped["records with the time of another"] += int((~once).sum())
    return records.of(once)
