"""The adapter, asked as the kernel's driver asks; with the kernel itself: test_emulated_pi.py."""

import socket
import struct
from collections.abc import Iterator

import pytest
from tiny_usb import Adapter

from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.chips.lsm9ds1 import Driver
from firmware_bridge.clock import MonotonicClock
from firmware_bridge.emulated_chips.lsm9ds1 import Twin
from firmware_bridge.wearer import Wearer, demo_plan

ADDRESS, WHO_AM_I = 0x6A, 0x0F
ENXIO = "ENXIO"
WRITE, READ = 0x41, 0xC1  # vendor requests to an interface


class Kernel:
    """The other end: a bus as our own driver wants it, by the driver's control transfers."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._number = 0
        hello = b"a guest".ljust(64, b"\0") + struct.pack("<I", 0xFF)
        self._connection.sendall(struct.pack("<3I", 0, len(hello), 0) + hello)
        kind, length, _ = struct.unpack("<3I", self._read(12))
        assert (kind, length) == (0, 68)
        (abilities,) = struct.unpack_from("<64xI", self._read(length))
        assert abilities & 0x70 == 0x70, "QEMU wants them"
        self.appeared()

    def appeared(self) -> None:
        """Wait for the adapter to say what it is and that it is there."""
        assert [kind for kind, _, _ in (self.packet() for _ in range(3))] == [4, 5, 1]

    def packet(self) -> tuple[int, int, bytes]:
        """The next one: kind, number, content."""
        kind, length, number = struct.unpack("<2IQ", self._read(16))
        return kind, number, self._read(length)

    def control(
        self, kind: int, request: int, index: int, data: bytes | int, value: int = 0
    ) -> bytes:
        """One control transfer: `data` to send, or how many bytes to read."""
        self._number += 1
        reading = isinstance(data, int)
        length = data if isinstance(data, int) else len(data)
        content = struct.pack(
            "<4B3H", 0x80 if reading else 0, request, kind, 0, value, index, length
        ) + (b"" if isinstance(data, int) else data)
        self._connection.sendall(struct.pack("<2IQ", 100, len(content), self._number) + content)
        packet, number, answer = self.packet()
        *_, status, _, _, done = struct.unpack_from("<4B3H", answer)
        assert (packet, number, status) == (100, self._number, 0)
        assert done == (len(answer) - 10 if reading else length)
        return answer[10:]

    def _read(self, length: int) -> bytes:
        return self._connection.recv(length, socket.MSG_WAITALL) if length else b""

    def acknowledged(self) -> bool:
        return self.control(READ, 3, 0, 1) == b"\x01"

    def write(self, address: int, data: bytes) -> None:
        self.control(WRITE, 4 + 1 + 2, address, data)
        if not self.acknowledged():
            raise OSError(ENXIO)

    def read(self, address: int, register: int, length: int) -> bytes:
        self.control(WRITE, 4 + 1, address, bytes([register]))
        if not self.acknowledged():
            raise OSError(ENXIO)
        answer = self.control(READ, 4 + 2, address, length)
        if not self.acknowledged():
            raise OSError(ENXIO)
        return answer

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(name="bus")
def _bus() -> EmulatedBus:
    clock = MonotonicClock()
    wearer = Wearer(demo_plan(), start_s=clock.now_s())
    return EmulatedBus({ADDRESS: Twin(wearer.motion, clock)})


@pytest.fixture(name="adapter")
def _adapter(bus: EmulatedBus) -> Iterator[Adapter]:
    with Adapter(bus) as adapter:
        yield adapter


@pytest.fixture(name="kernel")
def _kernel(adapter: Adapter) -> Iterator[Kernel]:
    kernel = Kernel(adapter.port)
    yield kernel
    kernel.close()


def test_a_register_is_read_through_it(kernel: Kernel) -> None:
    assert kernel.read(ADDRESS, WHO_AM_I, 1) == b"\x68"


def test_an_absent_chip_acknowledges_nothing(kernel: Kernel) -> None:
    with pytest.raises(OSError, match=ENXIO):
        kernel.read(0x33, WHO_AM_I, 1)
    with pytest.raises(OSError, match=ENXIO):
        kernel.write(0x33, b"\x10\x00")

    assert kernel.read(ADDRESS, WHO_AM_I, 1) == b"\x68"


def test_our_driver_measures_through_it(kernel: Kernel) -> None:
    chip = Driver(kernel, ADDRESS)
    chip.start()
    while (pending := chip.pending()).frames < 5:
        assert not pending.overrun
    frames = chip.read(5)
    chip.stop()

    accel_m_s2 = frames[:, :3] * chip.scale[:3]
    assert 5 < float((accel_m_s2**2).sum(axis=1).mean()) ** 0.5 < 20


def test_it_says_that_it_is_an_i2c_tiny_usb(kernel: Kernel) -> None:
    device = kernel.control(0x80, 6, 0, 18, value=1 << 8)  # GET_DESCRIPTOR of the device

    assert struct.unpack_from("<HH", device, 8) == (0x0403, 0xC631)


def test_pulled_out_it_says_so_and_put_back_it_is_there_again(
    kernel: Kernel, adapter: Adapter
) -> None:
    adapter.unplug()
    kind, *_ = kernel.packet()
    adapter.plug()
    kernel.appeared()

    assert kind == 2
    assert kernel.read(ADDRESS, WHO_AM_I, 1) == b"\x68"


def test_one_guest_after_the_other_finds_it(adapter: Adapter) -> None:
    for _ in range(3):
        kernel = Kernel(adapter.port)
        assert kernel.read(ADDRESS, WHO_AM_I, 1) == b"\x68"
        kernel.close()
