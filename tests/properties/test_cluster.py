"""What the cluster promises under any interleaving: no lost or doubled ticket, permit or waiter, nobody unavailable is
picked, and nobody who could be served is kept waiting.

A state machine plays everything that can happen to a small service, in any order: requests that come, wait, leave and
end in every way (some of them at the very moment in which they are told), checks, the operator, instances that come and
go, and time. After each step everything is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.cluster.samples import BAD, GOOD, FirstUntried, a_record, a_spec
from wmesh.cluster.breaker import HALF_OPEN
from wmesh.cluster.cluster import NEVER
from wmesh.cluster.directory import Directory
from wmesh.cluster.explain import explain
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.selection import Selection, Waiter
from wmesh.cluster.ticket import Ticket
from wmesh.events import AdminStateChanged, InstanceAdded, InstanceRemoved, WeightChanged
from wmesh.model import AdaptiveSpec, AdminState, BreakerSpec, OutlierSpec, QueueSpec, Subset

IDS = st.sampled_from(("a", "b", "c", "d"))
SUBSETS = st.sampled_from((Subset(), Subset(), Subset("1"), Subset("2", ("t",))))
OUTCOMES = st.sampled_from((*Outcome, Outcome.OK, Outcome.OK))
WHICH = st.integers(0, 1000)


class Request:
    """One that waits: how often it was told, and what it does with a ticket at once."""

    def __init__(self, play: Play, tried: tuple[Member, ...], at_once: Outcome | None) -> None:
        self.play = play
        self.tried = tried
        self.at_once = at_once
        self.told = 0
        self.left = False
        self.waiter: Waiter | None = None

    def granted(self, ticket: Ticket) -> None:
        self.told += 1
        assert not self.left, "who left was told"
        self.play.judge(ticket, self.tried)
        if self.at_once is None:
            self.play.tickets.append(ticket)
        else:
            ticket.release(self.at_once, self.play.now)

    def refused(self, refusal: Refusal) -> None:
        self.told += 1
        assert not self.left, "who left was told"


class InTurn(FirstUntried):
    """Another one each time, so that everybody is met."""

    turn = 0

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        self.turn += 1
        start = self.turn % len(self.members) if self.members else 0
        return next((one for one in (*self.members[start:], *self.members[:start]) if one not in tried), None)


class Play(RuleBasedStateMachine):
    @initialize(
        limit=st.sampled_from((0, 0, 1, 2)),
        whole=st.sampled_from((0, 0, 1, 3)),
        length=st.sampled_from((0, 2, 20)),
        scope=st.sampled_from(("instance", "service", "both")),
        adaptive=st.booleans(),
        zone=st.sampled_from(("", "x")),
        panic=st.sampled_from((("any", 0), ("none", 0), ("any", 60), ("none", 60))),
        chosen=st.sampled_from(("first", "round")),
    )
    def begin(
        self,
        limit: int,
        whole: int,
        length: int,
        scope: str,
        adaptive: bool,
        zone: str,
        panic: tuple[str, int],
        chosen: str,
    ) -> None:
        self.now = 100.0
        self.tickets: list[Ticket] = []
        self.requests: list[Request] = []
        spec = a_spec(
            instance_max_connections=limit,
            max_connections=whole,
            queue=QueueSpec(length, 5.0),
            breaker=BreakerSpec(scope=scope, min_calls=3, failures=2, reset_timeout=3.0, trials=2, trial_timeout=4.0),
            outlier=OutlierSpec(consecutive=3, min_calls=4, ejection_time=4.0),
            adaptive=AdaptiveSpec(adaptive, 1, 4),
            slow_start=6.0,
            panic=panic[0],
            panic_threshold=panic[1],
            zone_preference=bool(zone),
        )
        chance = Random(1)
        make: Any = FirstUntried if chosen == "first" else InTurn
        self.directory = Directory([spec], lambda spec: make(), lambda: self.now, chance=chance.random, zone=zone)
        self.cluster = self.directory.clusters["pricing"]
        for one in ("a", "b"):
            self.come(one, "1", True, "x")
            self.check(one, True, 1)

    # --- what is asked of every ticket

    def judge(self, ticket: Ticket, tried: tuple[Member, ...]) -> None:
        """It was right to give this one away."""
        member = ticket.member
        assert member not in tried, "it was tried already"
        assert self.cluster.members.get(member.record.id) is member, "it is gone"
        assert member.admin is AdminState.READY, "against the operator's will"
        assert not 0 < member.limit < member.in_flight, "more than its limit"
        assert not 0 < self.cluster.limit < self.cluster.in_flight, "more than the limit of the service"
        if self.cluster.panicking:
            assert member in self.cluster.eligible, "not even a last resort"
        else:
            assert member.eligible(self.now), member.reasons(self.now)

    # --- requests

    @rule(which=WHICH, tried=st.integers(0, 2), subset=SUBSETS, bound=st.one_of(st.just(""), IDS),
          at_once=st.one_of(st.none(), OUTCOMES), patience=st.sampled_from((1.0, NEVER)))  # fmt: skip
    def ask(
        self, which: int, tried: int, subset: Subset, bound: str, at_once: Outcome | None, patience: float
    ) -> None:
        """A request comes, and waits if it may."""
        selection = self.cluster.select(subset)
        known = list(self.cluster.members.values())
        before = tuple(known[(which + number) % len(known)] for number in range(tried)) if known else ()
        got = selection.acquire(b"key", before, self.now, bound)
        if isinstance(got, Ticket):
            assert subset.holds(got.member.record), "of another subset"
            self.judge(got, before)
            self.tickets.append(got)
        elif got.passing:
            request = Request(self, before, at_once)
            waiter = selection.wait(
                b"key", before, self.now, bound, self.now + patience, request.granted, request.refused
            )
            if isinstance(waiter, Waiter):
                request.waiter = waiter
                self.requests.append(request)

    @rule(which=WHICH, outcome=OUTCOMES)
    def end(self, which: int, outcome: Outcome) -> None:
        """A request ends; giving the ticket back twice, as any error path may, is giving it back once."""
        if self.tickets:
            ticket = self.tickets.pop(which % len(self.tickets))
            ticket.release(outcome, self.now)
            ticket.release(Outcome.RESET, self.now)

    @rule(which=WHICH)
    def switch(self, which: int) -> None:
        """A tunnel is opened."""
        if self.tickets:
            self.tickets[which % len(self.tickets)].prove(self.now)

    @rule(which=WHICH)
    def leave(self, which: int) -> None:
        """A client that waits, or that was told already, leaves."""
        if self.requests:
            request = self.requests[which % len(self.requests)]
            request.left = request.left or not request.told
            assert request.waiter is not None
            request.waiter.leave()

    # --- the world around

    @rule(one=IDS, version=st.sampled_from(("1", "2")), fresh=st.booleans(), zone=st.sampled_from(("x", "y")))
    def come(self, one: str, version: str, fresh: bool, zone: str) -> None:
        """An instance registers: as it was, changed, or as a new life."""
        life = f"life-{self.now}" if fresh else "life-1"
        record = replace(a_record(one, version=version, tags=("t",), incarnation=life), metadata=(("zone", zone),))
        self.directory.apply(InstanceAdded(record))

    @rule(one=IDS)
    def go(self, one: str) -> None:
        self.directory.apply(InstanceRemoved("pricing", one, "deregistered"))

    @rule(one=IDS, ok=st.booleans(), times=st.integers(1, 3))
    def check(self, one: str, ok: bool, times: int) -> None:
        member = self.cluster.members.get(one)
        for _ in range(times if member is not None else 0):
            assert member is not None
            self.directory.observe(member, GOOD if ok else BAD)

    @rule(one=IDS, state=st.sampled_from((*AdminState, AdminState.READY)), lasting=st.booleans())
    def direct(self, one: str, state: AdminState, lasting: bool) -> None:
        self.directory.apply(AdminStateChanged("pricing", one, state, lasting))

    @rule(one=IDS, weight=st.one_of(st.none(), st.integers(1, 9)))
    def weigh(self, one: str, weight: int | None) -> None:
        self.directory.apply(WeightChanged("pricing", one, weight))

    @rule(seconds=st.sampled_from((0.0, 0.1, 0.5, 1.0, 3.0, 5.0, 30.0)))
    def time_passes(self, seconds: float) -> None:
        """And the review that comes with it; then nobody is left waiting who could be served."""
        self.now += seconds
        self.directory.review()
        for request in self.waiting():
            assert request.waiter is not None and request.waiter.deadline > self.now, "waits beyond its time"
        self.nobody_waits_in_vain()

    @rule(bound=st.one_of(st.just(""), IDS), subset=SUBSETS)
    def explain(self, bound: str, subset: Subset) -> None:
        """Somebody asks why: what is said is what happens, and nothing changes by it."""
        selection = self.cluster.select(subset)
        before = self.counts()
        document = explain(selection, b"key", self.now, bound)
        assert self.counts() == before
        listed = [one["id"] for one in (*document["candidates"], *document["excluded"])]
        assert sorted(listed) == sorted(self.cluster.members)
        assert all(one["reasons"] for one in document["excluded"])
        got = selection.acquire(b"key", (), self.now, bound)
        if isinstance(got, Ticket):
            assert document["pick"] == got.member.record.id
            got.release(Outcome.CANCELLED, self.now)
        else:
            assert document["pick"] is None

    # --- what always holds

    def waiting(self) -> list[Request]:
        return [request for request in self.requests if not request.told and not request.left]

    def counts(self) -> Any:
        cluster = self.cluster
        members = cluster.members.values()
        permits = [member.breaker._permits for member in members if member.breaker is not None]
        return cluster.requests, cluster.in_flight, cluster.queued(), [member.picks for member in members], permits

    def nobody_waits_in_vain(self) -> None:
        for selection in self.selections():
            plain = [one for one in self.waiting() if one.waiter is not None and one.waiter.selection is selection]
            if plain and not any(request.tried for request in plain):
                got = selection._take(b"key", (), self.now, "")
                assert isinstance(got, Refusal), "somebody waits who could be served"
                assert got.passing, f"somebody waits in vain: {got}"

    def selections(self) -> list[Selection]:
        return [self.cluster.whole, *self.cluster.selections.values()]

    @invariant()
    def every_ticket_is_counted(self) -> None:
        assert self.cluster.in_flight == len(self.tickets)
        for member in self.cluster.members.values():
            assert member.in_flight == sum(ticket.member is member for ticket in self.tickets)
        assert all(ticket.member.in_flight > 0 for ticket in self.tickets)

    @invariant()
    def everybody_is_told_once(self) -> None:
        assert all(request.told <= 1 for request in self.requests)
        waiting = self.waiting()
        assert self.cluster.queued() == len(waiting)
        for request in waiting:
            assert request.waiter is not None and request.waiter.selection is not None
        for selection in self.selections():
            mine = sum(one.waiter is not None and one.waiter.selection is selection for one in waiting)
            assert selection.waiting == mine
            assert (selection in self.cluster.waiting) == bool(mine)
            assert not selection._serving
        assert len(self.cluster.waiting) == len(set(map(id, self.cluster.waiting)))

    @invariant()
    def the_queue_is_bounded(self) -> None:
        assert self.cluster.queued() <= self.cluster.spec.queue.length

    @invariant()
    def trials_are_counted(self) -> None:
        for member in self.cluster.members.values():
            breaker = member.breaker
            if breaker is not None and breaker.state is HALF_OPEN:
                mine = [one for one in self.tickets if one.member is member]
                out = sum(one.generation == breaker.generation for one in mine)
                assert out + breaker._permits + breaker._passed == breaker._spec.trials
        guard = self.cluster.breaker
        if guard is not None and guard.state is HALF_OPEN:
            out = sum(one.service_generation == guard.generation for one in self.tickets)
            assert out + guard._permits + guard._passed == guard._spec.trials

    @invariant()
    def reasons_and_availability_agree(self) -> None:
        for member in self.cluster.members.values():
            assert member.available(self.now) == (member.reasons(self.now) == ())

    def teardown(self) -> None:
        """Whatever happened: with everything given back, and one instance that is well, requests are served again."""
        if not hasattr(self, "cluster"):
            return
        for ticket in self.tickets[:]:
            self.tickets.remove(ticket)
            ticket.release(Outcome.OK, self.now)
        while self.tickets:
            self.tickets.pop().release(Outcome.OK, self.now)
        for one in "bcd":
            self.go(one)
        self.come("a", "1", True, "x")
        self.direct("a", AdminState.READY, True)
        for _ in range(400):
            self.check("a", True, 1)
            self.now += 0.5
            self.directory.review()
            while self.tickets:
                self.tickets.pop().release(Outcome.OK, self.now)
            got = self.cluster.whole.acquire(b"key", (), self.now)
            if isinstance(got, Ticket):
                got.release(Outcome.OK, self.now)
        assert isinstance(got, Ticket), got
        got.release(Outcome.OK, self.now)
        assert (self.cluster.in_flight, self.cluster.queued()) == (0, 0)
        assert all(request.told or request.left for request in self.requests)


Play.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
PlayTests = Play.TestCase
