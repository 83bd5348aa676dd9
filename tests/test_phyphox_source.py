"""The phyphox source: a real web server that answers as the app does; only time is virtual."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from sent import assert_true, assert_whole, moved, rows, turned

from firmware_bridge.clock import VirtualClock
from firmware_bridge.source import Chunk, SourceError
from firmware_bridge.sources.phyphox import Source

NAMES = {
    "accelerometer": ["accX", "accY", "accZ", "acc_time"],
    "gyroscope": ["gyrX", "gyrY", "gyrZ", "gyr_time"],
    "linear_acceleration": ["accX", "accY", "accZ", "acc_time"],  # the same as with gravity
}
RATES_HZ = {"accelerometer": 200.0, "gyroscope": 197.0, "linear_acceleration": 200.0}
WITHIN_S = 0.009  # the newest sample is up to 5 ms old; half a period, and rounding to 8 digits


class Phone(VirtualClock):
    """A phone that measures as the clock goes on, and the source asks it over HTTP."""

    def __init__(self, *sensors: str) -> None:
        super().__init__(1000.0)
        self.sensors = sensors or ("accelerometer", "gyroscope")
        self.session = "a1b2c3"
        self.answer: Callable[[bytes], bytes] = lambda body: body
        self.asked: list[str] = []
        self._events: list[tuple[float, Callable[[], None]]] = []
        self._pieces: list[tuple[float, float, float]] = []  # of measuring: ours from, to; its from
        self._from_s: float | None = None  # ours, of the piece that goes on
        self._experiment_s = 0.0
        self.play()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.listen()

    def listen(self) -> None:
        phone = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = phone.answer(json.dumps(phone.respond(self.path)).encode())
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """The test's output is the test's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def leave(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def at(self, time_s: float, *actions: Callable[[], None]) -> None:
        self._events += [(time_s, action) for action in actions]

    def sleep_s(self, seconds: float) -> None:
        super().sleep_s(seconds)
        for event in [event for event in self._events if event[0] <= self.now_s()]:
            self._events.remove(event)
            event[1]()

    def play(self) -> None:
        self._from_s = self.now_s()

    def pause(self) -> None:
        assert self._from_s is not None
        self._pieces.append((self._from_s, self.now_s(), self._experiment_s))
        self._experiment_s += self.now_s() - self._from_s
        self._from_s = None

    def clear(self) -> None:
        self._pieces, self._experiment_s = [], 0.0
        self._from_s = self.now_s()

    def respond(self, path: str) -> Any:
        url = urlsplit(path)
        if url.path == "/config":
            inputs = [{"source": s, "outputs": self._outputs(s)} for s in self.sensors]
            return {"crc32": "0", "title": "My sensors", "inputs": inputs, "export": []}
        assert url.path == "/get"
        self.asked.append(path)
        buffers = {}
        for name, wanted in parse_qsl(url.query, keep_blank_values=True):
            sensor = next((s for s in self.sensors if name in NAMES[s]), None)
            if sensor is not None:
                values = self._values(sensor, wanted.split("|")[0], NAMES[sensor].index(name))
                mode = "partial" if wanted else "single"
                buffers[name] = {"size": 0, "updateMode": mode, "buffer": values}
        status = {"session": self.session, "measuring": self._from_s is not None}
        return {"buffer": buffers, "status": status | {"timedRun": False, "countDown": 0}}

    def _outputs(self, sensor: str) -> list[dict[str, str]]:
        return [{axis: name} for axis, name in zip("xyzt", NAMES[sensor], strict=True)]

    def _values(self, sensor: str, threshold: str, column: int) -> list[float | None]:
        table = self._measured(sensor)
        if not threshold:
            return [float(f"{table[-1, column]:.7e}")] if len(table) else [None]
        above = float(threshold)
        # As RemoteServer.java does: its numbers have 8 digits, so it moves the threshold up.
        above += 10.0 ** np.floor(np.log10(above / 1e7)) if above else 0.0
        return [float(f"{value:.7e}") for value in table[table[:, 3] > above, column]]

    def _measured(self, sensor: str) -> NDArray[np.float64]:
        now_s = self.now_s()
        pieces = list(self._pieces)
        if self._from_s is not None:
            pieces.append((self._from_s, now_s, self._experiment_s))
        tables = []
        for from_s, to_s, experiment_s in pieces:
            ours = np.arange(from_s + 0.0013, to_s, 1 / RATES_HZ[sensor])
            values = turned(ours) if sensor == "gyroscope" else moved(ours)
            tables.append(np.column_stack([values, ours - from_s + experiment_s]))
        return np.concatenate(tables) if tables else np.empty((0, 4))


@pytest.fixture(name="phones")
def _phones() -> Iterator[Callable[..., Phone]]:
    made: list[Phone] = []

    def make(*sensors: str) -> Phone:
        made.append(Phone(*sensors))
        return made[-1]

    yield make
    for phone in made:
        phone.leave()


def run(phone: Phone, seconds: float, **given: Any) -> tuple[Source, list[Chunk]]:
    source = Source(f"http://127.0.0.1:{phone.port}", phone, **given)
    phone.at(phone.now_s() + seconds, source.close)
    return source, list(source.chunks())


def causes(chunks: list[Chunk]) -> list[str]:
    return [chunk.cause for chunk in chunks if chunk.first == 0]


def test_a_phone_that_measures_becomes_one_run(phones: Callable[..., Phone]) -> None:
    source, chunks = run(phones(), 20)

    assert causes(chunks) == ["start"]
    assert rows(chunks) > 50 * 19
    assert_whole(chunks)
    assert_true(source, chunks, WITHIN_S)
    assert source.health().state == "connected"
    assert source.health().rate_hz == pytest.approx(200, rel=0.01)


def test_only_the_accelerometer_is_asked_for_without_gyro(phones: Callable[..., Phone]) -> None:
    phone = phones("accelerometer")
    source, chunks = run(phone, 6, gyro=False)

    assert source.scale.shape == (3,)
    assert rows(chunks) > 50 * 4
    assert_true(source, chunks, WITHIN_S)
    assert not any("gyr" in path for path in phone.asked)


def test_no_value_is_lost_or_taken_twice_after_days(
    phones: Callable[..., Phone], monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = phones()
    phone._experiment_s = 100_000.0  # where 8 digits are 10 ms, and so much a threshold is moved
    monkeypatch.setitem(RATES_HZ, "accelerometer", 80.0)
    source, chunks = run(phone, 20)

    assert causes(chunks) == ["start"]
    assert_true(source, chunks, 0.02)
    # A sample too few in each answer would be 5 %.
    assert source.health().rate_hz == pytest.approx(80, rel=0.02)


def test_what_was_measured_before_is_not_asked_for(phones: Callable[..., Phone]) -> None:
    phone = phones()
    VirtualClock.sleep_s(phone, 600)
    _, chunks = run(phone, 6)

    assert chunks[0].run_start_s > 1600
    thresholds = [
        float(dict(parse_qsl(path))["acc_time"].split("|")[0]) for path in phone.asked[1:]
    ]
    assert min(thresholds) > 599


def test_a_phone_out_of_reach_for_a_moment_is_no_gap(
    phones: Callable[..., Phone], caplog: pytest.LogCaptureFixture
) -> None:
    phone = phones()
    phone.at(1008, phone.leave)
    phone.at(1010, phone.listen)
    source, chunks = run(phone, 20)

    assert causes(chunks) == ["start"]
    assert_whole(chunks)
    assert_true(source, chunks, WITHIN_S)
    assert source.health().errors > 0
    assert caplog.text.count("the phone does not answer at http://127.0.0.1") == 1


def test_a_phone_away_for_longer_is_a_gap_and_is_asked_ever_more_seldom(
    phones: Callable[..., Phone],
) -> None:
    phone = phones()
    phone.at(1008, phone.leave, phone.clear)
    phone.at(1068, phone.listen)
    source, chunks = run(phone, 90)

    assert causes(chunks) == ["start", "no samples came for 5 s"]
    assert_true(source, chunks, WITHIN_S)
    health = source.health()
    assert health.gaps == 1
    assert 5 <= health.errors <= 11  # 0.5 + 1 + 2 + 4 + 8 + 10 + 10 … s


@pytest.mark.parametrize(
    ("happens", "cause"),
    [
        ("paused", "the phone does not measure: press play in phyphox"),
        ("cleared", "the measurement was cleared on the phone"),
        ("opened", "the experiment on the phone was opened again"),
    ],
)
def test_what_is_done_on_the_phone_begins_a_run_on_its_new_clock(
    phones: Callable[..., Phone], happens: str, cause: str
) -> None:
    phone = phones()

    def open_again() -> None:
        phone.session = "another"
        phone.clear()

    if happens == "paused":
        phone.at(1008, phone.pause)
        phone.at(1011, phone.play)
    else:
        phone.at(1008, phone.clear if happens == "cleared" else open_again)
    source, chunks = run(phone, 25)

    assert causes(chunks) == ["start", cause]
    assert source.health().state == "connected"
    assert_whole(chunks)
    assert_true(source, chunks, WITHIN_S)


@pytest.mark.parametrize(
    ("sensors", "found"),
    [
        (["linear_acceleration", "gyroscope"], "measures linear_acceleration, gyroscope, expected"),
        (["accelerometer"], "measures accelerometer, expected accelerometer and gyroscope"),
    ],
)
def test_another_experiment_is_told_and_its_buffers_are_not_taken(
    phones: Callable[..., Phone],
    caplog: pytest.LogCaptureFixture,
    sensors: list[str],
    found: str,
) -> None:
    source, chunks = run(phones(*sensors), 30)

    assert chunks == []
    assert caplog.text.count(found) == 1
    health = source.health()
    assert health.state == "starting"
    assert health.cause is not None
    assert found in health.cause


@pytest.mark.parametrize("garbage", [b"", b"<html>hello</html>", b"[]", b'{"buffer": 3}', b"\xff"])
def test_garbage_from_the_phone_is_counted_and_passed_over(
    phones: Callable[..., Phone], garbage: bytes
) -> None:
    phone = phones()
    answers = iter(range(10_000))
    phone.answer = lambda body: garbage if 24 <= next(answers) < 27 else body
    source, chunks = run(phone, 20)

    assert causes(chunks) == ["start"]
    assert_true(source, chunks, WITHIN_S)
    assert source.health().errors == 3


def test_a_value_that_is_none_is_left_out(phones: Callable[..., Phone]) -> None:
    phone = phones()
    every = iter(range(10_000))

    def one_missing(body: bytes) -> bytes:
        answer = json.loads(body)
        if next(every) > 20 and len(answer.get("buffer", {}).get("accY", {"buffer": []})["buffer"]):
            answer["buffer"]["accY"]["buffer"][-5] = None
        return json.dumps(answer).encode()

    phone.answer = one_missing
    source, chunks = run(phone, 10)

    assert_true(source, chunks, WITHIN_S)
    assert causes(chunks) == ["start"]


@pytest.mark.parametrize("url", ["192.168.0.42:8080", "ftp://phone", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SourceError, match=r"expected what phyphox shows .* http://192\.168"):
        Source(url, VirtualClock())
