"""One of five instances is twenty times as slow as the others: with hedging the slowest requests are not its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from tests.scenarios.clients import Client
from tests.scenarios.sick import ALWAYS_ASKED, OK, Bad, bad, mesh_of, says, stats
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import soon, until

network: Any = reactor

QUICK = 0.03
SLOW = 20 * QUICK
PATIENT = {**ALWAYS_ASKED, "timeout_first_byte": "10s", "outlier_detection": "no", "retry_budget": "50"}


class Takes(Bad):
    """An instance that takes its time. `answered` counts answers, `lost` connections that ended before one."""

    def __init__(self, seconds: float) -> None:
        super().__init__(self._wait)
        self.seconds = seconds
        self.answered = 0
        self.lost = 0

    def _wait(self, transport: Any) -> None:
        network.callLater(self.seconds, self._answer, transport)

    def _answer(self, transport: Any) -> None:
        if transport.connected:
            self.answered += 1
            transport.write(OK)
        else:
            self.lost += 1


def fleet(stage: Stage) -> list[Takes]:
    made = [Takes(seconds) for seconds in (SLOW, QUICK, QUICK, QUICK, QUICK)]
    for one in made:
        stage.at_end(one.close)
    return made


async def ask(client: Client, count: int, at_once: int = 4, method: str = "GET") -> list[float]:
    """How long requests took, in order of length, for people to look at; all must succeed."""
    found = []

    async def some() -> None:
        for number in range(count // at_once):
            began = time.monotonic()
            answer = await client.ask(method, f"/{number}")
            assert answer.status == 200, answer
            found.append(time.monotonic() - began)

    await gatherResults([soon(some()) for _ in range(at_once)])
    return sorted(found)


async def at_rest(client: Client) -> None:
    """No ticket is out any more, neither at an instance nor at the service."""

    async def look() -> bool:
        service = (await client.get("/services/x")).json
        return service["in_flight"] == 0 and not any(one["in_flight"] for one in service["instances"])

    await until("nothing is in flight", look)


def slowest(found: list[float]) -> str:
    return ", ".join(f"p{q} {found[len(found) * q // 100] * 1000:.0f} ms" for q in (50, 90, 99))


async def compared(stage: Stage, prepare: Callable[[Client], Any] | None = None, **hedge: str) -> Any:
    """The same fleet without and with hedging; answers the counts of the second."""
    slow, *_ = instances = fleet(stage)
    addresses = [one.address for one in instances]
    plain = mesh_of(*addresses, **PATIENT)
    await stage.gateway(plain.text, name="plain")
    hedged = mesh_of(*addresses, **PATIENT, **hedge)
    await stage.gateway(hedged.text, name="hedged")
    without = await ask(stage.client(plain.port), 100)
    assert slow.answered == 20
    client = stage.client(hedged.port)
    if prepare is not None:
        await prepare(client)
    slow.heads.clear()
    slow.answered = slow.lost = 0
    with_it = await ask(client, 100)
    print(f"without: {slowest(without)}; with: {slowest(with_it)}")
    # Of those that it was asked it got to the end of few, and it could know that nobody waited for the others.
    assert len(slow.heads) >= 15
    await until("the slow one has done what it was asked", lambda: slow.answered + slow.lost == len(slow.heads))
    assert slow.answered <= 5, slow.answered
    await at_rest(client)
    seen = await stats(client)
    assert seen["hedges_won"] >= slow.lost >= 10
    assert (seen["retries"], seen["responses"]["5xx"], seen["aborted"]) == (0, 0, 0)
    return seen


@pytest_twisted.ensureDeferred
async def test_after_a_fixed_time(stage: Stage) -> None:
    """Nearly every request that meets the slow instance is answered by another one."""
    seen = await compared(stage, hedge_delay="150ms")
    print(f"{seen['hedges']} of 100 were hedged, {seen['hedges_won']} won")


@pytest_twisted.ensureDeferred
async def test_after_a_quantile(stage: Stage) -> None:
    """The gateway finds the time by itself, once it has seen a hundred answers."""

    async def learn(client: Client) -> None:
        await ask(client, 120)

        async def known() -> bool:
            found = (await client.get("/service-mesh/explain?path=/")).json["hedging"]
            return found["samples"] >= 100 and found["after_ms"] is not None and found["after_ms"] < SLOW * 1000

        await until("the time is known", known)

    seen = await compared(stage, learn, hedge_quantile="75")
    print(f"{seen['hedges']} of 220 were hedged, {seen['hedges_won']} won")


@pytest_twisted.ensureDeferred
async def test_what_is_told_of_it(stage: Stage) -> None:
    """The decision says who was asked, when, and who answered; POSTs are asked once."""
    slow, quick = Takes(1.0), bad(stage, says(OK))
    stage.at_end(slow.close)
    mesh = mesh_of(slow.address, quick.address, **PATIENT, hedge_delay="50ms")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    steps = []
    for _ in range(2):
        answer = await client.get("/")
        decision = (await client.get(f"/service-mesh/decisions/{answer.headers['x-request-id']}")).json
        assert decision["instance"] == quick.address
        steps += [step["what"] for step in decision["steps"]]
    asked, first = steps
    assert asked.startswith(f"{slow.address} has not answered within ")
    assert asked.endswith(f" ms: {quick.address} is asked as well")
    assert first == f"{quick.address} answered first"
    before = len(slow.heads) + len(quick.heads)
    await ask(client, 4, 2, "POST")
    assert len(slow.heads) + len(quick.heads) == before + 4
    instances = (await client.get("/services/x")).json["instances"]
    by_address = {one["address"]: one for one in instances}
    assert by_address[slow.address]["failures"] == 0
    await at_rest(client)


@pytest_twisted.ensureDeferred
async def test_an_outage_is_not_multiplied(stage: Stage) -> None:
    """Everybody is slow: the budget keeps second attempts to a share of what is in flight."""
    instances = [Takes(SLOW) for _ in range(3)]
    for one in instances:
        stage.at_end(one.close)
    addresses = [one.address for one in instances]
    mesh = mesh_of(*addresses, **{**PATIENT, "retry_budget": "20"}, hedge_delay="50ms")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    await ask(client, 60, at_once=60)
    asked = sum(len(one.heads) for one in instances)
    seen = await stats(client)
    print(f"60 requests, {asked} attempts, {seen['hedges']} hedges, {seen['hedges_denied']} denied")
    assert asked == 60 + seen["hedges"]
    assert 0 < seen["hedges"] <= 60 * 0.4
    assert seen["hedges_denied"] > 0
    await at_rest(client)
