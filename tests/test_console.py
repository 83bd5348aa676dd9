"""The console: whoever does not read holds up nothing, whoever reads gets everything."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from budge import BUDGE, ROOT

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"

# Runs the output in a process of its own: it writes to the standard output of the process.
SAYS = """
import logging, sys, time
from msgspec.structs import replace
from deploy.messages import Window
from deploy.outputs.console import Output
from deploy.settings import Settings
logging.basicConfig(format="%(message)s", stream=sys.stderr)
settings = Settings()
json, lossless, count = (int(word) for word in sys.argv[1:])
settings = replace(settings, console=replace(settings.console, json=json, lossless=lossless))
output = Output(settings)
output.start(lambda topic, payload: None)
began = time.monotonic()
for number in range(count):
    output.send(Window(activity="läuft", confidence=1, novelty=0, start="",
                       ts="2026-01-01T00:00:00.000Z", start_s=number, end_s=number))
    if number % 50 == 0:
        time.sleep(0.005)  # no sensor is faster than the thread that writes
print(f"sent in {time.monotonic() - began:.3f} s", file=sys.stderr, flush=True)
if sys.stdin.readline():
    time.sleep(0.1)
output.close()
"""
MANY = 4000  # lines of 130 bytes: neither the 64 KiB of a pipe nor the 1000 of the queue hold them


@contextmanager
def saying(
    count: int, *, as_json: bool = True, lossless: bool = False, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", SAYS, str(int(as_json)), str(int(lossless)), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_reader_that_does_not_read_holds_up_nobody_and_is_told_what_it_missed() -> None:
    with saying(MANY) as process:
        assert process.stderr is not None
        sent = process.stderr.readline()  # before a byte was read
        out, err = process.communicate(b"\n", timeout=20)
    numbers = [json.loads(line)["start_s"] for line in out.splitlines()]

    assert sent.startswith(b"sent in ")
    assert numbers == sorted(numbers)
    assert numbers[-1000:] == list(range(MANY - 1000, MANY)), "the newest are kept"
    missing = MANY - len(numbers)
    assert missing > 0
    told = [int(number) for number in re.findall(rb"was blocked: (\d+) lines were left out", err)]
    assert sum(told) == missing
    assert len(told) <= 2  # once a blockage


def test_a_recording_waits_for_a_slow_reader_and_loses_nothing() -> None:
    with saying(MANY, lossless=True) as process:
        time.sleep(1.0)
        out, err = process.communicate(b"\n", timeout=20)

    assert [json.loads(line)["start_s"] for line in out.splitlines()] == list(range(MANY))
    assert b"left out" not in err


def test_it_ends_although_nobody_reads() -> None:
    with saying(MANY) as process:
        assert process.stderr is not None
        process.stderr.readline()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0  # and Python's own exit does not hang, either


def test_a_reader_that_went_is_no_error() -> None:
    with saying(MANY) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(b"\n", timeout=20)

        assert process.returncode == 0
    assert err.startswith(b"sent in ")
    assert err.count(b"\n") == 1


def test_a_terminal_without_the_letters_gets_question_marks() -> None:
    with saying(1, as_json=False, PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate(b"\n", timeout=20)

        assert process.returncode == 0, err
    assert out.startswith(b"00:00:00  l?uft")


def replaying(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [BUDGE, "replay", DAY, "--json", "--state-dir", "state", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )


def test_a_replay_that_nobody_reads_ends_when_it_is_told_to(tmp_path: Path) -> None:
    # 469 windows are 90 KiB, more than the pipe's 64 KiB; it stays, with the pipe full.
    with replaying(tmp_path, "--speed", "max", "--stay") as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 90)[0]  # it has begun
        time.sleep(8)  # what the promise is about: nobody reads for so long
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_a_replay_ends_with_its_reader(tmp_path: Path) -> None:
    with replaying(tmp_path, "--speed", "1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()  # as `| head -1` does
        assert process.wait(20) == 0  # the day lasts 600 s
