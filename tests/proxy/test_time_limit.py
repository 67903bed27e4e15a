"""Tests of wmesh.proxy.time_limit: how long one request may take in all, on real sockets."""

from __future__ import annotations

import ipaddress
import time

from tests.proxy.support import Conversation, Scene, polite, request, response, says, silent, spec_of, take
from wmesh.model import QueueSpec, RetrySpec
from wmesh.proxy.exchange import Exchange

HEADER = b"X-Envoy-Expected-Rq-Timeout-Ms"
TRUSTING = {"trusted_proxies": (ipaddress.IPv4Network("127.0.0.0/8"),)}


class TimeTests(Scene):
    def later(self, seconds: float) -> None:
        """The deadlines are looked at when so many seconds more have passed than really have."""
        self.plane.clock = lambda: time.monotonic() + seconds
        self.sweep()

    async def test_an_instance_that_hangs(self) -> None:
        """The client is told, who was waited for; the instance's request is cut off, and it is to blame."""
        shop = self.instance(silent)
        await self.open(shop, timeout_request=10.0)
        client = await self.client()
        client.send(request())
        await self.until(lambda: shop.requests)
        self.sweep(9.0)
        self.sweep(10.1)
        answer = await client.answer()
        told = answer.json()
        self.assertEqual((answer.status, told["error"], told["service"]), (504, "deadline_exceeded", "shop"))
        self.assertIn(f"the 10 s that this request may take are over: {shop.address} had not answered", told["reason"])
        self.assertNotEqual(await shop.conversations[0].ended(), "")
        self.assertEqual((self.cluster.failures, self.traffic["shop"].expired), (1, 1))

    async def test_the_connection_goes_on(self) -> None:
        """What one request took too long for says nothing of the next one on the connection."""
        shop = self.instance(silent)
        await self.open(shop, timeout_request=10.0)
        client = await self.client()
        client.send(request())
        await self.until(lambda: shop.requests)
        self.sweep(10.1)
        self.assertEqual((await client.answer()).status, 504)
        shop.script = polite
        client.send(request(b"GET", b"/next"))
        self.assertEqual((await client.answer()).body, b"/next")

    async def test_all_attempts_together(self) -> None:
        """Each attempt has its own time-out, and the request ends all the same when its time is over."""
        one, two = self.instance(silent), self.instance(silent)
        await self.open(one, two, timeout_request=10.0, timeout_first_byte=6.0)
        client = await self.client()
        client.send(request())
        await self.until(lambda: one.requests)
        self.later(6.1)
        await self.until(lambda: two.requests)
        self.later(10.1)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (504, "deadline_exceeded"))
        self.assertIn("the attempt before: no answer within 6 s", answer.json()["reason"])

    async def test_no_pause_beyond_it(self) -> None:
        """A retry that could only begin when the time is over does not wait for that: the failure is told now."""
        await self.open(await self.nobody(), timeout_request=5.0, retry=RetrySpec(backoff=60.0, max_backoff=60.0))
        self.plane.chance = lambda: 0.0
        self.assertEqual((await self.ask(request())).json()["error"], "instance_unreachable")

    async def test_in_the_queue(self) -> None:
        """Waiting for an instance is a part of it, however patient the queue is."""
        shop = self.instance(silent)
        await self.open(
            shop, timeout_request=2.0, instance_max_connections=1, queue=QueueSpec(length=10, timeout=60.0)
        )
        first, second = await self.client(), await self.client()
        first.send(request())
        await self.until(lambda: shop.requests)
        second.send(request())
        await self.until(lambda: self.cluster.queued())
        waiting = [c.current for c in self.plane.connections if c.current is not None and c.current.waiter is not None]
        self.assertEqual([one.waiter and one.waiter.deadline - one.started for one in waiting], [2.0])
        self.later(2.1)
        answers = [await first.answer(), await second.answer()]
        self.assertEqual([answer.status for answer in answers], [504, 504])
        self.assertIn("it stood in the queue", answers[1].json()["reason"])
        self.assertEqual((self.cluster.queued(), len(shop.requests)), (0, 1))

    async def test_in_the_middle_of_the_answer(self) -> None:
        """What has begun is broken off, and seen to be."""
        shop = self.instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"))
        await self.open(shop, timeout_request=5.0)
        client = await self.client()
        client.send(request())
        await client.up_to(b"begun")
        self.sweep(5.1)
        self.assertEqual(await client.ended(), "reset")
        self.assertEqual((self.cluster.failures, self.traffic["shop"].aborted), (0, 1))

    async def test_a_slow_upload(self) -> None:
        """A client that takes all of the time itself: nobody else is to blame."""
        shop = self.instance(silent)
        await self.open(shop, timeout_request=5.0)
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 10"), b"12345")
        await self.until(lambda: shop.conversations and b"12345" in shop.conversations[0].received)
        self.sweep(5.1)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.value(b"Connection")), (504, b"close"))
        self.assertIn("the client was still sending it", answer.json()["reason"])
        self.assertEqual(self.cluster.failures, 0)

    async def test_in_time(self) -> None:
        """Nothing is left of the limit when the answer is out, whoever gave it."""
        await self.open(self.instance(), timeout_request=5.0, others=(spec_of("empty", "/empty/"),))
        for target in (b"/", b"/empty/"):
            await self.ask(request(b"GET", target))
        await self.at_rest()
        self.assertFalse(any(isinstance(swept, Exchange) for swept in self.plane.deadlines.watched()))

    async def test_a_websocket_has_no_end(self) -> None:
        switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(switch)
            await conversation.up_to(b"ping")
            conversation.send(b"pong")
            await conversation.until(lambda: False)

        await self.open(self.instance(script), timeout_request=5.0, protocol="websocket")
        client = await self.client()
        client.send(request(b"GET", b"/", b"Connection: Upgrade", b"Upgrade: websocket"))
        await client.up_to(b"\r\n\r\n")
        self.sweep(5.1)
        client.send(b"ping")
        self.assertEqual(await client.exactly(4), b"pong")


class TellingTests(Scene):
    async def told(self, *fields: bytes, name: bytes = HEADER) -> bytes | None:
        shop = self.instances[-1]
        self.assertEqual((await self.ask(request(b"GET", b"/", *fields))).status, 200)
        return shop.requests[-1].value(name)

    async def test_the_instance_knows(self) -> None:
        """How many milliseconds are left for it."""
        await self.open(self.instance(), timeout_request=10.0)
        self.assertEqual(await self.told(), b"10000")

    async def test_no_limit(self) -> None:
        """Nothing is said of what is not limited, and no stranger says it instead."""
        await self.open(self.instance())
        self.assertIsNone(await self.told())
        self.assertIsNone(await self.told(HEADER + b": 5"))
        self.assertIsNone(await self.told(HEADER.replace(b"-", b"_") + b": 5"))

    async def test_a_stranger_is_not_believed(self) -> None:
        await self.open(self.instance(), timeout_request=10.0)
        self.assertEqual(await self.told(HEADER + b": 5"), b"10000")

    async def test_a_trusted_client_in_a_hurry(self) -> None:
        """The shorter of the two times counts. 0 is no limit, as with Envoy."""
        await self.open(self.instance(), gateway=TRUSTING, timeout_request=10.0)
        for asked, told in ((b"4000", b"4000"), (b"60000", b"10000"), (b"0", b"10000")):
            self.assertEqual(await self.told(HEADER + b": " + asked), told)

    async def test_a_trusted_client_alone(self) -> None:
        """Its word counts where the service has no limit, too. The instance is not blamed for its hurry."""
        shop = self.instance(silent)
        await self.open(shop, gateway=TRUSTING)
        client = await self.client()
        client.send(request(b"GET", b"/", HEADER + b": 1500"))
        await self.until(lambda: shop.requests)
        self.sweep(1.6)
        answer = await client.answer()
        self.assertEqual(answer.json()["error"], "deadline_exceeded")
        self.assertIn("the 1.5 s that", answer.json()["reason"])
        self.assertEqual(self.cluster.failures, 0)

    async def test_nonsense(self) -> None:
        await self.open(self.instance(), gateway=TRUSTING)
        for value in (b"soon", b"-1", b"1.5", b"1" * 13, b""):
            answer = await self.ask(request(b"GET", b"/", HEADER + b": " + value))
            self.assertEqual((answer.status, answer.json()["error"]), (400, "bad_request"), value)
            self.assertIn("is not a number of milliseconds", answer.json()["reason"])

    async def test_another_name(self) -> None:
        """It works both ways, and takes the same field of a stranger out, in either spelling."""
        name = b"X-Deadline"
        await self.open(
            self.instance(), gateway=TRUSTING, timeout_request=10.0, deadline_header="X-Deadline"
        )
        self.assertEqual(await self.told(b"X-Deadline: 70", name=name), b"70")
        self.assertEqual(await self.told(b"x_deadline: 70", name=name), b"10000")
        self.assertIsNone(self.instances[-1].requests[-1].value(b"x_deadline"))
        self.assertEqual(await self.told(b"Accept: x", name=name), b"10000")

    async def test_no_name(self) -> None:
        """An empty deadline_header: nothing is said, and nothing is heard."""
        await self.open(self.instance(), gateway=TRUSTING, timeout_request=10.0, deadline_header="")
        self.assertIsNone(await self.told(HEADER + b": 5"))

    async def test_a_later_attempt_has_less(self) -> None:
        """The second instance is told what is left then."""
        late = self.instance()

        async def slow(conversation: Conversation) -> None:
            await take(conversation)
            self.plane.clock = lambda: time.monotonic() + 3.0
            conversation.reset()

        await self.open(self.instance(slow), late, timeout_request=10.0)
        self.assertEqual((await self.ask(request())).status, 200)
        left = late.requests[0].value(HEADER)
        assert left is not None
        self.assertTrue(1000 < int(left) <= 7000, left)


class HeldTests(Scene):
    async def test_a_refused_upload_does_not_silence_its_connection(self) -> None:
        """A long body that came whole while its request waited: after the answer the connection is read again."""
        shop = self.instance(says(response()))
        await self.open(
            await self.nobody(), timeout_request=5.0, retry=RetrySpec(backoff=60.0, max_backoff=60.0),
        )
        client = await self.client()
        client.send(request(b"POST", b"/", body=bytes(100_000)))
        self.assertEqual((await client.answer()).status, 502)
        client.send(request(b"GET", b"/next"))
        self.assertEqual((await client.answer()).status, 502)
        self.assertEqual(shop.requests, [])
