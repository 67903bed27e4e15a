"""The live set of instances of one service, and the tickets to use them.

Strategy: `Selection.acquire` (next door) is on the hot path and reads only what `refresh` prepared when something
changed: who is eligible, with which share, and when time alone will change that (`review_at`). A ticket is paired with
exactly one `release`; there the evidence of live traffic is taken in: latency, the circuit breaker's window, failures
in a row. A good answer of a well instance costs two additions; everything else is out of line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wmesh.cluster.breaker import CLOSED, OPEN, Breaker
from wmesh.cluster.gradient import Gradient
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import CANCELLED, OK, Outcome
from wmesh.cluster.outlier import outliers, spare
from wmesh.events import BreakerChanged, EjectionChanged, Event
from wmesh.interfaces import Strategy
from wmesh.model import AdminState, ServiceSpec, Subset

if TYPE_CHECKING:
    from wmesh.cluster.selection import Selection

NEVER = float("inf")
MANY = 500
SPARING = 10e-6
"""Larger clusters are refreshed no more often than once in so many seconds for each member."""
PROVED = -1  # the generation of no breaker
SETTLED = 5.0
"""Seconds after the first instance served: who comes later than that is new among old ones."""


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


class Cluster:
    """All instances of one service in this process.

    `requests` and `failures` count attempts since the start, `checks_passed` and `checks_failed` active checks.
    `selections` are the ways to choose among the members: `whole`, and one for each subset that a route asks for.
    `limit` bounds the requests in flight; `gradient`, if there is one, moves it. `measured`: good answers concern more
    than their instance. `make_strategy` builds the strategy of each selection. `tell` hears what traffic did to
    breakers and who is ejected; `chance` answers numbers in [0, 1).
    """

    __slots__ = (
        "_breaking",
        "_reviewed",
        "breaker",
        "chance",
        "checks_failed",
        "checks_passed",
        "eligible",
        "failures",
        "gradient",
        "in_flight",
        "last_available",
        "limit",
        "make_strategy",
        "measured",
        "members",
        "panicking",
        "refresh_from",
        "refusals",
        "requests",
        "review_at",
        "selections",
        "serving_since",
        "spec",
        "stale",
        "tell",
        "trying",
        "waiting",
        "whole",
        "zone",
    )

    def __init__(
        self,
        spec: ServiceSpec,
        make_strategy: Callable[[ServiceSpec], Strategy],
        *,
        tell: Callable[[Event], None] = lambda event: None,
        chance: Callable[[], float] = float,
        zone: str = "",
        now: float = 0.0,
    ) -> None:
        from wmesh.cluster.selection import Selection

        self.spec = spec
        self.make_strategy = make_strategy
        self.tell = tell
        self.chance = chance
        self.zone = zone
        self.members: dict[str, Member] = {}
        self.limit = spec.max_connections
        self.breaker = Breaker(spec.breaker, chance, now) if _guarded(spec) else None
        self.gradient = Gradient(spec.adaptive, now) if spec.adaptive.enabled else None
        if self.gradient is not None:
            self.limit = min(self.gradient.limit, spec.max_connections or self.gradient.limit)
        self.measured = self.breaker is not None or self.gradient is not None
        self.stale = True
        self.review_at = NEVER
        self.refresh_from = -NEVER
        self.eligible: list[Member] = []
        self.trying: list[Member] = []
        self.panicking = False
        self.last_available = self.serving_since = -NEVER
        self.in_flight = 0
        self.requests = 0
        self.failures = 0
        self.refusals = 0
        self.checks_passed = 0
        self.checks_failed = 0
        self.waiting: list[Selection] = []
        self._breaking = frozenset(Outcome[name.upper()] for name in spec.breaker.outcomes)
        self._reviewed = 0
        self.whole = Selection(self, make_strategy(spec))
        self.selections: dict[Subset, Selection] = {}

    def select(self, subset: Subset) -> Selection:
        """The way to choose among the members of `subset` only; the same object for equal subsets."""
        from wmesh.cluster.selection import Selection

        if not subset:
            return self.whole
        found = self.selections.get(subset)
        if found is None:
            found = self.selections[subset] = Selection(self, self.make_strategy(self.spec), subset)
            self.stale = True
        return found

    # --- evidence of live traffic

    def answered(self, ticket: Ticket, seconds: float, now: float) -> None:
        """A good answer of a service that is measured as a whole."""
        if self.breaker is not None and self.breaker.observe(False, seconds, ticket.service_generation, now):
            self.moved(None, self.breaker, now)
        if self.gradient is not None and self.gradient.observe(seconds, self.in_flight + 1, now):
            most = self.spec.max_connections
            self.limit = min(self.gradient.limit, most) if most else self.gradient.limit

    def failed(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """An attempt failed, and its instance is to blame."""
        member = ticket.member
        seconds = now - ticket.started
        member.failures += 1
        self.failures += 1
        counts = outcome in self._breaking
        # What was sent before it was out, and fails when it is back, is what it was out for already.
        fresh = ticket.started >= member.latency.since
        on_probation = member.probation()
        if fresh:
            # A failure must never look fast: it is charged as the longest wait that a good answer may take.
            member.latency.charge(max(seconds, self.spec.timeout_first_byte), now)
            member.streak = member.streak + 1 if counts else 0
        breaker = member.breaker
        if breaker is not None and breaker.observe(counts, seconds, ticket.generation, now):
            self.moved(member, breaker, now)
        if self.breaker is not None and self.breaker.observe(counts, seconds, ticket.service_generation, now):
            self.moved(None, self.breaker, now)
        outlier = self.spec.outlier
        # WHY not at every further failure: where nobody can be spared, each question passes over all members. Who is on
        # probation after an ejection has no credit any more.
        row = fresh and counts and outlier.consecutive
        row = row and (member.streak % outlier.consecutive == 0 or on_probation)
        if outlier.enabled and row and member.eligible(now) and spare(self.members.values(), outlier, now):
            reason = f"{_times(member.streak, 'failure')} in a row, the last one {outcome.name.lower()}"
            self.eject(member, reason, outcome is not Outcome.SERVER_ERROR, on_probation, now)

    def eject(self, member: Member, reason: str, provable: bool, again: bool, now: float) -> None:
        """Take a member out by what its traffic shows; `again`: before it had shown that it is well. Whether it can be
        spared is for the caller to know."""
        seconds = member.ejection.begin(self.spec.outlier, reason, provable, again, now)
        member.streak = 0
        member.doubt()
        self.stale = True
        self.tell(EjectionChanged(self.spec.name, member.record.id, seconds, reason))

    def readmit(self, member: Member, reason: str, now: float) -> None:
        """An ejection is over: it gets its traffic back little by little, and is not judged by what was before."""
        member.ejection.until = min(member.ejection.until, now)
        member.ejection.reason = ""
        if member.breaker is not None:
            member.breaker.window.clear(now)
        member.growth.begin(self.spec.breaker.ramp, now)
        member.on_probation = bool(self.spec.breaker.ramp)
        member.begin_again(now)
        self.stale = True
        self.tell(EjectionChanged(self.spec.name, member.record.id, 0.0, reason))

    def checked(self, member: Member, ok: bool, now: float) -> None:
        """An active check of a member that traffic took out, or whose breaker is open, ended. Enough good ones bring it
        back (to be tried, where the breaker is), if a check can prove the opposite of what was seen: that connections
        are answered, or that it is well after it was not.
        """
        ejection, breaker = member.ejection, member.breaker
        opened = breaker is not None and breaker.state is OPEN
        if now >= ejection.until and not opened:
            return
        if ejection.disproved(ok, self.spec.check.rise):
            if now < ejection.until:
                self.readmit(member, f"{ejection.passes} checks passed", now)
            if breaker is not None and opened:
                breaker.hasten(now)
                self.stale = True

    def moved(self, member: Member | None, breaker: Breaker, now: float) -> None:
        """A breaker changed its state: of `member`, or the service's own."""
        self.stale = True
        state = breaker.state
        if member is not None:
            member.doubt()
            if state is OPEN and now >= member.ejection.until:
                member.ejection.want_proof(False)
        if member is not None and state is CLOSED:
            member.growth.begin(self.spec.breaker.ramp, now)
            member.begin_again(now)
        name = member.record.id if member is not None else ""
        old = breaker.before.name.lower()
        self.tell(BreakerChanged(self.spec.name, name, old, state.name.lower(), breaker.reason))

    # --- who may be chosen

    def refresh(self, now: float) -> None:
        """Find out who is eligible, and hand each strategy its part, in a stable order.

        A change of a verdict, a weight or the set itself only marks the cluster `stale`; the next request pays for the
        refresh, not before `refresh_from`. So a burst of changes costs one, and ten thousand can come at once.
        """
        if self.eligible and not self.panicking:
            self.last_available = now  # they were, until whatever it is that changed
        again, known = NEVER, 0
        eligible = []
        for member in self.members.values():
            breaker = member.breaker
            if breaker is not None and breaker.state is not CLOSED and breaker.review(now):
                self.moved(member, breaker, now)
            if member.ejection.reason and now >= member.ejection.until:
                self.readmit(member, "its time is over", now)
            again = min(again, member.refresh(now))
            known += member.health.proven and member.admin is AdminState.READY
            if member.eligible(now):
                eligible.append(member)
        if self.breaker is not None:
            if self.breaker.review(now):
                self.moved(None, self.breaker, now)
            again = min(again, self.breaker.next_review())
        self.stale = False
        self.panicking = not eligible or len(eligible) * 100.0 < self.spec.panic_threshold * known
        if self.panicking:
            eligible = self._last_resort(eligible)
        elif eligible:
            self.last_available = now
        eligible.sort(key=_by_id)
        self.eligible = eligible
        self.trying = [member for member in eligible if member.breaker is not None and member.breaker.trying]
        self.review_at = again
        # WHY: ten thousand members take 15 ms (bench: registry). Who turned bad meanwhile is doubted, and not taken.
        self.refresh_from = now + SPARING * len(self.members) if len(self.members) > MANY else now
        self.whole.rebuild(eligible)
        for selection in self.selections.values():
            selection.rebuild(eligible)

    def _last_resort(self, eligible: list[Member]) -> list[Member]:
        """Too few are well to believe the evidence: those whom checks or traffic took out serve as well.

        Never who was not well yet (it is starting), whom the operator took out, or whose breaker is open. With
        `panic = none` nobody at all serves in a panic that the operator asked for by a threshold.
        """
        if self.spec.panic == "none":
            return [] if self.spec.panic_threshold else eligible
        return [
            member
            for member in self.members.values()
            if member.admin is AdminState.READY
            and member.health.proven
            and (member.breaker is None or member.breaker.state is not OPEN)
        ]

    def review(self, now: float) -> None:
        """Do what time alone brings, though no request comes: called about twice a second."""
        if self.stale or now >= self.review_at:
            self.refresh(now)
        if self.spec.outlier.enabled and self.requests != self._reviewed:
            self._reviewed = self.requests
            found = tuple(outliers(self.eligible, self.spec.outlier, now))
            left = spare(self.members.values(), self.spec.outlier, now) if found else 0
            for member, reason in found:
                if left and member.eligible(now):
                    self.eject(member, reason, False, member.probation(), now)
                    left -= 1
        if self.waiting:
            self.serve(now)

    def joined(self, member: Member, now: float) -> None:
        """A member became healthy, or was handed back by the operator. It starts slowly, unless nobody served
        before it or all are as new as it is."""
        self.stale = True
        member.begin_again(now)
        if member.breaker is not None:
            member.breaker.hasten(now)
        if not self.eligible or self.panicking:
            self.serving_since = now
        elif now - self.serving_since >= SETTLED:
            member.growth.begin(self.spec.slow_start, now)

    def serve(self, now: float, freed: Member | None = None) -> None:
        """Somebody may be free now (`freed`, who gave a ticket back): those who wait try again, in order."""
        for selection in tuple(self.waiting):
            selection.serve(now, freed)

    def queued(self) -> int:
        """How many requests wait."""
        return sum(selection.waiting for selection in self.waiting)


def _guarded(spec: ServiceSpec) -> bool:
    return spec.breaker.enabled and spec.breaker.scope != "instance"


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _by_id(member: Member) -> str:
    return member.record.id
