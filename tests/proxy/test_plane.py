"""Tests of wmesh.proxy.plane: what all connections share, how it drains and stops, and that it forgets."""

from __future__ import annotations

import contextlib
import gc
import sys

from twisted.internet.defer import Deferred
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure

from tests.proxy.support import Conversation, Ended, Scene, chunked, request, response, silent, take
from wmesh.events import InstanceRemoved
from wmesh.model import BreakerSpec, RouteSpec
from wmesh.proxy.downstream import Downstream
from wmesh.proxy.exchange import Exchange
from wmesh.proxy.pool import Dial
from wmesh.proxy.upstream import Upstream


class DrainTests(Scene):
    async def test_nobody_there(self) -> None:
        """With no client there is nothing to wait for."""
        await self.open(self.instance())
        self.successResultOf(self.plane.drain())

    async def test_idle_connections_end(self) -> None:
        """Clients that wait between requests are let go at once."""
        await self.open(self.instance())
        fresh, used = await self.client(), await self.client()
        used.send(request())
        await used.answer()
        await self.until(lambda: len(self.plane.connections) == 2)
        drained = self.plane.drain()
        await drained
        self.assertEqual([await fresh.ended(), await used.ended()], ["fin", "fin"])

    async def test_busy_ones_finish(self) -> None:
        """A request under way is answered, with word that this was the last; the drain waits for it."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            await go
            conversation.send(response(b"finished"))

        go: Deferred[None] = Deferred()
        await self.open(self.instance(script))
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.in_flight)
        drained = self.plane.drain()
        await self.turn(3)
        self.assertNoResult(drained)
        go.callback(None)
        answer = await client.answer()
        self.assertEqual((answer.body, answer.value(b"Connection")), (b"finished", b"close"))
        self.assertEqual(await client.ended(), "fin")
        await drained

    async def test_stopping_when_drained(self) -> None:
        """The last answer may stop the whole plane, from within: nothing is logged, nothing is left."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            await go
            conversation.send(response(b"finished" * 10_000))

        go: Deferred[None] = Deferred()
        await self.open(self.instance(script), self.instance(silent))
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.in_flight)
        await self.ports[0].stopListening()
        drained = self.plane.drain()
        drained.addCallback(lambda _: self.plane.stop())
        go.callback(None)
        self.assertEqual((await client.answer()).body, b"finished" * 10_000)
        await drained
        await self.turn(3)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertNotIn(self.plane.poller, self.reactor.getReaders())

    async def test_an_answer_that_has_begun(self) -> None:
        """One whose head is out already cannot say so any more; it ends whole and its connection with it."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            await go
            conversation.send(b"world")

        go: Deferred[None] = Deferred()
        await self.open(self.instance(script))
        client = await self.client()
        client.send(request())
        await self.until(lambda: client.tail.endswith(b"hello"))
        self.plane.drain()
        go.callback(None)
        self.assertEqual((await client.answer()).body, b"helloworld")
        self.assertEqual(await client.ended(), "fin")

    async def test_no_new_requests(self) -> None:
        """What is pipelined behind the last answer is not served any more; who comes now gets one answer."""
        shop = self.instance(silent)
        await self.open(shop, routes=(RouteSpec("", "/shop/"),))
        client = await self.client()
        client.send(request(b"GET", b"/shop/1"), request(b"GET", b"/shop/2"))
        await self.until(lambda: shop.requests)
        self.plane.drain()
        shop.conversations[0].send(response(b"first"))
        self.assertEqual((await client.answer()).value(b"Connection"), b"close")
        self.assertEqual(await client.ended(), "fin")
        self.assertEqual(len(shop.requests), 1)
        late = await self.client()
        late.send(request(b"GET", b"/none"))
        answer = await late.answer()
        self.assertEqual((answer.status, answer.value(b"Connection")), (404, b"close"))
        self.assertEqual(await late.ended(), "fin")

    async def test_half_a_head(self) -> None:
        """A client in the middle of its head may finish it."""
        await self.open(self.instance())
        client = await self.client()
        client.send(request(b"GET", b"/late")[:10])
        await self.until(lambda: any(connection.partial for connection in self.plane.connections))
        drained = self.plane.drain()
        client.send(request(b"GET", b"/late")[10:])
        answer = await client.answer()
        self.assertEqual((answer.body, answer.value(b"Connection")), (b"/late", b"close"))
        await drained


class StopTests(Scene):
    async def test_everything_ends(self) -> None:
        """Whatever is under way when the plane stops is broken off, and all tickets come back."""
        shop = self.instance(silent)
        await self.open(shop)
        for data in (
            b"",
            b"GET / HT",
            request(),
            request(b"POST", b"/", b"Content-Length: 10"),
            request() + request(),
        ):
            client = await self.client()
            client.send(data)
        await self.until(lambda: self.cluster.in_flight == 3 and len(self.plane.connections) == 5)
        self.plane.stop()
        self.assertEqual((self.cluster.in_flight, len(self.plane.connections), self.streams()), (0, 0, []))
        for client in self.clients:
            await client.lost()
        self.assertEqual(self.cluster.failures, 0)

    async def test_a_reactor_that_goes_down(self) -> None:
        """A reactor that drops its readers ends all connections."""
        await self.open(self.instance(silent))
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.in_flight)
        ports, self.ports = self.ports, []
        for port in ports:
            await port.stopListening()
        self.plane.poller.connectionLost(Failure(CONNECTION_LOST))
        await client.lost()
        self.assertEqual(len(self.plane.connections), 0)


class SharedTests(Scene):
    async def test_ids(self) -> None:
        """Request ids are 20 hexadecimal digits, all different, in order."""
        await self.open()
        ids = [self.plane.next_id() for _ in range(1000)]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertTrue(all(len(one) == 20 and int(one, 16) for one in ids))

    async def test_an_instance_that_never_had_a_connection(self) -> None:
        """News of an instance without a pool is no trouble."""
        await self.open(self.instance())
        self.directory.apply(InstanceRemoved("shop", "shop-0", "deregistered"))
        self.assertEqual(self.plane.pools, {})


async def moody(conversation: Conversation) -> None:
    """Does what the target says: well, badly or not at all."""
    while True:
        message = await take(conversation)
        assert conversation.instance is not None
        conversation.instance.requests.clear()
        mood = message.target
        if mood == b"/well":
            conversation.send(response(message.body))
        elif mood == b"/chunks":
            conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"a" * 3000, b"b"))
        elif mood == b"/until-the-end":
            conversation.send(b"HTTP/1.1 200 OK\r\n\r\nall")
            conversation.close()
        elif mood == b"/short":
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            conversation.close()
        elif mood == b"/reset":
            conversation.reset()
        elif mood == b"/garbage":
            conversation.send(b"garbage\r\n\r\n")
        elif mood == b"/upgrade":
            conversation.send(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            await conversation.ended()


class ForgettingTests(Scene):
    timeout = 60

    async def one(self, number: int) -> None:
        """One exchange of one of many kinds, on a connection of its own or of the same client as before."""
        kinds = (b"/well", b"/chunks", b"/until-the-end", b"/short", b"/reset", b"/garbage", b"/silence", b"/upgrade")
        kind = kinds[number % len(kinds)]
        client = await self.client()
        before = self.cluster.requests
        if number % 3 == 0:
            client.send(request(b"POST", kind, b"Transfer-Encoding: chunked") + chunked(b"x" * 1000, b"y"))
        elif kind == b"/upgrade":
            client.send(request(b"GET", kind, b"Connection: Upgrade", b"Upgrade: websocket"))
        else:
            client.send(request(b"GET", kind))
        if kind == b"/silence" or number % 11 == 0:
            await self.until(lambda: self.cluster.requests > before)
            client.reset()
        elif kind == b"/upgrade" and number % 3:
            await client.message()
            client.send(b"frames")
        else:
            with contextlib.suppress(Ended):
                await client.answer()
        if not client.gone:
            client.reset()
        await client.lost()
        self.clients.remove(client)

    async def test_two_thousand_exchanges(self) -> None:
        """After two thousand exchanges, good, bad and broken off, nothing of them is left, and memory is level."""
        shop = self.instance(moody)
        await self.open(shop, protocol="websocket", breaker=BreakerSpec(enabled=False))
        gc.collect()
        # Held on to, so that no number of theirs is taken again; other tests' failures may keep some alive.
        before = [thing for thing in gc.get_objects() if isinstance(thing, Exchange | Downstream | Upstream)]
        known = {id(thing) for thing in before}
        blocks = []
        for number in range(2000):
            await self.one(number)
            if number % 100 == 99:
                shop.conversations[:] = shop.open
            if number in (999, 1999):
                await self.at_rest()
                await self.until(lambda: not self.plane.connections)
                gc.collect()
                blocks.append(sys.getallocatedblocks())
        plane = self.plane
        await self.until(lambda: not any(isinstance(swept, Dial) for swept in plane.deadlines.watched()))
        await self.turn(3)
        (pool,) = plane.pools.values()
        gc.collect()
        living = [thing for thing in gc.get_objects() if id(thing) not in known]
        self.assertEqual([thing for thing in living if isinstance(thing, Exchange | Downstream)], [])
        upstreams = [thing for thing in living if isinstance(thing, Upstream)]
        self.assertCountEqual(upstreams, pool.idle)
        self.assertEqual(plane.deadlines.watched(), set(pool.idle))
        self.assertEqual(len(self.streams()), len(pool.idle))
        self.assertEqual(len(shop.open), len(pool.idle))
        member = self.cluster.members["shop-0"]
        self.assertEqual((self.cluster.in_flight, member.in_flight), (0, 0))
        traffic = self.traffic["shop"]
        self.assertEqual(traffic.requests, 2000)
        self.assertGreater(traffic.aborted, 100)
        self.assertLess(blocks[1] - blocks[0], 2_000, "memory grows")
