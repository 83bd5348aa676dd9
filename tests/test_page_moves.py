"""The Pi gets another address: the page is there, and `budge pair` says so.

In a network namespace of its own, where all of the machine's addresses are the test's.
"""

import http.client
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from page import Served

from deploy.pairing import invite

BEFORE, AFTER = "198.18.0.2", "198.18.7.3"
MADE = "ip link set lo up && ip link add wlan0 type veth peer name router && ip link set wlan0 up"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def taught(served: Served, host: str, token: str) -> int:
    """Press a button of the page that was opened at an address; returns the status."""
    connection = http.client.HTTPConnection(host, served.port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}", "Origin": f"http://{host}:{served.port}"}
        connection.request("POST", "/api/label", b"walking", headers)
        return connection.getresponse().status
    finally:
        connection.close()


def move() -> None:
    with TemporaryDirectory() as folder, Served(Path(folder), host="0.0.0.0") as served:
        ip("addr", "add", f"{BEFORE}/24", "dev", "wlan0")
        token = served.pair()
        assert taught(served, BEFORE, token) == 200
        assert invite(served.settings).urls[1].startswith(f"http://{BEFORE}:{served.port}/#")

        ip("addr", "flush", "dev", "wlan0")
        ip("addr", "add", f"{AFTER}/24", "dev", "wlan0")
        assert taught(served, AFTER, token) == 200, "the same token, and no restart"
        _, *numbers = invite(served.settings).urls
        assert [url.partition("#")[0] for url in numbers] == [f"http://{AFTER}:{served.port}/"]


def test_the_page_is_at_the_new_address_and_the_next_code_names_it() -> None:
    there = ["unshare", "--map-root-user", "--net", "sh", "-c"]
    if subprocess.run([*there, MADE], capture_output=True, check=False).returncode:
        pytest.skip("not run: needs unshare, ip and the right to make a network namespace")
    command = f"{MADE} && exec {sys.executable} {__file__}"
    moved = subprocess.run([*there, command], capture_output=True, text=True, check=False)

    assert moved.returncode == 0, moved.stderr


if __name__ == "__main__":
    move()
