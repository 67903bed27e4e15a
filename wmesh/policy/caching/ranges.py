"""Ranges of a stored answer (RFC 9110 section 14). One range of bytes is served; of any other request, all of it.

Several ranges at once would be answered in parts with headers between them, more bytes than the whole answer has: it is
the known way to make a server work for nothing. A server may always send the whole answer instead.
"""

from __future__ import annotations

import re

_ONE = re.compile(rb"(?i:bytes)[ \t]*=[ \t,]*(\d{0,18})-(\d{0,18})[ \t,]*")

WHOLE = (0, -1)
"""The range is none that is served: all of the answer is."""


def part_of(value: bytes, length: int) -> tuple[int, int] | None:
    """(first, behind the last) of what is asked for in `length` bytes; WHOLE; or None: there is nothing there (416)."""
    match = _ONE.fullmatch(value.strip(b" \t"))
    if match is None or match[0].endswith(b"=-"):
        return WHOLE
    first, last = match.groups()
    if not first:
        if not last:
            return WHOLE
        count = min(int(last), length)
        return (length - count, length) if count else None
    start = int(first)
    if last and int(last) < start:
        return WHOLE  # not a valid range
    if start >= length:
        return None
    return (start, min(int(last) + 1, length) if last else length)


def content_range(start: int, end: int, length: int) -> bytes:
    """The line of a 206."""
    return b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, length)


def unsatisfied(length: int) -> bytes:
    """The line of a 416."""
    return b"Content-Range: bytes */%d\r\n" % length
