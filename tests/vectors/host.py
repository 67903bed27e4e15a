"""Whom a request is for: the Host field and the authority of an absolute target (RFC 9112 section 3.2, RFC 9110
section 7.2)."""

from __future__ import annotations

from tests.vectors.vector import BAD, Reached, RequestVector, either, head, passes, refused

NOWHERE = frozenset((400, 404, 421))

_GOOD = {
    "name": b"shop.example.com",
    "port": b"shop.example.com:8080",
    "empty-port": b"x:",
    "upper-case": b"SHOP",
    "ipv4": b"192.0.2.1",
    "ipv6": b"[2001:db8::1]",
    "ipv6-port": b"[2001:db8::1]:81",
    "trailing-dot": b"example.com.",
    "underscore": b"a_b.example.com",
    "hyphen": b"a-b",
}

_BAD = {
    "space": b"a b",
    "slash": b"a/b",
    "backslash": b"a\\b",
    "userinfo": b"a@b",
    "url": b"http://x",
    "query": b"x?a",
    "fragment": b"x#a",
    "port-word": b"x:http",
    "port-negative": b"x:-1",
    "two-ports": b"x:80:81",
    "ipv6-open": b"[::1",
    "ipv6-bare": b"::1",
    "ipv6-and-more": b"[::1]x",
    "brackets": b"[x]",
    "quoted": b'"x"',
    "angle": b"<x>",
    "latin-1": b"\xe9",
    "utf-8": "é".encode(),
    "nul": b"x\x00",
    "control": b"x\x01y",
    "tab": b"x\ty",
    "list": b"x, y",
    "percent-bad": b"x%zz",
    "caret": b"x^y",
    "braces": b"{x}",
    "pipe": b"x|y",
}

VECTORS: tuple[RequestVector, ...] = (
    *(passes(f"host-{name}", "9110 7.2", head(host=b"Host: " + value), Reached()) for name, value in _GOOD.items()),
    *(refused(f"host-{name}", "9112 3.2", head(host=b"Host: " + value), BAD) for name, value in _BAD.items()),
    refused("host-missing", "9112 3.2", head(host=None)),
    refused("host-missing-of-post", "9112 3.2", head(b"Content-Length: 0", line=b"POST / HTTP/1.1", host=None)),
    refused("host-missing-of-absolute", "9112 3.2", head(line=b"GET http://x/ HTTP/1.1", host=None)),
    refused("host-twice", "9112 3.2", head(b"Host: y")),
    refused("host-twice-alike", "9112 3.2", head(b"Host: x")),
    refused("host-twice-apart", "9112 3.2", head(b"X-A: a", b"hOsT: y")),
    refused("host-twice-one-empty", "9112 3.2", head(b"Host:")),
    refused("host-twice-of-absolute", "9112 3.2", head(b"Host: y", line=b"GET http://x/ HTTP/1.1")),
    refused("host-twice-of-http-1.0", "9112 3.2", head(b"Host: y", line=b"GET / HTTP/1.0")),
    refused("host-bad-of-absolute", "9112 3.2", head(line=b"GET http://x/ HTTP/1.1", host=b"Host: a@b")),
    either("host-empty", "9112 3.2", head(host=b"Host:"), Reached(), statuses=NOWHERE),
    either("host-port-alone", "9112 3.2", head(host=b"Host: :80"), Reached(), statuses=NOWHERE),
    either("host-port-too-great", "9112 3.2", head(host=b"Host: x:99999"), Reached(), statuses=NOWHERE),
    either("host-dots", "9112 3.2", head(host=b"Host: .."), Reached(), statuses=NOWHERE),
    either("host-folded", "9112 5.2", head(host=b"Host:\r\n x"), Reached(fields={b"host": b"x"})),
    refused("host-folded-name", "9112 5.2", head(host=b"Host: x\r\n y")),
    refused("host-with-underscore", "9112 3.2", head(host=b"Host_: x")),
    passes("host-without-space", "9112 5", head(host=b"Host:x"), Reached(), keeps=True),
    passes("host-spaces", "9112 5", head(host=b"Host: \t x \t"), Reached(), keeps=True),
    passes("host-last", "9112 5", head(b"X-A: a", b"Host: x", host=None), Reached()),
    passes("host-missing-of-http-1.0", "9112 3.2", head(line=b"GET / HTTP/1.0", host=None), Reached()),
    either(
        "host-other-than-absolute",
        "9112 3.2.2",
        head(line=b"GET http://x/ HTTP/1.1", host=b"Host: evil"),
        Reached(targets=(b"/",), fields={b"host": b"x"}),
    ),
    either(
        "host-other-than-absolute-port",
        "9112 3.2.2",
        head(line=b"GET http://x:81/ HTTP/1.1"),
        Reached(targets=(b"/",), fields={b"host": b"x:81"}),
    ),
    either(
        "host-empty-of-absolute",
        "9112 3.2.2",
        head(line=b"GET http://x/ HTTP/1.1", host=b"Host:"),
        Reached(targets=(b"/",), fields={b"host": b"x"}),
    ),
)
