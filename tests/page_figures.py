"""Measure how soon the page shows a tap and a motion: `.venv/bin/python tests/page_figures.py`."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from browser import chromium, tab
from mosquitto import Mosquitto
from page_hands import button
from playwright.sync_api import Page
from worn import Worn

TAPS = 60
WATCHED_S = 60
# Calls back when what was changed just now has been painted: a message posted in a frame's callback
# is read after that frame.
PAINTED = """const painted = (call) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = call;
    channel.port2.postMessage(null);
});"""


def told(what: str, milliseconds: list[float]) -> None:
    half, most, worst = np.percentile(milliseconds, [50, 95, 100])
    print(
        f"{what}: p50 {half:.0f} ms, p95 {most:.0f} ms, worst {worst:.0f} ms, n={len(milliseconds)}"
    )


def taps(page: Page) -> list[float]:
    """From the finger on the glass to the painted button."""
    page.evaluate(
        f"""() => {{
            {PAINTED}
            window.took = [];
            let at = 0;
            addEventListener("pointerdown", ({{timeStamp}}) => (at = timeStamp), true);
            new MutationObserver(() => {{
                const began = at;
                at = 0;
                if (began) painted(() => window.took.push(performance.now() - began));
            }}).observe(document.getElementById("buttons"),
                {{subtree: true, attributeFilter: ["aria-pressed"]}});
        }}"""
    )
    for tap in range(TAPS):
        button(page, ("walking", "sitting")[tap % 2]).tap()
        time.sleep(0.3)
    return list(page.evaluate("window.took"))


def windows(page: Page) -> list[float]:
    """From the end of a window to its place on the painted page; both on this machine's clock."""
    page.evaluate(
        f"""async () => {{
            {PAINTED}
            const {{said, whenever}} = await import("/files/state.js");
            window.took = [];
            whenever("window", () => {{
                const end = Date.parse(said.window.ts);
                painted(() => window.took.push(Date.now() - end));
            }});
        }}"""
    )
    time.sleep(WATCHED_S)
    return list(page.evaluate("window.took"))


def main() -> None:
    with (
        TemporaryDirectory() as place,
        Mosquitto(Path(place)) as broker,
        Worn(Path(place), broker.port) as worn,
        chromium() as browser,
        tab(browser) as page,
    ):
        page.goto(worn.pair())
        told("tap to screen", taps(page))
        told("end of a window to screen", windows(page))


if __name__ == "__main__":
    main()
