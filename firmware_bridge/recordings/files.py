"""The reader of a recording, by the ending of its name."""

from pathlib import Path

from firmware_bridge.recording import Recording, RecordingError
from firmware_bridge.recordings.csv_file import read_csv
from firmware_bridge.recordings.npz_file import read_npz


def read(path: Path, *, subject: int | None = None, session: int | None = None) -> Recording:
    """Read a recording by the ending of its name; subject and session choose within an .npz.

    Raises RecordingError for what is not a recording, OSError for what cannot be read at all.
    """
    if path.name.endswith(".npz"):
        return read_npz(path, subject, session)
    if subject is not None or session is not None:
        raise RecordingError(f"{path}: only an .npz has subjects and sessions to choose from")
    if path.name.endswith((".csv", ".csv.gz")):
        return read_csv(path)
    raise RecordingError(f"{path}: expected a name that ends in .csv, .csv.gz or .npz")
