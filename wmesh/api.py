"""The public face of wmesh for other programs: what stands in `__all__` here stays.

`register` is the way of a Twisted program into the mesh, in one call:

    from wmesh import api

    registration = await api.register(reactor, "redis://10.0.0.5", "pricing", 3007)

From then on gateways find it. It is renewed by heartbeats, which carry what this process uses of CPU and memory; it
goes back in when the registry lost it; it is taken out by `registration.deregister()` and, at the latest, when the
reactor stops. A program that dies without a word is forgotten when its lease ends.

`open_mesh` is the way to them, without a gateway between, and `ProxyResource` puts them behind a twisted.web `Site`
(docs/embedding.rst):

    mesh = await api.open_mesh(reactor, "mesh.ini")
    response = await mesh.proxy("pricing").request("GET", "/api/price/12345")

What follows is about `register`.

Strategy: a `Registrar` (one connection, nothing watched) and the gateway's own `Heartbeat`. Which id and host an
instance gets when the program does not say is decided here: the host is the address of this machine on the way to the
registry, the id is host:port, so that the next life at the same place replaces what a crash left behind at once.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from wmesh.control.heartbeat import Heartbeat
from wmesh.control.launchers.usage import UsageMeter
from wmesh.control.registry.codec import check_load, encode_record, shown
from wmesh.control.registry.registrar import Registrar, own_host
from wmesh.errors import ConfigError, ControlError, MeshError, RecordError, RegistryError, ResponseError, WireError
from wmesh.model import Address, InstanceRecord, LoadSample, RegistrySpec
from wmesh.registry_url import Target, parse_target

if TYPE_CHECKING:
    from wmesh.mesh import Mesh, ServiceProxy, open_mesh
    from wmesh.resource import ProxyResource, bounded
    from wmesh.response import Response
else:
    # An instance that only registers itself shall not load a whole gateway for it (10 MB and 0.2 s).
    _LATE = {
        "Mesh": "wmesh.mesh",
        "ProxyResource": "wmesh.resource",
        "Response": "wmesh.response",
        "ServiceProxy": "wmesh.mesh",
        "bounded": "wmesh.resource",
        "open_mesh": "wmesh.mesh",
    }

    def __getattr__(name: str) -> Any:
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_LATE[name]), name)


__all__ = [
    "Address",
    "ConfigError",
    "ControlError",
    "InstanceRecord",
    "LoadSample",
    "Mesh",
    "MeshError",
    "ProxyResource",
    "RecordError",
    "Registration",
    "RegistryError",
    "Response",
    "ResponseError",
    "ServiceProxy",
    "WireError",
    "bounded",
    "open_mesh",
    "register",
    "registry_target",
]

RETRY = 0.5
MAX_LEASE = 86400.0

log = Logger()


class Registration:
    """One instance that this process answers for. `record` is what stands in the registry."""

    def __init__(self, record: InstanceRecord, reactor: Any, registrar: Registrar, heartbeat: Heartbeat) -> None:
        self.record = record
        self._reactor = reactor
        self._registrar = registrar
        self._heartbeat = heartbeat
        self._ending: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self.deregister)

    def deregister(self) -> Deferred[None]:
        """Take it out and hang up; twice is no error. Never fails: where the registry does not answer, the lease ends.

        Requests that are on their way are not waited for: gateways send no more once they hear of it (milliseconds).
        """
        if self._ending is None:
            self._ending = Deferred.fromCoroutine(self._end())
            self._ending.addBoth(self._ended)
        if self._ending.called and not self._waiting:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    async def _end(self) -> None:
        self._heartbeat.stop()
        try:
            await self._registrar.deregister(self.record.service, self.record.id)
        except RegistryError as error:
            log.warn(
                "{service}/{id} could not be taken out of the registry; its lease will end: {why}",
                service=self.record.service,
                id=self.record.id,
                why=error,
            )
        finally:
            await self._registrar.stop()

    def _ended(self, result: Any) -> None:
        # Twisted clears its triggers itself while it shuts down.
        trigger, self._trigger = self._trigger, None
        if getattr(self._reactor, "running", False) and trigger is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._reactor.removeSystemEventTrigger(trigger)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


def register(
    reactor: Any,
    registry_url: str,
    service: str,
    port: int,
    *,
    host: str | None = None,
    id: str | None = None,
    incarnation: str | None = None,
    version: str = "",
    weight: int = 1,
    tags: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
    namespace: str = "wmesh",
    lease: float = 15.0,
    heartbeat: float = 5.0,
    load: Callable[[], LoadSample] | None = None,
    patient: bool = False,
) -> Deferred[Registration]:
    """Register an instance of `service` that listens at `port` of this machine. Call it once you do listen.

    `registry_url` is that of the gateways: redis://, rediss://, …+sentinel:// or unix:. `namespace`, too, must be
    theirs. `lease` and `heartbeat` are seconds. `load()` says what the instance uses, and what else it measures (a
    `LoadSample`); this process is measured where it is not given. `incarnation` must differ from that of every earlier
    life of this id; a random one is made where it is not given.
    A program that answers health checks with `Wmesh-Instance: ID/INCARNATION` (both stand in `registration.record`) is
    never mistaken for another that took over its address, nor another for it.

    Fails with RecordError if what is to be registered makes no sense, and with RegistryError if the registry does not
    answer within seconds or refuses; nothing is left behind then. With `patient` it goes on trying instead, until it
    succeeds or is cancelled.
    """

    async def work() -> Registration:
        target = registry_target(registry_url)
        _check(lease, heartbeat, host, tags, metadata)
        address = Address(host if host is not None else await own_host(target, reactor), port)
        record = InstanceRecord(
            service=service,
            id=id if id is not None else str(address),
            address=address,
            version=version,
            weight=weight,
            tags=tuple(tags),
            metadata=tuple((metadata or {}).items()),
            # A life of its own: what the mesh remembers of an earlier one at this place does not count.
            incarnation=incarnation if incarnation is not None else secrets.token_hex(16),
        )
        encode_record(record)
        spec = RegistrySpec(registry_url, namespace, lease, heartbeat)
        return await _register(reactor, target, spec, record, load or UsageMeter(os.getpid()).sample, patient)

    return Deferred.fromCoroutine(work())


def registry_target(url: str) -> Target:
    """The server that `url` means. Fails with RegistryError, also for registries that no other process can use."""
    if url.startswith("memory:"):
        raise RegistryError(
            "a memory: registry lives inside one gateway, and no other program can join it; "
            "give the gateway [registry] url = embedded: or redis://…"
        )
    if url.startswith("embedded:"):
        raise RegistryError(
            "an embedded: registry is reached by the socket in its gateway's state_dir: "
            "use unix:/absolute/path/of/state_dir/registry.sock (the gateway's /status shows it)"
        )
    return parse_target(url)


async def _register(
    reactor: Any,
    target: Target,
    spec: RegistrySpec,
    record: InstanceRecord,
    load: Callable[[], LoadSample],
    patient: bool,
) -> Registration:
    rng = random.Random()
    registrar = Registrar(target, spec, reactor, rng=rng)
    registrar.start()

    def leave() -> Deferred[None] | None:
        # It may be in already, though we were not told so yet: commands arrive in the order in which they are sent.
        if not registrar.connected:
            return None
        return registrar.deregister(record.service, record.id).addErrback(lambda _: None)

    # Until there is a `Registration`, which has a trigger of its own.
    trigger = reactor.addSystemEventTrigger("before", "shutdown", leave)
    try:
        await _first(reactor, registrar, record, patient)
    except BaseException:
        # Cancelled, perhaps, when it was in already, or on its way. Where nothing answers, nothing is to be taken out.
        try:
            if registrar.connected:
                await registrar.deregister(record.service, record.id)
        except RegistryError:
            pass
        finally:
            await registrar.stop()
        raise
    finally:
        # Twisted clears its triggers itself while it shuts down.
        if getattr(reactor, "running", False):
            with contextlib.suppress(ValueError, KeyError):
                reactor.removeSystemEventTrigger(trigger)
    key = (record.service, record.id)
    told = False

    def collect() -> dict[tuple[str, str], LoadSample]:
        nonlocal told
        sample = load()
        try:
            check_load(sample)
        except RecordError as error:
            if not told:
                told = True
                log.warn("load() of {service}/{id}: {why}; it is left out", service=key[0], id=key[1], why=error)
        return {key: sample}

    beat = Heartbeat(registrar, spec.heartbeat, reactor, rng, collect)
    beat.add(record)
    beat.start()
    return Registration(record, reactor, registrar, beat)


async def _first(reactor: Any, registrar: Registrar, record: InstanceRecord, patient: bool) -> None:
    told = ""
    while True:
        try:
            await registrar.register(record)
            return
        except RecordError:
            raise
        except RegistryError as error:
            if not patient:
                raise
            if str(error) != told:
                told = str(error)
                log.warn("Not registered yet: {why}. Going on trying", why=told)
        await deferLater(reactor, RETRY)


def _check(lease: float, heartbeat: float, host: object, tags: object, metadata: object) -> None:
    """What the codec cannot see. Fails with RegistryError."""
    for name, seconds in (("lease", lease), ("heartbeat", heartbeat)):
        if not (math.isfinite(seconds) and seconds > 0):
            raise RegistryError(f"{name}: {seconds}; should be a number of seconds above 0")
    if heartbeat >= lease:
        raise RegistryError(f"heartbeat: {heartbeat:g}; should be well below the lease of {lease:g} s, a third of it")
    if lease > MAX_LEASE:
        raise RegistryError(f"lease: {lease:g}; should be at most {MAX_LEASE:g} s, a day")
    if host is not None and not isinstance(host, str):
        raise RecordError(f"host: {shown(host)}; should be a text: an IP address or host name")
    if isinstance(tags, str) or not isinstance(tags, Sequence):
        raise RecordError(f"tags: {shown(tags)}; should be a list of texts")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise RecordError("metadata: should be a mapping of texts")
