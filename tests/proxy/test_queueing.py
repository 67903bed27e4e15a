"""Tests of wmesh.proxy.queueing: what becomes of a request that nobody can take now."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.proxy.support import (
    Conversation,
    Instance,
    Scene,
    request,
    response,
    take,
)
from wmesh.model import QueueSpec
from wmesh.proxy.exchange import Exchange


class QueueTests(Scene):
    """One instance with one place, which a first request has taken."""

    async def busy(self, length: int = 10, **more: Any) -> Instance:
        shop = self.instance(self._when_told)
        self.told: Deferred[None] = Deferred()
        await self.open(shop, instance_max_connections=1, queue=QueueSpec(length, 5.0), **more)
        self.first = await self.client()
        self.first.send(request(b"GET", b"/first"))
        await self.until(lambda: len(shop.requests) == 1)
        return shop

    async def _when_told(self, conversation: Conversation) -> None:
        while True:
            message = await take(conversation)
            if message.target == b"/first":
                await self.told
            conversation.send(response(message.target + message.body))

    async def queued(self, count: int) -> None:
        await self.until(lambda: self.cluster.queued() == count, f"{count} wait")

    async def answered_in_the_end(self, size: int) -> None:
        await self.busy()
        client = await self.client()
        client.send(request(b"POST", b"/next", body=b"x" * size))
        await self.queued(1)
        self.told.callback(None)
        answer = await client.answer()
        self.assertEqual((answer.status, len(answer.body)), (200, size + 5))
        self.assertEqual((await self.first.answer()).status, 200)

    async def test_it_waits_and_is_answered(self) -> None:
        """With its body, which came while it waited."""
        await self.answered_in_the_end(3)

    async def test_its_time_is_looked_at(self) -> None:
        """By the sweep of short deadlines, whatever else goes on; who left the queue is not looked at any more."""
        await self.busy()
        client = await self.client()
        client.send(request(b"GET", b"/next"))
        await self.queued(1)
        (waits,) = [one for one in self.plane.deadlines.watched() if isinstance(one, Exchange)]
        self.sweep(4.5)
        self.assertEqual(self.cluster.queued(), 1)
        self.sweep(5.1)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (503, "queue_timeout"))
        self.assertFalse(self.plane.deadlines.watches(waits))
        client.send(request(b"GET", b"/next"))
        await self.queued(1)
        self.told.callback(None)
        self.assertEqual((await client.answer()).status, 200)
        self.assertFalse([one for one in self.plane.deadlines.watched() if isinstance(one, Exchange)])

    async def test_with_a_long_body(self) -> None:
        """Of which no more is taken in while it waits than it may keep."""
        await self.answered_in_the_end(3_000_000)

    async def test_its_client_leaves(self) -> None:
        """Nothing is sent for it, its place in the queue is free, and the one behind it is served."""
        shop = await self.busy()
        gone, stays = await self.client(), await self.client()
        gone.send(request(b"GET", b"/gone"))
        await self.queued(1)
        stays.send(request(b"GET", b"/stays"))
        await self.queued(2)
        gone.reset()
        await self.queued(1)
        self.told.callback(None)
        self.assertEqual((await stays.answer()).body, b"/stays")
        self.assertEqual([message.target for message in shop.requests], [b"/first", b"/stays"])

    async def test_its_client_closes(self) -> None:
        """One that sends no more cannot be told from one that has gone: it leaves the queue, or is refused at once."""
        shop = await self.busy()
        gone = await self.client()
        gone.send(request(b"GET", b"/gone"))
        await self.queued(1)
        gone.half_close()
        await self.queued(0)
        late = await self.client()
        late.send(request(b"GET", b"/late"))
        late.half_close()
        await self.until(lambda: late.gone or self.traffic["shop"].refused or not self.cluster.queued(), "it is told")
        await self.queued(0)
        self.told.callback(None)
        self.assertEqual((await self.first.answer()).status, 200)
        self.assertEqual([message.target for message in shop.requests], [b"/first"])

    async def test_it_waits_too_long(self) -> None:
        """503, how long it waited and why, when to come again; and the connection goes on."""
        await self.busy()
        client = await self.client()
        client.send(request(b"GET", b"/late"), request(b"GET", b"/nowhere"))
        await self.queued(1)
        self.cluster.review(self.plane.clock() + 5.0)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (503, "queue_timeout"))
        self.assertEqual(answer.value(b"Retry-After"), b"1")
        await self.queued(1)
        self.told.callback(None)
        self.assertEqual((await client.answer()).body, b"/nowhere")

    async def test_a_full_queue(self) -> None:
        """One more is refused at once."""
        await self.busy(length=1)
        waiting = await self.client()
        waiting.send(request(b"GET", b"/waits"))
        await self.queued(1)
        answer = await self.ask(request(b"GET", b"/full"))
        self.assertEqual((answer.status, answer.json()["error"]), (503, "queue_full"))
        self.told.callback(None)
        self.assertEqual((await waiting.answer()).status, 200)

    async def test_it_is_told_what_became_of_it(self) -> None:
        """The record of a request that waited says so, with times; that of one that did not has no steps."""
        await self.busy()
        client = await self.client()
        client.send(request(b"GET", b"/next"))
        await self.queued(1)
        self.told.callback(None)
        await client.answer()
        found = {record[5]: record for record in self.plane.decisions}
        self.assertEqual([what.partition(":")[0] for _, what in found[b"/next"][8]], ["waits", "shop-0 can take it"])
        first = found[b"/first"]
        assert first[7] is not None
        self.assertEqual((first[6], first[7].record.id, list(first[8])), (200, "shop-0", []))
