"""What the owner's handbook names is there: paths, commands, users, sentences to look up."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from budge import ROOT

from deploy.cli import app

HANDBOOK = (ROOT / "deploy" / "owner.md").read_text()
INSTALL = (ROOT / "deploy" / "install").read_text()
# Of the system, or the owner's own.
NOT_OURS = {"/media/stick", "/var/lib/mosquitto/mosquitto.db"}
OTHERS_SAY = {"Couldn't open database", "Watchdog timeout"}
# Where a sentence of the table holds what differs from machine to machine.
VARIES = r"…|/dev/i2c-1|/etc/budge/budge.toml|\(.*\)| 1$|: Not authorized|, the disk"


def installed() -> str:
    """What is installed and what runs, with the installer's variables filled in."""
    text = INSTALL
    for line in re.findall(r"^[A-Z]+=/\S+(?: [A-Z]+=/\S+)*$", INSTALL, re.MULTILINE):
        for name, value in re.findall(r"([A-Z]+)=(/\S+)", line):
            text = text.replace(f"${name}", value)
    unit = (ROOT / "deploy" / "budge.service").read_text()
    return text + unit


def program() -> str:
    """The code, with sentences that go on in the next line in one piece."""
    folders = ("deploy", "firmware_bridge", "learner")
    code = "\n".join(path.read_text() for name in folders for path in (ROOT / name).rglob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", code)


def typed() -> Iterator[list[str]]:
    """Every command line of the handbook, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", HANDBOOK, re.DOTALL)
    inline = re.findall(r"`((?:sudo )?(?:budge|\./deploy/install)[^`]*)`", HANDBOOK)
    for line in [*"\n".join(blocks).splitlines(), *inline]:
        for one in line.partition("#")[0].split("&&"):
            words = shlex.split(one)
            yield words[1:] if words[:1] == ["sudo"] else words


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?<![\w.:/])/[a-z]{3,}/[\w./-]*\w", HANDBOOK)))
)
def test_a_path_that_is_named_is_one_that_is_installed_or_used(path: str) -> None:
    if any(path.startswith(place) for place in NOT_OURS):
        return
    folder, _, name = path.rpartition("/")
    there, code = installed(), program()
    assert path in there + code or (folder in there and f'"{name}"' in code)


def test_the_commands_are_known_with_their_options() -> None:
    lines = [words for words in typed() if words]
    for words in lines:
        if words[0] == "./deploy/install":
            assert all(word in INSTALL for word in words[1:]), words
        elif words[0] == "budge":
            command: Any = typer.main.get_command(app)
            rest = words[1:]
            while hasattr(command, "commands") and rest:
                command, rest = command.commands[rest[0]], rest[1:]
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in rest if word.startswith("-")} <= known, words
    assert sum(words[0] == "budge" for words in lines) > 8


def test_every_command_for_root_says_sudo() -> None:
    assert re.findall(r"`(?:budge|systemctl (?:stop|start|restart|edit)) [^`]+`", HANDBOOK) == []


def test_the_sentences_to_look_up_are_the_program_s() -> None:
    code = program()
    table = HANDBOOK.partition("| what you see |")[2]
    said = [
        part
        for row in table.splitlines()
        for phrase in re.findall(r"`([^`]+)`", row.removeprefix("|").partition("|")[0])
        for part in re.split(VARIES, phrase)
        if len(part) > 3
    ]

    assert len(said) > 10
    assert [part for part in said if part.strip() not in code and part not in OTHERS_SAY] == []


def test_links_within_lead_to_a_heading() -> None:
    titles = re.findall(r"^## (.*)$", HANDBOOK, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}

    assert set(re.findall(r"\]\(#(.*?)\)", HANDBOOK)) <= headings


def test_the_users_of_the_broker_are_those_that_are_made() -> None:
    made = re.findall(r"^user (\w+)$", INSTALL, re.MULTILINE)

    assert {"phone", "reader"} <= {*made}
    assert {"phone", "reader"} <= {*re.findall(r"`(\w+)`", HANDBOOK)}
