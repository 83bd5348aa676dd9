"""The disk: who may write, whether the journal is whole, and how long there is room."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from deploy.archive import JOURNAL
from deploy.backup import STAGED
from deploy.doctor import Case, Finding
from learner.journal_check import damaged, read_only, schema_version
from learner.journal_file import JournalError, damage_mark, set_aside

DAY_S = 86400
FULL_MB, SOON_FULL_DAYS = 100, 7


def check(case: Case) -> Iterator[Finding]:
    state = case.state
    try:
        there = state.is_dir()
    except PermissionError:  # of a folder above it
        there = None
    if there is None or (there and not os.access(state, os.R_OK | os.X_OK)):
        yield Finding("storage", "note", f"{state} is another user's", "sudo budge doctor")
        return
    if not there:
        yield Finding("storage", "note", f"{state} is not there yet: the first start makes it")
        yield _room(_nearest(state), None)
        return
    if os.access(state, os.W_OK):
        yield Finding("storage", "good", f"{state} can be written")
    else:
        yield Finding(
            "storage",
            "bad",
            f"{state} may not be written by this user",
            f"sudo chown -R $USER {state}; or, for a service: sudo budge doctor",
        )
    bytes_a_day = None
    if (state / JOURNAL).exists():
        finding, bytes_a_day = _journal(state / JOURNAL)
        yield finding
    yield _room(state, bytes_a_day)
    yield from _left(state)


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _journal(path: Path) -> tuple[Finding, float | None]:
    """Look at every page; also how many bytes a day the sensor writes, as it last did."""
    try:
        with read_only(path) as db:
            schema_version(db)
            damage = damaged(db)
            if damage is None:
                said, known = db.execute(
                    "SELECT count(*), count(DISTINCT activity) FROM annotation WHERE NOT retracted"
                ).fetchone()
                recorded_s, last = db.execute(
                    "SELECT (SELECT sum(n / rate_hz) FROM rows JOIN run ON run.id = rows.run),"
                    " (SELECT rate_hz * length(scale) / 2 FROM run ORDER BY id DESC LIMIT 1)"
                ).fetchone()
    except JournalError as error:
        return Finding("journal", "bad", f"{path}: {error}", "name another state_dir"), None
    except sqlite3.OperationalError as error:  # locked or not ours to read: it is not to blame
        return Finding("journal", "note", f"{path} cannot be read now: {error}"), None
    except sqlite3.DatabaseError as error:
        damage = str(error)
    if damage is not None:
        return Finding(
            "journal",
            "bad",
            f"{path} is damaged ({damage}): it is set aside at the next start, and what is whole in"
            " it is kept",
            "sudo systemctl restart budge; then, with a backup: budge restore FILE",
        ), None
    sentence = (
        f"whole, {path.stat().st_size / 1e6:.1f} MB; {(recorded_s or 0) / 3600:.1f} h recorded,"
        f" {said} stretches taught, activities: {known}"
    )
    return Finding("journal", "good", sentence), None if last is None else last * DAY_S


def _room(folder: Path, bytes_a_day: float | None) -> Finding:
    free = shutil.disk_usage(folder).free
    shown = f"{free / 1e9:.1f} GB free" if free > 1e9 else f"{free / 1e6:.0f} MB free"
    clear = f"sudo apt clean; sudo journalctl --vacuum-size=50M; du -xh {folder} | sort -h | tail"
    if free < FULL_MB * 1e6:
        return Finding("room", "bad", f"{shown}, expected {FULL_MB} MB at least", clear)
    if bytes_a_day is None:
        return Finding("room", "good", shown)
    days = free / bytes_a_day
    lasts = "for years" if days > 2 * 365 else f"for {days:.0f} days"
    sentence = f"{shown}: room {lasts}, even if all of it were taught"
    if days < SOON_FULL_DAYS:
        return Finding("room", "note", sentence, clear)
    return Finding("room", "good", sentence)


def _left(state: Path) -> Iterator[Finding]:
    restart = "sudo systemctl restart budge"
    if (state / STAGED).exists():
        yield Finding("restore", "note", "a backup waits for the next start", restart)
    if damage_mark(state / JOURNAL).exists():
        sentence = "damage was met: the next start sets the journal aside and keeps what is whole"
        yield Finding("damage", "bad", sentence, restart)
    aside = set_aside(state / JOURNAL)
    if aside:
        size = sum(file.stat().st_size for file in aside)
        yield Finding(
            "set aside",
            "note",
            f"{len(aside)} files of journals that were damaged, or that a backup took the place of,"
            f" {size / 1e6:.0f} MB",
            f"rm {' '.join(map(str, aside))}, when you do not want to go back",
        )
