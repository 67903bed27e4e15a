"""From a declared name to its instances, by as many questions as it takes.

Strategy: `dns:NAME:PORT` asks for A and AAAA side by side, `srv:NAME` for SRV and then for the addresses of those
targets that the answer did not bring along, best priority first and no further than needed. /etc/hosts comes before
the DNS, and the search list of /etc/resolv.conf is honoured, so that a name means here what it means to every other
program of the machine; both files are read again for every lookup. Name servers of the configuration replace those of
resolv.conf, and its search list with them.

A `Lookup` belongs to one entry and remembers the addresses that it found last, by name and family: where only a part of
the questions fails, that part stays as it was. What comes out is a value: `Answer`, `Absent` or `Failed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults

from wmesh.control.sources.question import Questions, Reply
from wmesh.model import Address, NamedInstances
from wmesh.policy.naming import Answer, Outcome
from wmesh.policy.records import (
    AAAA,
    SRV,
    A,
    Absent,
    Elsewhere,
    Failed,
    Found,
    Hosts,
    Place,
    Record,
    Service,
    best_group,
    is_address,
    join_families,
    no_service,
    plain,
    read_answer,
    target_groups,
)
from wmesh.policy.search import ResolverConf, candidates, hosts_of, read_resolver_conf

HOSTS_TTL = 10.0
"""Seconds after which a name of /etc/hosts is looked up again."""

HOPS = 8
"""So many times an alias is asked for whose own records did not come along."""


class Resolver:
    """What all lookups share: the servers, and the two files. `servers`: those of the configuration, if any."""

    def __init__(
        self,
        questions: Questions,
        servers: Sequence[Address] = (),
        hosts: str = "/etc/hosts",
        resolv_conf: str = "/etc/resolv.conf",
    ) -> None:
        self._questions = questions
        self._servers = tuple(servers)
        self._hosts = Path(hosts)
        self._resolv_conf = Path(resolv_conf)

    def hosts(self, name: str) -> tuple[str, ...]:
        """The addresses in /etc/hosts."""
        return hosts_of(name, _text(self._hosts))

    async def ask(self, name: str, kind: str) -> tuple[Found | Absent | Failed, tuple[Record, ...]]:
        """What the name servers say, and the records they sent along. Aliases and search list are followed."""
        conf = ResolverConf(self._servers) if self._servers else read_resolver_conf(_text(self._resolv_conf))
        first: Absent | None = None
        for full in candidates(name, conf):
            found, additional = await self._follow(conf.servers, full, kind)
            if not isinstance(found, Absent):
                # A failure ends it as well: what comes behind in the list may be another service of the same name.
                return found, additional
            first = first or found
        return first or Failed(f"{name} is no name"), ()

    async def _follow(
        self, servers: Sequence[Address], name: str, kind: str
    ) -> tuple[Found | Absent | Failed, tuple[Record, ...]]:
        ttl = float("inf")
        here = name
        for _ in range(HOPS):
            reply = await self._questions.ask(servers, here, kind)
            if not isinstance(reply, Reply):
                return reply, ()
            found = read_answer(here, kind, reply.answers)
            if isinstance(found, Found):
                return Found(found.values, min(ttl, found.ttl)), reply.additional
            if not isinstance(found, Elsewhere):
                return found, ()
            here, ttl = found.name, min(ttl, found.ttl)
        return Failed(f"the aliases of {name} lead nowhere"), ()


def _text(path: Path) -> str:
    """A file that is not there says nothing."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


class Lookup:
    """Looks one entry up, as often as asked."""

    def __init__(self, resolver: Resolver, wanted: NamedInstances) -> None:
        self._resolver = resolver
        self._wanted = wanted
        self._known: dict[str, dict[str, tuple[str, ...]]] = {}
        self._known_hosts: dict[str, tuple[str, ...]] = {}

    async def __call__(self) -> Outcome:
        wanted = self._wanted
        if wanted.port is None:
            return await self._services(wanted.name)
        found = await self._host(wanted.name)
        if not isinstance(found, Hosts):
            return found
        places = tuple(Place(Address(host, wanted.port), wanted.weight) for host in found.hosts)
        return Answer(places, found.ttl, found.problem)

    async def _host(self, name: str) -> Hosts | Absent | Failed:
        if local := self._resolver.hosts(name):
            return Hosts(local, HOSTS_TTL)
        kinds = (A, AAAA)
        asked = [Deferred.fromCoroutine(self._resolver.ask(name, kind)) for kind in kinds]
        answers = await gatherResults(asked, consumeErrors=True)
        replies = {kind: found for kind, (found, _) in zip(kinds, answers, strict=True)}
        known = self._known.setdefault(plain(name), {})
        joined = join_families(replies, known)
        if isinstance(joined, Hosts):
            # Kept only from lookups that found something: two denials in a row are not two families gone.
            known.update(
                {
                    kind: tuple(map(str, reply.values)) if isinstance(reply, Found) else ()
                    for kind, reply in replies.items()
                    if not isinstance(reply, Failed)
                }
            )
        return joined

    async def _services(self, name: str) -> Outcome:
        found, additional = await self._resolver.ask(name, SRV)
        if not isinstance(found, Found):
            return found
        services = [each for each in found.values if isinstance(each, Service)]
        if no_service(services):
            return Absent(f"{name} says that there is no such service (target .)", final=True)
        hosts: dict[str, tuple[str, ...]] = {}
        ttl = found.ttl
        problems: list[str] = []
        for group in target_groups(services):
            results = await gatherResults(
                [Deferred.fromCoroutine(self._target(target, additional)) for target in group], consumeErrors=True
            )
            for target, result in zip(group, results, strict=True):
                if isinstance(result, Hosts):
                    hosts[target] = self._known_hosts[target] = result.hosts
                    ttl = min(ttl, result.ttl)
                    problems += filter(None, [result.problem])
                elif isinstance(result, Failed):
                    hosts[target] = self._known_hosts.get(target, ())
                    problems.append(result.reason)
            if places := best_group(services, hosts):
                self._forget(services)
                return Answer(places, ttl, "; ".join(problems[:3]))
        return Failed("; ".join(problems[:3])) if problems else Absent(f"no target of {name} has an address")

    async def _target(self, target: str, additional: Sequence[Record]) -> Hosts | Absent | Failed:
        mine = [each for each in additional if plain(each.owner) == target and each.kind in (A, AAAA)]
        if mine:
            return Hosts(tuple(dict.fromkeys(str(each.value) for each in mine)), min(each.ttl for each in mine))
        if is_address(target):
            return Hosts((target,), HOSTS_TTL)
        return await self._host(target)

    def _forget(self, services: Sequence[Service]) -> None:
        """Targets come and go; what is remembered of them must not grow for ever."""
        named: Callable[[str], bool] = {plain(each.target) for each in services}.__contains__
        self._known = {name: known for name, known in self._known.items() if named(name)}
        self._known_hosts = {name: known for name, known in self._known_hosts.items() if named(name)}
