"""What the tests of the page share: one browser, one broker, one worn budge, and a phone's hands.

A plugin for `pytest_plugins`. Of a module, not of the session: the browser's driver keeps an event
loop running in this thread, which other tests need for their own.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from browser import chromium, tab
from mosquitto import Mosquitto
from page_hands import Open, stop_teaching
from phone import Phone
from playwright.sync_api import Browser, expect
from worn import DEVICE, Worn

expect.set_options(timeout=10_000)  # the machine may be busy

ENOUGH = 4  # windows taught of an activity


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[Mosquitto]:
    with Mosquitto(folder) as running:
        yield running


@pytest.fixture(scope="module")
def worn(folder: Path, broker: Mosquitto) -> Iterator[Worn]:
    with Worn(folder, broker.port) as running:
        yield running


@pytest.fixture(scope="module")
def mqtt(broker: Mosquitto, worn: Worn) -> Iterator[Phone]:
    """Somebody who hears what the page brought about."""
    with Phone(broker.port, DEVICE) as listening:
        listening.wait_for("label")
        yield listening


@pytest.fixture
def opened(browser: Browser, worn: Worn) -> Iterator[Open]:
    yield partial(tab, browser)
    worn.cable.mend()


@pytest.fixture
def knowing(worn: Worn, mqtt: Phone) -> None:
    """Let it know walking and resting, whatever a test before has made of that."""
    stop_teaching(mqtt)
    for activity in ("walking", "resting"):
        for _ in range(5):  # on a machine that is too busy, the sensor has gaps
            if mqtt.of("info")[-1]["activities"].get(activity, 0) >= ENOUGH:
                break
            worn.do(activity)
            time.sleep(5)
            mqtt.ask({"activity": activity, "last_s": 4.7})
        else:
            pytest.fail(f"{activity} cannot be taught: is this machine too busy?")
