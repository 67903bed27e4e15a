"""The check that asks an instance over HTTP/1.1 how it is: one request, one connection, one verdict.

Strategy: a protocol of our own on httptools, and neither treq nor Agent. A fleet of 10,000 instances checked every 15 s
is 667 checks a second, so the cost of one decides: with a connection per check, Agent takes four times the CPU of this,
which is hardly more than the bare connection; and Agent takes heads of any size and any number of 1xx answers. A check
here costs at most one deadline, 64 KiB of head (1xx answers included) and 64 KiB of body, whatever the instance does:
then the connection is aborted. Redirects are answers like any other; they are not followed.

The verdict waits for the end of the answer, or for 64 KiB of its body: an instance that sends a good head and then
hangs is not well. An answer that is cut short is no answer. Only that somebody else answers (see `identity`) is settled
by the head alone, whatever its status.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import httptools
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from wmesh.control.probes.connection import Visit, VisitingProbe, seconds_text
from wmesh.control.probes.identity import impostor
from wmesh.control.probes.search import TooSlow, found
from wmesh.model import CheckResult, CheckSpec

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024
CLOSE = "Connection: close"


class HttpVisit(Visit):
    """Its `on_…` methods are what httptools calls while it parses."""

    def __init__(self, *arguments: Any) -> None:
        self._parser: Any = None
        self._impostor = ""
        self._status = 0
        self._framed = False
        self._complete = False
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        super().__init__(*arguments)
        self._id_header = self.spec.id_header.lower().encode()

    def connected(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(self.request())

    def request(self) -> bytes:
        """What is asked."""
        spec = self.spec
        return b"".join(head(spec, spec.host or str(self.address), spec.method, spec.path, CLOSE))

    def upgraded(self, rest: bytes) -> None:
        """The answer was 101, and after its head came `rest`. No sign of health, but final."""
        self._judge(politely=False)

    def received(self, data: bytes) -> None:
        if not self._status:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            # What follows a whole answer is not our business any more.
            if not self._complete:
                self.settle(False, "the answer is not HTTP", politely=False)
                return
        if self._complete:
            self._judge(politely=True)
        elif self._body_size >= MAX_BODY:
            self._judge(politely=False)
        elif not self._status and self._head_size > MAX_HEAD:
            self.settle(False, f"the head of the answer is larger than {MAX_HEAD // 1024} KiB", politely=False)

    def ended(self, reason: Failure) -> CheckResult:
        if not self._status:
            return super().ended(reason)
        if self._framed or not isinstance(reason.value, ConnectionDone):
            return self.result(False, "the answer was cut short")
        # Neither length nor chunks: the end of the connection is the end of the body (RFC 9112 section 6.3).
        return self.result(*self._verdict())

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        # The parser holds our methods: without this, every check would leave a cycle behind.
        self._parser = None

    def late(self) -> str:
        if self._status:
            return f"the answer did not end in {seconds_text(self.spec.timeout)}"
        return super().late()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        elif name == self._id_header and not self._status:
            # Of several, one that is wrong is enough. Trailers are no head.
            self._impostor = self._impostor or impostor(self.record, value.strip())

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        # Interim answers (RFC 9110 section 15.2) announce the real one; 101 is no health check's answer, but final.
        if status >= 200 or status == 101:
            self._status = self._status or status
            if self._impostor:
                self.settle(False, self._impostor, politely=False, proof=True)
            elif self.spec.method == "HEAD":
                # It has no body, whatever its fields say of the one that GET would have (RFC 9110 section 9.3.2).
                self._judge(politely=True)
        else:
            self._framed = False
            self._impostor = ""

    def on_body(self, data: bytes) -> None:
        if self._body_size < MAX_BODY:
            if self.spec.expected_body:
                self._body.append(data[: MAX_BODY - self._body_size])
            self._body_size += len(data)

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True

    def _judge(self, *, politely: bool) -> None:
        ok, reason = self._verdict()
        self.settle(ok, reason, politely=politely)

    def _verdict(self) -> tuple[bool, str]:
        spec, status = self.spec, self._status
        if not any(low <= status <= high for low, high in spec.expected_status):
            return False, f"status {status}, expected {ranges_text(spec.expected_status)}"
        if spec.expected_body:
            problem = mismatch(spec.expected_body, b"".join(self._body), "the body")
            if problem:
                return False, problem
        return True, f"status {status}"


def mismatch(expression: str, data: bytes, what: str) -> str:
    """Why `data` is not what was expected, for people; empty if it is."""
    try:
        return "" if found(expression, data.decode("utf-8", "replace")) else f"{what} does not match"
    except TooSlow:
        return f"health_check_expected_body takes too long to search {what}; use fewer repetitions"
    except re.error as problem:
        return f"health_check_expected_body is not a regular expression: {problem}"


def head(spec: CheckSpec, host: str, method: str, target: str, *fields: str) -> tuple[bytes, bytes, bytes]:
    """The head of a request, in pieces. `fields` are lines that the kind of check needs itself."""
    before, after = _around_host(spec, method, target, fields)
    return before, host.encode("ascii"), after


@lru_cache(maxsize=1024)
def _around_host(spec: CheckSpec, method: str, target: str, fields: tuple[str, ...]) -> tuple[bytes, bytes]:
    """All but the Host, which is all that differs between the instances of a service."""
    given = {name.lower() for name, _ in spec.headers}
    usual = (("User-Agent", "wmesh-check"), ("Accept", "*/*"))
    lines = [*fields, *(f"{name}: {value}" for name, value in usual if name.lower() not in given)]
    lines += [f"{name}: {value}" for name, value in spec.headers]
    if method == "POST":
        lines.append("Content-Length: 0")
    return f"{method} {target} HTTP/1.1\r\nHost: ".encode(), "\r\n".join(("", *lines, "", "")).encode()


def ranges_text(ranges: tuple[tuple[int, int], ...]) -> str:
    """Ranges for people: "200 or 204", "200, 204 or 300-399"."""
    names = [str(low) if low == high else f"{low}-{high}" for low, high in ranges]
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


class HttpProbe(VisitingProbe):
    """Good when status and, if asked for, body are as `CheckSpec` expects them."""

    visit = HttpVisit
