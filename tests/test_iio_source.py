"""The IIO source: files as in sysfs, a FIFO like /dev/iio:device0; only time is virtual."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board import GRAVITY
from sent import Floats, assert_true, assert_whole, moved, rows, turned

from firmware_bridge.clock import VirtualClock
from firmware_bridge.formats.iio_device import ACCEL, GYRO, TIMESTAMP, Device, Scan, read_type
from firmware_bridge.source import Chunk, SourceError
from firmware_bridge.sources.iio import Source

ACCEL_SCALE, GYRO_SCALE = 0.004788403, 0.001064724  # of inv_mpu6050 at 16 g and 2000 dps
CRYSTAL = 1.01
SWAP = "0, 1, 0; -1, 0, 0; 0, 0, 1"  # the board's x is the chip's y


class Kernel(VirtualClock):
    """A driver: as the clock goes on it samples, and writes scans of `be:s16/16>>0` and a time."""

    def __init__(self, root: Path, *, name: str = "mpu6050", node: str = "iio:device0") -> None:
        super().__init__(1000.0)
        self.sysfs, self.dev = root / "devices", root / "dev"
        self.folder = self.sysfs / node
        self.node = self.dev / node
        self.rate_hz = 100.0
        self.matrix: str | None = None
        self.read_s = 0.0  # what reading one axis takes
        self.cut = 0  # bytes of a scan that come only with the next
        self.stepped_s = 0.0  # of the wall clock
        self.muted = False
        self._events: list[tuple[float, Callable[[], None]]] = []
        self._writer = -1
        self._sample = 0
        self._held = b""
        self.dev.mkdir()
        self.plug(name)

    def plug(self, name: str = "mpu6050") -> None:
        (self.folder / "scan_elements").mkdir(parents=True)
        (self.folder / "buffer").mkdir()
        self.put("name", name)
        self.put("in_accel_scale", str(ACCEL_SCALE))
        self.put("in_anglvel_scale", str(GYRO_SCALE))
        self.put("current_timestamp_clock", "realtime")
        for file in ("enable", "length"):
            self.put(f"buffer/{file}", "0")
        names = (*ACCEL, "in_temp_object", *GYRO, TIMESTAMP)
        for index, channel in enumerate(names):
            stored = "le:s64/64>>0" if channel == TIMESTAMP else "be:s16/16>>0"
            for what, value in (("en", "0"), ("index", str(index)), ("type", stored)):
                self.put(f"scan_elements/{channel}_{what}", value)
            if channel != TIMESTAMP:
                self.put(f"{channel}_raw", "0")
        os.mkfifo(self.node)
        # Opened for reading, too: else the open would wait for a reader.
        self._writer = os.open(self.node, os.O_RDWR | os.O_NONBLOCK)
        self._sample = int((self.now_s() - 1000.0) * self.rate_hz * CRYSTAL) + 1

    def unplug(self) -> None:
        os.close(self._writer)
        self.node.unlink()
        self.folder.rename(self.sysfs.parent / f"gone{self.now_s()}")
        self._writer = -1

    def put(self, file: str, text: str) -> None:
        (self.folder / file).write_text(text + "\n")

    def at(self, time_s: float, *actions: Callable[[], None]) -> None:
        self._events += [(time_s, action) for action in actions]

    def sleep_s(self, seconds: float) -> None:
        super().sleep_s(seconds)
        for event in [event for event in self._events if event[0] <= self.now_s()]:
            self._events.remove(event)
            event[1]()
        if self._writer >= 0:
            self._go_on()

    def chip(self, times: Floats) -> Floats:
        """Raw values (n, 6) on the chip's axes."""
        values = np.column_stack([moved(times), turned(times)])
        if self.matrix == SWAP:  # board = matrix · chip
            values = values[:, [1, 0, 2, 4, 3, 5]] * np.array([-1, 1, 1, -1, 1, 1])
        raw: Floats = np.rint(values / np.array([ACCEL_SCALE] * 3 + [GYRO_SCALE] * 3))
        return raw

    def _go_on(self) -> None:
        until = int((self.now_s() - 1000.0) * self.rate_hz * CRYSTAL) + 1
        times = 1000.0 + np.arange(self._sample, until) / (self.rate_hz * CRYSTAL)
        self._sample = until
        if (self.folder / "buffer/enable").read_text().strip() == "1" and not self.muted:
            scans = self._held + b"".join(map(self._scan, times, self.chip(times)))
            kept = len(scans) - self.cut if len(scans) > self.cut else 0
            os.write(self._writer, scans[:kept])
            self._held = scans[kept:]

    def _scan(self, time_s: float, raw: Floats) -> bytes:
        """Six values, the temperature if it is enabled, padding, and the time."""
        monotonic = (self.folder / "current_timestamp_clock").read_text().strip() == "monotonic"
        stamp = round((time_s + (0.0 if monotonic else 1.7e9 + self.stepped_s)) * 1e9)
        values = raw.astype(">i2")
        if (self.folder / "scan_elements/in_temp_object_en").read_text().strip() == "1":
            values = np.insert(values, 3, 1234)
        data = values.tobytes()
        return data + bytes(16 - len(data)) + stamp.to_bytes(8, "little")

    def close(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)


class Sysfs(Kernel):
    """A driver without a trigger: nothing but files, each of which takes `read_s` to be read."""

    def sleep_s(self, seconds: float) -> None:
        super().sleep_s(seconds)
        raw = self.chip(np.array([self.now_s()]))[0].astype(int)
        for name, value in zip((*ACCEL, *GYRO), raw, strict=True):
            self.put(f"{name}_raw", str(value))


@pytest.fixture(name="kernel")
def _kernel(tmp_path: Path) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.close()


def run(kernel: Kernel, seconds: float, **given: Any) -> tuple[Source, list[Chunk]]:
    source = Source(None, kernel, sysfs=kernel.sysfs, dev=kernel.dev, **given)
    kernel.at(kernel.now_s() + seconds, source.close)
    return source, list(source.chunks())


def causes(chunks: list[Chunk]) -> list[str]:
    return [chunk.cause for chunk in chunks if chunk.first == 0]


WITHIN_S = 0.012  # a sample waits for up to 10 ms until the newest is drained; and rounding


@pytest.mark.parametrize("cut", [0, 5])
def test_the_kernels_scans_become_one_run(kernel: Kernel, cut: int) -> None:
    kernel.cut = cut
    source, chunks = run(kernel, 20)

    assert causes(chunks) == ["start"]
    assert rows(chunks) > 50 * 19
    assert_whole(chunks)
    assert_true(source, chunks, WITHIN_S)
    assert source.health().rate_hz == pytest.approx(101, rel=1e-3)
    assert (kernel.folder / "buffer/enable").read_text() == "0"


def test_an_element_that_somebody_else_enabled_is_stepped_over(kernel: Kernel) -> None:
    kernel.put("scan_elements/in_temp_object_en", "1")
    source, chunks = run(kernel, 5)

    assert rows(chunks) > 100
    assert_true(source, chunks, WITHIN_S)


def test_rows_are_on_the_axes_of_the_mount_matrix(kernel: Kernel) -> None:
    kernel.matrix = SWAP
    kernel.put("in_mount_matrix", SWAP)
    source, chunks = run(kernel, 5)

    assert rows(chunks) > 100
    assert_true(source, chunks, WITHIN_S)


def test_an_old_kernels_stamps_of_the_wall_clock_do_as_well(kernel: Kernel) -> None:
    (kernel.folder / "current_timestamp_clock").unlink()
    (kernel.folder / "current_timestamp_clock").mkdir()  # cannot be written
    kernel._scan = lambda time_s, raw: (  # type: ignore[method-assign]
        raw.astype(">i2").tobytes()
        + bytes(4)
        + round((time_s + 1.7e9 + kernel.stepped_s) * 1e9).to_bytes(8, "little")
    )
    kernel.at(1008, lambda: setattr(kernel, "stepped_s", -3600.0))
    kernel.at(1016, lambda: setattr(kernel, "stepped_s", 7.0))
    source, chunks = run(kernel, 25)

    assert causes(chunks)[1:] == [
        "the sender's clock went back: it was started again, or set",
        "3607.01 s without samples",
    ]
    assert_true(source, chunks, WITHIN_S)


def test_scans_that_the_kernel_could_not_keep_are_a_gap(kernel: Kernel) -> None:
    kernel.at(1008, lambda: setattr(kernel, "muted", True))
    kernel.at(1009, lambda: setattr(kernel, "muted", False))
    source, chunks = run(kernel, 15)

    assert causes(chunks)[1].endswith("s without samples")
    assert len(causes(chunks)) == 2
    assert_true(source, chunks, WITHIN_S)


@pytest.mark.parametrize("node", ["iio:device0", "iio:device3"])
def test_a_plug_pulled_and_put_back_is_a_gap(kernel: Kernel, node: str) -> None:
    def back() -> None:
        kernel.folder, kernel.node = kernel.sysfs / node, kernel.dev / node
        kernel.plug()

    kernel.at(1008, kernel.unplug)
    kernel.at(1020, back)
    source, chunks = run(kernel, 40)

    assert causes(chunks) == ["start", "iio error: the device is gone"]
    assert_true(source, chunks, WITHIN_S)
    health = source.health()
    assert health.state == "connected"
    assert 3 <= health.errors <= 7  # after 0.5 + 1 + 2 + 4 + 8 s


def test_a_driver_that_hangs_is_set_up_anew(kernel: Kernel) -> None:
    kernel.at(1008, lambda: setattr(kernel, "muted", True))
    kernel.at(1030, lambda: setattr(kernel, "muted", False))
    source, chunks = run(kernel, 50)

    assert causes(chunks) == ["start", "iio error: no sample came for 5 s"]
    assert_true(source, chunks, WITHIN_S)


def test_without_a_trigger_sysfs_is_polled_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = Sysfs(tmp_path)
    (kernel.folder / "buffer/enable").unlink()
    (kernel.folder / "buffer/enable").mkdir()  # writing fails, as for want of a trigger
    kernel._go_on = lambda: None  # type: ignore[method-assign]
    source, chunks = run(kernel, 10)
    kernel.close()

    assert causes(chunks) == ["start"]
    assert_whole(chunks)
    assert_true(source, chunks, 0.001)
    assert caplog.text.count("mpu6050 is read axis by axis, which is slow") == 1
    assert source.health().rate_hz == pytest.approx(50)


def test_how_slow_sysfs_is_is_measured_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Sysfs(tmp_path)
    (kernel.folder / "scan_elements/in_timestamp_en").unlink()
    kernel._go_on = lambda: None  # type: ignore[method-assign]
    poll = Device.poll

    def slowly(device: Device) -> Any:
        kernel.sleep_s(0.05)
        raw = poll(device)
        kernel.sleep_s(0.05)
        return raw

    monkeypatch.setattr(Device, "poll", slowly)
    source, chunks = run(kernel, 20)
    kernel.close()

    assert source.health().rate_hz == pytest.approx(10)
    assert "10.0 samples a second come, for 50 rows" in caplog.text
    # A swing of 0.7 Hz sampled 10 times a second is still whole.
    assert rows(chunks) > 50 * 14
    assert_true(source, chunks, 0.002)


def test_an_axis_that_cannot_be_read_is_an_error_and_a_retry(tmp_path: Path) -> None:
    kernel = Sysfs(tmp_path)
    (kernel.folder / "scan_elements/in_timestamp_en").unlink()
    kernel._go_on = lambda: None  # type: ignore[method-assign]
    put = kernel.put
    kernel.at(1006, lambda: setattr(kernel, "put", lambda *_: put("in_accel_y_raw", "garbage")))
    kernel.at(1009, lambda: setattr(kernel, "put", put))
    source, chunks = run(kernel, 20)
    kernel.close()

    assert len(causes(chunks)) == 2
    assert "garbage" in causes(chunks)[1]
    assert_true(source, chunks, 0.001)


@pytest.mark.parametrize(
    ("text", "stored", "value"),
    [
        ("le:s12/16>>4", b"\xf0\xff", -1),
        ("le:s12/16>>4", b"\x0f\x80", -2048),
        ("be:s16/16>>0", b"\x80\x00", -32768),
        ("be:u16/16>>0", b"\x80\x00", 32768),
        ("be:u12/32>>4", b"\x00\x01\xff\xf3", 0xFFF),
        ("le:s32/32>>0", b"\xfe\xff\xff\xff", -2),
        ("be:s24/32>>8", b"\x80\x00\x00\x07", -(2**23)),
        ("le:s64/64>>0", b"\xff" * 8, -1),
        ("le:u8/8", b"\xff", 255),
    ],
)
def test_a_type_says_which_bits_of_the_storage_are_the_number(
    text: str, stored: bytes, value: int
) -> None:
    scan = Scan([read_type("in_accel_x", text)])
    assert scan.decode(stored, ("in_accel_x",)) == [[value]]


def test_elements_are_aligned_to_their_own_size_and_the_scan_to_its_largest() -> None:
    """The layout that Documentation/iio/iio_devbuf.rst draws, and one that ends in padding."""
    types = ["be:u16/16>>0", "be:u32/32>>0", "be:u32/32>>0", "be:u64/64>>0"]
    scan = Scan([read_type(str(n), text) for n, text in enumerate(types)])
    data = b"\0\1--" + b"\0\0\0\2" + b"\0\0\0\3" + b"----" + bytes(7) + b"\4"
    assert scan.bytes == len(data) == 24
    assert scan.decode(data, ("0", "1", "2", "3")).tolist() == [[1, 2, 3, 4]]
    assert Scan([read_type("a", "le:s32/32>>0"), read_type("b", "le:s16/16>>0")]).bytes == 8


def test_a_channels_own_scale_and_offset_come_before_the_shared(kernel: Kernel) -> None:
    kernel.put("in_accel_z_scale", "0.5")
    kernel.put("in_accel_offset", "10")
    device = Device(kernel.folder)
    si = device.si(np.array([[1, 1, 1, 0, 0, 0]]))
    assert si[0, :3].tolist() == pytest.approx([11 * ACCEL_SCALE, 11 * ACCEL_SCALE, 5.5])


def test_an_accelerometer_alone_has_three_columns(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, name="adxl345")
    (kernel.folder / "in_anglvel_y_raw").unlink()
    source = Source("adxl345", kernel, sysfs=kernel.sysfs, dev=kernel.dev)
    kernel.close()
    assert source.scale.tolist() == pytest.approx([16 * GRAVITY / 32768] * 3)


def test_what_is_not_there_or_not_clear_is_told(tmp_path: Path) -> None:
    for number, name in enumerate(["mpu6050", "adxl345"]):
        folder = tmp_path / f"iio:device{number}"
        folder.mkdir()
        (folder / "name").write_text(name)
        (folder / "in_accel_x_raw").write_text("0")
        (folder / "in_accel_scale").write_text("1")
    there = "there is iio:device0 (mpu6050), iio:device1 (adxl345), expected"

    def refusal(wanted: str | None, sysfs: Path = tmp_path) -> str:
        with pytest.raises(SourceError) as refused:
            Source(wanted, VirtualClock(), sysfs=sysfs)
        return str(refused.value)

    assert f"{there} one: name one of them" in refusal(None)
    assert f"{there} bmi160: name one of them" in refusal("bmi160")
    assert "there is none, expected one: is the overlay loaded" in refusal(None, tmp_path / "no")
    (tmp_path / "iio:device1/in_mount_matrix").write_text("1, 0; 0, 1")
    assert "is '1, 0; 0, 1', expected 3 x 3" in refusal("adxl345")
    (tmp_path / "iio:device0/in_accel_scale").unlink()
    assert "has no in_accel_scale, expected" in refusal("iio:device0")
    with pytest.raises(SourceError, match="_type is 'float', expected one like be:s16/16>>0"):
        read_type("in_accel_x", "float\n")
