"""The disk on which deploy/install has put this very version, made once and kept."""

import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from budge import ROOT
from guest import CACHE, Guest
from tiny_usb import Adapter

DISK = CACHE / "debian.img"
PARTS = ("pyproject.toml", "README.md", "LICENSE", "firmware_bridge", "learner", "deploy")
INSTALL_S = 3600.0  # ten minutes on a quiet machine; most of it pip, Python and LLVM


class Installed(NamedTuple):
    """A disk that is not to be written, and what the installation said on the terminal."""

    disk: Path
    said: str

    @property
    def passwords(self) -> dict[str, str]:
        return dict(re.findall(r"^    (\w+) +(\S+)$", self.said, re.MULTILINE))


def sources() -> list[Path]:
    """Every file that is installed, in order."""
    files = [
        file
        for part in PARTS
        for file in ([ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    ]
    return sorted(files)


def digest() -> str:
    """Names this version, and the disk it is put on."""
    sums = hashlib.sha256(str(DISK.stat().st_mtime_ns).encode())
    for file in sources():
        sums.update(str(file.relative_to(ROOT)).encode())
        sums.update(file.read_bytes())
    return sums.hexdigest()[:16]


def kept() -> Installed | None:
    """The disk of this version, if it was made already."""
    if not DISK.exists():
        return None
    disk = CACHE / f"installed-{digest()}.img"
    return Installed(disk, disk.with_suffix(".txt").read_text()) if disk.exists() else None


def pack(folder: Path, changed: Mapping[str, bytes] | None = None) -> Path:
    """Make a tape of this version, for the guest to unpack from /dev/vdb.

    `changed` are files whose content is another one.
    """
    path = folder / "budge.tar"
    with tarfile.open(path, "w") as tar:
        for file in sources():
            name = str(file.relative_to(ROOT))
            member = tar.gettarinfo(file, f"budge/{name}")
            content = (changed or {}).get(name, file.read_bytes())
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def copy(disk: Path, folder: Path) -> Path:
    """Copy a disk, without the empty parts."""
    path = folder / "disk.img"
    subprocess.run(["cp", "--sparse=always", disk, path], check=True)
    return path


def install(folder: Path, buses: tuple[Adapter, Adapter]) -> Installed:
    """Boot a bare Debian, run deploy/install there, keep the disk."""
    disk = copy(DISK, folder)
    name = digest()
    with Guest(disk, buses, cargo=pack(folder)) as guest:
        guest.wait_for_boot()
        guest.run("tar -xf /dev/vdb -C /root")
        said = guest.run("/root/budge/deploy/install", patience_s=INSTALL_S)
        guest.power_off()
    for old in CACHE.glob("installed-*"):
        old.unlink()
    kept_disk = CACHE / f"installed-{name}.img"
    kept_disk.with_suffix(".txt").write_text(said)
    subprocess.run(["cp", "--sparse=always", disk, kept_disk], check=True)
    return Installed(kept_disk, said)
