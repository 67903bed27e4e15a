"""Where a request ends: Content-Length and Transfer-Encoding, in every spelling and together.

RFC 9112 sections 6.1 to 6.3, RFC 9110 section 8.6. Behind each message stands what would be a second request, were the
message read the other way.
"""

from __future__ import annotations

from tests.vectors.vector import (
    BAD,
    BAD_OR_UNKNOWN,
    SMUGGLED,
    TOO_MUCH,
    Reached,
    RequestVector,
    either,
    head,
    passes,
    post,
    refused,
)

HELLO = Reached(b"POST", body=b"hello")
EMPTY = Reached(b"POST")
CHUNKED_HELLO = b"5\r\nhello\r\n0\r\n\r\n"
BOTH = b"0\r\n\r\n" + SMUGGLED
"""Nothing by its chunks, all of it by its length."""

_BAD_LENGTHS = {
    "plus": b"+5",
    "minus": b"-5",
    "minus-zero": b"-0",
    "hex": b"0x5",
    "octal": b"0o5",
    "fraction": b"5.0",
    "exponent": b"5e0",
    "underscore": b"5_0",
    "two-numbers": b"5 5",
    "tab-inside": b"5\t5",
    "two-unlike": b"5, 6",
    "semicolon": b"5;",
    "quoted": b'"5"',
    "single-quoted": b"'5'",
    "empty": b"",
    "letters": b"five",
    "hexadecimal-digit": b"a",
    "full-width-digit": "５".encode(),
    "arabic-digit": "٥".encode(),
    "vertical-tab": b"\x0b5",
    "form-feed": b"5\x0c",
    "no-break-space": b"\xa05",
    "above-64-bits": b"18446744073709551621",
    "hundred-digits": b"9" * 100,
    "comma-only": b",",
    "plus-list": b"5, +5",
}

_HUGE = ("above-64-bits", "hundred-digits")

_BAD_CODINGS = {
    "identity": b"identity",
    "unknown": b"xchunked",
    "suffix": b"chunkedx",
    "short": b"chunke",
    "quoted": b'"chunked"',
    "single-quoted": b"'chunked'",
    "twice": b"chunked, chunked",
    "not-last": b"chunked, gzip",
    "gzip-alone": b"gzip",
    "gzip-chunked": b"gzip, chunked",
    "identity-chunked": b"identity, chunked",
    "chunked-identity": b"chunked, identity",
    "parameter": b"chunked;q=1",
    "vertical-tab": b"\x0bchunked",
    "form-feed": b"chunked\x0c",
    "nul-inside": b"chun\x00ked",
    "no-break-space": b"\xa0chunked",
    "semicolon": b"chunked;",
    "two-words": b"chunked chunked",
    "colon": b": chunked",
    "empty": b"",
    "brackets": b"[chunked]",
    "kelvin-sign": "chun\u212aed".encode(),
    "long-s": "ſchunked".encode(),
}

_BAD_NAMES = {
    "space-before-colon": b"Transfer-Encoding : chunked",
    "tab-before-colon": b"Transfer-Encoding\t: chunked",
    "vertical-tab-before-colon": b"Transfer-Encoding\x0b: chunked",
    "nul-before-colon": b"Transfer-Encoding\x00: chunked",
    "cr-before-name": b"X: y\r\r\nTransfer-Encoding: chunked",
    "space-inside": b"Transfer Encoding: chunked",
    "semicolon": b"Transfer-Encoding; chunked",
}

_LENGTHS = (
    passes("length", "9112 6.2", post(b"Content-Length: 5", body=b"hello"), HELLO, keeps=True),
    passes("length-zero", "9112 6.2", post(b"Content-Length: 0"), EMPTY, keeps=True),
    passes("length-of-get", "9110 9.3.1", head(b"Content-Length: 5") + b"hello", Reached(body=b"hello")),
    passes(
        "length-of-delete",
        "9110 9.3.5",
        head(b"Content-Length: 2", line=b"DELETE / HTTP/1.1") + b"{}",
        Reached(b"DELETE", body=b"{}"),
    ),
    passes("no-framing", "9112 6.3", post(), EMPTY, keeps=True),
    passes("length-without-space", "9112 5", post(b"Content-Length:5", body=b"hello"), HELLO),
    passes("length-behind-tab", "9112 5", post(b"Content-Length:\t5", body=b"hello"), HELLO),
    passes("length-before-space", "9112 5", post(b"Content-Length: 5 \t", body=b"hello"), HELLO),
    passes("length-upper-case", "9110 5.1", post(b"CONTENT-LENGTH: 5", body=b"hello"), HELLO),
    passes("length-leading-zeros", "9110 8.6", post(b"Content-Length: 0005", body=b"hello"), HELLO),
    passes("length-of-http-1.0", "9112 6.2", post(b"Content-Length: 5", body=b"hello", line=b"POST / HTTP/1.0"), HELLO),
    passes("length-then-request", "9112 9.3.2", post(b"Content-Length: 5", body=b"hello" + head()), HELLO, Reached()),
    either("length-twice-alike", "9110 8.6", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), HELLO),
    either("length-list-alike", "9110 8.6", post(b"Content-Length: 5, 5", body=b"hello"), HELLO),
    refused(
        "length-twice-unlike", "9112 6.3", post(b"Content-Length: 5", b"Content-Length: 0", body=b"hello"), closes=True
    ),
    refused(
        "length-twice-unlike-smuggling",
        "9112 6.3",
        post(b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        closes=True,
    ),
    refused("length-thrice", "9112 6.3", post(*[b"Content-Length: %d" % n for n in (5, 5, 6)], body=b"hello")),
    refused("length-twice-one-empty", "9112 6.3", post(b"Content-Length: 5", b"Content-Length:", body=b"hello")),
    refused("length-folded", "9112 5.2", post(b"Content-Length: 5\r\n 6", body=b"hello")),
    either("length-folded-to-empty", "9112 5.2", post(b"Content-Length:\r\n 5", body=b"hello"), HELLO),
    either("length-nul", "9110 5.5", post(b"Content-Length: 5\x00", body=b"hello"), HELLO),
    refused("length-space-before-colon", "9112 5.1", post(b"Content-Length : 5", body=b"hello")),
    refused("length-tab-before-colon", "9112 5.1", post(b"Content-Length\t: 5", body=b"hello")),
    either(
        "length-with-underscore",
        "9110 5.1",
        head(b"Content_Length: %d" % len(SMUGGLED)) + head(line=b"GET /second HTTP/1.1"),
        Reached(ours_absent=(b"content_length",)),
        Reached(targets=(b"/second",)),
    ),
    *(
        refused(
            f"length-{name}",
            "9112 6.3",
            post(b"Content-Length: " + value, body=b"hello"),
            TOO_MUCH if name in _HUGE else BAD,
            closes=True,
        )
        for name, value in _BAD_LENGTHS.items()
    ),
)

_CODINGS = (
    passes("chunked", "9112 7.1", post(b"Transfer-Encoding: chunked", body=CHUNKED_HELLO), HELLO, keeps=True),
    passes("chunked-upper-case", "9112 7", post(b"Transfer-Encoding: CHUNKED", body=CHUNKED_HELLO), HELLO),
    passes("chunked-mixed-case-name", "9110 5.1", post(b"tRANSFER-eNCODING: Chunked", body=CHUNKED_HELLO), HELLO),
    passes("chunked-behind-tab", "9112 5", post(b"Transfer-Encoding:\tchunked", body=CHUNKED_HELLO), HELLO),
    passes("chunked-without-space", "9112 5", post(b"Transfer-Encoding:chunked", body=CHUNKED_HELLO), HELLO),
    passes("chunked-before-space", "9112 5", post(b"Transfer-Encoding: chunked \t ", body=CHUNKED_HELLO), HELLO),
    passes("chunked-get", "9110 9.3.1", head(b"Transfer-Encoding: chunked") + CHUNKED_HELLO, Reached(body=b"hello")),
    passes("chunked-empty", "9112 7.1", post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), EMPTY, keeps=True),
    passes(
        "chunked-then-request",
        "9112 9.3.2",
        post(b"Transfer-Encoding: chunked", body=CHUNKED_HELLO + head()),
        HELLO,
        Reached(),
    ),
    either(
        "chunked-trailing-comma",
        "9110 5.6.1",
        post(b"Transfer-Encoding: chunked,", body=CHUNKED_HELLO),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
    ),
    either(
        "chunked-leading-comma",
        "9110 5.6.1",
        post(b"Transfer-Encoding: ,chunked", body=CHUNKED_HELLO),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
    ),
    either(
        "chunked-folded",
        "9112 5.2",
        post(b"Transfer-Encoding:\r\n chunked", body=CHUNKED_HELLO),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
    ),
    either(
        "chunked-folded-by-tab",
        "9112 5.2",
        post(b"Transfer-Encoding:\r\n\tchunked", body=CHUNKED_HELLO),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
    ),
    either(
        "chunked-http-1.0",
        "9112 6.1",
        post(b"Transfer-Encoding: chunked", body=CHUNKED_HELLO, line=b"POST / HTTP/1.0"),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
        closes=True,
        doubtful=True,
    ),
    either(
        "chunked-http-1.0-keep-alive",
        "9112 6.1",
        post(b"Transfer-Encoding: chunked", b"Connection: keep-alive", body=CHUNKED_HELLO, line=b"POST / HTTP/1.0"),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
        closes=True,
        doubtful=True,
    ),
    either(
        "chunked-nul",
        "9110 5.5",
        post(b"Transfer-Encoding: chunked\x00", body=CHUNKED_HELLO),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
    ),
    either(
        "chunked-bare-cr",
        "9112 2.2",
        post(b"Transfer-Encoding: \rchunked", body=CHUNKED_HELLO),
        HELLO,
        statuses=BAD_OR_UNKNOWN,
    ),
    refused(
        "chunked-two-lines",
        "9112 6.1",
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=CHUNKED_HELLO),
        BAD_OR_UNKNOWN,
    ),
    refused(
        "chunked-line-then-identity",
        "9112 6.1",
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=CHUNKED_HELLO),
        BAD_OR_UNKNOWN,
    ),
    refused(
        "identity-line-then-chunked",
        "9112 6.1",
        post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=CHUNKED_HELLO),
        BAD_OR_UNKNOWN,
    ),
    *(
        refused(f"coding-{name}", "9112 6.1", post(b"Transfer-Encoding: " + value, body=CHUNKED_HELLO), BAD_OR_UNKNOWN)
        for name, value in _BAD_CODINGS.items()
    ),
)

_TOGETHER = (
    either(
        "both-chunks-first",
        "9112 6.1",
        post(b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(BOTH), body=BOTH),
        EMPTY,
        closes=True,
    ),
    either(
        "both-length-first",
        "9112 6.1",
        post(b"Content-Length: %d" % len(BOTH), b"Transfer-Encoding: chunked", body=BOTH),
        EMPTY,
        closes=True,
    ),
    either(
        "both-agreeing",
        "9112 6.1",
        post(b"Content-Length: %d" % len(CHUNKED_HELLO), b"Transfer-Encoding: chunked", body=CHUNKED_HELLO),
        HELLO,
        closes=True,
    ),
    either(
        "both-length-shorter",
        "9112 6.1",
        post(
            b"Content-Length: 4",
            b"Transfer-Encoding: chunked",
            body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        ),
        Reached(b"POST", body=SMUGGLED),
        closes=True,
    ),
    either(
        "both-length-zero",
        "9112 6.1",
        post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=CHUNKED_HELLO),
        HELLO,
        closes=True,
    ),
    refused(
        "both-length-bad",
        "9112 6.3",
        post(b"Content-Length: x", b"Transfer-Encoding: chunked", body=CHUNKED_HELLO),
        closes=True,
    ),
    either(
        "both-http-1.0",
        "9112 6.1",
        post(b"Content-Length: %d" % len(BOTH), b"Transfer-Encoding: chunked", body=BOTH, line=b"POST / HTTP/1.0"),
        EMPTY,
        statuses=BAD_OR_UNKNOWN,
        closes=True,
        doubtful=True,
    ),
    either(
        "both-folded",
        "9112 6.1",
        post(b"Content-Length: %d" % len(BOTH), b"Transfer-Encoding:\r\n chunked", body=BOTH),
        EMPTY,
        statuses=BAD_OR_UNKNOWN,
        closes=True,
    ),
    either(
        "both-bare-line-feed",
        "9112 2.2",
        post(b"Content-Length: %d" % len(BOTH), b"X: y\nTransfer-Encoding: chunked", body=BOTH),
        EMPTY,
        closes=True,
    ),
    either(
        "both-nul",
        "9110 5.5",
        post(b"Content-Length: %d" % len(BOTH), b"Transfer-Encoding: chunked\x00", body=BOTH),
        EMPTY,
        statuses=BAD_OR_UNKNOWN,
        closes=True,
    ),
    either(
        "both-bare-cr",
        "9112 2.2",
        post(b"Content-Length: %d" % len(BOTH), b"Transfer-Encoding: \rchunked", body=BOTH),
        EMPTY,
        statuses=BAD_OR_UNKNOWN,
        closes=True,
    ),
    either(
        "both-underscore",
        "9110 5.1",
        post(b"Content-Length: %d" % len(BOTH), b"Transfer_Encoding: chunked", body=BOTH),
        Reached(b"POST", body=BOTH, ours_absent=(b"transfer_encoding",)),
    ),
    *(
        refused(
            f"both-coding-{name}",
            "9112 6.1",
            post(b"Content-Length: %d" % len(BOTH), b"Transfer-Encoding: " + value, body=BOTH),
            BAD_OR_UNKNOWN,
            closes=True,
        )
        for name, value in _BAD_CODINGS.items()
    ),
    *(
        refused(f"both-name-{name}", "9112 5.1", post(b"Content-Length: %d" % len(BOTH), line_, body=BOTH), closes=True)
        for name, line_ in _BAD_NAMES.items()
    ),
)

VECTORS: tuple[RequestVector, ...] = _LENGTHS + _CODINGS + _TOGETHER
