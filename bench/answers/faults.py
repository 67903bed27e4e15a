"""Every way in which an instance can answer badly, as a table; and how it reads what it is asked. Pure.

Shells round `Reading` bring it to sockets: `bench.answers.instance` for the comparison of proxies, and
tests/scenarios/faulty.py for the scenarios of wmesh, which play the same tables.
"""

from __future__ import annotations

from dataclasses import dataclass

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
STEP = 0.02
"""Seconds between the pieces of what is said without an end, and before a reset: what was said is to arrive first."""

STAY, CLOSE, RESET = "stay", "close", "reset"
CONNECT, HEAD, REQUEST = "connect", "head", "request"


@dataclass(frozen=True, slots=True)
class Fault:
    """`when` something happens: at the connection, at the end of a request's head, or of the whole request. `said` is
    sent, then `endless` again and again; and then the connection is left open, closed, or reset. `good` requests on
    each connection are answered well before. `mended`: whoever reads it leniently gets a whole answer, with no byte of
    its body missing, and the RFCs allow or forgive that."""

    name: str
    said: bytes = b""
    then: str = STAY
    when: str = REQUEST
    endless: bytes = b""
    good: int = 0
    mended: bool = False

    def __str__(self) -> str:
        return self.name


class Reading:
    """One connection's requests: heads, and bodies with a Content-Length. `failing`: a request fell due to the fault,
    and nothing is read any more."""

    def __init__(self) -> None:
        self.failing = False
        self._data = b""
        self._served = 0

    def feed(self, data: bytes, fault: Fault | None) -> tuple[list[str], bytes]:
        """(targets of requests that came, answers to those that are answered well)."""
        self._data += data
        targets: list[str] = []
        said = b""
        while not self.failing:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                break
            target = head.split(b" ", 2)[1].decode()
            if fault is not None and fault.when == HEAD:
                self.failing = True
                targets.append(target)
                break
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            size = int(fields.get(b"content-length", b"0"))
            if len(rest) < size:
                break
            self._data = rest[size:]
            targets.append(target)
            if fault is None or self._served < fault.good:
                self._served += 1
                said += GOOD
            else:
                self.failing = True
        return targets, said


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

BEFORE = (
    Fault("closes-at-once", when=CONNECT, then=CLOSE),
    Fault("resets-at-once", when=CONNECT, then=RESET),
    Fault("greets-at-once", b"220 mail ESMTP\r\n", when=CONNECT),
    Fault("closes-at-the-head", when=HEAD, then=CLOSE),
    Fault("closes", then=CLOSE),
    Fault("resets", then=RESET),
    Fault("silent"),
    Fault("head-stops", OK + b"Content-Le"),
    Fault("head-slow", OK, endless=b"X"),
    Fault("head-closes", OK + b"Content-Le", CLOSE),
    Fault("head-resets", OK + b"Content-Le", RESET),
    Fault("fields-endless", OK, endless=b"X-A: %b\r\n" % (b"a" * 8000)),
    Fault("fields-too-many", OK + b"X-A: a\r\n" * 1000 + b"Content-Length: 4\r\n\r\nevil"),
    Fault("garbage", b"\x00\xff\x00\r\n\r\n"),
    Fault("status-line-bad", b"HTTP/1.1 twohundred\r\n\r\n"),
    Fault("http-2", b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil", mended=True),
    Fault("lengths-unlike", OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nevil!"),
    Fault("length-negative", OK + b"Content-Length: -4\r\n\r\nevil"),
    Fault(
        "length-and-chunks",
        OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        mended=True,
    ),
    Fault("coding-unknown", OK + b"Transfer-Encoding: gzip\r\n\r\nevil", CLOSE),
    Fault("field-bad", OK + b"X A: a\r\nContent-Length: 4\r\n\r\nevil"),
    Fault("line-feeds", b"HTTP/1.1 200 OK\nContent-Length: 4\n\nevil", mended=True),
    Fault("switches-unasked", b"HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    Fault("interim-then-silent", INTERIM),
    Fault("interim-then-closes", INTERIM, CLOSE),
    Fault("interim-storm", INTERIM * 1000),
    Fault("interim-slow-storm", endless=INTERIM),
    Fault("502", b"HTTP/1.1 502 -\r\nContent-Length: 4\r\n\r\nevil"),
    Fault("503", b"HTTP/1.1 503 -\r\nContent-Length: 4\r\n\r\nevil"),
    Fault("503-closes", b"HTTP/1.1 503 -\r\n\r\nevil", CLOSE),
    Fault("503-never-whole", b"HTTP/1.1 503 -\r\nContent-Length: 400\r\n\r\nevil"),
    Fault("504-chunked", b"HTTP/1.1 504 -\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"),
    Fault("closes-kept-connections", good=1, then=CLOSE),
    Fault("resets-kept-connections", good=1, then=RESET),
    Fault("silent-on-kept-connections", good=1),
)
"""All before the first byte of a final answer that a client might be shown."""

AFTER = (
    Fault("length-too-great-closes", OK + b"Content-Length: 9\r\n\r\nevil", CLOSE),
    Fault("length-too-great-resets", OK + b"Content-Length: 9\r\n\r\nevil", RESET),
    Fault("length-too-great-stays", OK + b"Content-Length: 9\r\n\r\nevil"),
    Fault("chunks-close", CHUNKED + b"4\r\nevil\r\n", CLOSE),
    Fault("chunks-reset", CHUNKED + b"4\r\nevil\r\n", RESET),
    Fault("chunks-stay", CHUNKED + b"4\r\nevil\r\n"),
    Fault("chunk-cut", CHUNKED + b"9\r\nevil", CLOSE),
    Fault("chunk-size-bad", CHUNKED + b"4\r\nevil\r\nxyz\r\n"),
    Fault("chunk-size-negative", CHUNKED + b"-4\r\nevil\r\n0\r\n\r\n"),
    Fault("chunk-too-long", CHUNKED + b"4\r\nevil!\r\n0\r\n\r\n", mended=True),
    Fault("chunk-size-endless", CHUNKED + b"4\r\nevil\r\n", endless=b"0" * 100),
    Fault("trailers-cut", CHUNKED + b"4\r\nevil\r\n0\r\nX-A: a\r\n", CLOSE),
    Fault("trailer-bad", CHUNKED + b"4\r\nevil\r\n0\r\nX A: a\r\n\r\n", mended=True),
    Fault("trailers-endless", CHUNKED + b"4\r\nevil\r\n0\r\n", endless=b"X-A: %b\r\n" % (b"a" * 8000)),
    Fault("until-close-resets", OK + b"\r\nevil", RESET),
    Fault("until-close-stays", OK + b"\r\nevil"),
)
"""The head of a good answer is out, and the rest never becomes whole."""

EARLY = (
    Fault("early-200", b"HTTP/1.1 200 -\r\nContent-Length: 4\r\n\r\nenow", when=HEAD),
    Fault("early-413", b"HTTP/1.1 413 -\r\nContent-Length: 4\r\n\r\nenow", when=HEAD),
    Fault("early-413-closes", b"HTTP/1.1 413 -\r\nContent-Length: 4\r\n\r\nenow", CLOSE, when=HEAD),
    Fault("early-503", b"HTTP/1.1 503 -\r\nContent-Length: 4\r\n\r\nenow", when=HEAD),
)
"""Answered before the body of the request has come."""

LATER = (
    Fault("length-too-small", GOOD + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    Fault("503-retry-after", b"HTTP/1.1 503 -\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nevil"),
)
"""For the comparison: what is behind a good answer must not become the next one; and who says so is busy."""
