"""Request lines: methods, targets in their four forms, versions (RFC 9112 sections 2.3 and 3, RFC 3986)."""

from __future__ import annotations

from tests.vectors.vector import (
    BAD,
    CUT,
    TOO_MUCH,
    Reached,
    RequestVector,
    either,
    head,
    passes,
    refused,
)

VERSION = frozenset((400, 426, 505))
METHOD = frozenset((400, 403, 404, 405, 501))
MOVED = frozenset((301, 302, 307, 308, 400, 403, 404))
"""A gateway may send the client to the resolved path."""


def to(target: bytes, *, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return head(line=b" ".join((method, target, version)))


def at(*targets: bytes, method: bytes = b"GET", host: bytes | None = None) -> Reached:
    return Reached(method, targets, fields={} if host is None else {b"host": host})


_GOOD_TARGETS = {
    "root": b"/",
    "path": b"/a/b/c",
    "query": b"/a?b=c&d",
    "empty-query": b"/a?",
    "query-with-slashes": b"/a?b=/../c",
    "percent": b"/a%20b",
    "percent-lower-case": b"/a%c3%a9",
    "sub-delims": b"/!$&'()*+,;=:@-._~",
    "query-in-query": b"/a?b?c",
    "dots-in-names": b"/a..b/.c/d.",
}

_PATHS = {
    "dot-segments": (b"/a/../b", b"/b"),
    "dot-segments-above-root": (b"/../../etc/passwd", b"/etc/passwd"),
    "dot-segment-at-the-end": (b"/a/..", b"/"),
    "one-dot": (b"/a/./b", b"/a/b"),
    "dots-encoded": (b"/a/%2e%2e/b", b"/b"),
    "dots-encoded-upper-case": (b"/a/%2E%2E/b", b"/b"),
    "dots-half-encoded": (b"/a/.%2e/b", b"/b"),
    "slash-encoded": (b"/a/..%2fb", b"/b"),
    "dots-with-parameter": (b"/a/..;/b", b"/a/..;/b"),
    "slashes": (b"//evil/a", b"/evil/a"),
    "three-slashes": (b"/a///b", b"/a/b"),
    "nul-encoded": (b"/a%00b", b"/a%00b"),
    "line-break-encoded": (b"/a%0d%0aX:%20b", b"/a%0d%0aX:%20b"),
    "percent-alone": (b"/a%", b"/a%25"),
    "percent-bad": (b"/a%zz", b"/a%25zz"),
    "percent-twice": (b"/a/%252e%252e/b", b"/a/%252e%252e/b"),
    "brackets": (b"/a[b]", b"/a%5Bb%5D"),
    "browser-signs": (b"/a|b?c={d}", b"/a%7Cb?c=%7Bd%7D"),
}
"""Good by the grammar or by habit: as it came or resolved, both are right, and so is refusing."""

_BAD_TARGETS = {
    "word": b"a",
    "query-alone": b"?a",
    "empty-scheme": b"://x/",
    "no-authority": b"http:///a",
    "scheme-alone": b"http:",
    "one-slash": b"http:/x/",
    "port-bad": b"http://x:abc/",
    "port-too-great": b"http://x:99999/",
    "port-negative": b"http://x:-1/",
    "brackets-open": b"http://[::1/",
    "nul": b"/a\x00b",
    "control": b"/a\x01b",
    "delete": b"/a\x7fb",
    "tab": b"/a\tb",
    "cr": b"/a\rb",
    "form-feed": b"/a\x0cb",
    "vertical-tab": b"/a\x0bb",
    "space": b"/a b",
    "fragment-alone": b"#a",
    "backslash-first": b"\\a",
    "asterisk-and-more": b"*a",
}

_VERSIONS = {
    "lower-case": b"http/1.1",
    "mixed-case": b"Http/1.1",
    "2.0": b"HTTP/2.0",
    "3.0": b"HTTP/3.0",
    "0.9": b"HTTP/0.9",
    "1": b"HTTP/1",
    "1.": b"HTTP/1.",
    ".1": b"HTTP/.1",
    "1.10": b"HTTP/1.10",
    "11.1": b"HTTP/11.1",
    "01.1": b"HTTP/01.1",
    "comma": b"HTTP/1,1",
    "minus": b"HTTP/-1.1",
    "plus": b"HTTP/1.+1",
    "letter": b"HTTP/1.a",
    "space": b"HTTP/ 1.1",
    "space-before-slash": b"HTTP /1.1",
    "other-name": b"HTPT/1.1",
    "twice": b"HTTP/1.1 HTTP/1.1",
    "and-more": b"HTTP/1.1x",
    "nul": b"HTTP/1.1\x00",
    "full-width": "HTTP/１.1".encode(),
    "https": b"HTTPS/1.1",
    "rtsp": b"RTSP/1.0",
}

_METHODS = {
    "parenthesis": b"G(T",
    "nul": b"G\x00T",
    "control": b"G\x01T",
    "colon": b"GET:",
    "quoted": b'"GET"',
    "latin-1": b"G\xc9T",
    "slash": b"G/T",
    "at-sign": b"G@T",
    "empty": b"",
}

VECTORS: tuple[RequestVector, ...] = (
    *(passes(f"target-{name}", "9112 3.2.1", to(target), at(target)) for name, target in _GOOD_TARGETS.items()),
    *(
        either(f"path-{name}", "3986 3.3", to(path), at(path, clean), statuses=MOVED)
        for name, (path, clean) in _PATHS.items()
    ),
    *(
        refused(f"target-{name}", "9112 3.2", to(target), MOVED - {301, 302, 307, 308})
        for name, target in _BAD_TARGETS.items()
    ),
    either("target-fragment", "9112 3.2", to(b"/a#b"), at(b"/a")),
    either("target-fragment-of-query", "9112 3.2", to(b"/a?b#c"), at(b"/a?b")),
    either("target-backslash", "3986 3.3", to(b"/a\\..\\b"), at(b"/a%5C..%5Cb")),
    either("target-utf-8", "3986 2.1", to("/é".encode()), at(b"/%C3%A9", b"/%c3%a9")),
    either("target-latin-1", "3986 2.1", to(b"/\xe9"), at(b"/%E9", b"/%e9")),
    refused("target-too-long", "9112 3", to(b"/" + b"a" * 300_000), TOO_MUCH),
    passes("target-of-4000-bytes", "9112 3", to(b"/" + b"a" * 4000), at(b"/" + b"a" * 4000)),
    passes("absolute", "9112 3.2.2", to(b"http://x/a?b"), at(b"/a?b", b"http://x/a?b", host=b"x")),
    passes("absolute-upper-case", "3986 3.1", to(b"HTTP://x/a"), at(b"/a", b"HTTP://x/a", b"http://x/a", host=b"x")),
    passes("absolute-without-path", "9112 3.2.2", to(b"http://x"), at(b"/", b"http://x", b"http://x/", host=b"x")),
    passes(
        "absolute-with-query-only",
        "9112 3.2.1",
        to(b"http://x?a"),
        at(b"/?a", b"http://x?a", b"http://x/?a", host=b"x"),
    ),
    passes(
        "absolute-with-port",
        "9112 3.2.2",
        head(line=b"GET http://x:81/ HTTP/1.1", host=b"Host: x:81"),
        at(b"/", b"http://x:81/", host=b"x:81"),
    ),
    passes(
        "absolute-ipv6",
        "9112 3.2.2",
        head(line=b"GET http://[::1]/ HTTP/1.1", host=b"Host: [::1]"),
        at(b"/", b"http://[::1]/", host=b"[::1]"),
    ),
    either(
        "absolute-https",
        "9110 7.4",
        to(b"https://x/"),
        at(b"/", b"https://x/", host=b"x"),
        statuses=frozenset((400, 421)),
    ),
    either("absolute-userinfo", "9110 4.2.4", to(b"http://user:pass@x/"), at(b"/", host=b"x")),
    either("absolute-userinfo-like-host", "9110 4.2.4", to(b"http://x@evil/"), at(b"/", host=b"evil")),
    either("absolute-fragment", "9112 3.2.2", to(b"http://x/a#b"), at(b"/a", host=b"x")),
    either(
        "absolute-dot-segments",
        "3986 3.3",
        to(b"http://x/a/../b"),
        at(b"/b", b"/a/../b", b"http://x/a/../b", b"http://x/b"),
        statuses=MOVED,
    ),
    refused("absolute-ftp", "9112 3.2.2", to(b"ftp://x/"), METHOD),
    refused("absolute-javascript", "9112 3.2.2", to(b"javascript:alert(1)"), METHOD),
    refused("authority-of-get", "9112 3.2.3", to(b"x:80")),
    refused("connect", "9110 9.3.6", head(line=b"CONNECT x:80 HTTP/1.1", host=b"Host: x:80"), METHOD),
    refused("connect-path", "9110 9.3.6", to(b"/", method=b"CONNECT"), METHOD),
    refused("asterisk-of-get", "9112 3.2.4", to(b"*")),
    either(
        "asterisk-of-options",
        "9112 3.2.4",
        to(b"*", method=b"OPTIONS"),
        at(b"*", method=b"OPTIONS"),
        statuses=METHOD | {200, 204},
    ),
    passes("options", "9110 9.3.7", to(b"/a", method=b"OPTIONS"), at(b"/a", method=b"OPTIONS")),
    passes("head", "9110 9.3.2", to(b"/a", method=b"HEAD"), at(b"/a", method=b"HEAD")),
    passes("patch", "5789", to(b"/a", method=b"PATCH"), at(b"/a", method=b"PATCH")),
    either("trace", "9110 9.3.8", to(b"/", method=b"TRACE"), at(b"/", method=b"TRACE"), statuses=METHOD),
    either("method-lower-case", "9110 9.1", to(b"/", method=b"get"), at(b"/", method=b"get"), statuses=METHOD),
    either("method-unknown", "9110 9.1", to(b"/", method=b"FOO"), at(b"/", method=b"FOO"), statuses=METHOD),
    either(
        "method-too-long",
        "9112 3",
        to(b"/", method=b"A" * 5000),
        at(b"/", method=b"A" * 5000),
        statuses=METHOD | TOO_MUCH,
    ),
    *(refused(f"method-{name}", "9110 9.1", to(b"/", method=method), METHOD) for name, method in _METHODS.items()),
    either("spaces-two-first", "9112 3", b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", at(b"/")),
    either("spaces-two-second", "9112 3", b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n", at(b"/"), statuses=VERSION),
    either("space-before-method", "9112 3", b" " + head(), at(b"/"), statuses=METHOD),
    either("space-behind-version", "9112 3", b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", at(b"/"), statuses=VERSION),
    either("tabs-for-spaces", "9112 3", b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", at(b"/"), statuses=METHOD),
    refused("no-target", "9112 3", b"GET HTTP/1.1\r\nHost: x\r\n\r\n"),
    refused("method-alone", "9112 3", b"GET\r\nHost: x\r\n\r\n"),
    refused("no-version", "9112 3", b"GET /\r\nHost: x\r\n\r\n", VERSION | {CUT}),
    refused("http-0.9", "9112 2.3", b"GET /\r\n\r\n", VERSION | {CUT}),
    either("version-1.2", "9110 2.5", to(b"/", version=b"HTTP/1.2"), at(b"/"), statuses=VERSION),
    either("version-1.9", "9110 2.5", to(b"/", version=b"HTTP/1.9"), at(b"/"), statuses=VERSION),
    passes("version-1.0", "9112 2.3", to(b"/", version=b"HTTP/1.0"), at(b"/")),
    *(
        refused(f"version-{name}", "9112 2.3", to(b"/", version=version), VERSION)
        for name, version in _VERSIONS.items()
    ),
    refused("tls-hello", "9112 3", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", BAD | {CUT}),
    refused("ssh-hello", "9112 3", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", METHOD | {CUT}),
    refused("answer-for-request", "9112 3", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", METHOD | {CUT}),
)
