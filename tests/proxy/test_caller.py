"""Tests of wmesh.proxy.caller: requests of this very process through a real data plane to real instances."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.proxy.support import Conversation, Scene, chunked, response, says, silent, take
from wmesh.errors import WireError
from wmesh.model import RouteSpec
from wmesh.proxy.caller import AnswerHead, Caller, compose
from wmesh.proxy.local_reply import LocalReply
from wmesh.proxy.mounts import Mounts
from wmesh.proxy.plan import Plans
from wmesh.wire.forwarded import Peers

BIG = 2_000_000


class Taker:
    """Receives an answer. `end` is "" while it comes, then "whole" or why it broke."""

    def __init__(self) -> None:
        self.answer: AnswerHead | None = None
        self.data = b""
        self.end = ""
        self.heads = 0
        self.news: list[Deferred[None]] = []

    def head(self, head: AnswerHead) -> None:
        self.answer = head
        self.heads += 1
        self._tell()

    def body(self, data: bytes) -> None:
        assert data, "an empty piece"
        self.data += data
        self._tell()

    def ended(self) -> None:
        self.end = "whole"
        self._tell()

    def broken(self, why: str) -> None:
        self.end = why
        self._tell()

    def _tell(self) -> None:
        news, self.news = self.news, []
        for waiting in news:
            waiting.callback(None)

    async def until(self, condition: Any) -> None:
        while not condition():
            waiting: Deferred[None] = Deferred()
            self.news.append(waiting)
            await waiting

    def field(self, name: bytes) -> list[bytes]:
        assert self.answer is not None
        return [value for field, value in self.answer.fields if field.lower() == name]


class Short(BytesIO):
    """A file that fails in the middle."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError("the disk is gone")
        return super().read(10)


class ComposeTests(SynchronousTestCase):
    def test_framing_is_ours(self) -> None:
        """What the fields say of the body's transmission is not believed; its length is known."""
        fields = [(b"Content-Length", b"9"), (b"TRANSFER-encoding", b"chunked"), (b"Upgrade", b"websocket")]
        block = compose(b"PUT", b"/x", 1, [(b"Host", b"a"), *fields, (b"Expect", b"100-continue")], 3)
        self.assertEqual(block, b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n")
        self.assertEqual(compose(b"GET", b"/", 0, [], None), b"GET / HTTP/1.0\r\n")

    def test_no_line_within_a_line(self) -> None:
        for fields in ([(b"A", b"b\r\nC: d")], [(b"A\nB", b"c")], [(b"A", b"b\r")]):
            self.assertRaises(WireError, compose, b"GET", b"/", 1, fields, None)
        self.assertRaises(WireError, compose, b"GET", b"/ HTTP/1.1\r\nX: y", 1, [], None)


class CallerCase(Scene):
    def caller(self, receiver: Any, patience: float = 60.0, client: str = "127.0.0.9") -> Caller:
        return Caller(self.plane, Peers((), b"http", False)(client), receiver, patience)

    def ask(
        self, method: bytes = b"GET", target: bytes = b"/", body: IO[bytes] | None = None, length: int | None = None
    ) -> tuple[Caller, Taker]:
        taker = Taker()
        caller = self.caller(taker)
        caller.ask(caller.read(compose(method, target, 1, [(b"Host", b"shop.test")], length)), body, None)
        return caller, taker

    async def whole(self, taker: Taker) -> bytes:
        await taker.until(lambda: taker.end)
        self.assertEqual(taker.end, "whole")
        return taker.data


class AnswerTests(CallerCase):
    async def test_a_length(self) -> None:
        """The head, the body, the end; fields that spoke of a connection are gone."""
        shop = self.instance(says(response(b"ok", b"201 Made", b"X-A: 1", b"X-A: 2", b"Keep-Alive: 5")))
        await self.open(shop)
        _, taker = self.ask(target=b"/a?b")
        self.assertEqual(await self.whole(taker), b"ok")
        assert taker.answer is not None
        self.assertEqual((taker.answer.status, taker.answer.reason, taker.answer.instance), (201, b"Made", "shop-0"))
        self.assertEqual(taker.field(b"x-a"), [b"1", b"2"])
        self.assertEqual(taker.field(b"content-length"), [b"2"])
        for gone in (b"connection", b"keep-alive", b"transfer-encoding"):
            self.assertEqual(taker.field(gone), [])
        seen = shop.requests[0]
        self.assertEqual((seen.target, seen.value(b"X-Forwarded-For")), (b"/a?b", b"127.0.0.9"))
        self.assertEqual(self.plane.decisions[-1][0], taker.answer.request_id)

    async def test_other_framings(self) -> None:
        """Chunks are taken apart, a close ends a body, interim answers are not the answer, HEAD and 204 have none."""
        start = b"HTTP/1.1 200 OK\r\n"
        cases = (
            (start + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"abc", b"de"), b"GET", b"abcde"),
            (start + b"\r\nto the end", b"GET", b"to the end"),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(b"late"), b"GET", b"late"),
            (start + b"Content-Length: 9\r\n\r\n", b"HEAD", b""),
            (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", b""),
        )

        async def by_target(conversation: Conversation) -> None:
            message = await take(conversation)
            conversation.send(cases[int(message.target[1:])][0])
            conversation.close()

        await self.open(self.instance(by_target))
        for number, (sent, method, body) in enumerate(cases):
            _, taker = self.ask(method, b"/%d" % number)
            self.assertEqual(await self.whole(taker), body, sent)
            self.assertEqual(taker.heads, 1)

    async def test_another_instance(self) -> None:
        """Whoever refuses, or dies before the answer, is passed over: the receiver sees one answer."""
        dead = self.instance(says(b"", reset=True))
        await self.open(await self.nobody(), dead, self.instance())
        _, taker = self.ask()
        self.assertEqual(await self.whole(taker), b"/")
        self.assertEqual((taker.heads, self.traffic["shop"].retries), (1, 2))

    async def test_the_mesh_itself(self) -> None:
        """Nobody could be had: the gateway's own reply, from no instance."""
        await self.open()
        _, taker = self.ask()
        self.assertIn(b'"service": "shop"', await self.whole(taker))
        assert taker.answer is not None
        self.assertEqual((taker.answer.status, taker.answer.instance), (503, None))

    async def test_a_named_service(self) -> None:
        """With a plan, no route is asked for, and the mount is taken off the path."""
        shop = self.instance()
        await self.open(shop, routes=(RouteSpec("", "/elsewhere/"),))
        mounts = Mounts(Plans([self.cluster.spec], self.directory.clusters, self.traffic), [self.cluster.spec.name])
        taker = Taker()
        caller = self.caller(taker)
        head = caller.read(compose(b"GET", b"/here/a", 1, [(b"Host", b"x")], None))
        caller.ask(head, None, mounts.plan("shop", "/here"))
        self.assertEqual(await self.whole(taker), b"/a")
        self.assertEqual(shop.requests[0].value(b"X-Forwarded-Prefix"), b"/here")

    async def test_refused(self) -> None:
        await self.open()
        taker = Taker()
        self.caller(taker).refuse(LocalReply(400, "bad_request", "as it were"))
        self.assertIn(b"as it were", await self.whole(taker))

    async def test_broken(self) -> None:
        """An answer that ends early is no answer that ended, and says what happened."""
        shop = self.instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", close=True))
        await self.open(shop)
        _, taker = self.ask()
        await taker.until(lambda: taker.end)
        self.assertEqual(taker.data, b"abc")
        self.assertIn("closed the connection in the middle of its answer", taker.end)

    async def test_a_receiver_that_fails(self) -> None:
        """Its mistake is logged and ends its own request only; the instance is not blamed."""

        class Clumsy(Taker):
            def body(self, data: bytes) -> None:
                raise ZeroDivisionError("mine")

        await self.open(self.instance(says(response(b"x" * 10))))
        taker = Clumsy()
        caller = self.caller(taker)
        caller.ask(caller.read(compose(b"GET", b"/", 1, [(b"Host", b"x")], None)), None, None)
        await taker.until(lambda: taker.end)
        self.assertEqual(taker.end, "its receiver failed")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.cluster.members["shop-0"].in_flight, 0)


class BodyTests(CallerCase):
    async def test_small_and_large(self) -> None:
        """A body comes as it is, whether it fits into one read or into no buffer on the way."""
        shop = self.instance()
        await self.open(shop)
        for body in (b"", b"a", b"b" * 65536, b"c" * 65537, b"d" * BIG):
            _, taker = self.ask(b"POST", b"/x", BytesIO(body), len(body))
            await self.whole(taker)
            self.assertEqual(shop.requests[-1].body, body)
            self.assertEqual(shop.requests[-1].values(b"Content-Length"), [b"%d" % len(body)])

    async def test_held_back(self) -> None:
        """No more of it is read than the instance takes."""
        reading: Deferred[None] = Deferred()

        async def slow(conversation: Conversation) -> None:
            conversation.pause()
            await reading
            conversation.resume()
            await take(conversation)
            conversation.send(response())

        await self.open(self.instance(slow))
        body = BytesIO(b"x" * 30_000_000)
        _, taker = self.ask(b"POST", b"/", body, 30_000_000)
        while self.instances[0].conversations == []:
            await self.turn()
        for _ in range(20):
            await self.turn()
        self.assertLess(body.tell(), 20_000_000)
        reading.callback(None)
        await self.whole(taker)

    async def test_it_fails(self) -> None:
        """A body that ends early or cannot be read: the instance must not take what came for all of it."""
        shop = self.instance()
        await self.open(shop)
        for body, why in ((BytesIO(b"abc"), b"ends 7 bytes early"), (Short(b"x" * 30), b"the disk is gone")):
            length = 10 if why.startswith(b"ends") else 30
            _, taker = self.ask(b"POST", b"/", body, length)
            self.assertIn(why, await self.whole(taker))
            assert taker.answer is not None
            self.assertEqual((taker.answer.status, taker.answer.instance), (400, None))
        self.assertEqual(shop.requests, [])

    async def test_too_large_to_repeat(self) -> None:
        """What was sent and is not kept cannot be sent again."""

        async def reads_and_dies(conversation: Conversation) -> None:
            await take(conversation)
            conversation.reset()

        await self.open(self.instance(reads_and_dies), self.instance())
        _, taker = self.ask(b"PUT", b"/", BytesIO(b"x" * 100_000), 100_000)
        self.assertIn(b"instance_closed_connection", await self.whole(taker))


class PaceTests(CallerCase):
    async def fill(self) -> tuple[Caller, Taker]:
        """An answer much larger than any buffer, whose receiver pauses at once."""
        data = b"x" * 30_000_000
        await self.open(self.instance(says(response(data))))
        caller, taker = self.ask()
        caller.pause()
        await taker.until(lambda: taker.answer is not None)
        for _ in range(20):
            await self.turn()
        return caller, taker

    async def test_a_receiver_that_pauses(self) -> None:
        """Nothing more comes than one read brought, until it goes on."""
        caller, taker = await self.fill()
        self.assertLess(len(taker.data), 600_000)
        caller.resume()
        self.assertEqual(len(await self.whole(taker)), 30_000_000)

    async def test_a_receiver_that_is_stuck(self) -> None:
        """After its patience the instance's connection is given up; a sweep that finds it going on forgives it."""
        caller, taker = await self.fill()
        now = self.plane.clock()
        caller.sweep(now)
        caller.sweep(now + 59)
        caller.resume()
        caller.pause()
        caller.sweep(now + 61)
        self.assertEqual(taker.end, "")
        caller.sweep(now + 122)
        self.assertEqual(taker.end, "nobody took the answer for 60 s")
        self.assertEqual(self.cluster.members["shop-0"].in_flight, 0)


class EndTests(CallerCase):
    async def test_cancelled(self) -> None:
        """The instance's connection is cut, its place is free, and the receiver hears nothing more."""
        shop = self.instance(silent)
        await self.open(shop)
        caller, taker = self.ask()
        while not shop.requests:
            await self.turn()
        caller.cancel()
        await shop.conversations[0].lost()
        self.assertEqual((taker.heads, taker.end), (0, ""))
        self.assertEqual(self.cluster.members["shop-0"].in_flight, 0)
        self.assertEqual(self.traffic["shop"].aborted, 1)
        caller.cancel()

    async def test_the_plane_stops(self) -> None:
        """It waits for requests of its own process as for any other, and at last gives them up."""
        shop = self.instance(silent)
        await self.open(shop)
        _, taker = self.ask()
        drained = self.plane.drain()
        self.assertFalse(drained.called)
        self.plane.stop()
        self.assertEqual(taker.end, "the mesh has stopped")
        self.assertTrue(drained.called)
