"""Heads: our reading of one, and the writing of the head for the other side.

The request carries the ten fields of a browser, as the big benchmark sends them; the response is that of its backend.
`whole` is all steps together, as one head on its way through the gateway pays for them; `fields` is that part of the
reading that judges the syntax of the field lines; `dirty` is a request that has fields of every kind that must be
dropped or understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.micro.timing import Timing
from wmesh.wire.forwarded import Peers, forwarded_lines
from wmesh.wire.limits import Limits
from wmesh.wire.request import RequestHead, read_request, vias, write_request
from wmesh.wire.response import ResponseHead, read_response, write_response
from wmesh.wire.syntax import FIELDS

BROWSER = (
    (b"Host", b"127.0.0.1:8000"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"Accept", b"application/json, text/plain, */*"),
    (b"Accept-Language", b"en-GB,en;q=0.8,de;q=0.5"),
    (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    (b"Referer", b"https://shop.example/groceries/vegetables?page=2"),
    (b"Cookie", b"session=9f2c1e7ab34d4c5e8f60718293a4b5c6; theme=dark; consent=1"),
    (b"Sec-Fetch-Dest", b"empty"),
    (b"Sec-Fetch-Mode", b"cors"),
    (b"Sec-Fetch-Site", b"same-origin"),
)
DIRTY = (
    (b"Connection", b"keep-alive, X-Trace"),
    (b"X-Trace", b"1"),
    (b"Keep-Alive", b"timeout=5"),
    (b"X-Forwarded-For", b"203.0.113.7"),
    (b"X-Forwarded-Proto", b"https"),
)
ANSWER = (
    (b"Server", b"nginx/1.31.3"),
    (b"Date", b"Fri, 31 Jan 2025 12:00:00 GMT"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"1024"),
    (b"Connection", b"keep-alive"),
    (b"X-Instance", b"18000"),
    (b"Cache-Control", b"private, max-age=30"),
    (b"Vary", b"Accept-Encoding"),
)
REQUEST_ID = b"4f1c2a9b00000001"
DATE = b"Fri, 31 Jan 2025 12:00:00 GMT"

LIMITS = Limits()
VIA = vias("wmesh")
DIRECT = Peers((), b"http", False)("127.0.0.1")
TRUSTED = Peers((), b"http", False)("unix")


def block(first: bytes, fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """A head without the empty line at its end, which is what `wire` is given."""
    return first + b"\r\n" + b"".join(b"%b: %b\r\n" % field for field in fields)


def read_any_request(data: bytes) -> RequestHead:
    return read_request(data, LIMITS)


def write_direct(head: RequestHead) -> bytes:
    return write_request(head, head.target, forwarded_lines(DIRECT, head), VIA, REQUEST_ID)


def write_trusted(head: RequestHead) -> bytes:
    return write_request(head, head.target, forwarded_lines(TRUSTED, head), VIA, REQUEST_ID)


def read_any_response(data: bytes) -> ResponseHead:
    return read_response(data, False, LIMITS.fields)


def write_any_response(head: ResponseHead) -> bytes:
    return write_response(head, False, VIA, REQUEST_ID, DATE, b"")


def _steps(label: str, names: dict[str, Any], data: bytes) -> Iterator[Timing]:
    lines = data[data.find(b"\r\n") :]
    names |= {"data": data, "lines": lines, "check": FIELDS.check}
    yield Timing(f"{label}: fields", "check(lines)", names)
    yield Timing(f"{label}: read", "read(data)", names)
    yield Timing(f"{label}: write", "write(head)", names)
    yield Timing(f"{label}: whole", "write(read(data))", names)


def timings() -> Iterator[Timing]:
    first = b"GET /walmart-pricing/api/price/12345 HTTP/1.1"
    for label, fields, write in (
        ("request of ten fields", BROWSER, write_direct),
        ("dirty request, untrusted", BROWSER + DIRTY, write_direct),
        ("dirty request, trusted", BROWSER + DIRTY, write_trusted),
    ):
        data = block(first, fields)
        names: dict[str, Any] = {"read": read_any_request, "write": write, "head": read_any_request(data)}
        yield from _steps(label, names, data)
    data = block(b"HTTP/1.1 200 OK", ANSWER)
    names = {"read": read_any_response, "write": write_any_response, "head": read_any_response(data)}
    yield from _steps("response of eight fields", names, data)
