"""The check that asks an instance over HTTP/1.1 how it is: one GET, one connection, one verdict.

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

import httptools
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from wmesh.control.probes.connection import ReactorForProbes, Visit, seconds_text
from wmesh.control.probes.identity import impostor
from wmesh.model import Address, CheckResult, CheckSpec, InstanceRecord

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024


class HttpProbe:
    """Implements `wmesh.interfaces.Probe`: status and, if asked for, body are as `CheckSpec` expects them."""

    def __init__(self, reactor: ReactorForProbes) -> None:
        self._reactor = reactor

    def __call__(self, record: InstanceRecord, spec: CheckSpec) -> Deferred[CheckResult]:
        return _HttpVisit(self._reactor, record, spec).done


class _HttpVisit(Visit):
    """Its `on_…` methods are what httptools calls while it parses."""

    def __init__(self, reactor: ReactorForProbes, record: InstanceRecord, spec: CheckSpec) -> None:
        self._record = record
        self._spec = spec
        self._id_header = spec.id_header.lower().encode()
        self._impostor = ""
        self._status = 0
        self._framed = False
        self._complete = False
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        super().__init__(reactor, record.address, spec.timeout)

    def connected(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(_request(self._record.address, self._spec.path))

    def received(self, data: bytes) -> None:
        if not self._status:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._judge(politely=False)
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
        del self._parser

    def late(self) -> str:
        if self._status:
            return f"the answer did not end in {seconds_text(self._spec.timeout)}"
        return super().late()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        elif name == self._id_header and not self._status:
            # Of several, one that is wrong is enough. Trailers are no head.
            self._impostor = self._impostor or impostor(self._record, value.strip())

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        # Interim answers (RFC 9110 section 15.2) announce the real one; 101 is no health check's answer, but final.
        if status >= 200 or status == 101:
            self._status = self._status or status
            if self._impostor:
                self.settle(False, self._impostor, politely=False, proof=True)
        else:
            self._framed = False
            self._impostor = ""

    def on_body(self, data: bytes) -> None:
        if self._body_size < MAX_BODY:
            if self._spec.expected_body:
                self._body.append(data[: MAX_BODY - self._body_size])
            self._body_size += len(data)

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True

    def _judge(self, *, politely: bool) -> None:
        ok, reason = self._verdict()
        self.settle(ok, reason, politely=politely)

    def _verdict(self) -> tuple[bool, str]:
        spec, status = self._spec, self._status
        if not any(low <= status <= high for low, high in spec.expected_status):
            return False, f"status {status}, expected {_ranges_text(spec.expected_status)}"
        if spec.expected_body:
            try:
                found = re.search(spec.expected_body, b"".join(self._body).decode("utf-8", "replace"))
            except re.error as problem:
                return False, f"expected_body is not a regular expression: {problem}"
            if found is None:
                return False, "body does not match"
        return True, f"status {status}"


@lru_cache(maxsize=4096)
def _request(address: Address, path: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", f"Host: {address}", "User-Agent: wmesh-check", "Accept: */*", "Connection: close")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8")


def _ranges_text(ranges: tuple[tuple[int, int], ...]) -> str:
    """Ranges for people: "200 or 204", "200, 204 or 300-399"."""
    names = [str(low) if low == high else f"{low}-{high}" for low, high in ranges]
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
