"""The Sense HAT: what the stick commands and the LEDs show, alone and on the real line."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from budge import ROOT
from hat import ENTER, LEFT, RIGHT, Hat, until
from hat_scenes import (
    ALL_BLUE,
    ALL_RED,
    BTN_DPAD_RIGHT,
    BTN_SELECT,
    DIM_QUESTION,
    REFUSED,
    blue,
    info,
    label,
    white,
    window,
    yellow,
)

import deploy.outputs.sense_hat as module
from deploy.led_matrix import DARK, LEVELS
from deploy.messages import NOT_LABELLING, UNSURE, Info, Label, Message, Response, Window
from deploy.output import Command
from deploy.outputs.sense_hat import Output
from deploy.service import open_outputs, serve
from deploy.settings import Settings
from firmware_bridge.clock import MonotonicClock
from firmware_bridge.recordings.files import read
from firmware_bridge.sources.recording import Source

# The stick and the matrix, as files


class Given:
    """The commands that an output gave."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, bytes]] = []

    def __call__(
        self,
        topic: str,
        payload: bytes,
        answered: Callable[[Response], None] | None = None,
        /,
    ) -> bool:
        self.commands.append((topic, payload))
        return True


@pytest.fixture(name="hat")
def _hat(tmp_path: Path) -> Iterator[Hat]:
    hat = Hat(tmp_path)
    yield hat
    hat.let_go()


@pytest.fixture(name="given")
def _given() -> Given:
    return Given()


@pytest.fixture(name="output")
def _output(hat: Hat, given: Given) -> Iterator[Output]:
    hat.plug_in_leds()
    hat.plug_in_stick()
    output = Output(Settings(), None, sys_root=hat.sys_root, dev_root=hat.dev_root)
    output.start(given)
    yield output
    output.close()


def after_all_keys(hat: Hat, given: Given) -> list[tuple[str, bytes]]:
    """The commands so far: a last press gives one more, and nothing can come after it unseen."""
    before = len(given.commands)
    hat.press(ENTER)
    until(lambda: len(given.commands) > before, "the press is heard")
    return given.commands[:-1]


def test_it_is_off_unless_the_settings_name_it() -> None:
    assert "sense_hat" not in Settings().outputs
    (opened,) = open_outputs(Settings(outputs=("sense_hat",)))
    opened.close()

    assert isinstance(opened, Output)


def test_a_press_starts_the_chosen_and_stops_what_is_taught(
    hat: Hat, given: Given, output: Output
) -> None:
    output.send(info("resting", "walking"))
    hat.press(RIGHT)
    hat.press(RIGHT)
    hat.press(ENTER)
    until(lambda: given.commands, "the press is heard")
    output.send(label("walking"))
    hat.press(ENTER)
    until(lambda: len(given.commands) == 2, "the second press is heard")
    (topic, payload), stop = given.commands

    assert (topic, json.loads(payload)) == ("label/set", {"activity": "walking"})
    assert stop == ("label/set", b"")


def test_a_press_stops_also_what_somebody_else_began(
    hat: Hat, given: Given, output: Output
) -> None:
    output.send(info("resting", "walking"))
    output.send(label("dancing"))
    hat.press(LEFT)
    hat.press(ENTER)
    until(lambda: given.commands, "the press is heard")

    assert given.commands == [("label/set", b"")]


def test_with_nothing_chosen_a_press_is_a_stop(hat: Hat, given: Given, output: Output) -> None:
    output.send(info("walking"))
    hat.press(ENTER)
    until(lambda: given.commands, "the press is heard")

    assert given.commands == [("label/set", b"")]


def test_a_name_that_looks_like_json_is_still_a_name(
    hat: Hat, given: Given, output: Output
) -> None:
    output.send(info('{"x"'))
    hat.press(RIGHT)
    hat.press(ENTER)
    until(lambda: given.commands, "the press is heard")

    assert json.loads(given.commands[0][1]) == {"activity": '{"x"'}


def test_a_hold_of_a_second_is_one_undo_and_no_press(
    hat: Hat, given: Given, output: Output
) -> None:
    hat.hold(ENTER, 3.0)
    assert after_all_keys(hat, given) == [("label/undo", b"")]
    hat.hold(ENTER, 1.2)

    assert after_all_keys(hat, given)[2:] == [("label/undo", b"")]


def test_a_long_press_of_less_than_a_second_is_a_press(
    hat: Hat, given: Given, output: Output
) -> None:
    hat.hold(ENTER, 0.9)

    assert after_all_keys(hat, given) == [("label/set", b"")]


def test_left_held_goes_one_step_and_undoes_nothing(hat: Hat, given: Given, output: Output) -> None:
    output.send(info("a", "b", "c"))
    hat.hold(LEFT, 2.0)

    assert after_all_keys(hat, given) == []
    assert json.loads(given.commands[0][1]) == {"activity": "c"}


def test_a_mainline_kernel_calls_the_keys_otherwise(hat: Hat, given: Given, output: Output) -> None:
    output.send(info("walking"))
    hat.press(BTN_DPAD_RIGHT)
    hat.press(BTN_SELECT)
    until(lambda: given.commands, "the press is heard")
    hat.hold(BTN_SELECT, 1.2)
    until(lambda: len(given.commands) == 2, "the hold is heard")

    assert json.loads(given.commands[0][1]) == {"activity": "walking"}
    assert given.commands[1] == ("label/undo", b"")


def test_the_matrix_shows_what_is_heard_and_is_dark_at_the_end(
    hat: Hat, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLASH_S", 1.0)  # long enough for a busy machine to see it
    hat.plug_in_leds()
    output = Output(Settings(), None, sys_root=hat.sys_root, dev_root=hat.dev_root)
    output.start(given)
    until(lambda: hat.leds.read_bytes() == DIM_QUESTION, "it shows that it is unsure")
    output.send(window("walking", 0.95))
    until(lambda: hat.leds.read_bytes() == white("walking", LEVELS[-1]), "it shows walking")
    output.send(REFUSED)
    until(lambda: hat.leds.read_bytes() == ALL_RED, "it shows red")
    until(lambda: hat.leds.read_bytes() == white("walking", LEVELS[-1]), "it shows walking again")
    output.close()

    assert hat.leds.read_bytes() == DARK


class Painting:
    """In place of the matrix and of the clock that spaces the frames: who did what, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[bytes | float] = []
        self.may_show = threading.Event()
        self.may_show.set()
        monkeypatch.setattr(module, "LedMatrix", lambda *_: self)

    @property
    def frames(self) -> list[bytes]:
        return [done for done in self.done if isinstance(done, bytes)]

    def show(self, frame: bytes) -> None:
        self.done.append(frame)
        self.may_show.wait()

    def close(self) -> None:
        pass

    def watch_the_pauses(self, output: Output) -> None:
        event = threading.Event()
        painting = self

        class Closed:
            is_set = staticmethod(event.is_set)
            set = staticmethod(event.set)

            @staticmethod
            def wait(timeout_s: float) -> None:
                painting.done.append(timeout_s)

        output._closed = Closed()  # type: ignore[assignment]


@pytest.fixture(name="painting")
def _painting(monkeypatch: pytest.MonkeyPatch) -> Painting:
    return Painting(monkeypatch)


def test_a_picture_that_stays_the_same_is_written_once(
    hat: Hat, painting: Painting, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(Settings(), None, sys_root=hat.sys_root, dev_root=hat.dev_root)
    painting.watch_the_pauses(output)
    pictured: list[float] = []
    picture = output._scene.picture

    def counted(now_s: float) -> tuple[bytes, float]:
        pictured.append(now_s)
        return picture(now_s)

    monkeypatch.setattr(output._scene, "picture", counted)
    output.start(Given())
    for k in range(50):
        output.send(window(UNSURE, k / 50))
        until(lambda: not output._changed.is_set(), "it has heard that")
    output.close()

    assert len(pictured) > 25
    assert painting.frames == [DIM_QUESTION, DARK]


def test_after_every_frame_it_leaves_the_bus_alone_for_a_fifth_of_a_second(
    hat: Hat, painting: Painting
) -> None:
    output = Output(Settings(), None, sys_root=hat.sys_root, dev_root=hat.dev_root)
    painting.watch_the_pauses(output)
    output.start(Given())
    for k, activity in enumerate(("walking", "running", "cycling"), start=2):
        output.send(window(activity, 0.95))
        until(lambda count=k: len(painting.frames) >= count, "it shows that")  # type: ignore[misc]
    output.close()

    assert [isinstance(done, bytes) for done in painting.done] == [True, False] * 4 + [True]
    assert set(painting.done) - set(painting.frames) == {0.2}


def test_what_came_during_a_frame_is_left_out_but_the_newest(hat: Hat, painting: Painting) -> None:
    painting.may_show.clear()
    output = Output(Settings(), None, sys_root=hat.sys_root, dev_root=hat.dev_root)
    painting.watch_the_pauses(output)
    output.start(Given())
    until(lambda: painting.frames, "the first is being shown")
    for activity in ("walking", "running", "cycling"):
        output.send(window(activity, 0.95))
    painting.may_show.set()
    until(lambda: len(painting.frames) > 1, "the next is shown")
    output.close()

    assert painting.frames == [DIM_QUESTION, white("cycling", LEVELS[-1]), DARK]


def test_a_matrix_that_hangs_holds_up_neither_messages_nor_the_stick(
    hat: Hat, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.01)
    hat.plug_in_leds()
    hat.leds.unlink()
    os.mkfifo(hat.leds)  # opening it for writing waits for a reader, and there is none
    hat.plug_in_stick()
    output = Output(Settings(), None, sys_root=hat.sys_root, dev_root=hat.dev_root)
    output.start(given)
    for _ in range(1000):
        output.send(info("walking"))
    hat.press(RIGHT)
    hat.press(ENTER)
    until(lambda: given.commands, "the press is heard")
    output.close()
    hung = output._painter.is_alive()
    reader = os.open(hat.leds, os.O_RDONLY | os.O_NONBLOCK)
    output._painter.join()
    os.close(reader)

    assert hung
    assert json.loads(given.commands[0][1]) == {"activity": "walking"}


def test_without_a_hat_each_part_is_one_warning_and_is_waited_for(
    hat: Hat, given: Given, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    monkeypatch.setattr("deploy.evdev.RETRY_S", 0.01)
    output = Output(Settings(), None, sys_root=hat.sys_root, dev_root=hat.dev_root)
    tries: list[bytes] = []
    show = output._matrix.show

    def counted(frame: bytes) -> None:
        tries.append(frame)
        show(frame)

    monkeypatch.setattr(output._matrix, "show", counted)
    output.start(given)
    output.send(info("walking"))
    until(lambda: caplog.text.count("waiting for it") >= 2, "both are missed")
    until(lambda: len(tries) > 5, "it has tried again")
    hat.plug_in_leds()
    hat.plug_in_stick()
    until(lambda: hat.leds.read_bytes() == DIM_QUESTION, "the matrix is found")
    hat.press(RIGHT)
    hat.press(ENTER)
    until(lambda: given.commands, "the stick is found")
    output.close()
    warnings = sorted(r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)

    assert len(warnings) == 2
    assert warnings[0].startswith("Raspberry Pi Sense HAT Joystick: no device under")
    assert warnings[1].startswith("no LED matrix: no framebuffer under")


# On the real line


class Ear:
    """Another output: what a phone would hear, and say."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.command: Command | None = None

    def start(self, command: Command) -> None:
        self.command = command

    def send(self, message: Message) -> None:
        self.said.append(message)

    def close(self) -> None:
        pass

    def last(self, kind: type[Message]) -> Any:
        return next((m for m in reversed(self.said) if isinstance(m, kind)), None)


def test_the_stick_teaches_stops_and_takes_back_on_the_real_line(
    tmp_path: Path, hat: Hat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLASH_S", 3600.0)  # until the next, so that each is seen
    monkeypatch.setattr(module, "CHOICE_S", 3600.0)  # so that only the press ends it
    hat.plug_in_leds()
    hat.plug_in_stick()
    # 25 times as fast as it was: a window every 50 ms. It begins with a minute of rest.
    source = Source(read(ROOT / "data_samples" / "mixed_day.csv.gz"), MonotonicClock(), speed=25.0)
    settings = Settings(device="test", state_dir=str(tmp_path / "state"), outputs=())
    ear, stop = Ear(), threading.Event()
    output = Output(settings, source.truth, sys_root=hat.sys_root, dev_root=hat.dev_root)
    line = threading.Thread(
        target=serve, args=(settings, source, [ear, output]), kwargs={"stop": stop, "stay": True}
    )
    line.start()
    try:
        until(lambda: len([m for m in ear.said if isinstance(m, Window)]) > 8, "windows come")
        assert ear.command is not None
        ear.command("label/set", b'{"activity":"resting","last_s":8}')  # a stick has no letters
        until(lambda: ear.last(Info).activities.get("resting", 0) >= 3, "it is known")
        before = ear.last(Info)
        hat.press(RIGHT)
        until(lambda: hat.leds.read_bytes() == blue("resting", "#......."), "the choice is seen")
        hat.press(ENTER)
        until(lambda: ear.last(Label).windows >= 4, "it is being taught")
        until(
            lambda: (
                hat.leds.read_bytes() in {yellow("resting", f"{'#' * n:-<8}") for n in range(9)}
            ),
            "teaching is seen",
        )
        hat.press(ENTER)
        until(lambda: ear.last(Label).label == NOT_LABELLING, "it is stopped")
        taught = ear.last(Info)
        hat.hold(ENTER, 1.2)
        until(lambda: ear.last(Response).data.get("action") == "undone", "it is taken back")
        until(lambda: hat.leds.read_bytes() == ALL_BLUE, "the undo is seen")
        until(lambda: ear.last(Info).model == before.model, "the model is as before")
        hat.press(LEFT)
        hat.press(ENTER)
        until(lambda: ear.last(Response).status == "error", "a stop of nothing is refused")
        until(lambda: hat.leds.read_bytes() == ALL_RED, "the refusal is seen")
    finally:
        stop.set()
        line.join(20)

    assert not line.is_alive()
    assert taught.activities["resting"] >= before.activities["resting"] + 4
    assert hat.leds.read_bytes() == DARK
