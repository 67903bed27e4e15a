"""Services, instances and members to test with: what a test does not care about is filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from wmesh.cluster.cluster import Cluster
from wmesh.cluster.member import Member
from wmesh.cluster.ticket import Ticket
from wmesh.interfaces import Strategy
from wmesh.model import Address, CheckResult, CheckSpec, Health, InstanceRecord, ServiceSpec

GOOD = CheckResult(True, "status 200", 0.002)
BAD = CheckResult(False, "status 503", 0.002)


def a_spec(name: str = "pricing", **changes: Any) -> ServiceSpec:
    return replace(ServiceSpec(name, check=CheckSpec(path="/health")), **changes)


SPEC = a_spec()


def a_record(id: str = "p1", service: str = "pricing", **changes: Any) -> InstanceRecord:
    return replace(InstanceRecord(service, id, Address("127.0.0.1", 3007), incarnation="life-1"), **changes)


def a_member(id: str = "p1", *, weight: int = 1, in_flight: int = 0, health: Health = Health.HEALTHY) -> Member:
    member = Member(a_record(id, weight=weight), a_spec(), 0.0)
    member.in_flight = in_flight
    member.health.state = health
    return member


def members(shares: Iterable[float]) -> list[Member]:
    """Healthy members named m0, m1, … with these shares; one below 1 ramps."""
    found = []
    for index, share in enumerate(shares):
        member = a_member(f"m{index}", weight=max(1, int(share)))
        member.share = float(share)
        member.ramp = min(1.0, float(share))
        found.append(member)
    return found


class FirstUntried:
    """The simplest strategy there is: the first that was not tried. Remembers what it was given."""

    def __init__(self) -> None:
        self.members: Sequence[Member] = ()
        self.rebuilds = 0

    def rebuild(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self.rebuilds += 1

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        return next((member for member in self.members if member not in tried), None)

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        return [(member, float(place), f"number {place}") for place, member in enumerate(self.members)]


def a_cluster(*members: Member, spec: ServiceSpec | None = None) -> Cluster:
    cluster = Cluster(spec or a_spec(), lambda spec: FirstUntried())
    for member in members:
        cluster.members[member.record.id] = member
    cluster.refresh(0.0)
    return cluster


def picked(strategy: Strategy, tried: Sequence[Member] = (), now: float = 0.0) -> Member:
    """A pick that has to find somebody."""
    member = strategy.pick(b"client", tried, now)
    assert member is not None
    return member


def a_ticket(cluster: Cluster, *tried: Member, now: float = 0.0) -> Ticket:
    """A ticket of this cluster for somebody who has tried these; there must be one."""
    got = cluster.whole.acquire(b"client", tried, now)
    assert isinstance(got, Ticket), got
    return got
