"""An I2C adapter that Linux knows, made of bytes: i2c-tiny-usb, in a USB port of QEMU's.

guest:  i2c-dev -> i2c-tiny-usb -> xhci-hcd -> QEMU's usb-redir -> TCP -> here -> an EmulatedBus

Written from the kernel's drivers/i2c/busses/i2c-tiny-usb.c (its requests) and usbredir's protocol
description, version 0.7 (its packets). The driver makes two requests of a combined transfer, the
register written and then the bytes read; they are put together again here.
"""

import contextlib
import socket
import struct
import threading
from typing import NamedTuple, Self

from firmware_bridge.bus import Bus

FIRST_HEADER = struct.Struct("<3I")  # kind, length, id: of HELLO
HEADER = struct.Struct("<2IQ")  # of all others
HELLO, CONNECT, DISCONNECT, INTERFACES, ENDPOINTS = 0, 1, 2, 4, 5
SET_CONFIGURATION, CONFIGURATION_STATUS = 6, 8
CONTROL = 100
SETUP = struct.Struct("<4B3H")  # endpoint, request, type, status, value, index, length
SUCCESS, STALL = 0, 4  # of a transfer; stall: the device refuses

FULL_SPEED, VENDOR_CLASS, NONE = 1, 0xFF, 255
FTDI, TINY_USB = 0x0403, 0xC631
HERE = struct.pack("<4B2H", FULL_SPEED, VENDOR_CLASS, 0, 0, FTDI, TINY_USB)
ONE_INTERFACE = struct.pack("<I32B32B64x", 1, *[0] * 32, VENDOR_CLASS, *[0] * 31)
# What QEMU's xHCI asks for: the packet sizes of endpoints, ids of 64 bits.
CAPABILITIES = struct.pack("<I", 1 << 4 | 1 << 5 | 1 << 6)
# Endpoint 0 in both directions, and no other: what all devices have.
CONTROL_ALONE = bytes([0, *[NONE] * 15] * 2) + bytes(64) + struct.pack("<H30xH30x", 64, 64)

VENDOR, IN = 0x40, 0x80
GET_FUNC, GET_STATUS, DO_IO = 1, 3, 4  # i2c-tiny-usb's; DO_IO + 1: begin, + 2: end
ADDRESS_ACK, ADDRESS_NAK = 1, 2
I2C, SMBUS_EMULATED = 0x00000001, 0x0EFF0008  # what the Pi's own bus can do, too

DEVICE = struct.pack("<2BH4B3H4B", 18, 1, 0x110, 0xFF, 0, 0, 64, FTDI, TINY_USB, 0x205, 0, 0, 0, 1)
CONFIGURATION = bytes([9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 0xFF, 0, 0, 0])
DESCRIPTORS = {1: DEVICE, 2: CONFIGURATION}


class Request(NamedTuple):
    """One control transfer."""

    endpoint: int
    request: int
    kind: int
    status: int
    value: int
    address: int
    length: int


class Adapter:
    """One bus behind one adapter; it is plugged into one guest after the other."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._status = 0
        self._register: tuple[int, int] | None = None  # address, register: written and not ended
        self._plugged = True
        self._guest: socket.socket | None = None
        self._lock = threading.Lock()  # one packet at a time
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def unplug(self) -> None:
        """Pull it out of the guest."""
        with self._lock:
            self._plugged = False
            if self._guest is not None:
                _send(self._guest, DISCONNECT)

    def plug(self) -> None:
        """Put it back."""
        with self._lock:
            self._plugged = True
            if self._guest is not None:
                _appear(self._guest)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                guest, _ = self._listener.accept()
            except OSError:
                return
            with guest, contextlib.suppress(ConnectionError):
                guest.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._talk(guest)
            self._guest = None

    def _talk(self, guest: socket.socket) -> None:
        with self._lock:
            self._guest = guest
            hello = b"an emulated hat".ljust(64, b"\0") + CAPABILITIES
            guest.sendall(FIRST_HEADER.pack(HELLO, len(hello), 0) + hello)
            _, length, _ = FIRST_HEADER.unpack(_exactly(guest, FIRST_HEADER.size))
            _exactly(guest, length)  # the guest's own hello
            if self._plugged:
                _appear(guest)
        while True:
            kind, length, number = HEADER.unpack(_exactly(guest, HEADER.size))
            content = _exactly(guest, length)
            if kind == CONTROL:
                request = Request._make(SETUP.unpack_from(content))
                status, answer = self._answer(request, content[SETUP.size :])
                done = len(answer) if request.kind & IN else request.length
                content = SETUP.pack(*request._replace(status=status, length=done)) + answer
                with self._lock:
                    _send(guest, CONTROL, content, number)
            elif kind == SET_CONFIGURATION:
                with self._lock:
                    _send(guest, CONFIGURATION_STATUS, bytes([SUCCESS, content[0]]), number)

    def _answer(self, request: Request, data: bytes) -> tuple[int, bytes]:
        if request.kind & 0x60 == VENDOR:
            return SUCCESS, self._vendor(request, data)[: request.length]
        match request.request:
            case 6:  # GET_DESCRIPTOR
                descriptor = DESCRIPTORS.get(request.value >> 8)
                return (
                    (STALL, b"") if descriptor is None else (SUCCESS, descriptor[: request.length])
                )
            case 0:  # GET_STATUS
                return SUCCESS, bytes(2)
        return SUCCESS, b""

    def _vendor(self, request: Request, data: bytes) -> bytes:
        match request.request:
            case 1:  # GET_FUNC
                return struct.pack("<I", I2C | SMBUS_EMULATED)
            case 3:  # GET_STATUS
                return bytes([self._status])
            case number if number & ~3 == DO_IO:
                return self._transfer(request, data)
        return b""

    def _transfer(self, request: Request, data: bytes) -> bytes:
        """Do one message of a transfer; the kernel asks for its status afterwards."""
        address, last = request.address, bool(request.request & 2)
        self._status = ADDRESS_ACK
        try:
            if request.kind & IN:
                register = self._register
                self._register = None
                if register is None or register[0] != address:  # a read without a register before
                    return self._bus.read(address, 0, request.length)
                return self._bus.read(address, register[1], request.length)
            if not last and len(data) == 1:
                self._register = address, data[0]
                return b""
            self._register = None
            self._bus.write(address, data)
        except OSError:  # nobody acknowledged, or the line hangs: this adapter knows but one fault
            self._status = ADDRESS_NAK
            return bytes(request.length) if request.kind & IN else b""
        return b""


def _send(guest: socket.socket, kind: int, content: bytes = b"", number: int = 0) -> None:
    guest.sendall(HEADER.pack(kind, len(content), number) + content)


def _appear(guest: socket.socket) -> None:
    """Let the guest see an adapter in its port."""
    _send(guest, INTERFACES, ONE_INTERFACE)
    _send(guest, ENDPOINTS, CONTROL_ALONE)
    _send(guest, CONNECT, HERE)


def _exactly(guest: socket.socket, length: int) -> bytes:
    """Read so many bytes. Raises ConnectionError when it ends before."""
    data = bytearray()
    while len(data) < length:
        part = guest.recv(length - len(data))
        if not part:
            raise ConnectionError("the guest has gone")
        data += part
    return bytes(data)
