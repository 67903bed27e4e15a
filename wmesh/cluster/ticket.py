"""The right to use one member for one attempt, and the one place where the outcome of an attempt is counted.

A ticket is paired with exactly one `release`; there the evidence of live traffic is taken in: latency, the windows of
the circuit breakers, failures in a row. A good answer of a well instance costs two additions; everything else is out of
line. What follows from the evidence (somebody is ejected, a breaker has moved) is for the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.cluster.breaker import CLOSED
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
        seconds = now - self.started
        self.member.streak = 0
        self._tell_instance(cluster, False, seconds, now)
        self._tell_service(cluster, False, seconds, now)
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
                else:
                    self._tell_instance(cluster, False, seconds, now)
            if cluster.measured:
                self._tell_service(cluster, False, seconds, now)
                cluster.answered(seconds, now)
        elif outcome is CANCELLED:
            if member.breaker is not None:
                member.breaker.cancel(self.generation)
            if cluster.breaker is not None:
                cluster.breaker.cancel(self.service_generation)
        else:
            self._failed(cluster, outcome, now)
        if cluster.waiting:
            cluster.serve(now, member)

    def outrun(self, now: float) -> None:
        """Give it back: another instance answered the same request first. That is no failure, but it took at least so
        long. Less than is usual for it says nothing, and must not make it look faster.
        """
        cluster, member = self._cluster, self.member
        if cluster is None:
            return
        seconds, usual = now - self.started, member.latency.value(now)
        if usual is None or seconds > usual:
            member.latency.observe(seconds, now)
            # A trial that nobody waited for to its end has proved nothing.
            if member.breaker is not None and member.breaker.state is CLOSED:
                self._tell_instance(cluster, False, seconds, now)
        self.release(CANCELLED, now)

    def _failed(self, cluster: Cluster, outcome: Outcome, now: float) -> None:
        """The attempt failed, and its instance is to blame."""
        member, seconds = self.member, now - self.started
        member.failures += 1
        cluster.failures += 1
        counts = outcome in cluster.breaking
        # What was sent before it was out, and fails when it is back, is what it was out for already.
        fresh = self.started >= member.latency.since
        on_probation = member.probation()
        if fresh:
            # A failure must never look fast: it is charged as the longest wait that a good answer may take.
            member.latency.charge(max(seconds, cluster.spec.timeout_first_byte), now)
            member.streak = member.streak + 1 if counts else 0
        self._tell_instance(cluster, counts, seconds, now)
        self._tell_service(cluster, counts, seconds, now)
        if counts and fresh:
            cluster.failed(member, outcome, on_probation, now)

    def _tell_instance(self, cluster: Cluster, failed: bool, seconds: float, now: float) -> None:
        """Evidence for the breaker of the instance, if there is one."""
        breaker = self.member.breaker
        if breaker is not None and breaker.observe(failed, seconds, self.generation, now):
            cluster.moved(self.member, breaker, now)

    def _tell_service(self, cluster: Cluster, failed: bool, seconds: float, now: float) -> None:
        """The same for that of the service."""
        breaker = cluster.breaker
        if breaker is not None and breaker.observe(failed, seconds, self.service_generation, now):
            cluster.moved(None, breaker, now)
