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
from urllib.parse import SplitResult, quote, urlsplit

from wmesh.config.kinds import Kind, each, items, show_all
from wmesh.config.wording import Invalid, common_hint, nearest, quoted
from wmesh.model import Address, Network, RouteSpec, StaticInstance, Subset

LISTENERS = ("tcp", "unix", "systemd", "ssl", "tls")
REDIS_PORT = 6379

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


def _read_instance(item: str) -> StaticInstance:
    place, *extras = item.split()
    if "://" in place:
        raise Invalid(f"{quoted(item)} is not an address", "write host:port, without a scheme or path")
    host, colon, port = place.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise Invalid(f"{quoted(place)} is not host:port", "write 127.0.0.1:3000 or [::1]:3000")
    address = Address(read_host(host), read_port(port))
    weight: int | None = None
    for extra in extras:
        match = re.fullmatch(r"weight=([0-9]{1,4})", extra)
        if match is None or not 1 <= int(match[1]) <= 1000:
            raise Invalid(
                f"{quoted(extra)} is not understood after the address",
                common_hint(item) or "write weight=N with N from 1 to 1000, and a comma before the next address",
            )
        weight = int(match[1])
    return StaticInstance(address, weight)


def _read_instances(text: str) -> tuple[StaticInstance, ...]:
    return each(items(text), _read_instance, key=lambda instance: instance.address)


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


def split_redis(url: str) -> SplitResult:
    """The parts of a redis URL that is known to be good."""
    parts = urlsplit(url)
    if (
        parts.scheme not in ("redis", "rediss")
        or not parts.hostname
        or not is_host(parts.hostname)
        or not (parts.port is None or parts.port > 0)
        or not re.fullmatch(r"(?:/[0-9]{0,5})?", parts.path)
        or "?" in url
        or "#" in url
    ):
        raise ValueError
    return parts


def redis_url(tls: bool, user: str, password: str, host: str, port: int, database: int) -> str:
    """The URL of these parts; user and password as they are, not percent-encoded."""
    login = quote(user, safe="", errors="surrogateescape")
    if password:
        login += ":" + quote(password, safe="", errors="surrogateescape")
    login += "@" if login else ""
    host = f"[{host}]" if ":" in host else host
    return f"{'rediss' if tls else 'redis'}://{login}{host}:{port}/{database}"


def _read_registry(text: str) -> str:
    scheme = text.partition(":")[0].lower()
    if scheme in ("embedded", "memory"):
        if text.lower() not in (scheme, f"{scheme}:", f"{scheme}://"):
            raise Invalid("this URL says too much", f"write {scheme}: and nothing else")
        return f"{scheme}:"
    if scheme not in ("redis", "rediss"):
        named = quoted(scheme) if re.fullmatch(r"[a-z][a-z0-9+]{0,15}", scheme) else "the beginning"
        hint = "write embedded:, memory:, redis://[user:password@]host:port/db or rediss://…"
        raise Invalid(f"{named} is not a kind of registry", hint)
    try:
        if not re.fullmatch(r"[!-~]+", text):
            raise ValueError
        split_redis(text)
    except ValueError:
        # Not one word of the URL, nor of the error: either may hold a piece of the password.
        hint = "in a password, write : / ? # @ % as %3A %2F %3F %23 %40 %25"
        raise Invalid(
            f"this is not a good {scheme} URL", f"write {scheme}://[user:password@]host:port/db; {hint}"
        ) from None
    return text


host = Kind("HOST", read_host)
port = Kind("PORT (1 to 65535)", read_port)
health_path = Kind("/PATH", _read_health_path, empty="")
instances = Kind("HOST:PORT [weight=N], …", _read_instances, show_all, many=True, empty=())
hash_source = Kind("client | header:NAME | cookie:NAME | query:NAME | path | path:N", _read_hash_source)
service_routes = Kind(
    "[HOST]/PREFIX [version=V] [tag=T], …",
    lambda text: each(items(text), _read_service_route, lambda route: (route.host, route.prefix)),
    show_all,
    many=True,
    empty=(),
)
routes = Kind("[HOST]/PREFIX, …", lambda text: each(items(text), _read_route), show_all, many=True, empty=())
networks = Kind(
    "ADDRESS | NETWORK, …", lambda text: each(items(text), _read_network), _show_networks, many=True, empty=()
)
listeners = Kind("ENDPOINT, one a line", _read_listeners, "\n".join, many=True)
listener = Kind("ENDPOINT", _read_listener, empty="")
registry = Kind("embedded: | memory: | redis://[USER:PASSWORD@]HOST:PORT/DB | rediss://…", _read_registry)
