"""Measure what many phones cost, and how soon one shows a tap and a motion.

`.venv/bin/python tests/page_figures.py`
"""

import json
import os
import re
import selectors
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from browser import chromium, tab
from mosquitto import Mosquitto
from page import connected
from page_hands import button
from playwright.sync_api import Page
from worn import Worn

from deploy.tables import print_table

PHONES = (0, 1, 50)
TAPS = 60
WATCHED_S = 60
SETTLE_S = 5
WINDOW = re.compile(rb"event: window\ndata: (.*)\n\n")
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


def spent(pid: int) -> tuple[float, float]:
    """Return the seconds of processor time and the MB of memory of a process so far."""
    with Path(f"/proc/{pid}/stat").open() as file:
        user, kernel = file.read().rpartition(")")[2].split()[11:13]
    (pages,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return (int(user) + int(kernel)) / os.sysconf("SC_CLK_TCK"), int(pages) / 1000


def watched(worn: Worn, phones: int) -> list[str]:
    """Watch with so many phones; returns a row of the table. What is late is told by the first."""
    token = worn.pair().partition("#token=")[2]
    asked = f"GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    streams = [connected(worn.port) for _ in range(phones)]
    heard, late_ms, got = selectors.DefaultSelector(), list[float](), 0
    for stream in streams:
        stream.sendall(asked.encode())
        heard.register(stream, selectors.EVENT_READ)
    began_s, before_s, first = time.monotonic() + SETTLE_S, None, b""
    while (now_s := time.monotonic()) < began_s + WATCHED_S:
        if before_s is None and now_s >= began_s:
            before_s, _ = spent(worn.pid)
            got, late_ms = 0, []
        for key, _ in heard.select(0.05):
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            got += len(data)
            if key.fileobj is streams[0]:
                first += data
                for window in WINDOW.findall(first):
                    end_s = datetime.fromisoformat(json.loads(window)["ts"]).timestamp()
                    late_ms.append((time.time() - end_s) * 1000)
                first = first[first.rfind(b"\n\n") + 1 :]
    after_s, memory_mb = spent(worn.pid)
    for stream in streams:
        stream.close()
    assert before_s is not None
    half, most = np.percentile(late_ms, [50, 95]) if late_ms else (np.nan, np.nan)
    return [
        str(phones),
        f"{(after_s - before_s) / WATCHED_S:.1%}",
        f"{memory_mb:.1f}",
        f"{got / WATCHED_S / 1000 / phones:.2f}" if phones else "-",
        *(f"{late:.0f}" if phones else "-" for late in (half, most)),
    ]


def main() -> None:
    head = ["phones", "of one core", "MB", "kB/s each", "window p50 ms", "p95 ms"]
    with (
        TemporaryDirectory() as place,
        Mosquitto(Path(place)) as broker,
        Worn(Path(place), broker.port) as worn,
    ):
        print_table("phones that watch", head, [watched(worn, phones) for phones in PHONES])
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
