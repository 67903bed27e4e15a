"""All instances that the configuration declares, in the Directory: the fixed ones for good, the named ones as they are.

Strategy: the fixed addresses are applied once, as one reset. Every entry `dns:` or `srv:` is a source with an origin,
a `Knowledge` and a timer of its own: look up, learn, apply, wait. Ids are `host:port`, so an instance that stays keeps
its health, averages and connections through every answer.

Where several sources of a service name the same instance, the first in the configuration has it (fixed addresses come
before all); if that one lets go of it, it is handed over and notices nothing. What the registry knows under the same id
is the registry's.

An answer that leaves none of the instances that can serve now is a change of the guard: the old ones stay, as
suspects, until one of the new ones has passed its checks; at most for `hold`, in case that never happens. Instances
that are only held because the DNS denies them are suspects as well. Suspects take requests as long as their checks
pass.

A source that goes wrong is one warning, and one line when it is well again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.control.sources.lookup import Lookup, Resolver
from wmesh.events import Event, HealthChanged, InstancesReset, InstanceUpdated, SuspicionChanged
from wmesh.model import Health, InstanceRecord, NamedInstances, ServiceSpec, StaticInstance
from wmesh.policy.naming import Knowledge, NamingSpec, Outcome
from wmesh.policy.records import Absent, Failed

STATIC = "static"
FAMILY = "named"
HANDOVER = 30.0
"""Seconds for which instances that are in no answer any more may wait for the new ones, even where `hold` is less."""

REPLACED = "not in the last answer; kept until a new instance has passed its checks"


class _Source:
    """One named entry of one service."""

    def __init__(
        self, spec: ServiceSpec, wanted: NamedInstances, lookup: Callable[[], Any], naming: NamingSpec
    ) -> None:
        self.spec = spec
        self.wanted = wanted
        self.origin = f"{FAMILY}/{spec.name}/{wanted}"
        # Of _https._tcp.shop.example the certificate is one for shop.example (RFC 6125 section 6.2.1).
        self.domain = re.sub(r"^(_[^.]*\.)+", "", wanted.name.removesuffix("."))
        self.lookup = lookup
        self.knowledge = Knowledge(naming)
        self.timer: IDelayedCall | None = None
        self.asking: Deferred[None] | None = None
        self.troubled = False
        self.applied: dict[str, InstanceRecord] = {}
        self.handover_ends: float | None = None

    def records(self) -> Iterable[InstanceRecord]:
        spec = self.spec
        for place in self.knowledge.places:
            weight = place.weight or spec.weight
            yield InstanceRecord(
                spec.name,
                str(place.address),
                place.address,
                spec.version,
                weight,
                spec.tags,
                origin=self.origin,
                domain=self.domain,
            )


class Declared:
    """`now` is monotonic seconds."""

    _log = Logger()

    def __init__(
        self,
        services: Iterable[ServiceSpec],
        directory: Directory,
        resolver: Resolver,
        reactor: Any,
        now: Callable[[], float],
        random: Random,
        hold: float,
    ) -> None:
        """`hold` is for how many seconds instances are kept that the DNS denies, or replaces by sick ones."""
        self._services = tuple(services)
        self._directory = directory
        self._reactor = reactor
        self._now = now
        self._random = random
        self._handover = max(hold, HANDOVER)
        naming = NamingSpec(hold=hold)
        self._sources = {
            spec.name: [
                _Source(spec, each, Lookup(resolver, each), naming)
                for each in spec.instances
                if isinstance(each, NamedInstances)
            ]
            for spec in self._services
        }
        self._unheard: set[_Source] = set()
        self._heard_all: Deferred[None] | None = None
        self._late: IDelayedCall | None = None
        self._handovers: dict[str, IDelayedCall] = {}
        self._running = False
        directory.subscribe(self._heard)

    def start(self, patience: float) -> Deferred[None]:
        """Apply what is fixed and begin to look up names. Fires when each was looked up once, or after `patience`."""
        self._running = True
        self._apply_fixed()
        sources = [source for group in self._sources.values() for source in group]
        self._unheard = set(sources)
        heard: Deferred[None] = Deferred()
        self._heard_all = heard
        self._late = self._reactor.callLater(patience, self._first_answers_over)
        for source in sources:
            self._look_up(source)
        if not self._unheard:
            self._first_answers_over()
        return heard

    def stop(self) -> None:
        """Look nothing up any more. What is in the Directory stays there. Twice is no error."""
        self._running = False
        for group in self._sources.values():
            for source in group:
                if source.timer is not None:
                    source.timer.cancel()
                    source.timer = None
                if source.asking is not None:
                    source.asking.cancel()
        for call in self._handovers.values():
            call.cancel()
        self._handovers.clear()
        self._first_answers_over()

    def describe(self) -> list[Mapping[str, Any]]:
        """Every named source, as plain JSON values."""
        now = self._now()
        return [_describe(source, now) for group in self._sources.values() for source in group]

    def _apply_fixed(self) -> None:
        records = tuple(
            InstanceRecord(
                spec.name,
                str(instance.address),
                instance.address,
                spec.version,
                instance.weight or spec.weight,
                spec.tags,
                origin=STATIC,
            )
            for spec in self._services
            for instance in spec.instances
            if isinstance(instance, StaticInstance)
        )
        self._directory.apply(InstancesReset(STATIC, records))

    # --- looking up

    def _look_up(self, source: _Source) -> None:
        source.timer = None
        source.asking = asking = Deferred.fromCoroutine(self._ask(source))
        if asking.called:
            source.asking = None

    async def _ask(self, source: _Source) -> None:
        outcome: Outcome
        try:
            outcome = await source.lookup()
        except Exception:  # noqa: BLE001 - one name must not end the looking up of all others
            if not self._running:
                return  # cut short by `stop`
            self._log.failure("looking up {name} failed, on an error of our own", name=str(source.wanted))
            outcome = Failed("the lookup itself failed")
        source.asking = None
        if not self._running:
            return
        had = len(source.knowledge.places)
        pause = source.knowledge.take(outcome, self._now(), self._random.random())
        self._tell(source, outcome, had)
        source.timer = self._reactor.callLater(pause, self._look_up, source)
        self._apply(source.spec.name)
        self._unheard.discard(source)
        if not self._unheard:
            self._first_answers_over()

    def _first_answers_over(self) -> None:
        heard, self._heard_all = self._heard_all, None
        if self._late is not None and self._late.active():
            self._late.cancel()
        if heard is not None:
            heard.callback(None)

    def _tell(self, source: _Source, outcome: Outcome, had: int) -> None:
        """What a person should know of: going wrong, giving up, and being well again."""
        known = source.knowledge
        where = {"service": source.spec.name, "source": str(source.wanted)}
        if isinstance(outcome, Absent) and had > 0 and not known.places:
            self._log.warn(
                "{service}: {source} is gone, and its {had} with it: {reason}",
                **where,
                had=_instances(had),
                reason=outcome.reason,
            )
        elif known.problem and not source.troubled:
            kept = len(known.places)
            rest = f"what it has stays: {_instances(kept)}" if kept else "it has no instances"
            self._log.warn("{service}: {source}: {reason}; {rest}", **where, reason=known.problem, rest=rest)
        elif source.troubled and not known.problem:
            has = _instances(len(known.places))
            self._log.info("{service}: {source} is answered again: {has}", **where, has=has)
        source.troubled = bool(known.problem)

    # --- the Directory

    def _apply(self, service: str) -> None:
        """Bring the Directory up to what the sources of a service know by now."""
        sources = self._sources[service]
        members = self._directory.clusters[service].members
        owned: dict[_Source, dict[str, InstanceRecord]] = {}
        taken: set[str] = set()
        for source in sources:
            mine = owned[source] = {}
            for record in source.records():
                member = members.get(record.id)
                if record.id not in taken and (member is None or _is_named(member)):
                    taken.add(record.id)
                    mine[record.id] = record
        kept = self._hand_over(service, owned, taken)
        for records in owned.values():
            for key, record in records.items():
                if key in members and members[key].record.origin != record.origin:
                    # Before the other source lets go of it.
                    self._directory.apply(InstanceUpdated(record))
        for source, records in owned.items():
            self._reset(source, records)
        for source, records in owned.items():
            doubt = f"{source.knowledge.problem}; kept for now" if source.knowledge.doubtful else ""
            for key in records:
                self._directory.apply(SuspicionChanged(service, key, REPLACED if key in kept else doubt))

    def _reset(self, source: _Source, records: dict[str, InstanceRecord]) -> None:
        """Only where something changed: a reset looks at every member of every service."""
        members = self._directory.clusters[source.spec.name].members
        if records != source.applied or not records.keys() <= members.keys():
            source.applied = records
            self._directory.apply(InstancesReset(source.origin, tuple(records.values())))

    def _hand_over(self, service: str, owned: Mapping[_Source, dict[str, InstanceRecord]], taken: set[str]) -> set[str]:
        """Put back into `owned` what has to wait for its successors; answers the ids of those."""
        now = self._now()
        members = self._directory.clusters[service].members
        serving = any(member.eligible(now) for key, member in members.items() if key in taken or not _is_named(member))
        unchecked = not self._directory.clusters[service].spec.check.enabled
        kept: set[str] = set()
        for source, mine in owned.items():
            leaving = [
                member.record
                for key, member in members.items()
                if member.record.origin == source.origin and key not in taken and member.eligible(now)
            ]
            if serving or unchecked or not leaving or not source.knowledge.places:
                source.handover_ends = None
                continue
            if source.handover_ends is None:
                source.handover_ends = now + self._handover
            if now < source.handover_ends:
                mine.update((record.id, record) for record in leaving)
                kept.update(record.id for record in leaving)
        self._await_handover(service, now)
        return kept

    def _await_handover(self, service: str, now: float) -> None:
        call = self._handovers.pop(service, None)
        if call is not None and call.active():
            call.cancel()
        ends = [source.handover_ends for source in self._sources[service] if source.handover_ends is not None]
        ahead = [end - now for end in ends if end > now]
        if ahead and self._running:
            self._handovers[service] = self._reactor.callLater(min(ahead), self._handover_due, service)

    def _handover_due(self, service: str) -> None:
        self._handovers.pop(service, None)
        self._apply(service)

    def _heard(self, event: Event) -> None:
        """Somebody new is well, so the old ones may go; but not now: other sinks have not heard of it yet."""
        if isinstance(event, HealthChanged) and event.new is Health.HEALTHY and event.service in self._handovers:
            self._handovers[event.service].reset(0)


def _is_named(member: Member) -> bool:
    return member.record.origin.startswith(f"{FAMILY}/")


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"


def _describe(source: _Source, now: float) -> Mapping[str, Any]:
    known = source.knowledge
    age = known.age(now)
    return {
        "service": source.spec.name,
        "source": str(source.wanted),
        "instances": len(known.places),
        "age_seconds": None if age is None else round(age, 3),
        "ttl_seconds": None if age is None else known.ttl,
        "stale": known.stale(now),
        "problem": known.problem,
    }
