"""Feeds every parser that meets the outside (`fuzzed/`) with what it does not expect.

    .venv/bin/python tests/fuzz.py [inputs] [target …]      1,000,000 in all, unless said otherwise

Each target runs in a process of its own, which may use 1.5 GB and 10 s for an input. What is fed is
made from whole examples by changing, moving and repeating pieces; where atheris is installed
(`pip install atheris`), also by what it finds out about which lines of the code an input reaches.
A mistake is printed with the file that holds the input, and ends that target.
"""

import contextlib
import logging
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

atheris: Any = import_module("atheris") if find_spec("atheris") else None
# Which lines an input reaches is seen only in what is imported so; the tests need it not.
OURS = ["deploy", "firmware_bridge", "learner"]
seen = atheris is not None and __name__ == "__main__" and len(sys.argv) == 3
with atheris.instrument_imports(include=OURS) if seen else contextlib.nullcontext():
    from fuzzed import TARGETS, clean_up, feed, unchecked_zips
    from fuzzed.target import Target, workshop

INPUTS = 1_000_000
KEPT = 500  # inputs that are changed further
INPUT_S = 10  # of the processor's time
MEMORY_BYTES = 1_500_000_000
LONGEST = 200_000  # bytes
# What an input costs, in units of the cheapest: so the million is shared out.
COST = {
    "journals": 60,
    "backups": 40,
    "backups, digests put right": 60,
    "models": 60,
    "npz": 12,
    "messages": 12,
    "phyphox": 12,
}
NUMBERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    32767,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
DIGITS = (b"0", b"-1", b"1e308", b"9" * 20, b"1000000000000", b"0.5", b"-0", b"nan")


class TooSlowError(BaseException):
    """An input took longer than it may; no parser catches this."""


def late(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {INPUT_S} s")


def changed(data: bytes, other: bytes, words: tuple[bytes, ...], rng: random.Random) -> bytes:
    """Change an input a little."""
    piece = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randint(0, len(piece))
        n = min(rng.choice((1, 2, 4, 8, 16, 64, 1024)), len(piece) - at)
        match rng.randrange(9):
            case 0 if piece:
                piece[at % len(piece)] ^= 1 << rng.randrange(8)
            case 1:
                piece[at : at + n] = rng.randbytes(n)
            case 2:
                del piece[at : at + n]
            case 3:
                piece[at:at] = piece[at : at + n] * rng.choice((1, 2, 30))
            case 4:
                kind = rng.choice(("<B", "<H", "<I", "<Q", ">H", ">I", ">Q"))
                number = rng.choice(NUMBERS) % 256 ** struct.calcsize(kind)
                piece[at : at + struct.calcsize(kind)] = struct.pack(kind, number)
            case 5:
                piece[at:at] = rng.choice((*words, *DIGITS))
            case 6:
                from_ = rng.randint(0, len(other))
                piece[at : at + n] = other[from_ : from_ + rng.choice((n, 64, 1024))]
            case 7:
                to = rng.randint(0, len(piece))
                piece[to : to + n] = piece[at : at + n]
            case _:
                number_at = next((k for k in range(at, len(piece)) if 48 <= piece[k] <= 57), at)
                piece[number_at : number_at + 1] = rng.choice(DIGITS)
    return bytes(piece[:LONGEST])


class Feeder:
    """Feeds one target and counts."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.fed = self.taken = 0
        self.slowest_s = 0.0
        self.last = b""

    def feed(self, data: bytes) -> None:
        """Feed one input. Raises what is a mistake."""
        self.last = data
        self.fed += 1
        signal.setitimer(signal.ITIMER_PROF, INPUT_S)
        began_s = time.monotonic()
        try:
            self.taken += feed(self.target, data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)


def bounded() -> None:
    """Let what an input may cost be seen as an error."""
    signal.signal(signal.SIGPROF, late)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, hard))


def feed_many(feeder: Feeder, inputs: int, seed: int) -> None:
    """Feed the examples, then so many inputs that are made of them. Raises what is a mistake."""
    rng = random.Random(seed)
    pool, words = feeder.target.examples(), feeder.target.words
    for example in pool:
        feeder.feed(example)
    while feeder.fed < inputs:
        data = changed(rng.choice(pool), rng.choice(pool), words, rng)
        taken = feeder.taken
        feeder.feed(data)
        if feeder.taken > taken and len(pool) < KEPT:  # it is near something that means something
            pool.append(data)


def run(name: str, inputs: int, seed: int) -> None:
    """Feed one target, and end this process: libFuzzer has no way back."""
    logging.disable()
    unchecked_zips()
    bounded()
    feeder = Feeder(TARGETS[name])

    def one(data: bytes) -> None:
        with mistakes_reported(name, seed, feeder):
            feeder.feed(data)
        if feeder.fed >= inputs:
            end(name, feeder)

    with mistakes_reported(name, seed, feeder):
        feed_many(feeder, inputs // 2 if seen else inputs, seed)
    if not seen:
        end(name, feeder)
    corpus = workshop() / "corpus"
    corpus.mkdir()
    for number, example in enumerate(feeder.target.examples()):
        (corpus / str(number)).write_bytes(example)
    options = [f"-seed={seed}", f"-max_len={LONGEST}", "-verbosity=0", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], str(corpus), *options], one)
    atheris.Fuzz()


@contextlib.contextmanager
def mistakes_reported(name: str, seed: int, feeder: Feeder) -> Iterator[None]:
    try:
        yield
    except (Exception, TooSlowError):  # noqa: BLE001 whatever it is, it is reported
        file = Path(tempfile.gettempdir()) / f"budge-fuzz-{name.replace(' ', '-')}"
        file.write_bytes(feeder.last)
        traceback.print_exc()
        print(f"{name}, seed {seed}: the input is in {file}", flush=True)
        clean_up()
        os._exit(1)


def end(name: str, feeder: Feeder) -> None:
    print(
        f"{feeder.fed:8} {name}: {feeder.taken} taken, {feeder.fed - feeder.taken} refused,"
        f" the slowest in {feeder.slowest_s:.2f} s",
        flush=True,
    )
    clean_up()
    os._exit(0)


def main() -> None:
    """Feed each target in a process of its own."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else INPUTS
    names = sys.argv[2:] or list(TARGETS)
    if len(names) == 1:
        run(names[0], inputs, random.SystemRandom().randrange(10**6))
    total = sum(1 / COST.get(name, 1) for name in names)
    shares = {name: round(inputs / total / COST.get(name, 1)) + 1 for name in names}
    failed = []
    for name, share in shares.items():
        command = [sys.executable, __file__, str(share), name]
        done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            failed.append(name)
            sys.stderr.buffer.write(done.stderr)  # with libFuzzer's own news, which say nothing
    print(f"{sum(shares.values()):8} inputs; mistakes in: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
