"""The nouns of the mesh: what is declared (specs), what is registered (records), what is measured (results).

Everything here is a frozen, slotted record or an enumeration: safe to share, to compare and to put into sets. Live
state (counters, connections, breakers) does not belong here; it lives in `wmesh.cluster`. Units: durations are seconds
(float), sizes are bytes (int), unless a name says otherwise.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass, field


class AdminState(enum.IntEnum):
    """The operator's will. DRAIN: no new requests, running ones finish. MAINT: the same, and not checked."""

    READY = 0
    DRAIN = 1
    MAINT = 2


class Health(enum.IntEnum):
    """What active checks say. UNKNOWN, the state before the first result, takes no traffic."""

    UNKNOWN = 0
    HEALTHY = 1
    UNHEALTHY = 2


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where an instance listens: an IP address or host name, and a TCP port (1 to 65535)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One running copy of a service, as the registry knows it.

    `incarnation` differs between two lives of the same id, so that a reused address is never mistaken for the old
    instance. `weight` is relative (1 to 1000). `origin` says which source vouches for it: "static" (the configuration),
    "registry" (a lease; also what this gateway launched and registered), "builtin" (part of the gateway itself).
    """

    service: str
    id: str
    address: Address
    version: str = ""
    weight: int = 1
    tags: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    incarnation: str = ""
    origin: str = "registry"


@dataclass(frozen=True, slots=True)
class LoadSample:
    """What one instance uses: `cpu` in percent of one core, `memory` resident bytes. None: not known."""

    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one active check. `reason` is for people ("status 503", "refused"); `elapsed` is seconds."""

    ok: bool
    reason: str
    elapsed: float


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """How a service's instances are actively checked (options `health_check_*`).

    An empty `path` asks only for a TCP connection. `fall` failed results in a row make a healthy instance unhealthy,
    `rise` good ones bring it back; the very first good result makes a new instance healthy at once. `expected_status`
    holds inclusive (low, high) pairs. `expected_body` is a regular expression searched in the first 64 KiB.
    """

    enabled: bool = True
    path: str = ""
    interval: float = 15.0
    fast_interval: float = 1.0
    timeout: float = 5.0
    fall: int = 3
    rise: int = 2
    expected_status: tuple[tuple[int, int], ...] = ((200, 200), (204, 204))
    expected_body: str = ""


@dataclass(frozen=True, slots=True)
class ScalingSpec:
    """How many instances the mesh runs itself. Thresholds are percent (of one core, of the memory limit)."""

    min_instances: int = 1
    max_instances: int = 1
    auto_scale: bool = False
    cpu_threshold: float = 70.0
    memory_threshold: float = 80.0


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """Requests whose Host is `host` (lower case, no port; empty: any) and whose path starts with `prefix`.

    A prefix that ends with a slash also matches the same path without it ("/shop/" takes "/shop").
    """

    host: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.host}{self.prefix}"


@dataclass(frozen=True, slots=True)
class StaticInstance:
    """A fixed address from `instances = host:port weight=N`."""

    address: Address
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One declared service: `[service:NAME]`. Field names follow the options; see docs/configuration.rst for each.

    `command` is empty where the mesh launches nothing. `max_connections` bounds the requests in flight to all instances
    together, `instance_max_connections` to one instance; 0 means no bound. `hash_balance_factor` is percent; 0 here too
    means no bound.
    """

    name: str
    version: str = "1.0.0"
    host: str = "127.0.0.1"
    port: int | None = None
    protocol: str = "http"
    check: CheckSpec = field(default_factory=CheckSpec)
    capacity: int = 100
    weight: int = 1
    tags: tuple[str, ...] = ()
    strategy: str = "round_robin"
    hash_balance_factor: int = 150
    sticky_sessions: bool = False
    circuit_breaker_enabled: bool = True
    proxy_enabled: bool = True
    proxy_caching_enabled: bool = False
    proxy_cache_ttl: float = 300.0
    scaling: ScalingSpec = field(default_factory=ScalingSpec)
    dependencies: tuple[str, ...] = ()
    deployment_priority: int = 100
    command: tuple[str, ...] = ()
    instances: tuple[StaticInstance, ...] = ()
    routes: tuple[RouteSpec, ...] = ()
    strip_prefix: bool = True
    max_connections: int = 0
    instance_max_connections: int = 0
    keepalive_connections: int = 128
    keepalive_timeout: float = 50.0
    timeout_connect: float = 3.0
    timeout_first_byte: float = 15.0
    timeout_idle: float = 60.0
    start_timeout: float = 30.0
    stop_timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class MeshSpec:
    """`[mesh]`: what holds for the process as a whole. `state_dir` keeps sockets and notes about launched children."""

    name: str = "wmesh"
    log_level: str = "info"
    state_dir: str = "var/wmesh"


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """`[gateway]`: listeners, limits and deadlines of the client's side.

    `listen` and `admin_listen` are Twisted server endpoint strings; an empty `admin_listen` turns the admin side off.
    `header_timeout` bounds the time from a request's first byte to the end of its head, `idle_timeout` the silence
    between two requests, `body_timeout` the silence inside a body. `operate_from` is who may change things through the
    admin side.
    """

    listen: tuple[str, ...] = ("tcp:8000",)
    admin_listen: str = "tcp:8001:interface=127.0.0.1"
    admin_routes: tuple[RouteSpec, ...] = (
        RouteSpec("", "/health"),
        RouteSpec("", "/status"),
        RouteSpec("", "/service-mesh/"),
        RouteSpec("", "/services/"),
    )
    drain_timeout: float = 10.0
    trusted_proxies: tuple[Network, ...] = ()
    forwarded_header: bool = False
    operate_from: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    idle_timeout: float = 75.0
    max_head_size: int = 32768
    max_header_fields: int = 100
    max_target_length: int = 8192


@dataclass(frozen=True, slots=True)
class RegistrySpec:
    """`[registry]`: where leases live. `url` may hold a password: it is kept out of `repr`.

    `preserve_service` and `preserve_registry` are percent of the leases of one service and of all; when more than that
    vanish within one lease, nobody is evicted for `preserve_for` seconds unless his checks fail (0: everybody is).
    """

    url: str = field(default="memory:", repr=False)
    namespace: str = "wmesh"
    lease: float = 15.0
    heartbeat: float = 5.0
    discovery_interval: float = 30.0
    preserve_service: float = 50.0
    preserve_registry: float = 15.0
    preserve_for: float = 300.0


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """A whole, valid configuration. `notes` are things worth telling the operator that do not prevent a start."""

    mesh: MeshSpec
    gateway: GatewaySpec
    registry: RegistrySpec
    services: tuple[ServiceSpec, ...]
    notes: tuple[str, ...] = ()
