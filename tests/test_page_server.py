"""The page's server and whoever is slow, rude or many; commands, and the port. Loopback only."""

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from page import (
    ELSEWHERE,
    HERE,
    STATES,
    Events,
    Served,
    ask,
    connected,
    held,
    raw,
    read_all,
    transition,
    wait_until,
)

from deploy.messages import RESPONSES
from deploy.page import app, server

COMMANDS = [f"/api/{command}" for command in RESPONSES]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


# -- commands --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_goes_to_the_line_as_it_came_and_its_answer_comes_back(
    served: Served, path: str
) -> None:
    body = '{"läuft": 1}'.encode()
    answer = ask(served.port, "POST", path, token=served.pair(), body=body)
    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert served.line.commands == [(path.removeprefix("/api/"), body)]


def test_a_short_address_is_label_set(served: Served) -> None:
    token = served.pair()
    for body in (b"walking", b"", b"\xff\x00", b"x" * 4096):
        assert ask(served.port, "POST", "/api/label", token=token, body=body).status == 200
    assert [topic for topic, _ in served.line.commands] == ["label/set"] * 4
    assert [body for _, body in served.line.commands] == [b"walking", b"", b"\xff\x00", b"x" * 4096]


def test_a_body_that_is_too_long_is_refused_before_it_is_read(served: Served) -> None:
    token = served.pair()
    head = f"POST /api/label HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    for length in (4097, 10**15):
        with connected(served.port) as connection:
            connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())  # and no byte
            assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"800\r\n%b\r\n" % (
        b"x" * 2048
    )
    with connected(served.port) as connection:
        connection.sendall(chunked + b"801\r\n%b\r\n" % (b"x" * 2049))  # and no end
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert served.line.commands == []


def test_a_line_that_is_busy_or_does_not_answer_is_told(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = served.pair()
    served.line.full = True
    answer = ask(served.port, "POST", "/api/label", token=token, body=b"a")
    assert (answer.status, answer.json["error"]) == (
        503,
        "too many commands are waiting: try again",
    )
    monkeypatch.setattr(app, "ANSWER_S", 0.05)
    served.line.full, served.line.mute = False, True
    answer = ask(served.port, "POST", "/api/label", token=token, body=b"a")
    assert answer.status == 503
    assert "not confirmed within 0 s" in answer.json["error"]


# -- slow and broken -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unmoved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all whose requests leave nothing behind."""
    with Served(tmp_path_factory.mktemp("state")) as served:
        yield served


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server's patience that of a test."""
    monkeypatch.setattr(server, "HEAD_S", 0.4)
    monkeypatch.setattr(server, "STALL_S", 0.4)
    monkeypatch.setattr(server, "SWEEP_S", 0.1)
    monkeypatch.setattr(app, "BODY_S", 0.4)


@pytest.mark.usefixtures("hasty")
def test_a_head_that_never_ends_is_cut_off(served: Served) -> None:
    token = served.pair()
    begun = f"POST /api/label HTTP/1.1\r\nAuthorization: Bearer {token}\r\n".encode()
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for sent in (b"", b"G", begun, whole + b"GET"):
        with connected(served.port) as connection:
            connection.sendall(sent)
            ended = threading.Event()

            def trickle(
                connection: socket.socket = connection, ended: threading.Event = ended
            ) -> None:
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b"X")  # a byte now and then is no reason to wait
                    except OSError:
                        return

            thread = threading.Thread(target=trickle)
            if sent:
                thread.start()
            read_all(connection)  # ends
            ended.set()
            if sent:
                thread.join()
    assert served.line.commands == []


@pytest.mark.usefixtures("hasty")
def test_a_body_that_never_ends_is_cut_off(served: Served) -> None:
    head = "POST /api/label HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    right = f"{head}Authorization: Bearer {served.pair()}\r\n\r\nwalk"
    assert raw(served.port, right.encode()).startswith(b"HTTP/1.1 408 ")
    assert raw(served.port, f"{head}\r\nwalk".encode()).startswith(b"HTTP/1.1 401 ")
    with connected(served.port) as connection:  # or goes away in the middle
        connection.sendall(right.encode())
    wait_until(lambda: ask(served.port, "GET", "/").status == 200)
    assert served.line.commands == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: %b\r\n" % (b"b" * 70_000),
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(3000)),
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"\r\n" * 20_000,
    ],
    ids=lambda sent: repr(sent[:40]),
)
def test_what_is_no_request_is_refused_and_leaves_no_word_in_the_log(
    unmoved: Served, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert raw(unmoved.port, sent).startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert caplog.text == ""
    assert ask(unmoved.port, "GET", "/").status == 200


@pytest.mark.usefixtures("hasty")
def test_a_request_inside_another_is_one_of_its_own_or_none(served: Served) -> None:
    token = served.pair()
    inner = "POST /api/label HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"
    outer = f"POST /api/label/set HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    both = f"{outer}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    within = f"{outer}Content-Length: {len(inner)}\r\n\r\n{inner}"
    for sent in (both, within):
        with connected(served.port) as connection:
            connection.sendall(sent.encode())
            statuses = re.findall(rb"HTTP/1.1 (\d+)", read_all(connection))
        assert statuses[:1] in ([b"200"], [b"400"])
        assert set(statuses[1:]) <= {b"401"}, "the token of the first is not that of the second"
    assert (("label/set", b"a")) not in served.line.commands


@pytest.mark.usefixtures("hasty")
def test_a_thousand_connections_leave_room_for_a_phone_and_for_the_journal(served: Served) -> None:
    token = served.pair()
    crowd = [connected(served.port) for _ in range(1000)]
    try:
        answer = ask(served.port, "POST", "/api/label", token=token, body=b"a", address=ELSEWHERE)
        assert answer.status == 200
        assert held(served.port) <= server.MAX_CONNECTIONS_PER_ADDRESS + 1
    finally:
        for connection in crowd:
            connection.close()
    wait_until(lambda: held(served.port) == 0)
    assert ask(served.port, "GET", "/").status == 200


def test_connections_of_all_addresses_together_are_bounded(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_S", 600.0)  # none ends by itself, however slow this machine
    crowd = [connected(served.port, f"127.0.1.{number % 5 + 1}") for number in range(500)]
    try:
        for connection in crowd:
            connection.setblocking(False)
        wait_until(lambda: sum(map(_closed, crowd)) >= 500 - server.MAX_CONNECTIONS)
        alive = sum(not _closed(connection) for connection in crowd)
        assert alive == server.MAX_CONNECTIONS
    finally:
        for connection in crowd:
            connection.close()


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.usefixtures("hasty")
def test_a_watcher_that_never_reads_is_dropped_and_holds_up_nobody(served: Served) -> None:
    token = served.pair()
    mute = socket.socket()
    mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    mute.connect((HERE, served.port))
    mute.sendall(
        f"GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    wait_until(lambda: len(served.output._hub.watchers) == 1)
    phone = Events(served.port, token)
    heard: list[str] = []

    def listen() -> None:
        with phone:
            for topic, data in phone:
                if topic == "transition":
                    heard.append(data["id"])

    listening = threading.Thread(target=listen)
    listening.start()
    sent = 0

    def dropped() -> bool:
        nonlocal sent
        for _ in range(20):
            served.output.send(replace(transition(sent), activity="x" * 1000))
            sent += 1
        return len(served.output._hub.watchers) == 1

    wait_until(dropped)
    wait_until(lambda: len(heard) == sent)
    assert heard == [str(number) for number in range(sent)], "the other got all"
    mute.close()
    served.output.close()
    listening.join()


@pytest.mark.usefixtures("hasty")
def test_who_reads_slowly_but_reads_gets_all(served: Served) -> None:
    times = 700
    got = b""
    with connected(served.port) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * times)
        while got.count(b"HTTP/1.1 200 ") < times:
            piece = slow.recv(65536)
            assert piece, f"cut off after {got.count(b'HTTP/1.1 200 ')} answers"
            got += piece
            time.sleep(0.01)  # altogether longer than a stall may last


@pytest.mark.usefixtures("hasty")
def test_an_answer_that_is_never_read_does_not_keep_its_connection(served: Served) -> None:
    with socket.socket() as mute:
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        mute.connect((HERE, served.port))
        mute.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        wait_until(lambda: held(served.port) == 1)
        wait_until(lambda: held(served.port) == 0)


# -- the port --------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_once_and_had_when_it_is_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def listen(host: str, port: int) -> socket.socket:
        tries.append(port)
        return server.listen(host, port)

    monkeypatch.setattr("deploy.outputs.page.listen", listen)
    monkeypatch.setattr("deploy.outputs.page.RETRY_S", 0.05)
    caplog.set_level(logging.INFO)
    with socket.create_server((HERE, 0)) as other:
        served = Served(tmp_path, port=other.getsockname()[1])
        served.output.start(served.line)
        wait_until(lambda: len(tries) > 3)
        served.output.send(STATES[0])
    try:
        wait_until(lambda: "the page is at port" in caplog.text)
        with Events(served.port, served.pair()) as events:
            assert events.until("access")[0][0] == "activity", "what was said meanwhile is known"
        (told,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert told.startswith(
            f"the page cannot listen on 127.0.0.1, port {served.port} (Address already in use):"
            " name another `port` in [page], or end who has it; going on without the page"
        )
    finally:
        served.output.close()


def test_an_address_that_is_not_this_machine_s_is_told_with_one_that_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(tmp_path, host="192.0.2.9")
    served.output.start(served.line)
    try:
        wait_until(lambda: "cannot listen" in caplog.text)
    finally:
        served.output.close()

    assert (
        "(Cannot assign requested address): name another `host` in [page], such as"
        ' "0.0.0.0", which is every address that this machine has; going on' in caplog.text
    )


def test_it_ends_with_everybody_still_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Served(tmp_path) as served:
        token = served.pair()
        served.line.mute = True
        events = Events(served.port, token)
        idle = connected(served.port)
        asking = connected(served.port)
        head = f"POST /api/label HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        asking.sendall(f"{head}Content-Length: 1\r\n\r\na".encode())
        slow = connected(served.port)
        slow.sendall(f"{head}Content-Length: 9\r\n\r\na".encode())
        wait_until(lambda: served.line.commands == [("label/set", b"a")])
    with events:
        assert [topic for topic, _ in events] == ["history", "access"]
    assert b"budge ends: not confirmed" in read_all(asking)
    for connection in (idle, slow, asking):
        connection.close()
    assert caplog.text == ""
    with Served(tmp_path, port=served.port) as again:  # the port is free
        assert ask(again.port, "GET", "/metrics", token=token).status == 200
    served.output.send(STATES[0])  # late words are no error
    served.output.close()


def test_one_that_was_never_started_ends(tmp_path: Path) -> None:
    Served(tmp_path).output.close()


def test_it_can_be_on_ipv6(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6, which this machine has not")
    with Served(tmp_path, host="::1") as served:
        socket.create_connection(("::1", served.port), 5).close()
