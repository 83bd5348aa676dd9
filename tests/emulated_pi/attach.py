#!/usr/bin/python3 -S
"""Runs in the guest: hands two connections to the kernel as USB devices, so that it has I2C buses.

What answers on them is `tiny_usb.py` on the host. The first becomes /dev/i2c-0, the second
/dev/i2c-1: the kernel numbers them as they come.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

HOST = "10.0.2.100"  # QEMU forwards it to the host's loopback
PORTS = (3240, 3241)
FULL_SPEED = 2  # the kernel's enum usb_device_speed
VHCI = Path("/sys/devices/platform/vhci_hcd.0")


def attach(number: int) -> None:
    """Plug in the adapter of bus `number`."""
    connection = socket.create_connection((HOST, PORTS[number]), timeout=30)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    device = 1 << 16 | number + 2
    (VHCI / "attach").write_text(f"{number} {connection.fileno()} {device} {FULL_SPEED}")


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    sys.exit(f"{path} did not come about")


def main() -> None:
    subprocess.run(["/sbin/modprobe", "-a", "vhci-hcd", "i2c-tiny-usb"], check=True)
    for number in range(len(PORTS)):
        attach(number)
        wait_for(Path(f"/sys/bus/i2c/devices/i2c-{number}"))


if sys.argv[1:2] == ["detach"]:
    (VHCI / "detach").write_text(sys.argv[2])
elif sys.argv[1:2] == ["attach"]:
    attach(int(sys.argv[2]))
else:
    os.umask(0o022)
    main()
