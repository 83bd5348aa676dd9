"""Keys of an input device: found by its name, read as they come, waited for when it is away."""

import fcntl
import logging
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from hat import ENTER, HOLD, LEFT, PATIENCE_S, PRESS, RELEASE, RIGHT, STICK, Hat, event, until
from shutter import KEY_ENTER, KEY_VOLUMEUP, Shutter

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


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    looks: list[Path] = []
    glob = Path.glob

    def counted(path: Path, pattern: str) -> Iterator[Path]:
        looks.append(path)
        return iter(list(glob(path, pattern)))

    monkeypatch.setattr(Path, "glob", counted)
    return looks


def test_a_device_that_is_not_there_is_one_warning_and_is_waited_for(
    hat: Hat,
    heard: Heard,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks = count_looks(monkeypatch)
    keys.start()
    until(lambda: len(looks) > 5, "it has looked five times")
    hat.plug_in_stick()
    hat.key(ENTER, PRESS)

    assert heard.next(1) == [(ENTER, PRESS)]
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{STICK}: no device under ")
    assert warning.endswith(
        "class/input has that name, only vc4-hdmi: plug it in or wake it; waiting for it"
    )


def test_a_device_that_vanishes_and_comes_back_is_read_again_and_is_no_warning(
    hat: Hat,
    heard: Heard,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    looks = count_looks(monkeypatch)

    def look_often() -> None:
        looks.clear()
        until(lambda: len(looks) > 5, "it has looked five times")

    hat.plug_in_stick()
    keys.start()
    look_often()
    hat.key(LEFT, PRESS)
    assert heard.next(1) == [(LEFT, PRESS)]
    hat.pull_out_stick()
    until(lambda: f"{STICK} has gone (" in caplog.text, "it has noticed")
    look_often()
    hat.plug_in_stick()
    hat.key(RIGHT, PRESS)

    assert heard.next(1) == [(RIGHT, PRESS)]
    assert caplog.text.count(f"{STICK} is there: ") == 2
    assert warnings(caplog) == []


def test_all_that_a_device_is_to_linux_is_read_and_nothing_that_is_called_alike(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("deploy.evdev.RETRY_S", 0.01)
    caplog.set_level(logging.INFO)
    shutter = Shutter(tmp_path)
    keys = Keys("AB Shutter3", heard.take, sys_root=shutter.sys_root, dev_root=shutter.dev_root)
    keys.start()
    until(lambda: "only AB Shutter31, vc4-hdmi: plug" in caplog.text, "it is missed")
    for _ in range(2):
        shutter.wake()
        shutter.press(KEY_VOLUMEUP)
        assert heard.next(2) == [(KEY_VOLUMEUP, PRESS), (KEY_VOLUMEUP, RELEASE)]
        shutter.press(KEY_ENTER)
        assert heard.next(2) == [(KEY_ENTER, PRESS), (KEY_ENTER, RELEASE)]
        shutter.sleep()
    until(lambda: caplog.text.count("has gone") == 4, "both halves have gone twice")
    keys.close()
    shutter.let_go()

    assert len(warnings(caplog)) == 1


def test_a_stick_that_is_moved_does_not_make_it_look_for_others(
    hat: Hat, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.evdev.RETRY_S", 3600.0)
    looks = count_looks(monkeypatch)
    keys = Keys(STICK, heard.take, sys_root=hat.sys_root, dev_root=hat.dev_root)
    hat.plug_in_stick()
    keys.start()
    for _ in range(5):
        hat.key(LEFT, PRESS)
        assert heard.next(1) == [(LEFT, PRESS)]
    keys.close()

    assert len(looks) == 1


def test_half_an_event_is_told_and_the_device_opened_anew(
    hat: Hat, heard: Heard, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hat.plug_in_stick()
    hat.send(event(1, LEFT, PRESS, 1.0)[:10])
    keys.start()
    until(lambda: "10 bytes came, expected whole events" in caplog.text, "it has noticed")
    hat.key(RIGHT, PRESS)

    assert heard.next(1) == [(RIGHT, PRESS)]


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    opened = os.open  # root, as a test may be, is never refused
    refused: list[object] = []

    def refuse(*given: Any) -> int:
        if len(refused) < times:
            refused.append(given)
            raise PermissionError(13, "Permission denied")
        return opened(*given)

    monkeypatch.setattr("os.open", refuse)


@pytest.mark.parametrize("times", [1, 10])
def test_a_device_that_may_not_be_opened_names_the_group_unless_it_has_only_just_come(
    hat: Hat, heard: Heard, keys: Keys, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    hat.plug_in_stick()
    hat.key(LEFT, PRESS)
    with pytest.MonkeyPatch.context() as patch:
        refuse_to_open(patch, times)
        keys.start()
        assert heard.next(1) == [(LEFT, PRESS)]

    group = "event3 may not be opened by this user, who must be in group input:"
    assert [group in warning for warning in warnings(caplog)] == [True] * (times > 1)


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


def test_a_device_of_the_real_kernel_is_read(heard: Heard) -> None:
    try:
        made = os.open("/dev/uinput", os.O_WRONLY)
    except OSError as error:
        pytest.skip(f"needs /dev/uinput to make a device with: {error.strerror}")
    # uinput.h: EV_KEY, one key, the name and nothing of axes; then it is there.
    fcntl.ioctl(made, 0x40045564, 1)  # UI_SET_EVBIT
    fcntl.ioctl(made, 0x40045565, KEY_VOLUMEUP)  # UI_SET_KEYBIT
    os.write(made, struct.pack("80s4HI256i", b"budge-test shutter", 6, 0, 0, 0, 0, *[0] * 256))
    fcntl.ioctl(made, 0x5501)  # UI_DEV_CREATE
    keys = Keys("budge-test", heard.take)
    before_s = time.monotonic()
    keys.start()
    try:
        until(lambda: keys._files, "it is found")
        for value in (PRESS, RELEASE):
            os.write(made, event(1, KEY_VOLUMEUP, value, 0.0) + event(0, 0, 0, 0.0))
        pressed, released = heard.key(), heard.key()
    finally:
        keys.close()
        os.close(made)

    assert pressed[:2] == (KEY_VOLUMEUP, PRESS)
    assert released[:2] == (KEY_VOLUMEUP, RELEASE)
    assert before_s <= pressed.time_s <= released.time_s <= time.monotonic()
