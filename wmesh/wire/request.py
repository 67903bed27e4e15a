"""Request heads: what a client sent is checked and understood; what an instance gets is written anew.

`wmesh.wire.syntax` has the lines judged; here is what they mean: one Host, Transfer-Encoding exactly "chunked" or not
at all, limits, targets, expectations, what Connection names. Every field that speaks to this hop only is taken out; the
others stay in `lines` as they came. `write_request` then makes the one head that an instance sees: one Host, one
framing, our Via, forwarded fields and request id.

RFC 9112 sections 2, 3, 6, 9; RFC 9110 sections 7.2, 7.6, 10.1.1.
"""

from __future__ import annotations

import re

from wmesh.errors import WireError
from wmesh.wire.fields import CLAIMS, REQUEST_SPECIALS, Special, connection_options, without
from wmesh.wire.limits import Limits
from wmesh.wire.memo import Memo
from wmesh.wire.syntax import FIELDS, METHODS, request_line
from wmesh.wire.target import check_path, host_name, split_absolute

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110 section 9.2.2."""


Vias = tuple[bytes, bytes]
"""What `vias` made: by the minor version received, the lines up to the request id."""


def vias(name: str) -> Vias:
    """The Via line (RFC 9110 section 7.6.3) of a gateway of this name, and the beginning of the X-Request-Id line."""
    text = name.encode("ascii")
    return b"Via: 1.0 %b\r\nX-Request-Id: " % text, b"Via: 1.1 %b\r\nX-Request-Id: " % text


class RequestFields:
    """What the field lines of a request say, whatever its request line is. Shared between requests: never changed.

    `lines` are the end-to-end field lines, as they came: CRLF, then each line with its CRLF. `claims` are those that
    only a trusted proxy may make. `length` is the Content-Length (None: absent), `chunked` the other framing. `upgrade`
    is the Upgrade field's value where Connection names it. `close` is what Connection says of the connection's end
    (None: nothing). `plain`: none of the fields that ask for a second thought is there.
    """

    __slots__ = (
        "chunked",
        "claims",
        "close",
        "count",
        "expect",
        "has_body",
        "host",
        "host_name",
        "length",
        "lines",
        "max_forwards",
        "plain",
        "request_id",
        "trailers",
        "upgrade",
    )

    def __init__(self, lines: bytes, count: int) -> None:
        self.lines = lines
        self.count = count
        self.plain = True
        self.host: bytes | None = None
        self.host_name = b""
        self.claims: list[Special] | None = None
        self.length: int | None = None
        self.chunked = False
        self.has_body = False
        self.expect = False
        self.upgrade: bytes | None = None
        self.trailers = False
        self.close: bool | None = None
        self.request_id = b""
        self.max_forwards: bytes | None = None


class RequestHead:
    """One checked request head: `fields`, and what the request line adds to them.

    `target` is in origin-form or "*". `minor` is 0 or 1. `host` is b"" where an HTTP/1.0 client named none.
    `wants_close`: the client will send no other request on the connection.
    """

    __slots__ = ("fields", "has_body", "host", "host_name", "method", "minor", "target", "wants_close")

    def __init__(self, method: bytes, target: bytes, minor: int, fields: RequestFields) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.fields = fields
        self.host = fields.host or b""
        self.host_name = fields.host_name
        self.has_body = fields.has_body
        self.wants_close = minor == 0 if fields.close is None else fields.close

    @property
    def lines(self) -> bytes:
        return self.fields.lines

    @property
    def claims(self) -> list[Special] | None:
        return self.fields.claims

    @property
    def length(self) -> int | None:
        return self.fields.length

    @property
    def chunked(self) -> bool:
        return self.fields.chunked

    @property
    def upgrade(self) -> bytes | None:
        """None for an HTTP/1.0 client, whose Upgrade is ignored (RFC 9110 section 7.8)."""
        return self.fields.upgrade if self.minor else None

    @property
    def trailers(self) -> bool:
        return self.fields.trailers

    @property
    def request_id(self) -> bytes:
        return self.fields.request_id

    @property
    def expect(self) -> bool:
        """The client waits for a 100. An HTTP/1.0 client cannot take one (RFC 9110 section 10.1.1)."""
        return self.fields.expect and self.minor == 1

    @property
    def max_forwards(self) -> int | None:
        """How many stops are left; only OPTIONS and TRACE count them (RFC 9110 section 7.6.2)."""
        value = self.fields.max_forwards
        return int(value) if value is not None and self.method in _COUNTS_STOPS else None


_COUNTS_STOPS = (b"OPTIONS", b"TRACE")

NO_FIELDS = RequestFields(b"\r\n", 0)

# Clients repeat themselves: one sends the same fields with each request, many ask for the same paths. What comes a
# second time is remembered. WHY: bench micro "heads", bench cases "small" and "varied".
_LINES: Memo[tuple[bytes, bytes, int]] = Memo(512, 256, 4)
_FIELDS: Memo[RequestFields] = Memo(512, 2048, 4)


def read_request(block: bytes, limits: Limits) -> RequestHead:
    """Check and understand a head: its lines, each with its CRLF, without the empty line at the end.

    Raises WireError with the status to answer.
    """
    if len(block) > limits.head:
        raise WireError(f"the head is longer than {limits.head} bytes", 431)
    first = block.find(b"\r\n")
    line = block[:first]
    known = _LINES.get(line)
    if known is None:
        known = _read_line(line)
    method, target, minor = known
    if len(target) > limits.target:
        raise WireError(f"the request target is longer than {limits.target} bytes", 414)
    lines = block[first:]
    fields = _FIELDS.get(lines)
    if fields is None:
        fields = _read_fields(lines)
    if fields.count > limits.fields:
        raise WireError(f"more than {limits.fields} header fields", 431)
    head = RequestHead(method, target, minor, fields)
    if fields.host is None and minor:
        raise WireError("an HTTP/1.1 request needs a Host field")
    if target[:1] != b"/" and target != b"*":
        head.host, head.target = split_absolute(target)
        head.host_name = host_name(head.host)
        check_path(head.target)
    if not fields.plain:
        _check_together(head)
    return head


_PLAIN_LINE = re.compile(rb"([A-Z]+) (/[!\"$&-\[\]-~]*) HTTP/1\.([01])")
"""What nearly every request line is: in such a target, nothing but "/." can be wrong."""


def _read_line(line: bytes) -> tuple[bytes, bytes, int]:
    match = _PLAIN_LINE.fullmatch(line)
    if match is not None:
        method, target, minor = match.groups()
        if method in METHODS and b"/." not in target:
            known = METHODS[method], target, 1 if minor == b"1" else 0
            _LINES.met(line, known)
            return known
    known = request_line(line)
    method, target, _ = known
    if target[:1] == b"/":
        check_path(target)
    elif target == b"*" and method != b"OPTIONS":
        raise WireError("the target * goes with OPTIONS only")
    _LINES.met(line, known)
    return known


def _check_together(head: RequestHead) -> None:
    """What the fields may say depends on the method and the version."""
    fields = head.fields
    if fields.chunked and not head.minor:
        raise WireError("Transfer-Encoding in an HTTP/1.0 request")
    if head.method == b"TRACE" and fields.has_body:
        raise WireError("a TRACE request has no body")
    value = fields.max_forwards
    if value is not None and head.method in _COUNTS_STOPS and (not value.isdigit() or len(value) > 9):
        raise WireError("Max-Forwards is not a number")


def _read_fields(lines: bytes) -> RequestFields:
    FIELDS.check(lines)
    pieces = REQUEST_SPECIALS.split(lines)
    if len(pieces) == 4 and len(pieces[1]) == 4:
        # Nothing but one Host (no other name among them has four letters): the most common head of all.
        fields = RequestFields(pieces[0] + pieces[3], lines.count(b"\n") - 1)
        fields.host = host = pieces[2].rstrip(b" \t")
        fields.host_name = host_name(host)
    else:
        fields = RequestFields(b"".join(pieces[0::3]), lines.count(b"\n") - 1)
        _read_specials(fields, pieces)
    _FIELDS.met(lines, fields)
    return fields


def _read_specials(fields: RequestFields, pieces: list[bytes]) -> None:
    options: tuple[bytes, ...] = ()
    upgrade: bytes | None = None
    for index in range(1, len(pieces), 3):
        name = pieces[index].lower()
        value = pieces[index + 1].rstrip(b" \t")
        if name == b"host":
            if fields.host is not None:
                raise WireError("more than one Host field")
            fields.host = value
            fields.host_name = host_name(value)
        elif name == b"connection":
            options += connection_options(value)
        elif name == b"upgrade":
            upgrade = value if upgrade is None else upgrade + b", " + value
        elif name in CLAIMS:
            if fields.claims is None:
                fields.claims = []
            fields.claims.append((name, value))
            fields.plain = False
        else:
            fields.plain = False
            _read_special(fields, name, value)
    if options:
        _apply_options(fields, options, upgrade)
    if fields.chunked and fields.length is not None:
        raise WireError("Content-Length beside Transfer-Encoding")
    fields.has_body = fields.chunked or bool(fields.length)


def _read_special(fields: RequestFields, name: bytes, value: bytes) -> None:
    if name == b"content-length":
        if fields.length is not None:
            raise WireError("more than one Content-Length field")
        if not value.isdigit() or len(value) > 18:
            raise WireError("Content-Length is not a number of bytes")
        fields.length = int(value)
    elif name == b"transfer-encoding":
        if fields.chunked:
            raise WireError("more than one Transfer-Encoding field")
        if value.lower() != b"chunked":
            raise WireError("the only transfer coding understood here is exactly chunked", 501)
        fields.chunked = True
    elif name == b"te":
        fields.trailers = fields.trailers or b"trailers" in connection_options(value)
    elif name == b"expect":
        if value.lower() != b"100-continue":
            raise WireError("the only expectation understood here is 100-continue", 417)
        fields.expect = True
    elif name == b"x-request-id":
        fields.request_id = value
    elif name == b"max-forwards":
        fields.max_forwards = value


def _apply_options(fields: RequestFields, options: tuple[bytes, ...], upgrade: bytes | None) -> None:
    names = set(options)
    if b"close" in names:
        fields.close = True
    elif b"keep-alive" in names:
        fields.close = False
    if b"upgrade" in names and upgrade is not None:
        fields.upgrade = upgrade
        fields.plain = False
    names -= {b"close", b"keep-alive", b"upgrade"}
    if names:
        fields.lines = without(fields.lines, names)


def write_request(head: RequestHead, target: bytes, forwarded: bytes, via: Vias, request_id: bytes) -> bytes:
    """The head for an instance, with its empty line. `forwarded` holds whole field lines, each with its CRLF."""
    fields = head.fields
    return b"".join(
        (
            head.method,
            b" ",
            target,
            b" HTTP/1.1\r\nHost: ",
            head.host,
            fields.lines,
            forwarded,
            via[head.minor],
            request_id,
            b"\r\n\r\n" if fields.plain else _rare_lines(head),
        )
    )


def around_client(head: RequestHead, target: bytes, prefix_line: bytes, via: Vias) -> tuple[bytes, bytes]:
    """The written head of a plain request without a body, taken apart: what stands before the lines that name the
    client, and what stands between the last of them (that of the host) and the request id.
    """
    before = b"%b %b HTTP/1.1\r\nHost: %b%b" % (head.method, target, head.host, head.fields.lines)
    return before, b"%b\r\n%b%b" % (head.host, prefix_line, via[head.minor])


def _rare_lines(head: RequestHead) -> bytes:
    """What follows the request id: framing and the fields that speak to the instance alone, with the empty line."""
    lines = b"\r\n"
    fields = head.fields
    if fields.chunked:
        lines += b"Transfer-Encoding: chunked\r\n"
    elif fields.length is not None:
        lines += b"Content-Length: %d\r\n" % fields.length
    if head.expect and fields.has_body:
        lines += b"Expect: 100-continue\r\n"
    if fields.trailers:
        lines += b"TE: trailers\r\nConnection: TE\r\n"
    stops = head.max_forwards
    if stops is not None:
        lines += b"Max-Forwards: %d\r\n" % (stops - 1)
    elif fields.max_forwards is not None:
        lines += b"Max-Forwards: %b\r\n" % fields.max_forwards
    return lines + b"\r\n"


def upgrade_request(written: bytes, protocol: bytes) -> bytes:
    """A written head, asking to switch to `protocol` besides."""
    return written[:-2] + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
