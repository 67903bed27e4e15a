"""What the admin side may ask of this process, put together from the parts that know: implements `Controls`.

Strategy: no state of its own but two counters and the phase. Every question is answered from the Directory, the data
plane's traffic counters, the registry and the deployment at the moment it is asked; every operation is left to the one
who does it. The admin side never sees those parts, so what it can do is exactly what stands here.

Only declared services are shown: the built-in one that carries the admin side itself is no news to anybody.
"""

from __future__ import annotations

import enum
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import wmesh
from wmesh.cluster.cluster import Cluster
from wmesh.cluster.directory import Directory
from wmesh.cluster.report import directory_report, instance_report, service_health, service_report, service_status
from wmesh.errors import ControlError, RecordError
from wmesh.events import (
    BreakerChanged,
    EjectionChanged,
    Event,
    HealthChanged,
    InstanceAdded,
    InstanceRemoved,
)
from wmesh.interfaces import Caching, Registry, Unset
from wmesh.metrics.traffic import Traffic, merged
from wmesh.model import MAX_WEIGHT, AdminState, Health, MeshConfig, ServiceSpec, Will
from wmesh.policy.wills import asks

_WHERE = ("port", "interface", "address", "domain", "index")

NOT_PRESERVED: Mapping[str, Any] = {"frozen": False, "since_seconds": None, "scopes": [], "held": 0}


class Phase(enum.Enum):
    """Where the gateway is in its life. Clients should be sent to it only while it is RUNNING."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


class Scales(Protocol):
    """The part of `wmesh.control.deployment.Deployment` that is needed here."""

    def scale(self, service: str, instances: int) -> Awaitable[Mapping[str, Any]]:
        """Begin to run this many; answers `service`, `before`, `target` and more, or fails with ControlError."""

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""


class Explains(Protocol):
    """The part of `wmesh.proxy.whys.Whys` that is needed here; fails with ControlError."""

    def service(self, name: str, client: str) -> Mapping[str, Any]: ...

    def request(
        self, method: str, path: str, host: str, client: str, fields: Sequence[tuple[str, str]]
    ) -> Mapping[str, Any]: ...

    def decision(self, request_id: str) -> Mapping[str, Any]: ...

    def recent(self, count: int) -> Sequence[Mapping[str, Any]]: ...


class Obeys(Protocol):
    """The part of `wmesh.control.wills.Wills` that is needed here."""

    def known(self, service: str, id: str) -> Will | None: ...

    def of(self, service: str) -> Sequence[Will]: ...

    def report(self, will: Will) -> Mapping[str, Any]: ...

    def direct(
        self, service: str, id: str, state: AdminState | None, weight: int | Unset | None, by: str
    ) -> Awaitable[str]: ...

    def describe(self) -> Mapping[str, Any]: ...


class MeshControls:
    """Made before the first instance is applied to the Directory, so that every registration is counted.

    `deployment` is None where the mesh launches nothing. `clock` is monotonic seconds, `started` its value when this
    process began; `preservation` is what `Preserver.describe` answers, `sources` what `Declared.describe` does. The
    gateway moves `phase` on.
    """

    def __init__(
        self,
        config: MeshConfig,
        directory: Directory,
        registry: Registry,
        deployment: Scales | None,
        traffic: Mapping[str, Traffic],
        wills: Obeys,
        clock: Callable[[], float],
        started: float,
        preservation: Callable[[], Mapping[str, Any]] = lambda: NOT_PRESERVED,
        sources: Callable[[], Sequence[Mapping[str, Any]]] = list,
        whys: Explains | None = None,
        caches: Caching | None = None,
    ) -> None:
        self.phase = Phase.STARTING
        self._config = config
        self._specs: dict[str, ServiceSpec] = {spec.name: spec for spec in config.services}
        self._directory = directory
        self._registry = registry
        self._deployment = deployment
        self._traffic = traffic
        self._wills = wills
        self._clock = clock
        self._started = started
        self._preservation = preservation
        self._sources = sources
        self._whys = whys
        self._caches = caches
        self._registrations = 0
        self._deregistrations = 0
        self._health_changes = 0
        self._breaker_changes: Counter[tuple[str, str]] = Counter()
        self._ejections: Counter[str] = Counter()
        directory.subscribe(self._count)

    def health(self) -> dict[str, Any]:
        """`status` is starting or draining while the gateway does that; else healthy, or degraded if anything is not.

        A service that may have no instances at all (`min_instances = 0`) is not missed while it has none.
        """
        now = self._clock()
        statuses = {name: service_status(cluster, now)[0] for name, cluster in self._clusters().items()}
        connected = bool(self._registry.status().get("connected"))
        well = connected and all(
            status == "healthy" or (status == "empty" and _may_be_empty(self._specs[name]))
            for name, status in statuses.items()
        )
        serving = self.phase is Phase.RUNNING
        return {
            "status": ("healthy" if well else "degraded") if serving else self.phase.value,
            "serving": serving,
            "registry": "connected" if connected else "disconnected",
            "services": statuses,
        }

    def status(self) -> dict[str, Any]:
        config = self._config
        now = self._clock()
        return {
            "name": config.mesh.name,
            "version": wmesh.__version__,
            "phase": self.phase.value,
            "status": self.health()["status"],
            "uptime_seconds": self._uptime(now),
            "pid": os.getpid(),
            "registry": {
                **self._registry.status(),
                **self._staleness(),
                "preservation": {**self._preservation(), "suspects": self._suspects()},
                "wills": dict(self._wills.describe()),
            },
            "sources": [*self._sources()],
            "listeners": {
                "public": [listener_label(listener) for listener in config.gateway.listen],
                "admin": listener_label(config.gateway.admin_listen) or None,
            },
            "services": {name: _summary(cluster, now) for name, cluster in self._clusters().items()},
            "deployment": None if self._deployment is None else dict(self._deployment.describe()),
            "notes": list(config.notes),
        }

    def stats(self) -> dict[str, Any]:
        now = self._clock()
        clusters = self._clusters()
        traffic = {name: self._traffic[name] for name in clusters if name in self._traffic}
        return {
            "mesh": self._config.mesh.name,
            "uptime_seconds": self._uptime(now),
            "registry": {**self._staleness(), "preservation": {**self._preservation(), "suspects": self._suspects()}},
            "sources": [*self._sources()],
            "discovery": self._discovery(clusters),
            "load_balancer": {
                **_load_balancer(clusters, traffic),
                "circuit_breaker_changes": {
                    state: sum(n for (_, new), n in self._breaker_changes.items() if new == state)
                    for state in ("open", "half_open", "closed")
                },
                "ejections": sum(self._ejections.values()),
            },
            "proxy": {
                **merged(traffic.values()).describe(),
                "services": {name: one.describe() for name, one in traffic.items()},
            },
            "cache": None if self._caches is None else dict(self._caches.describe()),
            "services": directory_report(self._directory, now, clusters),
        }

    def services(self) -> dict[str, Mapping[str, Any]]:
        clusters = self._clusters()
        reports = directory_report(self._directory, self._clock(), clusters)
        return {name: {**report, "absent": self._absent(clusters[name])} for name, report in reports.items()}

    def service(self, name: str) -> dict[str, Any]:
        cluster = self._cluster(name)
        return {**service_report(cluster, self._clock()), "absent": self._absent(cluster)}

    def service_health(self, name: str) -> dict[str, Any]:
        return service_health(self._cluster(name), self._clock())

    async def scale(self, service: str, instances: int) -> dict[str, Any]:
        """Fails with ControlError: 404 unknown, 409 not launched by this mesh, 422 out of bounds, 503 not now."""
        spec = self._cluster(service).spec
        if self._deployment is None or not spec.command:
            raise ControlError(f"{service} is not launched by this mesh, so whoever runs it has to scale it", 409)
        if self.phase is Phase.DRAINING:
            raise ControlError("the gateway is stopping", 503)
        return dict(await self._deployment.scale(service, instances))

    async def direct(
        self, service: str, id: str, state: str | None, weight: int | Unset | None, by: str
    ) -> dict[str, Any]:
        """Fails with ControlError: 404 no such service or instance, 422 no such state, or no such weight."""
        cluster = self._cluster(service)
        if id not in cluster.members and self._wills.known(service, id) is None:
            known = ", ".join(sorted(cluster.members)[:10]) or "none"
            raise ControlError(f"{service} has no instance {id!r}; it has: {known}", 404)
        if state is not None and state.upper() not in AdminState.__members__:
            raise ControlError(f'"state" must be ready, drain or maint, not {state[:40]!r}', 422)
        if not isinstance(weight, Unset | None) and not 1 <= weight <= MAX_WEIGHT:
            said = weight if abs(weight) < 10**20 else "a number without measure"
            raise ControlError(f'"weight" must be a whole number from 1 to {MAX_WEIGHT}, or null, not {said}', 422)
        wanted = None if state is None else AdminState[state.upper()]
        try:
            problem = await self._wills.direct(service, id, wanted, weight, by)
        except RecordError as error:
            raise ControlError(f"that cannot be remembered: {error}", 422) from error
        member = cluster.members.get(id)
        report = {"id": id} if member is None else instance_report(member, self._clock())
        return {**report, "present": member is not None, "written": not problem, "problem": problem or None}

    def purge(self, service: str, url: str, prefix: str, tag: str) -> dict[str, Any]:
        """Fails with ControlError: 404 no such service, 409 it has no cache, 422 what is no URL."""
        self._cluster(service)
        if self._caches is None:
            raise ControlError("nothing is relayed here, so nothing is kept", 409)
        return {"service": service, "purged": self._caches.purge(service, url=url, prefix=prefix, tag=tag)}

    def explain(
        self, service: str, method: str, path: str, host: str, client: str, fields: Sequence[tuple[str, str]]
    ) -> Mapping[str, Any]:
        if not service:
            return self._explainer().request(method, path, host, client, fields)
        self._cluster(service)
        return self._explainer().service(service, client)

    def decision(self, request_id: str) -> Mapping[str, Any]:
        return self._explainer().decision(request_id)

    def decisions(self, count: int) -> Sequence[Mapping[str, Any]]:
        return self._explainer().recent(count)

    def _absent(self, cluster: Cluster) -> list[Mapping[str, Any]]:
        """Instances that are not there, of which an operator wants something should they come (back)."""
        wills = self._wills.of(cluster.spec.name)
        return [self._wills.report(will) for will in wills if asks(will) and will.id not in cluster.members]

    def _explainer(self) -> Explains:
        if self._whys is None:
            raise ControlError("nothing is relayed here, so there is nothing to explain", 404)
        return self._whys

    def _clusters(self) -> dict[str, Cluster]:
        return {name: self._directory.clusters[name] for name in self._specs}

    def _cluster(self, name: str) -> Cluster:
        if name not in self._specs:
            raise ControlError(f"there is no service {name!r}; there are: {', '.join(self._specs) or 'none'}", 404)
        return self._directory.clusters[name]

    def _staleness(self) -> dict[str, Any]:
        """Whether what is known may have changed unheard, and for how long the registry has said nothing then."""
        status = self._registry.status()
        stale = not status.get("connected")
        age = status.get("age")
        return {"stale": stale, "stale_seconds": round(age, 3) if stale and age is not None else None}

    def _suspects(self) -> int:
        """Instances that the registry does not vouch for now."""
        members = (member for cluster in self._clusters().values() for member in cluster.members.values())
        return sum(bool(member.suspect) and member.record.origin == "registry" for member in members)

    def _uptime(self, now: float) -> float:
        return round(now - self._started, 3)

    def _discovery(self, clusters: Mapping[str, Cluster]) -> dict[str, Any]:
        health = [member.health.state for cluster in clusters.values() for member in cluster.members.values()]
        passed = sum(cluster.checks_passed for cluster in clusters.values())
        failed = sum(cluster.checks_failed for cluster in clusters.values())
        return {
            "services": len(clusters),
            "instances": len(health),
            "healthy_instances": health.count(Health.HEALTHY),
            "unhealthy_instances": health.count(Health.UNHEALTHY),
            "starting_instances": health.count(Health.UNKNOWN),
            "unclaimed_instances": len(self._directory.unclaimed),
            "registrations": self._registrations,
            "deregistrations": self._deregistrations,
            "health_changes": self._health_changes,
            "checks": {
                "passed": passed,
                "failed": failed,
                "success_rate": round(passed / (passed + failed), 6) if passed + failed else None,
            },
        }

    def _count(self, event: Event) -> None:
        match event:
            case InstanceAdded(record) if record.service in self._specs:
                self._registrations += 1
            case InstanceRemoved(service) if service in self._specs:
                self._deregistrations += 1
            case HealthChanged(service) if service in self._specs:
                self._health_changes += 1
            case BreakerChanged(service, _, _, new) if service in self._specs:
                self._breaker_changes[service, new] += 1
            case EjectionChanged(service, _, seconds) if service in self._specs and seconds:
                self._ejections[service] += 1


def listener_label(endpoint: str) -> str:
    """A Twisted endpoint string with only what says where it listens; the rest names key files and the like."""
    parts = re.split(r"(?<!\\):", endpoint)
    return ":".join(part for part in parts if "=" not in part or part.partition("=")[0] in _WHERE)


def _load_balancer(clusters: Mapping[str, Cluster], traffic: Mapping[str, Traffic]) -> dict[str, Any]:
    strategies: dict[str, dict[str, Any]] = {}
    for name, cluster in clusters.items():
        strategy = strategies.setdefault(cluster.spec.strategy, {"services": [], "requests": 0})
        strategy["services"].append(name)
        strategy["requests"] += cluster.requests
    return {
        "active_connections": sum(cluster.in_flight for cluster in clusters.values()),
        "requests": sum(cluster.requests for cluster in clusters.values()),
        "failures": sum(cluster.failures for cluster in clusters.values()),
        "refusals": sum(cluster.refusals for cluster in clusters.values()),
        "strategies": strategies,
        "services": {
            name: {
                "strategy": cluster.spec.strategy,
                "active_connections": cluster.in_flight,
                "requests": cluster.requests,
                "failures": cluster.failures,
                "refusals": cluster.refusals,
                "average_response_ms": _mean(traffic.get(name)),
                "distribution": {key: member.picks for key, member in sorted(cluster.members.items())},
            }
            for name, cluster in clusters.items()
        },
    }


def _mean(traffic: Traffic | None) -> float | None:
    mean = None if traffic is None else traffic.latency.mean
    return None if mean is None else round(mean * 1000.0, 3)


def _may_be_empty(spec: ServiceSpec) -> bool:
    return bool(spec.command) and spec.scaling.min_instances == 0


def _summary(cluster: Cluster, now: float) -> dict[str, Any]:
    members = cluster.members.values()
    status, reason = service_status(cluster, now)
    return {
        "status": status,
        "reason": reason,
        "healthy": sum(member.health.state is Health.HEALTHY for member in members),
        "total": len(members),
        "in_flight": cluster.in_flight,
        "strategy": cluster.spec.strategy,
        "routes": [str(route) for route in cluster.spec.routes] if cluster.spec.proxy_enabled else [],
    }
