"""Routes: the short form (`routes` of a service) and the sections `[route:NAME]`, made into the routes of services.

A section is for requests that need something else than the rest of their service. It names the service, says which
requests it is for in the words of the short form, and sets what is to be otherwise; what it does not set is the
service's. Which options it may set is said by the options themselves (`Option.on_route`).

A section changes nothing but what it sets: where its requests are a part of those of a short form, they are still
stripped like those, so that the instances see the same paths as before. A section for the very requests of a short
form stands in its place. The rules between options are those of services: `wmesh.config.checks` calls them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from wmesh.config.draft import Draft
from wmesh.config.schema import ROUTE
from wmesh.config.wording import did_you_mean
from wmesh.model import RouteSpec, ServiceSpec
from wmesh.policy.routing import Router, normal_prefix

LONGEST_SHOWN = 100


def route_section(name: str) -> str:
    return f"route:{name}"


def adopt(draft: Draft) -> None:
    """Find out which service each section is for; from here on the draft knows what it has from there."""
    for name in draft.routes:
        section = route_section(name)
        service = draft.value(section, "service")
        known = sorted(draft.declared)
        if service in draft.services:
            draft.parents[section] = f"service:{service}"
        elif service and service not in draft.declared:
            hint = did_you_mean(service, known) or f"known: {', '.join(known)}" if known else "add [service:NAME]"
            draft.complain(section, "service", f"there is no service {service}", hint)
        elif not service and draft.sound(section, "service"):
            draft.complain(section, "", "it does not say which service it is for", "add service = NAME")
        if not draft.value(section, "match") and draft.sound(section, "match"):
            draft.complain(section, "", "it does not say which requests it is for", "add match = [HOST]/PREFIX")


def all_routes(draft: Draft, service: str, short: tuple[RouteSpec, ...]) -> tuple[RouteSpec, ...]:
    """The routes of a service: those of the short form, with the sections in the place of those that they repeat, and
    behind them the other sections.
    """
    found = {_place(route): route for route in short}  # which has none of them twice
    around = Router((route.host, route.prefix, route) for route in short)
    for name in draft.routes:
        section = route_section(name)
        if draft.parents.get(section) != f"service:{service}":
            continue
        options = tuple(sorted((path, value) for path, value in _own(draft, section)))
        for route in draft.value(section, "match"):
            outer = around.match(route.host.encode(), normal_prefix(route.prefix).encode() or b"/")
            route = replace(route, name=name, options=options)
            if outer is not None:
                _compare(draft, section, route, outer)
                if not draft.given(section, "strip_prefix"):
                    route = replace(route, within=outer.prefix)
            # Two sections for the same requests are told of by a rule; then it does not matter who stands here.
            found[_place(route)] = route
    return tuple(found.values())


def _own(draft: Draft, section: str) -> Iterator[tuple[str, object]]:
    """What the section sets otherwise than its service."""
    for name, value in draft.values_of(section).items():
        if name in ROUTE.inherited:
            yield ROUTE.inherited[name].path, value


def _compare(draft: Draft, section: str, route: RouteSpec, outer: RouteSpec) -> None:
    """A section whose requests the service's own route `outer` would take: conditions are not handed down."""
    if route.subset == outer.subset:
        return
    if _place(route) == _place(outer):
        where = draft.origin(draft.parents[section], "routes")
        message = f"{route} is a route of its service already, with other conditions ({where})"
        draft.complain(section, "match", message, f"write {outer} here, or take it out there")
    elif not route.subset:
        draft.notes.append(
            f"[{section}] match: {route} goes to all instances, though what is round it, {outer}, does not"
        )


def _place(route: RouteSpec) -> tuple[str, str]:
    return route.host, normal_prefix(route.prefix)


def effective(spec: ServiceSpec) -> Mapping[str, str]:
    """Every option that a route may have, as it is in this service (see `ServiceSpec.on`), in the words of the file."""
    return {name: _line(option.kind.show(option.of(spec))) for name, option in ROUTE.inherited.items()}


def own_options(route: RouteSpec) -> Mapping[str, str]:
    """What the section of a route sets, in the words of the file."""
    own = dict(route.options)
    return {
        name: _line(option.kind.show(own[option.path]))
        for name, option in ROUTE.inherited.items()
        if option.path in own
    }


def _line(text: str) -> str:
    line = " ".join(text.split("\n"))
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…"
