"""Collections of labelled recordings of many people, as one .npz.

Arrays, row by row: `signal` (n, 3 or 6), `subject`, `label` (-1: unlabelled) and `segment`, which
changes wherever the sensor did not go on; then `label_names`, and `meta`, a JSON object with at
least `rate_hz` and `acc_units` ("g" or "m/s^2"), with `gyro_units` where there is a gyro.
"""

import json
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.chip import STANDARD_GRAVITY
from firmware_bridge.recording import LARGEST, Recording, RecordingError, Run

ARRAYS = ("signal", "subject", "label", "segment", "label_names", "meta")
TO_M_S2 = {"g": STANDARD_GRAVITY, "m/s^2": 1.0}
LAST_CHARACTER = 0x10FFFF  # of Unicode; numpy reads any number, and Python fails on it
# A zip may say that it holds far more than fits into memory; recordings are not packed so well.
SMALL_BYTES, RATIO = 100_000_000, 200
# np.load: text is a ValueError, a damaged zip one of many, a lone .npy has no context.
DAMAGE = (
    *(ValueError, TypeError, AttributeError, RuntimeError, SyntaxError, tokenize.TokenError),
    *(OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error),
)
# The file does not say how long the sensor rested between two segments. Something must lie
# between them, so that their times do not touch.
BETWEEN_S = 1.0


def read_npz(path: Path, subject: int | None = None, session: int | None = None) -> Recording:
    """Read everybody, or one subject, or one session of theirs: 1 the first, -1 the last.

    A session is one of the subject's segments, in the order of the file.
    """
    if session is not None and subject is None:
        raise RecordingError(f"{path}: session {session} of whom? Give a subject too")
    arrays = _arrays(path)
    rate_hz, factors = _units(path, arrays)
    subjects, segments = arrays["subject"], arrays["segment"]
    cut = (np.diff(segments) != 0) | (np.diff(subjects) != 0)
    firsts = np.concatenate([[0], np.flatnonzero(cut) + 1])
    pieces = [slice(a, b) for a, b in zip(firsts, [*firsts[1:], len(segments)], strict=True)]
    if subject is not None:
        pieces = _of_subject(path, pieces, subjects, subject)
    if session is not None:
        pieces = [_session(path, pieces, subject, session)]
    runs, start_s = [], 0.0
    for piece in pieces:
        with np.errstate(over="ignore"):  # seen below
            samples = arrays["signal"][piece] * factors
        if not (np.abs(samples) < LARGEST).all():
            raise RecordingError(
                f"{path}: rows {piece.start}-{piece.stop - 1} hold NaN, infinity or more than"
                f" {LARGEST:.0f} m/s² or rad/s"
            )
        runs.append(
            Run(
                start_s,
                samples.astype(np.float32),
                arrays["label"][piece].astype(np.int16),
                int(subjects[piece.start]),
            )
        )
        start_s += len(samples) / rate_hz + BETWEEN_S
    chosen = [
        f"{word} {n}" for word, n in (("subject", subject), ("session", session)) if n is not None
    ]
    return Recording(
        rate_hz=rate_hz,
        runs=tuple(runs),
        n_channels=len(factors),
        name=" ".join([path.name, *chosen]),
        activities=tuple(str(name) for name in arrays["label_names"]),
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays, of shapes that fit together."""
    with path.open("rb") as binary:
        try:
            with np.load(binary, allow_pickle=False) as file:
                unpacked = sum(info.file_size for info in file.zip.infolist())
                if unpacked > max(SMALL_BYTES, RATIO * path.stat().st_size):
                    raise ValueError(f"it says it holds {unpacked} bytes, as no recording does")
                arrays = {name: _array(file, name) for name in ARRAYS if name in file}
        except DAMAGE as error:
            raise RecordingError(f"{path}: not an .npz of plain arrays ({error})") from error
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise RecordingError(f"{path}: no array {missing[0]!r}, expected: {', '.join(ARRAYS)}")
    signal = arrays["signal"]
    rows = len(signal) if signal.ndim == 2 and signal.shape[1] in (3, 6) else 0
    if rows < 2 or not np.issubdtype(signal.dtype, np.floating):
        raise RecordingError(
            f"{path}: signal is {signal.dtype} {signal.shape}, expected floats (n, 3) or (n, 6)"
        )
    for name in ("subject", "label", "segment"):
        array = arrays[name]
        if array.shape != (rows,) or not np.issubdtype(array.dtype, np.integer):
            raise RecordingError(
                f"{path}: {name} is {array.dtype} {array.shape}, expected integers ({rows},)"
            )
    labels, n_names = arrays["label"], len(arrays["label_names"])
    if labels.min() < -1 or labels.max() >= n_names:
        raise RecordingError(
            f"{path}: labels go from {labels.min()} to {labels.max()},"
            f" expected -1 to {n_names - 1}: there are {n_names} label_names"
        )
    return arrays


def _array(file: Any, name: str) -> NDArray[Any]:
    found = file[name]
    if not isinstance(found, np.ndarray):  # numpy hands over the bytes of what has no header
        raise TypeError(f"{name} is no array")
    if found.dtype.kind == "U":
        characters = np.frombuffer(found.tobytes(), f"{found.dtype.byteorder}u4")
        if characters.max(initial=0) > LAST_CHARACTER:
            raise ValueError(f"{name} holds what is no text")
    return found


def _units(path: Path, arrays: dict[str, NDArray[Any]]) -> tuple[float, NDArray[np.float32]]:
    """The rate, and what each channel is multiplied by to be m/s² or rad/s."""
    try:
        meta = json.loads(str(arrays["meta"]))
        rate_hz = float(meta["rate_hz"])
        accel = TO_M_S2[meta["acc_units"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordingError(
            f"{path}: meta does not say rate_hz as a number and acc_units as one of:"
            f" {', '.join(TO_M_S2)} ({error!r})"
        ) from error
    n_channels = arrays["signal"].shape[1]
    if not 0 < rate_hz < np.inf:
        raise RecordingError(f"{path}: meta says rate_hz {rate_hz}, expected more than 0")
    if n_channels == 6 and not str(meta.get("gyro_units", "")).startswith("rad/s"):
        raise RecordingError(
            f"{path}: meta says gyro_units {meta.get('gyro_units')!r}, expected 'rad/s'"
        )
    return rate_hz, np.array([accel] * 3 + [1.0] * (n_channels - 3), np.float32)


def _of_subject(
    path: Path, pieces: list[slice], subjects: NDArray[Any], subject: int
) -> list[slice]:
    theirs = [piece for piece in pieces if subjects[piece.start] == subject]
    if not theirs:
        there = ", ".join(str(number) for number in np.unique(subjects))
        raise RecordingError(f"{path}: no subject {subject}, there are: {there}")
    return theirs


def _session(path: Path, theirs: list[slice], subject: int | None, session: int) -> slice:
    index = session - 1 if session > 0 else session
    if session == 0 or not -len(theirs) <= index < len(theirs):
        raise RecordingError(
            f"{path}: subject {subject} has no session {session}, there are: 1 to {len(theirs)},"
            " or -1 for the last"
        )
    return theirs[index]
