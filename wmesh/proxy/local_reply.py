"""Answers that the gateway makes itself: the only map from what went wrong to what the client is told.

Bodies are small JSON objects: `error` (a word for programs), `reason` (a sentence for people), `service` (null before a
route is found) and `request_id` (also in X-Request-Id), so that any refusal can be looked up in the logs.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.wire.request import Vias
from wmesh.wire.response import ResponseHead, write_response

REASONS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    421: b"Misdirected Request",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}

WORDS = {
    400: "bad_request",
    404: "no_route",
    408: "request_timeout",
    414: "target_too_long",
    417: "expectation_failed",
    431: "head_too_large",
    501: "not_implemented",
    505: "version_not_supported",
}

OUTCOMES: dict[Outcome, tuple[int, str]] = {
    Outcome.CONNECT_FAILED: (502, "instance_unreachable"),
    Outcome.RESET: (502, "instance_closed_connection"),
    Outcome.TIMEOUT: (504, "instance_timeout"),
    Outcome.SERVER_ERROR: (502, "instance_failed"),
    Outcome.INVALID: (502, "instance_sent_invalid_response"),
}


class LocalReply:
    """One answer of the gateway's own. `allow` is the Allow field, `retry_after` seconds, `type` that of the body. No
    `error`: no body.
    """

    __slots__ = ("allow", "error", "reason", "retry_after", "service", "status", "type")

    def __init__(
        self, status: int, error: str, reason: str, service: str | None = None, retry_after: int = 0, allow: str = ""
    ) -> None:
        self.status = status
        self.error = error
        self.reason = reason
        self.service = service
        self.retry_after = retry_after
        self.allow = allow
        self.type = "application/json"

    def body(self, request_id: bytes) -> bytes:
        """What the client is told, in the words of `type`."""
        if not self.error:
            return b""
        document = {
            "error": self.error,
            "reason": self.reason,
            "service": self.service,
            "request_id": request_id.decode("ascii", "replace"),
        }
        return json.dumps(document).encode() + b"\n"

    def render(self, request_id: bytes, date: bytes, connection: bytes, with_body: bool) -> bytes:
        """The whole message. `connection` is b"" or a whole Connection line; HEAD gets the head alone."""
        body = self.body(request_id)
        extra = b""
        if self.retry_after:
            extra += b"Retry-After: %d\r\n" % self.retry_after
        if self.allow:
            extra += b"Allow: %b\r\n" % self.allow.encode("ascii")
        return b"".join(
            (
                b"HTTP/1.1 %d %b\r\n" % (self.status, REASONS.get(self.status) or _phrase(self.status)),
                b"Content-Type: %b\r\n" % self.type.encode("ascii") if body else b"",
                b"Content-Length: %d\r\n" % len(body),
                b"Cache-Control: no-store\r\n",
                b"Date: %b\r\nX-Request-Id: %b\r\n" % (date, request_id),
                extra,
                connection,
                b"\r\n",
                body if with_body else b"",
            )
        )


class KeptReply(LocalReply):
    """An instance's own answer, which came whole and was kept for the case that nobody has a better one."""

    __slots__ = ("_body", "_head", "_via")

    def __init__(self, head: ResponseHead, body: bytes, via: Vias, service: str, retry_after: int) -> None:
        super().__init__(head.status, "instance_failed", f"status {head.status}", service, retry_after)
        self._head = head
        self._body = body
        self._via = via

    def render(self, request_id: bytes, date: bytes, connection: bytes, with_body: bool) -> bytes:
        return write_response(self._head, False, self._via, request_id, date, connection) + self._body


def _phrase(status: int) -> bytes:
    """The reason phrase of a status that was configured; it may be any."""
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


def for_refusal(refusal: Refusal, service: str) -> LocalReply:
    """No instance could be had."""
    return LocalReply(503, refusal.reason, refusal.detail, service, retry_after=refusal.retry_after)


def for_outcome(outcome: Outcome, detail: str, service: str, retry_after: int = 0) -> LocalReply:
    """The last attempt failed before its answer began. `retry_after` is what an instance asked for on the way."""
    status, word = OUTCOMES[outcome]
    return LocalReply(status, word, detail, service, retry_after)


def for_status(status: int, reason: str) -> LocalReply:
    """The request itself is at fault."""
    return LocalReply(status, WORDS.get(status, "bad_request"), reason)


def for_gateway(method: bytes) -> LocalReply:
    """OPTIONS * asks about the gateway itself; Max-Forwards: 0 makes us the last stop (RFC 9110 section 7.6.2)."""
    if method == b"OPTIONS":
        methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        return LocalReply(200, "", "this is the gateway itself", allow=methods)
    return LocalReply(405, "method_not_allowed", "TRACE ends here", allow="GET, HEAD, OPTIONS")
