"""The MQTT source with a phone that runs Sensor Logger: a real broker, sensors out of step."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board import GRAVITY
from mosquitto import Mosquitto, free_port
from mqtt_line import BATCH_S, PATIENCE_S, Line, wait_until
from mqtt_line import WITHIN_S as DELIVERED_S
from numpy.typing import NDArray
from sent import assert_true, assert_whole, moved, rows, turned

WITHIN_S = DELIVERED_S + 0.01  # the newest sample is up to 10 ms old


@pytest.fixture(name="broker")
def _broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture(name="lines")
def _lines(broker: Mosquitto) -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(**given: Any) -> Line:
        made.append(Line(broker.port, **given))
        return made[-1]

    yield make
    for line in made:
        line.end()


class SensorLogger:
    """The phone's app: each sensor has its own rate and phase, times are ns since 1970."""

    EPOCH_S = 1_698_501_144.0  # of our second 1000

    def __init__(self, *names: str, ios: bool = False) -> None:
        self.names = names or ("totalacceleration", "gyroscope")
        self.ios = ios
        self.session = "first"
        self.message_id = 0
        self.done_s = 1000.0

    def message(self) -> dict[str, Any]:
        until_s = self.done_s + BATCH_S
        payload = [{"name": "battery", "time": 1, "values": {"batteryState": "full"}}]
        for nth, name in enumerate(self.names):
            rate_hz, phase_s = 100.0 - nth, 0.003 * nth
            first = np.ceil((self.done_s - phase_s) * rate_hz)
            times = np.arange(first, (until_s - phase_s) * rate_hz) / rate_hz + phase_s
            payload += [
                self._entry(name, *reading)
                for reading in zip(times, self._of(name, times), strict=True)
            ]
        self.done_s = until_s
        self.message_id += 1
        return {
            "messageId": self.message_id - 1,
            "sessionId": self.session,
            "deviceId": "a phone",
            "payload": payload,
        }

    def _entry(self, name: str, time_s: float, xyz: NDArray[np.float64]) -> dict[str, Any]:
        stamp = round((time_s - 1000.0 + self.EPOCH_S) * 1e9)
        return {"name": name, "time": stamp, "values": dict(zip("xyz", xyz.tolist(), strict=True))}

    def _of(self, name: str, times: NDArray[np.float64]) -> NDArray[np.float64]:
        gravity = np.tile([0.0, 0.0, GRAVITY], (len(times), 1))
        values: dict[str, NDArray[np.float64]] = {
            "totalacceleration": moved(times),
            "accelerometer": moved(times) - gravity,
            "gravity": gravity,
            "accelerometeruncalibrated": moved(times) / (GRAVITY if self.ios else 1),
            "gyroscope": turned(times),
        }
        return values[name]


def push(line: Line, phone: SensorLogger, seconds: float) -> None:
    for _ in range(round(seconds / BATCH_S)):
        message = phone.message()
        line.send(message, phone.done_s + 0.005)


@pytest.mark.parametrize(
    "phone",
    [
        SensorLogger("totalacceleration", "accelerometer", "gravity", "gyroscope"),
        SensorLogger("gyroscope", "gravity", "accelerometer"),
        SensorLogger("accelerometeruncalibrated", "gyroscope"),
        SensorLogger("accelerometeruncalibrated", "gyroscope", ios=True),
    ],
    ids=["total", "linear and gravity", "uncalibrated", "uncalibrated in g"],
)
def test_a_phones_streams_are_merged_with_gravity(
    lines: Callable[..., Line], phone: SensorLogger
) -> None:
    line = lines()
    push(line, phone, 10)

    chunks = line.end()
    assert {chunk.run for chunk in chunks} == {0}
    assert rows(chunks) > 50 * 8.5
    assert_whole(chunks)
    assert_true(line.source, chunks, WITHIN_S)
    assert line.source.health().errors == 0


def test_a_phones_lost_message_and_its_next_recording_are_runs_of_their_own(
    lines: Callable[..., Line],
) -> None:
    line, phone = lines(), SensorLogger()
    push(line, phone, 5)
    phone.message()
    push(line, phone, 5)
    phone.session, phone.message_id = "second", 0
    push(line, phone, 5)

    chunks = line.end()
    assert [chunk.cause for chunk in chunks if chunk.first == 0] == [
        "start",
        "1 messages of the phone were lost",
        "the phone began another recording",
    ]
    assert_true(line.source, chunks, WITHIN_S)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["totalacceleration"], "the phone sends totalacceleration, expected gyroscope, too"),
        (
            ["accelerometer", "gyroscope"],
            "expected totalacceleration, or accelerometer and gravity",
        ),
    ],
)
def test_a_sensor_that_is_not_switched_on_is_named(
    lines: Callable[..., Line], caplog: pytest.LogCaptureFixture, names: list[str], sentence: str
) -> None:
    line = lines()
    push(line, SensorLogger(*names), 6)
    wait_until(lambda: sentence in caplog.text)

    assert line.end() == []
    assert line.source.health().state == "starting"


def test_a_gyro_that_stops_for_a_while_is_not_made_up(lines: Callable[..., Line]) -> None:
    line, phone = lines(), SensorLogger()
    push(line, phone, 5)
    message = phone.message()
    message["payload"] = [e for e in message["payload"] if e["name"] != "gyroscope"]
    line.send(message, phone.done_s + 0.005)
    push(line, phone, 5)

    chunks = line.end()
    assert {chunk.run for chunk in chunks} == {0, 1}
    assert_true(line.source, chunks, WITHIN_S)


def test_a_phones_clock_that_is_set_begins_a_run(lines: Callable[..., Line]) -> None:
    line, phone = lines(), SensorLogger()
    push(line, phone, 5)
    phone.EPOCH_S -= 0.3  # by NTP
    push(line, phone, 5)
    phone.EPOCH_S += 40
    push(line, phone, 5)

    chunks = line.end()
    assert {chunk.run for chunk in chunks} == {0, 1, 2}
    assert_true(line.source, chunks, WITHIN_S)


@pytest.fixture(name="websockets")
def _websockets() -> Iterator[int]:
    """A broker that listens as Sensor Logger wants it; yields its port."""
    amqtt = pytest.importorskip("amqtt.broker", reason="the demo's broker is not installed")
    ready, end = threading.Event(), threading.Event()
    port = free_port()
    anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listener = {"type": "ws", "bind": f"127.0.0.1:{port}"}

    async def live() -> None:
        broker = amqtt.Broker({"listeners": {"default": listener}, "plugins": anonymous})
        await broker.start()
        ready.set()
        await asyncio.to_thread(end.wait)
        await broker.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    yield port
    end.set()
    thread.join(PATIENCE_S)


def test_it_listens_over_websockets_as_well(websockets: int) -> None:
    line = Line(websockets, transport="websockets")
    push(line, SensorLogger(), 5)

    chunks = line.end()
    assert rows(chunks) > 50 * 3
    assert_true(line.source, chunks, WITHIN_S)
