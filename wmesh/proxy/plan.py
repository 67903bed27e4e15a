"""What a request of one route will go through, decided when the configuration is read.

What is switched off for a route is not in its plan, and so costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
