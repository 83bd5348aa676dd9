"""What comes from outside is read or refused with a sentence; `fuzz.py` tries a million more."""

import ast
import gzip
import io
import json
import os
import resource
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import COST, Feeder, bounded, feed_many
from fuzzed import TARGETS, clean_up, feed
from fuzzed.target import DEEP, Target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.gestures import RefusedError
from firmware_bridge.recording import RecordingError
from firmware_bridge.recordings.files import read
from learner import Recognizer
from learner.recognizer import ModelFileError

ROOT = Path(__file__).resolve().parent.parent
INPUTS = 4000  # of the cheapest
SEED = 20261124

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numbers beyond all bounds


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in `fuzz.py`: bounds of memory and time, and no checksums in zips."""
    monkeypatch.setattr(zipfile.ZipExtFile, "_update_crc", lambda *_: None)
    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGPROF)
    bounded()
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    signal.signal(signal.SIGPROF, handler)
    clean_up()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_not_expected_is_read_or_refused(name: str) -> None:
    feeder = Feeder(TARGETS[name])
    examples = len(feeder.target.examples())
    inputs = examples + INPUTS // COST.get(name, 1)
    feed_many(feeder, inputs, SEED)

    assert feeder.fed == inputs
    assert feeder.taken > 0


def _slow_sender() -> bytes:
    """A sender that measures every eleven days, it says: so many rows would lie between."""
    batches = [
        {"v": 1, "seq": n, "t_us": n * 4 * 10**13, "rate_hz": 1e-6, "rows": [[0, 0, 9.8]] * 40}
        for n in range(8)
    ]
    return b"3" + b"\xff\x00\xff".join(json.dumps(batch).encode() for batch in batches)


def _unknown_format() -> bytes:
    (whole,) = TARGETS["journals"].examples()
    return whole[:44] + b"\xff" * 4 + whole[48:]


# What this found, each a mistake once.
FOUND = {
    "a phone's answer that is no UTF-8": ("phyphox", b'{"title":"\xff","inputs":[]}'),
    "an answer of a thousand brackets": ("phyphox", b'{"deep":' + DEEP),
    "a sender that measures every eleven days": ("messages", _slow_sender()),
    "a calibration of a thousand brackets": ("small files", DEEP),
    "settings of a thousand brackets": ("settings", b"device = " + DEEP),
    "a number of seconds beyond all times": ("settings", b"[window]\nhop_s = 1e308"),
    "a time before all times": ("csv", b"time_s,ax,ay,az\n-1e308,1,0,3\n0.06,1,2,3\n"),
    "rows that are no time apart": ("csv", b"time_s,ax,ay,az\n0,1,0,3\n5e-324,1,2,3\n"),
    "a gzip that is cut off after what is no UTF-8": (
        "csv.gz",
        gzip.compress(b"time_s\n\xff")[:-8],
    ),
    "a database of a format to come": ("journals", _unknown_format()),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_a_mistake_once_is_none_any_more(what: str) -> None:
    name, data = FOUND[what]

    feed(TARGETS[name], data)


def test_a_parser_that_fails_otherwise_is_caught() -> None:
    def fragile(data: bytes) -> None:
        if b"\0" in data:
            raise KeyError(data)

    with pytest.raises(KeyError):
        feed_many(Feeder(Target(fragile, (RefusedError,), lambda: [b"whole"])), 5000, SEED)


FIELDS = st.sampled_from(
    "activity last_s start_age_ms end_age_ms start end toggle sent from to learning"  # noqa: SIM905 readable so
    " threshold_percent transaction v seq t_us rate_hz rows messageId sessionId payload name time"
    " values x y z inputs source outputs t buffer status session measuring".split()
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=12,
)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(FIELDS, JSON, max_size=6), st.integers(0, 20))
def test_json_of_our_words_in_any_order_is_read_or_refused(said: dict[str, Any], n: int) -> None:
    text = json.dumps(said).encode()

    for name, before in (("commands", bytes([n])), ("messages", b"6"), ("phyphox", b"")):
        feed(TARGETS[name], before + text)


class Trap:
    """What runs a command of its maker's when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self._file),)


def test_no_file_of_a_stranger_runs_anything(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    whole = np.load(io.BytesIO(TARGETS["npz"].examples()[0]))
    for name in whole.files:
        with (tmp_path / "trap.npz").open("wb") as file:
            np.savez(file, **{**whole, name: np.array([Trap(sprung)], object)})
        with pytest.raises(RecordingError, match=r"not an \.npz of plain"):
            read(tmp_path / "trap.npz")
        with pytest.raises(ModelFileError, match="is not a whole model"):
            Recognizer.load(tmp_path / "trap.npz")

    assert not sprung.exists()
    np.load(tmp_path / "trap.npz", allow_pickle=True)[name]
    assert sprung.exists()  # else the trap was none


def test_an_array_or_a_zip_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        huge, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    )
    recording, model = tmp_path / "bomb.npz", tmp_path / "bomb.model"
    for path, compression in (
        (recording, zipfile.ZIP_STORED),
        (model, zipfile.ZIP_STORED),
        (recording, zipfile.ZIP_DEFLATED),
        (model, zipfile.ZIP_DEFLATED),
    ):
        with zipfile.ZipFile(path, "w", compression) as bomb:
            bomb.writestr("signal.npy" if path == recording else "header.npy", huge.getvalue())
            if compression == zipfile.ZIP_DEFLATED:
                with bomb.open("label.npy", "w") as member:
                    for _ in range(200):
                        member.write(bytes(10**6))
        with pytest.raises((RecordingError, ModelFileError), match="bomb"):
            read(path) if path == recording else Recognizer.load(path)


def test_nothing_of_ours_reads_pickles_or_runs_what_it_reads() -> None:
    forbidden = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    for file in sorted(
        path
        for part in ("deploy", "firmware_bridge", "learner")
        for path in (ROOT / part).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Import(names=names):
                    assert not {name.name.partition(".")[0] for name in names} & forbidden, file
                case ast.ImportFrom(module=str(module)):
                    assert module.partition(".")[0] not in forbidden, file
                case ast.Call(func=ast.Name(id="eval" | "exec")):
                    pytest.fail(f"{file}, line {node.lineno}: runs what it reads")
                case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr="load")):
                    keywords = {word.arg: word.value for word in node.keywords}
                    allowed = keywords.get("allow_pickle")
                    assert isinstance(allowed, ast.Constant), file
                    assert allowed.value is False, file
