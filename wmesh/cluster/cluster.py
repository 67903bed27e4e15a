"""The live set of instances of one service, and the tickets to use them.

`acquire` is on the hot path: it reads only what `refresh` prepared when something changed (the strategy's own snapshot
of eligible members), so its cost does not depend on how many instances there are beyond the strategy's own. A ticket
is paired with exactly one `release`, which feeds what strategies and statistics need to know.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from wmesh.cluster.member import Member
from wmesh.interfaces import Strategy
from wmesh.model import Health, ServiceSpec


class Outcome(enum.IntEnum):
    """How one attempt ended, as far as its instance is to blame. Higher than OK and below CANCELLED: a failure."""

    OK = 0
    CONNECT_FAILED = 1
    RESET = 2
    TIMEOUT = 3
    INVALID = 4
    SERVER_ERROR = 5
    CANCELLED = 6
    """The client left or the gateway gave up for reasons of its own: no evidence against the instance."""


# WHY: reading a member of an enumeration through its class costs four times what a name of the module does.
OK = Outcome.OK
CANCELLED = Outcome.CANCELLED


@dataclass(frozen=True, slots=True)
class Refusal:
    """No ticket. `reason` is a word for programs, `detail` a sentence, `retry_after` seconds worth waiting."""

    reason: str
    detail: str
    retry_after: int = 1


class Ticket:
    """The right to use one member for one attempt."""

    __slots__ = ("_cluster", "member", "started")

    def __init__(self, cluster: Cluster, member: Member, now: float) -> None:
        self._cluster: Cluster | None = cluster
        self.member = member
        self.started = now

    def release(self, outcome: Outcome, now: float) -> None:
        """Give it back, once; a second call does nothing, so that every error path may call it."""
        cluster = self._cluster
        if cluster is None:
            return
        self._cluster = None
        member = self.member
        member.in_flight -= 1
        cluster.in_flight -= 1
        if outcome is OK:
            member.latency.observe(now - self.started, now)
        elif outcome is not CANCELLED:
            member.failures += 1
            cluster.failures += 1
            # A failure must never look fast: it is charged as the longest wait that a good answer may take.
            member.latency.observe(max(now - self.started, cluster.spec.timeout_first_byte), now)


class Cluster:
    """All instances of one service in this process.

    `requests` and `failures` count attempts since the start, `checks_passed` and `checks_failed` active checks.
    """

    __slots__ = (
        "checks_failed",
        "checks_passed",
        "failures",
        "in_flight",
        "limit",
        "members",
        "refusals",
        "requests",
        "spec",
        "stale",
        "strategy",
    )

    def __init__(self, spec: ServiceSpec, strategy: Strategy) -> None:
        self.spec = spec
        self.strategy = strategy
        self.members: dict[str, Member] = {}
        self.limit = spec.max_connections
        self.stale = True
        self.in_flight = 0
        self.requests = 0
        self.failures = 0
        self.refusals = 0
        self.checks_passed = 0
        self.checks_failed = 0

    def acquire(self, key: bytes, tried: Sequence[Member], now: float) -> Ticket | Refusal:
        """A ticket for a member that may take a request now and is not in `tried`, or why there is none."""
        if 0 < self.limit <= self.in_flight:
            self.refusals += 1
            return Refusal("service_full", f"{self.in_flight} of {self.limit} requests in flight")
        if self.stale:
            self.refresh()
        member = self.strategy.pick(key, tried, now)
        while member is not None and 0 < member.limit <= member.in_flight:
            tried = (*tried, member)
            member = self.strategy.pick(key, tried, now)
        if member is None:
            self.refusals += 1
            return self.refusal(now)
        member.in_flight += 1
        member.picks += 1
        self.in_flight += 1
        self.requests += 1
        return Ticket(self, member, now)

    def refusal(self, now: float) -> Refusal:
        """Why nobody can take a request. Cold: looks at every member."""
        if not self.members:
            return Refusal("no_instances", "no instance is registered", 2)
        available = [member for member in self.members.values() if member.available(now)]
        if available:
            return Refusal("all_tried", f"all {len(available)} available instances were tried and failed")
        if all(member.full() for member in self.members.values() if member.eligible()) and any(
            member.eligible() for member in self.members.values()
        ):
            return Refusal("instances_full", "every instance has its limit of requests in flight")
        if any(member.health.state is Health.UNKNOWN for member in self.members.values()):
            return Refusal("starting", "instances are starting and have passed no check yet")
        return Refusal("no_healthy_instance", f"none of {len(self.members)} instances may take requests", 2)

    def refresh(self) -> None:
        """Hand the strategy the eligible members, in a stable order.

        A change of a verdict, a weight or the set itself only marks the cluster `stale`; the next request pays for the
        refresh. So a burst of changes costs one, and ten thousand instances can come at once.
        """
        self.stale = False
        members = [member for member in self.members.values() if member.eligible()]
        members.sort(key=lambda member: member.record.id)
        self.strategy.rebuild(members)
