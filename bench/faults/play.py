"""One scenario, played against one proxy: before, during and after the fault, and what came of every request."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.faults.crowd import Crowd, Request
from bench.faults.fleet import Fleet
from bench.faults.scenarios import Scenario

AFTER = 6.0
"""Seconds. Afterwards all are watched for that long, to see when the bad one has its share again."""


@dataclass(frozen=True, slots=True)
class Play:
    """Times are on the monotonic clock: `began` and `ended` of the fault, `over` of the crowd. `arrivals` are (time,
    index) of what reached the instances. `lag` is how late the crowd was at worst, in seconds."""

    scenario: Scenario
    began: float
    ended: float
    over: float
    requests: tuple[Request, ...]
    arrivals: tuple[tuple[float, int], ...]
    lag: float


async def play(scenario: Scenario, port: int, fleet: Fleet, seconds: float) -> Play:
    """The proxy at `port` must be ready, and the instances as they are before the fault."""
    crowd = Crowd(port, scenario.patience)
    await fleet.arrivals()
    before, during, after = scenario.rates
    await crowd.ask(before, scenario.settle)
    began = time.monotonic()
    await fleet.become(scenario.usual, scenario.during)
    await crowd.ask(during, seconds * scenario.stretch)
    ended = time.monotonic()
    await fleet.become(scenario.usual)
    await crowd.ask(after, AFTER)
    over = time.monotonic()
    await crowd.finish()
    requests = sorted(crowd.requests, key=lambda request: request.due)
    return Play(scenario, began, ended, over, tuple(requests), tuple(await fleet.arrivals()), crowd.lag)
