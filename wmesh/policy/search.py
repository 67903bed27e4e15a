"""What /etc/resolv.conf and /etc/hosts say, read as every program of the machine reads them.

Strategy: text in, plain values out. Of resolv.conf (resolv.conf(5)) count the name servers, the search list and
`ndots`; of hosts (hosts(5)) the addresses of one name. Lines that make no sense are passed over: these files are not
ours, and every other program of the machine lives with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wmesh.model import Address
from wmesh.policy.records import can_be_reached, is_address, is_name, plain

DNS_PORT = 53
LOCAL = ("127.0.0.1",)


@dataclass(frozen=True, slots=True)
class ResolverConf:
    """`search` are the domains that are tried behind a name with fewer than `ndots` dots."""

    servers: tuple[Address, ...] = (Address("127.0.0.1", DNS_PORT),)
    search: tuple[str, ...] = ()
    ndots: int = 1


def read_resolver_conf(text: str) -> ResolverConf:
    """Without a name server, it is the one of this machine. The last `search` or `domain` counts."""
    servers: list[Address] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        keyword, *values = re.split(r"[#;]", line)[0].split() or [""]
        if keyword == "nameserver" and values and is_address(values[0]):
            servers.append(Address(values[0], DNS_PORT))
        elif keyword in ("search", "domain"):
            search = tuple(plain(each) for each in values if is_name(each))
        elif keyword == "options":
            for value in values:
                if match := re.fullmatch(r"ndots:([0-9]{1,3})", value):
                    ndots = min(int(match[1]), 15)
    return ResolverConf(tuple(servers) or ResolverConf().servers, search, ndots)


def candidates(name: str, conf: ResolverConf) -> tuple[str, ...]:
    """The full names that a name may mean, in the order in which they are tried. A dot at the end makes it full."""
    if name.endswith("."):
        return (plain(name),)
    longer = tuple(full for domain in conf.search if is_name(full := f"{plain(name)}.{domain}"))
    return (plain(name), *longer) if name.count(".") >= conf.ndots else (*longer, plain(name))


def hosts_of(name: str, text: str) -> tuple[str, ...]:
    """The addresses of a name in a hosts file; () if it is not there. Localhost is always there (RFC 6761).

    A line there is about one machine, so one family is enough: IPv4 where there is any. Otherwise a `localhost` of
    both families would be two instances, one of which nobody listens at.
    """
    wanted = plain(name)
    found: dict[str, None] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if wanted in (plain(each) for each in names) and is_address(address) and can_be_reached(address):
            found[address] = None
    if not found and (wanted == "localhost" or wanted.endswith(".localhost")):
        return LOCAL
    return tuple(each for each in found if ":" not in each) or tuple(found)
