"""Request heads: what a client sent is checked and understood; what an instance gets is written anew.

Strategy: llhttp (through httptools) has parsed the bytes and refused what is no HTTP at all (bare CR or LF, NUL, folded
lines, Content-Length beside Transfer-Encoding, doubled lengths). `read_request` adds what it leaves open: versions,
Host, Transfer-Encoding other than exactly "chunked", limits, targets, expectations. It keeps the end-to-end fields in
their order and spelling, and takes out every field that speaks to this hop only. `write_request` then makes the one
head that an instance sees: one Host, one framing, our Via, forwarded fields and request id.

RFC 9112 sections 2, 3, 6, 9; RFC 9110 sections 7.2, 7.6, 10.1.1.
"""

from __future__ import annotations

from wmesh.errors import WireError
from wmesh.wire import fields as kind_of
from wmesh.wire.fields import REQUEST_KINDS, connection_options, without
from wmesh.wire.limits import Limits
from wmesh.wire.target import check_path, host_name, split_absolute

Field = tuple[bytes, bytes]

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110 section 9.2.2."""

# Methods that llhttp knows but an HTTP/1.1 gateway has no use for: CONNECT asks for a forward proxy, PRI is the preface
# of HTTP/2, SOURCE belongs to Icecast.
_REFUSED_METHODS = frozenset((b"CONNECT", b"PRI", b"SOURCE"))


class RequestHead:
    """One checked request head.

    `fields` are the end-to-end fields, as they came; `claims` those that only a trusted proxy may make. `length` is the
    Content-Length (None: absent), `chunked` the other framing. `target` is in origin-form or "*". `minor` is 0 or 1.
    `upgrade` is the Upgrade field's value where Connection names it, else None.
    """

    __slots__ = (
        "chunked",
        "claims",
        "expect",
        "fields",
        "host",
        "host_name",
        "length",
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
        self.fields: list[Field] = []
        self.claims: list[Field] | None = None
        self.length: int | None = None
        self.chunked = False
        self.expect = False
        self.upgrade: bytes | None = None
        self.trailers = False
        self.wants_close = False
        self.request_id = b""
        self.max_forwards: int | None = None

    @property
    def has_body(self) -> bool:
        """Body bytes will follow the head."""
        return self.chunked or bool(self.length)


def read_request(method: bytes, target: bytes, version: str, fields: list[Field], limits: Limits) -> RequestHead:
    """Check and understand a head. `version` is httptools' "1.1". Raises WireError with the status to answer."""
    if version == "1.1":
        head = RequestHead(method, target, 1)
    elif version == "1.0":
        head = RequestHead(method, target, 0)
    else:
        raise WireError(f"HTTP/{version} is not spoken here; HTTP/1.1 and HTTP/1.0 are", 505)
    if len(target) > limits.target:
        raise WireError(f"the request target is longer than {limits.target} bytes", 414)
    if len(fields) > limits.fields:
        raise WireError(f"more than {limits.fields} header fields", 431)
    plain = head.fields
    host: bytes | None = None
    options: tuple[bytes, ...] | None = None
    upgrade: bytes | None = None
    for field in fields:
        kind = REQUEST_KINDS[field[0]]
        if not kind:
            plain.append(field)
        elif kind == kind_of.HOST:
            if host is not None:
                raise WireError("more than one Host field")
            host = field[1]
        elif kind == kind_of.CONNECTION:
            options = connection_options(field[1]) if options is None else (*options, *connection_options(field[1]))
        elif kind == kind_of.CLAIM:
            if head.claims is None:
                head.claims = []
            head.claims.append(field)
        elif kind == kind_of.UPGRADE:
            upgrade = field[1] if upgrade is None else upgrade + b", " + field[1]
        elif kind != kind_of.DROP:
            _read_special(head, kind, field[1])
    if host is None:
        if head.minor:
            raise WireError("an HTTP/1.1 request needs a Host field")
    else:
        head.host = host
        head.host_name = host_name(host)
    if options:
        _apply_options(head, options, upgrade)
    _check_target(head)
    return head


def _read_special(head: RequestHead, kind: int, value: bytes) -> None:
    if kind == kind_of.CONTENT_LENGTH:
        if head.length is not None:
            raise WireError("more than one Content-Length field")
        if not value.isdigit() or len(value) > 19:
            raise WireError("Content-Length is not a number of bytes")
        head.length = int(value)
    elif kind == kind_of.TRANSFER_ENCODING:
        if head.chunked:
            raise WireError("more than one Transfer-Encoding field")
        if not head.minor:
            raise WireError("Transfer-Encoding in an HTTP/1.0 request")
        if value.lower() != b"chunked":
            raise WireError("the only transfer coding understood here is exactly chunked", 501)
        head.chunked = True
    elif kind == kind_of.TE:
        head.trailers = head.trailers or b"trailers" in value.lower()
    elif kind == kind_of.EXPECT:
        if value.lower() != b"100-continue":
            raise WireError("the only expectation understood here is 100-continue", 417)
        # An HTTP/1.0 client cannot take a 100 (RFC 9110 section 10.1.1): it is not asked for on its behalf.
        head.expect = head.minor == 1
    elif kind == kind_of.REQUEST_ID:
        head.request_id = value
    elif kind == kind_of.MAX_FORWARDS:
        if head.method not in (b"OPTIONS", b"TRACE"):
            head.fields.append((b"Max-Forwards", value))
        elif not value.isdigit() or len(value) > 9:
            raise WireError("Max-Forwards is not a number")
        else:
            head.max_forwards = int(value)


def _apply_options(head: RequestHead, options: tuple[bytes, ...], upgrade: bytes | None) -> None:
    names = set(options)
    if b"close" in names:
        head.wants_close = True
        names.discard(b"close")
    if b"upgrade" in names:
        head.upgrade = upgrade
        names.discard(b"upgrade")
    if names:
        head.fields = without(head.fields, names)


def _check_target(head: RequestHead) -> None:
    target = head.target
    if head.method in _REFUSED_METHODS:
        raise WireError(f"the method {head.method.decode('ascii')} is not served here", 501)
    if target[:1] == b"/":
        check_path(target)
    elif target == b"*":
        if head.method != b"OPTIONS":
            raise WireError("the target * goes with OPTIONS only")
    else:
        head.host, head.target = split_absolute(target)
        head.host_name = host_name(head.host)
        check_path(head.target)
    if head.chunked and head.length is not None:
        raise WireError("Content-Length beside Transfer-Encoding")
    if head.method == b"TRACE" and head.has_body:
        raise WireError("a TRACE request has no body")


def write_request(head: RequestHead, target: bytes, forwarded: bytes, request_id: bytes) -> bytes:
    """The head for an instance, with its empty line. `forwarded` holds whole field lines, each with its CRLF."""
    if head.fields:
        lines = b"\r\n".join(map(b": ".join, head.fields)) + b"\r\n"
    else:
        lines = b""
    if head.length is not None:
        framing = b"Content-Length: %d\r\n" % head.length
    elif head.chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
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
            b"\r\n",
            lines,
            forwarded,
            b"Via: 1.1 wmesh\r\nX-Request-Id: " if head.minor else b"Via: 1.0 wmesh\r\nX-Request-Id: ",
            request_id,
            b"\r\n",
            framing,
            b"\r\n",
        )
    )


def _rare_lines(head: RequestHead) -> bytes:
    lines = b""
    if head.expect and head.has_body:
        lines += b"Expect: 100-continue\r\n"
    if head.trailers:
        lines += b"TE: trailers\r\nConnection: TE\r\n"
    if head.max_forwards is not None:
        lines += b"Max-Forwards: %d\r\n" % (head.max_forwards - 1)
    return lines


def upgrade_request(written: bytes, protocol: bytes) -> bytes:
    """A written head, asking to switch to `protocol` besides."""
    return written[:-2] + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
