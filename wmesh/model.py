"""The nouns of the mesh: what is declared (specs), what is registered (records), what is measured (results).

Everything here is a frozen, slotted record or an enumeration: safe to share, to compare and to put into sets. Live
state (counters, connections, breakers) does not belong here; it lives in `wmesh.cluster`. Units: durations are seconds
(float), sizes are bytes (int), unless a name says otherwise. Longer than most files, because all nouns are here.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MAX_WEIGHT = 1000
"""The greatest weight of an instance, whoever gives it; the scripts of the registry have it, too."""


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


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """What an operator said last, when (`since`: milliseconds since 1970), and who it was (`by`: for people)."""

    value: T
    since: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class Will:
    """What operators said of the instance of this id, whichever life of it; None where nobody ever said anything.

    `weight` holds None where an operator took his weight back. `until` (milliseconds since 1970) is for how long it is
    to be remembered though nobody has such an instance.
    """

    service: str
    id: str
    until: int = 0
    state: Said[AdminState] | None = None
    weight: Said[int | None] | None = None


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
    "registry" (a lease; also what this gateway launched and registered), "builtin" (part of the gateway itself),
    "named/SERVICE/SOURCE" (a name that was looked up). What stands before a slash is a family: sources of one family
    may hand an instance over to each other, and it stays the same instance. `domain` is the name that was looked up.
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
    domain: str = ""

    @property
    def host(self) -> str:
        """What its certificate is for, unless the service says otherwise: the name that the operator wrote or the
        instance registered, never one that only the DNS told."""
        return self.domain or self.address.host


@dataclass(frozen=True, slots=True)
class LoadSample:
    """What one instance uses: `cpu` in percent of one core, `memory` resident bytes. None: not known.

    `in_flight` is how many requests the instance itself counts now. `metrics` is whatever else it measures, name and
    number; what they mean is between it and whoever looks.
    """

    cpu: float | None = None
    memory: int | None = None
    in_flight: int | None = None
    metrics: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one active check. `reason` is for people ("status 503", "refused"); `elapsed` is seconds.

    `proof` marks a failure that is no accident and need not be repeated to be believed: somebody else answers there.
    `warning` is what an operator should see to though the check may pass; it stays the same text until that is done.
    """

    ok: bool
    reason: str
    elapsed: float
    proof: bool = False
    warning: str = ""


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """How a service's instances are actively checked (options `health_check_*`).

    `kind` is "http", "https", "tcp" or "websocket"; empty: http where there is a `path`, else tcp. `port` 0 is that of
    the instance. `headers` may hold secrets: they are kept out of `repr`. `fall` failed results in a row make a healthy
    instance unhealthy, `rise` good ones bring it back; the very first good result makes a new instance healthy at once.
    `expected_status` holds inclusive (low, high) pairs. `expected_body` is a regular expression searched in the first
    64 KiB. Answers that carry the header `id_header` must name the instance that is meant; an empty one turns that off.

    `tls_cert` and `tls_key` are our own certificate and its key.

    A websocket check sends `message` (empty: none) and waits for one that is the same, or has `expected_body` in it.
    `tls_name` is who the certificate must be for (empty: the host of the instance), `tls_ca` a file of trusted
    certificates (PEM; empty: those of the system). One that ends within `tls_warn` seconds is warned of.
    """

    enabled: bool = True
    kind: str = ""
    path: str = ""
    port: int = 0
    method: str = "GET"
    host: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    interval: float = 15.0
    fast_interval: float = 1.0
    timeout: float = 5.0
    fall: int = 3
    rise: int = 2
    expected_status: tuple[tuple[int, int], ...] = ((200, 200), (204, 204))
    expected_body: str = ""
    id_header: str = "Wmesh-Instance"
    message: str = ""
    tls: bool = False
    tls_verify: bool = True
    tls_name: str = ""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_warn: float = 14 * 86400.0

    @property
    def probe(self) -> str:
        """Which probe asks: "http", "tcp" or "websocket"."""
        if self.kind:
            return "http" if self.kind == "https" else self.kind
        return "http" if self.path else "tcp"

    @property
    def secure(self) -> bool:
        """Whether it asks over TLS."""
        return self.tls or self.kind == "https"


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """How a service's instances are spoken to over TLS (options `tls`, `tls_*`). Files are PEM.

    `name` is who a certificate must be for (empty: the host of the instance), `ca` certificates to trust (empty: those
    of the system), `cert` and `key` our own. Without `verify`, whoever answers is believed.
    """

    enabled: bool = False
    verify: bool = True
    name: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class BreakerSpec:
    """When a circuit breaker opens, and how it closes again (options `circuit_breaker_*`). Durations are seconds.

    It trips when within `window` at least `min_calls` calls ended, of which at least `failures` and `failure_rate`
    percent failed; or `slow_rate` percent took `slow_call` or longer (0: slowness is no fault). It stays open for
    `reset_timeout`, twice as long each time up to `max_reset_timeout`; then `trials` calls, which have to come back
    within `trial_timeout`, decide. After closing, traffic grows back over `ramp`. `outcomes` are the names of the
    outcomes that count as failures. `scope` is "instance", "service" or "both".
    """

    enabled: bool = True
    scope: str = "instance"
    window: float = 10.0
    min_calls: int = 20
    failures: int = 5
    failure_rate: float = 50.0
    slow_call: float = 0.0
    slow_rate: float = 50.0
    reset_timeout: float = 5.0
    max_reset_timeout: float = 60.0
    trials: int = 3
    trial_timeout: float = 15.0
    ramp: float = 10.0
    outcomes: tuple[str, ...] = ("connect_failed", "reset", "timeout", "invalid", "server_error")


@dataclass(frozen=True, slots=True)
class OutlierSpec:
    """When live traffic alone takes an instance out (options `outlier_*`). Durations are seconds.

    `consecutive` failures in a row eject at once. Twice a second, an instance with `min_calls` calls in the window of
    its breaker is ejected whose error rate is `error_rate` percentage points above that of its peers (or, alone, its
    own past), or whose average answer takes `latency_factor` times that of its peers (0: latency ejects nobody). It
    stays out for `ejection_time`, longer each time up to `max_ejection_time`. Never are more than `max_ejected` percent
    out.
    """

    enabled: bool = True
    consecutive: int = 5
    min_calls: int = 10
    error_rate: float = 30.0
    latency_factor: int = 10
    ejection_time: float = 10.0
    max_ejection_time: float = 300.0
    max_ejected: float = 50.0


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """Where requests wait that no instance can take now: at most `length` of them, each at most `timeout` seconds."""

    length: int = 100
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """Which failed attempts are repeated (options `retry_*`).

    After the first attempt come at most `attempts` others (0: none), after the outcomes named in `on`. Of the requests
    in flight at most `budget` percent are retries, but `budget_least` always may be. Pauses begin with at most
    `backoff` seconds, which doubles up to `max_backoff`.
    """

    attempts: int = 2
    on: tuple[str, ...] = ("connect_failed", "reset", "timeout", "invalid")
    budget: float = 20.0
    budget_least: int = 3
    backoff: float = 0.025
    max_backoff: float = 0.25


@dataclass(frozen=True, slots=True)
class HedgeSpec:
    """When another instance is asked beside one that takes long (options `hedge_*`); by default never.

    After `delay` seconds, or after what `quantile` percent of the answers took lately to begin (0: this is not looked
    at), but not before `delay`.
    """

    delay: float = 0.0
    quantile: int = 0

    @property
    def enabled(self) -> bool:
        return self.delay > 0.0 or self.quantile > 0


@dataclass(frozen=True, slots=True)
class FallbackSpec:
    """What a client gets when all instances fail (options `fallback*`).

    `service` is the name of another one that is asked then; empty: none is. `status` is that of a fixed answer (0:
    there is none), with `body`, or what the `file` holds, of this media `type`.
    """

    service: str = ""
    status: int = 0
    body: str = ""
    file: str = ""
    type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """What answers of a service are kept, and how they are used (options `proxy_cach*`). Times are seconds.

    An answer that does not say for how long it is fresh is so for `ttl`, an error (404, 410 and their like) for
    `negative_ttl`; 0: for `heuristic` percent of the time since it was last changed. `stale_if_error` is how long after
    that it may stand in when no instance answers, if it says nothing about it. `cookies`: such answers are shared by
    requests with a Cookie, too. `set_cookie`: one that sets a cookie is kept if it says for how long.
    `request_control`: clients may ask past the cache. Bodies of more than `object_limit` bytes are not kept. For `wait`
    seconds requests stand behind one that asks the same; then another one of them is sent on.
    """

    enabled: bool = False
    ttl: float = 0.0
    negative_ttl: float = 0.0
    heuristic: int = 10
    stale_if_error: float = 60.0
    cookies: bool = False
    set_cookie: bool = True
    request_control: bool = True
    object_limit: int = 1048576
    wait: float = 5.0


@dataclass(frozen=True, slots=True)
class StickySpec:
    """The cookie that keeps a client with its instance (options `sticky_*`).

    An empty `cookie` is called "wmesh-" and the service's name. `lifetime` is seconds; 0 lasts as long as the browser
    is open. `secure` is "auto" (over TLS only), "yes" or "no", `same_site` "lax", "strict" or "none".
    """

    enabled: bool = False
    cookie: str = ""
    lifetime: float = 0.0
    secure: str = "auto"
    http_only: bool = True
    same_site: str = "lax"


@dataclass(frozen=True, slots=True)
class AdaptiveSpec:
    """A limit of requests in flight to a service that finds itself by latency (options `adaptive_*`), within bounds."""

    enabled: bool = False
    least: int = 10
    most: int = 1000


@dataclass(frozen=True, slots=True)
class ScalingSpec:
    """How many instances the mesh runs itself. Thresholds are percent (of one core, of the memory limit)."""

    min_instances: int = 1
    max_instances: int = 1
    auto_scale: bool = False
    cpu_threshold: float = 70.0
    memory_threshold: float = 80.0


@dataclass(frozen=True, slots=True)
class Subset:
    """Those instances of a service that have this version (empty: any) and all of these tags. False: all of them."""

    version: str = ""
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.version or self.tags)

    def __str__(self) -> str:
        version = f" version={self.version}" if self.version else ""
        return version + "".join(f" tag={tag}" for tag in self.tags)

    def holds(self, record: InstanceRecord) -> bool:
        return (not self.version or record.version == self.version) and all(tag in record.tags for tag in self.tags)


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """Requests whose Host is `host` (lower case, no port; empty: any) and whose path starts with `prefix`.

    A prefix that ends with a slash also matches the same path without it ("/shop/" takes "/shop"). Requests go to
    instances of `subset` only.

    `name` is that of the `[route:NAME]` that declares it; empty: the service's own `routes` do. `options` are what it
    has otherwise than its service (see `ServiceSpec.on`). `within` is the prefix of the service's own route around it:
    that one is stripped where prefixes are (empty: its own is).
    """

    host: str
    prefix: str
    subset: Subset = Subset()
    name: str = ""
    options: tuple[tuple[str, object], ...] = ()
    within: str = ""

    def __str__(self) -> str:
        return f"{self.host}{self.prefix}{self.subset}"


@dataclass(frozen=True, slots=True)
class StaticInstance:
    """A fixed address from `instances = host:port weight=N`."""

    address: Address
    weight: int | None = None

    @property
    def port(self) -> int:
        return self.address.port


@dataclass(frozen=True, slots=True)
class NamedInstances:
    """Instances that the DNS knows: the addresses of `name` at `port`, or, without a port, its SRV records.

    `weight` is for each instance; SRV records bring weights of their own.
    """

    name: str
    port: int | None = None
    weight: int | None = None

    def __str__(self) -> str:
        return f"srv:{self.name}" if self.port is None else f"dns:{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One declared service: `[service:NAME]`. Field names follow the options; see docs/configuration.rst for each.

    `command` is empty where the mesh launches nothing. `max_connections` bounds the requests in flight to all instances
    together, `instance_max_connections` to one instance; 0 means no bound. `hash_balance_factor` is percent; 0 here too
    means no bound. `retry_statuses` holds inclusive (low, high) pairs. `timeout_request` 0 is no limit.
    """

    name: str
    version: str = "1.0.0"
    host: str = "127.0.0.1"
    port: int | None = None
    protocol: str = "http"
    tls: TlsSpec = field(default_factory=TlsSpec)
    check: CheckSpec = field(default_factory=CheckSpec)
    capacity: int = 100
    weight: int = 1
    tags: tuple[str, ...] = ()
    strategy: str = "round_robin"
    sticky: StickySpec = field(default_factory=StickySpec)
    hash_on: str = "client"
    hash_balance_factor: int = 150
    breaker: BreakerSpec = field(default_factory=BreakerSpec)
    outlier: OutlierSpec = field(default_factory=OutlierSpec)
    slow_start: float = 30.0
    panic_threshold: int = 0
    panic: str = "any"
    zone_preference: bool = False
    queue: QueueSpec = field(default_factory=QueueSpec)
    adaptive: AdaptiveSpec = field(default_factory=AdaptiveSpec)
    proxy_enabled: bool = True
    cache: CacheSpec = field(default_factory=CacheSpec)
    scaling: ScalingSpec = field(default_factory=ScalingSpec)
    dependencies: tuple[str, ...] = ()
    deployment_priority: int = 100
    command: tuple[str, ...] = ()
    instances: tuple[StaticInstance | NamedInstances, ...] = ()
    routes: tuple[RouteSpec, ...] = ()
    strip_prefix: bool = True
    max_connections: int = 1024
    instance_max_connections: int = 0
    keepalive_connections: int = 128
    keepalive_timeout: float = 50.0
    retry: RetrySpec = field(default_factory=RetrySpec)
    retry_statuses: tuple[tuple[int, int], ...] = ((502, 504),)
    hedge: HedgeSpec = field(default_factory=HedgeSpec)
    fallback: FallbackSpec = field(default_factory=FallbackSpec)
    timeout_connect: float = 3.0
    timeout_first_byte: float = 15.0
    timeout_idle: float = 60.0
    timeout_request: float = 0.0
    deadline_header: str = "X-Envoy-Expected-Rq-Timeout-Ms"
    start_timeout: float = 30.0
    stop_timeout: float = 10.0

    @property
    def secure(self) -> bool:
        """Whether instances are spoken to over TLS."""
        return self.tls.enabled or self.protocol == "https"

    def on(self, route: RouteSpec) -> ServiceSpec:
        """The service as the requests of a route have it: its `options` are (field, value), where "retry.attempts" is
        a field of the record in the field `retry`.
        """
        changes: dict[str, Any] = {}
        inner: dict[str, dict[str, Any]] = {}
        for path, value in route.options:
            record, dot, name = path.partition(".")
            if dot:
                inner.setdefault(record, {})[name] = value
            else:
                changes[record] = value
        changes.update((record, replace(getattr(self, record), **fields)) for record, fields in inner.items())
        return replace(self, **changes) if changes else self


@dataclass(frozen=True, slots=True)
class MeshSpec:
    """`[mesh]`: what holds for the process as a whole. `state_dir` keeps sockets and notes about launched children.

    `zone` is where it runs.

    `health_check_batch` bounds the checks that run at once, of all services together. `dns_servers` are IP addresses;
    none: those of the machine. `dns_hold` is for how long (seconds) instances are kept that the DNS denies.
    """

    name: str = "wmesh"
    log_level: str = "info"
    state_dir: str = "var/wmesh"
    zone: str = ""
    health_check_batch: int = 256
    dns_servers: tuple[Address, ...] = ()
    dns_hold: float = 300.0


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
    decisions: int = 1000
    sticky_secret: str = field(default="", repr=False)
    operate_from: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    idle_timeout: float = 75.0
    cache_size: int = 67108864
    cache_redis_url: str = field(default="", repr=False)
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
