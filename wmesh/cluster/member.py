"""One instance inside a cluster: its record, the evidence about it, its running totals.

`verdict()` is the one answer to whether it may take a request: one finding for each aspect, those against it with the
reason, in words that the admin API and the log print as they are. The operator's will (admin), the evidence of active
checks (health) and of live traffic (breaker, ejection), and capacity (limit) are separate fields, joined only there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Generic, TypeVar

from wmesh.cluster.breaker import CLOSED, OPEN, Breaker
from wmesh.cluster.ewma import PeakEwma
from wmesh.cluster.health import ActiveHealth
from wmesh.cluster.ramp import Ramp
from wmesh.model import AdminState, Health, InstanceRecord, LoadSample, OutlierSpec, ServiceSpec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One aspect of a verdict. `against`: it alone forbids a request now. `since` is by the clock of the mesh. `by` is
    who wants it so, if somebody does."""

    aspect: str
    against: bool
    text: str
    since: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Standing(Generic[T]):
    """What an operator wants, since when (by the clock of the mesh), and who it was."""

    value: T
    since: float
    by: str


class Ejection:
    """Taken out by live traffic until `until`; `count` is how often lately, which makes it longer each time.

    `provable` says that a good check proves the opposite: connections failed, not answers. `passes` counts good checks
    since then. `usual` is the instance's own error rate (percent) as it was while it was well.
    """

    __slots__ = ("count", "passes", "provable", "reason", "since", "until", "usual")

    def __init__(self) -> None:
        self.until = 0.0
        self.since = 0.0
        self.count = 0
        self.passes = 0
        self.provable = False
        self.reason = ""
        self.usual = 0.0

    def begin(self, spec: OutlierSpec, reason: str, provable: bool, again: bool, now: float) -> float:
        """Out from `now` on; answers for how many seconds. Time spent well has made up for earlier ones, but not where
        it is out `again`, before it had shown that it is well."""
        if self.count and not again:
            self.count -= min(self.count, int(max(0.0, now - self.until) / spec.ejection_time))
        self.count += 1
        seconds = min(spec.ejection_time * self.count, spec.max_ejection_time)
        self.until = now + seconds
        self.since = now
        self.reason = reason
        self.want_proof(provable)
        return seconds

    def want_proof(self, provable: bool) -> None:
        """From now on good checks count; `provable`: those alone are a proof, else a bad one has to come before."""
        self.provable = provable
        self.passes = 0

    def disproved(self, ok: bool, rise: int) -> bool:
        """A check ended; True if that makes enough good ones to prove that it is well again."""
        if not ok:
            self.want_proof(True)
            return False
        self.passes += 1
        return self.provable and self.passes >= rise


class Member:
    """Runtime state of one instance.

    `in_flight` counts tickets out now; `limit` bounds it (0: no bound) and is `most` but for a ramp. `share` is weight
    times `ramp`, for strategies; both are as of the last refresh of the cluster. `gated` says that `admits` has to be
    asked before a pick is taken. It is `gone` once the cluster has it no longer. `streak` counts failures in a row;
    `on_probation`, while it grows back after an ejection and has not answered yet, one is enough. `pool` belongs to the
    data plane, which keeps its idle connections there. WHY a slot and not a mapping beside: it is read once per attempt
    (bench: small). `settled`: it may take requests, and neither time nor anything but what doubts it changes that or
    its share, so that a refresh of the cluster need not look at it. `suspect` says why its source does not vouch for it
    any more, since `suspect_since`; it is empty otherwise. A suspect whose checks pass takes requests as ever:
    suspicion is no verdict. `load` is the last report of what it uses, which came at `load_since`. `checked` is how
    many seconds its last check took (None: there was none), `warning` what that found that an operator should see to.
    `directed` is the weight that an operator gave it.
    """

    __slots__ = (
        "admin",
        "admin_by",
        "admin_since",
        "breaker",
        "checked",
        "directed",
        "doubted",
        "ejection",
        "failures",
        "gated",
        "gone",
        "growth",
        "health",
        "in_flight",
        "latency",
        "limit",
        "load",
        "load_since",
        "most",
        "on_probation",
        "picks",
        "pool",
        "ramp",
        "record",
        "settled",
        "share",
        "since",
        "streak",
        "suspect",
        "suspect_since",
        "warning",
        "weight",
    )

    def __init__(
        self, record: InstanceRecord, spec: ServiceSpec, now: float, chance: Callable[[], float] = float
    ) -> None:
        """`chance` answers numbers in [0, 1), for jitter; by default there is none."""
        self.record = record
        self.weight = record.weight
        self.growth = Ramp()
        self.ramp = 1.0
        self.share = float(record.weight)
        self.health = ActiveHealth(spec.check, now)
        self.admin = AdminState.READY
        self.admin_since = now
        self.admin_by = ""
        self.directed: Standing[int] | None = None
        self.breaker = _breaker(spec, chance, now)
        self.ejection = Ejection()
        self.streak = 0
        self.on_probation = False
        self.most = self.limit = spec.instance_max_connections
        self.gated = self.limit > 0
        self.doubted = False
        self.settled = False
        self.gone = False
        self.in_flight = 0
        self.picks = 0
        self.failures = 0
        self.latency = PeakEwma()
        self.load: LoadSample | None = None
        self.load_since = now
        self.since = now
        self.suspect = ""
        self.suspect_since = now
        self.checked: float | None = None
        self.warning = ""
        self.pool: Any = None

    def eligible(self, now: float) -> bool:
        """May be among those that strategies choose from. What changes with each request is left to `admits`."""
        return (
            self.health.state is Health.HEALTHY
            and not self.gone
            and self.admin is AdminState.READY
            and now >= self.ejection.until
            and (self.breaker is None or self.breaker.state is not OPEN)
        )

    def full(self) -> bool:
        return 0 < self.limit <= self.in_flight

    def admits(self, now: float) -> bool:
        """May this one request be sent here? In a half-open breaker a yes takes one of the trials."""
        if self.full() or (self.doubted and not self.eligible(now)):
            return False
        return self.breaker is None or self.breaker.permit(now)

    def begin_again(self, now: float) -> None:
        """It is back: how it was before it was out says nothing of how it is now."""
        self.latency = PeakEwma(since=now)
        self.streak = 0

    def probation(self) -> bool:
        """Is it still `on_probation`? Grown back without one answer, for the first request still waits, is no proof."""
        if self.on_probation:
            self.on_probation = self.ramp < 1.0 or self.latency.level is None
        return self.on_probation

    def doubt(self) -> None:
        """Something speaks against it that strategies may not have heard of yet: ask it before each pick is taken."""
        self.doubted = self.gated = True
        self.settled = False

    def weigh(self, weight: int) -> None:
        """From now on this is its weight."""
        self.weight = weight
        self.share = weight * self.ramp

    def available(self, now: float) -> bool:
        """The one predicate: may this member take a request at `now`?"""
        return (
            self.eligible(now)
            and not self.full()
            and (self.breaker is None or self.breaker.ready)
        )

    def refresh(self, now: float) -> float:
        """Bring `ramp`, `share`, `limit` and `gated` up to date. Answers when to do so again."""
        self.ramp = ramp = self.growth.factor(now)
        self.share = self.weight * ramp
        self.probation()
        self.limit = ceil(self.most * ramp)
        breaker = self.breaker
        self.doubted = False
        self.gated = self.limit > 0 or (breaker is not None and breaker.state is not CLOSED)
        again = self.growth.next_step(now)
        if breaker is not None:
            again = min(again, breaker.next_review())
        if now < self.ejection.until:
            again = min(again, self.ejection.until)
        return again

    def verdict(self, now: float) -> tuple[Finding, ...]:
        """What there is to say about each aspect; it may take a request exactly when nothing is `against` it."""
        ejection, health = self.ejection, self.health
        found = [
            Finding("lease", False, f"suspect: {self.suspect}" if self.suspect else "held", self.suspect_since),
            Finding(
                "admin",
                self.admin is not AdminState.READY,
                f"admin state is {self.admin.name.lower()}",
                self.admin_since,
                self.admin_by,
            ),
            Finding(
                "health",
                health.state is not Health.HEALTHY,
                f"health is {health.state.name.lower()}: {health.reason}",
                health.since,
            ),
        ]
        if now < ejection.until:
            text = f"taken out by live traffic for another {ejection.until - now:.1f} s: {ejection.reason}"
            found.append(Finding("traffic", True, text, ejection.since))
        if self.breaker is not None:
            found.append(_breaker_finding(self.breaker, now))
        if self.limit:
            text = f"{self.in_flight} of {self.limit} requests in flight"
            found.append(Finding("limit", self.full(), f"full: {text}" if self.full() else text, self.since))
        if self.ramp < 1.0:
            text = f"slow start: {self.ramp:.0%} of its weight"
            found.append(Finding("warm-up", False, text, self.growth.since))
        return tuple(found)

    def reasons(self, now: float) -> tuple[str, ...]:
        """Every reason against sending it a request; empty exactly when `available(now)`."""
        return tuple(finding.text for finding in self.verdict(now) if finding.against)

    def __repr__(self) -> str:
        record = self.record
        state = self.health.state.name
        return f"<Member {record.service}/{record.id} {record.address} {state} {self.in_flight} in flight>"


def _breaker(spec: ServiceSpec, chance: Callable[[], float], now: float) -> Breaker | None:
    """One that may open, one that only counts for the outlier detection, or none."""
    own = spec.breaker
    if own.scope == "service":
        own = replace(own, enabled=False)
    return Breaker(own, chance, now) if own.enabled or spec.outlier.enabled else None


def _breaker_finding(breaker: Breaker, now: float) -> Finding:
    if breaker.state is CLOSED:
        return Finding("breaker", False, "circuit breaker is closed", breaker.since)
    if breaker.state is OPEN:
        left = f", for another {breaker.until - now:.1f} s" if now < breaker.until else ""
        return Finding("breaker", True, f"circuit breaker is open{left}: {breaker.reason}", breaker.since)
    text = "circuit breaker is half open" + ("" if breaker.trying else ": all of its trials are on their way")
    return Finding("breaker", not breaker.trying, text, breaker.since)
