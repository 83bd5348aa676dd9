"""The file of a backup: a zip of a few known members, stored as they are, with their digests.

Not compressed: what is declared cannot be more than what is there, so that no small file unpacks
to a full disk, and a Pi need not deflate hundreds of MB of a sensor's noise for a tenth less.

    manifest.json      what this is, and the length and SHA-256 of every other member
    journal.sqlite     what the sensor saw and what was said of it
    calibration.json   what the sensor is off by, if that was found out
    rates.json         how fast it really samples
"""

import hashlib
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

FORMAT = 1
MANIFEST, JOURNAL = "manifest.json", "journal.sqlite"
SMALL = ("calibration.json", "rates.json")
SMALL_BYTES = 2**20
ENCRYPTED = 0x1  # of a member's flags
BLOCK = 2**20
DIRECTORY_BYTES = 4096  # of four members; more is nothing of ours and is not even read
SPARE_BYTES = 50 * 2**20  # left for the line, which writes half a MB in a quarter of an hour

Progress = Callable[[str, float], None]  # what is being done, and which share of it is
# What is printed of a stranger's file must not be able to move the cursor.
Word = Annotated[str, msgspec.Meta(pattern=r"^[\w.:+-]{1,64}$")]


class BackupError(ValueError):
    """No backup can be made, or this is none to trust; the sentence says why and what to do."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    v: int = FORMAT
    budge: Word  # version of the one that made it
    device: Word | None
    created: Word
    schema: int  # of the journal
    members: dict[str, Member]


def write_archive(
    to: Path, manifest: Manifest, members: Mapping[str, Path], told: Progress
) -> None:
    """Make the file `to`, on the disk when this returns; the manifest is given its `members`."""
    total = sum(path.stat().st_size for path in members.values())
    done, described = 0, {}
    with to.open("xb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, path in members.items():
                digest = hashlib.sha256()
                with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as sink:
                    while block := source.read(BLOCK):
                        digest.update(block)
                        sink.write(block)
                        done += len(block)
                        told("writing", done / total)
                described[name] = Member(bytes=path.stat().st_size, sha256=digest.hexdigest())
            manifest = msgspec.structs.replace(manifest, members=described)
            archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())


def read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """Read what is in an archive. Raises BackupError where it is not what it should be."""
    infos = {info.filename: info for info in archive.infolist()}
    for info in infos.values():
        _check_member(info)
    if len(infos) != len(archive.infolist()):
        raise BackupError("it holds a file twice")
    if not {MANIFEST, JOURNAL} <= infos.keys():
        raise BackupError("it is a zip of something else: expected a manifest and a journal")
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupError(f"its manifest cannot be read ({error})") from error
    if manifest.v != FORMAT:
        raise BackupError(
            f"budge {manifest.budge} made it in format {manifest.v}, this budge reads format"
            f" {FORMAT}: upgrade this budge first"
        )
    if manifest.members.keys() != infos.keys() - {MANIFEST}:
        raise BackupError("its manifest lists other files than it holds")
    return manifest


def _check_member(info: zipfile.ZipInfo) -> None:
    name = info.filename
    if name not in {MANIFEST, JOURNAL, *SMALL}:
        raise BackupError(f"it holds {name[:80]!r}, which is no part of a backup")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise BackupError(f"its {name} is compressed, expected it as budge stores it")
    if info.flag_bits & ENCRYPTED:
        raise BackupError(f"its {name} is encrypted, expected it as budge stores it")
    if name != JOURNAL and info.file_size > SMALL_BYTES:
        raise BackupError(f"its {name} has {info.file_size} bytes, expected a small file")


def read_archive(file: Path, into: Path, told: Progress) -> Manifest:
    """Unpack `file` into a folder and check every byte. Raises BackupError, OSError."""
    try:
        with file.open("rb") as opened:
            _look_at_the_end(opened)
            with zipfile.ZipFile(opened) as archive:
                manifest = read_manifest(archive)
                total = sum(info.file_size for info in archive.infolist())
                need_room(into, total)
                done = 0
                for name, member in manifest.members.items():
                    digest = hashlib.sha256()
                    with archive.open(name) as source, (into / name).open("xb") as sink:
                        while block := source.read(BLOCK):
                            digest.update(block)
                            sink.write(block)
                            done += len(block)
                            told("unpacking", done / total)
                    if digest.hexdigest() != member.sha256:
                        raise BackupError(
                            f"its {name} is not what was put in: it was damaged or changed"
                        )
                return manifest
    except (
        *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError),
        *(RuntimeError, OverflowError, UnicodeDecodeError),
    ) as error:
        raise BackupError(f"it is damaged ({error})") from error


def need_room(folder: Path, size: int) -> None:
    """Raise BackupError where `size` bytes more would leave next to nothing on the disk."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_BYTES:
        raise BackupError(
            f"{folder} has {free / 1e6:.0f} MB free, expected {(size + SPARE_BYTES) / 1e6:.0f} MB:"
            " make room there, or name another disk"
        )


def _look_at_the_end(file: BinaryIO) -> None:
    """Refuse what is no zip of a few members, before a library reads a directory of any size.

    …  | PK 6 6 zip64 record, 56 bytes | PK 6 7 its locator, 20 | PK 5 6 end record, 22 |
         its length at 40                where it is, at 8        its length at 12
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 98))
    tail = file.read().rjust(98, b"\0")
    if tail[76:80] != b"PK\5\6" or tail[-2:] != b"\0\0":
        raise BackupError("it is no backup of budge, or not all of one: it ends in mid-air")
    (size,) = struct.unpack_from("<L", tail, 76 + 12)
    if tail[56:60] == b"PK\6\7":
        (size,), (at,) = struct.unpack_from("<Q", tail, 40), struct.unpack_from("<Q", tail, 56 + 8)
        size = size if at == end - 98 else DIRECTORY_BYTES + 1
    if size > DIRECTORY_BYTES:
        raise BackupError("it is a zip of something else: expected a manifest and a journal")
