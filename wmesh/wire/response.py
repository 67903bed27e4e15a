"""Response heads: what an instance sent is checked, what the client gets is written anew.

An instance is trusted more than a client, but not with framing: a head with two lengths, a length beside chunks, or a
transfer coding we cannot undo, would let a client and us disagree on where the answer ends; it becomes a 502. The
client's framing is chosen here from what is known of the body (RFC 9112 section 6.3) and of the client's version.
"""

from __future__ import annotations

import enum

from wmesh.errors import WireError
from wmesh.wire.fields import RESPONSE_SPECIALS, connection_options, has_date, without
from wmesh.wire.memo import Memo
from wmesh.wire.request import Vias
from wmesh.wire.syntax import FIELDS, status_line


class Body(enum.IntEnum):
    """How the end of a response body is known."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


# WHY: reading a member of an enumeration through its class costs four times what a name of the module does.
NONE, LENGTH, CHUNKED, UNTIL_CLOSE = Body


class ResponseHead:
    """One checked response head; `length` is its Content-Length where that has a meaning, else None.

    `start` is the status line to send on, without CRLF. `lines` are the end-to-end field lines: CRLF, then each line
    with its CRLF. `keep` says whether the instance will
    take another request on the connection. `upgrade` is what a 101 switches to.
    """

    __slots__ = ("body", "dated", "framing", "keep", "length", "lines", "minor", "start", "status", "upgrade")

    def __init__(self, status: int, start: bytes, minor: int) -> None:
        self.status = status
        self.start = start
        self.minor = minor
        self.lines = b"\r\n"
        self.length: int | None = None
        self.framing = b"\r\n"
        self.dated = False
        self.body = NONE
        self.keep = minor == 1
        self.upgrade: bytes | None = None


def read_response(block: bytes, is_head: bool, max_fields: int) -> ResponseHead:
    """Check and understand a head: its lines, each with its CRLF, without the empty line at the end.

    `is_head`: it answers a HEAD request. Raises WireError (502).
    """
    if not is_head:
        known = _HEADS.get(block)
        if known is not None:
            return known
    first = block.find(b"\r\n")
    head = ResponseHead(*status_line(block[:first]))
    lines = block[first:]
    try:
        FIELDS.check(lines)
    except WireError as fault:
        raise WireError(f"the instance's answer: {fault.reason}", 502) from None
    if lines.count(b"\n") > max_fields + 1:
        raise WireError(f"the answer has more than {max_fields} header fields", 502)
    pieces = RESPONSE_SPECIALS.split(lines)
    head.lines = b"".join(pieces[0::3]) if len(pieces) > 1 else lines
    chunked = _read_specials(head, pieces)
    status = head.status
    if status < 200 or status == 204:
        head.length = None
    elif is_head or status == 304:
        pass
    elif chunked:
        head.body = CHUNKED
    elif head.length is not None:
        head.body = LENGTH
    else:
        head.body = UNTIL_CLOSE
        head.keep = False
    if head.length is not None:
        head.framing = b"\r\nContent-Length: %d\r\n" % head.length
    head.dated = b"\nDate: " in head.lines or has_date(head.lines)
    if not is_head:
        _HEADS.met(block, head)
    return head


# Instances repeat themselves, too: within one second the answers to a popular request often have the very same head.
# A head is never changed once it was read, so it may be shared. WHY: bench micro "heads".
_HEADS: Memo[ResponseHead] = Memo(512, 2048, 4)


def _read_specials(head: ResponseHead, pieces: list[bytes]) -> bool:
    chunked = False
    options: tuple[bytes, ...] = ()
    for index in range(1, len(pieces), 3):
        name = pieces[index].lower()
        value = pieces[index + 1].rstrip(b" \t")
        if name == b"content-length":
            if head.length is not None or not value.isdigit() or len(value) > 18:
                raise WireError("the answer's Content-Length is doubled or not a number", 502)
            head.length = int(value)
        elif name == b"connection":
            options += connection_options(value)
        elif name == b"transfer-encoding":
            if chunked or not head.minor or value.lower() != b"chunked":
                raise WireError("the answer's Transfer-Encoding is not exactly chunked", 502)
            chunked = True
        elif name == b"upgrade":
            head.upgrade = value
    if options == (b"keep-alive",):
        head.keep = True
    elif options:
        names = set(options)
        if b"close" in names:
            head.keep = False
        elif b"keep-alive" in names:
            head.keep = True
        names -= {b"close", b"keep-alive", b"upgrade"}
        if names:
            head.lines = without(head.lines, names)
    if chunked and head.length is not None:
        raise WireError("the answer has Content-Length beside Transfer-Encoding", 502)
    return chunked


def write_response(
    head: ResponseHead, chunked: bool, via: Vias, request_id: bytes, date: bytes, connection: bytes
) -> bytes:
    """The head for the client, with its empty line.

    `chunked`: the body will be sent in chunks. `date` fills in for a missing Date (RFC 9110 section 6.6.1).
    `connection` is b"" or a whole Connection line with its CRLF.
    """
    return b"".join(
        (
            head.start,
            head.lines,
            b"" if head.dated else b"Date: %b\r\n" % date,
            via[head.minor],
            request_id,
            b"\r\nTransfer-Encoding: chunked\r\n" if chunked else head.framing,
            connection,
            b"\r\n",
        )
    )


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def write_interim(head: ResponseHead) -> bytes:
    """An interim (1xx) head, passed on with its end-to-end fields (RFC 9110 section 15.2)."""
    return head.start + head.lines + b"\r\n"


def write_switch(head: ResponseHead, protocol: bytes, via: Vias, request_id: bytes, more: bytes = b"") -> bytes:
    """The 101 head that opens a tunnel. `more` are further field lines, each with its CRLF."""
    return b"".join(
        (
            head.start,
            head.lines,
            b"Connection: Upgrade\r\nUpgrade: ",
            protocol,
            b"\r\n",
            more,
            via[head.minor],
            request_id,
            b"\r\n\r\n",
        )
    )
