"""Collections of many people into the file that `npz_file.py` reads."""

import json
from pathlib import Path

import numpy as np

from firmware_bridge.recording import RecordingError
from firmware_bridge.recordings.layout import Collection


def write_npz(path: Path, collection: Collection) -> None:
    """Write a whole collection. Raises RecordingError for a name that does not end in .npz."""
    if not path.name.endswith(".npz"):
        raise RecordingError(f"{path}: expected a name that ends in .npz")
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            signal=collection.signal,
            subject=collection.subject,
            label=collection.label,
            segment=collection.segment,
            label_names=np.array(collection.label_names),
            meta=np.array(json.dumps(collection.meta)),
        )
