"""One way to choose among the members of a cluster: all of them or a subset, a strategy, and a queue in front.

`acquire` is on the hot path: with nothing special going on it is a few comparisons and the strategy's pick. What is
special comes out of line: a member that has to be asked (its limit, the trials of a half-open breaker), the breaker of
the service, a full house.

The queue holds requests that nobody can take *now*: it is bounded, ordered by deadline, and newcomers stand behind
those who wait already. It is served when a ticket comes back and when somebody becomes eligible; whoever waits is
told exactly once, by `granted` or `refused`, unless he left before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING

from wmesh.cluster.breaker import CLOSED
from wmesh.cluster.outcome import Refusal
from wmesh.cluster.ticket import Ticket
from wmesh.interfaces import Strategy
from wmesh.model import AdminState, Health, Subset

if TYPE_CHECKING:
    from wmesh.cluster.cluster import Cluster
    from wmesh.cluster.member import Member

FEW = 8
"""So many members are asked one by one; then all are looked at once."""
SLACK = 64
"""So many of those who left may stay in the heap beside as many as wait."""


class Waiter:
    """One request in the queue. `since` and `deadline` are by the clock of the mesh."""

    __slots__ = ("deadline", "granted", "key", "prefer", "refused", "selection", "since", "tried")

    def __init__(
        self,
        selection: Selection,
        key: bytes,
        tried: Sequence[Member],
        prefer: str,
        since: float,
        deadline: float,
        granted: Callable[[Ticket], None],
        refused: Callable[[Refusal], None],
    ) -> None:
        self.selection: Selection | None = selection
        self.key = key
        self.tried = tried
        self.prefer = prefer
        self.since = since
        self.deadline = deadline
        self.granted = granted
        self.refused = refused

    def leave(self) -> None:
        """Wait no longer; nothing is told any more. Leaving twice, or after having been told, does nothing."""
        selection, self.selection = self.selection, None
        if selection is not None:
            selection.left()


class Selection:
    """`members` are those that the strategy chooses from now; `far` those of other zones, for when none of them can.
    `waiting` counts requests in the queue. `plain`: neither a breaker of the service nor another zone has a say.
    """

    __slots__ = (
        "_called_again",
        "_number",
        "_queue",
        "_serving",
        "_turn",
        "cluster",
        "far",
        "members",
        "plain",
        "strategy",
        "subset",
        "waiting",
    )

    def __init__(self, cluster: Cluster, strategy: Strategy, subset: Subset | None = None) -> None:
        self.cluster = cluster
        self.strategy = strategy
        self.subset = subset or Subset()
        self.members: Sequence[Member] = ()
        self.far: Sequence[Member] = ()
        self.waiting = 0
        self.plain = False
        self._turn = 0
        self._called_again = False
        self._queue: list[tuple[float, int, Waiter]] = []
        self._number = 0
        self._serving = False

    def acquire(self, key: bytes, tried: Sequence[Member], now: float, prefer: str = "") -> Ticket | Refusal:
        """A ticket for a member that may take a request now and is not in `tried`, or why there is none.

        `prefer` is the id of the member that the client is bound to; where it may not take the request, the strategy
        picks another one.
        """
        cluster = self.cluster
        if (cluster.stale and now >= cluster.refresh_from) or now >= cluster.review_at:
            cluster.refresh(now)
        limit = cluster.limit
        if self.plain and not prefer and not self.waiting and (not limit or cluster.in_flight < limit):
            # What nearly every request takes: the same as `_take`, where nothing of it can apply.
            member = self.strategy.pick(key, tried, now)
            if member is not None and member.gated and not member.admits(now):
                member = self._next(key, tried, now, member, None)
            if member is not None:
                member.in_flight += 1
                member.picks += 1
                cluster.in_flight += 1
                cluster.requests += 1
                return Ticket(cluster, member, now)
            cluster.refusals += 1
            return self.refusal(tried, now)
        if self.waiting:
            cluster.refusals += 1
            return Refusal("queued", f"{self.waiting} requests wait already", passing=True)
        ticket = self._take(key, tried, now, prefer)
        if isinstance(ticket, Refusal):
            cluster.refusals += 1
        return ticket

    def _take(
        self, key: bytes, tried: Sequence[Member], now: float, prefer: str, freed: Member | None = None
    ) -> Ticket | Refusal:
        cluster = self.cluster
        if 0 < cluster.limit <= cluster.in_flight:
            detail = f"{cluster.in_flight} of {cluster.limit} requests in flight"
            return Refusal("service_full", detail, passing=True)
        guard = cluster.breaker
        if guard is not None and not guard.permit(now):
            detail = f"the circuit breaker of the service is {guard.state.name.lower()}: {guard.reason}"
            return Refusal("circuit_open", detail, max(1, round(guard.until - now)))
        member = None
        if prefer or cluster.trying:
            member = self._special(prefer, tried, now)
        if member is None:
            member = self.strategy.pick(key, tried, now)
            if member is not None and member.gated and not member.admits(now):
                member = self._next(key, tried, now, member, freed)
            if member is None and self.far:
                member = self._far_away(tried, now)
        if member is None:
            if guard is not None:
                guard.cancel(guard.generation)
            return self.refusal(tried, now)
        member.in_flight += 1
        member.picks += 1
        cluster.in_flight += 1
        cluster.requests += 1
        return Ticket(cluster, member, now)

    def _special(self, prefer: str, tried: Sequence[Member], now: float) -> Member | None:
        """The member that the client is bound to; else one that has to be tried because its breaker is half open."""
        cluster = self.cluster
        bound = cluster.members.get(prefer)
        if bound is not None and bound not in tried and self._takes(bound, now):
            return bound
        while cluster.trying and not tried:
            member = cluster.trying[-1]
            assert member.breaker is not None
            if not member.breaker.trying:
                cluster.trying.pop()
            elif self.subset.holds(member.record) and member.admits(now):
                return member
            else:
                break
        return None

    def _next(
        self, key: bytes, tried: Sequence[Member], now: float, member: Member | None, freed: Member | None
    ) -> Member | None:
        """`member` was picked but is full, or has no trial left: another one. `freed` is likely to have room."""
        given = tried
        for _ in range(FEW):
            if member is None or not member.gated or member.admits(now):
                return member
            tried = (*tried, member)
            member = self.strategy.pick(key, tried, now)
        # Hardly anybody has room. WHY not go on asking: with ten thousand full members each pick passes over all.
        if freed is not None and freed not in given and self._takes(freed, now):
            return freed
        free = (one for one in self.members if one not in tried and (not one.gated or one.admits(now)))
        return next(free, None)

    def _takes(self, member: Member, now: float) -> bool:
        """Does this one, whom no strategy picked, take the request? In a half-open breaker a yes takes a trial."""
        return self.subset.holds(member.record) and self.cluster.serves(member, now) and member.admits(now)

    def _far_away(self, tried: Sequence[Member], now: float) -> Member | None:
        """Nobody of our zone can take it: each of the others in turn."""
        for steps, member in enumerate(self.far_in_turn(), 1):
            if member not in tried and (not member.gated or member.admits(now)):
                self._turn = (self._turn + steps) % len(self.far)
                return member
        return None

    def far_in_turn(self) -> Iterator[Member]:
        """Those of other zones, beginning with whose turn it is."""
        far, turn = self.far, self._turn
        return (far[(turn + step) % len(far)] for step in range(1, len(far) + 1))

    def refusal(self, tried: Sequence[Member], now: float) -> Refusal:
        """Why none of those to choose from can take this request."""
        if not self.members and not self.far:
            if self.subset and self.cluster.eligible:
                return Refusal("no_instances", f"no available instance belongs to the subset{self.subset}", 2)
            return self.nobody(now)
        trying = None
        for member in chain(self.members, self.far):
            if member not in tried:
                if member.full():
                    return Refusal("instances_full", "every instance has its limit of requests in flight", passing=True)
                trying = member.breaker
        if trying is None:
            there = len(self.members) + len(self.far)
            return Refusal("all_tried", f"all {there} available instances were tried and failed")
        detail = f"all trials of a half-open circuit breaker are on their way: {trying.reason}"
        return Refusal("circuit_open", detail, max(1, round(trying.until - now)))

    def nobody(self, now: float) -> Refusal:
        """Why nobody at all is there to choose from. Cold: looks at every member."""
        cluster = self.cluster
        members = cluster.members.values()
        recent = now - cluster.last_available < cluster.spec.queue.timeout
        if not members:
            expected = recent or bool(cluster.spec.command)
            return Refusal("no_instances", "no instance is registered", 2, expected)
        if any(member.health.state is Health.UNKNOWN and member.admin is AdminState.READY for member in members):
            return Refusal("starting", "instances are starting and have passed no check yet", passing=True)
        well = sum(member.eligible(now) for member in members)
        if well and cluster.panicking:
            threshold = f"panic_threshold is {cluster.spec.panic_threshold} %, and panic = none"
            detail = f"only {well} of {len(members)} instances may take requests: {threshold}"
            return Refusal("no_healthy_instance", detail, 2)
        opened = [member.breaker for member in members if member.breaker and member.breaker.state is not CLOSED]
        if opened:
            wait = min(breaker.until for breaker in opened) - now
            detail = f"the circuit breakers of {len(opened)} of {len(members)} instances are open: {opened[0].reason}"
            return Refusal("circuit_open", detail, max(1, round(wait)))
        return Refusal("no_healthy_instance", f"none of {len(members)} instances may take requests", 2)

    def rebuild(self, eligible: Sequence[Member]) -> None:
        """Take over who is eligible: of them, those of the subset, and if there are enough those of our zone."""
        if self.subset:
            eligible = [member for member in eligible if self.subset.holds(member.record)]
        self.members = near = self._near(eligible) if self.cluster.zone else eligible
        here = self.cluster.zone
        self.far = [member for member in eligible if zone_of(member) != here] if len(near) < len(eligible) else ()
        cluster = self.cluster
        self.plain = not (self.far or cluster.breaker or cluster.trying)
        self.strategy.rebuild(near)

    def _near(self, eligible: Sequence[Member]) -> Sequence[Member]:
        """Those of our zone, as long as at least half of our zone is well: then they can be trusted to bear it. In a
        panic nobody knows who is well, and those of other zones may be."""
        if self.cluster.panicking:
            return eligible
        zone = self.cluster.zone
        near = [member for member in eligible if zone_of(member) == zone]
        there = sum(
            zone_of(member) == zone and self.subset.holds(member.record) for member in self.cluster.members.values()
        )
        return near if near and 2 * len(near) >= there else eligible

    def others(self, tried: Sequence[Member]) -> bool:
        """Is there anybody but those?"""
        return len(self.members) > len(tried) or any(member not in tried for member in chain(self.members, self.far))

    # --- the queue

    def wait(
        self,
        key: bytes,
        tried: Sequence[Member],
        now: float,
        prefer: str,
        deadline: float,
        granted: Callable[[Ticket], None],
        refused: Callable[[Refusal], None],
    ) -> Waiter | Refusal:
        """Stand in the queue until `deadline`, but no longer than the queue allows. A refusal: it is full."""
        cluster = self.cluster
        spec = cluster.spec.queue
        if cluster.queued() >= spec.length:
            detail = f"{spec.length} requests wait already" if spec.length else "requests do not wait here"
            return Refusal("queue_full", detail)
        deadline = min(deadline, now + spec.timeout)
        waiter = Waiter(self, key, tried, prefer, now, deadline, granted, refused)
        self._number += 1
        heappush(self._queue, (deadline, self._number, waiter))
        self.waiting += 1
        if self.waiting == 1:
            cluster.waiting.append(self)
        return waiter

    def left(self) -> None:
        """A waiter left; it is taken out of the heap when its turn comes."""
        self.waiting -= 1
        if not self.waiting:
            self._queue.clear()
            self.cluster.waiting.remove(self)
        elif len(self._queue) > 2 * self.waiting + SLACK:
            self._queue = [entry for entry in self._queue if entry[2].selection is not None]
            heapify(self._queue)

    def serve(self, now: float, freed: Member | None = None) -> None:
        """Let those who wait try again. Who waited too long, and still cannot be served, is refused."""
        if self._serving:
            # Whoever is told gives a ticket back before he returns: the loop below goes on.
            self._called_again = True
            return
        self._serving = True
        passed: list[tuple[float, int, Waiter]] = []
        try:
            self._serve(now, freed, passed)
        finally:
            self._serving = False
            for entry in passed:
                if entry[2].selection is not None:
                    heappush(self._queue, entry)

    def _serve(self, now: float, freed: Member | None, passed: list[tuple[float, int, Waiter]]) -> None:
        cluster = self.cluster
        blocked: Refusal | None = None
        while self._queue and len(passed) < FEW:
            entry = heappop(self._queue)
            waiter = entry[2]
            if waiter.selection is None:
                continue
            if blocked is not None and now < waiter.deadline:
                passed.append(entry)
                return
            if (cluster.stale and now >= cluster.refresh_from) or now >= cluster.review_at:
                cluster.refresh(now)
            self._called_again = False
            ticket = blocked or self._take(waiter.key, waiter.tried, now, waiter.prefer, freed)
            if isinstance(ticket, Ticket):
                waiter.leave()
                waiter.granted(ticket)
                # The one place that had become free is taken: to ask on would mean to ask everybody.
                if ticket.member is freed and freed.full() and not self._called_again:
                    return
            elif not ticket.passing:
                waiter.leave()
                waiter.refused(ticket)
            else:
                # Who has tried nobody could have taken anybody: the others need not ask.
                if not waiter.tried:
                    blocked = ticket
                if now < waiter.deadline:
                    passed.append(entry)
                else:
                    waiter.leave()
                    detail = f"waited {now - waiter.since:.1f} s; {ticket.detail}"
                    waiter.refused(Refusal("queue_timeout", detail, ticket.retry_after))


def zone_of(member: Member) -> str:
    """The zone that an instance says it is in, by its metadata; empty where it does not say."""
    for name, value in member.record.metadata:
        if name == "zone":
            return value
    return ""
