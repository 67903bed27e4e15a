"""This process's copy of who is there: the one place where control plane and data plane meet.

`apply` is the single write door. It takes events from any source (static configuration, registry watch, launcher),
changes only what they change, and tells the sinks, in the order in which they subscribed, what really happened. A
member that did not change keeps its health, averages and connections: a reset diffs, it does not rebuild. A record
whose address or incarnation changed is another instance, whatever its id says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wmesh.cluster.cluster import Cluster
from wmesh.cluster.member import Member, Standing
from wmesh.events import (
    AdminStateChanged,
    BreakerChanged,
    EjectionChanged,
    Event,
    HealthChanged,
    InstanceAdded,
    InstanceRemoved,
    InstancesReset,
    InstanceUpdated,
    LoadReported,
    SuspicionChanged,
    WeightChanged,
    WillsTold,
)
from wmesh.interfaces import EventSink, Strategy
from wmesh.model import AdminState, CheckResult, Health, InstanceRecord, ServiceSpec

ANOTHER_LIFE = "replaced"
"""Why an instance is gone whose id another life has taken."""

LEFT_OUT = "not registered"
"""Why an instance is gone that its source leaves out of the whole truth."""


class Directory:
    """Clusters by service name. `unclaimed` holds records of services that the configuration does not declare."""

    def __init__(
        self,
        specs: Iterable[ServiceSpec],
        make_strategy: Callable[[ServiceSpec], Strategy],
        clock: Callable[[], float],
        *,
        chance: Callable[[], float] = float,
        zone: str = "",
    ) -> None:
        """`chance` answers numbers in [0, 1), for jitter. `zone` is where this process runs; services with
        `zone_preference` prefer instances there."""
        self._clock = clock
        self._sinks: list[EventSink] = []
        self._states: dict[tuple[str, str], Standing[AdminState]] = {}
        self._weights: dict[tuple[str, str], Standing[int]] = {}
        self.clusters = {
            spec.name: Cluster(
                spec,
                make_strategy,
                tell=self._tell,
                chance=chance,
                zone=zone if spec.zone_preference else "",
                now=clock(),
            )
            for spec in specs
        }
        self.unclaimed: dict[tuple[str, str], InstanceRecord] = {}

    def subscribe(self, sink: EventSink) -> None:
        """From now on `sink` hears of every change, after all sinks that came before it."""
        self._sinks.append(sink)

    def member(self, service: str, id: str) -> Member | None:
        cluster = self.clusters.get(service)
        return cluster.members.get(id) if cluster is not None else None

    def apply(self, event: Event) -> None:
        """Take one event in. Events that change nothing are heard by nobody."""
        match event:
            case InstanceAdded(record) | InstanceUpdated(record):
                self._put(record)
            case InstanceRemoved(service, id):
                if self.unclaimed.pop((service, id), None) is None:
                    self._drop(service, id, event)
            case InstancesReset(origin, records):
                self._reset(origin, records)
            case AdminStateChanged():
                self._set_state(event)
            case WeightChanged():
                self._set_weight(event)
            case SuspicionChanged(service, id, reason):
                member = self.member(service, id)
                if member is not None and member.suspect != reason:
                    if not member.suspect:
                        member.suspect_since = self._clock()
                    member.suspect = reason
                    self._tell(event)
            case LoadReported(service, id, sample):
                member = self.member(service, id)
                if member is not None:
                    member.load = sample
                    member.load_since = self._clock()
                    self._tell(event)
            case WillsTold():
                raise TypeError("what operators said is told one by one, by wmesh.control.wills")
            case HealthChanged() | BreakerChanged() | EjectionChanged():
                raise TypeError("evidence comes from checks and from traffic, not from events")

    def observe(self, member: Member, result: CheckResult) -> None:
        """Take one result of an active check; a flip is told as HealthChanged. Results of members gone are ignored."""
        record = member.record
        cluster = self.clusters[record.service]
        if cluster.members.get(record.id) is not member:
            return
        if result.ok:
            cluster.checks_passed += 1
        else:
            cluster.checks_failed += 1
        now = self._clock()
        member.checked = result.elapsed
        if result.ok or result.warning:
            # A check that fails early learns nothing of what the last one warned of.
            member.warning = result.warning
        old = member.health.state
        cluster.checked(member, result.ok, now)
        if member.health.observe(result.ok, result.reason, now, result.proof):
            member.doubt()
            cluster.stale = True
            if result.ok:
                cluster.joined(member, now)
            self._tell(HealthChanged(record.service, record.id, old, member.health.state, result.reason))
            if result.ok and cluster.waiting:
                cluster.serve(now)

    def review(self) -> None:
        """Do what time alone brings: breakers to be tried again, slow starts, requests that waited too long."""
        now = self._clock()
        for cluster in self.clusters.values():
            cluster.review(now)

    def _set_state(self, event: AdminStateChanged) -> None:
        """It is remembered also for an instance that is not there (yet)."""
        key = (event.service, event.id)
        since = self._clock() - event.ago
        if event.state is AdminState.READY:
            self._states.pop(key, None)
        elif event.lasting and event.service in self.clusters:
            self._states[key] = Standing(event.state, since, event.by)
        member = self.member(*key)
        if member is None:
            return
        before = member.admin
        changed = before is not event.state
        if changed or event.lasting:
            member.admin, member.admin_since, member.admin_by = event.state, since, event.by
        if changed:
            cluster = self.clusters[event.service]
            member.doubt()
            cluster.stale = True
            if before is AdminState.MAINT and member.health.state is Health.HEALTHY:
                # Nobody knows what was done to it. Out of DRAIN it is warm: checked all the time, and still connected
                # (HAProxy starts slowly in the one case and not in the other, too).
                cluster.joined(member, self._clock())
            self._tell(event)

    def _set_weight(self, event: WeightChanged) -> None:
        """As above."""
        key = (event.service, event.id)
        old = self._weights.pop(key, None)
        if event.weight is not None and event.service in self.clusters:
            self._weights[key] = Standing(event.weight, self._clock() - event.ago, event.by)
        member = self.member(*key)
        if member is None:
            return
        member.directed = self._weights.get(key)
        if (None if old is None else old.value) != event.weight:
            member.weigh(event.weight if event.weight is not None else member.record.weight)
            self.clusters[event.service].stale = True
            self._tell(event)

    def _put(self, record: InstanceRecord) -> None:
        cluster = self.clusters.get(record.service)
        if cluster is None:
            self.unclaimed[(record.service, record.id)] = record
            return
        member = cluster.members.get(record.id)
        if member is not None and member.record is record:
            return  # the usual case of a reset: nothing to compare
        if member is not None and _same_life(member.record, record):
            if member.record == record:
                return
            member.record = record
            member.weigh(record.weight if member.directed is None else member.directed.value)
            cluster.stale = True
            self._tell(InstanceUpdated(record))
            return
        if member is not None:
            self._drop(record.service, record.id, InstanceRemoved(record.service, record.id, ANOTHER_LIFE))
        now = self._clock()
        member = cluster.members[record.id] = Member(record, cluster.spec, now, cluster.chance)
        # The operator meant the instance of this name, not this life of it: it stays out while it is restarted.
        state = self._states.get((record.service, record.id))
        if state is not None:
            member.admin, member.admin_since, member.admin_by = state.value, state.since, state.by
        member.directed = self._weights.get((record.service, record.id))
        if member.directed is not None:
            member.weigh(member.directed.value)
        cluster.stale = True
        if member.health.state is Health.HEALTHY:
            cluster.joined(member, now)
        self._tell(InstanceAdded(record))

    def _drop(self, service: str, id: str, event: InstanceRemoved) -> None:
        cluster = self.clusters.get(service)
        member = None if cluster is None else cluster.members.pop(id, None)
        if cluster is None or member is None:
            return
        member.gone = True
        member.doubt()
        cluster.stale = True
        self._tell(event)

    def _reset(self, origin: str, records: tuple[InstanceRecord, ...]) -> None:
        keep = {(record.service, record.id) for record in records}
        for service, cluster in self.clusters.items():
            for member in list(cluster.members.values()):
                if member.record.origin == origin and (service, member.record.id) not in keep:
                    self._drop(service, member.record.id, InstanceRemoved(service, member.record.id, LEFT_OUT))
        for key, record in list(self.unclaimed.items()):
            if record.origin == origin and key not in keep:
                del self.unclaimed[key]
        for record in records:
            self._put(record)

    def _tell(self, event: Event) -> None:
        for sink in self._sinks:
            sink(event)


def _same_life(old: InstanceRecord, new: InstanceRecord) -> bool:
    return old.address == new.address and old.incarnation == new.incarnation and _family(old) == _family(new)


def _family(record: InstanceRecord) -> str:
    return record.origin.partition("/")[0]
