"""Every option there is, in one table that the parser, the messages and the manual share.

Strategy: an option is a record: where it stands, what kind of value it takes, which field of which record of
`wmesh.model` it fills, and the words of its manual entry. The default is not here: it is the field's own, so that it is
written once. To add an option, add the field to its record and a row here; parsing, `wmesh check`, near-miss hints and
`docs/configuration.rst` follow (run `python -m wmesh.config.manual > docs/configuration.rst`). Rules between several
options do not belong here: see `wmesh.config.checks`.

Longer than most files because it is the manual's text as well. The options of health checks have a file of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from wmesh.balance import STRATEGIES
from wmesh.config import kinds, places
from wmesh.config.cache_options import CACHE, SHARED, SIZE
from wmesh.config.health_options import HEALTH_CHECKS
from wmesh.config.kinds import Kind
from wmesh.config.option import HOUR, Option
from wmesh.config.retry_options import DEADLINES, FALLBACKS, HEDGES, RETRIES
from wmesh.config.tls_options import TLS
from wmesh.config.traffic_options import ADAPTIVE, BREAKER, OUTLIERS, QUEUE, STICKY
from wmesh.model import GatewaySpec, MeshSpec, RegistrySpec, RouteSpec, ServiceSpec

LOG_LEVELS = ("debug", "info", "warn", "error")
PROTOCOLS = ("http", "https", "websocket")
RESERVED = "wmesh-admin"
SERVICE_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class SectionKind:
    """One kind of section. `defaults` is the record that the options fill, as it is when none is given. `inherited`
    are options of another kind that may be given here as well.
    """

    name: str
    header: str
    text: str
    defaults: object
    options: Mapping[str, Option]
    inherited: Mapping[str, Option] = field(default_factory=dict)

    @property
    def known(self) -> Mapping[str, Option]:
        """All that may stand in such a section."""
        return {**self.options, **self.inherited}

    @property
    def named(self) -> bool:
        """Whether there are many of them, each with a name behind a colon."""
        return ":" in self.header

    def default(self, option: Option) -> Any:
        return option.of(self.defaults)

    def shown_default(self, option: Option) -> str:
        """The default as it would be written in a file; empty where there is nothing to write."""
        value = self.default(option)
        return option.default or ("" if value is None else option.kind.show(value))


def kind_for(option: Option, strategies: Collection[str]) -> Kind:
    """The kind of an option's value where `strategies` are those that there are: the built-in ones are not all."""
    return kinds.choice(strategies, "strategy") if option.path == "strategy" else option.kind


def _section(name: str, header: str, text: str, defaults: object, *options: Option) -> SectionKind:
    return SectionKind(name, header, text, defaults, {option.name: option for option in options})


MESH = _section(
    "mesh",
    "[mesh]",
    "What holds for the gateway process as a whole.",
    MeshSpec(),
    Option(
        "name",
        kinds.word("NAME", r"[A-Za-z0-9](?:[A-Za-z0-9._\-]{0,62}[A-Za-z0-9])?", "use letters, digits and . _ -"),
        "What this mesh is called, in status pages, in logs and in the Via header of what it relays.",
        "name = groceries",
    ),
    Option(
        "log_level",
        kinds.choice(LOG_LEVELS, "log level", {"warning": "warn"}),
        "The least important messages that are still logged.",
        "log_level = debug",
        notes=("debug also shows what launched instances print and what Twisted has to say; it is not for every day.",),
    ),
    Option(
        "zone",
        kinds.word("NAME", r"[A-Za-z0-9._\-]{1,64}", "use letters, digits and . _ -"),
        "Where this gateway runs: a data centre, a rack. See zone_preference of services.",
        "zone = eu-1a",
        default="none",
    ),
    Option(
        "state_dir",
        kinds.path(),
        "The directory for sockets and for notes about the children that were started, so that a new start after a"
        " crash finds and clears what is left. Made if it is missing.",
        "state_dir = /var/lib/wmesh",
        notes=(
            "A relative path starts at the working directory of the gateway.",
            "Two gateways must not share one directory. Keep the path short: a Unix socket's path ends at 108 bytes.",
        ),
    ),
    Option(
        "health_check_batch",
        kinds.whole(1, 10_000, "checks"),
        "How many health checks run at once, over all services. Each takes a file descriptor while it runs.",
        "health_check_batch = 64",
        notes=(
            "At most half of them are for instances whose last check failed, and a quarter is left to those whose last"
            " check passed: a thousand that hang do not keep the others waiting.",
        ),
    ),
    Option(
        "dns_servers",
        places.name_servers,
        "Which name servers are asked for ``dns:`` and ``srv:`` instances, the first one first. They must be ones that"
        " resolve any name (recursive).",
        "dns_servers = 10.0.0.2, 127.0.0.1:5353",
        default="those of /etc/resolv.conf",
        notes=("Where they are set, the search list of /etc/resolv.conf does not count: write full names.",),
    ),
    Option(
        "dns_hold",
        kinds.duration(0, DAY),
        "How long ``dns:`` and ``srv:`` instances are kept after the DNS began to say that there are none (NXDOMAIN, or"
        " no records). When it does not answer at all they are kept without an end.",
        "dns_hold = 30s",
        notes=("0: they go with the first answer of that kind.",),
    ),
)

GATEWAY = _section(
    "gateway",
    "[gateway]",
    "The clients' side: where the gateway listens, whom it believes, and what it allows a client. The section may be"
    " left out.",
    GatewaySpec(),
    Option(
        "listen",
        places.listeners,
        "Where clients connect: Twisted server endpoint strings, one a line.",
        "listen =\n    tcp:8000\n    unix:/run/wmesh/public.sock:mode=660\n    systemd:domain=INET:index=0",
        notes=("``tcp:8000`` listens on all IPv4 addresses, ``tcp:8000:interface=127.0.0.1`` on one.",),
    ),
    Option(
        "admin_listen",
        places.listener,
        "Where the admin side listens: health, status, statistics and scaling. Empty: there is no admin side.",
        "admin_listen = unix:/run/wmesh/admin.sock:mode=600",
        notes=("Whoever reaches this address can stop instances: keep it on loopback or on a Unix socket.",),
    ),
    Option(
        "admin_routes",
        places.routes,
        "Which paths of the public listeners lead to the admin side. Empty: none, it is reached at admin_listen only.",
        "admin_routes = /health, ops.example.com/",
        notes=("Where a service has exactly the same route, the configuration is refused.",),
    ),
    Option(
        "drain_timeout",
        kinds.duration(0, HOUR),
        "How long a stopping gateway waits for running requests to finish before it ends them.",
        "drain_timeout = 30s",
    ),
    Option(
        "trusted_proxies",
        places.networks,
        "Whose X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded headers are believed. From anybody"
        " else they are replaced.",
        "trusted_proxies = 127.0.0.1, 10.0.0.0/8",
        notes=("Name only proxies of your own: whoever is trusted here can claim any client address.",),
    ),
    Option(
        "forwarded_header",
        kinds.switch(),
        "Also tell instances of the client in the standard Forwarded header (RFC 7239), beside the X-Forwarded ones.",
        "forwarded_header = yes",
    ),
    Option(
        "decisions",
        kinds.whole(0, 1_000_000, "requests", zero="none"),
        "Of how many requests it is remembered what became of them and why (``GET /service-mesh/decisions/ID``).",
        "decisions = 10000",
        notes=("A record keeps the request's target, and takes about half a kilobyte.",),
    ),
    Option(
        "sticky_secret",
        kinds.word("TEXT", r"[!-~]{16,256}", "use 16 to 256 printable characters without spaces"),
        "What the cookies of sticky sessions are signed with. Gateways that serve the same clients need the same one.",
        "sticky_secret = 9f86d081884c7d659a2feaa0c55ad015",
        default="made at the first start, and kept in state_dir",
    ),
    Option(
        "operate_from",
        places.networks,
        "Which client addresses may change things through the admin side (scaling, for example). Anybody else may only"
        " look. Counted are the peer and everybody whom X-Forwarded-For names.",
        "operate_from = 127.0.0.0/8, 10.1.0.0/16",
    ),
    Option(
        "header_timeout",
        kinds.duration(0.01, HOUR),
        "The time from the first byte of a request to the end of its head. A slower client is answered 408.",
        "header_timeout = 5s",
    ),
    Option(
        "body_timeout",
        kinds.duration(0.01, HOUR),
        "The longest silence inside a request's body. A client that is silent for longer is answered 408.",
        "body_timeout = 2m",
        notes=("Time in which the gateway itself does not read, because the instance is slow, does not count.",),
    ),
    Option(
        "idle_timeout",
        kinds.duration(0.01, DAY),
        "How long a client's connection may rest between two requests before it is closed.",
        "idle_timeout = 30s",
        notes=("Make it longer than the keep-alive time of a load balancer in front, or it meets closed connections.",),
    ),
    SIZE,
    SHARED,
    Option(
        "max_head_size",
        kinds.size(1024, 1024**2),
        "The largest head of a request: request line and header fields together. A larger one is answered 431.",
        "max_head_size = 16KiB",
    ),
    Option(
        "max_header_fields",
        kinds.whole(1, 10000),
        "The most header fields a request may have. More are answered 431.",
        "max_header_fields = 64",
    ),
    Option(
        "max_target_length",
        kinds.size(64, 1024**2),
        "The longest request target (path and query). A longer one is answered 414.",
        "max_target_length = 4KiB",
    ),
)

REGISTRY = _section(
    "registry",
    "[registry]",
    "Where the mesh learns which instances exist. An instance holds a lease that it renews by heartbeats; when the"
    " lease runs out, it is gone.",
    RegistrySpec(),
    Option(
        "url",
        places.registry,
        "Which store keeps the leases. ``memory:`` keeps them inside the gateway, for instances that are listed in this"
        " file or started by this gateway. ``embedded:`` starts a registry as a child of the gateway. ``redis://`` and"
        " ``rediss://`` (with TLS) use a Redis or Valkey server, which several gateways may share; ``redis+sentinel://``"
        " and ``rediss+sentinel://`` ask Sentinels which server is the master; ``unix:`` uses a server's Unix socket."
        " :doc:`registry-connections` tells all about them.",
        "url = rediss://gateway:s3cret@redis.internal:6380/0",
        notes=(
            "In user and password, write ``: / ? # @ %`` as ``%3A %2F %3F %23 %40 %25``. Messages never show them.",
            "``embedded:`` needs the extra ``wmesh[embedded]``.",
            "The REDIS_* environment variables replace parts of it.",
        ),
    ),
    Option(
        "namespace",
        kinds.word(
            "NAME",
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
            "use 1 to 64 letters, digits and . _ -, beginning with a letter or a digit",
        ),
        "What the names of all keys begin with, so that several meshes can share one store.",
        "namespace = staging",
    ),
    Option(
        "lease",
        kinds.duration(1, HOUR),
        "How long a registration lasts without a heartbeat.",
        "lease = 30s",
        notes=("A crashed instance that is not checked takes traffic for up to this long.",),
    ),
    Option(
        "heartbeat",
        kinds.duration(0.1, HOUR),
        "How often leases are renewed. Must be shorter than the lease; a third of it survives two lost heartbeats.",
        "heartbeat = 10s",
    ),
    Option(
        "discovery_interval",
        kinds.duration(1, DAY),
        "How often the whole registry is read again. Changes arrive at once; this is the net below them.",
        "discovery_interval = 1m",
    ),
    Option(
        "preserve_service",
        kinds.percent(100),
        "When more than this share of the leases of a service vanish within one lease, its instances are not evicted:"
        " they stay as suspects, and health checks decide.",
        "preserve_service = 50",
        notes=("One lease of several is a crash and evicted at once. 100 turns it off.",),
    ),
    Option(
        "preserve_registry",
        kinds.percent(100),
        "The same for all leases together: when more than this share vanish within one lease, nobody is evicted.",
        "preserve_registry = 15",
        notes=("Fewer than three leases never count as a catastrophe. 100 turns it off.",),
    ),
    Option(
        "preserve_for",
        kinds.duration(0, DAY),
        "How long suspects that pass their checks are kept after their leases vanished. Time without a connection to"
        " the registry does not count.",
        "preserve_for = 5m",
        notes=("0: leases alone decide, and an emptied registry empties the mesh.",),
    ),
)

SERVICE = _section(
    "service",
    "[service:NAME]",
    "One service. NAME is what it is called everywhere: lower-case letters, digits and '-', at most 63 characters;"
    f" {RESERVED} is taken. Its instances come from one of three places: ``command`` (the mesh starts them),"
    " ``instances`` (they run already, at addresses or DNS names), or the registry alone (they register themselves).",
    ServiceSpec(name="NAME"),
    Option(
        "version",
        kinds.word("VERSION", r"[A-Za-z0-9._+\-]{1,64}", "use letters, digits and . _ + -"),
        "The version that instances of this mesh are registered with. For people; nothing is compared.",
        "version = 2.4.1",
    ),
    Option(
        "host",
        places.host,
        "The address that launched instances listen at, {host} in the command.",
        "host = 127.0.0.1",
    ),
    Option(
        "port",
        places.port,
        "The port of the first launched instance, {port} in the command. Further instances get free ports.",
        "port = 3007",
        default="none; needed with command",
    ),
    Option(
        "protocol",
        kinds.choice(PROTOCOLS, "protocol"),
        "What the instances speak. https is http over TLS. websocket services answer plain HTTP requests as well (their"
        " health check is one), and all of it over TLS with ``tls = yes``.",
        "protocol = websocket",
    ),
    *TLS,
    Option(
        "health_endpoint",
        places.health_path,
        "The path that health checks ask for. Unset: a check only opens a TCP connection, unless health_check_type says"
        " otherwise.",
        "health_endpoint = /health",
        field="check.path",
        default="none",
    ),
    Option(
        "capacity",
        kinds.whole(1, 1_000_000, "requests"),
        "How many requests at once one instance is meant to bear. Scaling measures load against it, and the strategy"
        " first fills instances up to it.",
        "capacity = 150",
    ),
    Option(
        "weight",
        kinds.whole(1, 1000),
        "The share of traffic of each instance, against others of the service that state another weight. Weighted"
        " strategies read it.",
        "weight = 2",
    ),
    Option(
        "tags",
        kinds.words("TAG, …", r"[A-Za-z0-9._:/=+\-]{1,64}", "use letters, digits and . _ : / = + -, commas between"),
        "Free labels, shown in status pages and registered with each instance.",
        "tags = groceries, prices",
    ),
    Option(
        "load_balancing_strategy",
        kinds.choice(tuple(STRATEGIES), "strategy"),
        "How an instance is chosen for a request. The page on strategies says which is for what.",
        "load_balancing_strategy = least_connections",
        field="strategy",
        notes=(
            "DEFAULT_LOAD_BALANCING_STRATEGY changes the default for services that name none.",
            "Installed packages may bring others (entry point group ``wmesh.strategies``).",
        ),
    ),
    Option(
        "hash_balance_factor",
        kinds.factor(10_000),
        "With consistent_hash: the most that one instance may have in flight, in percent of its part of all requests in"
        " flight. Above it a key goes to its next choice.",
        "hash_balance_factor = 125",
        notes=(
            "The part is an equal one, or by weight, and the bound is rounded up.",
            "Nearer to 100 is more even, further from it keeps more keys at their first choice. 125 to 200 is usual.",
        ),
    ),
    Option(
        "hash_on",
        places.hash_source,
        "What ``consistent_hash`` hashes of a request: the client's address, a header field, a cookie, a parameter of"
        " the query, the whole path or one segment of it. Requests that lack it go by the client's address.",
        "hash_on = header:X-User",
    ),
    *STICKY,
    *BREAKER,
    *OUTLIERS,
    *QUEUE,
    *ADAPTIVE,
    Option(
        "proxy_enabled",
        kinds.switch(),
        "Whether clients reach the service through the gateway. no: it has no routes, but is launched and checked.",
        "proxy_enabled = no",
    ),
    *CACHE,
    Option(
        "min_instances",
        kinds.whole(0, 1000, "instances"),
        "How many instances the mesh starts, and the fewest it may be scaled to.",
        "min_instances = 1",
        field="scaling.min_instances",
        notes=("Counts only where there is a command.",),
    ),
    Option(
        "max_instances",
        kinds.whole(1, 1000, "instances"),
        "The most instances it may be scaled to.",
        "max_instances = 3",
        field="scaling.max_instances",
        default="1, or min_instances where that is more",
    ),
    Option(
        "auto_scale",
        kinds.switch(),
        "Whether the mesh itself changes the number of instances with the load.",
        "auto_scale = yes",
        field="scaling.auto_scale",
        inert="this version does not scale by itself, whatever the thresholds are; scale through the admin side",
    ),
    Option(
        "cpu_threshold",
        kinds.percent(6400),
        "The CPU use of an instance above which another one is started.",
        "cpu_threshold = 70",
        field="scaling.cpu_threshold",
        notes=("100 is one core.",),
    ),
    Option(
        "memory_threshold",
        kinds.percent(100),
        "The memory use of an instance above which another one is started.",
        "memory_threshold = 80",
        field="scaling.memory_threshold",
    ),
    Option(
        "dependencies",
        kinds.words("NAME, …", SERVICE_NAME, "write names of services of this file"),
        "Services that must be healthy before this one is started. They are stopped after it.",
        "dependencies = walmart-api-server",
        notes=("A cycle is refused, and printed as a path.",),
    ),
    Option(
        "deployment_priority",
        kinds.whole(0, 1_000_000),
        "Who comes first among services that dependencies leave free: the lower number.",
        "deployment_priority = 3",
        notes=("Dependencies win where the two disagree.",),
    ),
    Option(
        "command",
        kinds.command(),
        "How an instance is launched: a program and its arguments, split as a shell does, but run without a shell."
        " Filled in are {host} and {port} (where it must listen), {id} (its name in the registry), {name} (its service)"
        " and {python} (the interpreter that runs the gateway).",
        "command = {python} examples/grocery/pricing.py --host {host} --port {port}",
        default="none: the mesh launches nothing",
        notes=(
            "Needs port. Excludes instances.",
            "Relative paths start at the working directory of the gateway. Write {{ and }} for real braces.",
        ),
    ),
    Option(
        "instances",
        places.instances,
        "Instances that the mesh neither starts nor stops: fixed addresses, and names that are looked up again and"
        " again. ``dns:NAME:PORT`` is every address of a name, ``srv:NAME`` what its SRV records say. All can be"
        " mixed.",
        "instances =\n    10.0.0.5:3007 weight=2\n    [2001:db8::7]:3007\n    dns:pricing.internal:3007\n"
        "    srv:_http._tcp.pricing.example.com",
        default="none",
        notes=(
            "Excludes command.",
            "An entry without weight has the weight of the service. SRV records have weights of their own.",
            "A host name without ``dns:`` is one instance, whose name is looked up for each new connection.",
        ),
    ),
    Option(
        "routes",
        places.service_routes,
        "Which requests go to the service: those whose path begins with PREFIX and, where a HOST is given, whose Host"
        " header names it. The longest prefix wins; a host wins over none.",
        "routes = shop.example.com/, /shop/, /shop-next/ version=2.0.0",
        default="/NAME/",
        notes=(
            "``version=V`` and ``tag=T`` (which may be repeated) behind a route send its requests only to instances"
            " registered with that version and all those tags.",
            "A prefix that ends with a slash also takes the path without it: ``/shop/`` takes ``/shop``.",
            "Two services cannot have the same route. Empty: the service has no route.",
            "Requests that need options of their own get a section, ``[route:NAME]``; see :doc:`routes`.",
        ),
    ),
    Option(
        "strip_prefix",
        kinds.switch(),
        "Whether the prefix of the route is taken off the path that the instance sees.",
        "strip_prefix = no",
        notes=("With yes, ``/walmart-pricing/api/price/1`` reaches the instance as ``/api/price/1``.",),
        on_route=True,
    ),
    *HEALTH_CHECKS,
    Option(
        "max_connections",
        kinds.whole(0, 1_000_000, "requests", zero="no bound"),
        "The most requests in flight to all instances together, so that a service that hangs does not take all that the"
        " gateway has. More wait in the queue.",
        "max_connections = 100",
        default="1024; of a service with ``protocol = websocket``: 0",
        notes=("MAX_CONNECTIONS_PER_SERVICE sets it for every service.",),
    ),
    Option(
        "instance_max_connections",
        kinds.whole(0, 1_000_000, "requests", zero="no bound"),
        "The most requests in flight to one instance.",
        "instance_max_connections = 50",
    ),
    Option(
        "keepalive_connections",
        kinds.whole(0, 100_000, "connections", zero="none is kept"),
        "How many idle connections to one instance are kept for later requests.",
        "keepalive_connections = 32",
    ),
    Option(
        "keepalive_timeout",
        kinds.duration(0, DAY),
        "How long an idle connection to an instance is kept.",
        "keepalive_timeout = 50s",
        notes=("Make it shorter than the instances' own keep-alive time, or requests meet closing connections.",),
    ),
    *RETRIES,
    *HEDGES,
    *FALLBACKS,
    Option(
        "timeout_connect",
        kinds.duration(0.01, HOUR),
        "How long connecting to an instance may take.",
        "timeout_connect = 500ms",
        shared="a connection is made for the instance, and may serve another route's request",
    ),
    Option(
        "timeout_first_byte",
        kinds.duration(0.01, DAY),
        "How long an instance may take from the end of the request until the head of its answer is whole; an interim "
        "answer (1xx) gives it as long again.",
        "timeout_first_byte = 1m",
        on_route=True,
    ),
    Option(
        "timeout_idle",
        kinds.duration(0.01, DAY),
        "The longest silence of an instance inside an answer, and of both sides of a WebSocket tunnel.",
        "timeout_idle = 5m",
        on_route=True,
    ),
    *DEADLINES,
    Option(
        "start_timeout",
        kinds.duration(0.1, HOUR),
        "How long a launched instance may take to become healthy before its start counts as failed.",
        "start_timeout = 1m",
    ),
    Option(
        "stop_timeout",
        kinds.duration(0, HOUR),
        "How long a launched instance may take to end after SIGTERM before it is killed.",
        "stop_timeout = 30s",
    ),
)


@dataclass(frozen=True, slots=True)
class RouteSection:
    """What `[route:NAME]` says of itself; the rest of it is `RouteSpec.options`."""

    service: str = ""
    match: tuple[RouteSpec, ...] = ()


ROUTE = SectionKind(
    "route",
    "[route:NAME]",
    "Options of their own for some of the requests to a service. NAME is for people and messages, spelled like that of"
    " a service. What the section does not set is as the service has it; :doc:`routes` shows how the two play"
    " together.",
    RouteSection(),
    {
        "service": Option(
            "service",
            kinds.word("NAME", SERVICE_NAME, "write the name of a service of this file"),
            "The service that these requests go to.",
            "service = walmart-pricing",
            default="none; needed",
        ),
        "match": Option(
            "match",
            places.route_matches,
            "Which requests these are, in the words of :ref:`routes <service-routes>` of services.",
            "match = /walmart-pricing/api/checkout/",
            default="none; needed",
            notes=(
                "What one of ``routes`` of the service is for may be repeated here: then this section is that route.",
                "Where the prefix goes on from one of ``routes`` of the service, the longer one wins as ever; and"
                " ``strip_prefix`` takes off no more than there, unless it is set here.",
            ),
        ),
    },
    {name: option for name, option in SERVICE.options.items() if option.on_route},
)

SECTIONS: Mapping[str, SectionKind] = {kind.name: kind for kind in (MESH, GATEWAY, REGISTRY, SERVICE, ROUTE)}


def kind_of(section: str) -> SectionKind | None:
    """The kind of a section by its full name ("gateway", "service:shop")."""
    kind, colon, _ = section.partition(":")
    found = SECTIONS.get(kind)
    return found if found is not None and found.named == bool(colon) else None
