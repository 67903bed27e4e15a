"""Tests of wmesh.proxy.request_body: what a client sends behind its head, also behind an early answer."""

from __future__ import annotations

from tests.proxy.support import (
    Conversation,
    Scene,
    chunked,
    request,
    response,
)
from wmesh.model import RouteSpec


class RequestBodyTests(Scene):
    async def test_by_length(self) -> None:
        """A body with a length arrives with that length."""
        shop = self.instance()
        await self.open(shop)
        body = bytes(range(256)) * 1000
        await self.ask(request(b"POST", b"/", body=body))
        self.assertEqual(shop.requests[0].body, body)
        self.assertEqual(shop.requests[0].value(b"Content-Length"), b"256000")

    async def test_an_empty_body_keeps_its_length(self) -> None:
        """A POST of nothing says so."""
        shop = self.instance()
        await self.open(shop)
        await self.ask(request(b"POST", b"/", body=b""))
        self.assertEqual(shop.requests[0].value(b"Content-Length"), b"0")

    async def test_chunked_with_trailers(self) -> None:
        """Chunks arrive as chunks, whatever their sizes become; trailers arrive where they may."""
        shop = self.instance()
        await self.open(shop)
        head = request(b"PUT", b"/", b"Transfer-Encoding: chunked", b"Trailer: X-Sum")
        trailers = b"X-Sum: 42\r\nContent-Length: 5\r\nHost: evil\r\n"
        await self.ask(head + chunked(b"one", b"two" * 30000, b"three", trailers=trailers))
        seen = shop.requests[0]
        self.assertEqual(seen.body, b"one" + b"two" * 30000 + b"three")
        self.assertEqual(seen.trailers, [(b"X-Sum", b"42")])
        self.assertEqual(seen.values(b"Content-Length"), [])

    async def test_chunks_of_one_byte_are_joined(self) -> None:
        """Chunked again here: what came in one read leaves in one chunk, and extensions do not pass."""
        shop = self.instance()
        await self.open(shop)
        await self.ask(request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"1;x=y\r\na\r\n" * 500 + b"0\r\n\r\n")
        self.assertEqual(shop.requests[0].body, b"a" * 500)
        self.assertLess(len(shop.requests[0].pieces or ()), 10)

    async def test_an_empty_chunked_body(self) -> None:
        """Chunked and empty is a body, too."""
        shop = self.instance()
        await self.open(shop)
        await self.ask(request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"0\r\n\r\n")
        self.assertEqual((shop.requests[0].body, shop.requests[0].pieces), (b"", []))

    async def test_split_at_every_byte(self) -> None:
        """However the network cuts a request up, it is the same request; the next one behind it, too."""
        shop = self.instance()
        await self.open(shop)
        data = (
            request(b"POST", b"/a", b"Transfer-Encoding: chunked")
            + chunked(b"hello", b"world!", trailers=b"X-T: 1\r\n")
            + request(b"POST", b"/b", body=b"length")
            + request(b"GET", b"/c")
        )
        client = await self.client()
        for cut in range(1, len(data)):
            client.send(data[:cut])
            await self.turn()
            client.send(data[cut:])
            answers = [await client.answer() for _ in range(3)]
            self.assertEqual([answer.body for answer in answers], [b"/a", b"/b", b"/c"], cut)
        bodies = [message.body for message in shop.requests]
        self.assertEqual(bodies, [b"helloworld!", b"length", b""] * (len(data) - 1))
        self.assertEqual(len(shop.conversations), 1, "all went over one connection")

    async def test_byte_by_byte(self) -> None:
        """The slowest of clients is served as well."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        for byte in request(b"POST", b"/slow", b"Transfer-Encoding: chunked") + chunked(b"abc", trailers=b"X: y\r\n"):
            client.send(bytes((byte,)))
            await self.turn()
        self.assertEqual((await client.answer()).body, b"/slow")
        self.assertEqual(shop.requests[0].body, b"abc")

    async def test_expect_continue_goes_both_ways(self) -> None:
        """The instance decides whether the body is wanted; its 100 reaches the client before the body is sent."""

        async def script(conversation: Conversation) -> None:
            head = await conversation.up_to(b"\r\n\r\n")
            self.assertIn(b"\r\nExpect: 100-continue\r\n", head)
            conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            conversation.send(response(await conversation.exactly(5)))

        await self.open(self.instance(script))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5"))
        self.assertEqual((await client.message()).start, b"HTTP/1.1 100 Continue")
        client.send(b"hello")
        answer = await client.message()
        self.assertEqual((answer.status, answer.body), (200, b"hello"))

    async def test_expect_continue_refused(self) -> None:
        """An instance that does not want the body says so at once; the client need not send it."""
        await self.open(self.instance(lambda c: self._refuse_head(c)))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5"))
        answer = await client.message()
        self.assertEqual(answer.status, 417)
        self.assertEqual(answer.value(b"Connection"), b"close")
        self.assertEqual(await client.ended(), "fin")

    async def _refuse_head(self, conversation: Conversation) -> None:
        await conversation.up_to(b"\r\n\r\n")
        conversation.send(response(b"no", b"417 Expectation Failed"))

    async def test_an_unknown_expectation(self) -> None:
        """What nobody understands is refused and not passed on."""
        await self.open(self.instance())
        self.assertEqual((await self.ask(request(b"GET", b"/", b"Expect: miracles"))).status, 417)

    async def test_a_client_that_stands_still_in_its_body(self) -> None:
        """The instance sees what has come so far; bodies are not collected here."""
        shop = self.instance(lambda c: self._echo_head(c))
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 1000"), b"first")
        await self.until(lambda: shop.conversations and b"first" in shop.conversations[0].received)
        client.send(b"x" * 995)
        self.assertEqual((await client.answer()).status, 200)

    async def _echo_head(self, conversation: Conversation) -> None:
        await conversation.until(lambda: conversation.received.endswith(b"x" * 995))
        conversation.send(response())


class EarlyAnswerTests(Scene):
    async def test_the_client_gets_it_whole(self) -> None:
        """An instance that answers before it has read the request is heard out; then the connection ends in peace."""

        async def script(conversation: Conversation) -> None:
            await conversation.up_to(b"\r\n\r\n")
            conversation.send(response(b"too soon" * 1000))
            await conversation.ended()

        shop = self.instance(script)
        await self.open(shop)
        client = await self.client()
        client.closes = False
        client.send(request(b"POST", b"/", b"Content-Length: 100000"), b"x" * 1000)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.body), (200, b"too soon" * 1000))
        self.assertEqual(answer.value(b"Connection"), b"close")
        self.assertEqual(await client.ended(), "fin")
        # It may still be sending: that must not turn into a reset that destroys the answer.
        client.send(b"x" * 50000)
        await self.turn(5)
        self.assertFalse(client.gone)
        self.assertEqual(len(self.plane.connections), 1)
        self.assertEqual(self.idle(), 0, "the instance's connection is in the middle of a request, and not kept")
        self.overdue(2.5)
        self.assertEqual(len(self.plane.connections), 0, "and no client lingers for ever")
        await shop.conversations[0].lost()

    async def test_too_large_and_reset(self) -> None:
        """An instance that says 413 and slams the door: the client still reads the 413."""

        async def script(conversation: Conversation) -> None:
            await conversation.up_to(b"\r\n\r\n")
            conversation.send_now(response(b"too large", b"413 Content Too Large", b"Connection: close"))
            await conversation.up_to(b"x" * 1000)
            conversation.reset()

        await self.open(self.instance(script))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 10000000"))
        for _ in range(20):
            client.send(b"x" * 10000)
            await self.turn()
        answer = await client.answer()
        self.assertEqual((answer.status, answer.body), (413, b"too large"))
        self.assertEqual(await client.ended(), "fin")

    async def test_too_large_and_reset_at_once(self) -> None:
        """The same, with the answer and the reset on the wire before the gateway has looked at either."""

        async def script(conversation: Conversation) -> None:
            await conversation.up_to(b"\r\n\r\n")
            conversation.send_now(response(b"too large", b"413 Content Too Large", b"Connection: close"))
            conversation.reset()

        await self.open(self.instance(script))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 10000000"), b"x" * 200000)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.body), (413, b"too large"))
        self.assertEqual(await client.ended(), "fin")

    async def test_the_rest_of_the_request_comes_in_time(self) -> None:
        """An answer that begins early and ends late: the request got through, and so did the answer."""

        async def script(conversation: Conversation) -> None:
            head = await conversation.up_to(b"\r\n\r\n")
            conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            self.assertIn(b"POST", head)
            body = await conversation.exactly(100000)
            conversation.send(b"6\r\n%06d\r\n0\r\n\r\n" % len(body))

        await self.open(self.instance(script))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 100000"))
        await client.up_to(b"\r\na\r\n")
        client.received[:0] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        client.send(b"x" * 100000)
        self.assertEqual((await client.answer()).body, b"a100000")
        self.assertEqual(await client.ended(), "fin")
        await self.until(lambda: self.idle() == 1, "the instance's connection is in order, and kept")

    async def test_a_route_that_does_not_exist_for_a_body_on_its_way(self) -> None:
        """A refusal does not wait for the body, and is not lost in a reset."""
        await self.open(self.instance(), routes=(RouteSpec("", "/shop/"),))
        client = await self.client()
        client.send(request(b"POST", b"/other", b"Content-Length: 3000000"), b"x" * 200000)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.value(b"Connection")), (404, b"close"))
        self.assertEqual(await client.ended(), "fin")
