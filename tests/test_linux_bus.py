"""The Pi's bus, as far as it can be told without a Pi."""

import errno

import pytest
import smbus2

from firmware_bridge.buses.linux import LinuxBus
from firmware_bridge.source import SourceError


class Wire:
    """Stands where smbus2's SMBus stands, and answers a read of 3 bytes with 3, 4, 5."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.transfers: list[list[tuple[int, bool, bytes]]] = []

    def i2c_rdwr(self, *messages: smbus2.i2c_msg) -> None:
        transfer = []
        for message in messages:
            is_read = bool(message.flags & 1)
            if is_read:
                for k in range(message.len):
                    message.buf[k] = bytes([message.len + k])
            transfer.append((message.addr, is_read, bytes(message)))
        self.transfers.append(transfer)

    def close(self) -> None: ...


def failing(number: int) -> None:
    raise OSError(number, "as the kernel says")


def test_a_read_is_one_combined_transfer_whose_read_comes_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = Wire(1)
    monkeypatch.setattr(smbus2, "SMBus", lambda _number: wire)

    answer = LinuxBus(1).read(0x6A, 0x28, 6)

    assert answer == bytes(range(6, 12))
    assert wire.transfers == [[(0x6A, False, b"\x28"), (0x6A, True, bytes(range(6, 12)))]]


def test_a_write_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(1)
    monkeypatch.setattr(smbus2, "SMBus", lambda _number: wire)

    LinuxBus(1).write(0x6A, b"\x2e\xc0")

    assert wire.transfers == [[(0x6A, False, b"\x2e\xc0")]]


def test_an_adapter_that_was_unplugged_is_let_go_and_opened_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wires: list[Wire] = []

    def opened(number: int) -> Wire:
        wires.append(Wire(number))
        return wires[-1]

    monkeypatch.setattr(smbus2, "SMBus", opened)
    bus = LinuxBus(99)  # no machine has so many: its node is not there, as of one unplugged
    monkeypatch.setattr(wires[0], "i2c_rdwr", lambda *_: failing(errno.EIO))
    with pytest.raises(OSError, match="as the kernel says"):
        bus.read(0x6A, 0x28, 6)

    assert bus.read(0x6A, 0x28, 6) == bytes(range(6, 12))
    assert len(wires) == 2


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOENT, "sudo raspi-config nonint do_i2c 0"),
        (errno.EACCES, r"sudo usermod -aG i2c \$USER"),
        (errno.EIO, r"could not be opened \(as the kernel says\)"),
    ],
)
def test_a_bus_that_does_not_open_says_what_to_do(
    number: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smbus2, "SMBus", lambda _bus: failing(number))

    with pytest.raises(SourceError, match=advice):
        LinuxBus(1)
