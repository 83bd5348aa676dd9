"""The page's server as strangers and thieves meet it. Loopback only."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from page import ELSEWHERE, STATES, Events, Served, ask, raw

from deploy.messages import RESPONSES
from deploy.page.assets import FOLDER, TYPES, assets

COMMANDS = [f"/api/{command}" for command in RESPONSES]
POSTS = [*COMMANDS, "/api/label", "/api/restore"]
GETS = ["/api/events", "/api/backup", "/metrics"]
PRIVATE = [("GET", path) for path in GETS] + [("POST", path) for path in POSTS]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def unmoved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all whose requests leave nothing behind."""
    with Served(tmp_path_factory.mktemp("state")) as served:
        yield served


# -- files -----------------------------------------------------------------------------------------


def test_the_page_comes_without_a_token_and_is_asked_about_when_it_is_known(
    unmoved: Served,
) -> None:
    first = ask(unmoved.port, "GET", "/")
    assert (first.status, first.body) == (200, (FOLDER / "index.html").read_bytes())
    assert first.headers["Cache-Control"] == "no-cache"
    again = ask(unmoved.port, "GET", "/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_every_file_has_its_type(unmoved: Served) -> None:
    files = [file for file in FOLDER.iterdir() if file.suffix in TYPES]
    assert files
    for file in files:
        answer = ask(unmoved.port, "GET", f"/files/{file.name}")
        assert (answer.status, answer.body) == (200, file.read_bytes())
        assert answer.headers["Content-Type"] == TYPES[file.suffix]


def test_only_what_a_browser_needs_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("index.html", "app.js", "app.py", ".html", "notes.txt", "app.js~", "key.pem"):
        (tmp_path / name).touch()
    (tmp_path / "folder.js").mkdir()
    monkeypatch.setattr("deploy.page.assets.FOLDER", tmp_path)
    assert [*assets()] == ["app.js", "index.html"]


@pytest.mark.parametrize(
    "path",
    [
        "/files/../app.py",
        "/files/..%2fapp.py",
        "/files/%2e%2e/%2e%2e/settings.py",
        "/files/....//app.py",
        "/files//etc/passwd",
        "/files/%2fetc%2fpasswd",
        "/files/index.html%00.js",
        "/files/",
        "/files",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "http://127.0.0.1/files/../app.py",
        "/files/index.html/",
        "/api/events/",
        "/api/../metrics",
        "/%2e%2e/tokens.json",
        "/tokens.json",
    ],
)
def test_no_path_leads_anywhere_else(unmoved: Served, path: str) -> None:
    got = raw(unmoved.port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 404 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["status"] == "error"


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/x"), ("PUT", "/"), *PRIVATE])
def test_every_answer_is_locked_down(unmoved: Served, method: str, path: str) -> None:
    answer = ask(unmoved.port, method, path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
    if path != "/" or method != "GET":
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json.keys() == {"v", "status", "data", "error", "transaction"}


# -- strangers -------------------------------------------------------------------------------------

STRANGERS: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Basic cGk6cmFzcGJlcnJ5"},
    {"Authorization": "{token}"},
    {"Authorization": "Bearer {token}x"},
    {"Authorization": "Bearer {hash}"},
    {"Authorization": "Bearer \xff\xfe"},
    {"Cookie": "token={token}"},
    {"X-Token": "{token}"},
    {"Proxy-Authorization": "Bearer {token}"},
]


@pytest.mark.parametrize("given", STRANGERS, ids=str)
def test_without_a_token_nothing_is_told_and_nothing_done(
    served: Served, given: dict[str, str]
) -> None:
    token, digest = served.pair(), served.access.tokens()[0].sha256
    headers = {k: v.replace("{token}", token).replace("{hash}", digest) for k, v in given.items()}
    served.output.send(STATES[0])
    for number, (method, path) in enumerate(PRIVATE):
        answer = ask(
            served.port, method, path, headers=headers, body=b"walking", address=f"127.0.1.{number}"
        )
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="budge"'
        assert "run `budge pair`" in answer.json["error"]
        assert b"0.9" not in answer.body
    assert served.line.commands == []


def test_a_token_counts_in_the_header_only_and_once(served: Served) -> None:
    token = served.pair()
    for path in (f"/api/label?token={token}", f"/api/label?access_token={token}"):
        assert ask(served.port, "POST", path, body=b"walking").status == 401
    for two in (("wrong", token), (token, "wrong"), (token, token)):
        given = "".join(f"Authorization: Bearer {one}\r\n" for one in two)
        sent = f"POST /api/label HTTP/1.1\r\nHost: x\r\n{given}Connection: close\r\n\r\n"
        assert raw(served.port, sent.encode()).startswith(b"HTTP/1.1 401 ")
    assert served.line.commands == []


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:{port}.evil"],
)
def test_a_foreign_page_is_refused_even_with_a_token(served: Served, origin: str) -> None:
    token, origin = served.pair(), origin.replace("{port}", str(served.port))
    for method, path in PRIVATE:
        answer = ask(served.port, method, path, token=token, headers={"Origin": origin})
        assert answer.status == 403
    asked = ask(served.port, "OPTIONS", "/api/label", headers={"Origin": origin})
    assert asked.status == 405
    assert not [name for name in asked.headers if name.lower().startswith("access-control")]
    assert served.line.commands == []


def test_our_own_page_is_let_in_whatever_name_it_was_opened_by(served: Served) -> None:
    token = served.pair()
    for name in (f"127.0.0.1:{served.port}", "raspberrypi.local", f"[fe80::1]:{served.port}"):
        headers = {"Host": name, "Origin": f"http://{name.upper()}"}
        answer = ask(served.port, "POST", "/api/label", token=token, body=b"a", headers=headers)
        assert answer.status == 200


def test_a_name_that_was_bent_to_our_address_brings_no_token(served: Served) -> None:
    served.pair()
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    for method, path in PRIVATE:
        assert ask(served.port, method, path, headers=headers).status == 401


def test_who_guesses_has_to_wait_and_others_have_not(served: Served) -> None:
    token = served.pair()
    statuses = []
    for number in range(12):
        headers = {"X-Forwarded-For": f"10.0.0.{number}"}  # says it is always another one
        answer = ask(served.port, "POST", "/api/label", token=f"guess-{number}", headers=headers)
        statuses.append(answer.status)
    assert statuses == [401] * 10 + [429] * 2
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert ask(served.port, "GET", "/metrics", token=token).status == 429, "no oracle for a guess"
    assert ask(served.port, "GET", "/").status == 200
    assert ask(served.port, "GET", "/metrics", token=token, address=ELSEWHERE).status == 200


def test_a_crowd_that_guesses_is_braked_and_whoever_is_paired_is_not(served: Served) -> None:
    token = served.pair()
    statuses = [
        ask(
            served.port, "GET", "/metrics", token=f"{number}", address=f"127.0.1.{number // 9}"
        ).status
        for number in range(120)
    ]
    assert statuses == [401] * 100 + [429] * 20
    assert ask(served.port, "GET", "/metrics", token=token, address=ELSEWHERE).status == 200


def test_who_may_look_may_not_touch(served: Served) -> None:
    token = served.pair("read", "tablet")
    for path in POSTS:
        answer = ask(served.port, "POST", path, token=token, body=b"walking")
        assert answer.status == 403
        assert "'tablet' may look, not touch" in answer.json["error"]
    assert ask(served.port, "GET", "/api/backup", token=token).status == 403
    assert ask(served.port, "GET", "/metrics", token=token).status == 200
    with Events(served.port, token) as events:
        assert events.until("access")[-1] == ("access", {"role": "read", "name": "tablet"})
    assert served.line.commands == []


def test_other_methods_do_nothing(served: Served) -> None:
    token = served.pair()
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        answer = ask(served.port, method, "/api/label", token=token)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    for path in GETS:
        for method in ("HEAD", "POST"):
            assert ask(served.port, method, path, token=token).status == 405
    assert served.line.commands == []


def test_tokens_that_cannot_be_read_let_nobody_in_and_tell_a_stranger_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    token = served.pair()
    served.access.path.write_bytes(b"{")
    for _ in range(3):
        answer = ask(served.port, "GET", "/metrics", token=token)
        assert answer.status == 401
        assert b"tokens.json" not in answer.body
    (told,) = [record.message for record in caplog.records]
    assert "the page lets nobody in: " in told


def test_no_token_is_in_the_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = served.pair()
    for method, path in PRIVATE[:3] + PRIVATE[-2:]:
        ask(served.port, method, path, token=token if method == "POST" else "wr0ng", body=b"x")
    raw(served.port, f"GET /?{token} HTTP\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    assert token not in caplog.text
    assert "wr0ng" not in caplog.text
