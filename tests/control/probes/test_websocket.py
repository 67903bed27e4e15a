"""The WebSocket check against Autobahn's server, and against servers that speak as no server should."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.control.probes.certificates import Authority
from tests.control.probes.scene import Scene
from wmesh.control.probes import WebSocketProbe
from wmesh.control.probes.websocket import ACCEPT_SALT, FrameError, Frames, frame
from wmesh.model import Address, CheckResult, CheckSpec, InstanceRecord

PONG = b"\x8a\x05wmesh"


class _Echo(WebSocketServerProtocol):
    """Greets, and sends back what comes."""

    def onConnect(self, request: Any) -> Any:
        self.factory.seen.append(request)
        return None, {"Wmesh-Instance": self.factory.who}

    def onOpen(self) -> None:
        self.sendMessage(b'{"type": "welcome"}')

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary, fragmentSize=3)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.factory.closed.callback((wasClean, code))


class AutobahnTests(Scene):
    def setUp(self) -> None:
        super().setUp()
        self.server: Any = WebSocketServerFactory()
        self.server.protocol = _Echo
        self.server.noisy = False
        self.server.setProtocolOptions(closeHandshakeTimeout=2)
        self.server.seen = []
        self.server.who = ""
        self.server.closed = Deferred()

    def listen(self, options: Any = None) -> InstanceRecord:
        if options is None:
            port = self.reactor.listenTCP(0, self.server, interface="127.0.0.1")
        else:
            port = self.reactor.listenSSL(0, self.server, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return replace(self.record, address=Address("127.0.0.1", port.getHost().port))

    async def check(self, record: InstanceRecord, **options: Any) -> CheckResult:
        spec = CheckSpec(**{"kind": "websocket", "timeout": 5.0, **options})
        result = await WebSocketProbe(self.reactor)(record, spec)
        await self.server.closed
        return result

    async def test_ping(self) -> None:
        """Upgrade, ping, pong, close: good, and the server sees a clean end."""
        record = self.listen()
        closed = self.server.closed
        result = await self.check(record, path="/ws?x=1", host="shop.example", headers=(("Authorization", "B x"),))
        self.assertEqual((result.ok, result.reason), (True, "pong"))
        self.assertEqual(self.server.seen[0].path, "/ws")
        self.assertEqual(self.server.seen[0].headers["authorization"], "B x")
        self.assertEqual(self.server.seen[0].host, "shop.example")
        self.assertEqual((await closed)[1], 1000)

    async def test_echo(self) -> None:
        """A message comes back, in fragments and after others; or one comes in which the expression is found."""
        record = self.listen()
        for options in ({"message": "hello there"}, {"message": "x" * 300}, {"expected_body": "welc.me"},
                        {"message": json.dumps({"n": 1}), "expected_body": '"n": *1'}):  # fmt: skip
            self.server.closed = Deferred()
            result = await self.check(record, **options)
            self.assertEqual((result.ok, result.reason), (True, "pong, and the message expected"), options)

    async def test_no_echo(self) -> None:
        """A pong alone is not enough where a message is expected."""
        result = await self.check(self.listen(), message="hello", expected_body="goodbye", timeout=0.3)
        self.assertEqual((result.ok, result.reason), (False, "no message in 0.3 s"))

    async def test_over_tls(self) -> None:
        """wss, with all that is verified of https."""
        authority = Authority(self.folder())
        record = self.listen(authority.options("127.0.0.1", until=3))
        result = await self.check(record, tls=True, tls_ca=str(authority.file))
        self.assertEqual((result.ok, result.reason), (True, "pong"))
        self.assertIn("the certificate for 127.0.0.1 ends at", result.warning)

    async def test_who_answers(self) -> None:
        """The answer to the handshake may name the instance, as any answer to a check."""
        self.server.who = "pricing-2"
        result = await self.check(self.listen())
        self.assertEqual((result.reason, result.proof), ("answers as pricing-2, expected pricing-1", True))


class StrangeServerTests(Scene):
    def upgrades(self, *pieces: bytes, accept: bytes | None = None, close: bool = False) -> None:
        """Answer 101, and then with these bytes."""

        def answer(transport: ITCPTransport) -> None:
            found = re.search(rb"Sec-WebSocket-Key: (\S+)", self.requests[-1])
            assert found is not None
            good = base64.b64encode(hashlib.sha1(found[1] + ACCEPT_SALT).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            transport.write(head + b"Sec-WebSocket-Accept: " + (good if accept is None else accept) + b"\r\n\r\n")
            for piece in pieces:
                transport.write(piece)
            if close:
                transport.loseConnection()

        self.answer = answer

    async def assert_result(self, ok: bool, reason: str, **options: Any) -> None:
        spec = CheckSpec(**{"kind": "websocket", "timeout": 0.4, **options})
        result = await WebSocketProbe(self.reactor)(self.record, spec)
        self.assertEqual((result.ok, result.reason), (ok, reason))

    async def test_handshakes_that_are_none(self) -> None:
        """An ordinary answer, a redirect, a wrong proof, an upgrade to nothing."""
        for status in (b"200 OK", b"404 Not Found", b"302 Found\r\nLocation: /elsewhere"):
            self.says(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
            await self.assert_result(False, f"status {status[:3].decode()}, expected 101")
        self.says(b"HTTP/1.1 426 Upgrade Required\r\n\r\n")
        await self.assert_result(False, "status 426, expected 101")
        self.upgrades(PONG, accept=b"c3VyZWx5IG5vdA==")
        await self.assert_result(False, "status 101, but its Sec-WebSocket-Accept is wrong")
        self.says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", close=False)
        await self.assert_result(False, "status 101, but without an upgrade to websocket")

    async def test_it_hangs(self) -> None:
        """One timeout, before or after the handshake."""
        await self.assert_result(False, "no answer in 0.4 s")
        self.upgrades()
        await self.assert_result(False, "no pong in 0.4 s")
        await self.assert_result(False, "no pong and no message in 0.4 s", message="x")

    async def test_pongs_that_answer_nothing(self) -> None:
        """An unasked pong (RFC 6455 section 5.5.3 allows it) is not ours; the server's own pings are passed over."""
        self.upgrades(b"\x8a\x00", b"\x89\x02hi", b"\x8a\x05other")
        await self.assert_result(False, "no pong in 0.4 s")
        self.upgrades(b"\x8a\x00\x89\x02hi" + PONG[:3], PONG[3:])
        await self.assert_result(True, "pong")

    async def test_it_closes(self) -> None:
        """With a code, without one, or without a word."""
        self.upgrades(b"\x88\x02" + (1013).to_bytes(2, "big"))
        await self.assert_result(False, "it closed the WebSocket with code 1013")
        self.upgrades(b"\x88\x00")
        await self.assert_result(False, "it closed the WebSocket with code 1005")
        self.upgrades(close=True)
        await self.assert_result(False, "closed before pong came")

    async def test_not_websocket(self) -> None:
        """Bytes that are no frames, and frames without end."""
        self.upgrades(b"HTTP/1.1 200 OK\r\n\r\n")
        await self.assert_result(False, "what it sends is not WebSocket")
        self.upgrades(b"\x82\x7f" + (1 << 40).to_bytes(8, "big"))
        await self.assert_result(False, "it sends more than 64 KiB")
        self.upgrades(*(b"\x82\x7e\x40\x00" + bytes(0x4000) for _ in range(8)))
        await self.assert_result(False, "it sends more than 64 KiB")


class FrameTests(SynchronousTestCase):
    def read(self, data: bytes, step: int = 1) -> list[tuple[int, bytes]]:
        frames = Frames()
        return [one for at in range(0, len(data), step) for one in frames.feed(data[at : at + step])]

    def test_any_segmentation(self) -> None:
        """Fragments with a control frame between them, lengths of all three forms; a byte at a time or at once."""
        data = b"\x01\x02he\x89\x00\x80\x03llo" + b"\x82\x7e\x01\x00" + bytes(256)
        data += b"\x81\x7f" + (300).to_bytes(8, "big") + b"y" * 300
        expected = [(0x9, b""), (0x1, b"hello"), (0x2, bytes(256)), (0x1, b"y" * 300)]
        for step in (1, 2, 7, len(data)):
            self.assertEqual(self.read(data, step), expected)

    def test_what_no_server_may_send(self) -> None:
        """Masks, reserved bits and opcodes, long or fragmented control frames, fragments out of order."""
        for data in (
            b"\x81\x82abcdxy", b"\xc1\x00", b"\x83\x00", b"\x8b\x00", b"\x89\x7e\x01\x00", b"\x09\x00",
            b"\x80\x00", b"\x01\x00\x01\x00",
        ):  # fmt: skip
            self.assertRaises(FrameError, self.read, data)

    def test_ours(self) -> None:
        """Masked, of either length; the mask differs."""
        for size in (0, 5, 125, 126, 1024):
            data = frame(0x1, b"x" * size)
            begin = 2 if size < 126 else 4
            mask, body = data[begin : begin + 4], data[begin + 4 :]
            self.assertEqual((data[0], data[1] & 0x80, len(body)), (0x81, 0x80, size))
            self.assertEqual(bytes(byte ^ mask[at % 4] for at, byte in enumerate(body)), b"x" * size)
        self.assertNotEqual(frame(0x9, b"")[2:6], frame(0x9, b"")[2:6])
