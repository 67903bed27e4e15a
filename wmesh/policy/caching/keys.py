"""What an answer is stored under: the service, and the URI as the client asked for it (RFC 9111 section 2).

And what follows from URIs: which stored answers an unsafe request makes worthless (RFC 9111 section 4.4), and which of
them an operator means when he wants some thrown away.
"""

from __future__ import annotations

from wmesh.errors import WireError
from wmesh.wire.fields import value_of
from wmesh.wire.target import split_absolute

SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PROPFIND", b"QUERY", b"REPORT", b"SEARCH", b"TRACE"))
"""RFC 9110 section 9.2.1, and the registry of methods."""


def key_of(service: bytes, scheme: bytes, host: bytes, target: bytes, more: bytes = b"") -> bytes:
    """`host` as in the Host field, with its port, `target` in origin-form; `more` is what else an instance is told of
    the URL. The service and that stand before the first space, the URL behind it.
    """
    if more:
        return b"%b\t%b %b://%b%b" % (service, more, scheme, host.lower(), target)
    return b"%b %b://%b%b" % (service, scheme, host.lower(), target)


def service_of(key: bytes) -> bytes:
    return key.partition(b" ")[0].partition(b"\t")[0]


def worthless(key: bytes, status: int, lines: bytes) -> list[bytes]:
    """The keys that an unsafe request to the URI of `key` makes worthless, when it is answered so."""
    if not 200 <= status < 400:
        return []
    keys = [key]
    for name in (b"location", b"content-location"):
        value = value_of(lines, name)
        other = _same_origin(key, value) if value else None
        if other is not None and other not in keys:
            keys.append(other)
    return keys


def _same_origin(key: bytes, reference: bytes) -> bytes | None:
    """The key of what a URI reference means; None if it is of another origin, or cannot be read."""
    service, _, uri = key.partition(b" ")
    scheme, _, rest = uri.partition(b"://")
    host, slash, path = rest.partition(b"/")
    reference = reference.partition(b"#")[0]
    if reference[:2] == b"//":
        reference = scheme + b":" + reference
    if b"://" in reference.partition(b"?")[0]:
        own = reference.partition(b"://")[0].lower()
        try:
            other, target = split_absolute(reference)
        except WireError:
            return None
        return key_of(service, scheme, host, target) if (own, other.lower()) == (scheme, host) else None
    if reference[:1] == b"/":
        return key_of(service, scheme, host, reference)
    if not reference or reference[:1] == b"?":
        base = (slash + path).partition(b"?")[0]
        return key_of(service, scheme, host, base + reference if reference else slash + path)
    return key_of(service, scheme, host, _resolved((slash + path).partition(b"?")[0], reference))


def _resolved(base: bytes, reference: bytes) -> bytes:
    """A path relative to another one, without dot segments (RFC 3986 section 5.2)."""
    path, question, query = reference.partition(b"?")
    segments = base.split(b"/")[1:-1] + path.split(b"/")
    kept: list[bytes] = []
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
            continue
        if last:
            kept.append(b"")
    return b"/" + b"/".join(kept) + question + query


def covers(key: bytes, prefix: bytes) -> bool:
    """Does a key lie under an operator's URL, or beginning of one: "/path" (of any host) or "http://host/path"?"""
    uri = key.partition(b" ")[2]
    if prefix[:1] == b"/":
        host_and_path = uri.partition(b"://")[2]
        return host_and_path[host_and_path.find(b"/") :].startswith(prefix)
    return uri.startswith(prefix)


def equals(key: bytes, url: bytes) -> bool:
    """Is a key that of an operator's URL: "/path" (of any host), or "http://host/path"?"""
    uri = key.partition(b" ")[2]
    if url[:1] == b"/":
        host_and_path = uri.partition(b"://")[2]
        return host_and_path[host_and_path.find(b"/") :] == url
    return uri == url
