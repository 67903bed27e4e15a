"""Tests of wmesh.proxy.cache.crowd: many who want the same at the same time."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from tests.policy.caching.scene import asks
from tests.proxy.cache.scene import FRESH, MODIFIED, CacheScene, fresh
from tests.proxy.support import Conversation, Instance, Message, request, response, silent, take
from wmesh.model import RetrySpec

ONCE = RetrySpec(attempts=0)


def soon(work: Awaitable[Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(work)  # type: ignore[arg-type]


class CrowdTests(CacheScene):
    asked = 0
    """How many requests the instance had before the crowd came."""

    async def crowd(self, count: int, *fields: bytes) -> list[Deferred[Message]]:
        """So many clients that all wait for the same, each on a connection of its own."""
        asking = [soon(self.get(*fields)) for _ in range(count)]
        await self.waiting(count - 1)
        return asking

    async def waiting(self, count: int) -> None:
        """So many wait, and the instance has what they wait for."""
        await self.until(
            lambda: (
                sum(len(crowd.waiting) for crowd in self.cache.crowds.values()) == count
                and all(shop.conversations for shop in self.instances[:1])
                and len(self.instances[0].requests) > self.asked
            ),
            "all of them wait",
        )

    async def grown_old(self, shop: Instance) -> None:
        """An answer is stored that has just become stale."""
        first = soon(self.get())
        await self.until(lambda: shop.requests)
        shop.conversations[0].send(fresh(b"old", b'ETag: "a"'))
        await first
        entry, _ = self.store.find(b"shop http://shop.test/", asks())
        entry.fresh_until = entry.revalidate_until = self.plane.clock()
        self.asked = 1

    async def test_one_fetch(self) -> None:
        """A cold key costs one fetch, and everybody gets its answer as it comes."""
        shop = await self.cached(silent)
        asking = await self.crowd(50)
        self.assertEqual(len(shop.requests), 1)
        shop.conversations[0].send(fresh(b"hello"))
        answers = await gatherResults(asking)
        self.assertEqual([answer.body for answer in answers], [b"hello"] * 50)
        self.assertEqual((len(shop.requests), self.cache.collapsed), (1, 49))
        told = sorted({answer.value(b"Cache-Status") for answer in answers})
        self.assertEqual(told, [b"wmesh; fwd=uri-miss; fwd-status=200; stored",
                                b"wmesh; fwd=uri-miss; fwd-status=200; stored; collapsed"])  # fmt: skip
        self.assertEqual((self.cache.crowds, self.cache.coming, self.cache.fetches), ({}, {}, set()))

    async def test_late_comers(self) -> None:
        """Who comes in the middle of the body gets all of it."""
        shop = await self.cached(silent)
        first = await self.client()
        first.send(request())
        await self.until(lambda: shop.requests)
        shop.conversations[0].send(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 4\r\n\r\nol" % FRESH)
        await first.up_to(b"ol")
        late = soon(self.get())
        await self.until(lambda: self.cache.collapsed)
        shop.conversations[0].send(b"d!")
        self.assertEqual(((await late).body, len(shop.requests)), (b"old!", 1))

    async def test_failures_are_shared(self) -> None:
        """A thousand clients of an instance that fails are one request to it, and a thousand answers."""
        shop = await self.cached(silent, retry=ONCE)
        asking = await self.crowd(300)
        shop.conversations[0].reset()
        answers = await gatherResults(asking)
        self.assertEqual({answer.status for answer in answers}, {502})
        self.assertEqual(len({answer.value(b"X-Request-Id") for answer in answers}), 300)
        self.assertEqual(len(shop.requests), 1)
        self.assertEqual(self.cache.crowds, {})

    async def test_an_instance_that_says_it_fails(self) -> None:
        """Its words are for whose request it was; the others hear from the gateway."""
        shop = await self.cached(silent, retry=ONCE)
        asking = await self.crowd(20)
        shop.conversations[0].send(response(b"secret", b"503 Busy"))
        answers = await gatherResults(asking)
        self.assertEqual([answer.status for answer in answers], [503] * 20)
        self.assertEqual(sum(answer.body == b"secret" for answer in answers), 1)
        self.assertEqual(len(shop.requests), 1)

    async def test_private_answers(self) -> None:
        """An answer for one is for one: the others ask for themselves, and for a while nobody waits here."""

        async def script(conversation: Conversation) -> None:
            first = await take(conversation)
            if len(shop.requests) > 1:
                conversation.send(response(first.value(b"Cookie") or b"", b"200 OK", b"Cache-Control: private"))
            while True:
                message = await take(conversation)
                conversation.send(response(message.value(b"Cookie") or b"", b"200 OK", b"Cache-Control: private"))

        shop = await self.cached(script)
        asking = [soon(self.get(b"Cookie: n=%d" % number)) for number in range(10)]
        await self.waiting(9)
        shop.conversations[0].send(
            response(shop.requests[0].value(b"Cookie") or b"", b"200 OK", b"Cache-Control: private")
        )
        answers = await gatherResults(asking)
        self.assertEqual([answer.body for answer in answers], [b"n=%d" % number for number in range(10)])
        self.assertEqual(len(shop.requests), 10)
        self.assertEqual(await self.told(b"Cookie: n=11"), b"wmesh; fwd=uri-miss; fwd-status=200")
        self.assertEqual(self.store.count, 0)

    async def test_whom_it_does_not_suit(self) -> None:
        """When the answer tells that it depends on what they differ in, they ask again, each kind once."""

        async def script(conversation: Conversation) -> None:
            message = await take(conversation)
            if len(shop.requests) == 1:
                return
            while True:
                conversation.send(fresh(message.value(b"Foo") or b"", b"Vary: Foo"))
                message = await take(conversation)

        shop = await self.cached(script)
        asking = [soon(self.get(b"Foo: %d" % (number % 2))) for number in range(8)]
        await self.waiting(7)
        shop.conversations[0].send(fresh(shop.requests[0].value(b"Foo") or b"", b"Vary: Foo"))
        answers = await gatherResults(asking)
        self.assertEqual([answer.body for answer in answers], [b"0", b"1"] * 4)
        self.assertEqual((len(shop.requests), self.store.count), (2, 2))

    async def test_validation(self) -> None:
        """A stale answer is asked about once for all."""
        shop = await self.cached(silent)
        await self.grown_old(shop)
        asking = await self.crowd(20)
        shop.conversations[0].send(MODIFIED % b"Cache-Control: max-age=60")
        self.assertEqual([answer.body for answer in await gatherResults(asking)], [b"old"] * 20)
        self.assertEqual((len(shop.requests), self.cache.revalidated), (2, 1))

    async def test_stale_for_all(self) -> None:
        """When nobody answers, the stale answer is for all of them."""
        shop = await self.cached(silent, retry=ONCE)
        await self.grown_old(shop)
        asking = await self.crowd(20)
        shop.conversations[0].reset()
        self.assertEqual([answer.body for answer in await gatherResults(asking)], [b"old"] * 20)

    async def test_after_a_change(self) -> None:
        """Who asks after something was changed gets nothing that was asked for before."""
        shop = await self.cached(silent)
        before = soon(self.get())
        await self.until(lambda: shop.requests)
        change = soon(self.ask(request(b"POST", body=b"x")))
        await self.until(lambda: len(shop.requests) == 2)
        shop.conversations[1].send(response())
        await change
        after = soon(self.get())
        await self.until(lambda: len(shop.requests) == 3)
        shop.conversations[0].send(fresh(b"old"))
        self.assertEqual((await before).body, b"old")
        shop.conversations[1].send(fresh(b"new"))
        self.assertEqual((await after).body, b"new")
        self.assertEqual((await self.get()).body, b"new")

    async def test_what_one_alone_would_take(self) -> None:
        """A client that takes very old answers gets one; the others of its crowd do not."""
        shop = await self.cached(silent, retry=ONCE)
        await self.grown_old(shop)
        entry, _ = self.store.find(b"shop http://shop.test/", asks())
        entry.error_until = entry.fresh_until
        leader = soon(self.get(b"Cache-Control: stale-if-error=600"))
        await self.until(lambda: len(shop.requests) == 2)
        other = soon(self.get())
        await self.until(lambda: any(crowd.waiting for crowd in self.cache.crowds.values()))
        shop.conversations[0].send(response(b"", b"500 Oh"))
        self.assertEqual(((await leader).body, (await other).status), (b"old", 502))

    async def test_the_leader_leaves(self) -> None:
        """The others still get what he asked for, if it is for all."""
        shop = await self.cached(silent)
        leader = await self.client()
        leader.send(request())
        await self.until(lambda: shop.requests)
        other = soon(self.get())
        await self.until(lambda: any(crowd.waiting for crowd in self.cache.crowds.values()))
        leader.reset()
        await self.until(lambda: all(fetch.leader is None for fetch in self.cache.fetches))
        shop.conversations[0].send(fresh(b"hello"))
        self.assertEqual(((await other).body, len(shop.requests)), (b"hello", 1))

    async def test_all_leave(self) -> None:
        """Nobody wants it any more: the instance need not go on."""
        shop = await self.cached(silent)
        clients = [await self.client() for _ in range(3)]
        for client in clients:
            client.send(request())
        await self.waiting(2)
        for client in clients:
            client.reset()
        await shop.conversations[0].lost()
        self.assertEqual((self.cache.crowds, self.cache.fetches), ({}, set()))

    async def test_one_that_takes_long(self) -> None:
        """Another one is sent after it, which may meet a better instance; its answer is for all who wait."""
        slow, quick = self.instance(silent), self.instance(silent)
        await self.open(slow, quick, cache=self._spec(), max_connections=0)
        asking = await self.crowd(10)
        self.assertEqual((len(slow.requests), len(quick.requests)), (1, 0))
        self.sweep(4.9)
        self.assertEqual(len(self.cache.fetches), 1)
        self.sweep(5.1)
        await self.until(lambda: len(slow.requests) + len(quick.requests) == 2)
        self.assertEqual(len(self.cache.fetches), 2)
        late = next(c for shop in (slow, quick) for c in reversed(shop.conversations) if c is not slow.conversations[0])
        late.send(fresh(b"hello"))
        await self.until(lambda: sum(work.called for work in asking) == 9)
        slow.conversations[0].send(fresh(b"hello"))
        self.assertEqual([answer.body for answer in await gatherResults(asking)], [b"hello"] * 10)

    @staticmethod
    def _spec() -> object:
        from wmesh.model import CacheSpec

        return CacheSpec(enabled=True)

    async def test_out_of_time(self) -> None:
        """Who waits has only as much time as any request."""
        shop = await self.cached(silent, timeout_request=5.0)
        asking = await self.crowd(3)
        self.sweep(5.1)
        answers = await gatherResults(asking)
        self.assertEqual([answer.status for answer in answers], [504] * 3)
        self.assertEqual(len(shop.requests), 1)
