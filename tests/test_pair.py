"""`budge pair`: a code that a phone can read, and who is let in by it."""

import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import segno
from budge import BUDGE
from msgspec.structs import replace

from deploy.cli import app
from deploy.page.access import Access, AccessError, holder
from deploy.pairing import hosts_of, invite, qr_code
from deploy.settings import Settings

LINK = re.compile(r"^http://(\S+)/#token=(\S{22})$", re.MULTILINE)
BLOCKS = {" ": (1, 1), "▀": (0, 1), "▄": (1, 0), "█": (0, 0)}  # 1 is dark


def budge(
    *arguments: str | Path, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUDGE, "pair", *arguments],
        capture_output=True,
        text=True,
        check=check,
        env={**os.environ, "COLUMNS": "100", **environment},
    )


def in_terminal(*arguments: str | Path, **environment: str) -> str:
    """Run it with its output at a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [BUDGE, "pair", *arguments],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        | {"TERM": "xterm-256color"}
        | environment,
    ):
        os.close(theirs)
        got = b""
        try:
            while piece := os.read(ours, 65536):
                got += piece
        except OSError:  # that is how a terminal ends
            pass
    os.close(ours)
    return got.decode().replace("\r\n", "\n")


def modules(drawn: str) -> list[tuple[int, ...]]:
    """Read the drawing back: rows of 1 for dark and 0 for light."""
    rows: list[tuple[int, ...]] = []
    for line in re.sub(r"\x1b\[[\d;]*m", "", drawn).splitlines():
        if line and set(line) <= set(BLOCKS):
            rows += zip(*(BLOCKS[block] for block in line), strict=True)
    return rows


def expected(text: str) -> list[tuple[int, ...]]:
    code = segno.make(text, error="l", micro=False)
    return [tuple(row) for row in code.matrix_iter(border=2)]


def code_of(drawn: str, text: str) -> bool:
    """Whether the drawing begins with the code of this text."""
    return modules(drawn)[: len(expected(text))] == expected(text)


def test_the_code_holds_the_first_address_and_its_token_lets_in(tmp_path: Path) -> None:
    shown = budge("--state-dir", tmp_path).stdout
    (host, token), *others = LINK.findall(shown)

    assert host == f"{socket.gethostname().partition('.')[0].lower()}.local:8080"
    assert {token_ for _, token_ in others} <= {token}
    assert code_of(shown, f"http://{host}/#token={token}")
    assert not code_of(shown, f"http://{host}/#token={token[::-1]}")
    found = holder(Access(tmp_path).tokens(), token)
    assert found is not None
    assert (found.name, found.role) == ("phone-1", "full")
    assert "budge pair --revoke phone-1" in shown


def test_a_terminal_shows_black_on_white_whatever_its_theme(tmp_path: Path) -> None:
    shown = in_terminal("--state-dir", tmp_path)
    lines = [line for line in shown.splitlines() if "█" in line or "▀" in line]

    assert lines
    for line in lines:
        assert line.startswith("\x1b[38;5;231;48;5;16m")
        assert line.endswith("\x1b[0m")
    (host, token), *_ = LINK.findall(shown)
    assert code_of(shown, f"http://{host}/#token={token}")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_still_shows_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    shown = in_terminal("--state-dir", tmp_path, **environment)
    (host, token), *_ = LINK.findall(shown)

    assert "\x1b" not in shown
    assert code_of(shown, f"http://{host}/#token={token}")


def test_a_camera_reads_the_code(tmp_path: Path) -> None:
    zbarimg = shutil.which("zbarimg")
    if zbarimg is None:
        pytest.skip("needs zbarimg: sudo apt-get install zbar-tools")
    text = "http://raspberrypi.local:8080/#token=" + "x" * 22
    scale, image = 8, tmp_path / "code.pgm"
    rows = [
        b"".join(bytes([255 * (1 - dark)]) * scale for dark in row) * scale
        for row in modules(qr_code(text, colour=True))
    ]
    side = len(rows[0]) // scale
    image.write_bytes(b"P5 %d %d 255\n" % (side, len(rows) * scale) + b"".join(rows))
    read = subprocess.run(
        [zbarimg, "--quiet", "--raw", image], capture_output=True, text=True, check=False
    )
    assert read.stdout.strip() == text


def test_it_is_listed_and_taken_back(tmp_path: Path) -> None:
    budge("--state-dir", tmp_path)
    secret = json.loads(
        budge("--state-dir", tmp_path, "--name", "tablet", "--read-only", "--json").stdout
    )["token"]
    listed = budge("--state-dir", tmp_path, "--list").stdout
    as_json = json.loads(budge("--state-dir", tmp_path, "--list", "--json").stdout)

    assert re.findall(r"^(\S+) +(may \w+)", listed, re.MULTILINE) == [
        ("phone-1", "may do"),
        ("tablet", "may look"),
    ]
    assert secret not in listed
    assert [entry.keys() for entry in as_json] == [{"name", "role", "created"}] * 2
    assert budge("--state-dir", tmp_path, "--revoke", "phone-1").stdout == (
        "phone-1 is no longer paired\n"
    )
    assert [token.name for token in Access(tmp_path).tokens()] == ["tablet"]


def test_nobody_is_paired_yet(tmp_path: Path) -> None:
    assert budge("--state-dir", tmp_path, "--list").stdout == (
        "nobody is paired: `budge pair` shows a code for a phone\n"
    )
    refused = budge("--state-dir", tmp_path, "--revoke", "x", check=False)
    assert (refused.returncode, refused.stderr) == (1, "budge: 'x' is not paired, only: nobody\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("--list", "--revoke", "x"), ("--list", "--name", "x"), ("--address", "a/b")]
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused = budge("--state-dir", tmp_path, *arguments, check=False)
    assert refused.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_the_code_says_where_it_counts(tmp_path: Path) -> None:
    (tmp_path / "off.toml").write_text('outputs = ["console"]\n')
    told = budge("--state-dir", tmp_path, "--config", tmp_path / "off.toml").stderr
    assert 'The page is off: add "page" to `outputs` in the settings.' in told
    assert f"No budge has run on {tmp_path} yet." in told
    (tmp_path / "lock").touch()
    (tmp_path / "on.toml").write_text('outputs = ["page"]\n')
    assert budge("--state-dir", tmp_path, "--config", tmp_path / "on.toml").stderr == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else_is_told_with_the_line_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    Access(folder).add("full")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    app(["pair", "--list"], standalone_mode=False)  # what it imports may be root's alone
    for options in ([], ["--list"], ["--revoke", "phone-1"]):
        monkeypatch.setattr(sys, "argv", [str(BUDGE), "pair", *options])
        os.seteuid(65534)
        try:
            with pytest.raises(AccessError) as refused:
                app(["pair", *options], standalone_mode=False)
        finally:
            os.seteuid(0)
        line = " ".join([f"sudo {BUDGE} pair", *options, f"--state-dir {folder}"])
        assert str(refused.value) == f"{folder} is another user's, as of a service: {line}"


def test_the_addresses_are_those_a_phone_can_use(tmp_path: Path) -> None:
    settings = Settings(device="pi", state_dir=str(tmp_path))
    name, *numbers = hosts_of(settings)
    assert name.endswith(".local")
    assert name.count(".") == 1
    assert all(re.fullmatch(r"\d+(\.\d+){3}", number) for number in numbers)
    assert not [number for number in numbers if number.startswith("127.")]
    assert len(set(numbers)) == len(numbers)
    only = replace(settings, page=replace(settings.page, host="192.168.1.5", port=80))
    assert invite(only).urls[0].startswith("http://192.168.1.5/#token=")
    six = invite(settings, host="fe80::1", role="read")
    assert six.urls == (f"http://[fe80::1]:8080/#token={six.token}",)
