"""The field names that a proxy must not simply pass on, and what kind each is.

A head is read in one loop that looks each name up in a table: `PLAIN` (0, false) means pass it on as it came. The
tables are dictionaries that learn the spellings they meet ("host", "Host", "HOST"), so that no name is lower-cased
twice; how many they learn is bounded, because clients choose the names.
"""

from __future__ import annotations

PLAIN = 0
HOST = 1
CONTENT_LENGTH = 2
TRANSFER_ENCODING = 3
CONNECTION = 4
UPGRADE = 5
TE = 6
EXPECT = 7
DROP = 8
CLAIM = 9
"""Says who the client is or what it asked for before us: believed from trusted proxies only."""
REQUEST_ID = 10
MAX_FORWARDS = 11
DATE = 12

LEARN_LIMIT = 1024


class Kinds(dict[bytes, int]):
    """name as spelled -> kind. Only `known` (lower case) names have one; any other is PLAIN."""

    def __init__(self, known: dict[bytes, int]) -> None:
        super().__init__(known)
        self._known = known

    def __missing__(self, name: bytes) -> int:
        kind = self._known.get(name.lower(), PLAIN)
        if len(self) < LEARN_LIMIT:
            self[name] = kind
        return kind


# RFC 9110 section 7.6.1 and RFC 9112 appendix C.2.2: these speak to the next hop only.
_HOP_BY_HOP = {
    b"connection": CONNECTION,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"te": TE,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"content-length": CONTENT_LENGTH,
    b"upgrade": UPGRADE,
}

REQUEST_KINDS = Kinds(
    {
        **_HOP_BY_HOP,
        b"host": HOST,
        b"expect": EXPECT,
        b"proxy-authorization": DROP,
        b"http2-settings": DROP,
        b"max-forwards": MAX_FORWARDS,
        b"x-request-id": REQUEST_ID,
        b"forwarded": CLAIM,
        b"x-forwarded-for": CLAIM,
        b"x-forwarded-proto": CLAIM,
        b"x-forwarded-host": CLAIM,
        b"x-forwarded-port": CLAIM,
        b"x-forwarded-server": CLAIM,
        b"x-forwarded-prefix": CLAIM,
        b"x-real-ip": CLAIM,
    }
)

RESPONSE_KINDS = Kinds(
    {
        **_HOP_BY_HOP,
        b"proxy-authenticate": DROP,
        b"x-request-id": DROP,
        b"date": DATE,
    }
)

# RFC 9110 section 6.5.1: fields that frame, route, authenticate or control must not come as trailers.
_NEVER_TRAILERS = frozenset(
    b"authorization cache-control content-encoding content-length content-range content-type cookie date expires host "
    b"if-match if-modified-since if-none-match if-range if-unmodified-since location max-forwards pragma "
    b"proxy-authenticate proxy-authorization range retry-after set-cookie te trailer transfer-encoding vary "
    b"www-authenticate age expect upgrade via".split()
)


def trailer_lines(fields: list[tuple[bytes, bytes]], kinds: Kinds) -> bytes:
    """The trailer section to send after the last chunk, without the empty line; fields that must not be there go."""
    return b"".join(
        b"%b: %b\r\n" % field for field in fields if not kinds[field[0]] and field[0].lower() not in _NEVER_TRAILERS
    )


_SIMPLE_OPTIONS: dict[bytes, tuple[bytes, ...]] = {
    b"keep-alive": (),
    b"Keep-Alive": (),
    b"close": (b"close",),
    b"Close": (b"close",),
}


def connection_options(value: bytes) -> tuple[bytes, ...]:
    """The options of one Connection field, lower case; "keep-alive" is left out, for it is the default we compute."""
    simple = _SIMPLE_OPTIONS.get(value)
    if simple is not None:
        return simple
    options = (option.strip(b" \t").lower() for option in value.split(b","))
    return tuple(option for option in options if option and option != b"keep-alive")


def without(fields: list[tuple[bytes, bytes]], names: set[bytes]) -> list[tuple[bytes, bytes]]:
    """`fields` less those named by Connection (RFC 9110 section 7.6.1: remove them before forwarding)."""
    return [field for field in fields if field[0].lower() not in names]
