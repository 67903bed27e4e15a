"""Brings the services up in the order that their dependencies ask for, keeps their instances running, takes them down.

Strategy: one small state machine per service (`wmesh.policy.phases`), moved by one function (`_advance`) whenever the
Directory has news or a timeout passes. What a service waits for is health as the Directory knows it, so it does not
matter who runs the instances that it depends on. Keeping one instance running, life after life, is
`wmesh.control.slot`'s matter.

Nothing is given up: a late service goes on being restarted and checked, and what is blocked by it starts when it heals.
Once up, a service is not stopped because a dependency fails: that is for health checks and breakers to deal with.

Not here: how many instances there should be by load (the autoscaler decides, and calls `scale`), and routing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from wmesh.cluster.directory import Directory
from wmesh.control.launchers.ports import allocate_port, is_free
from wmesh.control.slot import Means, Slot, State, follow
from wmesh.errors import ControlError
from wmesh.events import AdminStateChanged, Event, HealthChanged, InstanceAdded, InstanceRemoved
from wmesh.interfaces import Launcher
from wmesh.model import Health, InstanceRecord, LoadSample, ServiceSpec
from wmesh.policy.ordering import levels
from wmesh.policy.phases import Phase, Signal, move


@dataclass(frozen=True, slots=True)
class Deployed:
    """What came of `deploy_all`: services that are up, and why the others are not (yet)."""

    healthy: tuple[str, ...]
    failed: Mapping[str, str]

    def __str__(self) -> str:
        total = len(self.healthy) + len(self.failed)
        problems = "".join(f"; {name}: {reason}" for name, reason in self.failed.items())
        return f"{len(self.healthy)} of {total} services are healthy{problems}"


@dataclass(slots=True)
class _Service:
    """The runtime side of one declared service. `slots` are in the order of their birth."""

    spec: ServiceSpec
    desired: int
    phase: Phase = Phase.WAITING
    began: float = 0.0
    slots: list[Slot] = field(default_factory=list)
    timeout: IDelayedCall | None = None
    restarts_before: int = 0

    @property
    def needed(self) -> int:
        """How many healthy instances make it fit for those that depend on it."""
        wanted = self.spec.scaling.min_instances
        return min(wanted, len(self.spec.instances)) if self.spec.instances else wanted

    def staying(self) -> list[Slot]:
        return [slot for slot in self.slots if not slot.leaving]


class Deployment:
    """See the top of the file. `announce` is told one readable line a step, `warn` what somebody should look at: an
    instance that ended unasked or cannot be started, a service that is late or blocked.

    `registry_add` and `registry_remove` are called for what is launched here (compose them of registry and heartbeat);
    `reserved` are ports that launched instances must keep away from, besides those that the specs declare; `tail` ends
    the ids of launched instances, so that gateways that share a registry do not give the same; `free` says whether a
    port can be listened on. Fails with ConfigError if the dependencies make no order.
    """

    _log = Logger()
    _surviving = _log.failureHandler("A line about the deployment could not be announced")

    def __init__(
        self,
        specs: Iterable[ServiceSpec],
        launcher: Launcher,
        registry_add: Callable[[InstanceRecord], Awaitable[None]],
        registry_remove: Callable[[str, str], Awaitable[None]],
        directory: Directory,
        clock: IReactorTime,
        random: Random,
        announce: Callable[[str], None],
        warn: Callable[[str], None],
        *,
        reserved: Collection[int] = (),
        tail: str = "",
        free: Callable[[str, int], bool] = is_free,
    ) -> None:
        self._levels = tuple(
            tuple(_Service(spec, spec.scaling.min_instances) for spec in level) for level in levels(specs)
        )
        self._services = {service.spec.name: service for level in self._levels for service in level}
        self._directory = directory
        self._clock = clock
        self._tell = announce
        self._tell_trouble = warn
        self._reserved = frozenset(reserved)
        self._tail = tail
        self._free = free
        self._means = Means(
            launcher, registry_add, registry_remove, directory, clock, random, self._warn, self._allocate
        )
        self._tried: Deferred[Deployed] | None = None
        self._soon: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None
        directory.subscribe(self._heard)

    def deploy_all(self) -> Deferred[Deployed]:
        """Start everything. Fires when each service is up, or late, or blocked by one that is; never fails.

        To be called once. Those that are not up by then are still worked on.
        """
        self._tried = Deferred()
        tried = self._tried
        self._advance()
        return tried

    async def scale(self, service: str, instances: int) -> Mapping[str, Any]:
        """Run this many instances. Answers at once {service, before, target, instances: [{id, address, state, …}]}.

        Surplus instances leave, the newest first: they drain, and then they are stopped. Fails with ControlError: 404
        unknown service, 409 not launched by this mesh or stopping, 422 outside of min_instances to max_instances.
        """
        known = self._services.get(service)
        if known is None:
            raise ControlError(f"no service is called {service}", 404)
        if not known.spec.command:
            raise ControlError(f"{service} has no command: its instances are not started by this mesh", 409)
        if self._stopped is not None:
            raise ControlError("the mesh is stopping", 409)
        bounds = known.spec.scaling
        if not bounds.min_instances <= instances <= bounds.max_instances:
            allowed = f"{bounds.min_instances} to {bounds.max_instances} instances"
            raise ControlError(f"{service} may have {allowed} (min_instances, max_instances), not {instances}", 422)
        before, known.desired = known.desired, instances
        if before != instances:
            self._announce(f"{service}: scaling from {before} to {instances}")
        # WHY no lock: the decision is made in one go, so two calls can only follow each other.
        self._fill(known)
        return {
            "service": service,
            "before": before,
            "target": instances,
            "instances": [slot.describe() for slot in known.staying()],
        }

    def stop_all(self) -> Deferred[None]:
        """Deregister everything, then stop it, dependents before what they depend on. Never fails."""
        if self._stopped is None:
            # Set before anything else happens, so that whoever asks meanwhile waits for the same end.
            self._stopped = Deferred()
            Deferred.fromCoroutine(self._stop_all()).chainDeferred(self._stopped)
        return follow(self._stopped)

    def describe(self) -> Mapping[str, Any]:
        """By service: desired, running, healthy, pids, restarts, last_exit, state, instances. Plain JSON values."""
        return {name: self._describe(service) for name, service in self._services.items()}

    def loads(self) -> Mapping[tuple[str, str], LoadSample]:
        """What each launched and registered instance uses now, for the heartbeat."""
        found = {}
        for name, service in self._services.items():
            for slot in service.slots:
                sample = slot.load()
                if sample is not None:
                    found[name, slot.id] = sample
        return found

    # News.

    def _announce(self, line: str) -> None:
        """Whoever prints it may fail (a closed terminal, a full disk); the mesh does not stop for that."""
        with self._surviving:
            self._tell(line)

    def _warn(self, line: str) -> None:
        with self._surviving:
            self._tell_trouble(line)

    def _heard(self, event: Event) -> None:
        """Only notes what happened: nothing is started from inside the Directory's telling."""
        match event:
            case InstanceAdded(record):
                self._observe(record.service, record.id)
            case HealthChanged(service, id) | AdminStateChanged(service, id) | InstanceRemoved(service, id):
                self._observe(service, id)

    def _observe(self, name: str, id: str) -> None:
        service = self._services.get(name)
        if service is None:
            return
        for slot in service.slots:
            if slot.id == id and slot.observe() and not slot.leaving:
                staying = service.staying()
                healthy = sum(other.healthy_since is not None for other in staying)
                took = self._clock.seconds() - slot.began
                self._announce(f"{name}: {healthy} of {len(staying)} healthy at {slot.address} ({took:.1f} s)")
        if self._soon is None and self._unfinished():
            self._soon = self._clock.callLater(0, self._advance_now)

    def _unfinished(self) -> bool:
        return self._tried is not None and any(
            service.phase not in (Phase.UP, Phase.STOPPED) for service in self._services.values()
        )

    # Starting.

    def _advance_now(self) -> None:
        self._soon = None
        self._advance()

    def _advance(self) -> None:
        """Move every service as far as it goes. One pass is enough: dependencies stand before their dependents."""
        for service in self._services.values():
            while (signal := self._signal(service)) is not None:
                self._enter(service, move(service.phase, signal))
        phases = [service.phase for service in self._services.values()]
        if self._tried is not None and not self._tried.called and not {Phase.WAITING, Phase.STARTING} & set(phases):
            self._tried.callback(self._summary())

    def _signal(self, service: _Service) -> Signal | None:
        """What the present moves this service by; None: it stays."""
        if service.phase in (Phase.WAITING, Phase.BLOCKED):
            missing = self._missing(service)
            if not missing:
                return Signal.DEPENDENCIES_HEALTHY
            # UP and yet missing: it was up, and is not well now.
            late = any(other.phase in (Phase.LATE, Phase.BLOCKED, Phase.UP) for other in missing)
            return Signal.DEPENDENCY_LATE if late and service.phase is Phase.WAITING else None
        if service.phase in (Phase.STARTING, Phase.LATE) and self._healthy(service) >= service.needed:
            return Signal.ENOUGH_HEALTHY
        return None

    def _enter(self, service: _Service, phase: Phase) -> None:
        name = service.spec.name
        service.phase = phase
        if phase is Phase.STARTING:
            service.began = self._clock.seconds()
            service.timeout = self._clock.callLater(service.spec.start_timeout, self._timed_out, service)
            self._fill(service)
        elif phase is Phase.BLOCKED:
            self._warn(f"{name}: {self._why(service)}")
        elif phase is Phase.LATE:
            self._warn(f"{name}: {self._why(service)}; still trying")
        elif phase is Phase.UP:
            _cancel(service)
            if not service.spec.command:
                took = self._clock.seconds() - service.began
                healthy, total = self._healthy(service), len(self._directory.clusters[name].members)
                self._announce(f"{name}: {healthy} of {total} healthy, not started by this mesh ({took:.1f} s)")

    def _timed_out(self, service: _Service) -> None:
        service.timeout = None
        self._enter(service, move(service.phase, Signal.TIMED_OUT))
        self._advance()

    def _missing(self, service: _Service) -> list[_Service]:
        """The dependencies that are not fit yet."""
        dependencies = [self._services[name] for name in service.spec.dependencies]
        return [other for other in dependencies if self._healthy(other) < other.needed]

    def _healthy(self, service: _Service) -> int:
        cluster = self._directory.clusters.get(service.spec.name)
        members = cluster.members.values() if cluster is not None else ()
        return sum(member.health.state is Health.HEALTHY for member in members)

    def _why(self, service: _Service) -> str:
        """Why it is not up, for people."""
        if service.phase in (Phase.WAITING, Phase.BLOCKED):
            return f"waits for {', '.join(other.spec.name for other in self._missing(service)) or 'its turn'}"
        if service.phase is Phase.STARTING:
            return "was still starting"
        if service.spec.command:
            reasons = [f"{slot.id}: {slot.trouble()}" for slot in service.staying() if slot.healthy_since is None]
        else:
            members = self._directory.clusters[service.spec.name].members.values()
            reasons = [f"{member.record.id}: {member.health.reason}" for member in members
                if member.health.state is not Health.HEALTHY]
        detail = ", ".join(reasons[:3]) or "no instance is registered"
        return f"not healthy after {service.spec.start_timeout:g} s ({detail})"

    def _summary(self) -> Deployed:
        up = tuple(name for name, service in self._services.items() if service.phase is Phase.UP)
        failed = {name: self._why(service) for name, service in self._services.items() if name not in up}
        return Deployed(up, failed)

    # Instances.

    def _fill(self, service: _Service) -> None:
        """As many slots as desired: new ones are filled, the newest surplus ones leave."""
        if not service.spec.command or service.phase not in (Phase.STARTING, Phase.LATE, Phase.UP):
            return
        staying = service.staying()
        for slot in reversed(staying[service.desired :]):
            self._release(service, slot)
        for _ in range(service.desired - len(staying)):
            taken = {slot.id for slot in service.slots}
            names = (f"{service.spec.name}-{number}{self._tail}" for number in count(1))
            slot = Slot(service.spec, next(name for name in names if name not in taken), self._means)
            service.slots.append(slot)
            slot.start()

    def _release(self, service: _Service, slot: Slot) -> Deferred[None]:
        def gone(_: None) -> None:
            if slot in service.slots:
                service.slots.remove(slot)
                service.restarts_before += slot.restarts
                self._announce(f"{service.spec.name}: {slot.id} stopped")

        return slot.leave().addCallback(gone)

    def _allocate(self, slot: Slot) -> int:
        """The port of the slot's last life if it is still free; else the next that nobody has or is promised."""
        used = set(self._reserved)
        for service in self._services.values():
            used.update(other.address.port for other in service.slots if other is not slot and other.address)
            if service.spec.name != slot.spec.name:
                used.update(each.port for each in service.spec.instances if each.port is not None)
                used.update(() if service.spec.port is None else (service.spec.port,))
        before = slot.address
        if before is not None and before.port not in used and self._free(before.host, before.port):
            return before.port
        return allocate_port(slot.spec, used, self._free)

    # Stopping.

    async def _stop_all(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._tried is not None and not self._tried.called:
            self._tried.callback(self._summary())
        for service in self._services.values():
            _cancel(service)
            service.phase = move(service.phase, Signal.STOP)
        await DeferredList([slot.withdraw() for service in self._services.values() for slot in service.slots])
        for level in reversed(self._levels):
            leaving = [self._release(service, slot) for service in reversed(level) for slot in list(service.slots)]
            await DeferredList(leaving)

    # What people see.

    def _describe(self, service: _Service) -> Mapping[str, Any]:
        instances = [slot.describe() for slot in service.slots]
        healthy = self._healthy(service)
        state = service.phase.name.lower()
        if service.phase is Phase.UP and healthy < service.needed:
            state = "degraded"
        return {
            "state": state,
            "launched": bool(service.spec.command),
            "desired": service.desired if service.spec.command else None,
            "running": sum(slot.state is State.RUNNING for slot in service.slots),
            "healthy": healthy,
            "pids": [entry["pid"] for entry in instances if entry["pid"] is not None],
            "restarts": service.restarts_before + sum(slot.restarts for slot in service.slots),
            "last_exit": next((slot.last_exit for slot in reversed(service.slots) if slot.last_exit), None),
            "instances": instances,
        }


def _cancel(service: _Service) -> None:
    if service.timeout is not None:
        service.timeout.cancel()
        service.timeout = None
