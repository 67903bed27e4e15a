"""Which route takes a request: the Host first, then the longest prefix of whole path segments.

Compiled once per configuration: routes of one host are grouped by their first path segment, so that a look-up is one or
two dictionary reads, however many services there are. "/shop" takes "/shop", "/shop/" and "/shop/cart", never
"/shopping". Routes for a host go before routes for any host, whatever the lengths of their prefixes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


def normal_prefix(prefix: str) -> str:
    """Prefixes that mean the same have the same form: no slash at the end, "" for everything."""
    return prefix.rstrip("/")


class _Table(Generic[T]):
    """The routes of one host."""

    def __init__(self) -> None:
        self.root: T | None = None
        self.by_first: dict[bytes, list[tuple[bytes, bytes, T]]] = {}

    def add(self, prefix: bytes, value: T) -> None:
        if not prefix:
            self.root = value
            return
        end = prefix.find(b"/", 1)
        group = self.by_first.setdefault(prefix if end < 0 else prefix[:end], [])
        group.append((prefix, prefix + b"/", value))
        group.sort(key=lambda entry: -len(entry[0]))

    def find(self, path: bytes) -> T | None:
        end = path.find(b"/", 1)
        group = self.by_first.get(path if end < 0 else path[:end])
        if group is not None:
            for prefix, below, value in group:
                if path.startswith(below) or path == prefix:
                    return value
        return self.root


class Router(Generic[T]):
    """`routes` are (host, prefix, value): host lower case or "" for any; value is what `match` answers."""

    def __init__(self, routes: Iterable[tuple[str, str, T]]) -> None:
        self._any: _Table[T] = _Table()
        self._hosts: dict[bytes, _Table[T]] = {}
        for host, prefix, value in routes:
            table = self._hosts.setdefault(host.encode("ascii"), _Table()) if host else self._any
            table.add(normal_prefix(prefix).encode("ascii"), value)

    def match(self, host: bytes, target: bytes) -> T | None:
        """The value of the route for this host name (lower case) and origin-form target, or None."""
        path = target.partition(b"?")[0]
        if self._hosts:
            table = self._hosts.get(host)
            if table is not None:
                found = table.find(path)
                if found is not None:
                    return found
        return self._any.find(path)
