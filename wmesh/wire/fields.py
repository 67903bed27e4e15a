"""The field names that a proxy must not simply pass on, and how they are taken out of a head.

A head is never split into fields: one regex finds the few lines that need thought, and what stands between them passes
on as it came, order and spelling kept, in one piece. Nothing is taken apart only to be joined again (bench micro
"heads"). Whoever needs another field asks `value_of`, and pays only then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Special = tuple[bytes, bytes]
"""(name in lower case, value without white space round it)."""

# RFC 9110 section 7.6.1 and RFC 9112 appendix C.2.2: these speak to the next hop only.
_HOP_BY_HOP = (
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
)

CLAIMS = frozenset(
    (
        b"forwarded",
        b"x-envoy-expected-rq-timeout-ms",
        b"x-forwarded-by",
        b"x-forwarded-client-cert",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-method",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-protocol",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-real-ip",
    )
)
"""Fields that say who the client is, what it asked for before us, or how long it waits: believed from trusted proxies
only."""

_REQUEST = (
    *_HOP_BY_HOP,
    b"expect",
    b"host",
    b"http2-settings",
    b"max-forwards",
    b"proxy",  # no field of HTTP: CGI programs would take it for their HTTP_PROXY
    b"proxy-authorization",
    b"x-request-id",
    *CLAIMS,
)
_RESPONSE = (*_HOP_BY_HOP, b"proxy-authenticate", b"x-request-id")


def _finder(names: Iterable[bytes], hyphen: bytes = b"-") -> re.Pattern[bytes]:
    # Grouped by first letter, behind a look at that letter, because that is what lets the engine skip a line at once.
    # From the LF before the line to its CR: what is left, joined, still has a CRLF in each place.
    groups: dict[bytes, list[bytes]] = {}
    for name in names:
        groups.setdefault(name[:1], []).append(name[1:].replace(b"-", hyphen))
    letters = b"".join(sorted(groups))
    branches = (
        b"[%b%b](?i:%b)" % (letter, letter.upper(), b"|".join(sorted(rest, reverse=True)))
        for letter, rest in sorted(groups.items())
    )
    return re.compile(
        b"\\n(?=[%b%b])(%b):[ \\t]*([^\\r\\n]*)\\r" % (letters, letters.upper(), b"|".join(branches))
    )


# CGI, WSGI and their like cannot tell X_Forwarded_For from X-Forwarded-For: found as well, such a spelling is dropped.
REQUEST_SPECIALS = _finder(_REQUEST, hyphen=b"[-_]")
RESPONSE_SPECIALS = _finder(_RESPONSE)
_DATE = re.compile(rb"\n[Dd](?i:ate):")


def has_date(lines: bytes) -> bool:
    return _DATE.search(lines) is not None


_FINDERS: dict[bytes, re.Pattern[bytes]] = {}


def value_of(lines: bytes, name: bytes) -> bytes | None:
    """The value of the first field of this name (any spelling) in `lines`, or None."""
    finder = _FINDERS.get(name)
    if finder is None:
        # Names come from the configuration and from the code: there are few.
        finder = _FINDERS[name] = re.compile(rb"\n(?i:%b):[ \t]*([^\r\n]*)" % re.escape(name))
    match = finder.search(lines)
    return match.group(1).rstrip(b" \t") if match is not None else None


def values_of(lines: bytes, name: bytes) -> list[bytes]:
    """The values of all fields of this name (any spelling) in `lines`, in order."""
    found = re.findall(rb"\n(?i:%b):[ \t]*([^\r\n]*)" % re.escape(name), lines)
    return [value.rstrip(b" \t") for value in found]


Fields = dict[bytes, list[bytes]]
"""By name in lower case, all values in order, without white space round them."""


def all_fields(lines: bytes) -> Fields:
    """For who wants to know most of them; who wants one asks `value_of`."""
    found: Fields = {}
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.lower(), []).append(value.strip(b" \t"))
    return found


_SIMPLE_OPTIONS: dict[bytes, tuple[bytes, ...]] = {
    b"keep-alive": (b"keep-alive",),
    b"Keep-Alive": (b"keep-alive",),
    b"close": (b"close",),
    b"Close": (b"close",),
}


def connection_options(value: bytes) -> tuple[bytes, ...]:
    """The options of one Connection field, lower case."""
    simple = _SIMPLE_OPTIONS.get(value)
    if simple is not None:
        return simple
    return tuple(option for part in value.split(b",") if (option := part.strip(b" \t").lower()))


def without(lines: bytes, names: set[bytes]) -> bytes:
    """`lines` less the fields named by Connection (RFC 9110 section 7.6.1: remove them before forwarding)."""
    kept = [line for line in lines.split(b"\r\n")[1:-1] if line.partition(b":")[0].lower() not in names]
    return b"\r\n".join([b"", *kept, b""])


# RFC 9110 section 6.5.1: fields that frame, route, authenticate or control must not come as trailers.
_NEVER_TRAILERS = frozenset(
    b"authorization cache-control content-encoding content-length content-range content-type cookie date expires host "
    b"if-match if-modified-since if-none-match if-range if-unmodified-since location max-forwards pragma "
    b"proxy-authenticate proxy-authorization range retry-after set-cookie te trailer transfer-encoding vary "
    b"www-authenticate age connection expect keep-alive proxy-connection upgrade via x-request-id".split()
) | CLAIMS


def trailer_lines(lines: bytes) -> bytes:
    """The trailer section to pass on: `lines` are whole field lines, each with its CRLF; those forbidden there go."""
    names = _NEVER_TRAILERS
    kept = [
        line for line in lines.split(b"\r\n")[:-1] if line.partition(b":")[0].lower().replace(b"_", b"-") not in names
    ]
    return b"".join(b"%b\r\n" % line for line in kept)
