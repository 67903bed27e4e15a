"""Tests of wmesh.proxy.upstream: what an instance answers, rightly and wrongly, and what the client sees of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from tests.proxy.support import Conversation, Ended, Scene, Script, chunked, request, response, says, silent, take
from wmesh.model import RouteSpec

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class FramingTests(Scene):
    async def test_by_length(self) -> None:
        """A body with a length comes with that length."""
        body = bytes(range(256)) * 2000
        await self.open(self.instance(says(response(body))))
        answer = await self.ask(request())
        self.assertEqual((answer.body, answer.value(b"Content-Length")), (body, b"512000"))
        await self.until(lambda: self.idle() == 1)

    async def test_chunked_with_trailers(self) -> None:
        """Chunks come as chunks, joined as they were read; trailers come behind them."""
        await self.open(self.instance(says(CHUNKED, chunked(b"a", b"b" * 70000, b"c", trailers=b"X-Sum: 7\r\n"))))
        answer = await self.ask(request())
        self.assertEqual(answer.body, b"a" + b"b" * 70000 + b"c")
        self.assertEqual(answer.trailers, [(b"X-Sum", b"7")])
        await self.until(lambda: self.idle() == 1)

    async def test_tiny_chunks_are_joined(self) -> None:
        """A thousand chunks of a byte do not cost a thousand writes."""
        await self.open(self.instance(says(CHUNKED, chunked(*[b"x"] * 1000))))
        answer = await self.ask(request())
        self.assertEqual(answer.body, b"x" * 1000)
        self.assertLess(len(answer.pieces or ()), 10)

    async def test_until_the_end_of_the_connection(self) -> None:
        """A body that ends with its connection becomes chunks, and the client's connection goes on."""
        await self.open(self.instance(says(b"HTTP/1.1 200 OK\r\n\r\n", b"till the end" * 10000, close=True)))
        client = await self.client()
        for _ in range(2):
            client.send(request())
            answer = await client.answer()
            self.assertEqual(answer.body, b"till the end" * 10000)
            self.assertEqual(answer.value(b"Transfer-Encoding"), b"chunked")
        self.assertEqual(self.idle(), 0)

    async def test_until_the_end_for_an_old_client(self) -> None:
        """The same for an HTTP/1.0 client: its connection ends with the body."""
        await self.open(self.instance(says(b"HTTP/1.0 200 OK\r\n\r\n", b"till the end", close=True)))
        client = await self.client()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        self.assertEqual((answer.body, answer.values(b"Transfer-Encoding")), (b"till the end", []))

    async def test_an_empty_body_until_the_end(self) -> None:
        """Nothing, ended by the end, is an empty body."""
        await self.open(self.instance(says(b"HTTP/1.1 200 OK\r\n\r\n", close=True)))
        self.assertEqual((await self.ask(request())).body, b"")

    async def test_answers_without_a_body(self) -> None:
        """HEAD, 204 and 304 have none, whatever their fields say, and the connections go on."""
        answers = {
            b"/head": response(b"", b"200 OK").replace(b"Length: 0", b"Length: 1234"),
            b"/head-chunked": CHUNKED,
            b"/204": b"HTTP/1.1 204 No Content\r\n\r\n",
            b"/304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\nETag: x\r\n\r\n",
            b"/0": response(b""),
        }

        async def script(conversation: Conversation) -> None:
            while True:
                conversation.send(answers[(await take(conversation)).target])

        shop = self.instance(script)
        await self.open(shop)
        client = await self.client()
        for method, target in (
            (b"HEAD", b"/head"),
            (b"HEAD", b"/head-chunked"),
            (b"GET", b"/204"),
            (b"GET", b"/304"),
            (b"GET", b"/0"),
        ):
            client.send(request(method, target))
            answer = await client.answer(bodyless=method == b"HEAD")
            self.assertEqual(answer.body, b"", target)
            if target == b"/head":
                self.assertEqual(answer.value(b"Content-Length"), b"1234")
            if target == b"/204":
                self.assertEqual((answer.values(b"Content-Length"), answer.values(b"Transfer-Encoding")), ([], []))
        self.assertEqual(len(shop.conversations), 1)

    async def test_split_at_every_byte(self) -> None:
        """However the network cuts an answer up, it is the same answer."""
        wholes = (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(b"hello", b"200 OK", b"X-A: b"),
            CHUNKED + chunked(b"hel", b"lo", trailers=b"X-T: 1\r\n"),
        )
        cuts: Iterator[tuple[bytes, bytes]] = iter(
            [(whole[:cut], whole[cut:]) for whole in wholes for cut in range(1, len(whole))]
        )

        async def script(conversation: Conversation) -> None:
            while True:
                await take(conversation)
                first, second = next(cuts)
                conversation.send(first)
                await self.turn()
                await self.turn()
                conversation.send(second)

        shop = self.instance(script)
        await self.open(shop)
        client = await self.client()
        for _ in range(sum(len(whole) - 1 for whole in wholes)):
            client.send(request())
            answer = await client.answer()
            self.assertEqual((answer.status, answer.body), (200, b"hello"))
        self.assertEqual(len(shop.conversations), 1)

    async def test_bytes_behind_the_answer(self) -> None:
        """What an instance sends behind its answer is nobody's: the answer is right, the connection is not kept."""
        for whole in (
            response(b"right") + response(b"wrong"),
            CHUNKED + chunked(b"right") + b"wrong",
            b"HTTP/1.1 204 No Content\r\n\r\nwrong",
        ):
            shop = self.instance(says(whole))
            await self.open(shop)
            client = await self.client()
            for _ in range(2):
                client.send(request())
                self.assertIn((await client.answer()).body, (b"right", b""), whole)
            self.assertEqual((self.idle(), len(shop.conversations)), (0, 2), whole)
            client.reset()
            await self._take_down()
            self.instances.clear(), self.clients.clear(), self.ports.clear()

    async def test_a_later_read_brings_too_much(self) -> None:
        """The same where the surplus comes in a read of its own, in the middle of the body."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            await client.until(lambda: client.received.endswith(b"hello"))
            conversation.send(b"worldwrong")

        await self.open(self.instance(script))
        client = await self.client()
        client.send(request())
        self.assertEqual((await client.answer()).body, b"helloworld")
        self.assertEqual(self.idle(), 0)

    async def test_an_http_10_instance(self) -> None:
        """An old instance is understood; its connection is kept only if it says so."""
        await self.open(self.instance(says(response().replace(b"HTTP/1.1", b"HTTP/1.0"), close=True)))
        answer = await self.ask(request())
        self.assertEqual((answer.start, answer.value(b"Via")), (b"HTTP/1.1 200 OK", b"1.0 wmesh"))
        self.assertEqual(self.idle(), 0)


class InterimTests(Scene):
    async def test_passed_on(self) -> None:
        """102 and 103 reach the client before the answer, their fields with them."""
        await self.open(
            self.instance(
                says(
                    b"HTTP/1.1 102 Processing\r\n\r\n",
                    b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n",
                    response(b"done"),
                )
            )
        )
        client = await self.client()
        client.send(request())
        got = [await client.message() for _ in range(3)]
        self.assertEqual([message.status for message in got], [102, 103, 200])
        self.assertEqual(got[1].value(b"Link"), b"</s.css>")
        self.assertEqual(got[2].body, b"done")
        await self.until(lambda: self.idle() == 1)

    async def test_hidden_from_an_old_client(self) -> None:
        """HTTP/1.0 knows no interim answers."""
        await self.open(self.instance(says(b"HTTP/1.1 103 Early Hints\r\n\r\n", response(b"done"))))
        client = await self.client()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = await client.message()
        self.assertEqual((answer.status, answer.body), (200, b"done"))

    async def test_a_storm(self) -> None:
        """An instance that never comes to the point is given up."""
        await self.open(self.instance(says(b"HTTP/1.1 102 Processing\r\n\r\n" * 2000)))
        client = await self.client()
        client.send(request(b"POST", b"/", body=b""))
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_sent_invalid_response"))
        await self.at_rest()
        self.assertEqual(self.cluster.failures, 1)

    async def test_a_slow_storm(self) -> None:
        """The same in many reads."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            while not conversation.end:
                conversation.send(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")
                await self.turn()

        await self.open(self.instance(script))
        answer = await self.ask(request(b"POST", b"/", body=b""))
        self.assertEqual(answer.status, 502)

    async def test_a_switch_that_nobody_asked_for(self) -> None:
        """A 101 to an ordinary request is no answer."""
        await self.open(
            self.instance(says(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
        )
        self.assertEqual((await self.ask(request(b"POST", b"/", body=b""))).status, 502)


class BrokenTests(Scene):
    async def breaks_off(self, script: Script, data: bytes = b"") -> None:
        """The client must see a reset and never a whole answer."""
        shop = self.instance(script)
        await self.open(shop)
        client = await self.client()
        client.send(data or request())
        with self.assertRaises(Ended):
            await client.answer()
        self.assertEqual(client.end, "reset")
        await self.at_rest()
        self.assertEqual((self.cluster.failures, self.idle()), (1, 0))
        self.assertEqual(self.traffic["shop"].aborted, 1)
        self.assertEqual(len(shop.requests), 1, "what was shown in part is not asked for again")

    async def test_short_by_length_then_fin(self) -> None:
        """Fewer bytes than promised and a peaceful end."""
        await self.breaks_off(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", close=True))

    async def test_short_by_length_then_reset(self) -> None:
        """Fewer bytes than promised and a reset."""
        await self.breaks_off(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", reset=True))

    async def test_short_in_chunks(self) -> None:
        """Chunks without the last one."""
        await self.breaks_off(says(CHUNKED, b"5\r\nshort\r\n", close=True))

    async def test_short_in_the_middle_of_a_chunk(self) -> None:
        """A chunk that is not whole."""
        await self.breaks_off(says(CHUNKED, b"64\r\nshort", close=True))

    async def test_short_in_the_trailers(self) -> None:
        """The last chunk is there and its end is not."""
        await self.breaks_off(says(CHUNKED, b"5\r\nshort\r\n0\r\nX: y\r\n", close=True))

    async def test_reset_where_the_end_of_the_connection_is_the_end(self) -> None:
        """A body that would end with its connection, and a reset: the client is not given the last chunk."""
        await self.breaks_off(says(b"HTTP/1.1 200 OK\r\n\r\nshort", reset=True))

    async def test_the_same_for_an_old_client(self) -> None:
        """For HTTP/1.0 a peaceful end would look whole: it gets a reset."""
        await self.breaks_off(says(b"HTTP/1.1 200 OK\r\n\r\nshort", reset=True), b"GET / HTTP/1.0\r\n\r\n")

    async def test_short_chunks_for_an_old_client(self) -> None:
        """Chunks become plain bytes for HTTP/1.0, where only the way it ends tells a broken answer from a whole one."""
        await self.breaks_off(says(CHUNKED, b"5\r\nshort\r\n", close=True), b"GET / HTTP/1.0\r\n\r\n")

    async def test_a_bad_chunk(self) -> None:
        """Chunks that turn to nonsense."""
        await self.breaks_off(says(CHUNKED, b"5\r\nshort\r\nnonsense\r\n"))

    async def test_a_bad_chunk_later(self) -> None:
        """Chunks that turn to nonsense in a later read."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(CHUNKED, b"5\r\nshort\r\n")
            await self.until(lambda: any(b"short" in client.tail for client in self.clients))
            conversation.send(b"-1\r\n")

        await self.breaks_off(script)

    async def test_short_after_much(self) -> None:
        """A long answer that breaks off while the client is still taking it in."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", b"x" * 8_000_000)
            conversation.close()

        await self.breaks_off(script)


class NonsenseTests(Scene):
    async def is_invalid(self, *pieces: bytes, close: bool = False) -> None:
        shop = self.instance(says(*pieces, close=close))
        await self.open(shop)
        answer = await self.ask(request(b"POST", b"/", body=b""))
        self.assertEqual(answer.status, 502, pieces)
        self.assertEqual(answer.json()["service"], "shop")
        await self.at_rest()
        self.assertEqual((self.cluster.failures, self.idle()), (1, 0))
        await shop.conversations[0].lost()

    async def test_a_garbage_status_line(self) -> None:
        """What is no HTTP is a 502, at once."""
        await self.is_invalid(b"HTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def test_garbage_without_end(self) -> None:
        """The greeting of a server of another kind: no reason to wait until it times out."""
        await self.is_invalid(b"SSH-2.0-OpenSSH_9.2p1\r\n")

    async def test_lines_without_returns(self) -> None:
        """Bare line feeds are no line ends, however many there are."""
        await self.is_invalid(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")

    async def test_a_bad_status(self) -> None:
        """Statuses have three digits of which the first is 1 to 5."""
        await self.is_invalid(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n")

    async def test_two_lengths(self) -> None:
        """Where an answer ends must not be a matter of opinion."""
        await self.is_invalid(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")

    async def test_length_beside_chunks(self) -> None:
        """Neither must this."""
        await self.is_invalid(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"abc")
        )

    async def test_an_unknown_coding(self) -> None:
        """A coding that we cannot undo hides the end."""
        await self.is_invalid(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc")

    async def test_a_folded_field(self) -> None:
        """Folding is how fields are smuggled."""
        await self.is_invalid(b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n")

    async def test_an_endless_head(self) -> None:
        """A head of more than we take in, with no end in sight."""
        await self.is_invalid(b"HTTP/1.1 200 OK\r\n", b"X-Long: yyyyyyyyyyyyyyyyyyyy\r\n" * 20000)

    async def test_too_many_fields(self) -> None:
        """A head of more fields than anybody means."""
        await self.is_invalid(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 600, b"\r\n")

    async def test_the_end_before_the_answer(self) -> None:
        """A connection that closes without a word."""
        await self.is_invalid(close=True)

    async def test_the_end_in_the_head(self) -> None:
        """A connection that closes in the middle of the head."""
        await self.is_invalid(b"HTTP/1.1 200 OK\r\nContent-", close=True)

    async def test_one_bad_instance_of_two(self) -> None:
        """Any of these before the first byte of an answer: a GET is answered by the other instance."""
        nonsense = (
            b"HTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\n" + b"X-Long: yyyyyyyyyyyyyyyyyyyyy\r\n" * 20000,
            b"HTTP/1.1 102 Processing\r\n\r\n" * 100,
            b"HTTP/1.1 101 Why Not\r\nUpgrade: websocket\r\n\r\n",
        )
        told = iter(nonsense)

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(next(told))

        good = self.instance()
        await self.open(self.instance(script), good)
        for _ in nonsense:
            self.assertEqual((await self.ask(request())).status, 200)
        self.assertEqual(len(good.requests), len(nonsense))


class DeadlineTests(Scene):
    async def test_no_answer(self) -> None:
        """An instance that takes a request and says nothing: 504, and no GET is lost where there is another."""
        slow, good = self.instance(silent), self.instance()
        await self.open(slow, good)
        client, patient = await self.client(), await self.client()
        client.send(request(b"POST", b"/", body=b"x"))
        patient.send(request(b"GET", b"/"))
        await self.until(lambda: len(slow.requests) == 2)
        self.sweep()
        self.sweep(14)
        await self.turn(3)
        self.assertEqual(client.received, b"")
        self.sweep(16)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (504, "instance_timeout"))
        self.assertEqual((await patient.answer()).status, 200)
        self.assertEqual(self.cluster.failures, 2)

    async def test_the_time_is_the_routes(self) -> None:
        """A request has the time that its route gives it, and not that of others to the same instance."""
        slow = self.instance(silent)
        own = (("timeout_first_byte", 1.0), ("retry.attempts", 0))
        await self.open(slow, routes=(RouteSpec("", "/"), RouteSpec("", "/quick/", name="quick", options=own)))
        hasty, patient = await self.client(), await self.client()
        hasty.send(request(target=b"/quick/"))
        patient.send(request())
        await self.until(lambda: len(slow.requests) == 2)
        self.overdue(2)
        self.assertEqual((await hasty.answer()).json()["reason"][:20], "no answer within 1 s")
        self.assertEqual(patient.received, b"")
        patient.reset()
        await self.at_rest()

    async def test_a_head_without_an_end(self) -> None:
        """A head that comes byte by byte is no answer yet, however lively: its time is that of no answer at all."""
        slow, good = self.instance(says(b"HTTP/1.1 200 OK\r\nX-A: a")), self.instance()
        await self.open(slow, good)
        client, patient = await self.client(), await self.client()
        client.send(request(b"POST", b"/", body=b"x"))
        patient.send(request(b"GET", b"/"))
        await self.until(lambda: len(slow.requests) == 2)
        for seconds in range(15):
            for conversation in slow.conversations:
                conversation.transport.write(b"a")
            await self.turn(3)
            self.sweep(seconds)
        self.assertEqual((client.received, patient.received), (b"", b""))
        self.sweep(16)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (504, "instance_timeout"))
        self.assertEqual((await patient.answer()).status, 200)

    async def test_an_answer_that_stops(self) -> None:
        """An instance that falls silent in the middle of its answer: the client sees it broken."""
        await self.open(self.instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")))
        client = await self.client()
        client.send(request())
        await client.up_to(b"half")
        self.sweep()
        self.sweep(59)
        await self.turn(3)
        self.assertEqual(client.end, "")
        self.sweep(61)
        self.assertEqual(await client.ended(), "reset")
        await self.at_rest()

    async def test_a_client_that_takes_its_time_to_ask(self) -> None:
        """The instance's time to answer starts when it has the whole request."""
        shop = self.instance()
        await self.open(shop)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 6"), b"abc")
        await self.until(lambda: shop.conversations and shop.conversations[0].received.endswith(b"abc"))
        self.overdue(40)
        client.send(b"def")
        self.assertEqual((await client.answer()).status, 200)

    async def test_an_instance_that_does_not_take_the_request(self) -> None:
        """An upload that stands still because the instance does not read: 504."""

        async def script(conversation: Conversation) -> None:
            conversation.pause()
            await self.until(lambda: bool(client.tail))
            conversation.resume()
            await conversation.ended()

        await self.open(self.instance(script))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 30000000"), b"x" * 30000000)
        await self.until(lambda: self.unsent() > 65536)
        await self.turn(20)
        self.overdue(61)
        answer = await client.answer()
        self.assertEqual(answer.status, 504)


class BackpressureTests(Scene):
    async def test_a_client_that_does_not_read(self) -> None:
        """A long answer, by length, in chunks or until the end, waits at the instance and not in the gateway."""
        size = 24_000_000

        def by_length(conversation: Conversation) -> None:
            conversation.send(response(b"x" * size))

        def in_chunks(conversation: Conversation) -> None:
            conversation.send(CHUNKED, chunked(*[b"x" * 100_000] * (size // 100_000)))

        def until_the_end(conversation: Conversation) -> None:
            conversation.send(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * size)
            conversation.close()

        ways: Iterator[Callable[[Conversation], Any]] = iter((by_length, in_chunks, until_the_end))

        async def script(conversation: Conversation) -> None:
            while True:
                await take(conversation)
                next(ways)(conversation)

        await self.open(self.instance(script))
        for _ in range(3):
            client = await self.client(window=4096)
            client.pause()
            client.send(request())
            self.assertLess(await self.stands_still(), 400_000)
            client.resume()
            answer = await client.answer()
            self.assertEqual((len(answer.body), answer.body.count(b"x")), (size, size))
            client.close()

    async def test_a_held_back_connection_is_kept_in_working_order(self) -> None:
        """An answer that ended while its client was not reading: the next request on that connection is answered."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\nx")
            (connection,) = self.plane.connections
            stream = connection.stream
            assert stream is not None
            await self.until(lambda: connection.current is None or connection.current.head_sent)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            for _ in range(2):
                before = stream.unsent
                conversation.send(b"x" * 50000)
                await self.until(lambda before=before: stream.unsent > before)
            while True:
                message = await take(conversation)
                conversation.send(response(message.target))

        shop = self.instance(script)
        await self.open(shop)
        client = await self.client(window=4096)
        client.pause()
        client.send(request())
        await self.until(lambda: self.idle() == 1, "the instance is done")
        self.assertGreater(self.unsent(), 65536, "and its client is not")
        self.assertEqual((await self.ask(request(b"GET", b"/next"))).body, b"/next")
        client.resume()
        self.assertEqual(len((await client.answer()).body), 100001)
        self.assertEqual(len(shop.conversations), 1)

    async def test_an_instance_that_does_not_read(self) -> None:
        """A long upload waits at the client and not in the gateway."""
        size = 24_000_000

        async def script(conversation: Conversation) -> None:
            conversation.pause()
            await self.until(lambda: self.waiting)
            conversation.resume()
            while True:
                message = await take(conversation)
                conversation.send(response(b"%d" % len(message.body)))
                conversation.pause()
                self.waiting = False
                await self.until(lambda: self.waiting)
                conversation.resume()

        self.waiting = False
        await self.open(self.instance(script))
        client = await self.client()
        for data in (
            request(b"POST", b"/", body=b"x" * size),
            request(b"POST", b"/", b"Transfer-Encoding: chunked") + chunked(*[b"x" * 100_000] * (size // 100_000)),
        ):
            client.send(data)
            self.assertLess(await self.stands_still(), 400_000)
            self.waiting = True
            self.assertEqual((await client.answer()).body, b"%d" % size)
        self.waiting = True

    async def test_both_ways_at_once(self) -> None:
        """An instance that answers while it reads: long both ways, nothing piles up, nothing is lost."""
        size = 12_000_000

        async def script(conversation: Conversation) -> None:
            await conversation.up_to(b"\r\n\r\n")
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            done = 0
            while done < size:
                await conversation.until(lambda: bool(conversation.received))
                piece = bytes(conversation.received)
                conversation.received.clear()
                done += len(piece)
                conversation.send(piece)

        await self.open(self.instance(script))
        client = await self.client()
        data = bytes(range(250)) * (size // 250)
        client.send(request(b"POST", b"/", b"Content-Length: %d" % size), data)
        answer = await client.answer()
        self.assertTrue(answer.body == data)
