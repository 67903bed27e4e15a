"""What instances say: good answers in every framing, and bad ones (RFC 9112 sections 4, 6.3, 7; RFC 9110 section 15).

A client must see what the instance meant, or that there is nothing to see. Bytes that nobody asked for must never
become the answer to somebody's next request.
"""

from __future__ import annotations

from tests.vectors.vector import ASKED, AnswerVector, Passed, head

HELLO = Passed(body=b"hello")
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
HEAD = b"HEAD /v HTTP/1.1\r\nHost: x\r\n\r\n"
OLD = b"GET /v HTTP/1.0\r\nHost: x\r\n\r\n"


def says(*fields: bytes, body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return head(*fields, line=line, host=None) + body


CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: 5"


def good(
    name: str, section: str, said: bytes, passed: Passed = HELLO, *, ends: bool = False, asked: bytes = ASKED
) -> AnswerVector:
    return AnswerVector(name, section, said, passed, ends=ends, asked=asked)


def bad(
    name: str, section: str, said: bytes, *, ends: bool = False, cut: bool = False, deceives: bool = False
) -> AnswerVector:
    """Nothing of it may reach a client as a whole answer."""
    return AnswerVector(name, section, said, faulty=True, ends=ends, cut=cut, deceives=deceives)


def repaired(
    name: str, section: str, said: bytes, passed: Passed = HELLO, *, ends: bool = False, doubtful: bool = False
) -> AnswerVector:
    """Refuse it, or pass it on in order."""
    return AnswerVector(name, section, said, passed, faulty=True, cut=True, ends=ends, doubtful=doubtful)


_GOOD = (
    good("length", "9112 6.3", says(LENGTH, body=b"hello")),
    good("chunked", "9112 6.3", says(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n")),
    good("chunked-extension", "9112 7.1.1", says(CHUNKED, body=b"5;a=b\r\nhello\r\n0\r\n\r\n")),
    good("chunked-trailer", "9112 7.1.2", says(CHUNKED, body=b"5\r\nhello\r\n0\r\nX-A: a\r\n\r\n")),
    good("chunked-upper-case", "9112 7", says(b"Transfer-Encoding: Chunked", body=b"5\r\nhello\r\n0\r\n\r\n")),
    good("chunked-to-http-1.0", "9112 7.1", says(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"), asked=OLD),
    good("until-close", "9112 6.3", says(body=b"hello"), ends=True),
    good("until-close-http-1.0", "9112 6.3", says(body=b"hello", line=b"HTTP/1.0 200 OK"), ends=True),
    good("until-close-to-http-1.0", "9112 6.3", says(body=b"hello"), ends=True, asked=OLD),
    good("length-zero", "9112 6.3", says(b"Content-Length: 0"), Passed()),
    good("reason-empty", "9112 4", says(LENGTH, body=b"hello", line=b"HTTP/1.1 200 ")),
    good("reason-latin-1", "9112 4", says(LENGTH, body=b"hello", line=b"HTTP/1.1 200 caf\xe9")),
    good("status-unknown", "9110 15", says(LENGTH, body=b"hello", line=b"HTTP/1.1 299 Odd"), Passed(299, b"hello")),
    good("status-404", "9110 15.5.5", says(LENGTH, body=b"hello", line=b"HTTP/1.1 404 No"), Passed(404, b"hello")),
    good("no-content", "9110 15.3.5", says(line=b"HTTP/1.1 204 No Content"), Passed(204)),
    good(
        "no-content-with-length-zero",
        "9110 8.6",
        says(b"Content-Length: 0", line=b"HTTP/1.1 204 No Content"),
        Passed(204, absent=(b"content-length", b"transfer-encoding")),
    ),
    good("not-modified", "9110 15.4.5", says(b'ETag: "a"', line=b"HTTP/1.1 304 Not Modified"), Passed(304)),
    good("not-modified-with-length", "9110 8.6", says(LENGTH, line=b"HTTP/1.1 304 Not Modified"), Passed(304)),
    good("head", "9110 9.3.2", says(LENGTH), Passed(), asked=HEAD),
    good("head-chunked", "9110 9.3.2", says(CHUNKED), Passed(), asked=HEAD),
    good("head-without-framing", "9110 9.3.2", says(), Passed(), asked=HEAD),
    good("interim-103", "8297", says(b"Link: </a>", line=b"HTTP/1.1 103 Early Hints") + says(LENGTH, body=b"hello")),
    good("interim-102", "9110 15.2", says(line=b"HTTP/1.1 102 Processing") + says(LENGTH, body=b"hello")),
    good("interim-100-unasked", "9110 15.2.1", says(line=b"HTTP/1.1 100 Continue") + says(LENGTH, body=b"hello")),
    good("interims-three", "9110 15.2", says(line=b"HTTP/1.1 102 -") * 3 + says(LENGTH, body=b"hello")),
    good("interim-to-http-1.0", "9110 15.2", says(line=b"HTTP/1.1 103 -") + says(LENGTH, body=b"hello"), asked=OLD),
    good(
        "named-by-connection",
        "9110 7.6.1",
        says(LENGTH, b"X-A: a", b"Connection: X-A", body=b"hello"),
        Passed(body=b"hello", absent=(b"x-a",)),
    ),
    good(
        "keep-alive-field",
        "9110 7.6.1",
        says(LENGTH, b"Keep-Alive: timeout=5, max=7", body=b"hello"),
        Passed(body=b"hello"),
    ),
    good("close-with-length", "9112 9.6", says(LENGTH, b"Connection: close", body=b"hello"), ends=True),
    good("upgrade-offered", "9110 7.8", says(LENGTH, b"Upgrade: h2c", b"Connection: Upgrade", body=b"hello")),
    good("two-cookies", "6265 3", says(LENGTH, b"Set-Cookie: a=b", b"Set-Cookie: c=d", body=b"hello")),
)

_REPAIRED = (
    repaired("length-twice-alike", "9110 8.6", says(LENGTH, LENGTH, body=b"hello")),
    repaired("length-list-alike", "9110 8.6", says(b"Content-Length: 5, 5", body=b"hello")),
    repaired("both", "9112 6.3", says(CHUNKED, LENGTH, body=b"5\r\nhello\r\n0\r\n\r\n")),
    repaired("both-length-first", "9112 6.3", says(LENGTH, CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n")),
    repaired(
        "chunked-http-1.0",
        "9112 6.1",
        says(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n", line=b"HTTP/1.0 200 OK"),
        ends=True,
        doubtful=True,
    ),
    repaired("line-feeds", "9112 2.2", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    repaired("folded", "9112 5.2", says(b"X-A: a\r\n b", LENGTH, body=b"hello")),
    repaired("space-before-colon", "9112 5.1", says(b"X-A : a", LENGTH, body=b"hello")),
    repaired("bare-cr", "9112 2.2", says(b"X-A: a\rb", LENGTH, body=b"hello")),
    repaired("nul", "9110 5.5", says(b"X-A: a\x00b", LENGTH, body=b"hello")),
    repaired("name-bad", "9110 5.1", says(b"X@A: a", LENGTH, body=b"hello")),
    repaired("no-reason-no-space", "9112 4", says(LENGTH, body=b"hello", line=b"HTTP/1.1 200")),
    repaired("version-1.2", "9110 2.5", says(LENGTH, body=b"hello", line=b"HTTP/1.2 200 OK")),
    repaired(
        "coding-trailing-comma", "9110 5.6.1", says(b"Transfer-Encoding: chunked,", body=b"5\r\nhello\r\n0\r\n\r\n")
    ),
    repaired("no-content-with-length", "9110 8.6", says(LENGTH, line=b"HTTP/1.1 204 No Content"), Passed(204)),
    repaired(
        "no-content-with-body", "9110 15.3.5", says(LENGTH, body=b"hello", line=b"HTTP/1.1 204 No Content"), Passed(204)
    ),
    repaired(
        "no-content-chunked",
        "9112 6.1",
        says(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n", line=b"HTTP/1.1 204 No Content"),
        Passed(204),
    ),
    repaired(
        "not-modified-with-body",
        "9110 15.4.5",
        says(LENGTH, body=b"hello", line=b"HTTP/1.1 304 Not Modified"),
        Passed(304),
    ),
    repaired("not-modified-with-poison", "9110 15.4.5", says(line=b"HTTP/1.1 304 Not Modified") + POISON, Passed(304)),
    repaired("no-content-with-poison", "9110 15.3.5", says(line=b"HTTP/1.1 204 No Content") + POISON, Passed(204)),
    repaired("bytes-behind-length", "9112 6.3", says(LENGTH, body=b"hello, and more")),
    repaired("answer-behind-length", "9112 6.3", says(LENGTH, body=b"hello") + POISON),
    repaired("answer-behind-chunks", "9112 6.3", says(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n") + POISON),
    repaired("answer-behind-zero", "9112 6.3", says(b"Content-Length: 0") + POISON, Passed()),
    repaired("empty-line-behind", "9112 6.3", says(LENGTH, body=b"hello\r\n")),
    AnswerVector(
        "head-with-body", "9110 9.3.2", says(LENGTH, body=b"hello"), Passed(), faulty=True, cut=True, asked=HEAD
    ),
    AnswerVector("head-with-poison", "9110 9.3.2", says(LENGTH) + POISON, Passed(), faulty=True, cut=True, asked=HEAD),
    repaired("many-interims", "9110 15.2", says(line=b"HTTP/1.1 102 -") * 30 + says(LENGTH, body=b"hello")),
    repaired(
        "interim-with-length",
        "9110 15.2",
        says(b"Content-Length: 5", line=b"HTTP/1.1 103 -") + says(LENGTH, body=b"hello"),
    ),
    repaired("fields-many", "9110 5.4", says(*[b"X-A: a"] * 2000, LENGTH, body=b"hello")),
    repaired("chunk-size-leading-zeros", "9112 7.1", says(CHUNKED, body=b"0" * 30 + b"5\r\nhello\r\n0\r\n\r\n")),
    repaired("empty-line-first", "9112 2.2", b"\r\n" + says(LENGTH, body=b"hello")),
)

_BAD_HEADS = {
    "garbage": b"garbage\r\n\r\n",
    "garbage-endless": b"\x00\xff" * 500,
    "greeting-of-smtp": b"220 mail ESMTP\r\n\r\n",
    "html-alone": b"<html>hello</html>\r\n\r\n",
    "version-missing": says(LENGTH, body=b"hello", line=b"200 OK"),
    "version-2": says(LENGTH, body=b"hello", line=b"HTTP/2.0 200 OK"),
    "version-0.9": says(LENGTH, body=b"hello", line=b"HTTP/0.9 200 OK"),
    "version-lower-case": says(LENGTH, body=b"hello", line=b"http/1.1 200 OK"),
    "version-letter": says(LENGTH, body=b"hello", line=b"HTTP/1.x 200 OK"),
    "status-missing": says(LENGTH, body=b"hello", line=b"HTTP/1.1 OK"),
    "status-two-digits": says(LENGTH, body=b"hello", line=b"HTTP/1.1 20 OK"),
    "status-four-digits": says(LENGTH, body=b"hello", line=b"HTTP/1.1 2000 OK"),
    "status-zero": says(LENGTH, body=b"hello", line=b"HTTP/1.1 000 OK"),
    "status-negative": says(LENGTH, body=b"hello", line=b"HTTP/1.1 -200 OK"),
    "status-letters": says(LENGTH, body=b"hello", line=b"HTTP/1.1 2xx OK"),
    "status-two-spaces": says(LENGTH, body=b"hello", line=b"HTTP/1.1  200 OK"),
    "length-twice-unlike": says(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"),
    "length-list-unlike": says(b"Content-Length: 5, 6", body=b"hello"),
    "length-negative": says(b"Content-Length: -5", body=b"hello"),
    "length-plus": says(b"Content-Length: +5", body=b"hello"),
    "length-letters": says(b"Content-Length: five", body=b"hello"),
    "length-hex": says(b"Content-Length: 0x5", body=b"hello"),
    "length-empty": says(b"Content-Length:", body=b"hello"),
    "length-above-64-bits": says(b"Content-Length: 18446744073709551621", body=b"hello"),
    "switch-unasked": says(b"Upgrade: h2c", b"Connection: Upgrade", line=b"HTTP/1.1 101 -"),
    "empty-name": says(b": a", LENGTH, body=b"hello"),
    "line-without-colon": says(b"XYZ", LENGTH, body=b"hello"),
    "name-with-nul": says(b"X\x00A: a", LENGTH, body=b"hello"),
}

_BAD_CODINGS = {
    "unknown": b"xchunked",
    "not-last": b"chunked, gzip",
    "twice": b"chunked, chunked",
    "quoted": b'"chunked"',
    "vertical-tab": b"\x0bchunked",
}

_MENDED = frozenset(("chunk-longer", "trailer-bad"))
"""Wrong at a place where no byte of the body is missing: who passes it on is lenient, and deceives nobody."""

_BROKEN = {
    "length-too-great": says(b"Content-Length: 10", body=b"hello"),
    "chunks-without-last": says(CHUNKED, body=b"5\r\nhello\r\n"),
    "chunk-too-short": says(CHUNKED, body=b"9\r\nhello"),
    "chunks-end-in-size": says(CHUNKED, body=b"5\r\nhello\r\n0"),
    "chunks-end-in-trailers": says(CHUNKED, body=b"5\r\nhello\r\n0\r\nX-A: a\r\n"),
    "chunk-size-letters": says(CHUNKED, body=b"5\r\nhello\r\nxyz\r\n"),
    "chunk-size-negative": says(CHUNKED, body=b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-plus": says(CHUNKED, body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-0x": says(CHUNKED, body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-empty": says(CHUNKED, body=b"\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-above-64-bits": says(CHUNKED, body=b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk-with-line-feed": says(CHUNKED, body=b"5\nhello\n0\n\n"),
    "chunk-longer": says(CHUNKED, body=b"5\r\nhello!\r\n0\r\n\r\n"),
    "chunk-without-line-break": says(CHUNKED, body=b"5\r\nhello0\r\n\r\n"),
    "trailer-bad": says(CHUNKED, body=b"5\r\nhello\r\n0\r\nX A: a\r\n\r\n"),
    "head-unfinished": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
    "interim-alone": says(line=b"HTTP/1.1 103 -"),
}
"""The instance closes the connection behind them."""

VECTORS: tuple[AnswerVector, ...] = (
    *_GOOD,
    *_REPAIRED,
    *(bad(name, "9112 4", said, ends=True, deceives=name.startswith("length-")) for name, said in _BAD_HEADS.items()),
    *(
        bad(
            f"coding-{name}",
            "9112 6.3",
            says(b"Transfer-Encoding: " + value, body=b"5\r\nhello\r\n0\r\n\r\n"),
            ends=True,
            cut=True,
            deceives=True,
        )
        for name, value in _BAD_CODINGS.items()
    ),
    *(bad(name, "9112 8", said, ends=True, cut=True, deceives=name not in _MENDED) for name, said in _BROKEN.items()),
    bad("interim-storm", "9110 15.2", says(line=b"HTTP/1.1 102 -") * 5000, ends=True, cut=True),
    bad("fields-endless", "9110 5.4", says(*[b"X-A: " + b"a" * 990] * 3000)[:-2], ends=True),
    bad("status-line-endless", "9112 4", b"HTTP/1.1 200 " + b"a" * 2_000_000, ends=True),
)
