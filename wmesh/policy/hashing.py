"""What a hashing strategy hashes of a request: `hash_on`, taken apart once, when routes are compiled.

    client        the client's address, as trusted proxies vouch for it
    header:NAME   a header field           query:NAME    a parameter of the query
    cookie:NAME   a cookie                 path          the whole path; path:N its Nth segment, from 1

Requests that lack it are hashed by the client's address, so that they too stay together and are spread.
"""

from __future__ import annotations

from collections.abc import Callable

from wmesh.policy.stickiness import cookie_of
from wmesh.wire.fields import value_of
from wmesh.wire.request import RequestHead

KeyOf = Callable[[RequestHead], bytes]


def key_of(hash_on: str) -> KeyOf | None:
    """The function that finds the key in a head (b"": it lacks it); None for the client's address."""
    kind, _, name = hash_on.partition(":")
    wanted = name.encode("latin-1")
    if kind == "header":
        return lambda head: value_of(head.lines, wanted) or b""
    if kind == "cookie":
        return lambda head: cookie_of(head.lines, wanted)
    if kind == "query":
        return lambda head: _parameter(head.target.partition(b"?")[2], wanted)
    if kind == "path":
        number = int(name) if name else 0
        return lambda head: _segment(head.target.partition(b"?")[0], number)
    return None


def _segment(path: bytes, number: int) -> bytes:
    if not number:
        return path
    parts = path.split(b"/", number + 1)
    return parts[number] if len(parts) > number else b""


def _parameter(query: bytes, name: bytes) -> bytes:
    for pair in query.split(b"&"):
        found, _, value = pair.partition(b"=")
        if found == name:
            return value
    return b""
