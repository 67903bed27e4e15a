"""Tests of wmesh.proxy.race: two attempts at once, of which one answers and the other one leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.proxy.support import Conversation, Instance, Scene, polite, request, response, says, silent, take
from wmesh.events import InstanceAdded
from wmesh.model import (
    Address,
    CheckSpec,
    FallbackSpec,
    HedgeSpec,
    InstanceRecord,
    QueueSpec,
    RetrySpec,
    RouteSpec,
    ServiceSpec,
)
from wmesh.proxy.exchange import Exchange
from wmesh.proxy.hedging import Hedging
from wmesh.proxy.pool import Dial
from wmesh.proxy.race import Hedge
from wmesh.wire.request import NO_FIELDS, RequestHead

SOON = {"hedge": HedgeSpec(delay=0.02)}
FAILS = says(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 9\r\n\r\nbusy")


class Held:
    """A script that answers when it is told to. `taken` are those who wait for it."""

    def __init__(self) -> None:
        self.taken: list[Conversation] = []

    async def __call__(self, conversation: Conversation) -> None:
        while True:
            await take(conversation)
            self.taken.append(conversation)

    def answer(self, data: bytes = b"late") -> None:
        for conversation in self.taken:
            conversation.send(response(data))


class RaceTests(Scene):
    """Instances are tried in the order in which they are given; the first one is the one that takes long."""

    async def race(self, *others: Instance | Address, **service: Any) -> tuple[Held, Conversation]:
        """A mesh with a slow first instance, and a client that has asked it."""
        held = Held()
        await self.open(self.instance(held), *others, **{**SOON, **service})
        client = await self.client()
        client.send(request())
        await self.until(lambda: held.taken)
        return held, client

    def steps(self) -> list[str]:
        *_, notes = self.plane.decisions[-1]
        return [what for _, what in notes]

    def counts(self) -> tuple[int, int, int]:
        traffic = self.traffic["shop"]
        return traffic.hedges, traffic.hedges_won, traffic.hedges_denied

    async def at_peace(self) -> None:
        """Nothing is left of any race."""
        await self.at_rest()
        self.assertEqual({member.in_flight for member in self.cluster.members.values()}, {0})
        plan = self.plane.router.match(b"", b"/")
        assert plan is not None
        self.assertEqual(plan.budget.active, 0)

    async def test_the_second_wins(self) -> None:
        """Its answer is the client's; the connection of the loser ends, which failed nothing, but was slow."""
        held, client = await self.race(self.instance(says(response(b"quick"))))
        answer = await client.answer()
        self.assertEqual(answer.body, b"quick")
        await self.until(lambda: held.taken[0].gone, "the loser's connection ends")
        await self.at_peace()
        self.assertEqual(self.counts(), (1, 1, 0))
        one, two = self.cluster.members.values()
        self.assertEqual((self.cluster.failures, one.failures, one.streak), (0, 0, 0))
        self.assertGreater(one.latency.level or 0.0, two.latency.level or 1.0)
        asked, first = self.steps()
        self.assertTrue(asked.startswith("shop-0 has not answered within "), asked)
        self.assertTrue(asked.endswith(" ms: shop-1 is asked as well"), asked)
        self.assertEqual(first, "shop-1 answered first")
        self.assertIs(self.plane.decisions[-1][-2], two)
        self.assertEqual(self.idle(), 1)

    async def test_the_first_wins(self) -> None:
        """It was about to answer: the second one is cancelled, and does not look faster for it."""
        second = Held()
        held, client = await self.race(self.instance(second))
        await self.until(lambda: second.taken)
        held.answer()
        self.assertEqual((await client.answer()).body, b"late")
        await self.until(lambda: second.taken[0].gone)
        await self.at_peace()
        self.assertEqual((self.counts(), self.steps()[-1]), ((1, 0, 0), "shop-0 answered first"))
        client.send(request())
        await self.until(lambda: len(held.taken) == 2)
        held.taken[1].send(response(b"again"))
        self.assertEqual((await client.answer()).body, b"again")

    async def test_a_request_that_comes_again(self) -> None:
        """One whose bytes are remembered is raced like any other, and its head sent whole."""
        slow = [False]
        held = Held()

        async def script(conversation: Conversation) -> None:
            while not slow[0]:
                conversation.send(response((await take(conversation)).target))
            await held(conversation)

        quick = self.instance(polite)
        await self.open(self.instance(script), quick, hedge=HedgeSpec(delay=0.1))
        client = await self.client()
        for _ in range(4):
            client.send(request(target=b"/again"))
            await client.answer()
        slow[0] = True
        client.send(request(target=b"/again"))
        self.assertEqual((await client.answer()).body, b"/again")
        client.send(request(target=b"/again"))
        self.assertEqual((await client.answer()).body, b"/again")
        self.assertEqual({message.target for message in quick.requests}, {b"/again"})
        self.assertEqual(self.counts()[1], 1)
        await self.at_peace()

    async def test_an_answer_in_pieces(self) -> None:
        """What comes behind the head of the winner goes on to the client, however it is framed, and however long."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
            await self.until(lambda: first.taken[0].gone)
            conversation.send(b"4\r\nmore\r\n0\r\n\r\n")

        first = Held()
        await self.open(self.instance(first), self.instance(script), **SOON)
        self.assertEqual((await self.ask(request())).body, b"somemore")
        await self.at_peace()

    async def test_the_winner_breaks_off(self) -> None:
        """Once its answer has begun, a failure is shown as ever; nobody else is left to ask."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome")
            await self.until(lambda: held.taken[0].gone)
            conversation.reset()

        held = Held()
        await self.open(self.instance(held), self.instance(script), **SOON)
        client = await self.client()
        client.send(request())
        await self.until(lambda: client.end == "reset")
        await self.at_peace()
        self.assertEqual(self.cluster.failures, 1)

    async def test_the_client_leaves(self) -> None:
        """Both are cancelled, and neither is to blame."""
        second = Held()
        held, client = await self.race(self.instance(second))
        await self.until(lambda: second.taken)
        client.reset()
        await self.until(lambda: held.taken[0].gone and second.taken[0].gone)
        await self.at_peace()
        self.assertEqual((self.cluster.failures, self.traffic["shop"].aborted), (0, 1))

    async def test_the_time_is_over(self) -> None:
        """Both are cancelled; the client is told."""
        second = Held()
        held, client = await self.race(self.instance(second), timeout_request=5.0)
        await self.until(lambda: second.taken)
        self.sweep(6.0)
        self.assertEqual((await client.answer()).json()["error"], "deadline_exceeded")
        await self.until(lambda: held.taken[0].gone and second.taken[0].gone)
        await self.at_peace()

    async def test_the_first_fails(self) -> None:
        """The second one goes on alone, and the client notices nothing."""
        second = Held()
        held, client = await self.race(self.instance(second))
        await self.until(lambda: second.taken)
        held.taken[0].reset()
        await self.until(lambda: self.cluster.failures == 1)
        self.assertEqual(client.received, b"")
        second.answer(b"whole")
        self.assertEqual((await client.answer()).body, b"whole")
        await self.at_peace()
        self.assertIn("shop-0: reset: ", self.steps()[-1])
        self.assertEqual(self.traffic["shop"].retries, 0)

    async def second_fails(self, second: Instance | Address) -> None:
        """The first one goes on alone."""
        held, client = await self.race(second)
        await self.until(lambda: self.cluster.failures == 1)
        self.assertEqual(client.received, b"")
        held.answer(b"whole")
        self.assertEqual((await client.answer()).body, b"whole")
        await self.at_peace()
        self.assertEqual(self.counts(), (1, 0, 0))

    async def test_the_second_talks_nonsense(self) -> None:
        await self.second_fails(self.instance(says(b"nonsense\r\n\r\n")))

    async def test_the_second_switches_protocols(self) -> None:
        await self.second_fails(self.instance(says(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n")))

    async def test_the_second_resets(self) -> None:
        await self.second_fails(self.instance(says(b"", reset=True)))

    async def test_the_second_is_not_there(self) -> None:
        await self.second_fails(await self.nobody())

    async def test_the_second_answers_badly(self) -> None:
        """A status of retry_statuses is no answer while the first one may have a better one."""
        await self.second_fails(self.instance(FAILS))
        await self.until(lambda: self.idle() == 2)

    async def test_both_hang(self) -> None:
        """Each has its time from when it was asked; then a third one is."""
        second = Held()
        _, client = await self.race(self.instance(second), self.instance(says(response(b"third"))))
        await self.until(lambda: second.taken)
        self.overdue(16.0)
        self.assertEqual((await client.answer()).body, b"third")
        await self.at_peace()
        self.assertEqual(self.cluster.failures, 2)

    async def test_both_fail(self) -> None:
        """Then it is a failed request like any other: a third instance is asked, if that may be."""
        second = Held()
        held, client = await self.race(self.instance(second), self.instance(says(response(b"third"))))
        await self.until(lambda: second.taken)
        held.taken[0].reset()
        await self.until(lambda: self.cluster.failures == 1)
        second.taken[0].reset()
        self.assertEqual((await client.answer()).body, b"third")
        await self.at_peace()
        self.assertEqual((self.cluster.failures, self.traffic["shop"].retries), (2, 1))

    async def test_both_fail_for_good(self) -> None:
        """With nobody else the client is told of the last failure, and of the longest wait that anybody asked for."""
        held = Held()
        await self.open(self.instance(held), self.instance(FAILS), retry=RetrySpec(attempts=1), **SOON)
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.cluster.failures == 1)
        held.taken[0].send(b"nonsense\r\n\r\n")
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json()["error"]), (502, "instance_sent_invalid_response"))
        self.assertEqual(answer.value(b"Retry-After"), b"9")
        await self.at_peace()

    async def test_to_another_service(self) -> None:
        """What goes to a fallback is hedged as that service is, and no more as the first one was."""
        slow, bystander = Held(), self.instance()
        spare = ServiceSpec("spare", check=CheckSpec(enabled=False), routes=())
        await self.open(
            self.instance(says(b"", reset=True)),
            fallback=FallbackSpec(service="spare"),
            others=(spare,),
            retry=RetrySpec(attempts=0),
            hedge=HedgeSpec(delay=0.05),
        )
        for number, instance in enumerate((self.instance(slow), bystander)):
            record = InstanceRecord("spare", f"spare-{number}", instance.address, origin="static")
            self.directory.apply(InstanceAdded(record))
        client = await self.client()
        client.send(request())
        await self.until(lambda: slow.taken)
        [exchange] = [connection.current for connection in self.plane.connections]
        assert exchange is not None
        self.assertIsNone(exchange.hedge)
        await self.until(lambda: not len(self.plane.watches))
        slow.answer(b"spare")
        self.assertEqual((await client.answer()).body, b"spare")
        self.assertEqual((bystander.requests, self.counts()), ([], (0, 0, 0)))
        await self.at_peace()

    async def test_interim_answers(self) -> None:
        """Those of two attempts stay here: nobody knows yet whose they are."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", response(b"quick"))

        _, client = await self.race(self.instance(script))
        answer = await client.message()
        self.assertEqual((answer.status, answer.body), (200, b"quick"))
        await self.at_peace()

    async def test_a_body(self) -> None:
        """It is sent again, whole, in the framing in which it came."""
        quick = self.instance(polite)
        _, client = await self.race(quick)
        await client.answer()
        for fields, body in (((), b"some"), ((b"Transfer-Encoding: chunked",), None)):
            client.send(request(b"PUT", b"/x", *fields, body=body))
            if body is None:
                client.send(b"4\r\nsome\r\n0\r\n\r\n")
            self.assertEqual((await client.answer()).body, b"/x")
            self.assertEqual(quick.requests[-1].body, b"some")
        await self.at_peace()

    async def test_what_must_not_be_made_twice(self) -> None:
        """A POST is asked once; so is what has no body left, and what is bound; and nothing is left behind."""
        held = Held()
        other = self.instance()
        await self.open(self.instance(held), other, **SOON)
        client = await self.client()
        client.send(request(b"POST", b"/", body=b"x"))
        await self.until(lambda: held.taken)
        self.assertEqual(len(self.plane.watches), 0)
        held.answer()
        await client.answer()
        client.send(request(b"PUT", b"/", body=b"x" * 100_000))
        await self.until(lambda: len(held.taken) == 2)
        await self.until(lambda: not len(self.plane.watches))
        held.taken[1].send(response(b"late"))
        await client.answer()
        self.assertEqual(self.steps(), ["nobody else is asked: its body is not held any more"])
        self.assertEqual((len(other.requests), self.counts()), (0, (0, 0, 0)))

    async def test_alone(self) -> None:
        """The only instance has all the time that it is given."""
        held, client = await self.race()
        await self.until(lambda: not len(self.plane.watches))
        held.answer()
        self.assertEqual((await client.answer()).body, b"late")
        self.assertEqual(self.steps(), ["nobody else is asked: there is nobody else to ask"])

    async def test_an_answer_that_has_begun(self) -> None:
        """Whoever has said a word is believed to say the rest."""

        async def script(conversation: Conversation) -> None:
            await take(conversation)
            conversation.send(b"HTTP/1.1 200 OK\r\nConte")
            await self.until(lambda: not len(self.plane.watches))
            conversation.send(b"nt-Length: 2\r\n\r\nok")

        other = self.instance()
        await self.open(self.instance(script), other, **SOON)
        self.assertEqual((await self.ask(request())).body, b"ok")
        self.assertEqual((other.requests, self.steps()), ([], ["nobody else is asked: its answer has begun"]))

    async def test_no_room(self) -> None:
        """In the budget of retries, or at any instance: the request goes on as it is, and this is counted."""
        held, client = await self.race(self.instance(), retry=RetrySpec(budget=1.0, budget_least=0))
        await self.until(lambda: self.counts() == (0, 0, 1))
        held.answer()
        self.assertEqual((await client.answer()).body, b"late")
        self.assertIn("retries are in flight", self.steps()[-1])
        await self.at_peace()

    async def test_a_full_house(self) -> None:
        """No second attempt stands in the queue, nor takes a place of the budget with it."""
        busy = self.instance(silent)
        held, client = await self.race(
            busy, instance_max_connections=1, queue=QueueSpec(length=10), hedge=HedgeSpec(delay=0.05)
        )
        other = await self.client()
        other.send(request(b"POST", b"/", body=b"x"))
        await self.until(lambda: self.counts() == (0, 0, 1))
        held.answer()
        self.assertEqual((await client.answer()).body, b"late")
        self.assertEqual(self.cluster.in_flight, 1)
        other.reset()
        await self.at_peace()

    def accepts_late(self, instance: Instance) -> Callable[[], None]:
        """Connections to this instance are not made before what is answered is called."""
        begin, late = Dial.begin, []

        def delayed(dial: Dial, family: int, target: Any) -> None:
            if target[1] == instance.address.port:
                late.append((dial, family, target))
            else:
                begin(dial, family, target)

        def accept() -> None:
            self.patch(Dial, "begin", begin)
            for dial, family, target in late:
                dial.begin(family, target)

        self.patch(Dial, "begin", delayed)
        return accept

    async def test_while_it_is_being_connected(self) -> None:
        """Who does not even accept takes long, too; the connection is kept if it comes after all."""
        first, second = self.instance(polite), self.instance(says(response(b"quick")))
        await self.open(first, second, **SOON)
        accept = self.accepts_late(first)
        self.assertEqual((await self.ask(request())).body, b"quick")
        accept()
        await self.until(lambda: self.idle() == 2)
        self.assertEqual(first.requests, [])
        await self.at_peace()

    async def test_it_is_connected_after_all(self) -> None:
        """An instance that accepts while another one has been asked gets the request, and may still win."""
        second = Held()
        first = self.instance(says(response(b"first")))
        await self.open(first, self.instance(second), **SOON)
        accept = self.accepts_late(first)
        client = await self.client()
        client.send(request())
        await self.until(lambda: second.taken)
        accept()
        self.assertEqual((await client.answer()).body, b"first")
        await self.at_peace()

    async def test_the_first_fails_before_the_second_is_connected(self) -> None:
        """The second attempt is the only one from then on, and goes on where it is."""
        second = self.instance(says(response(b"second")))
        held = Held()
        await self.open(self.instance(held), second, **SOON)
        accept = self.accepts_late(second)
        client = await self.client()
        client.send(request())
        await self.until(lambda: self.counts() == (1, 0, 0))
        held.taken[0].reset()
        await self.until(lambda: self.cluster.failures == 1)
        accept()
        self.assertEqual((await client.answer()).body, b"second")
        await self.at_peace()

    async def test_by_what_answers_took(self) -> None:
        """Each answer of a request that may be made twice is one that the time is told from, and nobody is looked at
        any more once he has it."""
        held = Held()
        await self.open(self.instance(), self.instance(held), hedge=HedgeSpec(quantile=50))
        client = await self.client()
        for method in (b"GET", b"POST", b"PUT"):
            client.send(request(method, b"/", body=b"x"))
            await client.answer()
        plan = self.plane.router.match(b"", b"/")
        assert plan is not None and plan.hedging is not None
        self.assertEqual(plan.hedging.samples(self.plane.clock()), 2)

    async def test_each_attempt_has_its_time(self) -> None:
        """The time counts from when the instance was asked that has the request now."""
        _, client = await self.race(self.instance(polite), hedge=HedgeSpec(delay=100.0))
        [exchange] = [connection.current for connection in self.plane.connections]
        assert exchange is not None and exchange.hedge is not None and exchange.ticket is not None
        began = exchange.ticket.started
        exchange.hedge.due(began + 99.0)
        self.assertEqual(self.counts(), (0, 0, 0))
        exchange.hedge.due(began + 100.0)
        self.assertEqual((await client.answer()).body, b"/")
        self.assertEqual(self.counts(), (1, 1, 0))
        await self.at_peace()

    async def test_only_on_its_route(self) -> None:
        """Another route of the same service waits for as long as it takes."""
        held = Held()
        routes = (RouteSpec("", "/"), RouteSpec("", "/quick/", name="q", options=(("hedge.delay", 0.02),)))
        await self.open(self.instance(held), self.instance(polite), routes=routes)
        usual, hasty = await self.client(), await self.client()
        usual.send(request())
        hasty.send(request(target=b"/quick/"))
        self.assertEqual((await hasty.answer()).body, b"/quick/")
        self.assertEqual((usual.received, self.counts()), (b"", (1, 1, 0)))
        held.answer()
        await usual.answer()

    async def test_what_it_is_told_of_its_time(self) -> None:
        """The second instance is told how much of the time is left for it."""
        quick = self.instance(polite)
        _, client = await self.race(quick, timeout_request=5.0)
        await client.answer()
        [told] = [int(message.value(b"X-Envoy-Expected-Rq-Timeout-Ms") or 0) for message in quick.requests]
        self.assertLess(told, 5000)
        await self.at_peace()

    async def test_ends(self) -> None:
        """Ending what has ended does nothing."""
        _, client = await self.race(self.instance(polite))
        await client.answer()
        await self.at_peace()
        down = next(iter(self.plane.connections))
        exchange = Exchange(self.plane, down, RequestHead(b"GET", b"/", 1, NO_FIELDS))
        hedge = Hedge(Hedging(HedgeSpec()), exchange)
        hedge.end()
        hedge.end()
        hedge.answered()
        self.assertTrue(hedge.over)
