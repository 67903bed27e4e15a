"""What a vector is: bytes that somebody sends, and every outcome that the RFCs leave to a gateway.

A request vector may be refused (with one of some statuses), or reach the instance as what its sender meant, or both
are right. An answer vector may reach the client, become an answer of the gateway's own, or break off visibly. Nothing
here speaks of a certain gateway but `ours`, which says what wmesh promises beyond the RFCs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CUT = 0
"""In place of a status: the connection ends without an answer, or in the middle of one."""

BAD = frozenset((400,))
BAD_OR_UNKNOWN = frozenset((400, 422, 501))
"""A coding that is not understood (RFC 9112 section 6.1)."""
BAD_BODY = frozenset((CUT, 400, 413, 500, 502))
"""A fault far inside a message, of which the instance may have seen some: that it is refused is what counts."""
TOO_MUCH = frozenset((400, 413, 414, 431))
GATEWAY_FAULT = frozenset((500, 502, 503, 504))

ASKED = b"GET /v HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
"""What must never become a request of its own."""


@dataclass(frozen=True, slots=True)
class Reached:
    """One request as an instance must see it. `targets`: any of these; `fields`: these must be there with these values;
    `absent`: none of these names may be there, trailers included. `ours` and `ours_absent`: the same, from wmesh alone.
    """

    method: bytes = b"GET"
    targets: tuple[bytes, ...] = (b"/",)
    body: bytes = b""
    fields: Mapping[bytes, bytes] = field(default_factory=dict)
    absent: tuple[bytes, ...] = ()
    ours: Mapping[bytes, bytes] = field(default_factory=dict)
    ours_absent: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestVector:
    """`closes`: after this the connection must end; `keeps`: it must go on (None and False: either is right).

    `refused` is empty where refusing is wrong; `reached` is None where forwarding is. `doubtful`: HTTP/1.0 knows no
    chunks, so that to take none of them for the body is wrong today, but no danger on a connection that ends then.
    """

    name: str
    section: str
    sent: bytes
    refused: frozenset[int] = frozenset()
    reached: tuple[Reached, ...] | None = None
    closes: bool = False
    keeps: bool = False
    doubtful: bool = False

    @property
    def is_head(self) -> bool:
        return self.sent.startswith(b"HEAD ")


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer as the client must see it."""

    status: int = 200
    body: bytes = b""
    fields: Mapping[bytes, bytes] = field(default_factory=dict)
    absent: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerVector:
    """`said` is what the instance says to a plain request, and with `ends` it closes the connection then.

    `faulty`: an answer of the gateway's own (GATEWAY_FAULT) is right; `cut`: so is one that visibly breaks off.
    `deceives`: its end is missing, or can be seen at two places, so that whoever gets it as a whole one is deceived.
    `doubtful` as above.
    """

    name: str
    section: str
    said: bytes
    passed: Passed | None = None
    faulty: bool = False
    cut: bool = False
    ends: bool = False
    asked: bytes = ASKED
    deceives: bool = False
    doubtful: bool = False

    @property
    def is_head(self) -> bool:
        return self.asked.startswith(b"HEAD ")


Vector = RequestVector | AnswerVector


def head(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: x") -> bytes:
    """A request head, whole."""
    there = () if host is None else (host,)
    return b"\r\n".join((line, *there, *fields, b"", b""))


POST = b"POST / HTTP/1.1"


def post(*fields: bytes, body: bytes = b"", line: bytes = POST) -> bytes:
    return head(*fields, line=line) + body


def refused(
    name: str, section: str, sent: bytes, statuses: frozenset[int] = BAD, *, closes: bool = False
) -> RequestVector:
    """Only refusing is right."""
    return RequestVector(name, section, sent, refused=statuses, closes=closes)


def passes(name: str, section: str, sent: bytes, *reached: Reached, keeps: bool = False) -> RequestVector:
    """Only forwarding is right."""
    return RequestVector(name, section, sent, reached=reached, keeps=keeps)


def either(
    name: str,
    section: str,
    sent: bytes,
    *reached: Reached,
    statuses: frozenset[int] = BAD,
    closes: bool = False,
    doubtful: bool = False,
) -> RequestVector:
    """A gateway may refuse it, or forward it as these."""
    return RequestVector(name, section, sent, refused=statuses, reached=reached, closes=closes, doubtful=doubtful)
