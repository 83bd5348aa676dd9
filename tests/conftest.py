"""What several test files share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other are slower

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def datasets() -> Path:
    """Real recordings of other people, which may not be copied into the project."""
    folder = PROJECT.parent / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip(f"needs the real recordings, which are not at {folder}")
    return folder
