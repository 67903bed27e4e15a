"""Which requests an answer is good for: Vary, and the values it names (RFC 9111 section 4.1).

Values are compared as what they mean, as far as that is known: several lines are one list, white space round commas is
nothing, and in the two lists of preferences that every browser sends, neither case nor the order of equals counts.
Beyond equality, an answer that says in which language it is serves whoever prefers that language to all others.
"""

from __future__ import annotations

import re

from wmesh.wire.fields import CLAIMS, Fields, values_of

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# What the gateway takes out of a head, or makes anew, cannot be compared. But for two: they are part of the key.
_UNSEEN = (CLAIMS - {b"x-forwarded-host", b"x-forwarded-proto"}) | {
    b"connection",
    b"content-length",
    b"expect",
    b"max-forwards",
    b"proxy-authorization",
    b"te",
    b"transfer-encoding",
    b"upgrade",
    b"via",
    b"x-request-id",
}
_IN_KEY = (b"host", b"x-forwarded-host", b"x-forwarded-proto")

_PREFERENCES = (b"accept-language", b"accept-encoding")

Names = tuple[bytes, ...]


def vary_names(fields: Fields) -> Names | None:
    """The fields that the answer depends on, lower case, in order; None: on something that cannot be compared."""
    values = fields.get(b"vary")
    if values is None:
        return ()
    names: set[bytes] = set()
    for value in values:
        for part in value.split(b","):
            name = part.strip(b" \t").lower()
            if not name:
                continue
            if name == b"*" or name in _UNSEEN or _NAME.fullmatch(name) is None:
                return None
            if name not in _IN_KEY:
                names.add(name)
    return tuple(sorted(names))


def variant_key(lines: bytes, names: Names) -> bytes:
    """What a request with these lines says in the fields of these names, so that equal meanings are equal bytes."""
    return b"\n".join(b"%b:%b" % (name, _meaning(lines, name)) for name in names)


def _meaning(lines: bytes, name: bytes) -> bytes:
    values = values_of(lines, name)
    if not values:
        return b"\0"  # no value looks like this
    if name in _PREFERENCES:
        return b",".join(sorted(b"%b;%b" % pair for pair in _preferences(values)))
    parts = [part.strip(b" \t") for value in values for part in _split(value)]
    return b",".join(parts)


def _split(value: bytes) -> list[bytes]:
    # A comma inside quotes is none; where there are quotes, nothing is taken apart.
    return [value] if b'"' in value else value.split(b",")


def _preferences(values: list[bytes]) -> list[tuple[bytes, bytes]]:
    """(what, its weight as it was written, "" for the highest) of each part, in lower case."""
    found = []
    for part in b",".join(values).lower().split(b","):
        what, _, weight = part.partition(b";")
        what, weight = what.strip(b" \t"), weight.replace(b" ", b"").replace(b"\t", b"")
        if what:
            found.append((what, b"" if weight in (b"q=1", b"q=1.0", b"q=1.00", b"q=1.000") else weight))
    return found


def favourite(lines: bytes) -> bytes:
    """The one language that a request prefers to all others, lower case; empty if there is no such."""
    best, second, name = 0.0, 0.0, b""
    for what, weight in _preferences(values_of(lines, b"accept-language")):
        try:
            worth = float(weight[2:]) if weight[:2] == b"q=" else 1.0
        except ValueError:
            return b""
        if worth > best:
            best, second, name = worth, best, what
        else:
            second = max(second, worth)
    return name if best > second and name != b"*" else b""
