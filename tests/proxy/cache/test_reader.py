"""Tests of wmesh.proxy.cache.reader: one client's pace, and his framing."""

from __future__ import annotations

from tests.proxy.cache.scene import FRESH, CacheScene, fresh
from tests.proxy.support import chunked, request, silent


class ReaderTests(CacheScene):
    async def test_framing(self) -> None:
        """An HTTP/1.0 client gets the body until the end of the connection, others get chunks."""
        coded = b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (FRESH, chunked(b"he", b"llo"))
        await self.cached(lambda message: coded)
        client = await self.client()
        client.send(b"GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        answer = await client.answer()
        self.assertEqual((answer.body, answer.value(b"Transfer-Encoding")), (b"hello", None))
        answer = await self.get(target=b"/other")
        self.assertEqual((answer.body, answer.value(b"Transfer-Encoding")), (b"hello", b"chunked"))

    async def test_the_slow_and_the_quick(self) -> None:
        """A client that reads nothing keeps nobody else waiting, and what is kept is kept."""
        size = 900_000
        shop = await self.cached(silent)
        slow = await self.client(window=4096)
        slow.pause()
        slow.send(request())
        await self.until(lambda: shop.requests)
        quick = await self.client()
        quick.send(request())
        await self.until(lambda: any(crowd.waiting for crowd in self.cache.crowds.values()))
        shop.conversations[0].send(fresh(b"x" * size))
        self.assertEqual(len((await quick.answer()).body), size)
        await self.until(lambda: self.store.count)
        slow.resume()
        self.assertEqual(len((await slow.answer()).body), size)
        self.assertEqual(self.store.coming, 0)

    async def test_broken(self) -> None:
        """All who read an answer that breaks off see that it did."""
        shop = await self.cached(silent)
        clients = [await self.client() for _ in range(3)]
        for client in clients:
            client.send(request())
        waiting = self.cache.crowds
        await self.until(lambda: shop.requests and sum(len(crowd.waiting) for crowd in waiting.values()) == 2)
        shop.conversations[0].send(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 10\r\n\r\nhell" % FRESH)
        for client in clients:
            await client.up_to(b"hell")
        shop.conversations[0].close()
        self.assertEqual([await client.ended() for client in clients], ["reset"] * 3)
        self.assertEqual((self.store.count, self.traffic["shop"].aborted), (0, 3))

    async def test_conditions_on_what_comes(self) -> None:
        """A client that has it already is told so, while the cache gets all of it."""
        await self.cached(lambda message: fresh(b"hello", b'ETag: "a"'))
        client = await self.client()
        client.send(request(b"GET", b"/", b'If-None-Match: "a"'))
        self.assertEqual((await client.answer()).status, 304)
        await self.until(lambda: self.store.count)
        self.assertEqual((await self.get()).body, b"hello")
