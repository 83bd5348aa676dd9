"""Debian's chromium, driven by Playwright, and a phone's tab in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
# What a browser says by itself of an address that does not answer, or answers "no".
NOT_OURS = "Failed to load resource"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser. Skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs a browser: sudo apt-get install chromium")
    # Root has no sandbox to give; the only pages it sees are ours.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS + sandbox)
        yield browser
        browser.close()


@contextmanager
def tab(browser: Browser, **given: Any) -> Iterator[Page]:
    """Open a tab as of a phone of its own; what its console complains of fails the test."""
    settings: dict[str, Any] = {
        "viewport": PHONE,
        "has_touch": True,
        "is_mobile": True,
        "locale": "en-GB",
        "timezone_id": "Europe/Berlin",
    }
    context = browser.new_context(**(settings | given))
    context.set_default_timeout(10_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type in {"error", "warning"} and not said.text.startswith(NOT_OURS)
            else None
        ),
    )
    yield page
    context.close()
    assert complaints == []
