"""Make the README's pictures of the page: `.venv/bin/python tests/screenshots.py`, ten minutes.

So long because the ribbon shows ten minutes, and nothing in the pictures is made up: an emulated
chip, a wearer who does what the plan says, and taps in a real browser.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import PHONE, chromium, tab
from mosquitto import Mosquitto
from page_hands import button
from playwright.sync_api import Browser, Page
from worn import Worn

FOLDER = Path(__file__).resolve().parent.parent / ".screenshots"
TAUGHT = ("resting", "walking", "stairs", "running", "cycling")
TEACH_S = 24
PLAN = (
    ("walking", 40),
    ("resting", 60),
    ("stairs", 25),
    ("walking", 50),
    ("cycling", 90),
    ("running", 40),
    ("walking", 35),
    ("stairs", 20),
    ("resting", 45),
    ("walking", 40),
)
PICTURES = {
    "phone-light": {"viewport": PHONE, "color_scheme": "light"},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark"},
    "phone-320": {"viewport": {"width": 320, "height": 640}, "color_scheme": "light"},
    "desktop": {"viewport": {"width": 1200, "height": 760}, "color_scheme": "light"},
}


def teach(page: Page, worn: Worn) -> None:
    for activity in TAUGHT:
        worn.do(activity)
        if button(page, activity).count():
            button(page, activity).click()
        else:
            page.get_by_role("button", name="new").click()
            page.get_by_label("What do you call it?").fill(activity)
            page.get_by_role("button", name="Start").click()
        time.sleep(TEACH_S)
        button(page, activity).click()


def picture(browser: Browser, link: str, name: str) -> None:
    with tab(browser, device_scale_factor=2, **PICTURES[name]) as page:
        page.goto(link)
        time.sleep(8)  # until the trace is full
        page.screenshot(path=FOLDER / f"{name}.png")
        print(FOLDER / f"{name}.png")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as place,
        Mosquitto(Path(place)) as broker,
        Worn(Path(place), broker.port, "pi") as worn,
        chromium() as browser,
    ):
        with tab(browser) as page:
            page.goto(worn.pair())
            teach(page, worn)
            for activity, seconds in PLAN:
                worn.do(activity)
                time.sleep(seconds)
            button(page, "walking").click()
            time.sleep(15)
        for name in PICTURES:
            picture(browser, worn.pair(), name)


if __name__ == "__main__":
    main()
