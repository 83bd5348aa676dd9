"""`budge activities`: what was taught is listed, renamed, merged and forgotten from a terminal."""

import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from budge import BUDGE, ROOT, Budge
from mosquitto import Mosquitto, free_port
from phone import Phone, seconds

from deploy.gestures import parse

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"


@pytest.fixture(name="taught")
def _taught(tmp_path: Path) -> Iterator[tuple[Mosquitto, Phone]]:
    """A budge that has seen the day and was taught three things of it."""
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "test") as phone:
        arguments = ("--speed", "max", "--stay", "--windows", "--state-dir", tmp_path / "state")
        with Budge(
            tmp_path, "replay", DAY, "--broker", broker.address, "--device", "test", *arguments
        ) as budge:
            phone.wait_for("window", lambda m: m["end_s"] > 595)
            for name, start_s, end_s in [
                ("resting", 2, 55),
                ("wlaking", 65, 100),
                ("walk", 100, 130),
            ]:
                ages = {"start_age_ms": (600 - start_s) * 1e3, "end_age_ms": (600 - end_s) * 1e3}
                assert phone.ask({"activity": name, **ages})["status"] == "ok"
            yield broker, phone
            assert budge.end() == 0


def budge(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUDGE, "activities", *arguments],
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def activities(
    taught: tuple[Mosquitto, Phone], *arguments: str, answer: str = ""
) -> subprocess.CompletedProcess[str]:
    return budge(*arguments, "--broker", taught[0].address, "--device", "test", answer=answer)


def told(taught: tuple[Mosquitto, Phone]) -> Any:
    """What the broker keeps: to the phone it may come later than an answer to the command."""
    with Phone(taught[0].port, "test") as newcomer:
        return newcomer.wait_for("info")


def info(taught: tuple[Mosquitto, Phone]) -> dict[str, int]:
    known: dict[str, int] = told(taught)["activities"]
    return known


def test_the_list_says_what_was_taught_and_how_often(taught: tuple[Mosquitto, Phone]) -> None:
    listed = activities(taught, "list")

    assert listed.returncode == 0
    lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    assert {name: int(windows) for windows, name in lines} == info(taught)
    assert set(info(taught)) == {"resting", "wlaking", "walk"}


def test_a_slip_of_the_thumb_is_renamed(taught: tuple[Mosquitto, Phone]) -> None:
    windows = info(taught)["wlaking"]
    done = activities(taught, "rename", "wlaking", "walking")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"renamed wlaking to walking: {windows} windows\n"
    assert info(taught)["walking"] == windows
    assert "wlaking" not in info(taught)


def test_two_become_one_only_where_that_was_meant(taught: tuple[Mosquitto, Phone]) -> None:
    before = info(taught)
    refused = activities(taught, "rename", "wlaking", "walk")
    unknown = activities(taught, "merge", "wlaking", "walking")
    assert info(taught) == before
    done = activities(taught, "merge", "wlaking", "walk")

    assert refused.returncode == unknown.returncode == 1
    assert refused.stderr.startswith("refused: 'walk' is known, too: to make the two one use merge")
    assert unknown.stderr.startswith("refused: nothing was taught as 'walking', only as: resting, ")
    assert done.stdout.startswith("merged wlaking to walk: ")
    # The two touch: what lies across the border between them is taught now, too.
    assert info(taught)["walk"] > before["walk"] + before["wlaking"]


def test_forgetting_asks_first(taught: tuple[Mosquitto, Phone]) -> None:
    before = info(taught)
    asked = activities(taught, "forget", "walk", answer="n\n")
    assert info(taught) == before
    done = activities(taught, "forget", "walk", "--yes")

    assert asked.returncode == 1
    assert "Forget 'walk', and its recordings? It cannot be taken back. [y/N]" in asked.stdout
    assert done.stdout == f"forgot 'walk': {before['walk']} windows\n"
    assert info(taught) == {name: n for name, n in before.items() if name != "walk"}


def test_a_day_is_forgotten_by_its_date(taught: tuple[Mosquitto, Phone]) -> None:
    _, phone = taught
    model, before = told(taught)["model"], info(taught)
    other = activities(taught, "forget", "--day", "2026-01-02", "--yes")
    assert told(taught)["model"] == model
    seen_s = {seconds(window["ts"]) for window in phone.of("window")}
    days = {f"{datetime.fromtimestamp(second).astimezone():%Y-%m-%d}" for second in seen_s}
    for day in days:  # two, around midnight
        done = activities(taught, "forget", "--day", day, "--yes")

    assert other.stdout == "forgot all of 2026-01-02: 0 windows\n"
    assert before
    assert done.returncode == 0
    assert info(taught) == {}


@pytest.mark.parametrize("arguments", [(), ("walking", "--day", "2026-11-24")])
def test_what_to_forget_is_said_in_one_way(arguments: tuple[str, ...]) -> None:
    refused = budge("forget", *arguments)

    assert refused.returncode == 2
    assert "say one of: ACTIVITY, --day" in refused.stderr


def test_what_is_not_known_is_refused_with_a_sentence(taught: tuple[Mosquitto, Phone]) -> None:
    refused = activities(taught, "forget", "running", "--yes")

    assert refused.returncode == 1
    assert refused.stderr.startswith("refused: nothing was taught as 'running', only as: ")


def test_without_a_broker_it_says_what_to_check() -> None:
    ended = budge("list", "--broker", f"127.0.0.1:{free_port()}")

    assert ended.returncode == 1
    assert "no broker at 127.0.0.1:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_requests_that_are_shown_are_understood() -> None:
    shown = re.findall(
        r"\| `(request/[a-z]+)` \| `(\{.*?\})` \|", (ROOT / "deploy" / "README.md").read_text()
    )

    assert {topic for topic, _ in shown} == {"request/rename", "request/forget"}
    for topic, payload in shown:
        parse(topic, payload.encode(), 1_795_600_000_000_000, int)  # 2026-11-25
