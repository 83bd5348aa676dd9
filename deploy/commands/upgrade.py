"""`budge upgrade`: the new version beside the old one, and back to the old one if need be."""

import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

OPT = Path("/opt/budge")
UNIT = Path("/etc/systemd/system/budge.service")
JOURNAL = Path("/var/lib/private/budge/journal.sqlite")
COPY = JOURNAL.with_name("before-upgrade.sqlite")
STEADY_S = 20.0  # a version that only just starts is not one that works


class UpgradeError(RuntimeError):
    """There was no upgrade; the sentence says why and what is running now."""


def upgrade(
    checkout: Annotated[Path, typer.Argument(help="Folder of the new version.")] = Path(),
) -> None:
    """Install the budge in this folder; go back if it is not well within two minutes.

    Example: git pull && sudo budge upgrade
    """
    install = checkout.resolve() / "deploy" / "install"
    if not install.is_file():
        raise UpgradeError(
            f"{checkout.resolve()} has no deploy/install, expected a checkout of budge:"
            " go there, or name it"
        )
    current = OPT / "current"
    if not current.is_symlink():
        raise UpgradeError(f"budge is not installed in {OPT}: sudo {install}")
    if not os.access(OPT, os.W_OK):
        raise UpgradeError(f"{OPT} may not be changed by this user: sudo budge upgrade {checkout}")
    before = current.readlink()
    keep_journal()
    ended = subprocess.run([install], check=False)  # noqa: S603  what root asked for, by its path
    after = current.readlink()
    if after == before:
        COPY.unlink(missing_ok=True)
        if ended.returncode:
            raise UpgradeError(f"{install} failed, see above: {before.name} runs on")
        print(f"{before.name} runs already: nothing to upgrade")
    elif ended.returncode == 0 and steady():
        COPY.unlink(missing_ok=True)
        print(f"upgraded: {after.name} instead of {before.name}")
    else:
        go_back(before)
        raise UpgradeError(
            f"{after.name} was not well, so {before.name} runs again:"
            " `journalctl -u budge --since -10min` says what happened"
        )


def keep_journal() -> None:
    """Copy the journal while it is written: a new version may write it so that an old one cannot.

    Raises UpgradeError.
    """
    if not JOURNAL.exists():
        return
    COPY.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(JOURNAL)) as journal, closing(sqlite3.connect(COPY)) as copy:
            journal.backup(copy)
    except sqlite3.Error as error:
        COPY.unlink(missing_ok=True)
        raise UpgradeError(
            f"the journal could not be copied ({error}): is there room on the disk?"
            " Nothing was changed"
        ) from error


def steady() -> bool:
    """Whether the service runs, and has not been started anew, for a while."""
    seen = {shown()}
    end_s = time.monotonic() + STEADY_S
    while time.monotonic() < end_s:
        time.sleep(1.0)
        seen.add(shown())
    return len(seen) == 1 and seen.pop().startswith("active ")


def shown() -> str:
    """Say how the service is: its state, and how often it was started anew."""
    command = ["systemctl", "show", "budge", "--value", "-p", "ActiveState", "-p", "NRestarts"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    restarts, state = sorted(output.split())  # a number comes before a word
    return f"{state} {restarts}"


def go_back(before: Path) -> None:
    """Run the version before again, on a journal that it can read."""
    systemctl("stop", "budge")
    new = OPT / "current.new"
    new.unlink(missing_ok=True)
    new.symlink_to(before)
    new.replace(OPT / "current")
    shutil.copyfile(before / UNIT.name, UNIT)
    if COPY.exists() and schema(JOURNAL) != schema(COPY):
        owner = JOURNAL.stat()
        shutil.chown(COPY, owner.st_uid, owner.st_gid)
        aside = JOURNAL.with_name("journal-of-the-new.sqlite")
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{JOURNAL}{suffix}")
            if file.exists():
                file.replace(f"{aside}{suffix}")
        COPY.replace(JOURNAL)
        print(f"what was taught since the upgrade began is in {aside}, which only the new can read")
    COPY.unlink(missing_ok=True)
    systemctl("daemon-reload")
    systemctl("start", "budge")


def schema(path: Path) -> int:
    """Which schema a journal has."""
    with closing(sqlite3.connect(path)) as journal:
        return int(journal.execute("PRAGMA user_version").fetchone()[0])


def systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", *arguments], check=True)  # noqa: S603, S607
