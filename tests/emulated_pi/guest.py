"""A Pi that is not there: Debian arm64 under QEMU, without KVM, an emulated hat on its I2C bus."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mosquitto import free_port
from tiny_usb import Adapter

SUITE = os.environ.get("BUDGE_DEBIAN", "bookworm")
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    / "budge-tests/emulated-pi"
    / SUITE
)
BOOT_S = 300.0  # 25 s on a quiet machine
QEMU = "qemu-system-aarch64"


class GuestError(AssertionError):
    """Something in the guest went wrong; the sentence ends with what it said last."""


class Guest:
    """One life of the machine: from power on to power off, or to the moment it is cut."""

    _ids = itertools.count(1)

    def __init__(
        self,
        disk: Path,
        buses: tuple[Adapter, Adapter],
        *,
        memory_mb: int = 512,
        clock: str = "utc",
        cargo: Path | None = None,
    ) -> None:
        """`clock` is where its hardware clock stands, as QEMU's -rtc base= takes it.

        `cargo` is a file that the guest finds as /dev/vdb.
        """
        self.mqtt_port = free_port()
        self._folder = disk.parent
        self._console = self._folder / "console.log"
        self._log = (self._folder / "qemu.log").open("ab")
        self._agent_path = self._folder / "agent"
        self._agent: socket.socket | None = None
        self._agent_said = b""
        cargo_disk = (
            []
            if cargo is None
            else [
                *("-drive", f"if=none,id=cargo,file={cargo},format=raw,readonly=on"),
                *("-device", "virtio-blk-pci,drive=cargo"),
            ]
        )
        self._process = subprocess.Popen(
            [
                *(QEMU, "-M", "virt,gic-version=2", "-cpu", "cortex-a53", "-smp", "2"),
                *("-m", str(memory_mb), "-accel", "tcg,thread=multi,tb-size=256"),
                *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
                *("-rtc", f"base={clock}"),
                *("-kernel", CACHE / "kernel", "-initrd", CACHE / "initrd"),
                *("-append", "root=/dev/vda rw console=ttyAMA0 quiet panic=-1 net.ifnames=0"),
                *("-serial", f"file:{self._console}"),
                *("-drive", f"if=none,id=disk,file={disk},format=raw,cache=writeback"),
                *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"),
                *cargo_disk,
                *("-device", "virtio-serial-pci"),
                *("-chardev", f"socket,id=agent,path={self._agent_path},server=on,wait=off"),
                *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
                *("-device", "qemu-xhci,id=usb"),
                *itertools.chain.from_iterable(
                    (
                        *("-chardev", f"socket,id=hat{number},host=127.0.0.1,port={bus.port}"),
                        *("-device", f"usb-redir,chardev=hat{number},bus=usb.0,port={number + 1}"),
                    )
                    for number, bus in enumerate(buses)
                ),
                "-netdev",  # no way out, and only one in: to the broker
                f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.mqtt_port}-:1883",
                *("-device", "virtio-net-pci,netdev=net,romfile="),
            ],
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut_power()

    def wait_for_boot(self) -> None:
        """Wait until it obeys."""
        give_up_s = time.monotonic() + BOOT_S
        while time.monotonic() < give_up_s:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if self._agent is None:
                    self._agent = _connected(self._agent_path)
                self._ask("guest-sync", {"id": next(self._ids)}, patience_s=3.0)
                return
            time.sleep(0.5)
        raise GuestError(f"it did not start: {self._last_words()}")

    def run(
        self, command: str, *, typed: str = "", patience_s: float = 120.0, fails: bool = False
    ) -> str:
        """Run a shell command in the guest as root; returns all that it printed.

        `typed` is what it reads: the guest's log has the command, and not that. `fails`: it may.
        Raises GuestError.
        """
        give_up_s = time.monotonic() + patience_s
        started = self._ask(
            "guest-exec",
            {
                "path": "/bin/bash",
                "arg": ["-c", f"exec 2>&1; {command}"],
                "input-data": base64.b64encode(typed.encode()).decode(),
                "capture-output": True,
            },
        )
        while True:
            status = self._ask("guest-exec-status", {"pid": started["pid"]})
            if status["exited"]:
                break
            if time.monotonic() > give_up_s:
                raise GuestError(f"{command!r} took more than {patience_s:g} s")
            time.sleep(0.2)
        said = base64.b64decode(status.get("out-data", "")).decode(errors="replace")
        if not fails and status.get("exitcode") != 0:
            raise GuestError(f"{command!r} ended with {status.get('exitcode')}: {said}")
        return said

    def cut_power(self) -> None:
        """End it as a pulled plug does: what its kernel had not written yet is gone."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(20)
        if self._agent is not None:
            self._agent.close()
            self._agent = None
        self._log.close()

    def power_off(self) -> None:
        """Shut it down in order."""
        with contextlib.suppress(TimeoutError, OSError):
            self._ask("guest-shutdown", {"mode": "powerdown"}, patience_s=2.0)
        try:
            self._process.wait(180)
        except subprocess.TimeoutExpired as error:
            raise GuestError(f"it does not shut down: {self._last_words()}") from error

    def _ask(self, what: str, arguments: dict[str, Any], *, patience_s: float = 60.0) -> Any:
        assert self._agent is not None
        self._agent.settimeout(patience_s)
        self._agent.sendall(json.dumps({"execute": what, "arguments": arguments}).encode() + b"\n")
        while True:
            while b"\n" not in self._agent_said:
                part = self._agent.recv(65536)
                if not part:
                    raise GuestError(f"its power is off: {self._last_words()}")
                self._agent_said += part
            line, _, self._agent_said = self._agent_said.partition(b"\n")
            answer = json.loads(line.lstrip(b"\xff"))
            if "error" in answer:
                raise GuestError(f"{what}: {answer['error']['desc']}")
            # A life's first answers may be to questions asked before it listened.
            if what != "guest-sync" or answer["return"] == arguments["id"]:
                return answer["return"]

    def _last_words(self) -> str:
        said = self._console.read_text(errors="replace") if self._console.exists() else ""
        return (said + (self._folder / "qemu.log").read_text())[-1500:]


def _connected(path: Path) -> socket.socket:
    """Connect to a socket in the file system. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def missing() -> str | None:
    """Say what this machine lacks for a guest, or None."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is missing: sudo apt-get install qemu-system-arm"
    return None
