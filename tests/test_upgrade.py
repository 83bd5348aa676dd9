"""`budge upgrade`: only a version that works replaces one that does.

Systemd is not to be had in a test: a script that remembers takes its place, and says that the
service runs if the version that is linked is a good one. With real ones: tests/emulated_pi.
"""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from deploy.commands import upgrade as command
from deploy.commands.upgrade import UpgradeError, upgrade
from learner.journal import Journal

SYSTEMCTL = """#!/bin/sh
echo "$*" >>{folder}/asked
case "$1" in show) ;; *) exit 0 ;; esac
if [ -e {folder}/opt/current/good ]; then echo active; else echo activating; fi
echo 0
"""
INSTALL = """#!/bin/sh
[ -e {checkout}/fails ] && {{ echo "no wheel"; exit 1; }}
mkdir -p {folder}/opt/2.0
cp {checkout}/budge.service {folder}/opt/2.0/
cp {checkout}/budge.service {folder}/etc/
[ -e {checkout}/good ] && touch {folder}/opt/2.0/good
ln -sfn {folder}/opt/2.0 {folder}/opt/current
[ ! -e {checkout}/migrates ] || {python} -c 'import sqlite3
sqlite3.connect("{folder}/state/journal.sqlite").execute("PRAGMA user_version = 99")'
[ -e {folder}/opt/current/good ]
"""


class Pi:
    """A machine with version 1.0 and a checkout of 2.0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkout = folder / "checkout"
        old, state = folder / "opt" / "1.0", folder / "state"
        for made in (old, state, folder / "etc", folder / "bin", self.checkout / "deploy"):
            made.mkdir(parents=True)
        (old / "good").touch()
        (old / "budge.service").write_text("old")
        (folder / "etc" / "budge.service").write_text("old")
        (self.checkout / "budge.service").write_text("new")
        (folder / "opt" / "current").symlink_to(old)
        self._script(folder / "bin" / "systemctl", SYSTEMCTL)
        self._script(self.checkout / "deploy" / "install", INSTALL)
        with Journal(state / "journal.sqlite") as journal:
            journal.remember("who", b"I am the old one's")

    def _script(self, path: Path, text: str) -> None:
        text = text.format(folder=self.folder, checkout=self.checkout, python=sys.executable)
        path.write_text(text)
        path.chmod(0o755)

    @property
    def running(self) -> tuple[str, str]:
        """The version that is linked, and whose unit is installed."""
        linked = (self.folder / "opt" / "current").readlink().name
        return linked, (self.folder / "etc" / "budge.service").read_text()

    @property
    def asked(self) -> list[str]:
        """What systemd was asked for, but how it is."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not line.startswith("show")]


@pytest.fixture(name="pi")
def _pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pi:
    pi = Pi(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(command, "OPT", tmp_path / "opt")
    monkeypatch.setattr(command, "UNIT", tmp_path / "etc" / "budge.service")
    monkeypatch.setattr(command, "JOURNAL", tmp_path / "state" / "journal.sqlite")
    monkeypatch.setattr(command, "COPY", tmp_path / "state" / "before-upgrade.sqlite")
    monkeypatch.setattr(command, "STEADY_S", 0.1)
    return pi


def test_a_version_that_works_takes_over(pi: Pi, capsys: pytest.CaptureFixture[str]) -> None:
    (pi.checkout / "good").touch()
    upgrade(pi.checkout)

    assert pi.running == ("2.0", "new")
    assert "upgraded: 2.0 instead of 1.0" in capsys.readouterr().out
    assert {file.name for file in (pi.folder / "state").iterdir()} == {"journal.sqlite"}


def test_a_version_that_does_not_run_is_replaced_by_the_one_before(pi: Pi) -> None:
    with pytest.raises(UpgradeError, match=r"2\.0 was not well, so 1\.0 runs again"):
        upgrade(pi.checkout)

    assert pi.running == ("1.0", "old")
    assert pi.asked[-3:] == ["stop budge", "daemon-reload", "start budge"]


def test_the_old_version_gets_a_journal_that_it_can_read(
    pi: Pi, capsys: pytest.CaptureFixture[str]
) -> None:
    (pi.checkout / "migrates").touch()
    with pytest.raises(UpgradeError):
        upgrade(pi.checkout)

    with Journal(pi.folder / "state" / "journal.sqlite") as journal:
        assert journal.recall("who") == b"I am the old one's"
    assert "journal-of-the-new.sqlite, which only the new can read" in capsys.readouterr().out
    with closing(sqlite3.connect(pi.folder / "state" / "journal-of-the-new.sqlite")) as aside:
        assert aside.execute("PRAGMA user_version").fetchone() == (99,)


def test_an_installation_that_fails_changes_nothing(pi: Pi) -> None:
    (pi.checkout / "fails").touch()
    with pytest.raises(UpgradeError, match=r"failed, see above: 1\.0 runs on"):
        upgrade(pi.checkout)

    assert pi.running == ("1.0", "old")
    assert pi.asked == []


def test_a_folder_without_budge_is_refused(pi: Pi, tmp_path: Path) -> None:
    with pytest.raises(UpgradeError, match="has no deploy/install, expected a checkout of budge"):
        upgrade(tmp_path / "etc")


def test_where_budge_is_not_installed_it_says_how_to(pi: Pi) -> None:
    (pi.folder / "opt" / "current").unlink()
    with pytest.raises(UpgradeError, match=r"budge is not installed in .*: sudo .*/install"):
        upgrade(pi.checkout)
