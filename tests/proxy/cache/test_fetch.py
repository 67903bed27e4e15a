"""Tests of wmesh.proxy.cache.fetch: what is recorded on its way, and what not."""

from __future__ import annotations

from ipaddress import ip_network

from tests.proxy.cache.scene import FRESH, MODIFIED, OLD, CacheScene, fresh
from tests.proxy.support import Message, chunked, request, response
from wmesh.model import StickySpec


class RecordingTests(CacheScene):
    async def test_framings(self) -> None:
        """Chunks, or until the connection ends: what is stored is the body alone."""
        start = b"HTTP/1.1 200 OK\r\n" + FRESH + b"\r\n"
        for number, data in enumerate((start + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"he", b"llo"),
                                       start + b"\r\nhello")):  # fmt: skip
            await self._again()
            shop = await self.cached(lambda message, data=data: data)  # type: ignore[misc]
            client = await self.client()
            client.send(request())
            if number:
                await client.up_to(b"hello")
                shop.conversations[0].close()
                client.reset()
                await self.until(lambda: self.store.count)
            else:
                self.assertEqual((await client.answer()).body, b"hello")
            answer = await self.get()
            self.assertEqual((answer.body, answer.value(b"Content-Length")), (b"hello", b"5"))
            self.assertEqual(len(shop.requests), 1)

    async def _again(self) -> None:
        if self.instances:
            await self._take_down()
            self.instances.clear(), self.clients.clear(), self.ports.clear()

    async def test_broken_answers(self) -> None:
        """An answer that ends early is broken for its client, and not stored."""
        shop = await self.cached(lambda message: b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 10\r\n\r\nhell" % FRESH)
        client = await self.client()
        client.send(request())
        await client.up_to(b"hell")
        shop.conversations[0].close()
        self.assertEqual(await client.ended(), "reset")
        self.assertEqual((self.store.count, self.traffic["shop"].aborted), (0, 1))

    async def test_surplus(self) -> None:
        """What comes behind an answer is no part of it."""
        await self.cached(lambda message: b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\nhello" % FRESH)
        self.assertEqual(((await self.get()).body, (await self.get()).body), (b"he", b"he"))

    async def test_too_large(self) -> None:
        """What is too large passes through, whether it says so before or not."""
        large = b"x" * 3000
        coded = b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (FRESH, chunked(large))
        shop = await self.cached(lambda m: fresh(large) if m.target == b"/a" else coded, spec={"object_limit": 2999})
        for target in (b"/a", b"/a", b"/b", b"/b"):
            self.assertEqual((await self.get(target=target)).body, large)
        self.assertEqual((self.store.count, len(shop.requests)), (0, 4))

    async def test_slow_clients(self) -> None:
        """What is not kept waits for its client: the gateway does not take it all in."""
        size = 30_000_000
        await self.cached(lambda message: response(b"x" * size))
        client = await self.client(window=4096)
        client.pause()
        client.send(request())
        await self.until(lambda: any(fetch._slowed for fetch in self.cache.fetches), "it is held back")
        (fetch,) = self.cache.fetches
        self.assertEqual(fetch.unsent, 1)
        self.assertLess(sum(map(len, fetch.pieces)), 1_000_000)
        client.resume()
        self.assertEqual(len((await client.answer()).body), size)

    async def test_a_client_that_leaves(self) -> None:
        """What can be kept is fetched to its end; what cannot is not."""
        for field, kept in ((FRESH, 1), (b"Cache-Control: no-store", 0)):
            await self._again()
            shop = await self.cached(
                lambda m, field=field: b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 4\r\n\r\nol" % field
            )  # type: ignore[misc]
            client = await self.client()
            client.send(request())
            await client.up_to(b"ol")
            client.reset()
            if kept:
                await self.until(lambda: not any(fetch.readers for fetch in self.cache.fetches))
                shop.conversations[0].send(b"d!")
                await self.until(lambda: self.store.count)
            else:
                await shop.conversations[0].lost()
            self.assertEqual(self.store.count, kept)

    async def test_interim_answers(self) -> None:
        """They reach who asked, and are not stored."""
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        await self.cached(lambda message: hint + fresh(b"x"))
        client = await self.client()
        client.send(request())
        self.assertEqual((await client.message()).status, 103)
        self.assertEqual((await client.message()).body, b"x")
        client.send(request())
        self.assertEqual((await client.message()).status, 200)

    async def test_sticky_cookies(self) -> None:
        """The cookie that binds a client to its instance is his alone."""
        await self.cached(lambda message: fresh(), sticky=StickySpec(enabled=True))
        self.assertIsNotNone((await self.get()).value(b"Set-Cookie"))
        self.assertIsNone((await self.get()).value(b"Set-Cookie"))

    async def test_too_much_at_once(self) -> None:
        """What is recorded at the same time is bounded, too: an answer that finds no room passes through."""
        await self.cached(lambda message: fresh(b"x" * 1000))
        self.store.coming = int(self.store.budget * 0.5) - 999
        self.assertEqual((await self.get()).body, b"x" * 1000)
        self.assertEqual(self.store.count, 0)
        self.store.coming -= 1
        await self.get(target=b"/b")
        self.assertEqual((self.store.count, self.store.coming), (1, int(self.store.budget * 0.5) - 1000))
        self.store.coming = 0


class ValidationTests(CacheScene):
    async def test_confirmed(self) -> None:
        """The instance is asked with the validator, and without the client's conditions; what it adds is stored."""

        def act(message: Message) -> bytes:
            if message.value(b"If-None-Match") is None:
                return response(b"old", b"200 OK", *OLD, b"X-A: 1", b"X-B: 1")
            return MODIFIED % b'ETag: "a"\r\nCache-Control: max-age=60\r\nX-A: 2'

        shop = await self.cached(act)
        await self.get()
        answer = await self.get(b'If-None-Match: "z"', b"If-Modified-Since: x", b"Range: bytes=0-0")
        self.assertEqual(
            (answer.status, answer.body, answer.value(b"X-A"), answer.value(b"X-B")), (206, b"o", b"2", b"1")
        )
        self.assertEqual(shop.requests[1].values(b"If-None-Match"), [b'"a"'])
        self.assertEqual(shop.requests[1].values(b"If-Modified-Since") + shop.requests[1].values(b"Range"), [])
        self.assertEqual(answer.value(b"Cache-Status"), b"wmesh; fwd=stale; fwd-status=304; stored")
        self.assertIn(b"hit", await self.told())
        self.assertEqual((len(shop.requests), self.cache.revalidated, self.store.count), (2, 1, 1))

    async def test_cookies_of_a_304(self) -> None:
        """They are for who asked: the next one does not get them."""
        said = MODIFIED % b"Set-Cookie: session=1\r\nCache-Control: max-age=60"
        await self.cached(lambda m: said if m.value(b"If-None-Match") else response(b"old", b"200 OK", *OLD))
        await self.get()
        self.assertEqual((await self.get()).values(b"Set-Cookie"), [b"session=1"])
        answer = await self.get()
        self.assertIn(b"hit", answer.value(b"Cache-Status") or b"")
        self.assertIsNone(answer.value(b"Set-Cookie"))

    async def test_no_queue_before_the_stale_answer(self) -> None:
        """Where all instances are full, and something can stand in, nobody waits for them."""
        shop = await self.cached(
            lambda m: response(b"old", b"200 OK", *OLD) if len(shop.requests) < 2 else b"", max_connections=1
        )
        await self.get()
        busy = await self.client()
        busy.send(request(target=b"/busy"))
        await self.until(lambda: len(shop.requests) == 2)
        self.assertIn(b"stale-if-error", await self.told())
        self.assertEqual(len(shop.requests), 2)

    async def test_what_operators_are_told(self) -> None:
        """A trusted client that asks for it, and who looks up the request later, hear who was asked."""
        await self.cached(lambda m: fresh(), gateway={"trusted_proxies": (ip_network("127.0.0.0/8"),)})
        answer = await self.get(b"X-Wmesh-Debug: 1")
        self.assertIn(b"instance=shop-0; attempts=1", answer.value(b"X-Wmesh-Decision") or b"")
        self.assertIn("fetched from shop-0 for the cache", self.plane.decisions[-1][-1][-1][1])

    async def test_the_client_has_it(self) -> None:
        """After the instance confirmed it, the client is told the same."""
        await self.cached(
            lambda m: MODIFIED % b"X: y" if m.value(b"If-None-Match") else response(b"old", b"200 OK", *OLD)
        )
        await self.get()
        client = await self.client()
        client.send(request(b"GET", b"/", b'If-None-Match: "a"'))
        self.assertEqual((await client.answer()).status, 304)

    async def test_a_304_about_something_else(self) -> None:
        """It speaks of another version: then it is asked for as if nothing were stored."""
        answers = [response(b"old", b"200 OK", *OLD), MODIFIED % b'ETag: "b"', fresh(b"new")]
        shop = await self.cached(lambda message: answers.pop(0))
        await self.get()
        self.assertEqual((await self.get()).body, b"new")
        self.assertIsNone(shop.requests[2].value(b"If-None-Match"))

    async def test_a_304_that_nobody_asked_for(self) -> None:
        """There is nothing that it could speak of."""
        await self.cached(lambda message: MODIFIED % b"X: y")
        answer = await self.get()
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_sent_invalid_response"))

    async def test_replaced(self) -> None:
        """Another answer takes the place of the old one, or just ends it."""
        answers = [
            response(b"old", b"200 OK", *OLD),
            fresh(b"new"),
            response(b"gone", b"200 OK", b"Cache-Control: no-store"),
        ]
        await self.cached(lambda message: answers.pop(0))
        await self.get()
        self.assertEqual(((await self.get()).body, (await self.get()).body), (b"new", b"new"))
        self.assertEqual((await self.get(b"Cache-Control: no-cache")).body, b"gone")
        self.assertEqual(self.store.count, 0)
