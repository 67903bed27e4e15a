"""What a name server's answer means: from records to the addresses or services of one name.

Strategy: an answer is a bag of records that a stranger put together. Only those count that belong to the name that was
asked for, or to a name to which its aliases (CNAME) lead; all others are passed over, whatever their type or owner.
So a lookup ends in one of four ways, and the difference between the last two is the point of this file:

    Found      records of the kind that was asked for
    Elsewhere  an alias whose own records were not in the answer: ask for that name
    Absent     the server says that there is nothing (NXDOMAIN, or no record of this kind)
    Failed     the server says nothing that could be used; nothing is known

Services (RFC 2782): of the priorities, the lowest that has any address is used as a whole; the others are for when it
is empty. Weights of 0 to 65535 are mapped onto ours, in proportion. A lone target "." says that there is no service.

Names are compared without case. Pure: how to ask is `wmesh.control.sources`'s business, and what an answer does to what
was known before is `wmesh.policy.naming`'s. Formats: RFC 1035 section 3, RFC 3596 section 2.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wmesh.model import MAX_WEIGHT, Address

A, AAAA, CNAME, SRV = "A", "AAAA", "CNAME", "SRV"

MAX_ALIASES = 16
"""So many aliases in a row are followed."""

_printable_label = re.compile(r"[!-\-/-\[\]-~]{1,63}")


@dataclass(frozen=True, slots=True)
class Service:
    """The content of an SRV record."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Record:
    """`value` is an IP address (A, AAAA), a name (CNAME) or a Service (SRV). `ttl` is seconds."""

    owner: str
    kind: str
    ttl: float
    value: str | Service


@dataclass(frozen=True, slots=True)
class Found:
    """Values without repetition, in the order of the answer. `ttl` is the shortest of all records on the way."""

    values: tuple[str | Service, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """`name` has another name, and that one's records were not sent along."""

    name: str
    ttl: float


@dataclass(frozen=True, slots=True)
class Hosts:
    """The addresses of one machine's or service's name. `problem`: one family could not be asked for."""

    hosts: tuple[str, ...]
    ttl: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """There is nothing, says a server. `final`: and whoever runs the name said so on purpose."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Nobody said anything that could be used."""

    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance is. `weight` is None where the DNS has nothing to say of it."""

    address: Address
    weight: int | None = None


def plain(name: str) -> str:
    """The form in which names are compared."""
    return name.rstrip(".").lower()


def is_name(name: str) -> bool:
    """Whether this can be asked for (RFC 1035 section 2.3.4): labels of 1 to 63 printable characters, 253 in all."""
    name = name.removesuffix(".")
    return len(name) <= 253 and all(_printable_label.fullmatch(label) for label in name.split("."))


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def can_be_reached(host: str) -> bool:
    """Whether one machine can be at this IP address. Filtering resolvers answer 0.0.0.0, to which a connection would
    lead to this very machine."""
    address = ipaddress.ip_address(host)
    return not (address.is_unspecified or address.is_multicast or host == "255.255.255.255")


def read_answer(name: str, kind: str, records: Iterable[Record]) -> Found | Elsewhere | Absent | Failed:
    """What an answer without error says of `name`."""
    records = tuple(records)
    here, passed, ttl = plain(name), set[str](), float("inf")
    while True:
        found = [each for each in records if each.kind == kind and plain(each.owner) == here]
        if found:
            ttl = min(ttl, *(each.ttl for each in found))
            return Found(tuple(dict.fromkeys(each.value for each in found)), ttl)
        passed.add(here)
        alias = next((each for each in records if each.kind == CNAME and plain(each.owner) == here), None)
        if alias is None:
            break
        target = str(alias.value)
        here, ttl = plain(target), min(ttl, alias.ttl)
        if here in passed:
            return Failed(f"the aliases of {name} go round in circles")
        if len(passed) > MAX_ALIASES or not is_name(target):
            return Failed(f"the aliases of {name} lead nowhere")
    if len(passed) > 1:
        return Elsewhere(here, ttl)
    if records:
        # Not "there is nothing": a server that is well does not talk of something else.
        return Failed(f"the answer for {name} holds only other records")
    return Absent(f"{name} has no {kind} record")


def join_families(
    replies: Mapping[str, Found | Absent | Failed], known: Mapping[str, tuple[str, ...]]
) -> Hosts | Absent | Failed:
    """Both families of one name, from the replies by kind (A, AAAA). `known` are the addresses of each from before:
    they stand in for a family that failed, as long as the other one was answered."""
    found = {kind: reply for kind, reply in replies.items() if isinstance(reply, Found)}
    failed = {kind: reply.reason for kind, reply in replies.items() if isinstance(reply, Failed)}
    if found:
        hosts: dict[str, None] = {}
        for kind, reply in replies.items():
            if isinstance(reply, Found):
                hosts.update((str(host), None) for host in reply.values)
            elif isinstance(reply, Failed):
                hosts.update((host, None) for host in known.get(kind, ()))
        return Hosts(tuple(hosts), min(reply.ttl for reply in found.values()), "; ".join(failed.values()))
    if failed:
        return Failed(next(iter(failed.values())))
    return next(reply for reply in replies.values() if isinstance(reply, Absent))


def target_groups(services: Iterable[Service]) -> tuple[tuple[str, ...], ...]:
    """The targets that need addresses, each once, in groups from the best priority on; what cannot be used is not."""
    groups: dict[int, dict[str, None]] = {}
    for each in services:
        if 1 <= each.port <= 65535 and each.target != "." and is_name(each.target):
            groups.setdefault(each.priority, {})[plain(each.target)] = None
    return tuple(tuple(groups[priority]) for priority in sorted(groups))


def no_service(services: Sequence[Service]) -> bool:
    """RFC 2782: a target "." means that the service is decidedly not there."""
    return bool(services) and all(each.target in (".", "") for each in services)


def best_group(services: Iterable[Service], hosts: Mapping[str, Sequence[str]]) -> tuple[Place, ...]:
    """The instances of the lowest priority that has any. `hosts` are the addresses of targets, by their plain name."""
    groups: dict[int, list[Service]] = {}
    for service in services:
        if 1 <= service.port <= 65535 and hosts.get(plain(service.target)):
            groups.setdefault(service.priority, []).append(service)
    if not groups:
        return ()
    group = groups[min(groups)]
    most = max(service.weight for service in group)
    places: dict[Address, int] = {}
    for service in group:
        weight = our_weight(service.weight, most)
        for host in hosts[plain(service.target)]:
            address = Address(host, service.port)
            places[address] = max(weight, places.get(address, 0))
    return tuple(Place(address, weight) for address, weight in places.items())


def our_weight(weight: int, most: int) -> int:
    """1 to 1000 for 0 to 65535, where `most` is the greatest of the group. Small weights are taken as they are."""
    if most > MAX_WEIGHT:
        weight = round(weight * MAX_WEIGHT / most)
    return max(1, weight)
