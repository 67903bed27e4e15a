"""What a request of one route will go through, decided when the configuration is read.

What is switched off for a route is not in its plan, and so costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wmesh.cluster.cluster import Cluster
from wmesh.metrics.traffic import Traffic
from wmesh.model import RouteSpec, ServiceSpec
from wmesh.policy.hashing import key_of
from wmesh.policy.retry import Budget
from wmesh.policy.routing import Router, normal_prefix
from wmesh.policy.stickiness import Stickiness
from wmesh.proxy.fallback import Fallback, fixed_answer
from wmesh.proxy.hedging import Hedging
from wmesh.wire.fields import CLAIMS
from wmesh.wire.request import IDEMPOTENT

if TYPE_CHECKING:
    from wmesh.proxy.cache.cache import Cache

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
    """One route of one service. `spec` is the service as this route has it (see `ServiceSpec.on`): an option that a
    route may have has to be read from here, never from what serves all routes (cluster, pool).

    `strip` is how many bytes of the path are taken off, 0 for none.

    `keyed`: the strategy wants a key, which `key_of` finds in the head, or which is the client's address. `waits`:
    requests that nobody can take now may stand in the queue. `repeatable` are the methods that may be tried on a kept
    connection without a look whether it is alive. `budget` is the service's, shared by its routes.
    `timed`: the time limit of a request has to be looked for, whatever its fields. `deadline_name` is lower case.
    `steady`: the same bytes lead here every time, with the same limit, where the client's word does not count; so they
    may be remembered (`wmesh.proxy.flow`).
    `fallback` is what there is for when all instances fail, `hedging` (if there is any) says when another one is asked
    beside one that takes long. `extras`: keys, cookies or hedging have something to do for each request.
    `cache` is None where answers are not kept.
    """

    __slots__ = (
        "budget",
        "cache",
        "cluster",
        "deadline_name",
        "extras",
        "fallback",
        "hedging",
        "key_of",
        "keyed",
        "prefix_line",
        "repeatable",
        "retry",
        "retry_statuses",
        "route",
        "selection",
        "service",
        "spec",
        "steady",
        "sticky",
        "strip",
        "timed",
        "traffic",
        "waits",
        "websocket",
    )

    def __init__(
        self,
        spec: ServiceSpec,
        route: RouteSpec,
        cluster: Cluster,
        traffic: Traffic,
        sticky: Stickiness | None,
        budget: Budget | None = None,
    ) -> None:
        prefix = normal_prefix(route.within or route.prefix).encode("ascii")
        self.service = spec.name
        self.spec = spec
        self.route = route
        self.cluster = cluster
        self.selection = cluster.select(route.subset)
        self.keyed = spec.strategy not in UNKEYED
        self.key_of = key_of(spec.hash_on) if spec.strategy != "ip_hash" else None
        self.sticky = sticky
        self.waits = spec.queue.length > 0
        self.retry = spec.retry
        self.budget = budget or Budget(spec.retry)
        self.repeatable = IDEMPOTENT if spec.retry.attempts else frozenset[bytes]()
        self.retry_statuses = frozenset(status for low, high in spec.retry_statuses for status in range(low, high + 1))
        self.traffic = traffic
        self.fallback: Fallback | None = None
        self.cache: Cache | None = None
        self.deadline_name = spec.deadline_header.lower().encode("ascii")
        # A trusted client's word in a field that every head is searched for costs nothing where it is missing.
        searched = bool(self.deadline_name and self.deadline_name not in CLAIMS)
        self.timed = spec.timeout_request > 0.0 or searched
        self.steady = not searched
        self.strip = len(prefix) if spec.strip_prefix else 0
        self.prefix_line = b"X-Forwarded-Prefix: %b\r\n" % prefix if self.strip else b""
        self.websocket = spec.protocol == "websocket"
        self.hedging = Hedging(spec.hedge) if spec.hedge.enabled else None
        self.extras = self.keyed or sticky is not None or self.hedging is not None

    def target(self, target: bytes) -> bytes:
        """The target as the instance knows it."""
        if not self.strip:
            return target
        rest = target[self.strip :]
        if rest[:1] != b"/":
            return b"/" + rest
        # "//host/path" would be read by some as another host's path (RFC 3986 section 4.2).
        return rest if rest[1:2] != b"/" else b"/" + rest.lstrip(b"/")


class Plans:
    """Makes the plans of all services: what several plans of one service share is made once, here.

    Raises ConfigError where a file that the configuration names cannot be read. `secret` signs the cookies of sticky
    sessions. `caches` are those of the services that have one.
    """

    def __init__(
        self,
        services: Sequence[ServiceSpec],
        clusters: Mapping[str, Cluster],
        traffic: Mapping[str, Traffic],
        secret: bytes = b"",
        caches: Mapping[str, Cache] | None = None,
    ) -> None:
        self.specs = {spec.name: spec for spec in services}
        self.caches = caches or {}
        self._clusters = clusters
        self._traffic = traffic
        self._budgets = {spec.name: Budget(spec.retry) for spec in services}
        self._answers = {spec.name: fixed_answer(spec) for spec in services}
        self._sticky = {
            spec.name: Stickiness(spec.sticky, spec.name, secret) for spec in services if spec.sticky.enabled
        }

    def plan(self, spec: ServiceSpec, route: RouteSpec) -> Plan:
        """The plan of a route to a service; `spec` may differ from the declared one in what concerns paths."""
        name = spec.name
        declared, spec = spec, spec.on(route)
        traffic, answer = self._traffic[name], self._answers[name]
        if spec.fallback != declared.fallback:
            answer = fixed_answer(spec, f"route:{route.name}")
        plan = Plan(spec, route, self._clusters[name], traffic, self._sticky.get(name), self._budgets[name])
        plan.cache = self.caches.get(name) if spec.cache.enabled else None
        other = self.specs.get(spec.fallback.service)
        if other is not None:
            # Its answers are those that the clients of this service get, and are counted so.
            way = RouteSpec(route.host, route.prefix)
            away = Plan(other, way, self._clusters[other.name], traffic, None, self._budgets[other.name])
            away.fallback = Fallback(None, answer) if answer is not None else None
            away.steady = False  # it is taken only for as long as the first way leads nowhere
            plan.fallback = Fallback(away, answer)
        elif answer is not None:
            plan.fallback = Fallback(None, answer)
        return plan


def compile_routes(
    services: Sequence[ServiceSpec],
    clusters: Mapping[str, Cluster],
    traffic: Mapping[str, Traffic],
    secret: bytes = b"",
    caches: Mapping[str, Cache] | None = None,
) -> Router[Plan]:
    """The router over all routes of all services that are proxied; see `Plans`."""
    return routes_of(Plans(services, clusters, traffic, secret, caches))


def routes_of(plans: Plans) -> Router[Plan]:
    """The router over all routes of those services."""
    return Router(
        (route.host, route.prefix, plans.plan(spec, route))
        for spec in plans.specs.values()
        if spec.proxy_enabled
        for route in spec.routes
    )
