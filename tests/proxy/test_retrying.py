"""Tests of wmesh.proxy.retrying: what becomes of a request whose attempt failed, on real sockets."""

from __future__ import annotations

from typing import Any

from tests.proxy.support import Conversation, Scene, Script, polite, request, response, says, silent, spec_of, take
from wmesh.events import InstanceAdded
from wmesh.model import InstanceRecord, RetrySpec
from wmesh.proxy.pool import Pool

BUSY = response(b"busy", b"503 Service Unavailable", b"Retry-After: 7")


def in_turn(*scripts: Script) -> Script:
    """Each connection runs the next of these scripts; the last one for ever."""
    left = list(scripts)

    async def script(conversation: Conversation) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(conversation)

    return script


class ElsewhereTests(Scene):
    async def test_never(self) -> None:
        """retry_attempts = 0: the first failure is what the client hears of, whoever else is there."""
        good = self.instance()
        await self.open(await self.nobody(), self.instance(says(reset=True)), good, retry=RetrySpec(attempts=0))
        self.assertEqual((await self.ask(request())).status, 502)
        self.assertEqual((self.traffic["shop"].retries, good.requests), (0, []))

    async def test_never_means_no_dead_kept_connection(self) -> None:
        """Where nothing is repeated, a kept connection is looked at before it is used; else GETs go out unlooked."""
        looked: list[bool] = []
        real = Pool.take
        self.patch(Pool, "take", lambda pool, unlooked: (looked.append(not unlooked), real(pool, unlooked))[1])
        await self.open(self.instance(), retry=RetrySpec(attempts=0), others=(spec_of("other", "/other/"),))
        self.directory.apply(
            InstanceAdded(InstanceRecord("other", "other-0", self.instances[0].address, origin="static"))
        )
        for target in (b"/", b"/other/"):
            self.assertEqual((await self.ask(request(b"GET", target))).status, 200)
        self.assertEqual(looked, [True, False])

    async def test_as_often_as_it_says(self) -> None:
        bad = [self.instance(says(reset=True)) for _ in range(6)]
        await self.open(*bad, retry=RetrySpec(attempts=4))
        self.assertEqual((await self.ask(request())).status, 502)
        self.assertEqual([len(instance.requests) for instance in bad], [1, 1, 1, 1, 1, 0])

    async def test_only_what_retry_on_names(self) -> None:
        """A refused connection is no reset: the client hears of it."""
        good = self.instance()
        await self.open(await self.nobody(), self.instance(says(reset=True)), good, retry=RetrySpec(on=("reset",)))
        self.assertEqual((await self.ask(request())).json()["error"], "instance_unreachable")
        self.assertEqual(good.requests, [])

    async def test_the_other_way_round(self) -> None:
        good = self.instance()
        spec = RetrySpec(on=("connect_failed",))
        await self.open(await self.nobody(), self.instance(says(reset=True)), good, retry=spec)
        self.assertEqual((await self.ask(request())).json()["error"], "instance_closed_connection")
        self.assertEqual((good.requests, self.traffic["shop"].retries), ([], 1))

    async def test_why_not_is_remembered(self) -> None:
        """Who asks later what became of a POST learns why it was not tried again."""
        await self.open(self.instance(says(reset=True)), self.instance())
        await self.ask(request(b"POST", b"/", body=b"pay"))
        notes = [what for _, what in self.plane.decisions[-1][-1]]
        self.assertIn("must not be done twice", notes[-1])


class SameInstanceTests(Scene):
    async def test_the_only_one_is_asked_again(self) -> None:
        """A reset by the only instance there is: after a pause it is asked again, and may have come to itself."""
        shop = self.instance(in_turn(says(reset=True), says(reset=True), polite))
        await self.open(shop)
        self.assertEqual((await self.ask(request(b"GET", b"/x"))).body, b"/x")
        self.assertEqual((len(shop.requests), self.traffic["shop"].retries), (3, 2))

    async def test_a_post_that_was_not_sent(self) -> None:
        """A refused connection has seen nothing of it: when somebody listens there again, it arrives, once."""
        address = await self.nobody()
        await self.open(address, retry=RetrySpec(backoff=0.05, max_backoff=0.05, attempts=20))
        client = await self.client()
        client.send(request(b"POST", b"/", body=b"pay"))
        await self.until(lambda: self.traffic["shop"].retries)
        shop = self.instance(port=address.port)
        self.assertEqual((await client.answer()).status, 200)
        self.assertEqual([message.body for message in shop.requests], [b"pay"])

    async def test_not_who_hangs(self) -> None:
        """A timeout is not followed by another one at the same place."""
        shop = self.instance(silent)
        await self.open(shop, timeout_first_byte=5.0)
        client = await self.client()
        client.send(request())
        await self.until(lambda: shop.requests)
        self.overdue(5.1)
        self.assertEqual((await client.answer()).status, 504)
        self.assertEqual(len(shop.requests), 1)

    async def test_the_client_leaves_in_the_pause(self) -> None:
        """Nothing is asked of anybody any more."""
        await self.open(await self.nobody(), retry=RetrySpec(backoff=60.0, max_backoff=60.0))
        self.plane.chance = lambda: 0.0
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.failures)
        [connection] = self.plane.connections
        client.reset()
        await self.until(lambda: not self.plane.connections)
        self.assertIsNone(connection.current)
        self.assertEqual((self.traffic["shop"].aborted, self.traffic["shop"].retries), (1, 0))

    async def test_body_that_comes_in_the_pause(self) -> None:
        """What the client goes on sending while nobody is asked is kept for who is asked then."""
        address = await self.nobody()
        await self.open(address, retry=RetrySpec(backoff=0.05, max_backoff=0.05, attempts=20))
        client = await self.client()
        client.send(request(b"POST", b"/", b"Content-Length: 10"), b"12345")
        await self.until(lambda: self.cluster.failures)
        client.send(b"67890")
        shop = self.instance(port=address.port)
        self.assertEqual((await client.answer()).status, 200)
        self.assertEqual([message.body for message in shop.requests], [b"1234567890"])


class RetryAfterTests(Scene):
    async def test_somebody_else_is_asked(self) -> None:
        """Who asks to be left alone is not asked again, and nobody has to wait."""
        busy, good = self.instance(says(BUSY)), self.instance()
        await self.open(busy, good)
        self.assertEqual((await self.ask(request())).status, 200)
        self.assertEqual(len(busy.requests), 1)

    async def test_nobody_else(self) -> None:
        """Then the client is told to wait, in the instance's words."""
        busy = self.instance(says(BUSY))
        await self.open(busy)
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.body, answer.value(b"Retry-After")), (503, b"busy", b"7"))
        self.assertEqual(len(busy.requests), 1)

    async def test_it_is_not_forgotten(self) -> None:
        """The other one fails: it is asked again, the busy one is not, and the client hears of its wish."""
        busy, bad = self.instance(says(BUSY)), self.instance(says(reset=True))
        await self.open(busy, bad)
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.value(b"Retry-After")), (502, b"7"))
        self.assertEqual((len(busy.requests), len(bad.requests)), (1, 2))

    async def test_until_a_moment(self) -> None:
        """The same where the busy one names the time of day at which it can be asked again."""
        fields = (b"Date: Sun, 06 Nov 1994 08:49:30 GMT", b"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT")
        busy = self.instance(says(response(b"busy", b"503 Service Unavailable", *fields)))
        await self.open(busy, self.instance(says(reset=True)))
        answer = await self.ask(request())
        self.assertEqual((answer.status, answer.value(b"Retry-After")), (502, b"7"))


class BudgetTests(Scene):
    """With a budget of no retries but one, which is taken by a retry that hangs."""

    async def taken(self, *first: Any, **changes: Any) -> Conversation:
        self.slow = self.instance(silent)
        spec = RetrySpec(budget=0.5, budget_least=1, backoff=0.002, max_backoff=0.002, **changes)
        await self.open(*first, self.slow, retry=spec)
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.slow.requests)
        return client

    async def test_no_room(self) -> None:
        """The next failure waits a little, is not repeated then, and is counted. When the first one is over, there is
        room again."""
        bad = self.instance(says(reset=True))
        first = await self.taken(bad)
        self.assertEqual((await self.ask(request())).json()["error"], "instance_closed_connection")
        traffic = self.traffic["shop"]
        self.assertEqual((len(self.slow.requests), traffic.retries, traffic.retries_denied), (1, 1, 1))
        first.reset()
        await self.at_rest()
        second = await self.client()
        second.send(request())
        await self.until(lambda: len(self.slow.requests) == 2)

    async def test_an_answer_that_was_kept(self) -> None:
        """A status that would be hidden is shown when there is no room to ask somebody else."""

        async def script(conversation: Conversation) -> None:
            while True:
                message = await take(conversation)
                conversation.send(BUSY[:-4] if message.method == b"HEAD" else BUSY)

        busy = self.instance(script)
        await self.taken(busy)
        answer = await self.ask(request())
        self.assertEqual((answer.start, answer.body), (b"HTTP/1.1 503 Service Unavailable", b"busy"))
        self.assertEqual((answer.value(b"Retry-After"), len(answer.values(b"Via"))), (b"7", 1))
        self.assertEqual(self.traffic["shop"].retries_denied, 1)
        head = await self.ask(request(b"HEAD"), bodyless=True)
        self.assertEqual((head.status, head.value(b"Content-Length")), (503, b"4"))

    async def test_one_that_cannot_be_kept_passes_on(self) -> None:
        """A chunked one does so without a pause."""
        chunks = b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n"
        await self.taken(self.instance(says(chunks)))
        self.plane.chance = lambda: -1e6
        self.assertEqual((await self.ask(request())).body, b"busy")
        self.assertEqual(self.traffic["shop"].retries_denied, 1)

    async def test_the_last_answer_that_was_hidden(self) -> None:
        """Two that are busy: the second one's answer is what the client gets."""
        other = response(b"second", b"503 Busy")
        await self.open(self.instance(says(BUSY)), self.instance(says(other)))
        answer = await self.ask(request())
        self.assertEqual((answer.start, answer.body), (b"HTTP/1.1 503 Busy", b"second"))

    async def test_it_waits_for_room(self) -> None:
        """A retry that finds no room gets it when another one ends meanwhile."""
        bad = self.instance(says(reset=True))
        first = await self.taken(bad)
        self.plane.chance = lambda: -100.0  # pauses of a fifth of a second
        second = await self.client()
        second.send(request())
        await self.until(lambda: len(bad.requests) == 2 and not bad.open)
        first.reset()
        await self.until(lambda: len(self.slow.requests) == 2)
        self.assertEqual(self.traffic["shop"].retries_denied, 0)

    async def test_what_nobody_saw_needs_none(self) -> None:
        """Refused connections multiply nothing: each request reaches an instance once."""
        await self.taken(await self.nobody())
        others = [await self.client() for _ in range(4)]
        for client in others:
            client.send(request(b"POST", b"/", body=b"x"))
        await self.until(lambda: len(self.slow.requests) == 5)
        self.assertEqual(self.traffic["shop"].retries_denied, 0)

    async def test_it_is_given_back(self) -> None:
        """However retries end, the budget is free afterwards."""
        bad, shop = self.instance(says(reset=True)), self.instance()
        await self.open(bad, shop, retry=RetrySpec(budget=0.5, budget_least=1))
        for _ in range(5):
            self.assertEqual((await self.ask(request())).status, 200)
        await shop.stop()
        for conversation in shop.open:
            conversation.reset()
        for _ in range(3):
            self.assertEqual((await self.ask(request())).status, 502)
        self.assertEqual(self.traffic["shop"].retries_denied, 0)
