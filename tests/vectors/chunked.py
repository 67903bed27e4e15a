"""Chunked request bodies: sizes, extensions, line ends, trailers (RFC 9112 section 7.1).

Line ends inside a chunked body are CRLF and nothing else: the leave of section 2.2 is for the head alone.
"""

from __future__ import annotations

from tests.vectors.vector import (
    BAD_BODY,
    SMUGGLED,
    Reached,
    RequestVector,
    either,
    head,
    passes,
    post,
    refused,
)

HELLO = Reached(b"POST", body=b"hello")


def chunked(body: bytes, *fields: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


_GOOD = {
    "two-chunks": b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "bytewise": b"".join(b"1\r\n%c\r\n" % letter for letter in b"hello") + b"0\r\n\r\n",
    "leading-zeros": b"0005\r\nhello\r\n0\r\n\r\n",
    "many-zeros-at-the-end": b"5\r\nhello\r\n0000\r\n\r\n",
    "extension": b"5;name=value\r\nhello\r\n0\r\n\r\n",
    "extension-without-value": b"5;name\r\nhello\r\n0\r\n\r\n",
    "extension-quoted": b'5;name="a;b"\r\nhello\r\n0\r\n\r\n',
    "extension-quoted-pair": b'5;name="a\\"b"\r\nhello\r\n0\r\n\r\n',
    "extensions": b"5;a=b;c=d;e\r\nhello\r\n0\r\n\r\n",
    "extension-at-the-end": b"5\r\nhello\r\n0;last\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nX-Trace: 1\r\n\r\n",
    "trailers": b"5\r\nhello\r\n0\r\nX-Trace: 1\r\nX-Sum: 2\r\n\r\n",
}

_EITHER = {
    "space-before-extension": b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
    "space-behind-size": b"5 \r\nhello\r\n0\r\n\r\n",
    "space-behind-semicolon": b"5; a=b\r\nhello\r\n0\r\n\r\n",
    "sixty-zeros": b"0" * 60 + b"5\r\nhello\r\n0\r\n\r\n",
    "long-extension": b"5;a=" + b"b" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer-folded": b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
    "trailer-with-bare-line-feed": b"5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
    "trailer-with-bare-cr": b"5\r\nhello\r\n0\r\nX: a\rY: b\r\n\r\n",
    "trailer-with-nul": b"5\r\nhello\r\n0\r\nX: a\x00\r\n\r\n",
    "trailer-name-bad": b"5\r\nhello\r\n0\r\nX@Y: a\r\n\r\n",
    "trailers-too-long": b"5\r\nhello\r\n0\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "trailers-too-many": b"5\r\nhello\r\n0\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
}
"""What a gateway may take apart and put together in its own way."""

_BAD = {
    "size-empty": b"\r\nhello\r\n0\r\n\r\n",
    "size-missing-before-extension": b";a=b\r\nhello\r\n0\r\n\r\n",
    "size-no-digit": b"g\r\nhello\r\n0\r\n\r\n",
    "size-minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "size-plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "size-0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size-0X": b"0X5\r\nhello\r\n0\r\n\r\n",
    "size-underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "size-h": b"5h\r\nhello\r\n0\r\n\r\n",
    "size-fraction": b"5.0\r\nhello\r\n0\r\n\r\n",
    "size-list": b"5,5\r\nhello\r\n0\r\n\r\n",
    "size-quoted": b'"5"\r\nhello\r\n0\r\n\r\n',
    "size-two": b"5 5\r\nhello\r\n0\r\n\r\n",
    "size-behind-space": b" 5\r\nhello\r\n0\r\n\r\n",
    "size-behind-tab": b"\t5\r\nhello\r\n0\r\n\r\n",
    "size-behind-line-break": b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "size-before-vertical-tab": b"5\x0b\r\nhello\r\n0\r\n\r\n",
    "size-before-nul": b"5\x00\r\nhello\r\n0\r\n\r\n",
    "size-full-width": "５".encode() + b"\r\nhello\r\n0\r\n\r\n",
    "size-above-64-bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size-above-64-bits-zero": b"10000000000000000\r\n\r\n" + SMUGGLED,
    "size-ends-with-line-feed": b"5\nhello\r\n0\r\n\r\n",
    "size-ends-with-cr": b"5\rhello\r\n0\r\n\r\n",
    "size-ends-with-cr-cr-lf": b"5\r\r\nhello\r\n0\r\n\r\n",
    "size-ends-with-line-feed-cr": b"5\n\rhello\r\n0\r\n\r\n",
    "extension-with-line-feed": b"5;a\nhello\r\n0\r\n\r\n",
    "extension-with-cr": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension-with-nul": b"5;a\x00\r\nhello\r\n0\r\n\r\n",
    "extension-quoted-line-break": b'5;a="\r\nhello\r\n"\r\nhello\r\n0\r\n\r\n',
    "extension-quoted-line-feed": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
    "extension-smuggling": b"5;\nhello\r\n0\r\n\r\n" + SMUGGLED,
    "data-longer": b"5\r\nhello!\r\n0\r\n\r\n",
    "data-shorter": b"6\r\nhello\r\n0\r\n\r\n",
    "data-without-line-break": b"5\r\nhello0\r\n\r\n",
    "data-ends-with-line-feed": b"5\r\nhello\n0\r\n\r\n",
    "data-ends-with-cr": b"5\r\nhello\r0\r\n\r\n",
    "data-ends-with-line-feed-cr": b"5\r\nhello\n\r0\r\n\r\n",
    "data-ends-with-two-others": b"5\r\nhelloXX0\r\n\r\n",
    "last-with-line-feeds": b"5\r\nhello\r\n0\n\n",
    "last-with-line-feed-first": b"5\r\nhello\r\n0\n\r\n",
    "last-with-line-feed-second": b"5\r\nhello\r\n0\r\n\n",
    "last-minus": b"5\r\nhello\r\n-0\r\n\r\n",
    "last-0x": b"5\r\nhello\r\n0x0\r\n\r\n",
    "last-and-more": b"5\r\nhello\r\n0\r\nX\x00\r\n\r\n",
    "trailer-space-before-colon": b"5\r\nhello\r\n0\r\nX : a\r\n\r\n",
    "trailer-without-colon": b"5\r\nhello\r\n0\r\nXYZ\r\n\r\n",
    "trailer-empty-name": b"5\r\nhello\r\n0\r\n: a\r\n\r\n",
    "trailer-is-request": b"5\r\nhello\r\n0\r\n" + SMUGGLED,
}

_FORBIDDEN = {
    "content-length": b"Content-Length: 3",
    "transfer-encoding": b"Transfer-Encoding: gzip",
    "host": b"Host: evil",
    "authorization": b"Authorization: Basic YTpi",
    "cookie": b"Cookie: a=b",
    "content-type": b"Content-Type: text/evil",
    "x-forwarded-for": b"X-Forwarded-For: 1.2.3.4",
    "connection": b"Connection: close",
    "te": b"TE: gzip",
    "expect": b"Expect: 100-continue",
}
"""RFC 9110 section 6.5.1: a gateway drops them, or refuses; what it may not do is pass them on."""

VECTORS: tuple[RequestVector, ...] = (
    *(passes(name, "9112 7.1", chunked(body), HELLO, keeps=True) for name, body in _GOOD.items()),
    *(
        either(name, "9112 7.1", chunked(body), HELLO, statuses=BAD_BODY | {431}, closes=False)
        for name, body in _EITHER.items()
    ),
    *(refused(name, "9112 7.1", chunked(body), BAD_BODY, closes=True) for name, body in _BAD.items()),
    *(
        either(
            f"trailer-forbidden-{name}",
            "9110 6.5.1",
            chunked(b"5\r\nhello\r\n0\r\n%b\r\n\r\n" % line, b"TE: trailers", b"Connection: TE"),
            Reached(b"POST", body=b"hello", absent=(b"trailer:" + name.encode(),)),
            statuses=BAD_BODY,
        )
        for name, line in _FORBIDDEN.items()
    ),
    passes("trailer-then-request", "9112 7.1.2", chunked(b"0\r\nX: a\r\n\r\n" + head()), Reached(b"POST"), Reached()),
    passes(
        "size-upper-case", "9112 7.1", chunked(b"A\r\nhellohello\r\n0\r\n\r\n"), Reached(b"POST", body=b"hello" * 2)
    ),
    passes(
        "size-lower-case", "9112 7.1", chunked(b"a\r\nhellohello\r\n0\r\n\r\n"), Reached(b"POST", body=b"hello" * 2)
    ),
    passes(
        "data-looks-like-end", "9112 7.1", chunked(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"), Reached(b"POST", body=b"0\r\n\r\n")
    ),
    passes(
        "data-looks-like-request",
        "9112 7.1",
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        Reached(b"POST", body=SMUGGLED),
    ),
)
