"""Building heads, and saying in one word what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twisted.trial.unittest import SynchronousTestCase

from wmesh.errors import WireError
from wmesh.wire.limits import Limits
from wmesh.wire.request import RequestHead, read_request, vias, write_request
from wmesh.wire.response import ResponseHead, read_response

LIMITS = Limits()
VIA = vias("mesh")
TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""RFC 9110 section 5.6.2: the bytes of a token."""

ACCEPTED = 0


def block(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"example.com") -> bytes:
    """A request head as `read_request` is given it: without the empty line at its end."""
    named = () if host is None else (b"Host: " + host,)
    return b"".join(part + b"\r\n" for part in (line, *named, *fields))


def read(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"example.com") -> RequestHead:
    return read_request(block(*fields, line=line, host=host), LIMITS)


def written(head: RequestHead, forwarded: bytes = b"") -> bytes:
    """What an instance gets."""
    return write_request(head, head.target, forwarded, VIA, b"id-1")


def relayed(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"example.com") -> dict[bytes, bytes]:
    """What an instance gets of these fields, by name in lower case; what is always there is left out."""
    fields_there = fields_of(written(read(*fields, line=line, host=host)))
    names = [name for name, _ in fields_there]
    if len(set(names)) != len(names):
        raise AssertionError(f"doubled fields: {names}")
    there = dict(fields_there)
    for name in (b"host", b"via", b"x-request-id"):
        del there[name]
    return there


def fields_of(message: bytes) -> list[tuple[bytes, bytes]]:
    """(name in lower case, value) of every field line of a whole head."""
    head, empty, rest = message.partition(b"\r\n\r\n")
    if not empty or rest:
        raise AssertionError(f"not exactly one head: {message!r}")
    pairs = []
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or not TCHAR.issuperset(name):
            raise AssertionError(f"not a field line: {line!r}")
        pairs.append((name.lower(), value.strip(b" \t")))
    return pairs


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", is_head: bool = False) -> ResponseHead:
    return read_response(b"".join(part + b"\r\n" for part in (line, *fields)), is_head, LIMITS.fields)


def verdict(data: bytes, limits: Limits = LIMITS) -> int:
    """ACCEPTED, or the status that refuses this request head."""
    try:
        read_request(data, limits)
    except WireError as fault:
        return fault.status
    return ACCEPTED


class WireTestCase(SynchronousTestCase):
    """A test over tables: every entry is tried, and all that went wrong is told at once."""

    def assert_verdicts(self, table: Mapping[bytes, int]) -> None:
        """`table`: whole head block -> expected verdict."""
        wrong = [
            f"{data!r}: {found}, not {expected}"
            for data, expected in table.items()
            if (found := verdict(data)) != expected
        ]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def assert_fields_refused(self, status: int, *cases: bytes | tuple[bytes, ...], line: bytes) -> None:
        """Each case, one or several field lines, makes a good request with this request line a bad one."""
        fields = [(case,) if isinstance(case, bytes) else case for case in cases]
        self.assert_verdicts({block(*case, line=line): status for case in fields})

    def assert_lines(self, status: int, lines: Iterable[bytes]) -> None:
        """Request lines with good fields behind them."""
        self.assert_verdicts({block(line=line): status for line in lines})
