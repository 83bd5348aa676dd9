"""What a hand does on the page, and what somebody with MQTT does behind it."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from phone import Phone
from playwright.sync_api import Locator, Page


class Open(Protocol):
    def __call__(self, **given: Any) -> AbstractContextManager[Page]: ...


def stop_teaching(mqtt: Phone) -> None:
    if mqtt.of("label")[-1]["label"] != "not labelling":
        mqtt.ask({"end_age_ms": 0})


def forget_all(mqtt: Phone) -> None:
    stop_teaching(mqtt)
    for activity in mqtt.of("info")[-1]["activities"]:
        forget(mqtt, activity)


def forget(mqtt: Phone, activity: str) -> None:
    heard = len(mqtt.messages)
    mqtt.press({"activity": activity}, "request/forget")
    answer = mqtt.wait_for("response/forget", after=heard)
    assert answer["status"] == "ok", answer


def button(page: Page, name: str) -> Locator:
    """The big one."""
    return page.locator("#buttons button").filter(has=page.get_by_text(name, exact=True))


def drag(page: Page, ago_from_s: float, ago_to_s: float) -> None:
    box = page.locator("#ribbon").bounding_box()
    assert box
    across = [box["x"] + box["width"] * (1 - ago / 600) for ago in (ago_from_s, ago_to_s)]
    middle = box["y"] + 20
    page.mouse.move(across[0], middle)
    page.mouse.down()
    page.mouse.move(sum(across) / 2, middle)
    page.mouse.move(across[1], middle)
    page.mouse.up()
