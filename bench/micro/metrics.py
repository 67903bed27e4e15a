"""What counting costs: `observe` once per request, the description once per scrape."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from bench.micro.timing import Timing
from wmesh.metrics.traffic import Traffic


def timings() -> Iterator[Timing]:
    traffic = Traffic()
    random = Random(1)
    for _ in range(1000):
        traffic.observe(200, random.expovariate(100.0))
    yield Timing("observe", "observe(200, 0.0123)", {"observe": traffic.observe})
    yield Timing("describe", "describe()", {"describe": traffic.describe})
