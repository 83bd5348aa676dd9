"""What the browser gets: the files in `files/`, read once."""

import hashlib
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("files")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}


class Asset(NamedTuple):
    content: bytes
    kind: str
    etag: str


def assets() -> dict[str, Asset]:
    """Read the files, by name: only a name that is in here is served, so no path leads out."""
    found = {}
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in TYPES and file.is_file():
            content = file.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found[file.name] = Asset(content, TYPES[file.suffix], etag)
    return found
