"""Tests of wmesh.proxy.cache.answer: what is stored, written for one client."""

from __future__ import annotations

from tests.proxy.cache.scene import CacheScene, fresh
from tests.proxy.support import response

BODY = b"0123456789"
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


class AnswerTests(CacheScene):
    async def stored(self, *fields: bytes, body: bytes = BODY) -> None:
        await self.cached(lambda message: fresh(body, b"Content-Type: text/plain", *fields))
        await self.get()

    async def test_not_modified(self) -> None:
        """By tag or by date: a 304 with its validator, and nothing of the body."""
        await self.stored(b'ETag: "a"', b"Last-Modified: " + DATE)
        for field in (b'If-None-Match: "x", W/"a"', b"If-Modified-Since: " + DATE):
            client = await self.client()
            client.send(b"GET / HTTP/1.1\r\nHost: shop.test\r\n%b\r\n\r\n" % field)
            answer = await client.answer()
            self.assertEqual((answer.status, answer.value(b"ETag")), (304, b'"a"'))
            self.assertEqual((answer.value(b"Content-Type"), answer.value(b"Content-Length")), (None, None))
            self.assertIn(b"hit", answer.value(b"Cache-Status") or b"")
        self.assertEqual((await self.get(b'If-None-Match: "b"')).status, 200)

    async def test_parts(self) -> None:
        """One range; what is not there; what is not understood."""
        await self.stored(b'ETag: "a"')
        answer = await self.get(b"Range: bytes=2-4")
        self.assertEqual((answer.status, answer.body), (206, b"234"))
        self.assertEqual(answer.value(b"Content-Range"), b"bytes 2-4/10")
        self.assertEqual(answer.value(b"Content-Type"), b"text/plain")
        self.assertEqual((await self.get(b"Range: bytes=-1")).body, b"9")
        answer = await self.get(b"Range: bytes=10-")
        self.assertEqual((answer.status, answer.body), (416, b""))
        self.assertEqual(answer.value(b"Content-Range"), b"bytes */10")
        self.assertEqual((await self.get(b"Range: bytes=0-1, 3-4")).body, BODY)
        self.assertEqual((await self.get(b"Range: bytes=0-1", b'If-Range: "b"')).body, BODY)
        self.assertEqual((await self.get(b"Range: bytes=0-1", b'If-Range: "a"')).body, b"01")

    async def test_errors_have_no_parts(self) -> None:
        await self.cached(lambda message: response(b"lost", b"404 Not Found", b"Cache-Control: max-age=60"))
        await self.get()
        answer = await self.get(b"Range: bytes=0-1")
        self.assertEqual((answer.status, answer.body), (404, b"lost"))
        self.assertIn(b"hit", answer.value(b"Cache-Status") or b"")

    async def test_no_content(self) -> None:
        """A 204 has no length."""
        await self.cached(lambda message: b"HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n")
        await self.get()
        answer = await self.get()
        self.assertEqual((answer.status, answer.value(b"Content-Length")), (204, None))
        self.assertIn(b"hit", answer.value(b"Cache-Status") or b"")

    async def test_large(self) -> None:
        """Whole, however long it takes."""
        await self.stored(body=b"x" * 300_000)
        answer = await self.get()
        self.assertEqual(answer.body, b"x" * 300_000)
        self.assertIn(b"hit", answer.value(b"Cache-Status") or b"")

    async def test_draining(self) -> None:
        """A gateway that is stopping says that the connection ends."""
        await self.stored()
        client = await self.client()
        client.send(b"GET / HTTP/1.1\r\nHost: shop.test\r\n")
        await self.until(lambda: any(getattr(side, "partial", b"") for side in self.plane.connections))
        self.plane.draining = True
        client.send(b"\r\n")
        self.assertEqual((await client.answer()).value(b"Connection"), b"close")
        self.plane.draining = False
