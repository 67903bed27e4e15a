"""Tests of wmesh.proxy.cache.question: what an instance is asked on behalf of the cache."""

from __future__ import annotations

from ipaddress import ip_network

from tests.proxy.cache.scene import OLD, CacheScene
from tests.proxy.support import response
from wmesh.proxy.cache.question import for_others


class QuestionTests(CacheScene):
    async def test_what_is_sent(self) -> None:
        """All that the client says, but for the conditions, which the cache answers itself."""
        shop = await self.cached(lambda message: response(b"x", b"200 OK", *OLD))
        fields = (b"Accept: a/b", b"Cookie: c=d", b'If-None-Match: "x"', b"If-Modified-Since: y")
        await self.get(*fields, target=b"/a?b=c")
        (asked,) = shop.requests
        self.assertEqual(asked.start, b"GET /a?b=c HTTP/1.1")
        self.assertEqual((asked.value(b"Accept"), asked.value(b"Cookie")), (b"a/b", b"c=d"))
        self.assertEqual((asked.value(b"If-None-Match"), asked.value(b"If-Modified-Since")), (None, None))
        self.assertEqual((asked.value(b"Host"), asked.value(b"X-Forwarded-For")), (b"shop.test", b"127.0.0.1"))

    async def test_claims(self) -> None:
        """What a trusted proxy says of its client goes on to the instance."""
        shop = await self.cached(lambda message: response(), gateway={"trusted_proxies": (ip_network("127.0.0.0/8"),)})
        await self.get(b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: https")
        self.assertEqual(shop.requests[0].value(b"X-Forwarded-For"), b"192.0.2.7, 127.0.0.1")
        self.assertEqual(shop.requests[0].value(b"X-Forwarded-Proto"), b"https")

    async def test_tickets(self) -> None:
        """Each fetch counts at its instance, and each client's request once in the traffic."""
        await self.cached(lambda message: response(b"x", b"200 OK", b"Cache-Control: max-age=60"))
        await self.get()
        await self.get()
        await self.at_rest()
        self.assertEqual(self.traffic["shop"].requests, 2)

    def test_others(self) -> None:
        """A failure of an instance is told to those who waited in the gateway's words."""
        self.assertEqual([for_others(status, "shop").status for status in (500, 502, 503, 504, 599)],
                         [502, 502, 503, 504, 502])  # fmt: skip
