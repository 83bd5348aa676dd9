"""A phone with the app phyphox, whose "remote access" is a small web server: a live source.

    GET /config   {"title": …, "inputs": [{"source": "accelerometer",
                      "outputs": [{"x": "accX"}, {"y": "accY"}, {"z": "accZ"}, {"t": "acc_time"}]}]}
    GET /get?accX=12.5|acc_time&…&acc_time=12.5|acc_time       what is newer than 12.5 s, all of it
                  {"buffer": {"accX": {"size": 0, "updateMode": "partial", "buffer": [0.1, …]}, …},
                   "status": {"session": "2f…", "measuring": true, "timedRun": false, …}}
    GET /get?acc_time                                          its last value alone

Which buffers belong to which sensor, /config tells; the experiment has to have `accelerometer`,
which is with gravity (m/s²), and `gyroscope` (rad/s): "+", "Add simple experiment". Times are of
the experiment's clock: it stands still while paused and begins anew when cleared. Numbers have 8
digits, so times are good to 1 ms for the first day. The phone keeps all of a measurement: the
Wi-Fi may be away for a while and nothing is lost, but a phone is for hours, not for weeks.

phyphox.org/wiki, "Remote-interface communication", and RemoteServer.java of phyphox-android, both
as of 2026. That iOS answers /config alike is not confirmed.
"""

import http.client
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import ProxyHandler, build_opener

import msgspec
import numpy as np

from firmware_bridge.clock import Clock
from firmware_bridge.rows.merge import Merge
from firmware_bridge.rows.payload import PayloadError, Stretch
from firmware_bridge.rows.stamped import Stamped
from firmware_bridge.source import Chunk, Health, SourceError

log = logging.getLogger(__name__)

POLL_S = 0.25
TIMEOUT_S = 2.0
BACK_OFF_S = (0.5, 10.0)  # between two attempts: at first, and at most; it doubles
OVERLAP_S = 0.1  # asked for again: the phone rounds the threshold up, and itself warns of a loss
LOOK_BACK_S = 1.0  # without a value: was the measurement cleared?
LONGEST = 32_000_000  # bytes: half an hour of six axes at 400 Hz
ACCEL, GYRO = "accelerometer", "gyroscope"
AXES = ("x", "y", "z", "t")


class _Input(msgspec.Struct):
    source: str
    outputs: list[dict[str, Any]] = []


class _Config(msgspec.Struct):
    inputs: list[_Input]
    title: str = ""


class _Buffer(msgspec.Struct):
    buffer: list[float | None]


class _Status(msgspec.Struct):
    measuring: bool
    session: str = ""  # versions before 1.1 have none


class _Answer(msgspec.Struct):
    buffer: dict[str, _Buffer]
    status: _Status


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the phone is, and whether a gyro is to be expected there."""

    url: str  # what phyphox shows below its remote access, like http://192.168.0.42:8080
    gyro: bool = True  # six columns, or the accelerometer's three


def open_source(options: Options, clock: Clock, rate_hz: float) -> "Source":
    """Make the source. Raises SourceError for what is no address; a phone is waited for."""
    return Source(options.url, clock, rate_hz=rate_hz, gyro=options.gyro)


class Source:
    """Rows from one phone. All but `close` and `health` is one thread's."""

    live = True

    def __init__(self, url: str, clock: Clock, *, rate_hz: float = 50.0, gyro: bool = True) -> None:
        """`url` is what phyphox shows, like http://192.168.0.42:8080. Raises SourceError.

        `gyro`: six columns, or the accelerometer's three.
        """
        if urlsplit(url).scheme != "http" or not urlsplit(url).netloc:
            raise SourceError(
                f"url is {url!r}, expected what phyphox shows below its remote access,"
                " like http://192.168.0.42:8080"
            )
        self.rate_hz = rate_hz
        self._url = url.rstrip("/")
        self._clock = clock
        self._sensors = [ACCEL, GYRO] if gyro else [ACCEL]
        self._stamped = Stamped(3 * len(self._sensors), clock, rate_hz)
        self.scale = self._stamped.scale
        self._open = build_opener(ProxyHandler({})).open  # the phone is near, a proxy is not
        self._closed = threading.Event()
        self._buffers: dict[str, list[str]] | None = None  # of each sensor; None: to be asked for
        self._since_s: dict[str, float] = {}  # the newest time we have of each sensor
        self._merge = Merge(self._sensors)
        self._session = ""
        self._heard_s = clock.now_s()
        self._wait_s = POLL_S
        self._trouble = ""  # the kind of it that was told

    def now_s(self) -> float:
        return self._clock.now_s()

    def truth(self, start_s: float, end_s: float) -> str | None:  # noqa: ARG002 nobody knows
        return None

    def health(self) -> Health:
        return self._stamped.health()

    def close(self) -> None:
        self._closed.set()

    def chunks(self) -> Iterator[Chunk]:
        """Yield until closed. Nothing raises: a phone that is away is waited for."""
        while not self._closed.is_set():
            try:
                yield from self._poll()
            except (OSError, http.client.HTTPException) as error:
                self._fail("away", f"the phone does not answer at {self._url}: {error}")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                self._fail("garbled", f"an answer that is not phyphox's: {error}")
            except PayloadError as error:
                self._buffers = None
                self._fail(error.kind, str(error))
            else:
                if self._trouble:
                    log.info("the phone measures")
                self._trouble, self._wait_s = "", POLL_S
            self._stamped.silent()
            self._sleep()

    def _poll(self) -> Iterator[Chunk]:
        if self._buffers is None:
            self._begin()
        query: dict[str, str] = {}
        for sensor, names in self._asked().items():
            ask_s = max(self._since_s[sensor] - OVERLAP_S, 0.0)
            query |= dict.fromkeys(names, f"{ask_s:.6f}|{names[3]}")
        answer = self._get(query)
        arrived_s = self._clock.now_s()
        self._check(answer.status)
        for sensor, names in self._asked().items():
            self._take(sensor, [answer.buffer[name].buffer for name in names])
        stamps, rows = self._merge.take()
        if len(stamps):
            self._heard_s = arrived_s
        elif arrived_s - self._heard_s > LOOK_BACK_S:
            self._look_back()
        newest_s = max(self._since_s.values())
        yield from self._stamped.push(Stretch(stamps, rows, newest_s), arrived_s)

    def _asked(self) -> dict[str, list[str]]:
        return self._buffers or {}

    def _begin(self) -> None:
        """Find the buffers, and from when on their values are new to us."""
        config = msgspec.json.decode(self._fetch("/config"), type=_Config)
        outputs = {
            each.source: {axis: name for out in each.outputs for axis, name in out.items()}
            for each in config.inputs
        }
        if not all(outputs.get(sensor, {}).keys() >= set(AXES) for sensor in self._sensors):
            has = ", ".join(outputs) or "no sensor"
            raise PayloadError(
                "experiment",
                f'the experiment "{config.title}" measures {has}, expected'
                f" {' and '.join(self._sensors)} with x, y, z and time: in phyphox, make one by"
                ' "+", "Add simple experiment"',
            )
        buffers = {sensor: [outputs[sensor][axis] for axis in AXES] for sensor in self._sensors}
        answer = self._get(dict.fromkeys((names[3] for names in buffers.values()), ""))
        for sensor, names in buffers.items():
            last = answer.buffer[names[3]].buffer[-1:]
            self._since_s[sensor] = last[0] or 0.0 if last else 0.0
        self._merge = Merge(self._sensors)
        self._session = answer.status.session
        self._heard_s = self._clock.now_s()
        self._buffers = buffers

    def _check(self, status: _Status) -> None:
        if status.session != self._session:
            raise PayloadError("session", "the experiment on the phone was opened again")
        if not status.measuring:
            raise PayloadError("paused", "the phone does not measure: press play in phyphox")

    def _take(self, sensor: str, columns: list[list[float | None]]) -> None:
        since_s = self._since_s[sensor]
        values = [
            row
            for row in zip(*columns, strict=False)
            if all(value is not None and isfinite(value) for value in row)
        ]
        table = np.array(values, np.float64).reshape(-1, len(AXES))
        table = table[table[:, 3] > since_s]
        self._since_s[sensor] = float(table[:, 3].max(initial=since_s))
        self._merge.add(sensor, table[:, 3], table[:, :3])

    def _look_back(self) -> None:
        """After a clearing time begins at 0 again, and nothing is newer than what we have."""
        self._heard_s = self._clock.now_s()
        name = self._asked()[ACCEL][3]
        last = self._get({name: ""}).buffer[name].buffer[-1:]
        if not last or last[0] is None or last[0] < self._since_s[ACCEL]:
            raise PayloadError("cleared", "the measurement was cleared on the phone")

    def _get(self, query: dict[str, str]) -> _Answer:
        answer = msgspec.json.decode(self._fetch(f"/get?{urlencode(query)}"), type=_Answer)
        if missing := query.keys() - answer.buffer.keys():
            has = ", ".join(answer.buffer) or "none"
            raise PayloadError(
                "buffers",
                f"the phone has buffers {has}, expected {', '.join(sorted(missing))}, too",
            )
        return answer

    def _fetch(self, path: str) -> bytes:
        with self._open(self._url + path, timeout=TIMEOUT_S) as response:
            return bytes(response.read(LONGEST))

    def _fail(self, kind: str, sentence: str) -> None:
        """Wait longer. A phone out of reach may go on measuring, so that alone is no gap."""
        if kind in {"away", "garbled"}:
            self._stamped.errors += 1
        else:
            self._stamped.restart(sentence)
        if kind != self._trouble:
            log.warning("%s", sentence)
        self._wait_s = BACK_OFF_S[0] if not self._trouble else min(2 * self._wait_s, BACK_OFF_S[1])
        self._trouble = kind

    def _sleep(self) -> None:
        due_s = self._clock.now_s() + self._wait_s
        while not self._closed.is_set() and (left_s := due_s - self._clock.now_s()) > 0:
            self._clock.sleep_s(min(left_s, POLL_S))
