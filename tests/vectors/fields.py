"""Field lines: what is none, what ends them, what may stand in them (RFC 9112 sections 2.2 and 5, RFC 9110 section 5).

Where the RFCs let a recipient repair a fault, the repaired request is as right as the refusal; passing the fault on
never is: every reader along the way would repair it in another way.
"""

from __future__ import annotations

from tests.vectors.vector import BAD, CUT, TOO_MUCH, Reached, RequestVector, either, head, passes, post, refused

PLAIN = Reached()

_VALUES = {
    "empty": (b"X-A:", b""),
    "without-space": (b"X-A:b", b"b"),
    "spaces-round-it": (b"X-A: \t b \t ", b"b"),
    "tab-inside": (b"X-A: a\tb", b"a\tb"),
    "latin-1": (b"X-A: caf\xe9", b"caf\xe9"),
    "utf-8": ("X-A: café".encode(), "café".encode()),
    "colons": (b"X-A: a: b: c", b"a: b: c"),
    "quotes": (b'X-A: "a, \\"b"', b'"a, \\"b"'),
    "looks-like-framing": (b"X-A: Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "long": (b"X-A: " + b"a" * 4000, b"a" * 4000),
}

_REPAIRED = {
    "bare-cr": b"X-A: a\rb",
    "bare-cr-at-the-end": b"X-A: a\r\r",
    "bare-cr-before-smuggled": b"X-A: a\rContent-Length: 5",
    "bare-line-feed": b"X-A: a\nX-B: b",
    "nul": b"X-A: a\x00b",
    "nul-at-the-end": b"X-A: a\x00",
    "control-1": b"X-A: a\x01b",
    "backspace": b"X-A: a\x08b",
    "vertical-tab": b"X-A: a\x0bb",
    "form-feed": b"X-A: a\x0cb",
    "escape": b"X-A: \x1b[31m",
    "delete": b"X-A: a\x7fb",
    "folded": b"X-A: a\r\n b",
    "folded-by-tab": b"X-A: a\r\n\tb",
    "folded-to-nothing": b"X-A: a\r\n ",
    "folded-colon": b"X-A: a\r\n X-B: b",
}
"""RFC 9110 section 5.5, RFC 9112 sections 2.2 and 5.2: refuse, or put spaces in its place."""

_NO_NAMES = {
    "empty": b": a",
    "space-inside": b"X A: a",
    "at-sign": b"X@A: a",
    "parentheses": b"X(A): a",
    "brackets": b"X[A]: a",
    "slash": b"X/A: a",
    "equals": b"X=A: a",
    "quoted": b'"X-A": a',
    "question-mark": b"X?: a",
    "nul": b"X\x00A: a",
    "delete": b"X\x7fA: a",
    "control": b"X\x01A: a",
    "latin-1": b"X\xe9: a",
    "utf-8": "Ünicode: a".encode(),
    "comma": b"X,A: a",
    "backslash": b"X\\A: a",
    "cr-inside": b"X\rA: a",
    "without-colon": b"XYZ",
    "is-request-line": b"GET /smuggled HTTP/1.1",
}
"""RFC 9110 section 5.1: refuse; that a gateway drops the line alone is as good, where it is one line to everybody."""

VECTORS: tuple[RequestVector, ...] = (
    passes("plain", "9112 2.1", head(), PLAIN, keeps=True),
    *(
        passes(f"value-{name}", "9110 5.5", head(line), Reached(fields={b"x-a": value}))
        for name, (line, value) in _VALUES.items()
    ),
    *(either(f"value-{name}", "9110 5.5", head(line), PLAIN) for name, line in _REPAIRED.items()),
    *(either(f"name-{name}", "9110 5.1", head(line), PLAIN) for name, line in _NO_NAMES.items()),
    passes("name-of-all-signs", "9110 5.6.2", head(b"!#$%&'*+-.^`|~09aZ: a"), PLAIN),
    passes("name-with-underscore", "9110 5.6.2", head(b"X_A: a"), PLAIN),
    refused("space-before-colon", "9112 5.1", head(b"X-A : a")),
    refused("tab-before-colon", "9112 5.1", head(b"X-A\t: a")),
    refused("space-before-colon-of-host", "9112 5.1", head(host=b"Host : x")),
    either("space-before-first-line", "9112 2.2", head(host=b" X-A: a\r\nHost: x"), Reached(absent=(b"x-a",))),
    either("tab-before-first-line", "9112 2.2", head(host=b"\tX-A: a\r\nHost: x"), Reached(absent=(b"x-a",))),
    refused("space-before-host-as-first-line", "9112 2.2", head(host=b" Host: x")),
    either("line-of-spaces", "9112 2.2", head(b"  ", b"X-A: a"), PLAIN),
    either("line-of-one-cr", "9112 2.2", head(b"\r", b"X-A: a"), PLAIN),
    either("all-line-feeds", "9112 2.2", b"GET / HTTP/1.1\nHost: x\n\n", PLAIN),
    either("line-feed-behind-start-line", "9112 2.2", b"GET / HTTP/1.1\nHost: x\r\n\r\n", PLAIN),
    either("line-feed-at-the-end", "9112 2.2", b"GET / HTTP/1.1\r\nHost: x\r\n\n", PLAIN),
    either("line-feed-before-the-end", "9112 2.2", b"GET / HTTP/1.1\r\nHost: x\n\r\n", PLAIN),
    refused("cr-for-line-ends", "9112 2.2", b"GET / HTTP/1.1\rHost: x\r\r\n\r\n"),
    passes("empty-line-first", "9112 2.2", b"\r\n" + head(), PLAIN),
    either("empty-lines-first", "9112 2.2", b"\r\n\r\n\r\n" + head(), PLAIN),
    either("line-feed-first", "9112 2.2", b"\n" + head(), PLAIN),
    either("cr-first", "9112 2.2", b"\r" + head(), PLAIN),
    either("fields-too-many", "9110 5.4", head(*[b"X-A: a"] * 5000), PLAIN, statuses=TOO_MUCH),
    either("field-too-long", "9110 5.4", head(b"X-A: " + b"a" * 300_000), PLAIN, statuses=TOO_MUCH),
    either("name-too-long", "9110 5.4", head(b"X" * 300_000 + b": a"), PLAIN, statuses=TOO_MUCH | {CUT}),
    either("all-empty-names", "9110 5.1", head(*[b": a"] * 20), PLAIN),
    passes("same-name-twice", "9110 5.3", head(b"X-A: a", b"X-A: b"), PLAIN),
    passes(
        "expect-continue",
        "9110 10.1.1",
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        Reached(b"POST", body=b"hello"),
    ),
    passes("expect-continue-without-body", "9110 10.1.1", head(b"Expect: 100-continue"), PLAIN),
    either("expect-something", "9110 10.1.1", head(b"Expect: something"), PLAIN, statuses=frozenset((417,))),
    either(
        "expect-continue-twice",
        "9110 10.1.1",
        post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        Reached(b"POST", body=b"hello"),
        statuses=BAD | {417},
    ),
    passes(
        "expect-continue-of-http-1.0",
        "9110 10.1.1",
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello", line=b"POST / HTTP/1.0"),
        Reached(b"POST", body=b"hello", ours_absent=(b"expect",)),
    ),
)
