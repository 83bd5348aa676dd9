"""The reader's thread and its inbox: rows wait, or are lost as a gap; commands go first."""

import threading
from collections.abc import Iterator

import numpy as np

from deploy.inbox import MAX_CHUNKS, MAX_COMMANDS, Command, Ended, Inbox
from deploy.reader import Reader
from firmware_bridge.source import Chunk, Health
from firmware_bridge.window import Windower

LONG = MAX_CHUNKS + 36


class Source:
    """LONG chunks of ten rows in one run; then two in another."""

    rate_hz = 50.0
    scale = np.ones(3, np.float32)
    live = True

    def __init__(self, pauses: dict[int, threading.Event] | None = None) -> None:
        self._pauses = pauses or {}

    def now_s(self) -> float:
        return 0.0

    def chunks(self) -> Iterator[Chunk]:
        for number in range(LONG + 2):
            if number in self._pauses:
                assert self._pauses[number].wait(10)
            run, place = divmod(number, LONG)
            yield Chunk(run, 10 * place, 1000.0 * run, np.zeros((10, 3), np.int16), "start")

    def truth(self, start_s: float, end_s: float) -> str | None:
        return None

    def health(self) -> Health:
        return Health("connected", 0.0, 50.0, 0, 0, 0, None)

    def close(self) -> None: ...


def drain(inbox: Inbox) -> list[Chunk]:
    taken = []
    while isinstance(item := inbox.get(5), Chunk):
        taken.append(item)
    assert isinstance(item, Ended)
    assert item.error is None
    return taken


def test_a_recording_waits_for_a_slow_learner() -> None:
    inbox = Inbox(wait=True)
    reader = Reader(Source(), inbox)
    reader.start()
    taken = drain(inbox)

    assert [chunk.first for chunk in taken] == [*range(0, 10 * LONG, 10), 0, 10]
    assert reader.lost_rows == 0


def test_rows_lost_to_a_slow_learner_are_a_gap_and_never_a_splice() -> None:
    resume = threading.Event()
    inbox = Inbox(wait=False)
    reader = Reader(Source({MAX_CHUNKS + 26: resume}), inbox)
    reader.start()
    while reader.lost_rows < 260:  # the first MAX_CHUNKS fit, then 26 are lost
        pass
    taken = [item for _ in range(MAX_CHUNKS) if isinstance(item := inbox.get(5), Chunk)]
    resume.set()
    taken += drain(inbox)

    assert reader.lost_rows == 260
    assert [(chunk.run, chunk.first) for chunk in taken[:MAX_CHUNKS]] == [
        (0, 10 * n) for n in range(MAX_CHUNKS)
    ]
    after = taken[MAX_CHUNKS:]
    assert len({chunk.run for chunk in after[:10]} - {0}) == 1
    assert [chunk.first for chunk in after] == [*range(0, 100, 10), 0, 10]
    assert after[0].cause == "the learner was too slow"
    assert after[0].run_start_s == 10 * (MAX_CHUNKS + 26) / 50.0
    assert after[10].run > after[9].run
    assert (after[10].run_start_s, after[10].cause) == (1000.0, "start")
    windower = Windower(50.0, Source.scale, 100, 100)
    for chunk in taken:  # refuses whatever is not contiguous
        list(windower.push(chunk))


def test_what_ends_the_source_reaches_the_loop() -> None:
    class Broken(Source):
        def chunks(self) -> Iterator[Chunk]:
            yield from ()
            raise OSError(121, "Remote I/O error")

    inbox = Inbox(wait=False)
    Reader(Broken(), inbox).start()
    ended = inbox.get(5)

    assert isinstance(ended, Ended)
    assert isinstance(ended.error, OSError)


def test_commands_go_before_rows() -> None:
    inbox = Inbox(wait=False)
    inbox.put_chunk(Chunk(0, 0, 0.0, np.zeros((1, 3), np.int16), "start"))
    inbox.put_command(Command("label/set", b"walking", 0.0, "mqtt"))

    assert isinstance(inbox.get(0), Command)
    assert isinstance(inbox.get(0), Chunk)
    assert inbox.get(0) is None


def test_a_flood_of_commands_is_refused_not_hoarded() -> None:
    inbox = Inbox(wait=False)
    accepted = [inbox.put_command(Command("label/set", b"x", 0.0, "mqtt")) for _ in range(200)]

    assert accepted.count(True) == MAX_COMMANDS


def test_closing_lets_a_waiting_reader_go() -> None:
    inbox = Inbox(wait=True)
    reader = Reader(Source(), inbox)
    reader.start()
    inbox.close()
    reader.join(5)

    assert not reader.is_alive()
    assert reader.lost_rows == 0
