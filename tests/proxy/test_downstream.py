"""Tests of wmesh.proxy.downstream: a client's connection, its turns, its limits, and how it ends."""

from __future__ import annotations

import socket

from tests.proxy.support import Conversation, Scene, chunked, polite, request, response, says, silent, take
from wmesh.model import RouteSpec

SMALL = {"max_head_size": 2000, "max_header_fields": 10, "max_target_length": 300}


class KeepAliveTests(Scene):
    async def test_many_requests_one_connection(self) -> None:
        """A client's connection goes on, and so does the instance's."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        for number in range(50):
            client.send(request(b"GET", b"/%d" % number))
            self.assertEqual((await client.answer()).body, b"/%d" % number)
        self.assertEqual(len(shop.conversations), 1)
        self.assertEqual(self.plane.accepted, 1)

    async def test_the_client_says_close(self) -> None:
        """Connection: close is done as asked, and the instance's connection stays."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        client.send(request(b"GET", b"/", b"Connection: close"))
        answer = await client.answer()
        self.assertEqual(answer.value(b"Connection"), b"close")
        self.assertEqual(await client.ended(), "fin")
        self.assertEqual(self.idle(), 1)

    async def test_the_instance_says_close(self) -> None:
        """That the instance closes is between it and the gateway; the client's connection goes on."""
        shop = self.instance(says(response(b"ok", b"200 OK", b"Connection: close"), close=True))
        await self.open(shop)
        client = await self.client()
        for _ in range(3):
            client.send(request())
            answer = await client.answer()
            self.assertEqual(answer.values(b"Connection"), [])
        self.assertEqual(len(shop.conversations), 3)
        self.assertEqual(self.idle(), 0)

    async def test_http_10_closes(self) -> None:
        """An HTTP/1.0 client that asks for nothing more gets its answer and the end."""
        await self.open(self.instance())
        client = await self.client()
        client.send(b"GET /a HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        answer = await client.answer()
        self.assertEqual((answer.body, answer.value(b"Connection")), (b"/a", b"close"))
        self.assertEqual(await client.ended(), "fin")

    async def test_http_10_keeps_alive_when_asked(self) -> None:
        """An HTTP/1.0 client that asks to go on is told that it may."""
        await self.open(self.instance())
        client = await self.client()
        for target in (b"/a", b"/b"):
            client.send(b"GET %b HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n" % target)
            answer = await client.answer()
            self.assertEqual((answer.body, answer.value(b"Connection")), (target, b"keep-alive"))

    async def test_http_10_and_chunks(self) -> None:
        """An old client understands no chunks: it gets the plain bytes, and the end of the connection ends them."""
        await self.open(
            self.instance(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"pl", b"ain")))
        )
        client = await self.client()
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.answer()
        self.assertEqual((answer.body, answer.values(b"Transfer-Encoding")), (b"plain", []))
        self.assertEqual(answer.value(b"Connection"), b"close")


class PipelineTests(Scene):
    async def test_answers_come_in_order(self) -> None:
        """A hundred requests in one write: a hundred answers in that order, one at the instance at a time."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        client.send(*(request(b"GET", b"/%d" % number) for number in range(100)))
        for number in range(100):
            self.assertEqual((await client.answer()).body, b"/%d" % number)
        self.assertEqual(len(shop.conversations), 1)

    async def test_with_bodies_and_refusals_between(self) -> None:
        """Bodies, requests without a route and requests to an instance, all in one write."""
        shop = self.instance()
        await self.open(shop, routes=(RouteSpec("", "/shop/"),))
        client = await self.client()
        client.send(
            request(b"POST", b"/shop/1", body=b"one"),
            request(b"GET", b"/none"),
            request(b"POST", b"/shop/2", b"Transfer-Encoding: chunked") + chunked(b"t", b"wo"),
            request(b"HEAD", b"/none"),
            request(b"GET", b"/shop/3"),
        )
        got = [await client.answer(bodyless=number == 3) for number in range(5)]
        self.assertEqual([answer.status for answer in got], [200, 404, 200, 404, 200])
        self.assertEqual([message.body for message in shop.requests], [b"one", b"two", b""])

    async def test_a_thousand_refusals_in_one_write(self) -> None:
        """What the gateway answers by itself, it answers in a loop, however many stand in line."""
        await self.open(routes=(RouteSpec("", "/shop/"),))
        client = await self.client()
        client.send(request(b"GET", b"/x") * 1000)
        for _ in range(1000):
            self.assertEqual((await client.answer()).status, 404)

    async def test_a_thousand_behind_a_slow_one(self) -> None:
        """The same when they wait in line behind a request that an instance answers late."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            await self.until(lambda: any(connection.held for connection in self.plane.connections))
            conversation.send(response())

        await self.open(self.instance(script), routes=(RouteSpec("", "/shop/"),))
        client = await self.client()
        client.send(request(b"GET", b"/shop/"), request(b"GET", b"/x") * 1000)
        statuses = [(await client.answer()).status for _ in range(1001)]
        self.assertEqual(statuses, [200] + [404] * 1000)

    async def test_a_body_that_comes_in_the_middle_of_the_line(self) -> None:
        """A POST in line whose body has only begun: it is read to its end when its turn comes."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        body = b"x" * 300000
        client.send(request(b"GET", b"/1"), request(b"POST", b"/2", body=body), request(b"GET", b"/3"))
        self.assertEqual([(await client.answer()).body for _ in range(3)], [b"/1", b"/2", b"/3"])
        self.assertEqual(shop.requests[1].body, body)

    async def test_nothing_is_read_ahead(self) -> None:
        """While a request is being served no more than one read's worth of the next ones is taken in."""
        await self.open(self.instance(silent))
        client = await self.client()
        client.send(request(b"GET", b"/first"))
        await self.until(lambda: self.cluster.in_flight)
        client.send(request(b"GET", b"/next") * 100000)
        await self.until(lambda: any(connection.held for connection in self.plane.connections))
        await self.turn(20)
        (connection,) = self.plane.connections
        self.assertLessEqual(len(connection.partial), 65536)

    async def test_a_client_that_asks_and_never_reads(self) -> None:
        """Small answers to pipelined requests must not pile up for a client that does not take them."""
        await self.open(self.instance(), routes=(RouteSpec("", "/shop/"),))
        client = await self.client(window=4096)
        client.pause()
        count = 50000
        client.send(request(b"GET", b"/x") * count)
        await self.until(lambda: self.unsent() > 65536)
        most = 0
        for _ in range(300):
            most = max(most, self.unsent())
            await self.turn()
        self.assertLess(most, 200000, "answers pile up")
        client.resume()
        for _ in range(count):
            await client.answer()

    async def test_a_client_that_asks_an_instance_and_never_reads(self) -> None:
        """The same with answers that an instance gives in one piece each."""
        await self.open(self.instance(says(response(b"x" * 30000))))
        client = await self.client(window=4096)
        client.pause()
        client.send(request() * 2000)
        await self.until(lambda: self.unsent() > 65536)
        most = 0
        for _ in range(1000):
            most = max(most, self.unsent())
            await self.turn()
        self.assertLess(most, 300000, "answers pile up")
        client.resume()
        for _ in range(2000):
            self.assertEqual(len((await client.answer()).body), 30000)

    async def test_after_close_nothing_is_served(self) -> None:
        """What a client sends behind a request that said Connection: close is not asked of anybody."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        client.send(request(b"GET", b"/last", b"Connection: close"), request(b"GET", b"/too-late") * 10)
        self.assertEqual((await client.answer()).body, b"/last")
        self.assertEqual(await client.ended(), "fin")
        self.assertEqual([message.target for message in shop.requests], [b"/last"])


class HeadTests(Scene):
    async def status(self, data: bytes) -> int:
        client = await self.client()
        client.send(data)
        answer = await client.answer()
        self.assertEqual(answer.value(b"Connection"), b"close", data[:50])
        self.assertEqual(await client.ended(), "fin")
        return answer.status

    async def test_empty_lines_before_a_request(self) -> None:
        """Some clients send an empty line behind a body; it is no request (RFC 9112 section 2.2)."""
        await self.open(self.instance())
        client = await self.client()
        for before in (b"\r\n", b"\r\n\r\n", b"\r\n" * 5):
            client.send(before, request(b"GET", b"/x"))
            self.assertEqual((await client.answer()).body, b"/x", before)
            client.send(request(b"POST", b"/y", body=b"body") + before + request(b"GET", b"/z"))
            self.assertEqual([(await client.answer()).body for _ in range(2)], [b"/y", b"/z"], before)

    async def test_an_empty_line_cut_in_two(self) -> None:
        """The same, where the network cuts it."""
        await self.open(self.instance())
        client = await self.client()
        for before in (b"\r\n", b"\r\n\r\n"):
            data = before + request(b"GET", b"/x")
            for cut in range(1, len(before) + 3):
                client.send(data[:cut])
                await self.turn()
                client.send(data[cut:])
                self.assertEqual((await client.answer()).body, b"/x", (before, cut))

    async def test_too_long_a_target(self) -> None:
        """414, and the end: there is no telling where the next request begins."""
        await self.open(self.instance(), gateway=SMALL)
        self.assertEqual(await self.status(request(b"GET", b"/" + b"x" * 300)), 414)
        self.assertEqual((await self.ask(request(b"GET", b"/" + b"x" * 299))).status, 200)

    async def test_too_many_fields(self) -> None:
        """431 for more fields than the limit."""
        await self.open(self.instance(), gateway=SMALL)
        self.assertEqual(await self.status(request(b"GET", b"/", *([b"X: y"] * 10))), 431)
        self.assertEqual((await self.ask(request(b"GET", b"/", *([b"X: y"] * 9)))).status, 200)

    async def test_too_long_a_head(self) -> None:
        """431, whether the head comes whole or never ends."""
        await self.open(self.instance(), gateway=SMALL)
        self.assertEqual(await self.status(request(b"GET", b"/", b"X: " + b"y" * 2000)), 431)
        self.assertEqual(await self.status(b"GET / HTTP/1.1\r\nX: " + b"y" * 3000), 431)

    async def test_what_is_refused(self) -> None:
        """Heads that nobody may misread are answered at once and end the connection."""
        await self.open(self.instance())
        for data, status in (
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
            (b"GET / HTTP/1.1\nHost: a\n\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
            (request(b"POST", b"/", b"Content-Length: 1", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
            (request(b"POST", b"/", b"Content-Length: 1", b"Content-Length: 2"), 400),
            (request(b"POST", b"/", b"Content-Length: -1"), 400),
            (request(b"POST", b"/", b"Transfer-Encoding: gzip, chunked"), 501),
            (request(b"BREW", b"/"), 501),
            (request(b"CONNECT", b"/"), 501),
            (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"\x00\x00", 400),
        ):
            self.assertEqual(await self.status(data), status, data)

    async def test_good_requests_before_a_bad_one(self) -> None:
        """What was asked rightly is answered, then what was not is refused, in that order."""
        await self.open(self.instance())
        client = await self.client()
        client.send(request(b"GET", b"/1"), request(b"GET", b"/2"), b"nonsense\r\n\r\n", request(b"GET", b"/3"))
        self.assertEqual([(await client.answer()).body for _ in range(2)], [b"/1", b"/2"])
        self.assertEqual((await client.answer()).status, 400)
        self.assertEqual(await client.ended(), "fin")

    async def test_a_bad_chunk(self) -> None:
        """A body whose chunks are broken is refused, and the instance does not take its beginning for the whole."""
        shop = self.instance(lambda c: c.until(lambda: False))
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Transfer-Encoding: chunked"), b"4\r\nwell\r\n")
        await self.until(lambda: shop.conversations and b"well" in shop.conversations[0].received)
        client.send(b"nonsense\r\n")
        answer = await client.answer()
        self.assertEqual((answer.status, answer.value(b"Connection")), (400, b"close"))
        self.assertEqual(await client.ended(), "fin")
        self.assertEqual(await shop.conversations[0].ended(), "reset")
        self.assertNotIn(b"\r\n0\r\n", shop.conversations[0].received)

    async def test_a_bad_chunk_after_the_answer_has_begun(self) -> None:
        """Too late for a refusal: the answer breaks off, and shows it."""

        async def script(conversation: Conversation) -> None:
            await conversation.up_to(b"well")
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
            await conversation.ended()

        await self.open(self.instance(script))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Transfer-Encoding: chunked"), b"4\r\nwell\r\n")
        await client.up_to(b"begun")
        client.send(b"nonsense\r\n")
        self.assertEqual(await client.ended(), "reset")
        await self.at_rest()

    async def test_too_long_trailers(self) -> None:
        """Trailers are bounded like heads."""
        await self.open(self.instance(), gateway=SMALL)
        data = request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"0\r\nX: " + b"y" * 3000
        self.assertEqual(await self.status(data), 431)


class DeadlineTests(Scene):
    async def test_a_head_that_does_not_end(self) -> None:
        """408 after the header timeout, even for a client that sends a byte now and then."""
        await self.open(self.instance())
        client = await self.client()
        client.send(b"GET / HT")
        await self.until(lambda: any(connection.partial for connection in self.plane.connections))
        self.sweep()
        self.sweep(9.9)
        client.send(b"TP/1.1\r\n")
        await self.until(lambda: any(b"TP/" in connection.partial for connection in self.plane.connections))
        self.assertEqual(client.received, b"")
        self.sweep(10.1)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.value(b"Connection")), (408, b"close"))
        self.assertEqual(await client.ended(), "fin")

    async def test_a_body_that_does_not_come(self) -> None:
        """408 after a silence in the middle of a body; every byte starts the time anew."""
        shop = self.instance(lambda c: c.until(lambda: False))
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 100"), b"a")
        await self.until(lambda: shop.conversations and shop.conversations[0].received.endswith(b"a"))
        self.sweep()
        self.sweep(50)
        client.send(b"b")
        await self.until(lambda: shop.conversations[0].received.endswith(b"b"))
        self.sweep(55)
        self.sweep(110)
        self.assertEqual(client.received, b"")
        self.sweep(116)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (408, "request_timeout"))
        self.assertEqual(await client.ended(), "fin")
        await shop.conversations[0].lost()
        self.assertEqual(self.cluster.failures, 0)

    async def test_idle(self) -> None:
        """A silent connection is closed after the idle timeout, with a FIN and without a word."""
        await self.open(self.instance())
        fresh, used = await self.client(), await self.client()
        used.send(request())
        await used.answer()
        await self.until(lambda: len(self.plane.connections) == 2)
        self.sweep(74)
        await self.turn(3)
        self.assertEqual((fresh.end, used.end), ("", ""))
        self.sweep(76)
        self.assertEqual([await fresh.ended(), await used.ended()], ["fin", "fin"])
        self.assertEqual((fresh.received, used.received), (b"", b""))

    async def test_a_client_that_stops_reading(self) -> None:
        """An answer that nobody takes is broken off after a while, and the instance released."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(response(b"x" * 20_000_000))
            await conversation.ended()

        shop = self.instance(script)
        await self.open(shop)
        client = await self.client(window=4096)
        client.pause()
        client.send(request())
        await self.until(lambda: self.unsent() > 65536)
        await self.turn(20)
        self.overdue(59)
        self.assertEqual(self.cluster.in_flight, 1)
        self.sweep(61)
        self.assertEqual((self.cluster.in_flight, len(self.plane.connections)), (0, 0))
        await shop.conversations[0].lost()
        client.resume()
        self.assertEqual(await client.ended(), "reset")

    async def test_a_client_that_reads_slowly(self) -> None:
        """As long as it takes anything at all, it has time."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(response(b"x" * 20_000_000))

        await self.open(self.instance(script))
        client = await self.client(window=4096)
        client.pause()
        client.send(request())
        await self.until(lambda: self.unsent() > 65536)
        await self.turn(20)
        (connection,) = self.plane.connections
        stream = connection.stream
        assert stream is not None
        for step in range(5):
            self.sweep(step * 50)
            before = stream.sent
            client.resume()
            await self.until(lambda before=before: stream.sent > before)
            client.pause()
            await self.turn(5)
        self.assertEqual(self.cluster.in_flight, 1)
        client.resume()
        self.assertEqual(len((await client.answer()).body), 20_000_000)

    async def test_a_slow_instance_is_not_the_clients_fault(self) -> None:
        """No deadline of the client's side ends a request that waits for an instance."""
        shop = self.instance(silent)
        await self.open(shop, timeout_first_byte=1000.0)
        client = await self.client()
        client.send(request(), request())
        await self.until(lambda: shop.requests)
        self.overdue(900)
        await self.turn(3)
        self.assertEqual((client.end, client.received), ("", b""))

    async def test_a_client_held_back_by_us(self) -> None:
        """Silence in a body that we do not read is not the client's."""

        async def script(conversation: Conversation) -> None:
            conversation.pause()
            await conversation.ended()

        shop = self.instance(script)
        await self.open(shop, timeout_idle=1000.0)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 30000000"), b"x" * 30000000)
        await self.until(lambda: any(connection.held for connection in self.plane.connections))
        await self.turn(20)
        self.overdue(300)
        await self.turn(3)
        self.assertEqual((client.end, self.cluster.in_flight), ("", 1))

    async def test_lingering_ends(self) -> None:
        """A client that goes on sending after its refusal is cut off after two seconds."""
        await self.open(self.instance())
        client = await self.client()
        client.closes = False
        client.send(b"nonsense\r\n\r\n")
        self.assertEqual((await client.answer()).status, 400)
        self.assertEqual(await client.ended(), "fin")
        self.sweep()
        for _ in range(5):
            client.send(b"more nonsense" * 100)
            await self.turn()
        self.sweep(1.9)
        self.assertEqual(len(self.plane.connections), 1)
        self.sweep(2.1)
        self.assertEqual(len(self.plane.connections), 0)


class EndTests(Scene):
    async def test_a_reset_ends_it(self) -> None:
        """A client that comes and goes leaves nothing."""
        await self.open(self.instance())
        for _ in range(20):
            client = await self.client()
            await self.until(lambda: self.plane.connections)
            client.reset()
            await self.until(lambda: not self.plane.connections)

    async def test_it_goes_before_it_is_met(self) -> None:
        """A client that is gone when its connection is taken up is no trouble."""
        await self.open(self.instance(polite))
        port = self.ports[0].getHost().port
        for _ in range(50):
            with socket.socket() as sock:
                sock.connect(("127.0.0.1", port))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.sendall(request())
        self.assertEqual((await self.ask(request())).status, 200)
        await self.at_rest()
        await self.until(lambda: not self.plane.connections)
