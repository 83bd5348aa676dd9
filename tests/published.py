"""Small collections, written into folders as their publishers did."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def moved(rows: int, seed: int, gravity: float = 9.80665) -> Floats:
    """(rows, 6) of a sensor that sways: acceleration with gravity along z, and rotation."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(rows, 6)) * [*[0.1 * gravity] * 3, 0.5, 0.5, 0.5]
    signal[:, 2] += gravity
    return signal.round(6)


def lines(path: Path, rows: Iterable[Iterable[object]], between: str = " ") -> Path:
    """Write a row a line, numbers in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(between.join(map(str, row)) + "\n" for row in rows))
    return path


def windowed(signal: Floats) -> Floats:
    """Windows of 128 rows that overlap by half."""
    return np.stack([signal[first : first + 128] for first in range(0, len(signal) - 127, 64)])


def uci_har(folder: Path, side: str, windows: Floats, people: list[int], codes: list[int]) -> None:
    """(n, 128, 6) windows in g and rad/s, in columns of 16 characters."""
    part = folder / side
    lines(part / f"y_{side}.txt", [[code] for code in codes])
    lines(part / f"subject_{side}.txt", [[person] for person in people])
    kinds = [f"{kind}_{axis}" for kind in ("total_acc", "body_gyro") for axis in "xyz"]
    for kind, table in zip(kinds, np.moveaxis(windows, 2, 0), strict=True):
        written = [[f"{number:15.7e}" for number in row] for row in table.tolist()]
        lines(part / "Inertial Signals" / f"{kind}_{side}.txt", written)


def hapt(folder: Path, recordings: dict[tuple[int, int], Floats], labels: list[list[int]]) -> None:
    """By experiment and user: (n, 6) in g and rad/s; labels as in the file."""
    raw = folder / "RawData"
    for (experiment, user), signal in recordings.items():
        name = f"exp{experiment:02}_user{user:02}.txt"
        lines(raw / f"acc_{name}", signal[:, :3].tolist())
        lines(raw / f"gyro_{name}", signal[:, 3:].tolist())
    lines(raw / "labels.txt", labels)


def wisdm(
    path: Path, user: int, activity: str, times_s: NDArray[np.floating], values: Floats
) -> list[str]:
    """Append records `user,activity,ns,x,y,z;` and return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        f"{user},{activity},{round(time * 1e9)},{x},{y},{z};"
        for time, (x, y, z) in zip(times_s.tolist(), values.tolist(), strict=True)
    ]
    with path.open("a") as file:
        file.write("\n".join(records) + "\n")
    return records


def pamap2(
    folder: Path, user: int, times_s: NDArray[np.floating], codes: list[int], signals: Floats
) -> Path:
    """`signals` (n, 18): hand, chest and ankle, each six channels in m/s² and rad/s."""
    rows = []
    for time, code, signal in zip(times_s.tolist(), codes, signals.tolist(), strict=True):
        row: list[object] = [f"{time:.2f}", code, math.nan]
        for first in (0, 6, 12):
            accel, gyro = signal[first : first + 3], signal[first + 3 : first + 6]
            row += [30.0, *accel, *[99.0] * 3, *gyro, *[1.5] * 3, 1.0, 0.0, 0.0, 0.0]
        rows.append([str(field).replace("nan", "NaN") for field in row])
    return lines(folder / "Protocol" / f"subject{user}.dat", rows)


def mhealth(folder: Path, user: int, codes: list[int], signals: Floats) -> Path:
    """`signals` (n, 15): chest in m/s², then ankle and arm in m/s² and deg/s."""
    rows = [
        [*s[:3], 0.004, 0.016, *s[3:9], 1.0, 2.0, 3.0, *s[9:15], 4.0, 5.0, 6.0, code]
        for s, code in zip(signals.tolist(), codes, strict=True)
    ]
    return lines(folder / f"mHealth_subject{user}.log", rows, "\t")


def motionsense(folder: Path, trial: str, user: int, gravity: Floats, rest: Floats) -> Path:
    """Gravity (n, 3), and (n, 6) rotation and the acceleration beside it, as iOS says them."""
    kinds = ("gravity", "rotationRate", "userAcceleration")
    header = ["", "attitude.roll", "attitude.pitch", "attitude.yaw"]
    header += [f"{kind}.{axis}" for kind in kinds for axis in "xyz"]
    rows = [
        [row, 1.5, -0.7, 1.2, *its] for row, its in enumerate(np.hstack([gravity, rest]).tolist())
    ]
    return lines(folder / trial / f"sub_{user}.csv", [header, *rows], ",")
