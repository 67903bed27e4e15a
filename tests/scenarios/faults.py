"""Five fake instances behind a gateway, something that happens to them, and what a crowd of clients sees of it.

Instances, crowd and faults are those of `bench.faults`, where they take turns by the clock and are compared with other
proxies. Here everything waits for what can be seen: the fault begins when all serve, lasts for so many requests, and
the scenario is over when all is well again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from twisted.internet.threads import deferToThread

from bench.faults.crowd import Crowd, Request, failures
from bench.faults.fleet import Fleet, launch
from bench.faults.scenarios import INSTANCES, Scenario
from bench.process import listening
from tests.ports import free_port
from tests.scenarios.meshes import static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until
from wmesh.control.guard import guarded

SETTINGS = {
    "load_balancing_strategy": "least_connections",
    "health_check_interval": "300ms",
    "health_check_fast_interval": "100ms",
    "health_check_timeout": "300ms",
    "instance_max_connections": "8",
    "timeout_connect": "300ms",
    "timeout_first_byte": "500ms",
    "queue_timeout": "500ms",
    "slow_start": "2s",
    "outlier_ejection_time": "1s",
    "circuit_breaker_reset_timeout": "1s",
    "circuit_breaker_ramp": "2s",
    "retry_statuses": "500-599",
}
WELL = 150
"""All is well when so many requests in a row went well, and of so many every instance got half its share or more."""
FAIR = 0.5
PATIENCE = 40.0


@dataclass(frozen=True, slots=True)
class Seen:
    """`during` are the requests that were sent while the fault was there, `reached` counts what came to each instance
    meanwhile, retries included."""

    scenario: Scenario
    during: tuple[Request, ...]
    reached: Counter[int]

    @property
    def failed(self) -> Counter[str]:
        return failures(self.during)

    @property
    def good(self) -> int:
        return sum(request.good for request in self.during)

    @property
    def share(self) -> float:
        """Of the bad ones."""
        return sum(self.reached[index] for index in self.scenario.bad) / max(1, self.reached.total())


async def through(
    stage: Stage, scenario: Scenario, requests: int, settings: Mapping[str, str] | None = None, before: int = WELL
) -> Seen:
    """A gateway goes through it, with so many requests (at least) before the fault and so many (exactly) during it;
    answers when all is well again."""
    control = free_port()
    ports = [free_port() for _ in range(INSTANCES)]
    how = launch(control, ports)
    child = subprocess.Popen(guarded(list(how.argv)), env={**os.environ, **how.environment})

    def end() -> None:
        child.terminate()
        child.wait()

    stage.at_end(end)
    await until("the fake instances are there", lambda: listening(control))
    await deferToThread(asyncio.run, _prepare(scenario, control))
    mesh = static([f"127.0.0.1:{port}" for port in ports], changes={"service:x": {**SETTINGS, **(settings or {})}})
    await stage.gateway(mesh.text)
    return await deferToThread(asyncio.run, _course(scenario, mesh.port, control, before, requests))


async def _prepare(scenario: Scenario, control: int) -> None:
    async with Fleet(control, INSTANCES) as fleet:
        await fleet.become(scenario.usual, scenario.before)


async def _course(scenario: Scenario, port: int, control: int, least: int, requests: int) -> Seen:
    before, during, after = scenario.rates
    crowd = Crowd(port, scenario.patience)
    async with Fleet(control, INSTANCES) as fleet:
        everybody = {index for index in range(INSTANCES) if not _refuses(scenario, index)}
        async with _asking(crowd, before):
            await _well("all serve", crowd, fleet, everybody, 0.0, least)
        await crowd.finish()
        await fleet.arrivals()
        began = time.monotonic()
        await fleet.become(scenario.usual, scenario.during)
        await crowd.ask(during, requests / during)
        ended = time.monotonic()
        reached = Counter(index for _, index in await fleet.arrivals())
        await fleet.become(scenario.usual)
        async with _asking(crowd, after):
            await _well("all is well again", crowd, fleet, set(range(INSTANCES)), ended)
        await crowd.finish()
    return Seen(scenario, tuple(each for each in crowd.requests if began <= each.due < ended), reached)


def _refuses(scenario: Scenario, index: int) -> bool:
    return scenario.before.get(index, scenario.usual).fault == "refuse"


@contextlib.asynccontextmanager
async def _asking(crowd: Crowd, rate: float) -> AsyncIterator[None]:
    asking = asyncio.create_task(crowd.ask(rate, 2 * PATIENCE))
    try:
        yield
    finally:
        asking.cancel()


async def _well(what: str, crowd: Crowd, fleet: Fleet, members: set[int], since: float, least: int = WELL) -> None:
    """Wait until `least` requests came after `since`, the latest went well, and all of these members had their part."""
    arrivals: list[int] = []
    last = time.monotonic() + PATIENCE
    while True:
        arrivals += [index for when, index in await fleet.arrivals() if when >= since]
        shares = Counter(arrivals[-WELL:])
        answers = [request for request in crowd.requests if request.due >= since][-WELL:]
        fair = len(arrivals) >= least and min(shares[index] for index in members) >= FAIR * WELL / INSTANCES
        if fair and len(answers) >= WELL and all(request.good for request in answers):
            return
        if time.monotonic() > last:
            raise AssertionError(f"{PATIENCE:g} s have passed, and still not: {what} ({shares}, {failures(answers)})")
        await asyncio.sleep(0.05)
