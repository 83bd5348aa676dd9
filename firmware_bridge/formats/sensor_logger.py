"""What the phone app Sensor Logger publishes over MQTT (iOS, Android).

    {"messageId": 3, "sessionId": "…", "deviceId": "…", "payload": [
        {"name": "gyroscope", "time": 1698501144401773000, "values": {"x": 0.1, "y": 0, "z": 0}},
        …]}

`time` is ns since 1970 by the phone's clock; `messageId` counts; each sensor samples for itself.

Gravity has to be in it, and in `accelerometer` it is not. In order of preference:
- `totalacceleration` (Android), m/s²
- `accelerometer` + `gravity` (both), m/s²
- `accelerometeruncalibrated`: m/s², on iOS g; which of them, gravity's length tells

The app has iOS's accelerometer the other way round than Android's and ours, unless "Standardise
Units & Frames" is switched on in its settings, as it should be. It publishes over websockets only,
at QoS 0: mosquitto needs a second listener with `protocol websockets`.

github.com/tszheichoi/awesome-sensor-logger: PUSHING.md, UNITS.md, CROSSPLATFORM.md as of 2026. That
x, y, z stand under `values` is not in them, but in what its public receivers read.
"""

from collections import defaultdict
from collections.abc import Iterator
from math import inf
from typing import Any

import msgspec
import numpy as np

from firmware_bridge.chip import STANDARD_GRAVITY
from firmware_bridge.rows.merge import Merge
from firmware_bridge.rows.payload import Floats, Lost, PayloadError, Stretch

TOTAL, LINEAR, GRAVITY = "totalacceleration", "accelerometer", "gravity"
UNCALIBRATED, GYRO = "accelerometeruncalibrated", "gyroscope"
ACCELS = ((TOTAL,), (LINEAR, GRAVITY), (UNCALIBRATED,))
KNOWN = {name for names in ACCELS for name in names} | {GYRO}
Stream = tuple[Floats, Floats]  # times (n,) in s and values (n, 3)
BETWEEN_UNITS = STANDARD_GRAVITY**0.5  # gravity is 1 or 9.8 long


class _Message(msgspec.Struct, rename="camel"):
    message_id: int
    session_id: str
    payload: list[dict[str, Any]]


class _Reading(msgspec.Struct):
    name: str
    time: float
    values: dict[str, float]


class Phone:
    """The messages of one phone."""

    def __init__(self, channels: int) -> None:
        self._gyro = [GYRO] if channels > 3 else []
        self._session = ""
        self._id = -1
        self._newest_s: dict[str, float] = {}  # stamp of each sensor of this session
        self._merge: Merge | None = None  # None: it is not clear yet which sensors there are
        self._unit = 1.0

    def read(self, message: dict[str, Any]) -> Iterator[Stretch | Lost]:
        """Yield what a decoded JSON message completes, and before it what was lost.

        Raises PayloadError.
        """
        try:
            found = msgspec.convert(message, _Message)
            streams = _streams(found.payload)
        except (msgspec.ValidationError, KeyError) as error:
            raise PayloadError(
                "phone", f"a phone's message that cannot be read: {error}"
            ) from error
        if found.session_id == self._session and found.message_id <= self._id:
            return  # delivered twice
        yield from self._lost(found, streams)
        self._session, self._id = found.session_id, found.message_id
        self._newest_s |= {name: float(times.max()) for name, (times, _) in streams.items()}
        if self._merge is None:
            self._choose(streams)
        if self._merge is not None:
            for name in self._merge.names:
                if name in streams:
                    self._merge.add(name, *streams[name])
            yield Stretch(*self._rows(self._merge), max(self._newest_s.values()))

    def _lost(self, found: _Message, streams: dict[str, Stream]) -> Iterator[Lost]:
        if found.session_id != self._session:
            if self._session:
                yield Lost("the phone began another recording", again=True)
            self._merge, self._newest_s = None, {}
        elif any(t.min() <= self._newest_s.get(name, -inf) for name, (t, _) in streams.items()):
            yield Lost("the phone's clock went back: it was set", again=True)
            self._merge, self._newest_s = None, {}
        elif found.message_id > self._id + 1:
            yield Lost(f"{found.message_id - self._id - 1} messages of the phone were lost")

    def missing(self) -> str | None:
        """Say which sensor has to be switched on in the app, if one has."""
        if not self._session:
            return None
        found = ", ".join(sorted(self._newest_s)) or "no motion sensor"
        if self._merge is None:
            return f"the phone sends {found}, expected {TOTAL}, or {LINEAR} and {GRAVITY}"
        if not self._newest_s.keys() >= set(self._merge.names):
            return f"the phone sends {found}, expected {GYRO}, too, or set gyro = false"
        return None

    def _choose(self, streams: dict[str, Stream]) -> None:
        seen = self._newest_s.keys()
        accel = next((names for names in ACCELS if seen >= set(names)), None)
        if accel is None:
            return
        self._merge = Merge([*accel, *self._gyro])
        self._unit = 1.0
        if UNCALIBRATED in accel:
            length = np.median(np.linalg.norm(streams[UNCALIBRATED][1], axis=1))
            self._unit = STANDARD_GRAVITY if length < BETWEEN_UNITS else 1.0

    def _rows(self, merge: Merge) -> tuple[Floats, Floats]:
        stamps, rows = merge.take()
        accel = rows[:, :3] * self._unit
        if GRAVITY in merge.names:
            accel += rows[:, 3:6]
        return stamps, np.concatenate([accel, rows[:, -3:]], axis=1) if self._gyro else accel


def _streams(payload: list[dict[str, Any]]) -> dict[str, Stream]:
    """The motion sensors' times in s and values in x, y, z."""
    readings = defaultdict(list)
    for entry in payload:
        if entry.get("name") in KNOWN:  # others have other values: the place, the battery
            reading = msgspec.convert(entry, _Reading)
            readings[reading.name].append(
                (reading.time / 1e9, *(reading.values[axis] for axis in "xyz"))
            )
    tables = {name: np.array(table) for name, table in readings.items()}
    if not all(np.isfinite(table).all() for table in tables.values()):
        raise PayloadError("phone", "a phone's message with a value that is not a number")
    return {name: (table[:, 0], table[:, 1:]) for name, table in tables.items()}
