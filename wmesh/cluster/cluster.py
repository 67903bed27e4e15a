"""The live set of instances of one service: who of them may take a request, by all that is known of them.

Strategy: `Selection.acquire` (next door) is on the hot path and reads only what `refresh` prepared when something
changed: who is eligible, with which share, and when time alone will change that (`review_at`). What live traffic shows
comes from the tickets (`wmesh.cluster.ticket`).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from wmesh.cluster.breaker import CLOSED, OPEN, Breaker
from wmesh.cluster.gradient import Gradient
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome
from wmesh.cluster.outlier import outliers, spare
from wmesh.cluster.selection import Selection
from wmesh.events import BreakerChanged, EjectionChanged, Event
from wmesh.interfaces import Strategy
from wmesh.model import AdminState, ServiceSpec, Subset

NEVER = float("inf")
_by_id = attrgetter("record.id")
MANY = 500
SPARING = 10e-6
"""Larger clusters are refreshed no more often than once in so many seconds for each member."""
SETTLED = 5.0
"""Seconds after the first instance served: who comes later than that is new among old ones."""


class Cluster:
    """All instances of one service in this process.

    `requests` and `failures` count attempts since the start, `checks_passed` and `checks_failed` active checks.
    `selections` are the ways to choose among the members: `whole`, and one for each subset that a route asks for.
    `breaking` are the outcomes that count as failures. `limit` bounds the requests in flight; `gradient`, if there is
    one, moves it. `measured`: good answers concern more than their instance. `make_strategy` builds the strategy of
    each selection. `tell` hears what traffic did to breakers and who is ejected; `chance` answers numbers in [0, 1).
    """

    __slots__ = (
        "_reviewed",
        "breaker",
        "breaking",
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
        self.breaking = frozenset(Outcome[name.upper()] for name in spec.breaker.outcomes)
        self._reviewed = 0
        self.whole = Selection(self, make_strategy(spec))
        self.selections: dict[Subset, Selection] = {}

    def select(self, subset: Subset) -> Selection:
        """The way to choose among the members of `subset` only; the same object for equal subsets."""
        if not subset:
            return self.whole
        found = self.selections.get(subset)
        if found is None:
            found = self.selections[subset] = Selection(self, self.make_strategy(self.spec), subset)
            self.stale = True
        return found

    # --- what live traffic leads to: see `Ticket` for how it is counted

    def answered(self, seconds: float, now: float) -> None:
        """A good answer after `seconds`, of a service that is measured as a whole: the limit may move."""
        if self.gradient is not None and self.gradient.observe(seconds, self.in_flight + 1, now):
            most = self.spec.max_connections
            self.limit = min(self.gradient.limit, most) if most else self.gradient.limit

    def failed(self, member: Member, outcome: Outcome, on_probation: bool, now: float) -> None:
        """One more failure that counts: enough of them in a row eject the member, if it can be spared."""
        outlier = self.spec.outlier
        # WHY not at every further failure: where nobody can be spared, each question passes over all members. Who is on
        # probation after an ejection has no credit any more.
        row = outlier.consecutive and (member.streak % outlier.consecutive == 0 or on_probation)
        if outlier.enabled and row and member.eligible(now) and spare(self.members.values(), outlier, now):
            reason = f"{_times(member.streak, 'failure')} in a row, the last one {outcome.name.lower()}"
            self.eject(member, reason, outcome is not Outcome.SERVER_ERROR, now, on_probation)

    def eject(self, member: Member, reason: str, provable: bool, now: float, again: bool = False) -> None:
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
            member.breaker.window.clear()
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
        refresh, not before `refresh_from`. So a burst of changes costs one, and ten thousand can come at once. Who is
        `settled` is not looked at: in a large fleet that is nearly everybody, whatever changed.
        """
        if self.eligible and not self.panicking:
            self.last_available = now  # they were, until whatever it is that changed
        again = NEVER
        # In this order there is hardly anything to sort; in a panic it holds others as well, or nobody.
        there = self.members.values() if self.panicking else self.eligible
        eligible = [member for member in there if member.settled]
        known = len(eligible)
        for member in [member for member in self.members.values() if not member.settled]:
            breaker = member.breaker
            if breaker is not None and breaker.state is not CLOSED and breaker.review(now):
                self.moved(member, breaker, now)
            if member.ejection.reason and now >= member.ejection.until:
                self.readmit(member, "its time is over", now)
            review_at = member.refresh(now)
            again = min(again, review_at)
            known += member.health.proven and member.admin is AdminState.READY
            if member.eligible(now):
                eligible.append(member)
                member.settled = review_at == NEVER and member.health.proven
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
        # WHY: for ten thousand, strategies take up to 12 ms. Who turned bad meanwhile is doubted, and not taken.
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
        return [member for member in self.members.values() if _doubtful_at_most(member)]

    def serves(self, member: Member, now: float) -> bool:
        """Is it one of those to choose from: because it is well, or in a panic as a last resort?"""
        if self.panicking and self.spec.panic == "any":
            return not member.gone and _doubtful_at_most(member)
        return member.eligible(now) and not (self.panicking and self.spec.panic_threshold)

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
                    self.eject(member, reason, False, now, member.probation())
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


def _doubtful_at_most(member: Member) -> bool:
    """What speaks against it, if anything does, is evidence that a panic does not believe."""
    return (
        member.admin is AdminState.READY
        and member.health.proven
        and (member.breaker is None or member.breaker.state is not OPEN)
    )


def _guarded(spec: ServiceSpec) -> bool:
    return spec.breaker.enabled and spec.breaker.scope != "instance"


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
