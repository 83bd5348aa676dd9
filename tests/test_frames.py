"""Frames and lines in a stream of bytes, whatever else is in it; and the sketch that sends them."""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.formats.frames import FrameDecoder, cobs_decode, cobs_encode, crc16, encode
from firmware_bridge.formats.lines import LineDecoder
from firmware_bridge.formats.readings import Broken, Decoder, Reading

SKETCH = Path(__file__).parent.parent / "firmware_bridge" / "firmware" / "budge_imu"
REPEATABLE = settings(deadline=None, derandomize=True)

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
readings = st.builds(
    Reading,
    st.one_of(st.tuples(*[float32s] * 3), st.tuples(*[float32s] * 6)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
)
# Bytes as they are after noise, and as they look when they are almost frames or lines.
noise = st.one_of(
    st.binary(max_size=100),
    st.lists(st.sampled_from([b"\0", b"\n", b",", b"1", b"-2.5", b"ax", b"\xff", b"\x15"])).map(
        b"".join
    ),
    st.tuples(readings, st.integers(1, 30)).map(lambda cut: encode(cut[0])[cut[1] : -1]),
)


# COBS and CRC


@pytest.mark.parametrize(
    ("data", "encoded"),
    [  # the examples of Wikipedia, "Consistent Overhead Byte Stuffing", without their last zero
        ("", "01"),
        ("00", "01 01"),
        ("00 00", "01 01 01"),
        ("00 11 00", "01 02 11 01"),
        ("11 22 00 33", "03 11 22 02 33"),
        ("11 22 33 44", "05 11 22 33 44"),
        ("11 00 00 00", "02 11 01 01 01"),
    ],
)
def test_cobs_is_what_others_call_cobs(data: str, encoded: str) -> None:
    assert cobs_encode(bytes.fromhex(data)) == bytes.fromhex(encoded)
    assert cobs_decode(bytes.fromhex(encoded)) == bytes.fromhex(data)


@REPEATABLE
@given(st.one_of(st.binary(max_size=40), st.binary(min_size=250, max_size=520)))
def test_cobs_gives_back_what_it_got_without_a_zero_on_the_way(data: bytes) -> None:
    encoded = cobs_encode(data)

    assert 0 not in encoded
    assert cobs_decode(encoded) == data


@pytest.mark.parametrize("length", [253, 254, 255, 508, 509])
def test_cobs_carries_long_stretches_without_a_zero(length: int) -> None:
    data = bytes([7]) * length

    assert 0 not in cobs_encode(data)
    assert cobs_decode(cobs_encode(data)) == data
    assert cobs_decode(cobs_encode(data + b"\0")) == data + b"\0"


def test_the_crc_is_ccitt_false() -> None:
    assert crc16(b"123456789") == 0x29B1


# Frames


def test_a_frame_is_35_bytes_for_six_axes_and_23_for_three() -> None:
    assert len(encode(Reading((1.0,) * 6, 123, 45))) == 35
    assert len(encode(Reading((1.0,) * 3, 123, 45))) == 23


@REPEATABLE
@given(st.lists(readings))
def test_frames_come_back_as_they_were_sent(sent: list[Reading]) -> None:
    assert FrameDecoder().feed(b"\0" + b"".join(map(encode, sent))) == sent


@REPEATABLE
@given(st.lists(st.one_of(readings, noise)))
def test_no_frame_is_lost_to_the_noise_before_it(stream: list[Reading | bytes]) -> None:
    data = b"\0"
    for piece in stream:
        data += piece + b"\0" if isinstance(piece, bytes) else encode(piece)

    found = [one for one in FrameDecoder().feed(data) if isinstance(one, Reading)]

    assert found == [one for one in stream if isinstance(one, Reading)]


@REPEATABLE
@given(st.lists(noise), st.sampled_from([FrameDecoder, LineDecoder]))
def test_any_bytes_in_any_pieces_are_readings_or_counted_errors(
    pieces: list[bytes], decoder: type[FrameDecoder] | type[LineDecoder]
) -> None:
    piecewise: Decoder = decoder()
    found = [one for piece in pieces for one in piecewise.feed(piece)]

    assert all(isinstance(one, Reading | Broken) for one in found)
    whole = [one for one in decoder().feed(b"".join(pieces)) if isinstance(one, Reading)]
    assert [one for one in found if isinstance(one, Reading)] == whole


@REPEATABLE
@given(readings, st.integers(0, 8 * 33 - 1))
def test_a_wrong_bit_never_makes_another_reading(sent: Reading, bit: int) -> None:
    frame = bytearray(encode(sent))
    frame[bit // 8 % len(frame)] ^= 1 << bit % 8

    found = FrameDecoder().feed(b"\0" + bytes(frame) + b"\0")

    assert found
    assert all(isinstance(one, Broken) for one in found)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (struct.pack("<BHI3f", 2, 0, 0, 1, 2, 3), "a frame of version 2, expected 1"),
        (struct.pack("<BHI3f", 1, 0, 0, 1, 2, float("nan")), "a frame with a value that is not"),
        (struct.pack("<BHI2f", 1, 0, 0, 1, 2), "a frame of 17 bytes, expected 21 or 33"),
        (struct.pack("<BHI6f", 1, 0, 0, 1, 2, 3, 4, 5, 6), "a frame of 6 axes, expected 3"),
    ],
)
def test_a_whole_frame_that_means_nothing_here_says_why(body: bytes, cause: str) -> None:
    frame = cobs_encode(body + struct.pack("<H", crc16(body)))

    (found,) = FrameDecoder(3).feed(b"\0" + frame + b"\0")

    assert isinstance(found, Broken)
    assert found.cause.startswith(cause)


def test_bytes_without_a_zero_are_not_kept_for_ever() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\0")

    found = [one for _ in range(100) for one in decoder.feed(b"\x01" * 50)]
    after = decoder.feed(b"\0" + encode(Reading((1.0, 2.0, 3.0), 4, 5)))

    assert found == [Broken("no b'\\x00' in more than 64 bytes")]
    assert after == [Reading((1.0, 2.0, 3.0), 4, 5)]


def test_a_frame_of_four_axes_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="4 values, expected 3 or 6"):
        encode(Reading((1.0,) * 4))


# Lines


def test_the_first_line_is_a_part_and_dropped() -> None:
    assert LineDecoder().feed(b"0,7.90\n-0.12,-6.20,7.90\n") == [Reading((-0.12, -6.2, 7.9))]


@pytest.mark.parametrize("value", ["nan", "inf", "1_0", "0x10", "1e999", "", "--1", "1.2.3"])
def test_what_only_python_calls_a_number_is_none(value: str) -> None:
    (found,) = LineDecoder().feed(f"\n1,2,{value}\n".encode())

    assert isinstance(found, Broken)


def test_time_wraps_as_micros_does() -> None:
    (found,) = LineDecoder().feed(b"\n4294967301,1,2,3\n")

    assert found == Reading((1.0, 2.0, 3.0), 5)


# The sketch

HARNESS = """
#include <cstdint>
#include <cstdio>
#include <cstring>
static float sample[6];
static uint32_t now_us;
static bool answers;
uint32_t micros() { return now_us; }
void delay(unsigned) {}
struct { bool accelerationAvailable() { return true; } bool gyroscopeAvailable() { return true; }
  int begin() { return 1; }
  int read(int from, float &x, float &y, float &z) {
    x = sample[from]; y = sample[from + 1]; z = sample[from + 2]; return answers; }
  int readAcceleration(float &x, float &y, float &z) { return read(0, x, y, z); }
  int readGyroscope(float &x, float &y, float &z) { return read(3, x, y, z); } } IMU;
struct { void begin(long) {}
  void write(uint8_t byte) { fwrite(&byte, 1, 1, stdout); }
  void write(const uint8_t *data, size_t length) { fwrite(data, 1, length, stdout); } } Serial;
#include "budge_imu.ino"
int main() {
  setup();
  while (fread(&now_us, 4, 1, stdin) == 1 && fread(sample, 4, 6, stdin) == 6) {
    answers = now_us != 13;
    loop();
  }
}
"""


@pytest.fixture(scope="module", name="sketch")
def _sketch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sketch, compiled for this machine, with an IMU that reads samples from stdin."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to compile the sketch: sudo apt install g++")
    folder = tmp_path_factory.mktemp("sketch")
    (folder / "Arduino_LSM6DSOX.h").touch()
    (folder / "harness.cpp").write_text(HARNESS)
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wno-psabi", "-Werror"]
    # C++11, as the oldest cores that are about compile it.
    paths = ["-I", str(folder), "-I", str(SKETCH), "-o", str(folder / "sketch")]
    subprocess.run(
        ["g++", "-std=c++11", *warnings, *paths, str(folder / "harness.cpp")], check=True
    )
    return folder / "sketch"


def test_the_sketch_sends_byte_for_byte_what_python_writes(sketch: Path) -> None:
    rng = random.Random(1)
    # More than 65536, where the numbers begin again; with zeros in many a place.
    samples = [
        (rng.choice([256, 65536, rng.getrandbits(32)]), [rng.uniform(-4, 4) for _ in range(3)])
        for _ in range(66_000)
    ]
    stdin = b"".join(struct.pack("<I6f", time_us, *accel, 0, 90, 0) for time_us, accel in samples)

    sent = subprocess.run([sketch], input=stdin, capture_output=True, check=True).stdout

    quarter_turn = float(np.float32(90) * np.float32(0.017453293))
    expected = b"\0" + b"".join(
        encode(
            Reading(
                # As the sketch multiplies: float by float.
                (*(np.array(accel, "f4") * np.float32(9.80665)).tolist(), 0, quarter_turn, 0),
                time_us,
                sequence,
            )
        )
        for sequence, (time_us, accel) in enumerate(samples)
    )
    assert sent == expected


def test_a_sample_that_could_not_be_read_leaves_a_hole_in_the_numbers(sketch: Path) -> None:
    stdin = b"".join(struct.pack("<I6f", time_us, *[1.0] * 6) for time_us in (12, 13, 14))

    sent = subprocess.run([sketch], input=stdin, capture_output=True, check=True).stdout

    found = FrameDecoder().feed(sent)
    assert [(one.time_us, one.sequence) for one in found if isinstance(one, Reading)] == [
        (12, 0),
        (14, 2),
    ]
