"""What a hand does on the page, and what somebody with MQTT does behind it."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from phone import Phone, seconds
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
    answer = mqtt.ask({"activity": activity}, "request/forget")
    assert answer["status"] == "ok", answer


def last_taught(mqtt: Phone, activity: str, since_s: float = 0.0) -> Any:
    """Wait until what was said last is this, on the page and of a time since then."""

    def it(told: Any) -> bool:
        said = told["stretches"][-1:]
        return (
            bool(said)
            and (said[0]["activity"], said[0]["origin"]) == (activity, "page")
            and (said[0]["end"] is not None and seconds(said[0]["end"]) > since_s - 0.1)
        )

    return mqtt.wait_for("taught", it)["stretches"][-1]


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
