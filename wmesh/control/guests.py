"""Instances that register over HTTP: the gateway answers for them in the registry while they answer to the gateway.

Strategy: a guest is an ordinary record with an ordinary lease, renewed by the gateway's own heartbeat. What is kept
here is only until when (its ttl, begun anew by each heartbeat of its own, and by registering again) and what it last
said it uses. When the ttl ends without a word the instance is taken out. So the registry need not know that there are
guests, and a guest need not know what a registry is.

A record is checked by the codec, as everywhere. Registering again from the same address changes the record in place
(weight, tags, metadata); from another address it is another life, with an incarnation of its own. Which guests there
are is not written down: after a restart of the gateway a guest's heartbeat is answered 404, and it registers again, as
it does after having been away too long. Behind several gateways on one registry a guest talks to any of them; the one
it left lets go of it, without taking out what is another's by then.

What is launched or registered by the gateway itself can be neither registered nor taken out in this way.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from wmesh.cluster.directory import Directory
from wmesh.cluster.report import instance_report
from wmesh.control.heartbeat import Heartbeat
from wmesh.control.registry.changes import ORIGIN
from wmesh.control.registry.codec import FORMAT, encode_record, load_from, record_from, shown
from wmesh.errors import ControlError, RecordError, RegistryError
from wmesh.events import Event, InstanceAdded
from wmesh.model import InstanceRecord, LoadSample

Key = tuple[str, str]

MIN_TTL = 1.0
MAX_TTL = 86400.0
MAX_GUESTS = 10000

_FREE = ("host", "port", "version", "weight", "tags", "metadata")
_LOAD = ("cpu", "memory", "in_flight", "metrics")
_SEEN = ("health", "available", "reasons", "load", "age_seconds")


class Leases(Protocol):
    """The part of `wmesh.interfaces.Registry` that is needed here."""

    def register(self, record: InstanceRecord) -> Awaitable[None]: ...

    def deregister(self, service: str, id: str) -> Awaitable[None]: ...

    def status(self) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class _Guest:
    record: InstanceRecord
    ttl: float
    expiry: IDelayedCall
    load: LoadSample


class Guests:
    """Implements `wmesh.interfaces.Registrations`. `ttl` (seconds) is for those who name none.

    `reserved` are services that belong to the gateway itself.
    """

    _log = Logger()

    def __init__(
        self,
        registry: Leases,
        heartbeat: Heartbeat,
        directory: Directory,
        reactor: IReactorTime,
        now: Callable[[], float],
        *,
        ttl: float,
        reserved: Collection[str] = (),
    ) -> None:
        self._registry = registry
        self._heartbeat = heartbeat
        self._directory = directory
        self._reactor = reactor
        self._now = now
        self._ttl = ttl
        self._reserved = reserved
        self._guests: dict[Key, _Guest] = {}
        # Begins every incarnation that is given out here, so that those of others can be told.
        self._mark = secrets.token_hex(8)
        directory.subscribe(self._heard)

    # wmesh.interfaces.Registrations

    def registrations(self) -> dict[str, Any]:
        services: dict[str, list[dict[str, Any]]] = {}
        now = self._now()
        for name, cluster in self._directory.clusters.items():
            members = sorted(cluster.members.values(), key=lambda member: member.record.id)
            found = [
                self._describe(member.record, instance_report(member, now))
                for member in members
                if member.record.origin == ORIGIN
            ]
            if found or name not in self._reserved:
                services[name] = found
        for _, record in sorted(self._directory.unclaimed.items()):
            services.setdefault(record.service, []).append(self._describe(record, None))
        return {"registry": dict(self._registry.status()), "services": services}

    async def register(self, service: str, id: str, document: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        ttl = _ttl(document.get("ttl", self._ttl))
        key = (service, id)
        guest = self._guests.get(key)
        if guest is None and service in self._reserved:
            raise ControlError(f"{service} belongs to the gateway itself", 409)
        if guest is None and self._heartbeat.holds(service, id):
            raise ControlError(f"{service}/{id} is launched by this gateway, which registers it itself", 409)
        member = self._directory.member(*key)
        if member is not None and member.record.origin != ORIGIN:
            raise ControlError(f"{service}/{id} is there already, and not by registration; give another id", 409)
        record = _record(service, id, document, self._mark + secrets.token_hex(8))
        if guest is not None and guest.record.address == record.address:
            record = replace(record, incarnation=guest.record.incarnation)
        if guest is None and len(self._guests) >= MAX_GUESTS:
            raise ControlError(f"this gateway answers for {MAX_GUESTS} instances already", 503)
        new = guest is None
        if guest is None:
            expiry = self._reactor.callLater(ttl, self._expired, key)
            self._guests[key] = _Guest(record, ttl, expiry, LoadSample())
        else:
            guest.record, guest.ttl = record, ttl
            guest.expiry.reset(ttl)
        self._heartbeat.add(record)
        problem = None
        try:
            await self._registry.register(record)
        except RegistryError as error:
            # The registry holds it, and puts it in as soon as it can.
            problem = str(error)
        if key not in self._guests:
            # Taken out while it was on its way in.
            await self._deregister(key)
            raise ControlError(f"{service}/{id} was taken out meanwhile", 409)
        declared = service in self._directory.clusters
        return {
            **_plain(record),
            "ttl": ttl,
            "registered": problem is None,
            "problem": problem,
            "declared": declared,
        }, new

    async def deregister(self, service: str, id: str) -> dict[str, Any]:
        key = (service, id)
        guest = self._forget(key)
        if guest is None:
            if self._heartbeat.holds(service, id):
                raise ControlError(f"{service}/{id} is launched by this gateway; scale the service instead", 409)
            record = self._known(key)
            if record is None or record.origin != ORIGIN:
                raise ControlError(f"no instance {id!r} of {service!r} is registered", 404)
        await self._registry.deregister(service, id)
        return {"service": service, "id": id, "registered": False}

    def beat(self, service: str, id: str, document: Mapping[str, Any]) -> dict[str, Any]:
        guest = self._guests.get((service, id))
        if guest is None:
            raise ControlError(f"no {id!r} of {service!r} came in through this gateway (any more): register again", 404)
        load = _load(document)
        if load != LoadSample():
            guest.load = load
        guest.expiry.reset(guest.ttl)
        return {"service": service, "id": id, "ttl": guest.ttl}

    # For the gateway.

    def loads(self) -> dict[Key, LoadSample]:
        """What guests said last, for the heartbeat."""
        return {key: guest.load for key, guest in self._guests.items()}

    def stop(self) -> None:
        """Let go of all guests; their leases run on, and they find another gateway, or this one when it is back."""
        for key in list(self._guests):
            self._forget(key)

    def _heard(self, event: Event) -> None:
        """Somebody else registered under a guest's id: it went to another gateway, or another took its place."""
        if isinstance(event, InstanceAdded):
            record = event.record
            key = (record.service, record.id)
            if key in self._guests and not record.incarnation.startswith(self._mark):
                self._forget(key)
                # Takes nothing out, for what stands there is not ours; but the registry need hold ours no longer.
                self._leave(key)

    def _expired(self, key: Key) -> None:
        guest = self._forget(key)
        self._log.warn(
            "{service}/{id} gave no sign of life for {ttl:g} s and is taken out of the registry",
            service=key[0],
            id=key[1],
            ttl=guest.ttl if guest is not None else 0.0,
        )
        self._leave(key)

    def _leave(self, key: Key) -> None:
        leaving = Deferred.fromCoroutine(self._deregister(key))
        leaving.addErrback(lambda failure: self._log.failure("A guest could not be taken out", failure))

    async def _deregister(self, key: Key) -> None:
        try:
            await self._registry.deregister(*key)
        except RegistryError as error:
            self._log.warn(
                "{service}/{id} could not be taken out; its lease will end: {why}", service=key[0], id=key[1], why=error
            )

    def _forget(self, key: Key) -> _Guest | None:
        guest = self._guests.pop(key, None)
        if guest is not None:
            self._heartbeat.remove(*key)
            if guest.expiry.active():
                guest.expiry.cancel()
        return guest

    def _known(self, key: Key) -> InstanceRecord | None:
        member = self._directory.member(*key)
        return member.record if member is not None else self._directory.unclaimed.get(key)

    def _describe(self, record: InstanceRecord, report: Mapping[str, Any] | None) -> dict[str, Any]:
        """A record, what is known of the instance if its service is declared, and what is left of its ttl."""
        guest = self._guests.get((record.service, record.id))
        seen = {name: None if report is None else report[name] for name in _SEEN}
        left = None if guest is None else round(max(0.0, guest.expiry.getTime() - self._reactor.seconds()), 3)
        return {
            **_plain(record),
            **seen,
            "ttl": None if guest is None else guest.ttl,
            "ttl_left": left,
        }


def _plain(record: InstanceRecord) -> dict[str, Any]:
    return {
        "service": record.service,
        "id": record.id,
        "host": record.address.host,
        "port": record.address.port,
        "version": record.version,
        "weight": record.weight,
        "tags": list(record.tags),
        "metadata": dict(record.metadata),
        "incarnation": record.incarnation,
    }


def _record(service: str, id: str, document: Mapping[str, Any], incarnation: str) -> InstanceRecord:
    """The record that the document asks for. Fails with ControlError 422, which names the field."""
    for field in document:
        if field not in _FREE and field != "ttl":
            raise ControlError(f"{shown(field)}: unknown field; should be one of {', '.join(_FREE)}, ttl", 422)
    value = {name: document[name] for name in _FREE if name in document}
    value |= {"v": FORMAT, "service": service, "id": id, "incarnation": incarnation}
    try:
        record = record_from(value)
        # Metadata may be too large as a whole, though each of it is not.
        encode_record(record)
        return record
    except RecordError as error:
        raise ControlError(str(error), 422) from error


def _load(document: Mapping[str, Any]) -> LoadSample:
    for field in document:
        if field not in _LOAD:
            raise ControlError(
                f"{shown(field)}: unknown field; should be one of {', '.join(_LOAD)}; free numbers go into metrics", 422
            )
    try:
        return load_from(document)
    except RecordError as error:
        raise ControlError(str(error), 422) from error


def _ttl(value: object) -> float:
    # True is a number to Python, but not to JSON. A comparison refuses NaN, too.
    if isinstance(value, int | float) and not isinstance(value, bool) and MIN_TTL <= value <= MAX_TTL:
        return float(value)
    raise ControlError(f"ttl: {shown(value)}; should be a number of seconds from {MIN_TTL:g} to {MAX_TTL:g}", 422)
