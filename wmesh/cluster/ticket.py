"""The right to use one member for one attempt, and what its return says of the member.

A ticket is paired with exactly one `release`; there the evidence of live traffic is taken in: latency, the circuit
breaker's window, failures in a row. A good answer of a well instance costs two additions; everything else is out of
line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.cluster.member import Member
from wmesh.cluster.outcome import CANCELLED, OK, Outcome

if TYPE_CHECKING:
    from wmesh.cluster.cluster import Cluster

PROVED = -1  # the generation of no breaker


class Ticket:
    """The right to use one member for one attempt. `generation` is that of the member's breaker when it was given."""

    __slots__ = ("_cluster", "generation", "member", "service_generation", "started")

    def __init__(self, cluster: Cluster, member: Member, now: float) -> None:
        self._cluster: Cluster | None = cluster
        self.member = member
        self.started = now
        breaker = member.breaker
        self.generation = 0 if breaker is None else breaker.generation
        guard = cluster.breaker
        self.service_generation = 0 if guard is None else guard.generation

    def prove(self, now: float) -> None:
        """Its instance did what it was asked for and stays in use (a tunnel): good evidence now, none at the end."""
        cluster = self._cluster
        if cluster is None:
            return
        member, seconds = self.member, now - self.started
        member.streak = 0
        if member.breaker is not None and member.breaker.observe(False, seconds, self.generation, now):
            cluster.moved(member, member.breaker, now)
        if cluster.breaker is not None and cluster.breaker.observe(False, seconds, self.service_generation, now):
            cluster.moved(None, cluster.breaker, now)
        self.generation = self.service_generation = PROVED

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
            seconds = now - self.started
            member.latency.observe(seconds, now)
            member.streak = 0
            breaker = member.breaker
            if breaker is not None:
                window = breaker.window
                if breaker.plain and now < window.end and self.generation == breaker.generation:
                    # WHY not observe(): two calls deep, it costs three times as much (bench: micro, cluster).
                    slot = window.slot
                    slot[0] += 1
                    slot[3] += seconds
                    window.calls += 1
                    window.seconds += seconds
                elif breaker.observe(False, seconds, self.generation, now):
                    cluster.moved(member, breaker, now)
            if cluster.measured:
                cluster.answered(self, seconds, now)
        elif outcome is CANCELLED:
            if member.breaker is not None:
                member.breaker.cancel(self.generation)
            if cluster.breaker is not None:
                cluster.breaker.cancel(self.service_generation)
        else:
            cluster.failed(self, outcome, now)
        if cluster.waiting:
            cluster.serve(now, member)
