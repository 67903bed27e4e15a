"""Rules that no option can be held to alone: dependencies, routes, ports, bounds, and what the registry makes possible.

Strategy: each rule is a function over the built records, which complains through the draft so that every problem names
the line or variable to change. A rule stays silent where one of its options was refused already. What is legal but
probably not meant, or not acted upon by this version, becomes a note.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wmesh.config.draft import Draft
from wmesh.config.health_rules import check_health
from wmesh.config.places import bound_port
from wmesh.config.retry_rules import check_retries
from wmesh.config.routes import route_section
from wmesh.config.schema import RESERVED, SERVICE
from wmesh.config.tls_rules import check_tls
from wmesh.config.traffic_rules import check_orders, check_traffic
from wmesh.config.units import show_duration
from wmesh.config.wording import did_you_mean
from wmesh.model import Address, MeshConfig, RouteSpec, ServiceSpec, StaticInstance
from wmesh.policy.routing import normal_prefix


def check(draft: Draft, config: MeshConfig) -> None:
    """Apply every rule."""
    for spec in config.services:
        _sources(draft, config, spec)
        _bounds(draft, spec)
        check_health(draft, section_of(spec), spec)
        check_traffic(draft, section_of(spec), config, spec)
        check_tls(draft, section_of(spec), spec)
        check_retries(draft, section_of(spec), spec)
        _route_sections(draft, spec)
    _lease(draft, config)
    _known_dependencies(draft, config)
    _cycles(draft, config)
    _routes(draft, config)
    _ports(draft, config)
    _loops(draft, config)
    _notes(draft, config)


def section_of(spec: ServiceSpec) -> str:
    return f"service:{spec.name}"


def _sources(draft: Draft, config: MeshConfig, spec: ServiceSpec) -> None:
    """Where the instances of a service come from: exactly one place."""
    section = section_of(spec)
    if not draft.sound(section, "command", "instances"):
        return
    if spec.command and spec.instances:
        hint = f"it is at {draft.origin(section, 'command')}; keep one of the two"
        draft.complain(section, "instances", "a service has either fixed instances or a command", hint)
    if spec.command and spec.port is None and draft.sound(section, "port"):
        draft.complain(section, "command", "a command needs a port for its first instance", "add port = N")
    if spec.command or spec.instances or not draft.sound("registry", "url"):
        return
    if config.registry.url == "memory:":
        message = "no instance can ever appear: the registry is memory:, and there is neither command nor instances"
        draft.complain(section, "", message, "add instances = HOST:PORT, or a command, or use a redis registry")
    elif config.registry.url == "embedded:":
        draft.notes.append(
            f"[{section}]: has neither command nor instances, so it waits for instances that register themselves"
            " in the embedded registry"
        )


def _bounds(draft: Draft, spec: ServiceSpec) -> None:
    section = section_of(spec)
    low, high = spec.scaling.min_instances, spec.scaling.max_instances
    if low > high and draft.sound(section, "min_instances", "max_instances"):
        message = f"min_instances {low} is more than max_instances {high}"
        where = draft.origin(section, "max_instances")
        draft.complain(section, "min_instances", message, f"raise max_instances ({where})")
    fast, slow = spec.check.fast_interval, spec.check.interval
    if fast > slow and draft.sound(section, "health_check_fast_interval", "health_check_interval"):
        message = f"{show_duration(fast)} is longer than health_check_interval, which is {show_duration(slow)}"
        draft.complain(section, "health_check_fast_interval", message, "make it shorter, or leave it out")


def _lease(draft: Draft, config: MeshConfig) -> None:
    lease, heartbeat = config.registry.lease, config.registry.heartbeat
    if heartbeat >= lease and draft.sound("registry", "lease", "heartbeat"):
        option = "heartbeat" if draft.given("registry", "heartbeat") else "lease"
        message = f"a heartbeat every {show_duration(heartbeat)} comes too late for a lease of {show_duration(lease)}"
        third = show_duration(round(lease / 3, 2))
        draft.complain("registry", option, message, f"write heartbeat = {third}, for example")


def _known_dependencies(draft: Draft, config: MeshConfig) -> None:
    for spec in config.services:
        for name in spec.dependencies:
            if name not in draft.declared:
                known = sorted(draft.declared - {spec.name})
                hint = did_you_mean(name, known) or f"add [service:{name}], or take it out"
                draft.complain(section_of(spec), "dependencies", f"there is no service {name}", hint)


def _cycles(draft: Draft, config: MeshConfig) -> None:
    """Each dependency that closes a cycle, printed as the path it closes."""
    waits_for = {spec.name: spec.dependencies for spec in config.services}
    done: set[str] = set()
    for start in waits_for:
        # Depth first, on a stack of our own: a chain may be longer than Python's.
        path: dict[str, None] = {}
        ahead: list[Iterator[str]] = [iter([start])]
        while ahead:
            name = next(ahead[-1], None)
            if name is None:
                ahead.pop()
                if path:
                    done.add(path.popitem()[0])
            elif name in path:
                walked = list(path)
                cycle = " -> ".join([*walked[walked.index(name) :], name])
                message = f"services wait for each other: {cycle}"
                draft.complain(f"service:{walked[-1]}", "dependencies", message, "take one of these dependencies out")
            elif name not in done and name in waits_for:
                path[name] = None
                ahead.append(iter(waits_for[name]))


def _route_sections(draft: Draft, spec: ServiceSpec) -> None:
    """What holds for a service must hold for it as each of its routes has it."""
    for name in draft.routes:
        section = route_section(name)
        if draft.parents.get(section) != section_of(spec):
            continue
        if not spec.proxy_enabled:
            where = draft.origin(section_of(spec), "proxy_enabled")
            message = f"no request reaches {spec.name}: it has proxy_enabled = no ({where})"
            draft.complain(section, "service", message, "take this section out, or that line")
        # All routes of a section have the same options.
        route = next((route for route in spec.routes if route.name == name), None)
        if route is not None:
            check_orders(draft, section)
            check_retries(draft, section, spec.on(route))


def _routes(draft: Draft, config: MeshConfig) -> None:
    """No two services, and no two sections of routes, may claim the same requests."""
    claimed: dict[tuple[str, str], tuple[str, str]] = {}
    if config.gateway.admin_listen:
        for route in config.gateway.admin_routes:
            claimed[route.host, normal_prefix(route.prefix)] = "gateway", "admin_routes"
    for spec in config.services:
        if draft.sound(section_of(spec), "routes"):
            for route in spec.routes:
                if not route.name:
                    _claim(draft, claimed, route, section_of(spec), "routes")
    for name in draft.routes:
        for route in draft.value(route_section(name), "match"):
            _claim(draft, claimed, route, route_section(name), "match")


def _claim(
    draft: Draft, claimed: dict[tuple[str, str], tuple[str, str]], route: RouteSpec, section: str, option: str
) -> None:
    """Complain if another section has the route."""
    other, its = claimed.setdefault((route.host, normal_prefix(route.prefix)), (section, option))
    if other == section:
        return
    owner, hint = f"[{other}]", "give one of them another"
    if other == "gateway":
        owner, hint = f"{RESERVED} ([gateway] admin_routes)", "change [gateway] admin_routes, or this route"
    message = f"the route {route} is taken already by {owner} ({draft.origin(other, its)})"
    draft.complain(section, option, message, hint)


@dataclass(frozen=True, slots=True)
class _Bound:
    """Somebody who wants a port of this machine, and where that stands in the configuration."""

    host: str
    port: int
    section: str
    option: str

    def clashes(self, other: _Bound) -> bool:
        if self.port != other.port:
            return False
        mine, theirs = _normal(self.host), _normal(other.host)
        # On Linux, :: takes the port for IPv4 as well; 0.0.0.0 takes it on every IPv4 address.
        return mine == theirs or "::" in (mine, theirs) or ("0.0.0.0" in (mine, theirs) and ":" not in mine + theirs)


def _normal(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host or "0.0.0.0"))
    except ValueError:
        return host.lower()


def _is_here(host: str) -> bool:
    """Whether the address certainly is one of this machine."""
    normal = _normal(host)
    return normal in ("0.0.0.0", "::", "::1") or normal.startswith("127.")


def _listeners(draft: Draft, config: MeshConfig) -> Iterator[_Bound]:
    places = [("listen", endpoint) for endpoint in config.gateway.listen]
    places.append(("admin_listen", config.gateway.admin_listen))
    for option, endpoint in places:
        found = bound_port(endpoint)
        # Port 0 is any free one, and what is not a number is for Twisted to judge.
        if found and re.fullmatch(r"0*[1-9][0-9]{0,4}", found[1]) and draft.sound("gateway", option):
            yield _Bound(found[0], int(found[1]), "gateway", option)


def _service_ports(draft: Draft, config: MeshConfig) -> Iterator[_Bound]:
    for spec in config.services:
        section = section_of(spec)
        # Only the first port is reserved: further instances take free ones.
        if spec.port is not None and not spec.instances and draft.sound(section, "port", "host", "instances"):
            yield _Bound(spec.host, spec.port, section, "port")


def _ports(draft: Draft, config: MeshConfig) -> None:
    """No two may listen at the same place."""
    listeners = list(_listeners(draft, config))
    _complain_of_clashes(draft, listeners)
    services = list(_service_ports(draft, config))
    launched = {section_of(spec) for spec in config.services if spec.command}
    here = [bound for bound in services if bound.section in launched or _is_here(bound.host)]
    remote = [bound for bound in services if bound not in here]
    _complain_of_clashes(draft, [*listeners, *here], new=here)
    _complain_of_clashes(draft, remote)


def _complain_of_clashes(draft: Draft, bounds: Iterable[_Bound], new: Iterable[_Bound] | None = None) -> None:
    """Compare each with all before it; with `new`, only those in it are told."""
    by_port: dict[int, list[_Bound]] = {}
    told = None if new is None else set(new)
    for bound in bounds:
        earlier = by_port.setdefault(bound.port, [])
        if told is None or bound in told:
            for other in earlier:
                if bound.clashes(other):
                    place = f"[{other.section}] {other.option} ({draft.origin(other.section, other.option)})"
                    message = f"port {bound.port} is used twice, the other time by {place}"
                    draft.complain(bound.section, bound.option, message, "give one of them another port")
                    break
        earlier.append(bound)


def _loops(draft: Draft, config: MeshConfig) -> None:
    """A fixed instance that is the gateway itself would send every request round in circles."""
    listeners = [bound for bound in _listeners(draft, config) if bound.option == "listen"]
    for spec in config.services:
        section = section_of(spec)
        for instance in spec.instances:
            if isinstance(instance, StaticInstance):
                address = instance.address
            elif instance.port is not None:
                address = Address(instance.name, instance.port)
            else:
                continue
            here = _Bound(address.host, address.port, section, "instances")
            if _is_here(address.host) and any(here.clashes(listener) for listener in listeners):
                message = f"{address} is this gateway itself, so requests would go round in circles"
                draft.complain(section, "instances", message, "write the address of the service")
                break


def _notes(draft: Draft, config: MeshConfig) -> None:
    for option in SERVICE.options.values():
        if option.inert:
            asked = [
                spec.name
                for spec in config.services
                if draft.given(section_of(spec), option.name) and draft.value(section_of(spec), option.name)
            ]
            if asked:
                draft.notes.append(f"[service:{', '.join(asked)}] {option.name}: {option.inert}")
    if not config.services and not draft.declared:
        draft.notes.append("there is no [service:NAME] section, so only the admin side will answer")
