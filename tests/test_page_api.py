"""The page's API with the real service behind it, asked as its README says."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from budge import BUDGE, ROOT, Budge
from page import HERE, Answer, Events, answer_to, ask, connected, page_settings, wait_until

README = (ROOT / "deploy" / "page" / "README.md").read_text()
BUTTONS = re.findall(r"\| `POST` \| `(\w+): (.*?)` \| (?:JSON: )?`(.*?)` \|", README)


class Service(NamedTuple):
    folder: Path
    config: Path
    port: int
    token: str

    def ask(self, path: str, body: Any = None, method: str = "POST") -> Answer:
        return ask(self.port, method, path, token=self.token, body=body)

    def log(self) -> str:
        return (self.folder / "budge.log").read_text()

    def wait_for_label(self, expected: str) -> None:
        """Wait for a state: it is told right after the answer, not before."""
        with Events(self.port, self.token) as events:
            for topic, data in events:
                if topic == "label" and data["label"] == expected:
                    return
        raise AssertionError(f"the stream ended before {expected}")


def budge(service_config: Path, *arguments: str) -> str:
    return subprocess.run(
        [BUDGE, *arguments, "--config", service_config, "--state-dir", service_config.parent],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("state")
    config, port = page_settings(folder)
    with Budge(folder, "run", "--config", config, "--state-dir", folder) as process:
        wait_until(lambda: "the page is at port" in process.log, 120.0)
        paired = json.loads(budge(config, "pair", "--json"))
        yield Service(folder, config, port, paired["token"])
        assert process.running(), process.log
        assert "Traceback" not in process.log
        assert process.end() == 0


def test_a_press_teaches_and_is_confirmed_and_everybody_sees_it(service: Service) -> None:
    with Events(service.port, service.token) as events:
        events.until("access")
        started = service.ask("/api/label", "läuft".encode())
        assert (started.status, started.json["data"]["action"]) == (200, "started")
        assert ("response/label", started.json) in events.until("label")
        service.wait_for_label("läuft")
        stopped = service.ask("/api/label/set", b'{"activity":null,"transaction":"7"}')
    assert stopped.json["data"]["action"] == "stopped"
    assert stopped.json["transaction"] == "7"
    assert (
        service.ask("/api/label/set", b'{"activity":null,"transaction":"7"}').json == stopped.json
    )
    service.wait_for_label("not labelling")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/api/label", b"\xff\x00", "the payload is not UTF-8: byte 0xff at 0"),
        ("/api/label", b"a" * 4096, "the name has 4096 characters, expected at most 64"),
        ("/api/label", b"{", "the payload is not a JSON command"),
        ("/api/label", b"../../etc", "contains '/'"),
        ("/api/label", b"none", "'none' has a meaning of its own here"),
        ("/api/request/rename", b'{"from":"a"}', "missing required field `to`"),
        ("/api/request/forget", b"", "the payload is not a JSON command"),
        ("/api/threshold/set", b"101", "101"),
        ("/api/learning/set", b"MAYBE", "expected ON, OFF, or"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(
    service: Service, path: str, body: bytes, error: str
) -> None:
    answer = service.ask(path, body)
    assert answer.status == 409
    assert answer.json["status"] == "error"
    assert error in answer.json["error"]


def test_the_buttons_shown_press(service: Service) -> None:
    labels = ["cycling", "cycling", "not labelling"]
    for (header, value, body), label in zip(BUTTONS, labels, strict=True):
        given = {header: value.replace("TOKEN", service.token)}
        answer = ask(service.port, "POST", "/api/label", body=body.encode(), headers=given)
        assert answer.status == 200, answer.body
        service.wait_for_label(label)


def test_a_token_of_the_command_line_works_until_the_command_line_takes_it_back(
    service: Service,
) -> None:
    token = json.loads(budge(service.config, "pair", "--name", "guest", "--json"))["token"]
    with Events(service.port, token) as events:
        assert events.until("access")[-1][1] == {"role": "full", "name": "guest"}
        budge(service.config, "pair", "--revoke", "guest")
        assert [topic for topic, _ in events if topic == "access"] == [], "it ends"
    assert ask(service.port, "GET", "/metrics", token=token).status == 401


def test_what_is_no_backup_is_refused_and_leaves_nothing_behind(service: Service) -> None:
    whole = service.ask("/api/backup", method="GET")
    assert re.fullmatch(
        r'attachment; filename="budge-pi-\d{4}-\d\d-\d\d\.budge"',
        whole.headers["Content-Disposition"],
    )
    for upload in (b"", b"x" * 100_000, whole.body[:-1], whole.body[: len(whole.body) // 2]):
        answer = service.ask("/api/restore", upload)
        assert answer.status == 409, answer.body
        assert answer.json["error"]
    assert [file for file in service.folder.iterdir() if file.name.startswith("page-")] == []
    assert not list(service.folder.glob("restore*"))


def test_a_disk_without_room_takes_no_upload(service: Service) -> None:
    head = (
        f"POST /api/restore HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token}\r\n"
        f"Content-Length: {3 * 10**9}\r\n\r\n"
    )
    with connected(service.port) as connection:
        connection.sendall(head.encode())  # and no byte of it
        answer = answer_to(connection)
    assert answer.status == 413
    assert answer.json["error"].startswith("the file is too large, there is room for ")


def test_the_lines_for_curl_do_what_they_say(service: Service, tmp_path: Path) -> None:
    """The last: it restarts the service."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl: sudo apt-get install curl")
    with Events(service.port, service.token) as events:
        events.until("window")  # something is recorded that the last 30 s can be said of
    (shown,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    program = re.sub(r"^TOKEN=.*$", f"TOKEN={service.token}", shown, flags=re.MULTILINE)
    program = re.sub(r"^PI=.*$", f"PI=http://{HERE}:{service.port}", program, flags=re.MULTILINE)
    quick = "curl() { command curl --silent --max-time 5 --write-out '\\n%{http_code}\\n' \"$@\"; }"
    ran = subprocess.run(
        ["bash", "-c", f"{quick}\n{program}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert re.findall(r"^\d{3}$", ran.stdout, re.MULTILINE) == ["200"] * shown.count("curl ")
    answers = re.findall(r'"action":"(\w+)"', ran.stdout)
    assert answers[:4] == ["started", "stopped", "taught", "undone"]
    assert "event: history\n" in ran.stdout
    assert "# TYPE budge_info gauge\n" in ran.stdout
    assert answers[-1] == "restarting"
    wait_until(lambda: service.log().count("the page is at port") == 2, 60.0)
    service.wait_for_label("not labelling")  # and it is there again, also for the end
