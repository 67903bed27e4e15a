"""Between the registry and the Directory: of one instance the registry is believed, of all at once it is not.

Strategy: `take` is the sink of the registry. It hands events on, except that leases which vanished are first put before
`wmesh.policy.preservation`; who is held there stays in the Directory, marked as a suspect (`SuspicionChanged`), and
goes when the policy lets go of him: his lease came back, his checks failed (heard from the Directory), or time was up
(a look once a second). Nothing is written anywhere but through `Directory.apply`.

What counts as vanished is everything but a farewell: a deregistration is believed at once, and so is another life under
the same id. So does an instance whose checks fail already when its lease ends: two witnesses are enough. Instances that
this process saw end by itself (a launcher's word) never count.

At the start nothing is known, and the last known state (`remembered`, see `memory_file`) plays the part of what was
known: its instances are applied as suspects, and the first word of the registry is judged against them. An empty
registry is then a registry that lost everything. Instances whose service has no checks are not taken from there, since
nothing could confirm them.

An address belongs to the instance that registered there last. When one registers at the address of another of the same
service, or of a suspect of any service, the other is a ghost that answers with the newcomer's voice, and goes at once.

What this process knows better than any registry is not up to the registry: instances that the configuration lists, and
services that are part of the gateway (`reserved`), whose requests nobody outside may draw to himself by a record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.control.registry.changes import DEREGISTERED, ORIGIN, REPLACED
from wmesh.control.registry.memory_file import MemoryFile
from wmesh.events import (
    Event,
    HealthChanged,
    InstanceAdded,
    InstanceRemoved,
    InstancesReset,
    InstanceUpdated,
    SuspicionChanged,
)
from wmesh.model import Address, Health, InstanceRecord, RegistrySpec
from wmesh.policy.preservation import REGISTRY, FreezeBegan, Preservation, PreservationSpec

Key = tuple[str, str]

LOOK = 1.0
"""Seconds between two looks at who is overdue, and at whether the memory is to be written."""

FAREWELLS = (DEREGISTERED, REPLACED)
MISSING = "missing from the registry"
REMEMBERED = "known from before the start, not confirmed by the registry"


class Preserver:
    """`now` is monotonic seconds; `connected` says whether the registry can be heard now. `memory` may be None."""

    _log = Logger()
    _surviving = _log.failureHandler("A look at suspects failed")

    def __init__(
        self,
        directory: Directory,
        spec: RegistrySpec,
        clock: IReactorTime,
        now: Callable[[], float],
        connected: Callable[[], bool],
        memory: MemoryFile | None = None,
        reserved: Collection[str] = (),
    ) -> None:
        self._reserved = reserved
        self._presumed: set[Key] = set()
        self._directory = directory
        self._spec = spec
        self._clock = clock
        self._now = now
        self._connected = connected
        self._memory = memory
        clusters = directory.clusters.values()
        self._policy = Preservation(
            PreservationSpec(
                service=spec.preserve_service / 100,
                registry=spec.preserve_registry / 100,
                hold=spec.preserve_for,
                window=spec.lease,
                unchecked=frozenset(cluster.spec.name for cluster in clusters if not cluster.spec.check.enabled),
            )
        )
        # Records of those evicted within the window, should they have to be taken back.
        self._gone: dict[Key, InstanceRecord] = {}
        self._homes: dict[Address, set[Key]] = {}
        self._ghosts: dict[Key, str] = {}
        self._failing: set[Key] = set()
        self._soon: IDelayedCall | None = None
        self._writing: IDelayedCall | None = None
        self._looks: LoopingCall | None = None
        self._looked = now()
        self._ours = 0
        directory.subscribe(self._heard)

    def start(self) -> None:
        """Apply what is remembered, and begin to look. Call it before the registry is started."""
        for record in self._memory.read() if self._memory is not None else ():
            cluster = self._directory.clusters.get(record.service)
            if cluster is None or not cluster.spec.check.enabled or self._spec.preserve_for <= 0:
                continue
            self._apply(InstanceAdded(record))
            self._apply(SuspicionChanged(record.service, record.id, REMEMBERED))
            self._policy.appeared((record.service, record.id), self._now())
        self._looked = self._now()
        self._looks = LoopingCall(self._look)
        self._looks.clock = self._clock
        self._looks.start(LOOK, now=False)

    def stop(self) -> None:
        """Stop looking, and write the memory a last time. Twice is no error."""
        looks, self._looks = self._looks, None
        if looks is None:
            return
        looks.stop()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._memory is not None:
            if self._writing is not None:
                self._writing.cancel()
                self._writing = None
                self._memory.changed()
            self._memory.write_last(self._records())

    def take(self, event: Event) -> None:
        """The registry's word."""
        match event:
            case InstancesReset(origin=origin, records=records) if origin == ORIGIN:
                self._reset([record for record in records if self._may(record)])
            case InstanceAdded(record) | InstanceUpdated(record) if not self._may(record):
                pass
            case InstanceRemoved(service, id) if self._above(key := (service, id)):
                self._presumed.discard(key)
            case InstanceAdded(record):
                self._ghosts.pop((record.service, record.id), None)
                self._there(event, record)
            case InstanceUpdated(record) if self._ghosts.get((record.service, record.id)) != record.incarnation:
                self._there(event, record)
            case InstanceUpdated():
                pass
            case InstanceRemoved(service, id, reason):
                self._ghosts.pop((service, id), None)
                if reason in FAREWELLS or self._member((service, id)) is None:
                    self._policy.left((service, id), self._now())
                    self._apply(event)
                else:
                    self._vanish([(service, id)], reason)
            case _:
                self._directory.apply(event)
        self._tell_news()

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values for the admin API: whether evictions are frozen, where, since when, and how many held."""
        frozen = self._policy.frozen()
        now = self._now()
        return {
            "frozen": bool(frozen),
            "since_seconds": round(now - min(frozen.values()), 3) if frozen else None,
            "scopes": sorted(scope or "registry" for scope in frozen),
            "held": len(self._policy.held),
        }

    # --- the registry's word

    def _above(self, key: Key) -> str:
        """Why this instance is not up to the registry; empty if it is."""
        if key[0] in self._reserved:
            return "the service is part of the gateway itself"
        member = self._directory.member(*key)
        if member is not None and member.record.origin != ORIGIN:
            return "an instance of this id is there already, and not by the registry's word"
        return ""

    def _may(self, record: InstanceRecord) -> bool:
        """Whether the registry may speak of this instance. If not, that is told once."""
        key = (record.service, record.id)
        why = self._above(key)
        if not why:
            self._presumed.discard(key)
            return True
        if key not in self._presumed:
            self._presumed.add(key)
            self._log.warn(
                "A record in the registry is passed over: {service}/{id} at {address}: {why}",
                service=record.service,
                id=record.id,
                address=str(record.address),
                why=why,
            )
        return False

    def _there(self, event: Event, record: InstanceRecord) -> None:
        """Its lease is there."""
        key = (record.service, record.id)
        self._apply(event)
        member = self._member(key)
        if member is not None:
            self._gone.pop(key, None)
            self._policy.appeared(key, self._now())
            if member.suspect:
                self._apply(SuspicionChanged(*key, ""))
            self._evict_ghosts(record)

    def _evict_ghosts(self, newcomer: InstanceRecord) -> None:
        """Who was at the newcomer's address before him is not there any more."""
        for key in list(self._homes.get(newcomer.address, ())):
            member = self._member(key)
            if member is None or member.record.address != newcomer.address:
                self._homes[newcomer.address].discard(key)
                continue
            if key == (newcomer.service, newcomer.id):
                continue
            same_service = member.record.service == newcomer.service
            if member.suspect or (same_service and member.record.incarnation != newcomer.incarnation):
                self._ghosts[key] = member.record.incarnation
                self._policy.left(key, self._now())
                self._gone.pop(key, None)
                self._apply(InstanceRemoved(*key, f"its address belongs to {newcomer.service}/{newcomer.id} now"))

    def _reset(self, records: Iterable[InstanceRecord]) -> None:
        """The whole truth at once. What it leaves out has vanished, and is judged together."""
        present = {(record.service, record.id): record for record in records}
        self._ghosts = {
            key: life for key, life in self._ghosts.items() if key in present and present[key].incarnation == life
        }
        for key in self._ghosts:
            del present[key]
        live = self._policy.live
        for key in [key for key in present if key not in live and key[0] in self._directory.clusters]:
            self._policy.appeared(key, self._now())
            self._gone.pop(key, None)
        missing, suspects = {}, []
        for member in self._members():
            key = (member.record.service, member.record.id)
            if key not in present:
                missing[key] = member.record
            elif member.suspect:
                suspects.append(key)
        # Whoever is missing must not be dropped by the Directory before he was judged.
        present.update(missing)
        self._apply(InstancesReset(ORIGIN, tuple(present.values())))
        for key in suspects:
            self._apply(SuspicionChanged(*key, ""))
        self._vanish([key for key in missing if key not in self._policy.held], MISSING)

    def _vanish(self, keys: Iterable[Key], reason: str) -> None:
        """Leases are gone without a farewell."""
        now = self._now()
        doubtful = []
        for key in keys:
            member = self._member(key)
            if member is not None and member.health.state is Health.UNHEALTHY:
                self._policy.left(key, now)
                self._apply(InstanceRemoved(*key, f"{reason}, and its checks fail"))
            else:
                doubtful.append(key)
        verdict = self._policy.vanished(doubtful, now)
        known = {*verdict.evict, *verdict.hold}
        for key in (*verdict.evict, *(key for key in doubtful if key not in known)):
            member = self._member(key)
            if member is not None:
                self._gone[key] = member.record
                self._apply(InstanceRemoved(*key, reason))
        for key in verdict.restore:
            record = self._gone.pop(key, None)
            if record is not None:
                self._apply(InstanceAdded(record))
        for key in (*verdict.hold, *verdict.restore):
            self._apply(SuspicionChanged(*key, f"{reason}; kept while evictions are frozen"))

    # --- the Directory's word

    def _apply(self, event: Event) -> None:
        self._ours += 1
        try:
            self._directory.apply(event)
        finally:
            self._ours -= 1

    def _heard(self, event: Event) -> None:
        """What really happened, by our doing or another's."""
        match event:
            case InstanceAdded(record):
                self._homes.setdefault(record.address, set()).add((record.service, record.id))
            case InstanceUpdated():
                pass  # at the same address
            case InstanceRemoved(service, id):
                if not self._ours:
                    self._policy.left((service, id), self._now())
                    self._gone.pop((service, id), None)
            case HealthChanged(service, id, new=Health.UNHEALTHY) if (service, id) in self._policy.held:
                # Later: other sinks have not heard of the flip yet.
                self._failing.add((service, id))
                if self._soon is None:
                    self._soon = self._clock.callLater(0, self._evict_failing)
                return
            case _:
                return
        if self._memory is not None:
            self._memory.changed()

    def _evict_failing(self) -> None:
        self._soon = None
        failing, self._failing = self._failing, set()
        for key in failing:
            member = self._member(key)
            if member is None or member.health.state is not Health.UNHEALTHY:
                continue
            if self._policy.failed(key, self._now()):
                reason = f"its lease is gone, and its checks fail: {member.health.reason}"
                self._apply(InstanceRemoved(*key, reason))
        self._tell_news()

    def _look(self) -> None:
        with self._surviving:
            now = self._now()
            if not self._connected():
                self._policy.extend(now - self._looked)
            self._looked = now
            for key in self._policy.overdue(now):
                self._apply(InstanceRemoved(*key, f"its lease was gone for {self._spec.preserve_for:g} s"))
            self._tell_news()
            self._gone = {key: record for key, record in self._gone.items() if self._policy.restorable(key)}
            records = None
            if len(self._homes) > 2 * len(self._policy.live) + 100:
                records = self._records()
                self._homes = {}
                for record in records:
                    self._homes.setdefault(record.address, set()).add((record.service, record.id))
            if self._memory is not None and self._memory.due(now) and self._writing is None:
                self._write(self._memory.steps(self._records() if records is None else records, now))

    def _write(self, steps: Iterator[None]) -> None:
        """Write what is remembered. Ten thousand records take too long for one go."""
        self._writing = None
        with self._surviving:
            for _ in steps:
                self._writing = self._clock.callLater(0, self._write, steps)
                return

    # --- what is known

    def _member(self, key: Key) -> Member | None:
        """The member of this name, if it came from the registry."""
        member = self._directory.member(*key)
        return member if member is not None and member.record.origin == ORIGIN else None

    def _members(self) -> Iterator[Member]:
        """Those that came from the registry."""
        for cluster in self._directory.clusters.values():
            for member in cluster.members.values():
                if member.record.origin == ORIGIN:
                    yield member

    def _records(self) -> list[InstanceRecord]:
        return [member.record for member in self._members()]

    def _tell_news(self) -> None:
        for news in self._policy.news():
            where = "the registry" if news.scope == REGISTRY else f"service {news.scope}"
            if isinstance(news, FreezeBegan):
                self._log.warn(
                    "SELF-PRESERVATION of {where}: {lost} of {total} leases vanished within {window:g} s."
                    " Evictions are frozen: health checks decide, for at most {hold:g} s",
                    where=where,
                    lost=news.lost,
                    total=news.total,
                    window=self._spec.lease,
                    hold=self._spec.preserve_for,
                )
            else:
                self._log.warn(
                    "SELF-PRESERVATION of {where} is over after {seconds:.1f} s:"
                    " {back} came back, {failed} failed their checks, {late} were given up",
                    where=where,
                    seconds=news.seconds,
                    back=news.back,
                    failed=news.failed,
                    late=news.late,
                )
