"""Every parser that meets the outside: how to feed it bytes, whole examples, and how it may refuse.

Whatever else a parser raises, or that it takes too long or too much memory, is a mistake.
"""

import shutil
import zipfile

from fuzzed import databases, files, sensors, talk
from fuzzed.target import Target, workshop

TARGETS = talk.TARGETS | sensors.TARGETS | files.TARGETS | databases.TARGETS


def feed(target: Target, data: bytes) -> bool:
    """Feed one input; whether it was taken. Raises what is a mistake."""
    try:
        target.feed(data)
    except target.refusals:
        return False
    return True


def unchecked_zips() -> None:
    """Let zipfile skip its checksums: else whatever is changed in a member never reaches us."""
    zipfile.ZipExtFile._update_crc = lambda *_: None  # type: ignore[attr-defined]


def clean_up() -> None:
    if talk.phone.cache_info().currsize:
        talk.phone().close()
        talk.phone.cache_clear()
    if workshop.cache_info().currsize:
        shutil.rmtree(workshop())
        workshop.cache_clear()
