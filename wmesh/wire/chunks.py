"""The chunked transfer coding (RFC 9112 section 7.1), the writing side; llhttp reads it."""

from __future__ import annotations

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """`data` (not empty) as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body; `trailers` are whole field lines, each with its CRLF."""
    return b"0\r\n%b\r\n" % trailers if trailers else LAST_CHUNK
