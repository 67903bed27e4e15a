"""Values that are places in a network: hosts, addresses, routes, listeners, trusted networks, the registry's URL.

Strategy: every reader answers a record of `wmesh.model` or raises `Invalid` with the spelling that was probably meant.
Nothing is looked up or opened here: whether a host exists is seen when it is used. Listeners are checked only so far as
catches slips of the pen; Twisted reads endpoint strings in full when the gateway starts. The registry's URL may hold a
password, so no message here repeats any part of it but its scheme.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import replace

from wmesh.config.kinds import Kind, each, items, show_all
from wmesh.config.wording import Invalid, common_hint, nearest, quoted
from wmesh.errors import RegistryError
from wmesh.model import MAX_WEIGHT, Address, NamedInstances, Network, RouteSpec, StaticInstance, Subset
from wmesh.policy.routing import normal_prefix
from wmesh.registry_url import parse_target

LISTENERS = ("tcp", "unix", "systemd", "ssl", "tls")
DNS_PORT = 53
_REGISTRIES = {
    "redis": "redis://[user:password@]host:port/db",
    "rediss": "rediss://[user:password@]host:port/db",
    "redis+sentinel": "redis+sentinel://[user:password@]host:port,host:port/MASTER/db",
    "rediss+sentinel": "rediss+sentinel://[user:password@]host:port,host:port/MASTER/db",
    "unix": "unix:/path/of/the.sock",
}

_label = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?"
_host_name = re.compile(rf"{_label}(?:\.{_label})*")
_path = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+;=:@/]|%[0-9A-Fa-f]{2})*")


def is_host(text: str) -> bool:
    """An IP address, or a name that may be one in the DNS (underscores are allowed: container networks use them)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        return True
    # A name whose last label is a number is a mistyped IPv4 address.
    return len(text) < 254 and _host_name.fullmatch(text) is not None and not text.rpartition(".")[2].isdigit()


def read_host(text: str) -> str:
    if text.startswith("[") and text.endswith("]") and ":" in text:
        text = text[1:-1]
    if not is_host(text):
        raise Invalid(f"{quoted(text)} is not a host", common_hint(text) or "write an IP address or a host name")
    return text


def read_port(text: str, low: int = 1) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not low <= int(text) <= 65535:
        raise Invalid(f"{quoted(text)} is not a port", common_hint(text) or f"write a number from {low} to 65535")
    return int(text)


def _read_dns_name(name: str, item: str) -> str:
    """A name that can be asked for in the DNS; a dot at its end is kept, since it turns off the search list."""
    plain = name.removesuffix(".")
    try:
        address = ipaddress.ip_address(plain.strip("[]"))
    except ValueError:
        pass
    else:
        raise Invalid(f"{quoted(name)} is an address and no name", f"leave dns: or srv: out for {address}")
    if len(plain) > 253:
        raise Invalid(f"the name has {len(plain)} characters", "a name in the DNS has at most 253")
    if long := next((label for label in plain.split(".") if len(label) > 63), ""):
        raise Invalid(f"{quoted(long)} has {len(long)} characters", "between two dots at most 63 are allowed")
    if not is_host(plain):
        hint = common_hint(item) or "use letters, digits and - between dots (and _, where a name has it)"
        raise Invalid(f"{quoted(name)} is not a name in the DNS", hint)
    return name


def _read_srv_name(name: str, item: str) -> str:
    if match := re.fullmatch(r"(.*[^:]):([0-9]+)", name):
        raise Invalid(f"{quoted(name)} has a port", f"write srv:{match[1]}; SRV records say the ports themselves")
    _read_dns_name(name, item)
    first, second, *rest = [*name.removesuffix(".").split("."), "", ""]
    if first.startswith("_") != second.startswith("_") or (first.startswith("_") and not any(rest)):
        hint = "write srv:_http._tcp.NAME (RFC 2782), or a name without underscores where your DNS uses such"
        raise Invalid(f"{quoted(name)} is not the name of a service", hint)
    return name


def _read_named(kind: str, place: str, weight: int | None, item: str) -> NamedInstances:
    rest = place[len(kind) + 1 :]
    if kind == "srv":
        if not rest:
            raise Invalid(f"{quoted(place)} has no name", "write srv:_http._tcp.NAME")
        if weight is not None:
            raise Invalid("srv: takes no weight", "leave weight= out; SRV records have weights of their own")
        return NamedInstances(_read_srv_name(rest, item))
    name, colon, port = rest.rpartition(":")
    if not colon:
        raise Invalid(f"{quoted(place)} has no port", f"write dns:{rest or 'NAME'}:PORT, or srv:NAME for SRV records")
    if not name:
        raise Invalid(f"{quoted(place)} has no name", "write dns:NAME:PORT")
    if name.partition(".")[0].startswith("_"):
        raise Invalid(f"{quoted(name)} is the name of SRV records", f"write srv:{name}")
    return NamedInstances(_read_dns_name(name, item), read_port(port), weight)


def _read_instance(item: str) -> StaticInstance | NamedInstances:
    place, *extras = item.split()
    weight = _read_weight(extras, item)
    # A host that is called dns or srv may have a port like any other.
    if (named := re.match(r"(dns|srv):(?![0-9]+$)", place, re.IGNORECASE)) and "://" not in place:
        return _read_named(named[1].lower(), place, weight, item)
    if "://" in place:
        raise Invalid(f"{quoted(item)} is not an address", "write host:port, without a scheme or path")
    host, colon, port = place.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise Invalid(f"{quoted(place)} is not host:port", "write 127.0.0.1:3000 or [::1]:3000")
    return StaticInstance(Address(read_host(host), read_port(port)), weight)


def _read_weight(extras: Sequence[str], item: str) -> int | None:
    weight: int | None = None
    for extra in extras:
        match = re.fullmatch(r"weight=([0-9]{1,4})", extra)
        if match is None or not 1 <= int(match[1]) <= MAX_WEIGHT:
            hint = f"write weight=N with N from 1 to {MAX_WEIGHT}, and a comma before the next address"
            raise Invalid(f"{quoted(extra)} is not understood after the address", common_hint(item) or hint)
        weight = int(match[1])
    return weight


def _instance_key(instance: StaticInstance | NamedInstances) -> object:
    if isinstance(instance, StaticInstance):
        return instance.address
    return instance.name.removesuffix(".").lower(), instance.port


def _read_instances(text: str) -> tuple[StaticInstance | NamedInstances, ...]:
    return each(items(text), _read_instance, key=_instance_key)


def _read_name_server(item: str) -> Address:
    host, port = item, str(DNS_PORT)
    if match := re.fullmatch(r"\[([^]]*)\]|\[([^]]*)\]:(.*)|([^:]*):([^:]*)", item):
        host = match[1] or match[2] or match[4] or ""
        port = next((found for found in (match[3], match[5]) if found is not None), port)
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        hint = common_hint(item) or "write its IP address, with a port where that is not 53: 10.0.0.2, 127.0.0.1:5353"
        raise Invalid(f"{quoted(item)} is not a name server", hint) from None
    return Address(host, read_port(port))


def _read_route(item: str) -> RouteSpec:
    if "://" in item:
        raise Invalid(f"{quoted(item)} is not a route", "write [host]/prefix, without a scheme")
    host, slash, rest = item.partition("/")
    prefix = slash + rest
    if not slash:
        hint = f"write {item}/ for all paths of that host, or /{item}/ for a path of all hosts"
        raise Invalid(f"{quoted(item)} has no slash", common_hint(item) or hint)
    if "*" in host:
        raise Invalid(f"{quoted(item)} has a wildcard", "name each host, or none for all of them")
    if ":" in host:
        raise Invalid(f"{quoted(item)} has a port", "leave it out: routes look at the host's name only")
    if host and not is_host(host):
        hint = common_hint(item) or "write [host]/prefix"
        raise Invalid(f"{quoted(item)} does not begin with a host or a slash", hint)
    if not _path.fullmatch(prefix) or "//" in prefix or {".", ".."} & set(prefix.split("/")):
        raise Invalid(
            f"{quoted(prefix)} is not a path",
            common_hint(item) or "write a plain path, without query, spaces, // or .. (other characters as %XX)",
        )
    return RouteSpec(host.lower(), prefix)


def _read_service_route(item: str) -> RouteSpec:
    """A route, and perhaps which instances it is for."""
    place, *conditions = item.split()
    route = _read_route(place)
    version, tags = "", []
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals or name not in ("version", "tag") or not re.fullmatch(r"[A-Za-z0-9._:/=+\-]{1,64}", value):
            raise Invalid(f"{quoted(condition)} is no condition", "write version=V or tag=T, with spaces between")
        if name == "tag":
            tags.append(value)
        elif version:
            raise Invalid(f"{quoted(item)} asks for two versions", "an instance has one; make two routes")
        else:
            version = value
    return replace(route, subset=Subset(version, tuple(tags)))


def _read_hash_source(text: str) -> str:
    kind, colon, name = text.partition(":")
    kind = kind.lower()
    known = "client, header:NAME, cookie:NAME, query:NAME, path, path:N"
    if kind not in ("client", "header", "cookie", "query", "path"):
        meant = nearest(kind, ("client", "header", "cookie", "query", "path"))
        raise Invalid(f"{quoted(text)} is nothing to hash", f"did you mean {meant}? {known}" if meant else known)
    if kind == "client" and colon:
        raise Invalid("client takes no name", "write client")
    if kind == "path" and (colon and not re.fullmatch(r"[1-9][0-9]?", name)):
        raise Invalid(f"{quoted(name)} is not a segment of a path", "write path:1 for the first; or path for all of it")
    if kind in ("header", "cookie", "query") and not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]{1,128}", name):
        raise Invalid(f"{kind} needs a name", f"write {kind}:NAME")
    return f"{kind}{colon}{name}"


def _read_health_path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        hint = "write only the path, like /health" if "://" in text else "write a path that begins with a slash"
        raise Invalid(f"{quoted(text)} is not a path", common_hint(text) or hint)
    return text


def _read_network(item: str) -> Network:
    try:
        return ipaddress.ip_network(item)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(item, strict=False)
    except ValueError:
        hint = common_hint(item) or "write addresses or networks, like 127.0.0.1 or 10.0.0.0/8"
        raise Invalid(f"{quoted(item)} is not a network", hint) from None
    raise Invalid(f"{quoted(item)} is an address inside a network", f"write {meant} for the network")


def _show_networks(networks: Sequence[Network]) -> str:
    return show_all(n.network_address if n.prefixlen == n.max_prefixlen else n for n in networks)


def bound_port(endpoint: str) -> tuple[str, str] | None:
    """(interface, port) of an endpoint that binds a TCP port, as written; None for the others."""
    kind, *parts = (part.replace("\\:", ":") for part in re.split(r"(?<!\\):", endpoint))
    if kind not in ("tcp", "ssl", "tls"):
        return None
    named = dict(part.split("=", 1) for part in parts if re.match(r"[A-Za-z]+=", part))
    plain = [part for part in parts if not re.match(r"[A-Za-z]+=", part)]
    return named.get("interface", ""), plain[0] if plain else named.get("port", "")


def _read_listener(text: str) -> str:
    kind, colon, _ = text.partition(":")
    if not colon or kind not in LISTENERS:
        if "," in text:
            hint = "write one endpoint a line"
        elif kind and (meant := nearest(kind, LISTENERS)):
            hint = f"did you mean {meant}?"
        elif match := re.fullmatch(r":?([0-9]{1,5})", text):
            hint = f"write tcp:{match[1]}"
        elif match := re.fullmatch(r"([A-Za-z0-9.\-]+):([0-9]{1,5})", text):
            hint = f"write tcp:{match[2]}:interface={match[1]}"
        else:
            hint = "write a Twisted server endpoint: tcp:8000, unix:/run/wmesh.sock, …"
        raise Invalid(f"{quoted(text)} is not a listener", common_hint(text) or hint)
    if kind in ("tcp", "ssl") and (found := bound_port(text)) is not None:
        if "," in found[1]:
            raise Invalid(f"{quoted(text)} is not a listener", "write one endpoint a line")
        read_port(found[1], low=0)
    return text


def _read_listeners(text: str) -> tuple[str, ...]:
    return each(((row, line) for row, line in enumerate(text.split("\n")) if line), _read_listener)


def _read_redis(text: str) -> str:
    if text.partition(":")[0].lower() in ("embedded", "memory"):
        raise Invalid("that is no server that gateways could share", "write redis://[user:password@]host:port/db")
    try:
        return _read_registry(text)
    except Invalid as error:
        hint = error.hint.replace("embedded:, memory:, ", "")
        message = error.message.replace("registry url", "url").replace("kind of registry", "kind of server")
        raise Invalid(message, hint) from None


def _read_registry(text: str) -> str:
    scheme = text.partition(":")[0].lower()
    if scheme in ("embedded", "memory"):
        if text.lower() not in (scheme, f"{scheme}:", f"{scheme}://"):
            raise Invalid("this URL says too much", f"write {scheme}: and nothing else")
        return f"{scheme}:"
    if scheme not in _REGISTRIES:
        named = quoted(scheme) if re.fullmatch(r"[a-z][a-z0-9+]{0,15}", scheme) else "the beginning"
        hint = "write embedded:, memory:, redis://[user:password@]host:port/db, rediss://…, redis+sentinel://…, unix:/…"
        raise Invalid(f"{named} is not a kind of registry", hint)
    try:
        target = parse_target(text)
    except RegistryError as error:
        encoded = "" if scheme == "unix" else "; in a password, write : / ? # @ % as %3A %2F %3F %23 %40 %25"
        raise Invalid(str(error), f"write {_REGISTRIES[scheme]}{encoded}") from None
    if not all(is_host(host) for host, _ in target.places):
        # The host itself is not shown: it may be a piece of the password.
        raise Invalid("the host in the registry url is not a host", f"write {_REGISTRIES[scheme]}")
    return scheme + text[len(scheme) :]


host = Kind("HOST", read_host)
port = Kind("PORT (1 to 65535)", read_port)
health_path = Kind("/PATH", _read_health_path, empty="")
hash_source = Kind("client | header:NAME | cookie:NAME | query:NAME | path | path:N", _read_hash_source)
service_routes = Kind(
    "[HOST]/PREFIX [version=V] [tag=T], …",
    lambda text: each(items(text), _read_service_route, lambda route: (route.host, normal_prefix(route.prefix))),
    show_all,
    many=True,
    empty=(),
)
route_matches = replace(service_routes, empty=None)
instances = Kind(
    "HOST:PORT [weight=N] | dns:NAME:PORT [weight=N] | srv:NAME, …", _read_instances, show_all, many=True, empty=()
)
name_servers = Kind(
    "ADDRESS[:PORT], …", lambda text: each(items(text), _read_name_server), show_all, many=True, empty=()
)
routes = Kind("[HOST]/PREFIX, …", lambda text: each(items(text), _read_route), show_all, many=True, empty=())
networks = Kind(
    "ADDRESS | NETWORK, …", lambda text: each(items(text), _read_network), _show_networks, many=True, empty=()
)
listeners = Kind("ENDPOINT, one a line", _read_listeners, "\n".join, many=True)
listener = Kind("ENDPOINT", _read_listener, empty="")
registry = Kind(
    "embedded: | memory: | redis://[USER:PASSWORD@]HOST:PORT/DB | rediss://…"
    " | redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER/DB | rediss+sentinel://… | unix:/PATH",
    _read_registry,
)
redis = Kind(
    "redis://[USER:PASSWORD@]HOST:PORT/DB | rediss://…"
    " | redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER/DB | rediss+sentinel://… | unix:/PATH",
    _read_redis,
    empty="",
)
