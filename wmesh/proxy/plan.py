"""What a request of one route will go through, decided when the configuration is read.

What is switched off for a route is not in its plan, and so costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wmesh.cluster.cluster import Cluster
from wmesh.metrics.traffic import Traffic
from wmesh.model import RouteSpec, ServiceSpec
from wmesh.policy.hashing import key_of
from wmesh.policy.routing import Router, normal_prefix
from wmesh.policy.stickiness import Stickiness

UNKEYED = frozenset(
    (
        "first",
        "least_connections",
        "least_response_time",
        "power_of_two",
        "random",
        "resource_based",
        "round_robin",
        "weighted_round_robin",
    )
)
"""Strategies that do not look at the key: none is made for them. Of those of other packages nothing is known."""


class Plan:
    """One route of one service. `strip` is how many bytes of the path are the route's own, 0 for none.

    `keyed`: the strategy wants a key, which `key_of` finds in the head, or which is the client's address. `waits`:
    requests that nobody can take now may stand in the queue.
    """

    __slots__ = (
        "cluster",
        "key_of",
        "keyed",
        "prefix_line",
        "retry_statuses",
        "route",
        "selection",
        "service",
        "spec",
        "sticky",
        "strip",
        "traffic",
        "waits",
        "websocket",
    )

    def __init__(
        self, spec: ServiceSpec, route: RouteSpec, cluster: Cluster, traffic: Traffic, sticky: Stickiness | None
    ) -> None:
        prefix = normal_prefix(route.prefix).encode("ascii")
        self.service = spec.name
        self.spec = spec
        self.route = route
        self.cluster = cluster
        self.selection = cluster.select(route.subset)
        self.keyed = spec.strategy not in UNKEYED
        self.key_of = key_of(spec.hash_on) if spec.strategy != "ip_hash" else None
        self.sticky = sticky
        self.waits = spec.queue.length > 0
        self.retry_statuses = frozenset(
            status for low, high in spec.retry_statuses for status in range(low, high + 1)
        )
        self.traffic = traffic
        self.strip = len(prefix) if spec.strip_prefix else 0
        self.prefix_line = b"X-Forwarded-Prefix: %b\r\n" % prefix if self.strip else b""
        self.websocket = spec.protocol == "websocket"

    def target(self, target: bytes) -> bytes:
        """The target as the instance knows it."""
        if not self.strip:
            return target
        rest = target[self.strip :]
        if rest[:1] != b"/":
            return b"/" + rest
        # "//host/path" would be read by some as another host's path (RFC 3986 section 4.2).
        return rest if rest[1:2] != b"/" else b"/" + rest.lstrip(b"/")


def compile_routes(
    services: Iterable[ServiceSpec],
    clusters: Mapping[str, Cluster],
    traffic: Mapping[str, Traffic],
    secret: bytes = b"",
) -> Router[Plan]:
    """The router over all routes of all services that are proxied. `secret` signs the cookies of sticky sessions."""
    return Router(
        (route.host, route.prefix, Plan(spec, route, clusters[spec.name], traffic[spec.name], sticky))
        for spec in services
        if spec.proxy_enabled
        for sticky in (Stickiness(spec.sticky, spec.name, secret) if spec.sticky.enabled else None,)
        for route in spec.routes
    )


class Mounts:
    """Plans for those who name the service instead of asking the routes, made on first use.

    `specs` are the services that can be named, by name; the other arguments are those of `compile_routes`.
    """

    LIMIT = 256
    """Plans that are kept: where a program mounts a service may be for its clients to choose."""

    def __init__(
        self,
        services: Iterable[ServiceSpec],
        clusters: Mapping[str, Cluster],
        traffic: Mapping[str, Traffic],
        secret: bytes = b"",
    ) -> None:
        self.specs = {spec.name: spec for spec in services}
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
            spec = self.specs[service]
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
