"""Journals and backups of a stranger."""

import contextlib
import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from deploy.archive import BackupError
from deploy.backup import backup, check
from fuzzed.target import NOW_US, Target, in_file, workshop
from learner.journal import Journal
from learner.journal_file import JournalError
from learner.journal_rescue import open_or_rescue

SOME_WINDOWS = 2000  # of a journal, to look at


def use(journal: Journal) -> None:
    """Do what a service does with a journal."""
    with journal:
        for channels in (3, 6):
            windows = journal.windows(
                -(10**18), 10**18, length=128, hop=64, rate_hz=50.0, channels=channels
            )
            for _, _ in zip(range(SOME_WINDOWS), windows, strict=False):
                pass
        journal.at_wall(NOW_US)
        journal.note_wall(NOW_US, 5)
        journal.begin_run(NOW_US, 50.0, np.ones(3, np.float32), "start")
        journal.append(np.zeros((10, 3), np.int16))
        journal.annotate("walking", NOW_US, None, "test")
        journal.prune(10**9, 20_000)
        for activity in journal.ever_said()[:3]:
            journal.forget(activity)
        journal.forget_between(0, 10**9)
        journal.wipe()


def strange_journal(data: bytes) -> None:
    """A file in the journal's place: it is opened, or set aside, and the service goes on."""
    folder = workshop() / "journal"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "journal.sqlite"
    path.write_bytes(data)
    for _ in range(3):
        try:
            return use(open_or_rescue(path))
        except JournalError as error:
            if "schema version" in str(error) or "another program" in str(error):
                return None
            last = error
    raise AssertionError("a crash loop") from last


def a_journal(folder: Path) -> Path:
    path = folder / "journal.sqlite"
    with Journal(path) as journal:
        for run in range(2):
            journal.begin_run(run * 10**9, 50.0, np.full(3, 0.001, np.float32), "start")
            for number in range(4):
                counts = np.random.default_rng(number).integers(-9000, 9000, (300, 3))
                journal.append(counts.astype(np.int16))
                start_us = run * 10**9 + number * 6_000_000
                journal.annotate(f"a{number % 3}", start_us, start_us + 5_000_000, "test")
        journal.remember("controls", b'{"learning":true,"threshold_percent":0}')
    return path


def journals() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [a_journal(Path(folder)).read_bytes()]


def strange_backup(data: bytes) -> None:
    check(in_file("backup.budge", data))


def mended_backup(data: bytes) -> None:
    """The same with all digests put right, as somebody who means harm would."""
    file = in_file("backup.budge", data)
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        members = {name: archive.read(name) for name in manifest["members"]}
        for name, content in members.items():
            digest = hashlib.sha256(content).hexdigest()
            manifest["members"][name] = {"bytes": len(content), "sha256": digest}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as mended:
            mended.writestr("manifest.json", json.dumps(manifest))
            for name, content in members.items():
                mended.writestr(name, content)
    check(file)


def backups() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        a_journal(folder)
        (folder / "rates.json").write_text('{"lsm9ds1@0x6a": 121.37}')
        backup(folder, folder / "b.budge", device="pi")
        return [(folder / "b.budge").read_bytes()]


TARGETS = {
    "journals": Target(strange_journal, (), journals, (b"\0" * 64, b"CREATE TRIGGER", b"SQLite")),
    "backups": Target(strange_backup, (BackupError,), backups, (b"PK\1\2", b"PK\5\6", b"manifest")),
    "backups, digests put right": Target(
        mended_backup, (BackupError,), backups, (b"\0" * 64, b"CREATE TRIGGER")
    ),
}
