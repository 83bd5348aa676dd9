"""What sends on a serial port: speed, format, columns and units are found out, or asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from board import GRAVITY, PER_COUNT, Bench, Board, as_line, assert_true

from firmware_bridge.clock import MonotonicClock
from firmware_bridge.formats.frames import encode
from firmware_bridge.formats.readings import Reading
from firmware_bridge.source import SourceError
from firmware_bridge.sources.serial import Options, open_source

Boards = Callable[..., Board]


@pytest.fixture(name="board")
def _board(tmp_path: Path) -> Iterator[Boards]:
    """Make a board; it is put away at the end."""
    made: list[Board] = []

    def make(*args: object, **settings: object) -> Board:
        made.append(Board(tmp_path, *args, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_speed_is_found(board: Boards) -> None:
    bench = Bench(board(baud=38400))

    assert bench.source._sender.baud == 38400
    assert_true(bench, bench.run(5))


def test_a_set_speed_is_the_only_one_tried(board: Boards) -> None:
    sender = board(baud=38400)

    with pytest.raises(SourceError, match=r"no reading came .*\(at 57600: \d+ bytes, .*set baud"):
        open_source(Options(port=str(sender.port), baud=57600), sender, 50.0)


def test_a_board_that_starts_by_the_opening_is_waited_for(board: Boards) -> None:
    sender = board(as_line)
    sender.at(sender.now_s() + 0.05, lambda: sender.start(b"\nbooting 1.2\n", boot_s=2.0))

    bench = Bench(sender, gyro_unit="rad/s")

    assert_true(bench, bench.run(5))


@pytest.mark.parametrize(
    ("line", "settings", "sentence"),
    [
        (b"0.1,0.2,300\n", {}, "the acceleration is 300 long, expected gravity: .*set accel_unit"),
        (b"0,0,9.8,0,0,0\n", {}, 'unit is: set gyro_unit to "dps", "rad/s" or the counts per dps'),
        (b"1,2,3,4,5,6,7,8,9\n", {}, "bytes, a line of 9 values, expected 3, 4, 6 or 7"),
        (b"hello\n", {}, "bytes, a line that is no numbers, b'hello'"),
        (b"0,0,9.8\n", {"accel_unit": "m/s"}, 'accel_unit is \'m/s\', expected "m/s2" or "g"'),
        (b"0,0,9.8\n", {"accel_unit": 0}, "accel_unit is 0, expected .*a number of counts above 0"),
        (b"0,0,9.8\n", {"baud": 12345}, "baud is 12345, expected a usual speed such as 115200"),
        (b"", {}, "at 115200: nothing; 921600: nothing; "),
    ],
)
def test_what_cannot_be_decided_is_an_error_that_says_what_to_set(
    board: Boards, line: bytes, settings: dict[str, object], sentence: str
) -> None:
    sender = board(lambda _reading: line)

    with pytest.raises(SourceError, match=sentence):
        open_source(Options(port=str(sender.port), **settings), sender, 50.0)  # type: ignore[arg-type]


def test_a_line_before_the_others_does_not_decide(board: Boards) -> None:
    sender = board(as_line)
    sender.hello = b"version\n1,2,3\n"

    bench = Bench(sender, gyro_unit="rad/s")

    assert bench.run(5)[0].counts.shape[1] == 6


def test_frames_of_three_axes_before_the_others_do_not_decide(board: Boards) -> None:
    sender = board()
    sender.mangle = lambda sample, sent: encode(Reading((0, 0, 9.8))) if sample < 50 else sent

    assert Bench(sender).run(5)[0].counts.shape[1] == 6


def test_the_rate_is_right_though_a_frame_was_lost_meanwhile(board: Boards) -> None:
    sender = board()
    sender.mangle = lambda sample, sent: b"" if sample in range(30, 40) else sent

    bench = Bench(sender)

    assert bench.source.health().rate_hz == pytest.approx(104, rel=1e-4)  # 50 ppm are the clock's


def test_readings_have_to_come_in_a_row_to_be_believed(board: Boards) -> None:
    sender = board(as_line, axes=3)
    sender.mangle = lambda sample, sent: b"noise\n" if sample % 20 == 0 else sent

    with pytest.raises(SourceError, match="no reading came"):
        open_source(Options(port=str(sender.port)), sender, 50.0)


def test_milliseconds_are_not_taken_for_microseconds(board: Boards) -> None:
    def in_ms(reading: Reading) -> bytes:
        assert reading.time_us is not None
        return f"{reading.time_us // 1000},0,0,9.8\n".encode()

    sender = board(in_ms)

    with pytest.raises(SourceError, match=r"clock goes on by 10 from .*expected 9\d{3} or so"):
        open_source(Options(port=str(sender.port)), sender, 50.0)


def test_a_port_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no /nowhere, .*check the cable"):
        open_source(Options(port="/nowhere"), MonotonicClock(), 50.0)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SourceError, match=r"is no serial port, expected something like /dev/tty"):
        open_source(Options(port=str(file)), MonotonicClock(), 50.0)


def test_names_say_which_column_is_which(board: Boards) -> None:
    def mixed(reading: Reading) -> bytes:
        ax, ay, az = reading.values[:3]
        return f"36.6,{az:.4f},{ay:.4f},{ax:.4f},7\n".encode()

    sender = board(mixed)
    sender.at(sender.now_s() + 0.5, lambda: sender.start(b"noise\ntemp,az,ay,ax,button\n"))
    bench = Bench(sender)

    assert_true(bench, bench.run(10))


def test_the_gyro_is_in_the_unit_that_was_set(board: Boards) -> None:
    bench = Bench(board(as_line), gyro_unit="dps")

    row = bench.run(5)[-1].counts[-1] * bench.source.scale

    assert row[3:] == pytest.approx(np.radians([0.1, -0.2, 0.3]), abs=np.radians(2000) / 32768)


def test_a_set_unit_wins_over_what_it_looks_like(board: Boards) -> None:
    bench = Bench(board(as_line, axes=3), accel_unit=9.80665 / 2)  # 2 g, whoever says 1 g

    row = bench.run(5)[-1].counts[-1] * bench.source.scale

    assert row[2] == pytest.approx(2 * GRAVITY, abs=PER_COUNT)


def test_the_scale_grows_with_what_is_seen_at_the_start_and_then_stays(board: Boards) -> None:
    def strong(reading: Reading) -> bytes:
        return encode(Reading((300.0, *reading.values[1:]), reading.time_us, reading.sequence))

    sender = board(strong)
    bench = Bench(sender)
    sender.write = encode

    assert bench.source.scale[:3] == pytest.approx(2 * PER_COUNT)  # 32 g
    assert bench.source.scale[3:] == pytest.approx(np.radians(2000) / 32768)
    assert_true(bench, bench.run(5)[10:])
