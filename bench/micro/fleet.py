"""Clusters of any size to time things on: healthy members with weights, requests in flight, latencies, reports."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from wmesh.balance import STRATEGIES
from wmesh.cluster.cluster import Cluster
from wmesh.cluster.directory import Directory
from wmesh.events import InstancesReset
from wmesh.model import Address, BreakerSpec, CheckSpec, InstanceRecord, LoadSample, OutlierSpec, ServiceSpec

SIZES = (3, 10, 1000, 10000)


def records(size: int) -> tuple[InstanceRecord, ...]:
    return tuple(
        InstanceRecord(
            service="shop",
            id=f"shop-{number:05}",
            address=Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 8080),
            weight=1 + number % 3,
        )
        for number in range(size)
    )


def directory(size: int, strategy: str, patient: bool = False) -> Directory:
    """A Directory of one service, `shop`, whose instances are not checked and so may take requests at once.

    `patient`: failures are counted, but whoever fails stays in use.
    """
    spec = ServiceSpec(name="shop", check=CheckSpec(enabled=False), strategy=strategy)
    if patient:
        spec = replace(spec, outlier=OutlierSpec(enabled=False), breaker=BreakerSpec(min_calls=1 << 60))
    random = Random(1)
    found = Directory([spec], lambda spec: STRATEGIES[spec.strategy](spec, random), lambda: 0.0)
    found.apply(InstancesReset("registry", records(size)))
    return found


def cluster(size: int, strategy: str, patient: bool = False) -> Cluster:
    """The cluster of such a Directory, in the middle of a busy day."""
    found = directory(size, strategy, patient).clusters["shop"]
    random = Random(2)
    for member in found.members.values():
        member.in_flight = random.randrange(4)
        member.latency.observe(random.uniform(0.001, 0.2), 0.0)
        member.since = -60.0
        member.load = LoadSample(random.uniform(5.0, 90.0), random.randrange(50, 100) << 20)
    # As the first request would do it; strategies are timed without one.
    found.refresh(0.0)
    return found
