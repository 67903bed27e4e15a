"""The HTTP check against a server that behaves, and against one that does not."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.control.probes.scene import Scene
from wmesh.control.probes import HttpProbe, TcpProbe, WebSocketProbe, probes
from wmesh.model import Address, CheckResult, CheckSpec, InstanceRecord, ServiceSpec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhealthy"


class HttpProbeTests(Scene):
    async def check(self, **options: object) -> CheckResult:
        spec = CheckSpec(path="/health", **{"timeout": 5.0, **options})
        return await HttpProbe(self.reactor)(self.record, spec)

    async def assert_result(self, ok: bool, reason: str, **options: object) -> CheckResult:
        result = await self.check(**options)
        self.assertEqual((result.ok, result.reason), (ok, reason))
        return result

    async def test_the_request(self) -> None:
        """One GET, as HTTP/1.1 wants it, that asks for the connection to be closed and says who asks."""
        self.says(OK)
        await self.assert_result(True, "status 200")
        head = self.requests[0].decode()
        self.assertTrue(head.startswith("GET /health HTTP/1.1\r\n"), head)
        for line in (f"Host: {self.address}", "User-Agent: wmesh-check", "Connection: close"):
            self.assertIn(f"\r\n{line}\r\n", head)

    async def test_another_request(self) -> None:
        """Method, Host and headers are as the service wants them; the gateway's own give way, and none comes twice."""
        self.says(OK)
        await self.assert_result(True, "status 200", method="POST", host="shop.example",
                                 headers=(("Authorization", "Bearer x"), ("user-agent", "robot")))  # fmt: skip
        lines = self.requests[0].decode().split("\r\n")
        self.assertEqual(lines[:2], ["POST /health HTTP/1.1", "Host: shop.example"])
        self.assertEqual(
            sorted(lines[2:-2]),
            ["Accept: */*", "Authorization: Bearer x", "Connection: close", "Content-Length: 0", "user-agent: robot"],
        )

    async def test_head(self) -> None:
        """The answer to HEAD speaks of a body that does not come."""
        self.says(OK.partition(b"healthy")[0], close=False)
        await self.assert_result(True, "status 200", method="HEAD")
        self.assertTrue(self.requests[0].startswith(b"HEAD /health HTTP/1.1\r\n"))

    async def test_another_port(self) -> None:
        """Asked is there, and so says Host."""
        self.says(OK)
        record = await self.nobody()
        spec = CheckSpec(path="/health", port=self.address.port)
        self.assertTrue((await HttpProbe(self.reactor)(record, spec)).ok)
        self.assertIn(f"\r\nHost: {self.address}\r\n".encode(), self.requests[0])

    async def test_a_slow_pattern(self) -> None:
        """An expression that would search for years fails the check and says what to do."""
        self.says(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 64 + b"!")
        result = await self.check(expected_body="(a+)+$")
        self.assertFalse(result.ok)
        self.assertIn("takes too long", result.reason)

    async def test_closed_politely(self) -> None:
        """Who answers well sees a normal end, even one that would keep the connection open."""
        self.says(OK, close=False)
        lost = self.lost
        await self.assert_result(True, "status 200")
        self.assertEqual(await lost, "ConnectionDone")

    async def test_no_content(self) -> None:
        """204 has no body to wait for."""
        self.says(b"HTTP/1.1 204 No Content\r\n\r\n", close=False)
        await self.assert_result(True, "status 204")

    async def test_other_status(self) -> None:
        """The reason names what came and what was expected."""
        self.says(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        await self.assert_result(False, "status 503, expected 200 or 204")

    async def test_status_ranges(self) -> None:
        """Ranges are inclusive."""
        self.says(b"HTTP/1.1 299 Fine\r\nContent-Length: 0\r\n\r\n")
        await self.assert_result(True, "status 299", expected_status=((200, 299),))
        await self.assert_result(False, "status 299, expected 200, 204 or 300-399",
                                 expected_status=((200, 200), (204, 204), (300, 399)))  # fmt: skip

    async def test_redirects_are_not_followed(self) -> None:
        """A redirect is an answer; whoever it points to is never asked."""
        self.says(f"HTTP/1.1 302 Found\r\nLocation: http://{self.address}/x\r\nContent-Length: 0\r\n\r\n".encode())
        await self.assert_result(False, "status 302, expected 200 or 204")
        self.assertEqual(self.connections, 1)

    async def test_body(self) -> None:
        """The body is searched, in chunks and until the end of the connection, too."""
        for answer in (
            OK,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nheal\r\n3\r\nthy\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nhealthy",
        ):
            self.says(answer)
            await self.assert_result(True, "status 200", expected_body="^heal.*y$")
            await self.assert_result(False, "the body does not match", expected_body="sick")

    async def test_a_bad_pattern(self) -> None:
        """A pattern that is none makes the check fail and say so; it breaks nothing."""
        self.says(OK)
        result = await self.check(expected_body="(")
        self.assertIn("is not a regular expression", result.reason)

    async def test_interim_answers(self) -> None:
        """1xx answers announce the real one."""
        self.says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        await self.assert_result(True, "status 200", expected_body="healthy")

    async def test_switching_protocols(self) -> None:
        """101 is final for us, and no sign of health."""
        self.says(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n\x00\x01")
        await self.assert_result(False, "status 101, expected 200 or 204")

    async def test_who_answers(self) -> None:
        """Who names itself as the one that is meant is well; a stranger is none, whatever its status and its body."""
        for claim in (b"pricing-1", b"pricing-1/life-1", b"  pricing-1\t", b""):
            self.says(b"HTTP/1.1 200 OK\r\nWMESH-instance: %b\r\nContent-Length: 0\r\n\r\n" % claim)
            self.assertFalse((await self.assert_result(True, "status 200")).proof)
        for status, length in ((b"200 OK", 0), (b"503 Busy", 0), (b"200 OK", 7)):
            head = b"HTTP/1.1 %b\r\nWmesh-Instance: pricing-2\r\nContent-Length: %d\r\n\r\n" % (status, length)
            self.says(head, close=False)
            result = await self.assert_result(False, "answers as pricing-2, expected pricing-1")
            self.assertTrue(result.proof)

    async def test_who_answers_twice(self) -> None:
        """Of two claims the wrong one counts; an interim answer's claim, which anybody may have made, does not."""
        claims = b"Wmesh-Instance: pricing-1\r\nWmesh-Instance: pricing-2\r\n"
        self.says(b"HTTP/1.1 204 No Content\r\n" + claims + b"\r\n")
        await self.assert_result(False, "answers as pricing-2, expected pricing-1")
        self.says(b"HTTP/1.1 103 Early Hints\r\nWmesh-Instance: cache\r\n\r\n" + OK)
        await self.assert_result(True, "status 200")

    async def test_another_id_header(self) -> None:
        """The header has the name that the service gives it, and none where that is empty."""
        self.says(b"HTTP/1.1 204 No Content\r\nX-Who: b\r\nWmesh-Instance: c\r\n\r\n")
        await self.assert_result(False, "answers as b, expected pricing-1", id_header="X-Who")
        await self.assert_result(True, "status 204", id_header="")

    async def test_refused(self) -> None:
        """Nobody listens."""
        result = await HttpProbe(self.reactor)(await self.nobody(), CheckSpec(path="/"))
        self.assertEqual((result.ok, result.reason), (False, "refused"))

    async def test_closed_without_an_answer(self) -> None:
        """It hangs up on us."""
        self.answer = lambda transport: transport.loseConnection()
        await self.assert_result(False, "closed without an answer")

    async def test_reset(self) -> None:
        """It resets the connection."""
        self.answer = lambda transport: transport.abortConnection()
        await self.assert_result(False, "connection reset")

    async def test_cut_short(self) -> None:
        """An answer that ends before its length is no answer, whatever its status."""
        self.says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhealthy")
        await self.assert_result(False, "the answer was cut short")
        self.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nhealthy\r\n")
        await self.assert_result(False, "the answer was cut short")

    async def test_not_http(self) -> None:
        """Another protocol altogether."""
        self.says(b"220 mail.example ESMTP\r\n")
        await self.assert_result(False, "the answer is not HTTP")

    async def test_an_endless_body(self) -> None:
        """64 KiB are enough: judged by what came, and the sender is cut off."""
        endless = _Endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        self.answer = endless.start
        lost = self.lost
        await self.assert_result(True, "status 200", expected_body="xxx")
        self.assertEqual(await lost, "ConnectionLost")
        self.assertLess(endless.sent, 10_000_000)

    async def test_an_endless_head(self) -> None:
        """A head without end costs 64 KiB, not our memory."""
        self.answer = _Endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1000 + b"\r\n").start
        await self.assert_result(False, "the head of the answer is larger than 64 KiB")

    async def test_endless_interim_answers(self) -> None:
        """1xx for ever counts as head."""
        self.answer = _Endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n").start
        await self.assert_result(False, "the head of the answer is larger than 64 KiB")

    async def test_it_hangs(self) -> None:
        """No answer: one timeout, and the connection is gone."""
        lost = self.lost
        result = await self.assert_result(False, "no answer in 0.1 s", timeout=0.1)
        self.assertGreaterEqual(result.elapsed, 0.099)
        await lost

    async def test_a_good_head_is_not_enough(self) -> None:
        """It says 200 and then hangs in the middle of its body: that is not health."""
        self.says(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhea", close=False)
        await self.assert_result(False, "the answer did not end in 0.1 s", timeout=0.1)

    async def test_cancelled(self) -> None:
        """A check given up in the middle leaves no connection."""
        lost = self.lost
        done = HttpProbe(self.reactor)(self.record, CheckSpec(path="/"))
        self.answer = lambda transport: done.cancel()
        await self.assertFailure(done, CancelledError)
        await lost


class _Endless:
    """Writes a beginning, and then the same piece for as long as the other side takes it."""

    def __init__(self, beginning: bytes, piece: bytes) -> None:
        self.beginning = beginning
        self.piece = piece
        self.sent = 0

    def start(self, transport: ITCPTransport) -> None:
        self.transport = transport
        transport.write(self.beginning)
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.sent += len(self.piece)
        self.transport.write(self.piece * 10)

    def stopProducing(self) -> None:
        self.transport.unregisterProducer()


class ByteByByteTests(SynchronousTestCase):
    def test_any_segmentation(self) -> None:
        """An answer that arrives one byte at a time is the same answer."""
        reactor = MemoryReactorClock()
        record = InstanceRecord("a", "a-1", Address("::1", 80))
        done = HttpProbe(reactor)(record, CheckSpec(path="/", expected_body="^healthy$"))
        _, _, visit, _, _ = reactor.tcpClients[0]
        transport = StringTransport()
        visit.buildProtocol(None).makeConnection(transport)
        self.assertIn(b"Host: [::1]:80\r\n", transport.value())
        for position in range(len(OK)):
            visit.dataReceived(OK[position : position + 1])
        self.assertTrue(transport.disconnecting)
        visit.connectionLost(None)
        self.assertEqual(self.successResultOf(done).reason, "status 200")
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_which_probe(self) -> None:
        """A path asks for HTTP; without one a connection is enough; a type that is named is that."""
        probe_for = probes(MemoryReactorClock())
        for check, expected in (
            (CheckSpec(), TcpProbe),
            (CheckSpec(path="/health"), HttpProbe),
            (CheckSpec(kind="https", path="/health"), HttpProbe),
            (CheckSpec(kind="tcp"), TcpProbe),
            (CheckSpec(kind="websocket"), WebSocketProbe),
        ):
            self.assertIsInstance(probe_for(ServiceSpec("a", check=check)), expected)
