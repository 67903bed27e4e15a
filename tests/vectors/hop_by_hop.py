"""What speaks to the next hop only: Connection and all that it names, Upgrade, TE, and how connections end.

RFC 9110 sections 7.6 and 7.8, RFC 9112 section 9. Naming a field in Connection must never take away what frames,
routes or vouches for a request.
"""

from __future__ import annotations

from tests.vectors.vector import BAD, Reached, RequestVector, either, head, passes, post

HELLO = Reached(b"POST", body=b"hello")
CHUNKED_HELLO = b"5\r\nhello\r\n0\r\n\r\n"
OUR_CLAIM = {b"x-forwarded-for": b"127.0.0.1"}

_NAMED = {
    "one": (b"Connection: X-A",),
    "lower-case": (b"connection: x-a",),
    "upper-case": (b"CONNECTION: X-A",),
    "with-close": (b"Connection: close, X-A",),
    "with-keep-alive": (b"Connection: keep-alive, X-A",),
    "without-spaces": (b"Connection: close,X-A",),
    "empty-elements": (b"Connection: ,, X-A,,",),
    "tabs": (b"Connection:\tX-A\t,\tX-B",),
    "second-line": (b"Connection: keep-alive", b"Connection: X-A"),
    "behind-the-field": (b"X-C: c", b"Connection: X-A"),
    "hundred": (b"Connection: " + b", ".join(b"X-%d" % n for n in range(100)) + b", X-A",),
}

_DROPPED = {
    "keep-alive": b"Keep-Alive: timeout=5",
    "proxy-connection": b"Proxy-Connection: keep-alive",
    "te-gzip": b"TE: gzip",
    "upgrade-alone": b"Upgrade: websocket",
    "connection-itself": b"Connection: Connection",
}

_NOT_OURS = {
    "x-forwarded-for": b"X-Forwarded-For: 1.2.3.4",
    "x-real-ip": b"X-Real-IP: 1.2.3.4",
    "forwarded": b"Forwarded: for=1.2.3.4",
    "x_forwarded_for": b"X_Forwarded_For: 1.2.3.4",
    "proxy": b"Proxy: http://evil/",
    "proxy-authorization": b"Proxy-Authorization: Basic YTpi",
}
"""Claims of a client that nobody trusts, and what is not for instances. The RFCs leave them to the gateway."""

VECTORS: tuple[RequestVector, ...] = (
    *(
        passes(f"named-{name}", "9110 7.6.1", head(b"X-A: a", *lines), Reached(absent=(b"x-a",)))
        for name, lines in _NAMED.items()
    ),
    *(
        passes(f"dropped-{name}", "9110 7.6.1", head(line), Reached(absent=(line.split(b":")[0].lower(),)))
        for name, line in _DROPPED.items()
        if name != "connection-itself"
    ),
    passes("dropped-connection-itself", "9110 7.6.1", head(_DROPPED["connection-itself"]), Reached()),
    *(
        passes(
            f"untrusted-{name}",
            "7239 8.1",
            head(line),
            Reached(
                ours=OUR_CLAIM,
                ours_absent=() if name == "x-forwarded-for" else (line.split(b":")[0].lower(),),
            ),
        )
        for name, line in _NOT_OURS.items()
    ),
    either(
        "named-content-length",
        "9110 7.6.1",
        post(b"Content-Length: 5", b"Connection: Content-Length", body=b"hello"),
        HELLO,
    ),
    either(
        "named-content-length-close",
        "9110 7.6.1",
        post(b"Connection: close, Content-Length", b"Content-Length: 5", body=b"hello"),
        HELLO,
    ),
    either(
        "named-transfer-encoding",
        "9110 7.6.1",
        post(b"Transfer-Encoding: chunked", b"Connection: Transfer-Encoding", body=CHUNKED_HELLO),
        HELLO,
    ),
    either("named-host", "9110 7.6.1", head(b"Connection: Host"), Reached(fields={b"host": b"x"})),
    either("named-x-forwarded-for", "9110 7.6.1", head(b"Connection: X-Forwarded-For"), Reached(ours=OUR_CLAIM)),
    either(
        "named-x-forwarded-proto",
        "9110 7.6.1",
        head(b"Connection: X-Forwarded-Proto"),
        Reached(ours={b"x-forwarded-proto": b"http"}),
    ),
    either(
        "named-x-forwarded-host",
        "9110 7.6.1",
        head(b"Connection: X-Forwarded-Host"),
        Reached(ours={b"x-forwarded-host": b"x"}),
    ),
    either("named-via", "9110 7.6.1", head(b"Connection: Via"), Reached(ours={b"via": b"1.1 wmesh"})),
    either(
        "named-authorization", "9110 7.6.1", head(b"Connection: Authorization", b"Authorization: Basic YTpi"), Reached()
    ),
    either("named-cookie", "9110 7.6.1", head(b"Connection: Cookie", b"Cookie: a=b"), Reached()),
    either("named-quoted", "9110 7.6.1", head(b'Connection: "X-A"', b"X-A: a"), Reached()),
    either("named-no-token", "9110 7.6.1", head(b"Connection: X A", b"X-A: a"), Reached()),
    either("named-everything", "9110 7.6.1", head(b"Connection: *", b"X-A: a"), Reached()),
    passes("te-trailers", "9110 10.1.4", head(b"TE: trailers", b"Connection: TE"), Reached(), keeps=True),
    passes("te-trailers-and-gzip", "9110 10.1.4", head(b"TE: trailers, gzip", b"Connection: TE"), Reached()),
    passes(
        "upgrade-h2c",
        "9113 3.1",
        head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        Reached(absent=(b"upgrade", b"http2-settings")),
    ),
    passes(
        "upgrade-h2c-hidden",
        "9113 3.1",
        head(b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        Reached(absent=(b"upgrade",)),
    ),
    either(
        "upgrade-h2c-with-body",
        "9113 3.1",
        post(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
            b"Content-Length: 5",
            body=b"hello",
        ),
        Reached(b"POST", body=b"hello", absent=(b"upgrade",)),
    ),
    either(
        "upgrade-tls",
        "2817 3",
        head(b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
        Reached(ours_absent=(b"upgrade",)),
        statuses=BAD | {426},
    ),
    passes(
        "upgrade-of-http-1.0",
        "9110 7.8",
        head(b"Connection: Upgrade", b"Upgrade: websocket", line=b"GET / HTTP/1.0"),
        Reached(absent=(b"upgrade",)),
    ),
    passes("upgrade-named-nothing", "9110 7.8", head(b"Connection: Upgrade"), Reached()),
    passes("keep-alive", "9112 9.3", head(), Reached(), keeps=True),
    RequestVector("close", "9112 9.6", head(b"Connection: close"), reached=(Reached(),), closes=True),
    RequestVector("close-upper-case", "9112 9.6", head(b"Connection: CLOSE"), reached=(Reached(),), closes=True),
    RequestVector("close-in-list", "9112 9.6", head(b"Connection: X-A, close"), reached=(Reached(),), closes=True),
    RequestVector(
        "close-then-request",
        "9112 9.6",
        head(b"Connection: close") + head(line=b"GET /second HTTP/1.1"),
        reached=(Reached(),),
        closes=True,
    ),
    RequestVector(
        "close-and-keep-alive", "9112 9.3", head(b"Connection: keep-alive, close"), reached=(Reached(),), closes=True
    ),
    RequestVector("http-1.0", "9112 9.3", head(line=b"GET / HTTP/1.0"), reached=(Reached(),), closes=True),
    passes("http-1.0-keep-alive", "9112 9.3", head(b"Connection: keep-alive", line=b"GET / HTTP/1.0"), Reached()),
    passes(
        "pipelined",
        "9112 9.3.2",
        head() + head(line=b"GET /second HTTP/1.1"),
        Reached(),
        Reached(targets=(b"/second",)),
        keeps=True,
    ),
    passes(
        "pipelined-posts",
        "9112 9.3.2",
        post(b"Content-Length: 5", body=b"hello") + post(b"Content-Length: 2", body=b"ho"),
        HELLO,
        Reached(b"POST", body=b"ho"),
        keeps=True,
    ),
    passes("pipelined-head-first", "9112 9.3.2", head(line=b"HEAD / HTTP/1.1") + head(), Reached(b"HEAD"), Reached()),
    either(
        "max-forwards-zero",
        "9110 7.6.2",
        head(b"Max-Forwards: 0", line=b"OPTIONS / HTTP/1.1"),
        Reached(b"OPTIONS"),
        statuses=frozenset((200, 204)),
    ),
    passes("max-forwards-of-get", "9110 7.6.2", head(b"Max-Forwards: 0"), Reached()),
    passes(
        "trailer-named",
        "9110 6.6.2",
        post(b"Trailer: X-A", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\nX-A: a\r\n\r\n"),
        HELLO,
    ),
)
