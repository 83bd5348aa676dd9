"""Every parser that meets the outside: how to feed it bytes, whole examples, and how it may refuse.

Whatever else a parser raises, or that it takes too long or too much memory, is a mistake.
"""

import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from starlette.types import Message

from deploy import settings
from deploy.archive import BackupError
from deploy.backup import backup, check
from deploy.gestures import RefusedError, parse
from deploy.messages import RESPONSES, Response
from deploy.page.access import Access
from deploy.page.app import Asker, make_app
from deploy.page.events import Hub
from deploy.page.gate import Gate
from deploy.page.transfer import Transfer
from firmware_bridge.clock import VirtualClock
from firmware_bridge.commissioning import calibration
from firmware_bridge.commissioning.calibration import CalibrationError
from firmware_bridge.commissioning.mounting import AxesError, read_axes
from firmware_bridge.formats.batches import HEAD, MAGIC
from firmware_bridge.formats.frames import FrameDecoder, encode
from firmware_bridge.formats.lines import LineDecoder
from firmware_bridge.formats.readings import Reading
from firmware_bridge.recording import RecordingError
from firmware_bridge.recordings.files import read
from firmware_bridge.rows import rate_store
from firmware_bridge.sources import mqtt, phyphox
from learner import Recognizer
from learner.journal import Journal
from learner.journal_file import JournalError
from learner.journal_rescue import open_or_rescue
from learner.recognizer import ModelFileError

NOW_US = 1_800_000_000_000_000
DEEP = b"[" * 3000  # more than Python's stack is deep
SOME_WINDOWS = 2000  # of a journal, to look at


class Target(NamedTuple):
    """One parser."""

    feed: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...]
    examples: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()  # that mean something to it


@cache
def workshop() -> Path:
    """A folder, in memory where there is one."""
    shared = Path("/dev/shm")  # noqa: S108 a folder of our own is made in it
    return Path(tempfile.mkdtemp(prefix="fuzz", dir=shared if os.access(shared, os.W_OK) else None))


def in_file(name: str, data: bytes) -> Path:
    path = workshop() / name
    path.write_bytes(data)
    return path


# -- commands, over MQTT and HTTP ------------------------------------------------------------------

TOPICS = [*RESPONSES, "label/get"]


def command(data: bytes) -> None:
    topic = TOPICS[data[0] % len(TOPICS)] if data else TOPICS[0]
    parse(topic, data[1:], NOW_US, lambda wall_us: wall_us - 5_000_000)


def commands() -> list[bytes]:
    payloads: list[Any] = [
        {"activity": "walking", "last_s": 30},
        {"activity": "walking", "start_age_ms": 9000, "end_age_ms": 10.5, "transaction": "a1"},
        {"activity": "caf\u00e9", "start": "2027-01-15T07:59:00Z", "end": "2027-01-15T08:00:00Z"},
        {"toggle": "walking", "sent": "2027-01-15T08:00:00Z"},
        {"from": "walk", "to": "walking"},
        {"learning": True},
        {"threshold_percent": 35},
        {},
    ]
    texts = [json.dumps(payload).encode() for payload in payloads]
    texts += [b"walking", b"stop", b"", b"ON", b"35.5", b"[]", b'"walking"']
    return [bytes([topic]) + text for topic in range(len(TOPICS)) for text in texts]


class Phone:
    """Asks the page's app, without a network: what a request becomes is not ours but h11's."""

    def __init__(self) -> None:
        access = Access(workshop() / "paired")
        _, self._secret = access.add("full", "fuzz")
        transfer = Transfer(workshop() / "paired", "fuzz")
        self._app = make_app(Hub(), Gate(access), Asker(self._command), transfer)
        self._loop = asyncio.new_event_loop()

    def _command(
        self,
        topic: str,
        payload: bytes,
        answered: Callable[[Response], None] | None = None,
        /,
    ) -> bool:
        assert answered is not None
        try:
            parse(topic, payload, NOW_US, lambda wall_us: wall_us)
        except RefusedError as error:
            answered(Response(status="error", data={}, error=str(error)))
        else:
            answered(Response(status="ok", data={}))
        return True

    def close(self) -> None:
        self._loop.close()

    def ask(self, data: bytes) -> None:
        """Method, path, headers, body: a line each but the last."""
        method, path, headers, body = (data.split(b"\n", 3) + [b""] * 4)[:4]
        words = [
            (name, value) for name, _, value in (h.partition(b":") for h in headers.split(b"|"))
        ]
        token = b"Bearer " + self._secret.encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method.decode("latin-1"),
            "scheme": "http",
            "path": path.decode(errors="replace"),
            "raw_path": path,
            "query_string": b"",
            "headers": [
                (name.lower(), token if value == b"TOKEN" else value)
                for name, value in words
                if name.lower() != b"content-length"
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[Message] = []
        bodies: list[Message] = [
            {"type": "http.request", "body": body, "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Message:
            return bodies.pop(0) if len(bodies) > 1 else bodies[0]

        async def send(message: Message) -> None:
            sent.append(message)

        if path.startswith(b"/api/backup"):
            return  # which reads nothing
        self._loop.run_until_complete(self._app(scope, receive, send))
        assert sent[0]["status"] < 500 or sent[0]["status"] == 507, sent


@cache
def phone() -> Phone:
    return Phone()


def request(data: bytes) -> None:
    phone().ask(data)


def requests() -> list[bytes]:
    headers = b"host:pi|authorization:TOKEN|origin:http://pi"
    asked = [
        b"POST\n/api/" + topic.encode() + b"\n" + headers + b"\n" + payload
        for topic in RESPONSES
        for payload in (b"walking", b'{"activity":"walking","last_s":30}')
    ]
    asked += [
        b"GET\n" + path + b"\n" + headers + b"\n"
        for path in (b"/", b"/files/page.js", b"/metrics", b"/api/events")
    ]
    return [*asked, b"POST\n/api/restore\n" + headers + b"\nPK\5\6" + bytes(18)]


# -- sensors ---------------------------------------------------------------------------------------


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


# -- files -----------------------------------------------------------------------------------------


def csvs() -> list[bytes]:
    head = b"time_s,ax,ay,az,gx,gy,gz,activity\n"
    rows = b"".join(b"%.2f,0.1,-9.8,0,0,0,0,walking\n" % (k / 50) for k in range(20))
    return [head + rows, b"time_s,ax,ay,az\n0,1,2,3\n0.02,1,2,3\n0.06,1,2,3\n"]


def zipped_csvs() -> list[bytes]:
    return [gzip.compress(data, mtime=0) for data in csvs()]


def npzs() -> list[bytes]:
    file = io.BytesIO()
    np.savez(
        file,
        signal=np.ones((40, 6), np.float32),
        subject=np.repeat([1, 2], 20),
        label=np.tile([0, 1, -1, 0], 10),
        segment=np.repeat([0, 1, 2, 3], 10),
        label_names=np.array(["walking", "resting"]),
        meta=np.array(json.dumps({"rate_hz": 50, "acc_units": "g", "gyro_units": "rad/s"})),
    )
    return [file.getvalue()]


def model(data: bytes) -> None:
    recognizer = Recognizer.load(io.BytesIO(data))
    rows, channels = recognizer.window_rows, recognizer.n_channels
    if rows * channels < 10**6:
        with np.errstate(all="ignore"):  # what it was taught may be beyond all bounds
            recognizer.predict(np.zeros((rows, channels), np.float32))


def models() -> list[bytes]:
    made = []
    for classifier in ("discriminant", "naive_bayes", "tree", "nearest"):
        recognizer = Recognizer(50.0, 3, 0.32, classifier)
        noise = np.random.default_rng(0).normal(size=(4, recognizer.window_rows, 3))
        for samples, activity in zip(noise.astype(np.float32), "abab", strict=True):
            recognizer.learn(samples, activity)
        file = io.BytesIO()
        recognizer.save(file)
        made.append(file.getvalue())
    return made


def toml(data: bytes) -> None:
    found = settings.read(in_file("budge.toml", data))
    found.state_path()
    settings.source_options(found, mqtt.Options)
    with contextlib.suppress(AxesError):
        read_axes(found.i2c.axes)


def tomls() -> list[bytes]:
    whole = (
        b'device = "pi"\nsource = "mqtt"\nclassifier = "tree"\noutputs = ["mqtt", "page"]\n'
        b'[i2c]\nbus = "emulated"\naddress = 0x6a\naxes = "x,-z,y"\n'
        b"[window]\nrate_hz = 100\nlength_s = 2.5\nhop_s = 1.25\n"
        b"[learning]\ndecay_windows = 500\n[journal]\nretain_hours = 48\n"
        b'[mqtt]\nhost = "h"\nport = 1884\nbase = "b/c"\n[sources.mqtt]\ntopic = "t"\n'
    )
    return [whole]


def small_files(data: bytes) -> None:
    """What is kept beside the journal: it may be edited, and comes with a backup."""
    path = in_file("small.json", data)
    rate_store.load(path, "lsm9ds1@0x6a", 119.0)
    calibration.load(path, "lsm9ds1@0x6a")


def smalls() -> list[bytes]:
    three = {
        name: [value] * 3
        for name, value in (
            ("accel_gain", 1.01),
            ("accel_offset_m_s2", 0.1),
            ("gyro_offset_rad_s", 0.01),
        )
    }
    return [json.dumps(one).encode() for one in ({"lsm9ds1@0x6a": 121.37}, {"lsm9ds1@0x6a": three})]


# -- databases and archives ------------------------------------------------------------------------


def use(journal: Journal) -> None:
    """Do what a service does with a journal."""
    with journal:
        for channels in (3, 6):
            windows = journal.windows(
                -(10**18), 10**18, length=128, hop=64, rate_hz=50.0, channels=channels
            )
            for _, _ in zip(range(SOME_WINDOWS), windows, strict=False):
                pass
        journal.at_wall(NOW_US)
        journal.note_wall(NOW_US, 5)
        journal.begin_run(NOW_US, 50.0, np.ones(3, np.float32), "start")
        journal.append(np.zeros((10, 3), np.int16))
        journal.annotate("walking", NOW_US, None, "test")
        journal.prune(10**9, 20_000)
        for activity in journal.ever_said()[:3]:
            journal.forget(activity)
        journal.forget_between(0, 10**9)
        journal.wipe()


def strange_journal(data: bytes) -> None:
    """A file in the journal's place: it is opened, or set aside, and the service goes on."""
    folder = workshop() / "journal"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "journal.sqlite"
    path.write_bytes(data)
    for _ in range(3):
        try:
            return use(open_or_rescue(path))
        except JournalError as error:
            if "schema version" in str(error) or "another program" in str(error):
                return None
            last = error
    raise AssertionError("a crash loop") from last


def a_journal(folder: Path) -> Path:
    path = folder / "journal.sqlite"
    with Journal(path) as journal:
        for run in range(2):
            journal.begin_run(run * 10**9, 50.0, np.full(3, 0.001, np.float32), "start")
            for number in range(4):
                counts = np.random.default_rng(number).integers(-9000, 9000, (300, 3))
                journal.append(counts.astype(np.int16))
                start_us = run * 10**9 + number * 6_000_000
                journal.annotate(f"a{number % 3}", start_us, start_us + 5_000_000, "test")
        journal.remember("controls", b'{"learning":true,"threshold_percent":0}')
    return path


def journals() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [a_journal(Path(folder)).read_bytes()]


def strange_backup(data: bytes) -> None:
    check(in_file("backup.budge", data))


def mended_backup(data: bytes) -> None:
    """The same with all digests put right, as somebody who means harm would."""
    file = in_file("backup.budge", data)
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        members = {name: archive.read(name) for name in manifest["members"]}
        for name, content in members.items():
            digest = hashlib.sha256(content).hexdigest()
            manifest["members"][name] = {"bytes": len(content), "sha256": digest}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as mended:
            mended.writestr("manifest.json", json.dumps(manifest))
            for name, content in members.items():
                mended.writestr(name, content)
    check(file)


def backups() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        a_journal(folder)
        (folder / "rates.json").write_text('{"lsm9ds1@0x6a": 121.37}')
        backup(folder, folder / "b.budge", device="pi")
        return [(folder / "b.budge").read_bytes()]


TARGETS = {
    "commands": Target(
        command,
        (RefusedError,),
        commands,
        (
            DEEP,
            b'"activity":',
            b'"last_s":',
            b'"start":',
            b'"sent":',
            b"1e999",
            b"9999-12-31T23:59:59Z",
        ),
    ),
    "http": Target(request, (), requests, (b"\nPOST", b"authorization:TOKEN", b"|host:")),
    "frames": Target(lambda data: stream(FrameDecoder(), data), (), frames, (b"\0", b"\xff")),
    "lines": Target(lambda data: stream(LineDecoder(), data), (), lines, (b"nan", b"1e999", b",")),
    "messages": Target(
        messages, (), batches, (b'"rows":', b"\xff\x00\xff", b"1e300", b"bI\1\6", DEEP)
    ),
    "phyphox": Target(
        answers, (), phones, (b'"buffer":', b"null", b"1e300", b"\xff\x00\xff", DEEP)
    ),
    "csv": Target(
        lambda data: read(in_file("r.csv", data)), (RecordingError,), csvs, (b"1e999", b'"', b"\n")
    ),
    "csv.gz": Target(lambda data: read(in_file("r.csv.gz", data)), (RecordingError,), zipped_csvs),
    "npz": Target(
        lambda data: read(in_file("r.npz", data)),
        (RecordingError,),
        npzs,
        (b"(1000000000000,)", b"'fortran_order': True", b"'|O'", b"'<f8'", b"(40, 6)"),
    ),
    "models": Target(
        model,
        (ModelFileError,),
        models,
        (b"(1000000000000,)", b"'|O'", b'"window_s": 1e9', b'"tree"', b'"mlp"'),
    ),
    "settings": Target(
        toml, (settings.SettingsError,), tomls, (b"[journal]", b"nan", b"inf", b"=", DEEP)
    ),
    "small files": Target(
        small_files, (CalibrationError,), smalls, (DEEP, b"1e999", b"NaN", b"null")
    ),
    "journals": Target(strange_journal, (), journals, (b"\0" * 64, b"CREATE TRIGGER", b"SQLite")),
    "backups": Target(strange_backup, (BackupError,), backups, (b"PK\1\2", b"PK\5\6", b"manifest")),
    "backups, digests put right": Target(
        mended_backup, (BackupError,), backups, (b"\0" * 64, b"CREATE TRIGGER")
    ),
}


def feed(target: Target, data: bytes) -> bool:
    """Feed one input; whether it was taken. Raises what is a mistake."""
    try:
        target.feed(data)
    except target.refusals:
        return False
    return True


def unchecked_zips() -> None:
    """Let zipfile skip its checksums: else whatever is changed in a member never reaches us."""
    zipfile.ZipExtFile._update_crc = lambda *_: None  # type: ignore[attr-defined]


def clean_up() -> None:
    if phone.cache_info().currsize:
        phone().close()
        phone.cache_clear()
    if workshop.cache_info().currsize:
        shutil.rmtree(workshop())
        workshop.cache_clear()
