"""What the READMEs show is true: settings are read, payloads understood, examples run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from budge import ROOT

from deploy.cli import app
from deploy.gestures import parse
from deploy.settings import read
from firmware_bridge.formats.batches import from_json

READMES = sorted(
    path for path in ROOT.rglob("*.md") if not {".venv", "node_modules"} & {*path.parts}
)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"`([a-z_/0-9]+\.(?:py|md|sh|csv|gz|ino|h))`", path.read_text())

    assert [name for name in named if not any(ROOT.glob(f"**/{name}"))] == []


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_settings_shown_are_read(path: Path, tmp_path: Path) -> None:
    for shown in blocks(path, "toml"):
        (tmp_path / "budge.toml").write_text(shown)
        read(tmp_path / "budge.toml")


def test_the_payloads_shown_are_understood() -> None:
    table = re.findall(r"\| `(walking|\{.*?\})` \|", (ROOT / "README.md").read_text())
    now_us = 1_795_600_000_000_000  # 2026-11-25

    assert len(table) == 5
    for payload in table:
        parse("label/set", payload.encode(), now_us, int)


def test_the_commands_shown_are_known() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    for path in READMES:
        for block in blocks(path, "sh"):
            for command in re.findall(r"\bbudge ([a-z]+)", block):
                assert command in known, f"{path.name}: budge {command}"


def test_the_example_of_the_learner_runs() -> None:
    (example,) = blocks(ROOT / "learner" / "README.md", "python")
    ran = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert (ran.stdout, ran.stderr) == ("resting\n", "")


def test_the_message_of_an_esp32_shown_is_one() -> None:
    (shown,) = blocks(ROOT / "firmware_bridge" / "README.md", "json")

    assert from_json(json.loads(shown)).rows.shape == (2, 6)
