"""What the Directory knows, as plain JSON values for people: the admin side prints them as they are.

Strategy: one function per level (instance, service, all), each a snapshot at `now`, none with an effect. Every "no" is
given with its reasons, in the words of `Member.reasons`, so that a person never has to guess why an instance gets no
requests. Durations are seconds where the name says so, latencies milliseconds; what is not known is null.

A service's status is told from its instances. Instances that an operator took out (drain, maint) are his will and not a
fault, and one more instance that is still starting takes nothing away from those that serve:

    empty       there is no instance
    starting    none can serve yet, and at least one has passed no check so far
    unhealthy   none can serve
    degraded    some can serve, but not all that should, or fewer than `min_instances`, or each has all it can take
    healthy     all that should serve can
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wmesh.cluster.breaker import OPEN, Breaker
from wmesh.cluster.cluster import Cluster
from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.model import AdminState, Health, LoadSample


def directory_report(directory: Directory, now: float, services: Iterable[str] | None = None) -> dict[str, Any]:
    """The report of each service by name; of all that the Directory knows, or of those named, in their order."""
    names = directory.clusters if services is None else services
    return {name: service_report(directory.clusters[name], now) for name in names}


def service_report(cluster: Cluster, now: float) -> dict[str, Any]:
    """All about one service. `total` counts its instances, `healthy` those whose checks pass."""
    spec = cluster.spec
    scaling = spec.scaling
    status, reason = service_status(cluster, now)
    members = _sorted(cluster)
    return {
        "name": spec.name,
        "version": spec.version,
        "protocol": spec.protocol,
        "strategy": spec.strategy,
        "status": status,
        "reason": reason,
        "healthy": sum(member.health.state is Health.HEALTHY for member in members),
        "available": sum(member.available(now) for member in members),
        "total": len(members),
        "breaker": _state(cluster.breaker),
        "panic": cluster.panicking and bool(cluster.eligible),
        "in_flight": cluster.in_flight,
        "queued": cluster.queued(),
        "max_connections": cluster.limit,
        "requests": cluster.requests,
        "failures": cluster.failures,
        "refusals": cluster.refusals,
        "checks": {"passed": cluster.checks_passed, "failed": cluster.checks_failed},
        "tags": list(spec.tags),
        "routes": [str(route) for route in spec.routes] if spec.proxy_enabled else [],
        "dependencies": list(spec.dependencies),
        "deployment_priority": spec.deployment_priority,
        "scaling": {
            "launched": bool(spec.command),
            "min_instances": scaling.min_instances,
            "max_instances": scaling.max_instances,
            "auto_scale": scaling.auto_scale,
            "cpu_threshold": scaling.cpu_threshold,
            "memory_threshold": scaling.memory_threshold,
        },
        "instances": [instance_report(member, now) for member in members],
    }


def service_health(cluster: Cluster, now: float) -> dict[str, Any]:
    """Only what bears on whether the service can answer: its status, and each instance's verdict with reasons."""
    status, reason = service_status(cluster, now)
    members = _sorted(cluster)
    return {
        "name": cluster.spec.name,
        "status": status,
        "reason": reason,
        "healthy": sum(member.health.state is Health.HEALTHY for member in members),
        "total": len(members),
        "instances": [
            {
                "id": member.record.id,
                "address": str(member.record.address),
                "health": member.health.state.name.lower(),
                "last_result": member.health.reason,
                "since_seconds": _seconds(now - member.health.since),
                "admin": member.admin.name.lower(),
                "available": member.available(now),
                "reasons": list(member.reasons(now)),
                "verdict": [
                    {
                        "aspect": finding.aspect,
                        "against": finding.against,
                        "text": finding.text,
                        "since_seconds": _seconds(now - finding.since),
                        "by": finding.by or None,
                    }
                    for finding in member.verdict(now)
                ],
                "suspect": _suspicion(member, now),
                "warning": member.warning or None,
            }
            for member in members
        ],
    }


def instance_report(member: Member, now: float) -> dict[str, Any]:
    """All about one instance.

    `since_seconds` is how long its health has been what it is, `age_seconds` how long this process has known it.
    `suspect` is null, or why and for how long the registry has not vouched for it; it serves while its checks pass.
    `breaker` is the state of its circuit breaker, `ramp` the part of its weight that a slow start leaves it (1: all).
    `check_ms` is how long its last check took, `warning` what that found that an operator should see to; or null.
    `latency_ms` is the average that strategies see: it jumps up with a slow answer and fades without traffic.
    `admin_by` and `weight_by` are who said so, null where no operator did.
    `in_flight` counts the requests that this process has there, `load.in_flight` is what the instance counts itself.
    """
    record = member.record
    latency = member.latency.value(now)
    return {
        "id": record.id,
        "address": str(record.address),
        "version": record.version,
        "weight": member.weight,
        "tags": list(record.tags),
        "health": member.health.state.name.lower(),
        "since_seconds": _seconds(now - member.health.since),
        "age_seconds": _seconds(now - member.since),
        "admin": member.admin.name.lower(),
        "admin_since_seconds": _seconds(now - member.admin_since),
        "admin_by": member.admin_by or None,
        "weight_since_seconds": None if member.directed is None else _seconds(now - member.directed.since),
        "weight_by": None if member.directed is None else member.directed.by or None,
        "available": member.available(now),
        "reasons": list(member.reasons(now)),
        "breaker": _state(member.breaker),
        "ramp": round(member.ramp, 3),
        "suspect": _suspicion(member, now),
        "check_ms": None if member.checked is None else round(member.checked * 1000.0, 3),
        "warning": member.warning or None,
        "in_flight": member.in_flight,
        "picks": member.picks,
        "failures": member.failures,
        "latency_ms": None if latency is None else round(latency * 1000.0, 3),
        "load": _load(member.load),
        "origin": record.origin,
    }


def service_status(cluster: Cluster, now: float) -> tuple[str, str]:
    """The word of the table above, and a sentence that says why; the sentence is empty when all is well."""
    members = cluster.members.values()
    if not members:
        return "empty", "no instance is registered"
    wanted = [member for member in members if member.admin is AdminState.READY]
    well = [member for member in wanted if member.health.state is Health.HEALTHY]
    serving = [member for member in well if member.eligible(now)]
    failing = [member for member in wanted if member.health.state is Health.UNHEALTHY]
    if cluster.breaker is not None and cluster.breaker.state is OPEN:
        return "unhealthy", f"the circuit breaker of the service is open: {cluster.breaker.reason}"
    if well and not serving:
        return "unhealthy", f"{_all(len(well))} taken out by live traffic: {_left_alone(well[0], now)}"
    if not serving:
        if len(failing) < len(wanted):
            return "starting", "instances are starting and have passed no check yet"
        if not wanted:
            return "unhealthy", f"{_all(len(members))} taken out by the operator"
        return "unhealthy", f"{_all(len(wanted))} failing: {failing[0].health.reason}"
    if failing:
        return "degraded", f"{len(failing)} of {len(wanted)} instances failing: {failing[0].health.reason}"
    if len(serving) < len(well):
        alone = next(member for member in well if not member.eligible(now))
        count = len(well) - len(serving)
        return "degraded", f"{count} of {len(wanted)} instances taken out by live traffic: {_left_alone(alone, now)}"
    least = cluster.spec.scaling.min_instances if cluster.spec.command else 0
    if len(serving) < least:
        return "degraded", f"{len(serving)} of at least {least} instances can serve"
    if all(member.full() for member in serving):
        return "degraded", "every instance has its limit of requests in flight"
    return "healthy", ""


def _left_alone(member: Member, now: float) -> str:
    return "; ".join(member.reasons(now))


def _state(breaker: Breaker | None) -> str | None:
    return None if breaker is None else breaker.state.name.lower()


def _all(count: int) -> str:
    return "the only instance is" if count == 1 else f"all {count} instances are"


def _suspicion(member: Member, now: float) -> dict[str, Any] | None:
    if not member.suspect:
        return None
    return {"reason": member.suspect, "since_seconds": _seconds(now - member.suspect_since)}


def _load(sample: LoadSample | None) -> dict[str, Any]:
    cpu = sample.cpu if sample is not None else None
    return {
        "cpu_percent": None if cpu is None else round(cpu, 2),
        "memory_bytes": sample.memory if sample is not None else None,
        "in_flight": sample.in_flight if sample is not None else None,
        "metrics": dict(sample.metrics) if sample is not None else {},
    }


def _seconds(value: float) -> float:
    return round(max(0.0, value), 3)


def _sorted(cluster: Cluster) -> list[Member]:
    return sorted(cluster.members.values(), key=lambda member: member.record.id)
