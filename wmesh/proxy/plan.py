"""What a request of one route will go through, decided when the configuration is read.

What is switched off for a route is not in its plan, and so costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wmesh.cluster.cluster import Cluster
from wmesh.metrics.traffic import Traffic
from wmesh.model import RouteSpec, ServiceSpec
from wmesh.policy.routing import Router, normal_prefix


class Plan:
    """One route of one service. `strip` is how many bytes of the path are the route's own, 0 for none."""

    __slots__ = ("cluster", "prefix_line", "service", "spec", "strip", "traffic", "websocket")

    def __init__(self, spec: ServiceSpec, route: RouteSpec, cluster: Cluster, traffic: Traffic) -> None:
        prefix = normal_prefix(route.prefix).encode("ascii")
        self.service = spec.name
        self.spec = spec
        self.cluster = cluster
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
    services: Iterable[ServiceSpec], clusters: Mapping[str, Cluster], traffic: Mapping[str, Traffic]
) -> Router[Plan]:
    """The router over all routes of all services that are proxied."""
    return Router(
        (route.host, route.prefix, Plan(spec, route, clusters[spec.name], traffic[spec.name]))
        for spec in services
        if spec.proxy_enabled
        for route in spec.routes
    )
