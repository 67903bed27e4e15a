"""Request heads: what a client sent is checked and understood; what an instance gets is written anew.

`wmesh.wire.syntax` has the lines judged; here is what they mean: one Host, Transfer-Encoding exactly "chunked" or not
at all, limits, targets, expectations, what Connection names. Every field that speaks to this hop only is taken out; the
others stay in `lines` as they came. `write_request` then makes the one head that an instance sees: one Host, one
framing, our Via, forwarded fields and request id.

RFC 9112 sections 2, 3, 6, 9; RFC 9110 sections 7.2, 7.6, 10.1.1.
"""

from __future__ import annotations

from wmesh.errors import WireError
from wmesh.wire.fields import CLAIMS, REQUEST_SPECIALS, Special, connection_options, without
from wmesh.wire.limits import Limits
from wmesh.wire.syntax import FIELDS, request_line
from wmesh.wire.target import check_path, host_name, split_absolute

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110 section 9.2.2."""


Vias = tuple[bytes, bytes]
"""What `vias` made: by the minor version received, the lines up to the request id."""


def vias(name: str) -> Vias:
    """The Via line (RFC 9110 section 7.6.3) of a gateway of this name, and the beginning of the X-Request-Id line."""
    text = name.encode("ascii")
    return b"Via: 1.0 %b\r\nX-Request-Id: " % text, b"Via: 1.1 %b\r\nX-Request-Id: " % text


class RequestHead:
    """One checked request head.

    `lines` are the end-to-end field lines, as they came: CRLF, then each line with its CRLF. `claims` are those that
    only a trusted proxy may make. `length` is the Content-Length (None: absent), `chunked` the other framing. `target`
    is in origin-form or "*". `minor` is 0 or 1. `upgrade` is the Upgrade field's value where Connection names it.
    """

    __slots__ = (
        "chunked",
        "claims",
        "expect",
        "has_body",
        "host",
        "host_name",
        "length",
        "lines",
        "max_forwards",
        "method",
        "minor",
        "request_id",
        "target",
        "trailers",
        "upgrade",
        "wants_close",
    )

    def __init__(self, method: bytes, target: bytes, minor: int) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.host = b""
        self.host_name = b""
        self.lines = b"\r\n"
        self.claims: list[Special] | None = None
        self.length: int | None = None
        self.chunked = False
        self.has_body = False
        self.expect = False
        self.upgrade: bytes | None = None
        self.trailers = False
        self.wants_close = minor == 0
        self.request_id = b""
        self.max_forwards: int | None = None


def read_request(block: bytes, limits: Limits) -> RequestHead:
    """Check and understand a head: its lines, each with its CRLF, without the empty line at the end.

    Raises WireError with the status to answer.
    """
    if len(block) > limits.head:
        raise WireError(f"the head is longer than {limits.head} bytes", 431)
    first = block.find(b"\r\n")
    head = RequestHead(*request_line(block[:first]))
    if len(head.target) > limits.target:
        raise WireError(f"the request target is longer than {limits.target} bytes", 414)
    lines = block[first:]
    FIELDS.check(lines)
    if lines.count(b"\n") > limits.fields + 1:
        raise WireError(f"more than {limits.fields} header fields", 431)
    pieces = REQUEST_SPECIALS.split(lines)
    if len(pieces) == 4 and len(pieces[1]) == 4:
        # Nothing but one Host ("host" is the only special name of four letters): the most common head of all.
        head.lines = pieces[0] + pieces[3]
        head.host = host = pieces[2].rstrip(b" \t")
        head.host_name = host_name(host)
    else:
        head.lines = b"".join(pieces[0::3])
        _read_specials(head, pieces)
    target = head.target
    if target[:1] == b"/":
        check_path(target)
    elif target == b"*":
        if head.method != b"OPTIONS":
            raise WireError("the target * goes with OPTIONS only")
    else:
        head.host, head.target = split_absolute(target)
        head.host_name = host_name(head.host)
        check_path(head.target)
    return head


def _read_specials(head: RequestHead, pieces: list[bytes]) -> None:
    hosts = 0
    options: tuple[bytes, ...] = ()
    upgrade: bytes | None = None
    for index in range(1, len(pieces), 3):
        name = pieces[index].lower()
        value = pieces[index + 1].rstrip(b" \t")
        if name == b"host":
            hosts += 1
            head.host = value
        elif name == b"connection":
            options += connection_options(value)
        elif name in CLAIMS:
            if head.claims is None:
                head.claims = []
            head.claims.append((name, value))
        elif name == b"upgrade":
            upgrade = value if upgrade is None else upgrade + b", " + value
        else:
            _read_special(head, name, value)
    if hosts != 1 and (hosts or head.minor):
        raise WireError("more than one Host field" if hosts else "an HTTP/1.1 request needs a Host field")
    if hosts:
        head.host_name = host_name(head.host)
    if options:
        _apply_options(head, options, upgrade)
    if head.chunked and head.length is not None:
        raise WireError("Content-Length beside Transfer-Encoding")
    head.has_body = head.chunked or bool(head.length)
    if head.has_body and head.method == b"TRACE":
        raise WireError("a TRACE request has no body")


def _read_special(head: RequestHead, name: bytes, value: bytes) -> None:
    if name == b"content-length":
        if head.length is not None:
            raise WireError("more than one Content-Length field")
        if not value.isdigit() or len(value) > 18:
            raise WireError("Content-Length is not a number of bytes")
        head.length = int(value)
    elif name == b"transfer-encoding":
        if head.chunked:
            raise WireError("more than one Transfer-Encoding field")
        if not head.minor:
            raise WireError("Transfer-Encoding in an HTTP/1.0 request")
        if value.lower() != b"chunked":
            raise WireError("the only transfer coding understood here is exactly chunked", 501)
        head.chunked = True
    elif name == b"te":
        head.trailers = head.trailers or b"trailers" in value.lower()
    elif name == b"expect":
        if value.lower() != b"100-continue":
            raise WireError("the only expectation understood here is 100-continue", 417)
        # An HTTP/1.0 client cannot take a 100 (RFC 9110 section 10.1.1): it is not asked for on its behalf.
        head.expect = head.minor == 1
    elif name == b"x-request-id":
        head.request_id = value
    elif name == b"max-forwards":
        if head.method not in (b"OPTIONS", b"TRACE"):
            head.lines += b"Max-Forwards: %b\r\n" % value
        elif not value.isdigit() or len(value) > 9:
            raise WireError("Max-Forwards is not a number")
        else:
            head.max_forwards = int(value)


def _apply_options(head: RequestHead, options: tuple[bytes, ...], upgrade: bytes | None) -> None:
    names = set(options)
    if b"close" in names:
        head.wants_close = True
    elif b"keep-alive" in names:
        head.wants_close = False
    if b"upgrade" in names:
        head.upgrade = upgrade
    names -= {b"close", b"keep-alive", b"upgrade"}
    if names:
        head.lines = without(head.lines, names)


def write_request(head: RequestHead, target: bytes, forwarded: bytes, via: Vias, request_id: bytes) -> bytes:
    """The head for an instance, with its empty line. `forwarded` holds whole field lines, each with its CRLF."""
    if head.has_body or head.length is not None:
        framing = b"\r\nTransfer-Encoding: chunked" if head.chunked else b"\r\nContent-Length: %d" % (head.length or 0)
    else:
        framing = b""
    if head.expect or head.trailers or head.max_forwards is not None:
        framing += _rare_lines(head)
    return b"".join(
        (
            head.method,
            b" ",
            target,
            b" HTTP/1.1\r\nHost: ",
            head.host,
            head.lines,
            forwarded,
            via[head.minor],
            request_id,
            framing,
            b"\r\n\r\n",
        )
    )


def _rare_lines(head: RequestHead) -> bytes:
    lines = b""
    if head.expect and head.has_body:
        lines += b"\r\nExpect: 100-continue"
    if head.trailers:
        lines += b"\r\nTE: trailers\r\nConnection: TE"
    if head.max_forwards is not None:
        lines += b"\r\nMax-Forwards: %d" % (head.max_forwards - 1)
    return lines


def upgrade_request(written: bytes, protocol: bytes) -> bytes:
    """A written head, asking to switch to `protocol` besides."""
    return written[:-2] + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
