"""An I2C adapter that Linux knows, made of bytes: i2c-tiny-usb, spoken over USB/IP.

guest kernel: i2c-dev -> i2c-tiny-usb -> vhci-hcd -> TCP -> here -> an EmulatedBus

Written from the kernel's drivers/i2c/busses/i2c-tiny-usb.c (its requests) and
Documentation/usb/usbip_protocol.rst (its frames). The driver makes two requests of a combined
transfer, the register written and then the bytes read; they are put together again here.
"""

import contextlib
import socket
import struct
import threading
from typing import NamedTuple

from firmware_bridge.bus import Bus

SUBMIT, UNLINK, SUBMITTED, UNLINKED = 1, 2, 3, 4
HEADER = struct.Struct(">5I")  # command, sequence, device, direction, endpoint
SUBMISSION = struct.Struct(">IiiiI8s")  # flags, length, start frame, packets, interval, setup
SETUP = struct.Struct("<BBHHH")  # type, request, value, index, length
COMPLETION = struct.Struct(">5IiiiiI8x")
CONNECTION_RESET, STALL = -104, -32  # errno: no such thing now; EPIPE: the device refuses

VENDOR, IN = 0x40, 0x80
GET_FUNC, SET_DELAY, GET_STATUS, DO_IO = 1, 2, 3, 4  # i2c-tiny-usb's; DO_IO + 1: begin, + 2: end
ADDRESS_ACK, ADDRESS_NAK = 1, 2
I2C, SMBUS_EMULATED = 0x00000001, 0x0EFF0008  # what the Pi's own bus can do, too

DEVICE = bytes([18, 1, 0x10, 0x01, 0xFF, 0, 0, 64, *b"\x03\x04", *b"\x31\xc6", 5, 2, 0, 0, 0, 1])
CONFIGURATION = bytes([9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 0xFF, 0, 0, 0])
DESCRIPTORS = {1: DEVICE, 2: CONFIGURATION}


class Request(NamedTuple):
    """One control transfer."""

    kind: int
    request: int
    value: int
    address: int
    length: int
    data: bytes


class Adapter:
    """One bus behind one adapter; serves one guest after the other, each on a connection."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._status = 0
        self._register: tuple[int, int] | None = None  # address, register: written and not ended
        self.transfers = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                header = HEADER.unpack(_exactly(connection, HEADER.size))
                submission = SUBMISSION.unpack(_exactly(connection, SUBMISSION.size))
                command, sequence, _, direction, _ = header
                if command == UNLINK:  # whatever it was is answered already
                    connection.sendall(COMPLETION.pack(UNLINKED, sequence, *[0] * 8))
                    continue
                length = submission[1]
                data = b"" if direction else _exactly(connection, length)
                status, answer = self._answer(Request._make((*SETUP.unpack(submission[5]), data)))
                answer = answer[:length] if direction else b""
                done = len(answer) if direction else length
                connection.sendall(
                    COMPLETION.pack(SUBMITTED, sequence, 0, 0, 0, status, done, 0, 0, 0) + answer
                )

    def _answer(self, request: Request) -> tuple[int, bytes]:
        if request.kind & 0x60 == VENDOR:
            return 0, self._vendor(request)[: request.length]
        match request.request:
            case 6:  # GET_DESCRIPTOR
                descriptor = DESCRIPTORS.get(request.value >> 8)
                return (STALL, b"") if descriptor is None else (0, descriptor[: request.length])
            case 0:  # GET_STATUS
                return 0, bytes(2)
            case 8:  # GET_CONFIGURATION
                return 0, b"\x01"
        return 0, b""

    def _vendor(self, request: Request) -> bytes:
        match request.request:
            case 1:  # GET_FUNC
                return struct.pack("<I", I2C | SMBUS_EMULATED)
            case 3:  # GET_STATUS
                return bytes([self._status])
            case number if number & ~3 == DO_IO:
                return self._transfer(request)
        return b""

    def _transfer(self, request: Request) -> bytes:
        """Do one message of a transfer; the kernel asks for its status afterwards."""
        self.transfers += 1
        address, last = request.address, bool(request.request & 2)
        self._status = ADDRESS_ACK
        try:
            if request.kind & IN:
                register = self._register
                self._register = None
                if register is None or register[0] != address:  # a read without a register before
                    return self._bus.read(address, 0, request.length)
                return self._bus.read(address, register[1], request.length)
            if not last and len(request.data) == 1:
                self._register = address, request.data[0]
                return b""
            self._register = None
            self._bus.write(address, request.data)
        except OSError:  # nobody acknowledged, or the line hangs: this adapter knows but one fault
            self._status = ADDRESS_NAK
            return bytes(request.length) if request.kind & IN else b""
        return b""


def _exactly(connection: socket.socket, length: int) -> bytes:
    """Read so many bytes. Raises ConnectionError when it ends before."""
    data = bytearray()
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError("the guest has gone")
        data += part
    return bytes(data)
