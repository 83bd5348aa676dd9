"""What sensors send: over a serial line, over MQTT, and a phone over HTTP."""

import contextlib
import io
import json
from typing import Any

import numpy as np

from firmware_bridge.clock import VirtualClock
from firmware_bridge.formats.batches import HEAD, MAGIC
from firmware_bridge.formats.frames import FrameDecoder, encode
from firmware_bridge.formats.lines import LineDecoder
from firmware_bridge.formats.readings import Reading
from firmware_bridge.sources import mqtt, phyphox
from fuzzed.target import DEEP, Target


def stream(decoder: FrameDecoder | LineDecoder, data: bytes) -> None:
    half = len(data) // 2
    for found in decoder.feed(data[:half]) + decoder.feed(data[half:]):
        assert not isinstance(found, Reading) or np.isfinite(found.values).all()


def frames() -> list[bytes]:
    values = (0.1, -9.8, 0.0, 0.5, 1e-9, -3.0)
    return [b"".join(encode(Reading(values[:n], 20_000 * k, k)) for k in range(5)) for n in (3, 6)]


def lines() -> list[bytes]:
    return [
        b"-0.12,-6.20,7.90\r\n" * 5,
        b"t_us,ax,ay,az,gx,gy,gz\n" + b"".join(b"%d,1,2,3.5,.1,-0,1e-3\n" % k for k in range(5)),
        b"1\t2\t3\t4\t5\t6\n",
    ]


def messages(data: bytes) -> None:
    """A few messages on one topic of a microcontroller or a phone."""
    source = mqtt.Source("127.0.0.1", 1, "t", VirtualClock(100.0), gyro=data[:1] != b"3")
    for number, payload in enumerate(data[1:].split(b"\xff\x00\xff")[:8]):
        for chunk in source._survive(payload, 100.0 + number):
            assert len(chunk.counts) < 10**6


def batches() -> list[bytes]:
    def batch(k: int, columns: int) -> bytes:
        head = HEAD.pack(MAGIC, 1, columns, k, k * 500_000, 50.0, 0.001, 0.001)
        return head + np.arange(25 * columns, dtype="<i2").tobytes()

    def phone(k: int) -> bytes:
        return json.dumps(
            {
                "messageId": k,
                "sessionId": "s",
                "payload": [
                    {
                        "name": name,
                        "time": 1_698_501_144_401_773_000 + k * 500_000_000 + n * 20_000_000,
                        "values": {"x": 0.1, "y": 0, "z": 9.8},
                    }
                    for n in range(25)
                    for name in ("totalacceleration", "gyroscope")
                ],
            }
        ).encode()

    row = [0.1, 0, 9.8, 0, 0, 0]
    texts = [
        json.dumps(
            {"v": 1, "seq": k, "t_us": k * 100_000, "rate_hz": 50, "rows": [row] * 5}
        ).encode()
        for k in range(4)
    ]
    return [
        b"6" + b"\xff\x00\xff".join(texts),
        b"3" + b"\xff\x00\xff".join(batch(k, 3) for k in range(4)),
        b"6" + b"\xff\x00\xff".join(batch(k, 6) for k in range(4)),
        b"6" + b"\xff\x00\xff".join(map(phone, range(3))),
    ]


def answers(data: bytes) -> None:
    """What a phone that runs phyphox, or something else at its address, answers."""
    source = phyphox.Source("http://127.0.0.1:1", VirtualClock(100.0))
    given = data.split(b"\xff\x00\xff")[:6]

    def answer(_url: str, timeout: float) -> Any:
        if not given:
            source.close()
            raise TimeoutError(timeout)
        return contextlib.closing(io.BytesIO(given.pop(0)))

    source._open = answer  # type: ignore[assignment]
    for chunk in source.chunks():
        assert len(chunk.counts) < 10**6


def phones() -> list[bytes]:
    sensors = {"accelerometer": "acc", "gyroscope": "gyr"}
    config = {
        "title": "t",
        "inputs": [
            {"source": s, "outputs": [{a: n + a} for a in "xyzt"]} for s, n in sensors.items()
        ],
    }

    def answer(first: int) -> dict[str, Any]:
        buffers = {
            n + a: {"buffer": [(first + k) / 50 if a == "t" else 1.0 for k in range(10)]}
            for n in sensors.values()
            for a in "xyzt"
        }
        return {"buffer": buffers, "status": {"session": "s", "measuring": True}}

    told = [config, answer(0), answer(10), answer(20), answer(30)]
    return [b"\xff\x00\xff".join(json.dumps(one).encode() for one in told)]


TARGETS = {
    "frames": Target(lambda data: stream(FrameDecoder(), data), (), frames, (b"\0", b"\xff")),
    "lines": Target(lambda data: stream(LineDecoder(), data), (), lines, (b"nan", b"1e999", b",")),
    "messages": Target(
        messages, (), batches, (b'"rows":', b"\xff\x00\xff", b"1e300", b"bI\1\6", DEEP)
    ),
    "phyphox": Target(
        answers, (), phones, (b'"buffer":', b"null", b"1e300", b"\xff\x00\xff", DEEP)
    ),
}
