"""Files: recordings, models, settings, and what lies beside the journal."""

import contextlib
import gzip
import io
import json

import numpy as np

from deploy import settings
from firmware_bridge.commissioning import calibration
from firmware_bridge.commissioning.calibration import CalibrationError
from firmware_bridge.commissioning.mounting import AxesError, read_axes
from firmware_bridge.recording import RecordingError
from firmware_bridge.recordings.files import read
from firmware_bridge.rows import rate_store
from firmware_bridge.sources import mqtt
from fuzzed.target import DEEP, Target, in_file
from learner import Recognizer
from learner.recognizer import ModelFileError


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


TARGETS = {
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
}
