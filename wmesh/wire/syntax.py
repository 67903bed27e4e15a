"""Is this a head at all? Field lines are judged by llhttp; start lines, which it would judge per message, by one regex.

llhttp is given the field lines behind a status line of 304, whose message ends with its head whatever its fields say
(RFC 9110 section 15.4.5). So one parser of the process serves for requests and answers of all connections, keeps no
state between heads, and no connection needs a parser of its own. It refuses what would let two readers disagree: bare
CR or LF, NUL and other controls, folded lines, space before the colon, names that are no tokens, doubled or malformed
Content-Length, Content-Length beside Transfer-Encoding.
"""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpResponseParser

from wmesh.errors import WireError

END_OF_HEAD = b"\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/(\d)\.(\d)")
_STATUS_LINE = re.compile(rb"HTTP/(\d)\.(\d) (\d{3})(?: ([\t -~\x80-\xff]*))?")
_STRAY_LINE_FEED = re.compile(rb"(?<!\r)\n")

# The methods of the IANA registry that an HTTP/1.1 gateway may relay, PURGE, which caches speak, and M-SEARCH, which
# UPnP does. CONNECT asks for a forward proxy; PRI is the preface of HTTP/2.
_NAMES = (
    b"ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY DELETE GET HEAD LABEL LINK LOCK M-SEARCH MERGE MKACTIVITY "
    b"MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PROPFIND PROPPATCH "
    b"PURGE PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF "
    b"VERSION-CONTROL"
)
METHODS = {name: name for name in _NAMES.split()}
"""Each with itself: one object stands for all requests of a method, wherever they are remembered."""


class _Whole:
    """Counts heads that llhttp found complete."""

    __slots__ = ("heads",)

    def __init__(self) -> None:
        self.heads = 0

    def on_message_complete(self) -> None:
        self.heads += 1


class FieldSyntax:
    """Judges field lines. One object serves a whole process."""

    __slots__ = ("_parser", "_whole")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._whole = _Whole()
        self._parser = HttpResponseParser(self._whole)

    def check(self, lines: bytes) -> None:
        """`lines` begins with the CRLF of the start line and ends with the CRLF of the last field line.

        Raises WireError (400).
        """
        whole = self._whole
        whole.heads = 0
        try:
            self._parser.feed_data(b"HTTP/1.1 304 -%b\r\n" % lines)
        except HttpParserError:
            # After a head that says "Connection: close" llhttp takes no other, good or bad: ask a fresh one.
            self._renew()
            whole = self._whole
            try:
                self._parser.feed_data(b"HTTP/1.1 304 -%b\r\n" % lines)
            except HttpParserError as problem:
                self._renew()
                raise WireError(f"the header fields are not HTTP/1.1: {problem}") from None
        if whole.heads != 1:
            self._renew()
            raise WireError("the header fields are not HTTP/1.1")


FIELDS = FieldSyntax()


def request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """(method, target, minor version) of a request line. Raises WireError: 400, 501 or 505."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise WireError("the request line is not of the form: METHOD TARGET HTTP/1.1")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        version = f"{major.decode()}.{minor.decode()}"
        raise WireError(f"HTTP/{version} is not spoken here; HTTP/1.1 and HTTP/1.0 are", 505)
    if method not in METHODS:
        raise WireError(f"the method {method[:32].decode('ascii')} is not served here", 501)
    return method, target, 1 if minor == b"1" else 0


_STATUS_LINES: dict[bytes, tuple[int, bytes, int]] = {}
_STATUS_LINES_LIMIT = 256


def status_line(line: bytes) -> tuple[int, bytes, int]:
    """(status, the same line as HTTP/1.1, minor version) of a status line. Raises WireError (502)."""
    known = _STATUS_LINES.get(line)
    if known is not None:
        return known
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise WireError("the instance's status line is not of the form: HTTP/1.1 STATUS REASON", 502)
    major, minor, status, reason = match.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        raise WireError(f"the instance speaks HTTP/{major.decode()}.{minor.decode()}", 502)
    code = int(status)
    if not 100 <= code <= 599:
        raise WireError(f"status {code} is not between 100 and 599", 502)
    known = (code, b"HTTP/1.1 %d %b" % (code, reason or b""), 1 if minor == b"1" else 0)
    if len(_STATUS_LINES) < _STATUS_LINES_LIMIT:
        _STATUS_LINES[line] = known
    return known


def hopeless(partial: bytes, known: int) -> str | None:
    """Why bytes that hold no whole head can never become one, or None while they may.

    `known` of them were asked about before.
    """
    first = partial[:1]
    if first and not (first.isalpha() or first in b"\r\n"):
        return "this is not HTTP (a TLS client on a plain port?)" if first == b"\x16" else "this is not HTTP"
    if _STRAY_LINE_FEED.search(partial, max(0, known - 1)):
        return "a line ends with a bare line feed; CRLF is needed"
    return None
