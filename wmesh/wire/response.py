"""Response heads: what an instance sent is checked, what the client gets is written anew.

An instance is trusted more than a client, but not with framing: a head with two lengths, a length beside chunks, or a
transfer coding we cannot undo, would let a client and us disagree on where the answer ends; it becomes a 502. The
client's framing is chosen here from what is known of the body (RFC 9112 section 6.3) and of the client's version.
"""

from __future__ import annotations

import enum

from wmesh.errors import WireError
from wmesh.wire import fields as kind_of
from wmesh.wire.fields import RESPONSE_KINDS, connection_options, without

Field = tuple[bytes, bytes]


class Body(enum.IntEnum):
    """How the end of a response body is known."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


class ResponseHead:
    """One checked response head; `length` is its Content-Length where that has a meaning, else None."""

    __slots__ = ("body", "dated", "fields", "length", "minor", "reason", "status")

    def __init__(self, status: int, reason: bytes, minor: int) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.fields: list[Field] = []
        self.length: int | None = None
        self.body = Body.NONE
        self.dated = False


def read_response(
    status: int, reason: bytes, version: str, fields: list[Field], is_head: bool, limit: int
) -> ResponseHead:
    """Check and understand a head; `is_head`: it answers a HEAD request. Raises WireError (502)."""
    if version == "1.1":
        head = ResponseHead(status, reason, 1)
    elif version == "1.0":
        head = ResponseHead(status, reason, 0)
    else:
        raise WireError(f"the instance speaks HTTP/{version}", 502)
    if not 100 <= status <= 599:
        raise WireError(f"status {status} is not between 100 and 599", 502)
    if len(fields) > limit:
        raise WireError(f"the answer has more than {limit} header fields", 502)
    plain = head.fields
    chunked = False
    names: set[bytes] | None = None
    for field in fields:
        kind = RESPONSE_KINDS[field[0]]
        if not kind:
            plain.append(field)
        elif kind == kind_of.DATE:
            head.dated = True
            plain.append(field)
        elif kind == kind_of.CONTENT_LENGTH:
            value = field[1]
            if head.length is not None or not value.isdigit() or len(value) > 19:
                raise WireError("the answer's Content-Length is doubled or not a number", 502)
            head.length = int(value)
        elif kind == kind_of.TRANSFER_ENCODING:
            if chunked or not head.minor or field[1].lower() != b"chunked":
                raise WireError("the answer's Transfer-Encoding is not exactly chunked", 502)
            chunked = True
        elif kind == kind_of.CONNECTION:
            names = (names or set()).union(connection_options(field[1]))
    if names:
        names -= {b"close", b"upgrade"}
        if names:
            head.fields = without(plain, names)
    if chunked and head.length is not None:
        raise WireError("the answer has Content-Length beside Transfer-Encoding", 502)
    if status < 200 or status == 204:
        head.length = None
    elif is_head or status == 304:
        pass
    elif chunked:
        head.body = Body.CHUNKED
    elif head.length is not None:
        head.body = Body.LENGTH
    else:
        head.body = Body.UNTIL_CLOSE
    return head


_STATUS_LINES: dict[tuple[int, bytes], bytes] = {}
_STATUS_LINES_LIMIT = 256


def status_line(status: int, reason: bytes) -> bytes:
    """The status line with its CRLF; the common ones are made once."""
    line = _STATUS_LINES.get((status, reason))
    if line is None:
        line = b"HTTP/1.1 %d %b\r\n" % (status, reason)
        if len(_STATUS_LINES) < _STATUS_LINES_LIMIT:
            _STATUS_LINES[(status, reason)] = line
    return line


def write_response(head: ResponseHead, chunked: bool, request_id: bytes, date: bytes, connection: bytes) -> bytes:
    """The head for the client, with its empty line.

    `chunked`: the body will be sent in chunks. `date` fills in for a missing Date (RFC 9110 section 6.6.1).
    `connection` is b"" or a whole Connection line with its CRLF.
    """
    lines = b"\r\n".join(map(b": ".join, head.fields)) + b"\r\n" if head.fields else b""
    if chunked:
        framing = b"\r\nTransfer-Encoding: chunked\r\n"
    elif head.length is not None:
        framing = b"\r\nContent-Length: %d\r\n" % head.length
    else:
        framing = b"\r\n"
    return b"".join(
        (
            status_line(head.status, head.reason),
            lines,
            b"" if head.dated else b"Date: " + date + b"\r\n",
            b"Via: 1.1 wmesh\r\nX-Request-Id: " if head.minor else b"Via: 1.0 wmesh\r\nX-Request-Id: ",
            request_id,
            framing,
            connection,
            b"\r\n",
        )
    )


def write_interim(head: ResponseHead) -> bytes:
    """An interim (1xx) head, passed on with its end-to-end fields (RFC 9110 section 15.2)."""
    lines = b"".join(b"%b: %b\r\n" % field for field in head.fields)
    return status_line(head.status, head.reason) + lines + b"\r\n"


def write_switch(head: ResponseHead, protocol: bytes, request_id: bytes) -> bytes:
    """The 101 head that opens a tunnel."""
    lines = b"".join(b"%b: %b\r\n" % field for field in head.fields)
    return b"".join(
        (
            status_line(101, head.reason),
            lines,
            b"Connection: Upgrade\r\nUpgrade: ",
            protocol,
            b"\r\nVia: 1.1 wmesh\r\nX-Request-Id: ",
            request_id,
            b"\r\n\r\n",
        )
    )
