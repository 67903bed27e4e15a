"""A registry inside this process: `[registry] url = memory:`, and the registry of most tests.

Strategy: the same promises as the Redis one (leases that truly expire, changes told in order, records checked at the
way in), without a server. What is stored lives in a `MemoryStore`; each `MemoryRegistry` is one client of it. Programs
have one of each; tests join several clients to one store to see two gateways watch each other.

Expiry is one delayed call for the lease that ends first; it looks at `now` again when it fires, so a `now` that is not
the clock's (a monotonic one) is only ever early, never wrong. All answers are Deferreds that have already fired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from wmesh.control.registry.changes import DEREGISTERED, EXPIRED, ORIGIN, as_registered, put_events
from wmesh.control.registry.codec import encode_record
from wmesh.control.registry.will_codec import encode_will
from wmesh.errors import RecordError, RegistryError
from wmesh.events import Event, InstanceRemoved, InstancesReset, LoadReported, WillsTold
from wmesh.interfaces import EventSink
from wmesh.model import InstanceRecord, LoadSample, Will
from wmesh.policy.wills import merged, same

Key = tuple[str, str]


class MemoryStore:
    """Records, the ends of their leases, their last loads, operators' wills, and who wants to hear of changes."""

    def __init__(self, clock: IReactorTime, now: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._now = now or clock.seconds
        self._leases: dict[Key, float] = {}
        self._expiry: IDelayedCall | None = None
        self._due = 0.0
        self.records: dict[Key, InstanceRecord] = {}
        self.loads: dict[Key, LoadSample] = {}
        self.wills: dict[Key, Will] = {}
        self.sinks: list[EventSink] = []
        self.version = 0

    def put(self, record: InstanceRecord, lease: float) -> None:
        key = (record.service, record.id)
        old = self.records.get(key)
        self.records[key] = record
        self._lease(key, lease)
        self._tell(put_events(old, record))

    def renew(self, key: Key, lease: float, sample: LoadSample) -> bool:
        if key not in self.records:
            return False
        self._lease(key, lease)
        if sample != LoadSample() and sample != self.loads.get(key):
            self.loads[key] = sample
            for sink in tuple(self.sinks):
                sink(LoadReported(key[0], key[1], sample))
        return True

    def remove(self, key: Key, reason: str, only: InstanceRecord | None = None) -> None:
        """Take out what stands there; given `only`, not what somebody else has put there since."""
        if key in self.records and only in (None, self.records[key]):
            del self.records[key], self._leases[key]
            self.loads.pop(key, None)
            self._tell((InstanceRemoved(key[0], key[1], reason),))

    def direct(self, wills: Sequence[Will], now: int) -> None:
        for will in wills:
            key = (will.service, will.id)
            old = self.wills.get(key)
            self.wills[key] = stands = merged(old, will)
            if old is None or not same(old, stands):
                self._tell((WillsTold((stands,)),))
        for key in [key for key, will in self.wills.items() if will.until < now]:
            del self.wills[key]
            self._tell((WillsTold((Will(*key),)),))

    def join(self, sink: EventSink) -> None:
        if self.wills:
            sink(WillsTold(tuple(self.wills.values()), whole=True))
        sink(InstancesReset(ORIGIN, tuple(self.records.values())))
        self.sinks.append(sink)
        self._schedule()

    def leave(self, sink: EventSink) -> None:
        """The last client out turns off the light: no delayed call outlives its readers."""
        self.sinks.remove(sink)
        self._schedule()

    def _tell(self, events: Sequence[Event]) -> None:
        if events:
            self.version += 1
        for event in events:
            for sink in tuple(self.sinks):
                sink(event)

    def _lease(self, key: Key, lease: float) -> None:
        self._leases[key] = end = self._now() + lease
        if self._expiry is None or end < self._due:
            self._schedule()

    def _schedule(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.sinks and self._leases:
            self._due = min(self._leases.values())
            self._expiry = self._clock.callLater(max(0.0, self._due - self._now()), self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = self._now()
        for key in [key for key, end in self._leases.items() if end <= now]:
            self.remove(key, EXPIRED)
        self._schedule()


class MemoryRegistry:
    """One client of a `MemoryStore`; implements `wmesh.interfaces.Registry`.

    `lease` is seconds; `now`, if given, is a monotonic clock that leases are measured by. `store` is shared by clients
    that should see each other; without it the registry is alone, and `namespace` is only a name in `status()`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        lease: float = 15.0,
        namespace: str = "wmesh",
        store: MemoryStore | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._lease = lease
        self._namespace = namespace
        self._store = store or MemoryStore(clock, now)
        self._sink: EventSink | None = None
        self._held: dict[Key, InstanceRecord] = {}

    def start(self, sink: EventSink) -> Deferred[None]:
        if self._sink is not None:
            return fail(RegistryError("the registry has been started already"))
        self._sink = sink
        self._store.join(sink)
        return succeed(None)

    def stop(self) -> Deferred[None]:
        if self._sink is not None:
            self._store.leave(self._sink)
            self._sink = None
        return succeed(None)

    def register(self, record: InstanceRecord) -> Deferred[None]:
        record = as_registered(record)
        try:
            encode_record(record)
        except RecordError as error:
            return fail(error)
        self._held[record.service, record.id] = record
        self._store.put(record, self._lease)
        return succeed(None)

    def deregister(self, service: str, id: str) -> Deferred[None]:
        key = (service, id)
        self._store.remove(key, DEREGISTERED, self._held.pop(key, None))
        return succeed(None)

    def renew(self, beats: Mapping[Key, LoadSample]) -> Deferred[Sequence[Key]]:
        return succeed([key for key, sample in beats.items() if not self._store.renew(key, self._lease, sample)])

    def direct(self, wills: Sequence[Will], now: int) -> Deferred[None]:
        try:
            for will in wills:
                encode_will(will)
        except RecordError as error:
            return fail(error)
        self._store.direct(wills, now)
        return succeed(None)

    def status(self) -> Mapping[str, Any]:
        return {
            "kind": "memory",
            "url": "memory:",
            "namespace": self._namespace,
            "connected": self._sink is not None,
            "age": 0.0,
            "version": self._store.version,
            "instances": len(self._store.records),
            "problem": None,
        }
