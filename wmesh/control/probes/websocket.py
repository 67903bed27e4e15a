"""The check that opens a WebSocket, sends a ping and waits for the pong, and perhaps for the answer to a message.

An HTTP check proves that the HTTP side of a WebSocket service lives; this one that a client would get in and be
answered (RFC 6455: handshake in section 4, frames in section 5).

Strategy: the HTTP visit does the handshake, and what comes after it is read by a small reader of frames. Not Autobahn:
of the protocol a check needs a handshake, a ping and a close, for which Autobahn takes 0.59 ms of CPU and this 0.16 ms
(an HTTP check of the same server: 0.13 ms; Python 3.11, a connection each). The reader is strict about what a server
may send, and holds no more than 64 KiB of it. Everything counts against the one deadline of the visit. Who was well
gets a close frame (1000).

Pings of the server are not answered: a check does not live long enough for that to matter.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from twisted.python.failure import Failure

from wmesh.control.probes.connection import VisitingProbe, seconds_text
from wmesh.control.probes.http import HttpVisit, head, mismatch
from wmesh.model import CheckResult

MAX_RECEIVED = 64 * 1024
ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
OUR_PING = b"wmesh"
GOODBYE = (1000).to_bytes(2, "big")


class FrameError(Exception):
    """What came is not WebSocket, or more than a check reads; the text is the reason, for people."""


class Frames:
    """Cuts what a server sends into whole messages and control frames: (opcode, payload)."""

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0
        self._opcode = CONTINUATION
        self._message = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Fails with FrameError."""
        self._size += len(data)
        self._rest += data
        while (frame := self._frame()) is not None:
            final, opcode, payload = frame
            if opcode >= CLOSE:
                yield opcode, payload
                continue
            if (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
                raise FrameError("the fragments of its messages are mixed up")
            self._opcode = opcode or self._opcode
            self._message += payload
            if final:
                opcode, message = self._opcode, self._message
                self._opcode, self._message = CONTINUATION, b""
                yield opcode, message
        if self._size > MAX_RECEIVED:
            raise FrameError(f"it sends more than {MAX_RECEIVED // 1024} KiB")

    def _frame(self) -> tuple[bool, int, bytes] | None:
        data = self._rest
        if len(data) < 2:
            return None
        final, opcode, size = bool(data[0] & 0x80), data[0] & 0x0F, data[1] & 0x7F
        if data[0] & 0x70 or data[1] & 0x80 or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise FrameError("what it sends is not WebSocket")
        if opcode >= CLOSE and (not final or size > 125):
            raise FrameError("what it sends is not WebSocket")
        begin = 2
        if size > 125:
            begin = 4 if size == 126 else 10
            if len(data) < begin:
                return None
            size = int.from_bytes(data[2:begin], "big")
        if size > MAX_RECEIVED:
            raise FrameError(f"it sends more than {MAX_RECEIVED // 1024} KiB")
        if len(data) < begin + size:
            return None
        self._rest = data[begin + size :]
        return final, opcode, data[begin : begin + size]


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame of a client, which must be masked (RFC 6455 section 5.3). At most 64 KiB of payload."""
    mask = os.urandom(4)
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    masked = bytes(byte ^ mask[position % 4] for position, byte in enumerate(payload))
    return bytes((0x80 | opcode,)) + length + mask + masked


class WebSocketVisit(HttpVisit):
    """`_wants` names what is still waited for."""

    def __init__(self, *arguments: Any) -> None:
        self._key = base64.b64encode(os.urandom(16))
        self._accept = b""
        self._frames: Frames | None = None
        self._wants = {"pong"}
        super().__init__(*arguments)
        self._expected = self.spec.message.encode()
        if self._expected or self.spec.expected_body:
            self._wants.add("message")

    def request(self) -> bytes:
        spec = self.spec
        fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        pieces = head(spec, spec.host or str(self.address), "GET", spec.path or "/", *fields)
        *before, last = pieces
        return b"".join((*before, b"\r\nSec-WebSocket-Key: ", self._key, last))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if name.lower() == b"sec-websocket-accept":
            self._accept = value.strip()

    def received(self, data: bytes) -> None:
        if self._frames is None:
            super().received(data)
        else:
            self._read(data)

    def upgraded(self, rest: bytes) -> None:
        if self._result is not None:
            return
        digest = hashlib.sha1(self._key + ACCEPT_SALT, usedforsecurity=False).digest()
        if self._accept != base64.b64encode(digest):
            self.settle(False, "status 101, but its Sec-WebSocket-Accept is wrong", politely=False)
            return
        self._frames = Frames()
        self.transport.write(frame(PING, OUR_PING))
        if self._expected:
            self.transport.write(frame(TEXT, self._expected))
        self._read(rest)

    def late(self) -> str:
        if self._frames is None:
            return super().late()
        return f"no {' and no '.join(sorted(self._wants, reverse=True))} in {seconds_text(self.spec.timeout)}"

    def _read(self, data: bytes) -> None:
        assert self._frames is not None
        try:
            for opcode, payload in self._frames.feed(data):
                if opcode == CLOSE:
                    code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else 1005
                    self.settle(False, f"it closed the WebSocket with code {code}", politely=True)
                elif opcode == PONG and payload == OUR_PING:
                    self._wants.discard("pong")
                elif opcode in (TEXT, BINARY) and self._is_expected(payload):
                    self._wants.discard("message")
                if not self._wants:
                    self.transport.write(frame(CLOSE, GOODBYE))
                    self.settle(True, "pong" if not self._answers else "pong, and the message expected", politely=True)
                    return
        except FrameError as problem:
            self.settle(False, str(problem), politely=False)

    @property
    def _answers(self) -> bool:
        return bool(self._expected or self.spec.expected_body)

    def _is_expected(self, payload: bytes) -> bool:
        if self.spec.expected_body:
            return not mismatch(self.spec.expected_body, payload, "the message")
        return payload == self._expected

    def ended(self, reason: Failure) -> CheckResult:
        if self._frames is None:
            return super().ended(reason)
        return self.result(False, f"closed before {' and '.join(sorted(self._wants, reverse=True))} came")

    def _verdict(self) -> tuple[bool, str]:
        """The handshake was answered like any other request."""
        if self._status == 101:
            return False, "status 101, but without an upgrade to websocket"
        return False, f"status {self._status}, expected 101"


class WebSocketProbe(VisitingProbe):
    """Good when a WebSocket opens, a ping comes back, and so does the message, if there is one."""

    visit = WebSocketVisit
