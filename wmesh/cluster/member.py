"""One instance inside a cluster: its record, its evidence, its running totals.

`reasons()` is the one verdict: an empty tuple means that the member may take a request; anything else says why not, in
words that the admin API and the log print as they are. Will (admin), evidence (health) and capacity (limit) are
separate fields, joined only there.
"""

from __future__ import annotations

from wmesh.cluster.ewma import PeakEwma
from wmesh.cluster.health import ActiveHealth
from wmesh.model import AdminState, Health, InstanceRecord, LoadSample, ServiceSpec


class Member:
    """Runtime state of one instance.

    `in_flight` counts tickets out now; `limit` bounds it (0: no bound). `pool` belongs to the data plane, which keeps
    its idle connections there. WHY a slot and not a mapping beside: it is read once per attempt (bench: small).
    `suspect` says why its source does not vouch for it any more, since `suspect_since`; it is empty otherwise. A
    suspect whose checks pass takes requests as ever: suspicion is no verdict. `load` is the last report of what it
    uses, which came at `load_since`. `share` is what strategies give it in proportion to, `weight` times `ramp`; they
    read both when they are rebuilt.
    """

    __slots__ = (
        "admin",
        "failures",
        "health",
        "in_flight",
        "latency",
        "limit",
        "load",
        "load_since",
        "picks",
        "pool",
        "ramp",
        "record",
        "share",
        "since",
        "suspect",
        "suspect_since",
        "weight",
    )

    def __init__(self, record: InstanceRecord, spec: ServiceSpec, now: float) -> None:
        self.record = record
        self.weight = record.weight
        self.ramp = 1.0
        self.share = float(record.weight)
        self.health = ActiveHealth(spec.check, now)
        self.admin = AdminState.READY
        self.limit = spec.instance_max_connections
        self.in_flight = 0
        self.picks = 0
        self.failures = 0
        self.latency = PeakEwma()
        self.load: LoadSample | None = None
        self.load_since = now
        self.since = now
        self.suspect = ""
        self.suspect_since = now
        self.pool: object | None = None

    def eligible(self) -> bool:
        """May be among those that strategies choose from. Says nothing of its limit, which changes per request."""
        return self.health.state is Health.HEALTHY and self.admin is AdminState.READY

    def full(self) -> bool:
        return 0 < self.limit <= self.in_flight

    def available(self, now: float) -> bool:
        """The one predicate: may this member take a request at `now`?"""
        return self.eligible() and not self.full()

    def reasons(self, now: float) -> tuple[str, ...]:
        """Every reason against sending it a request; empty exactly when `available(now)`."""
        found = []
        if self.admin is not AdminState.READY:
            found.append(f"admin state is {self.admin.name.lower()}")
        if self.health.state is not Health.HEALTHY:
            found.append(f"health is {self.health.state.name.lower()}: {self.health.reason}")
        if self.full():
            found.append(f"full: {self.in_flight} of {self.limit} requests in flight")
        return tuple(found)

    def __repr__(self) -> str:
        record = self.record
        state = self.health.state.name
        return f"<Member {record.service}/{record.id} {record.address} {state} {self.in_flight} in flight>"
