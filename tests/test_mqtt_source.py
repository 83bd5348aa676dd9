"""The MQTT source with a board that publishes: a real broker, a sender with a clock of its own."""

import json
import logging
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mosquitto import Mosquitto
from mqtt_line import BATCH_S, PATIENCE_S, TOPIC, WITHIN_S, Line, wait_until
from numpy.typing import NDArray
from outlet import no_socket_left
from sent import assert_true, assert_whole, moved, rows, turned

from firmware_bridge.clock import VirtualClock
from firmware_bridge.rows.payload import PayloadError
from firmware_bridge.sources.mqtt import Source

CRYSTAL = 1 + 40e-6  # a sender's clock against ours
KEYS = ["v", "seq", "t_us", "rate_hz", "rows", "payload", "messageId", "sessionId", "name", "time"]


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


class Board:
    """An ESP32. Its clock starts at its start; it knows its rate only roughly."""

    def __init__(self, *, binary: bool = False, rate_hz: float = 102.3, columns: int = 6) -> None:
        self.binary = binary
        self.rate_hz = rate_hz
        self.columns = columns
        self.boot(1000.0)

    def boot(self, at_s: float) -> None:
        self.began_s, self.sequence, self.sample = at_s, 0, 0

    def batch(self) -> bytes:
        n = round(self.rate_hz * BATCH_S)
        times = self.began_s + np.arange(self.sample, self.sample + n) / self.rate_hz
        values = np.column_stack([moved(times), turned(times)])[:, : self.columns]
        t_us = round((times[0] - self.began_s) * CRYSTAL * 1e6)
        write = as_bytes if self.binary else as_json
        payload: bytes = write(self.sequence, t_us, 100.0, values)
        self.sequence += 1
        self.sample += n
        return payload

    @property
    def done_s(self) -> float:
        """When the last sample of the last batch was taken."""
        return self.began_s + (self.sample - 1) / self.rate_hz


def as_json(seq: int, t_us: int, rate_hz: float, values: NDArray[np.float64]) -> bytes:
    batch = {"v": 1, "seq": seq, "t_us": t_us, "rate_hz": rate_hz}
    return json.dumps(batch | {"rows": values.round(4).tolist()}).encode()


def as_bytes(seq: int, t_us: int, rate_hz: float, values: NDArray[np.float64]) -> bytes:
    accel, gyro = 9.80665 / 2048, np.radians(1 / 16.4)
    counts = np.rint(values / np.array([accel] * 3 + [gyro] * 3)[: values.shape[1]])
    head = struct.pack("<2sBBIQfff", b"bI", 1, values.shape[1], seq, t_us, rate_hz, accel, gyro)
    return bytes(head + counts.astype("<i2").tobytes())


def publish(line: Line, board: Board, seconds: float, seed: int = 1) -> None:
    """Batches of so long, each late by 5 ms or by up to a quarter of a second."""
    delays = np.random.default_rng(seed)
    for _ in range(round(seconds / BATCH_S)):
        payload = board.batch()
        line.send(payload, board.done_s + 0.005 + 0.25 * delays.random() ** 4)


@pytest.mark.parametrize("binary", [False, True])
def test_the_batches_of_a_board_become_one_run_at_its_true_rate(
    lines: Callable[..., Line], binary: bool
) -> None:
    line, board = lines(), Board(binary=binary)
    publish(line, board, 20)

    chunks = line.end()
    assert {chunk.run for chunk in chunks} == {0}
    assert chunks[0].cause == "start"
    assert rows(chunks) > 50 * 18.5  # 20 s less the last batch, and half a kernel at both ends
    assert_whole(chunks)
    assert_true(line.source, chunks, WITHIN_S)
    health = line.source.health()
    assert health.state == "connected"
    assert health.rate_hz == pytest.approx(board.rate_hz, rel=1e-3)
    assert (health.gaps, health.errors) == (0, 0)


def test_three_columns_are_enough_without_a_gyro(lines: Callable[..., Line]) -> None:
    line = lines(gyro=False)
    publish(line, Board(columns=3), 6)

    chunks = line.end()
    assert line.source.scale.shape == (3,)
    assert_true(line.source, chunks, WITHIN_S)
    assert rows(chunks) > 200


def test_a_board_without_the_gyro_that_is_expected_is_told_so(
    lines: Callable[..., Line], caplog: pytest.LogCaptureFixture
) -> None:
    line = lines()
    publish(line, Board(columns=3), 3)

    assert line.end() == []
    assert caplog.text.count("rows of 3 columns, expected 6: send the gyro, too") == 1
    assert line.source.health().errors == 6


def test_a_lost_batch_is_a_gap_of_just_its_length(lines: Callable[..., Line]) -> None:
    line, board = lines(), Board()
    publish(line, board, 6)
    board.batch()
    publish(line, board, 6)

    chunks = line.end()
    assert [chunk.cause for chunk in chunks if chunk.first == 0] == ["start", "1 batches were lost"]
    assert_whole(chunks)
    assert_true(line.source, chunks, WITHIN_S)
    health = line.source.health()
    assert health.gaps == 1
    assert health.cause == "1 batches were lost"
    # The batch of 51, and the kernel at its both ends: 2 * 11.5 samples of the slower side, each.
    assert 51 <= health.lost <= 51 + 4 * 12 * 2


def test_a_batch_that_comes_twice_is_taken_once(lines: Callable[..., Line]) -> None:
    line, board = lines(), Board()
    for _ in range(12):
        payload = board.batch()
        for _ in range(2):
            line.send(payload, board.done_s + 0.005)

    chunks = line.end()
    assert {chunk.run for chunk in chunks} == {0}
    assert_true(line.source, chunks, WITHIN_S)


def test_a_board_that_starts_again_begins_a_run_on_its_new_clock(
    lines: Callable[..., Line],
) -> None:
    line, board = lines(), Board()
    publish(line, board, 6)
    board.boot(board.done_s + 1.7)
    publish(line, board, 6, seed=2)

    chunks = line.end()
    assert [c.cause for c in chunks if c.first == 0] == ["start", "the sender started again"]
    assert_true(line.source, chunks, WITHIN_S)


def test_a_pause_of_the_board_is_a_gap_though_no_batch_is_missing(
    lines: Callable[..., Line],
) -> None:
    line, board = lines(), Board()
    publish(line, board, 6)
    board.sample += 60  # it did not read its chip for 0.6 s
    publish(line, board, 6)

    chunks = line.end()
    assert {chunk.run for chunk in chunks} == {0, 1}
    assert chunks[-1].cause.endswith("s without samples")
    assert_true(line.source, chunks, WITHIN_S)


def test_what_cannot_be_read_is_counted_and_told_once_of_each_kind(
    lines: Callable[..., Line], caplog: pytest.LogCaptureFixture
) -> None:
    line, board = lines(), Board()
    publish(line, board, 4)
    good = json.loads(board.batch())
    bad: list[bytes | dict[str, Any]] = [
        b"",
        b"hello",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b"[1, 2]",
        {"payload": 7},
        good | {"rows": [[1, 2]]},
        good | {"rows": [[1, 2, 3], [1]]},
        good | {"v": 2},
        good | {"seq": -1},
        good | {"rate_hz": 0},
        json.dumps(good | {"rows": [[float("nan")] * 6]}).encode(),
        b"bI\x01\x06",
        as_bytes(0, 0, 100.0, np.zeros((2, 6)))[:-1],
    ]
    for payload in bad:
        line.send(payload, board.done_s + 0.005)
        line.send(payload, board.done_s + 0.005)
    board.sequence -= 1
    board.sample -= round(board.rate_hz * BATCH_S)
    publish(line, board, 4)

    chunks = line.end()
    assert line.source.health().errors == 2 * len(bad)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 6  # unknown, phone, rows, version, batch, rate
    assert "b'hello', expected a batch or a phone's message" in caplog.text or "b''" in caplog.text
    assert {chunk.run for chunk in chunks} == {0}
    assert_true(line.source, chunks, WITHIN_S)


@given(
    st.binary(max_size=80)
    | st.binary(max_size=60).map(lambda rest: b"bI\x01\x03" + rest)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=6,
            )
        ),
    ).map(lambda message: json.dumps(message).encode())
)
@settings(max_examples=300, deadline=None)
def test_no_message_whatsoever_does_more_than_be_refused(payload: bytes) -> None:
    source = Source("127.0.0.1", 1, TOPIC, VirtualClock())
    try:
        list(source._take(payload, 0.0))
    except PayloadError as error:
        assert str(error)  # noqa: PT017 it may well be readable


def test_a_broker_that_goes_and_comes_back_is_subscribed_to_again(
    broker: Mosquitto, lines: Callable[..., Line], caplog: pytest.LogCaptureFixture
) -> None:
    line, board = lines(), Board()
    publish(line, board, 6)
    wait_until(lambda: line.source.health().state == "connected")
    broker.stop()
    wait_until(lambda: "is gone" in caplog.text)
    line.clock.sleep_s(6)
    wait_until(lambda: line.source.health().state == "gap")
    broker.start()
    line.wait_for_listener()
    wait_until(line.sender.is_connected)
    while board.done_s < line.clock.now_s():  # it went on, unheard
        board.batch()
    publish(line, board, 6)

    chunks = line.end()
    assert chunks[-1].run == 1
    assert chunks[-1].cause == "no samples came for 5 s"
    assert_true(line.source, chunks, WITHIN_S)


def test_a_broker_that_is_not_there_is_told_once_and_waited_for(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    broker.stop()
    source = Source("127.0.0.1", broker.port, TOPIC, VirtualClock())
    thread = threading.Thread(target=lambda: list(source.chunks()))
    thread.start()
    wait_until(lambda: "does not answer: check host and port" in caplog.text)
    source.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_retained_batch_of_another_day_is_not_taken(
    broker: Mosquitto, lines: Callable[..., Line]
) -> None:
    first = lines()
    first.send(Board().batch(), 1000.5, retain=True)
    first.send(b"x", 1000.5)
    wait_until(first.source._inbox.empty)
    second = lines()
    second.send(b"x", 1000.5)
    second.end()
    assert second.source.health().errors == 1  # the x alone


def test_a_source_that_was_closed_leaves_no_socket(broker: Mosquitto) -> None:
    source = Source("127.0.0.1", broker.port, TOPIC, VirtualClock(0.0))
    source.close()
    with no_socket_left():
        assert list(source.chunks()) == []
