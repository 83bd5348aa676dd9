"""Keys of an input device: found by its name, read as they come, waited for when it is away."""

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from hat import ENTER, HOLD, LEFT, PATIENCE_S, PRESS, RELEASE, RIGHT, STICK, Hat, event, until

from deploy.evdev import EVENT, EVIOCSCLOCKID, Key, Keys


class Heard:
    """Keys as they were handed over, for a thread that waits for them."""

    def __init__(self) -> None:
        self._keys: SimpleQueue[Key] = SimpleQueue()

    def take(self, key: Key) -> None:
        self._keys.put(key)

    def next(self, count: int) -> list[tuple[int, int]]:
        return [self.key()[:2] for _ in range(count)]

    def key(self) -> Key:
        return self._keys.get(timeout=PATIENCE_S)

    def nothing_more(self) -> bool:
        try:
            self._keys.get_nowait()
        except Empty:
            return True
        return False


@pytest.fixture(name="hat")
def _hat(tmp_path: Path) -> Iterator[Hat]:
    hat = Hat(tmp_path)
    yield hat
    hat.let_go()


@pytest.fixture(name="heard")
def _heard() -> Heard:
    return Heard()


@pytest.fixture(name="keys")
def _keys(hat: Hat, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keys]:
    monkeypatch.setattr("deploy.evdev.RETRY_S", 0.01)
    keys = Keys(STICK, heard.take, sys_root=hat.sys_root, dev_root=hat.dev_root)
    yield keys
    keys.close()


def test_an_event_is_as_long_as_the_kernel_makes_it() -> None:
    # struct input_event: two longs of time, two u16, one s32, and no padding.
    assert EVENT.size == 2 * struct.calcsize("l") + 8
    assert EVIOCSCLOCKID == 0x400445A0


def test_press_hold_and_release_are_told_with_their_time_and_all_else_is_not(
    hat: Hat, heard: Heard, keys: Keys
) -> None:
    hat.plug_in_stick()
    keys.start()
    hat.key(LEFT, PRESS, after_s=0.25)
    hat.key(LEFT, HOLD, after_s=0.25)
    hat.key(LEFT, RELEASE, after_s=1.0)

    assert [heard.key() for _ in range(3)] == [
        Key(LEFT, PRESS, 1000.25),
        Key(LEFT, HOLD, 1000.5),
        Key(LEFT, RELEASE, 1001.5),
    ]
    assert heard.nothing_more()


def test_many_events_at_once_come_in_order(hat: Hat, heard: Heard, keys: Keys) -> None:
    hat.plug_in_stick()
    for k in range(100):  # 300 events, more than one read takes
        hat.key(RIGHT if k % 2 else LEFT, PRESS)
    keys.start()

    assert heard.next(100) == [(RIGHT if k % 2 else LEFT, PRESS) for k in range(100)]


def test_a_device_that_is_not_there_is_one_warning_and_is_waited_for(
    hat: Hat, heard: Heard, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    looks = 0
    glob = Path.glob

    def counted(path: Path, pattern: str) -> Iterator[Path]:
        nonlocal looks
        looks += 1
        return iter(list(glob(path, pattern)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "glob", counted)
        keys.start()
        until(lambda: looks > 5, "it has looked five times")
        hat.plug_in_stick()
        hat.key(ENTER, PRESS)

        assert heard.next(1) == [(ENTER, PRESS)]
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning.startswith(f"{STICK}: no device under ")
    assert warning.endswith("class/input has that name: is it plugged in?; waiting for it")


def test_a_device_that_vanishes_and_comes_back_is_read_again(
    hat: Hat, heard: Heard, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    hat.plug_in_stick()
    keys.start()
    hat.key(LEFT, PRESS)
    assert heard.next(1) == [(LEFT, PRESS)]
    hat.pull_out_stick()
    until(lambda: "whole events; waiting" in caplog.text, "it has noticed")
    hat.plug_in_stick()
    hat.key(RIGHT, PRESS)

    assert heard.next(1) == [(RIGHT, PRESS)]
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


def test_half_an_event_is_told_and_the_device_opened_anew(
    hat: Hat, heard: Heard, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    hat.plug_in_stick()
    hat.send(event(1, LEFT, PRESS, 1.0)[:10])
    keys.start()
    until(lambda: "10 bytes came, expected whole events" in caplog.text, "it has noticed")
    hat.key(RIGHT, PRESS)

    assert heard.next(1) == [(RIGHT, PRESS)]


def test_a_device_that_may_not_be_opened_names_the_group(
    hat: Hat, keys: Keys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:  # root, as a test may be, is never refused
        raise PermissionError(13, "Permission denied")

    hat.plug_in_stick()
    monkeypatch.setattr("os.open", refuse)
    keys.start()
    until(lambda: "waiting for it" in caplog.text, "it has tried")

    assert "event3 may not be opened by this user, who must be in group input:" in caplog.text


@pytest.mark.parametrize("there", [True, False])
def test_closing_ends_it_whether_it_reads_or_waits(
    hat: Hat, heard: Heard, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.evdev.RETRY_S", 3600.0)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    keys = Keys(STICK, heard.take, sys_root=hat.sys_root, dev_root=hat.dev_root)
    if there:
        hat.plug_in_stick()
    keys.start()
    if there:
        hat.key(LEFT, PRESS)
        assert heard.next(1) == [(LEFT, PRESS)]
    keys.close()
    hat.let_go()

    assert not keys._thread.is_alive()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_one_that_was_never_started_can_be_closed(hat: Hat, heard: Heard) -> None:
    Keys(STICK, heard.take, sys_root=hat.sys_root, dev_root=hat.dev_root).close()
