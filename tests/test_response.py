"""Tests of wmesh.response: what a program can do with an answer, and when it breaks off."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from tests.embedded import BULK, MeshCase, Shop
from tests.waiting import until
from wmesh.errors import ResponseError
from wmesh.response import Response


class Reader(Protocol):
    """`pieces` are sizes; `first` does what it likes when the first piece comes."""

    def __init__(self, first: Any = lambda transport: None) -> None:
        self.size = 0
        self.ended: Deferred[None] = Deferred()
        self.reason: BaseException | None = None
        self._first = first

    def dataReceived(self, data: bytes) -> None:
        began, self.size = self.size, self.size + len(data)
        if not began:
            self._first(self.transport)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert reason is not None and self.reason is None
        self.reason = reason.value
        self.ended.callback(None)


class ResponseCase(MeshCase):
    async def ask(self, path: str) -> Response:
        self.shop_: Shop = self.shop()
        await self.start(self.shop_)
        return await self.mesh.proxy("shop").request("GET", path)


class ContentTests(ResponseCase):
    async def test_head(self) -> None:
        response = await self.ask("/a")
        self.assertEqual((response.status, response.reason), (200, "OK"))
        self.assertEqual(response.instance, str(self.shop_.address))
        self.assertEqual(response.headers.getRawHeaders("set-cookie"), ["a=1", "b=2"])
        self.assertEqual((response.header("Set-Cookie"), response.header("X-No")), ("a=1, b=2", None))
        self.assertEqual(response.header("x-request-id"), response.request_id)
        self.assertEqual(repr(response), f"<Response 200 OK from {self.shop_.address}>")

    async def test_again_and_again(self) -> None:
        """The body is read once, and asked for as often as anybody likes."""
        response = await self.ask("/a")
        content = await response.content()
        self.assertEqual(await response.content(), content)
        self.assertEqual((await response.text()).encode(), content)
        self.assertEqual((await response.json())["target"], "/a")
        await self.at_rest()

    async def test_no_json(self) -> None:
        response = await self.ask("/health")
        error = await self.assertFailure(Deferred.fromCoroutine(response.json()), ResponseError)
        self.assertIn("is not JSON", str(error))

    async def test_too_long(self) -> None:
        """More than `limit` is an error that says so, and the instance is not read to the end."""
        response = await self.ask("/bulk")
        for _ in range(2):
            error = await self.assertFailure(response.content(limit=1000), ResponseError)
            self.assertIn("more than 1000 bytes", str(error))
        await self.at_rest()

    async def test_broken(self) -> None:
        """What came is not passed for the whole, however often it is asked for."""
        response = await self.ask("/break")
        for _ in range(2):
            error = await self.assertFailure(response.content(), ResponseError)
            self.assertIn("breaks off", str(error))
        await self.at_rest()

    async def test_given_up(self) -> None:
        """Whoever asked for the content and cancels it wants nothing more of it."""
        response = await self.ask("/bulk")
        content = response.content(limit=BULK)
        content.cancel()
        await self.assertFailure(content, CancelledError)
        await self.at_rest()

    async def test_closed(self) -> None:
        """Unread, it is given back at once; reading it then is an error."""
        response = await self.ask("/bulk")
        response.close()
        response.close()
        await self.at_rest()
        await self.assertFailure(response.content(), ResponseError)


class DeliverTests(ResponseCase):
    async def test_in_pieces(self) -> None:
        """All of it, held back while the reader pauses, with an end that says it is whole."""
        response = await self.ask("/bulk")
        paused: list[Any] = []

        def pause(transport: Any) -> None:
            transport.pauseProducing()
            paused.append(transport)

        reader = Reader(pause)
        response.deliver(reader)
        await until(lambda: paused, "the first piece")
        for _ in range(20):
            turn: Deferred[None] = Deferred()
            self.reactor.callLater(0, turn.callback, None)
            await turn
        self.assertLess(reader.size, BULK // 2)
        paused[0].resumeProducing()
        await reader.ended
        self.assertEqual(reader.size, BULK)
        self.assertIsInstance(reader.reason, ResponseDone)
        await self.at_rest()

    async def test_unread(self) -> None:
        """Before anybody reads, only what came with the head is held."""
        response = await self.ask("/bulk")
        for _ in range(20):
            turn: Deferred[None] = Deferred()
            self.reactor.callLater(0, turn.callback, None)
            await turn
        self.assertLess(sum(map(len, response._early)), 1_000_000)
        self.assertEqual(len(await response.content(limit=BULK)), BULK)

    async def test_aborted_by_the_reader(self) -> None:
        response = await self.ask("/bulk")
        reader = Reader(lambda transport: transport.abortConnection())
        response.deliver(reader)
        await reader.ended
        self.assertIsInstance(reader.reason, ResponseError)
        await self.at_rest()

    async def test_broken(self) -> None:
        response = await self.ask("/break")
        reader = Reader()
        response.deliver(reader)
        await reader.ended
        self.assertEqual(reader.size, 4)
        self.assertIsInstance(reader.reason, ResponseError)

    async def test_once(self) -> None:
        response = await self.ask("/a")
        response.deliver(Reader())
        self.assertRaises(ResponseError, response.deliver, Reader())
        await self.assertFailure(response.content(), ResponseError)
