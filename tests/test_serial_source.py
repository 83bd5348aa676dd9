"""The serial source: real bytes through a real tty, on a clock that runs as fast as it can."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from board import GRAVITY, PER_COUNT, Bench, Board, as_line, assert_true, assert_whole

from firmware_bridge.clock import MonotonicClock
from firmware_bridge.formats.frames import FrameDecoder, encode
from firmware_bridge.formats.readings import Reading
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


# Rows of a good line


@pytest.mark.parametrize("rate_hz", [26.0, 99.0, 104.0, 208.0])
def test_frames_become_rows_that_lie_where_they_say(board: Boards, rate_hz: float) -> None:
    bench = Bench(board(rate_hz=rate_hz))
    state_before = bench.source.health().state

    chunks = bench.run(60)

    assert {chunk.run for chunk in chunks} == {0}
    assert chunks[0].cause == "start"
    assert_true(bench, chunks)
    assert_whole(chunks)
    assert bench.source.health().rate_hz == pytest.approx(rate_hz, rel=1e-3)
    health = bench.source.health()
    assert (state_before, health.state) == ("starting", "connected")
    assert (health.gaps, health.errors, health.lost, health.cause) == (0, 0, 0, None)


def test_a_sender_with_a_bad_clock_is_believed_only_at_the_start(board: Boards) -> None:
    bench = Bench(board(clock_error=0.005))

    chunks = bench.run(60)

    # 0.5 % of the 2 s in which our clock learns better.
    assert_true(bench, chunks, within_s=0.012)
    assert_true(bench, [chunk for chunk in chunks if chunk.first > 1500])
    assert bench.source.health().rate_hz == pytest.approx(104, rel=1e-4)


def test_a_sender_with_a_clock_gives_rows_sooner(board: Boards, tmp_path: Path) -> None:
    def wait_s(bench: Bench) -> float:
        begun_s = bench.board.now_s()
        bench.run(1e-9)
        return bench.board.now_s() - begun_s

    (tmp_path / "lines").mkdir()
    lines = Board(tmp_path / "lines", as_line, axes=3)

    assert wait_s(Bench(board())) < 1
    assert 1 < wait_s(Bench(lines)) < 3  # our clock has to measure first
    lines.close()


def test_numbers_and_clock_that_begin_again_at_their_ends_are_no_gap(board: Boards) -> None:
    sender = board()
    sender.first = 2**16 - 1000, 2**32 - 12_000_000
    bench = Bench(sender)

    chunks = bench.run(20)

    assert {chunk.run for chunk in chunks} == {0}
    assert_whole(chunks)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("{0:.4f},{1:.4f},{2:.4f}", {}),
        ("{0:.4f}\t{1:.4f}\t{2:.4f}", {}),
        ("{t},{0:.4f},{1:.4f},{2:.4f}", {}),
        ("{g0:.5f},{g1:.5f},{g2:.5f}", {}),
        ("{c0:.0f},{c1:.0f},{c2:.0f}", {}),
        ("{0:.4f},{1:.4f},{2:.4f},{3},{4},{5}", {"gyro_unit": "rad/s"}),
        ("{t},{0:.4f},{1:.4f},{2:.4f},{3},{4},{5}", {"gyro_unit": "rad/s"}),
    ],
)
def test_lines_become_rows_whatever_their_separator_columns_and_unit(
    board: Boards, text: str, settings: dict[str, str]
) -> None:
    def as_text(reading: Reading) -> bytes:
        in_g = {f"g{k}": value / GRAVITY for k, value in enumerate(reading.values)}
        in_counts = {f"c{k}": value / GRAVITY * 4096 for k, value in enumerate(reading.values)}
        words = text.format(*reading.values, t=reading.time_us, **in_g, **in_counts)
        return words.encode() + b"\r\n"

    bench = Bench(board(as_text), **settings)

    chunks = bench.run(20)

    assert {chunk.run for chunk in chunks} == {0}
    assert_true(bench, chunks)
    assert chunks[0].counts.shape[1] == (6 if settings else 3)


def test_a_value_past_the_scale_is_cut_before_it_is_smeared(board: Boards) -> None:
    bench = Bench(board(as_line, axes=3))
    bench.run(5)
    bench.board.mangle = lambda sample, sent: b"1e30,0,9.8\n" if sample == 1500 else sent

    chunks = bench.run(15)

    x = np.concatenate([chunk.counts for chunk in chunks])[:, 0]
    assert x.max() > 10_000
    assert (np.abs(x) > 10_000).sum() <= 2  # uncut, the whole kernel would be full of it


# What is lost is a gap


def test_a_lost_frame_is_a_gap_and_counted(board: Boards) -> None:
    bench = Bench(board())
    bench.run(5)
    bench.board.mangle = lambda sample, sent: b"" if sample % 2000 in {1500, 1501} else sent

    chunks = bench.after_gap()

    assert chunks[0].cause == "2 readings were lost"
    assert bench.source.health().lost == 2
    assert bench.source.health().gaps == 1
    assert_true(bench, chunks)


def test_a_frame_with_a_wrong_bit_is_a_gap_and_counted(board: Boards) -> None:
    bench = Bench(board())
    bench.run(5)
    bench.board.mangle = lambda sample, sent: (
        sent[:20] + bytes([sent[20] ^ 0x10]) + sent[21:] if sample == 1500 else sent
    )

    chunks = bench.after_gap()

    assert chunks[0].cause.startswith("a frame with CRC 0x")
    assert bench.source.health().errors == 1
    assert bench.source.health().lost == 1
    assert bench.source.health().gaps == 1
    assert_true(bench, chunks)


def test_a_sample_that_the_sender_missed_shows_in_its_clock(board: Boards) -> None:
    bench = Bench(board())
    bench.run(5)
    # It did not notice: numbers go on, and the sample of this moment is not among them.
    bench.board.mangle = lambda sample, sent: (
        b"" if sample == 1500 else encode_again(sent, sample - 1) if sample > 1500 else sent
    )

    chunks = bench.after_gap()

    assert chunks[0].cause == "1 readings were lost"
    assert_true(bench, chunks)


def encode_again(sent: bytes, sequence: int) -> bytes:
    (reading,) = FrameDecoder().feed(b"\0" + sent)
    assert isinstance(reading, Reading)
    return encode(Reading(reading.values, reading.time_us, sequence))


@pytest.mark.parametrize(
    ("instead", "cause"),
    [
        (b"0.1,0.2\n", "a line of 2 values, expected 3"),
        (b"1,2,3,4,5,6\n", "a line of 6 values, expected 3"),
        (b"0.1,0.\xff\xfe2,9.8\n", "a line that is no numbers, b'0.1,0.\\xff\\xfe2,9.8'"),
        (b"0.1,nan,9.8\n", "a line that is no numbers, b'0.1,nan,9.8'"),
        (b"x" * 3000 + b"\n", "no b'\\n' in more than 256 bytes"),
    ],
)
def test_a_broken_line_is_a_gap_and_the_next_line_the_next_run(
    board: Boards, instead: bytes, cause: str
) -> None:
    bench = Bench(board(as_line, axes=3))
    bench.run(5)
    bench.board.mangle = lambda sample, sent: instead if sample == 1500 else sent

    chunks = bench.after_gap()

    assert chunks[0].cause == cause
    assert bench.source.health().gaps == 1
    assert bench.source.health().errors == 1
    assert_true(bench, chunks)


def test_lines_that_stay_away_and_then_go_on_are_a_gap(board: Boards) -> None:
    bench = Bench(board(as_line, axes=3))
    bench.run(5)
    bench.board.mangle = lambda sample, sent: b"" if 1500 <= sample < 1540 else sent

    chunks = bench.after_gap()

    assert chunks[0].cause == "readings are 0.4 s late"
    assert bench.source.health().lost == pytest.approx(40, abs=10)  # by the look
    assert_true(bench, chunks)


def test_a_frame_that_comes_twice_is_not_two_samples(board: Boards) -> None:
    bench = Bench(board())
    bench.run(5)
    bench.board.mangle = lambda sample, sent: sent * 2 if sample == 1500 else sent

    chunks = bench.after_gap()

    assert chunks[0].cause == "a frame out of turn"
    assert bench.source.health().lost == 0
    assert_true(bench, chunks)


def test_lines_with_a_clock_tell_when_their_sender_starts_again(board: Boards) -> None:
    sender = board(lambda reading: f"{reading.time_us},".encode() + as_line(reading), axes=3)
    bench = Bench(sender)
    bench.run(20)
    sender.at(sender.now_s() + 1, sender.start)

    chunks = bench.after_gap()

    assert chunks[0].cause == "the sender started again"
    assert_true(bench, chunks)


def test_a_run_that_dies_before_its_first_row_is_none(board: Boards) -> None:
    bench = Bench(board())
    before = bench.run(5)
    bench.board.mangle = lambda sample, sent: b"" if sample in range(1500, 1600, 10) else sent

    after = bench.after_gap()

    assert before[-1].run == 0
    assert {chunk.run for chunk in after} == {1}
    assert bench.source.health().gaps == 1
    assert bench.source.health().lost == 10
    assert_true(bench, after)


def test_a_host_that_slept_longer_than_the_tty_holds_is_a_gap(board: Boards) -> None:
    bench = Bench(board())
    bench.run(5)
    bench.board.sleep_s(3)

    chunks = bench.after_gap()

    assert chunks[0].cause.endswith("bytes waited, and the tty is sure to hold 3968")
    assert bench.source.health().lost == pytest.approx(3 * 104, abs=11)
    assert_true(bench, chunks)


def test_a_host_that_was_late_but_in_time_loses_nothing(board: Boards) -> None:
    bench = Bench(board())
    before = bench.run(10)
    bench.board.sleep_s(0.9)
    after = bench.run(10)

    assert {chunk.run for chunk in before + after} == {0}
    assert_whole(before + after)
    assert_true(bench, before + after)


# A sender that comes and goes


@pytest.mark.parametrize("greeting", [b"", b"ets Jun  8 2016\r\nrst:0x1 (POWERON_RESET)\r\n\0"])
@pytest.mark.parametrize("boot_s", [0.0, 0.3])
def test_a_sender_that_starts_again_begins_a_run(
    board: Boards, greeting: bytes, boot_s: float
) -> None:
    sender = board()
    bench = Bench(sender)
    bench.run(20)
    sender.at(sender.now_s() + 1, lambda: sender.start(greeting, boot_s))

    chunks = bench.after_gap()

    assert chunks[0].cause in {"the sender started again", "a frame that is not COBS"}
    assert bench.source.health().gaps == 1
    assert bench.source.health().lost == 0
    assert_true(bench, chunks)


@pytest.mark.parametrize("pulled", [False, True])
def test_a_sender_that_comes_back_at_another_rate_is_measured_anew(
    board: Boards, pulled: bool
) -> None:
    # Lines without a clock cannot say that somebody else sends them.
    sender = board(as_line, axes=3) if pulled else board()
    bench = Bench(sender)
    bench.run(20)

    def other() -> None:
        sender.rate_hz = 52.0
        if pulled:
            sender.unplug()
            sender.plug()
        sender.start()

    sender.at(sender.now_s() + 1, other)
    chunks = bench.after_gap()

    assert_true(bench, chunks, within_s=0.012)  # 1 % of a second or so: it is known to 0.2 % then
    bench.run(30)
    assert bench.source.health().rate_hz == pytest.approx(52, rel=1e-3)


def test_a_pulled_plug_is_waited_for(board: Boards) -> None:
    sender = board()
    bench = Bench(sender)
    bench.run(5)
    back_s = sender.now_s() + 600
    sender.at(sender.now_s() + 1, sender.unplug)
    sender.at(back_s, sender.plug)

    chunks = bench.after_gap()

    assert chunks[0].cause.startswith("serial error: the port hung up")
    assert back_s < chunks[0].run_start_s < back_s + 30 + 1  # the longest back-off
    assert bench.source.health().gaps == 1
    # Reads, then openings after 0.5 s, 1 s … 30 s: ever more seldom.
    assert 20 < bench.source.health().errors < 30
    assert_true(bench, chunks)


def test_a_second_pull_is_mended_as_soon_as_the_first(board: Boards) -> None:
    sender = board()
    bench = Bench(sender)
    for pause_s in (100, 1):
        bench.run(5)
        back_s = sender.now_s() + 1 + pause_s
        sender.at(sender.now_s() + 1, sender.unplug)
        sender.at(back_s, sender.plug)
        chunks = bench.after_gap()

    assert chunks[0].run_start_s < back_s + 1 + 0.5  # tried after 0.5 s and 1 s


def test_what_came_before_and_after_a_pull_is_never_put_together(board: Boards) -> None:
    sender = board(as_line, axes=3)
    bench = Bench(sender)
    bench.run(5)
    sender.mangle = lambda sample, sent: b"99,9" if sample == 900 else sent if sample < 900 else b""
    bench.run(10 - (sender.now_s() - sender.began_s) - 1.5)

    def pull_and_plug() -> None:
        sender.unplug()
        sender.hello = b"9,99,99\n"  # four columns with the two before, which would be an error
        sender.mangle = lambda sample, sent: sent
        sender.plug()

    sender.at(sender.began_s + 9.0, pull_and_plug)

    assert_true(bench, bench.after_gap())
    assert bench.source.health().errors == 1  # the pull


def test_a_silent_sender_has_its_port_opened_anew(board: Boards) -> None:
    sender = board()
    bench = Bench(sender)
    bench.run(5)
    silent_s = sender.now_s() + 1
    sender.at(silent_s, lambda: sender.start(boot_s=20))

    chunks = bench.after_gap()

    assert chunks[0].cause == "no reading came for 1 s"
    assert chunks[0].run_start_s > silent_s + 20
    assert 1 <= bench.source.health().errors <= 4
    assert_true(bench, chunks)


def test_closing_ends_it_also_while_the_sender_is_away(board: Boards) -> None:
    sender = board()
    bench = Bench(sender)
    bench.run(5)
    sender.unplug()
    sender.at(sender.now_s() + 100, bench.source.close)

    assert bench.end() == []
    assert bench.source.health().state == "gap"
    assert sender.now_s() == pytest.approx(1000 + 1.2 + 5 + 100, abs=1)


def test_a_port_is_one_reader_s_and_free_after_closing(board: Boards) -> None:
    def may_open() -> bool:
        # Not as root, who may do anything.
        user = 65534 if os.geteuid() == 0 else None
        return subprocess.run(["sh", "-c", f": < {port}"], user=user, check=False).returncode == 0

    sender = board()
    port = sender.port.resolve()
    port.chmod(0o666)
    files_before = len(list(Path("/proc/self/fd").iterdir()))
    bench = Bench(sender)
    bench.run(5)

    assert not may_open()
    bench.source.close()
    bench.end()
    assert may_open()
    assert len(list(Path("/proc/self/fd").iterdir())) == files_before


# In real time


def test_a_writer_thread_in_real_time_is_understood(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    done = threading.Event()

    def write() -> None:
        sequence = 0
        while not done.wait(0.01):
            values = (0.0, 0.0, GRAVITY)
            os.write(ours, encode(Reading(values, sequence * 10_000, sequence)))
            sequence += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        source = open_source(Options(port=os.ttyname(theirs)), MonotonicClock(), 50.0)
        chunk = next(source.chunks())
        assert chunk.counts.shape[1] == 3
        assert (np.abs(chunk.counts * source.scale - [0, 0, GRAVITY]) < PER_COUNT).all()
    finally:
        done.set()
        writer.join()
        os.close(ours)
        os.close(theirs)
