"""Tests of wmesh.proxy.flow: requests that come again, byte for byte."""

from __future__ import annotations

import ipaddress
import socket

from tests.proxy.support import Conversation, Instance, Message, Scene, request, response, silent, spec_of, take
from wmesh.events import InstanceAdded
from wmesh.model import FallbackSpec, InstanceRecord, RouteSpec
from wmesh.proxy.flow import FLOWS, LONGEST

OFTEN = 12
"""So often a request has to come until it is remembered for sure."""


class FlowTests(Scene):
    async def repeat(self, data: bytes, client: Conversation | None = None) -> list[Message]:
        client = client or await self.client()
        answers = []
        for _ in range(OFTEN):
            client.send(data)
            answers.append(await client.answer())
        return answers

    async def test_what_comes_again_is_the_same_but_for_its_id(self) -> None:
        """The instance sees the same request each time, and clients get the same answer: only the id is another one."""
        shop = self.instance()
        await self.open(shop)
        answers = await self.repeat(request(b"GET", b"/x?y=1", b"X-Colour: blue", b"Cookie: a=b"))
        self.assertEqual(len(self.plane.flows), 1)
        self.assertEqual({answer.body for answer in answers}, {b"/x?y=1"})
        self.assertEqual(len({_without_id(seen.raw) for seen in shop.requests}), 1)
        ids = [seen.value(b"X-Request-Id") for seen in shop.requests]
        self.assertEqual(ids, [answer.value(b"X-Request-Id") for answer in answers])
        self.assertEqual(len(set(ids)), OFTEN)

    async def test_each_client_is_named(self) -> None:
        """Nothing of a client is remembered for another one."""
        shop = self.instance()
        await self.open(shop)
        data = request(b"GET", b"/x")
        await self.repeat(data)
        sock = socket.create_connection(("127.0.0.1", self.ports[0].getHost().port), source_address=("127.0.0.9", 0))
        await self.repeat(data, self.adopt(sock))
        named = [seen.value(b"X-Forwarded-For") for seen in shop.requests]
        self.assertEqual(named, [b"127.0.0.1"] * OFTEN + [b"127.0.0.9"] * OFTEN)
        self.assertEqual(len(self.plane.flows), 1)

    async def test_a_prefix_is_taken_off_each_time(self) -> None:
        """The route's share of a known request is that of the first."""
        shop = self.instance()
        await self.open(shop, routes=(RouteSpec("", "/shop/"),), strip_prefix=True)
        answers = await self.repeat(request(b"GET", b"/shop/cart"))
        self.assertEqual({answer.body for answer in answers}, {b"/cart"})
        self.assertEqual({seen.value(b"X-Forwarded-Prefix") for seen in shop.requests}, {b"/shop"})

    async def test_a_known_request_may_end_the_connection(self) -> None:
        """`Connection: close` is obeyed, however often it came before."""
        await self.open(self.instance())
        for _ in range(OFTEN):
            client = await self.client()
            client.send(request(b"GET", b"/x", b"Connection: close"))
            self.assertEqual((await client.answer()).value(b"Connection"), b"close")
            await client.ended()
        self.assertEqual(len(self.plane.flows), 1)

    async def test_each_has_its_own_time(self) -> None:
        """A request that is known has as much time as any other, counted from its own start, and tells the instance."""

        async def tires(conversation: Conversation) -> None:
            for _ in range(OFTEN):
                conversation.send(response((await take(conversation)).target))
            await silent(conversation)

        shop = self.instance(tires)
        await self.open(shop, timeout_request=3.0)
        await self.repeat(request(b"GET", b"/x"))
        self.assertEqual(len(self.plane.flows), 1)
        told = [seen.value(b"X-Envoy-Expected-Rq-Timeout-Ms") for seen in shop.requests]
        self.assertTrue(all(value is not None and 2900 < int(value) <= 3000 for value in told), told)
        client = await self.client()
        client.send(request(b"GET", b"/x"))
        await self.until(lambda: self.cluster.in_flight)
        self.sweep(2.9)
        self.assertEqual(self.cluster.in_flight, 1)
        self.sweep(3.1)
        self.assertEqual((await client.answer()).json()["error"], "deadline_exceeded")

    async def test_where_the_deadline_is_searched_for(self) -> None:
        """A field that only this service calls its deadline is taken out of each request, so each is read."""
        shop = self.instance()
        await self.open(shop, timeout_request=3.0, deadline_header="X-Patience")
        await self.repeat(request(b"GET", b"/x", b"X-Patience: 1"))
        self.assertEqual(dict(self.plane.flows), {})
        self.assertTrue(all(int(seen.value(b"X-Patience") or b"0") > 2000 for seen in shop.requests))

    async def test_what_is_not_remembered(self) -> None:
        """A body, claims, an upgrade, an unknown route, and what is too long for it."""
        await self.open(self.instance(), routes=(RouteSpec("", "/shop/"),))
        for data in (
            request(b"POST", b"/shop/", body=b"abc"),
            request(b"GET", b"/shop/", b"X-Forwarded-For: 1.2.3.4"),
            request(b"GET", b"/elsewhere"),
            request(b"GET", b"/shop/", b"X-Long: " + b"x" * LONGEST),
        ):
            await self.repeat(data)
            self.assertEqual(dict(self.plane.flows), {}, data[:80])

    async def test_trusted_clients_are_heard_each_time(self) -> None:
        """What they say of others may be believed, so it is read."""
        await self.open(self.instance(), gateway={"trusted_proxies": (ipaddress.ip_network("127.0.0.0/8"),)})
        await self.repeat(request(b"GET", b"/x"))
        self.assertEqual(dict(self.plane.flows), {})

    async def test_a_stand_in_is_not_remembered(self) -> None:
        """Who was asked because nobody else was there is asked no longer than that."""
        spare, shop = self.instance(), self.instance()
        await self.open(others=(spec_of("spare", "/spare/"),), fallback=FallbackSpec("spare"))
        self.directory.apply(InstanceAdded(InstanceRecord("spare", "spare-0", spare.address, origin="static")))
        data = request(b"GET", b"/x")
        await self.repeat(data)
        self.assertEqual(len(spare.requests), OFTEN)
        self.directory.apply(InstanceAdded(InstanceRecord("shop", "shop-0", shop.address, origin="static")))
        await self.repeat(data)
        self.assertEqual((len(spare.requests), len(shop.requests)), (OFTEN, OFTEN))

    async def test_bounded(self) -> None:
        """However many different requests come again and again, no more than so many are kept."""
        await self.open(self.instance())
        client = await self.client()
        for number in range(FLOWS + 40):
            for _ in range(8):
                client.send(request(b"GET", b"/%d" % number))
                self.assertEqual((await client.answer()).body, b"/%d" % number)
            self.assertLessEqual(len(self.plane.flows), FLOWS)

    async def test_pipelined_behind_a_known_one(self) -> None:
        """Several in one read are read one by one, known or not."""
        shop: Instance = self.instance()
        await self.open(shop)
        data = request(b"GET", b"/x")
        client = await self.client()
        await self.repeat(data, client)
        client.send(data, request(b"GET", b"/y"), data)
        self.assertEqual([(await client.answer()).body for _ in range(3)], [b"/x", b"/y", b"/x"])


def _without_id(head: bytes) -> bytes:
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"X-Request-Id:"))
