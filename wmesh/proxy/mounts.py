"""Plans for those who name the service instead of asking the routes: programs with a mesh in themselves.

A mount is a place in somebody's paths below which one service is found. It is no route of the configuration, so its
plan is made when it is first asked for, and kept for the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wmesh.cluster.cluster import Cluster
from wmesh.metrics.traffic import Traffic
from wmesh.model import RouteSpec, ServiceSpec
from wmesh.policy.stickiness import Stickiness
from wmesh.proxy.plan import Plan


class Mounts:
    """`services` are those that can be named; the other arguments are those of `compile_routes`."""

    LIMIT = 256
    """Plans that are kept: where a program mounts a service may be for its clients to choose."""

    def __init__(
        self,
        services: Iterable[ServiceSpec],
        clusters: Mapping[str, Cluster],
        traffic: Mapping[str, Traffic],
        secret: bytes = b"",
    ) -> None:
        self._specs = {spec.name: spec for spec in services}
        self._clusters = clusters
        self._traffic = traffic
        self._secret = secret
        self._plans: dict[tuple[str, str], Plan] = {}

    def plan(self, service: str, prefix: str = "") -> Plan:
        """`prefix` (ASCII) is where the service is mounted: it is taken off the path. KeyError: no such service."""
        plan = self._plans.get((service, prefix))
        if plan is None:
            if len(self._plans) >= self.LIMIT:
                self._plans.clear()
            spec = self._specs[service]
            sticky = Stickiness(spec.sticky, service, self._secret) if spec.sticky.enabled else None
            plan = self._plans[service, prefix] = Plan(
                # A mounted service lives below its mount, whatever its own routes do.
                replace(spec, strip_prefix=True),
                RouteSpec("", prefix or "/"),
                self._clusters[service],
                self._traffic[service],
                sticky,
            )
        return plan
