"""Was that right? What was sent, what reached the instance and what came back, against what a vector allows. Pure.

Two things are told apart. *Acceptable* is what the RFCs allow. *Unsafe* is worse than wrong: something was passed on
that two readers may read in two ways, or one message became two, or a broken answer looks whole. `Kind` says the same
in words by which proxies can be compared; there, what is in doubt counts for the proxy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.conformance.strict import Message, Stream
from tests.vectors.vector import CUT, GATEWAY_FAULT, AnswerVector, Passed, Reached, RequestVector


class Kind(StrEnum):
    """What a proxy made of a vector.

    REFUSED is also a refusal with another status than the RFCs ask for, or without a word. LENIENT: what should have
    been refused or changed was passed on, in an order that has one reading. STRICT: what is good was refused. SILENT:
    neither an answer nor an end; the proxy may be waiting for more.
    """

    MEANT = "forwarded as meant"
    REFUSED = "refused"
    LENIENT = "let through"
    STRICT = "refused though good"
    SILENT = "no answer"
    UNSAFE = "unsafe"


FINE = (Kind.MEANT, Kind.REFUSED)
UPGRADE = frozenset((426, 505))
"""So somebody who does not speak HTTP/1.0 says it (RFC 9110 sections 15.5.22 and 15.6.6): refused, not wrong."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The client's side. `stream` is what came, less the answer to the request behind the vector; `kept`: there was
    one; `closed`: the connection ended by itself; `reset`: by a reset, with which what came before may be lost (RFC
    9293 section 3.10.7)."""

    stream: Stream
    kept: bool
    closed: bool
    reset: bool = False

    @property
    def finals(self) -> list[Message]:
        return [message for message in self.stream.messages if message.status >= 200]

    @property
    def status(self) -> int:
        finals = self.finals
        return finals[0].status if finals else CUT


@dataclass(frozen=True, slots=True)
class Came:
    """The instance's side: whole messages, whether something unfinished came, and flaws."""

    messages: tuple[Message, ...] = ()
    unfinished: bool = False
    flaw: str = ""

    @property
    def odd(self) -> str:
        return "; ".join(message.odd for message in self.messages if message.odd)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wrong` says why it is not acceptable, `unsafe` why it is dangerous; empty where it is not."""

    what: str
    wrong: str = ""
    unsafe: str = ""
    kind: Kind = Kind.MEANT


def judge_request(vector: RequestVector, heard: Heard, came: Came, strictly: bool) -> Verdict:
    """`strictly`: by what wmesh promises besides, which always says why it refuses."""
    refused = f"{heard.status}" if heard.status else "closed" if heard.closed else "silence"
    reached = ", ".join(f"{b' '.join(each.start)[:60].decode('latin-1')} +{len(each.body)}" for each in came.messages)
    what = f"{refused}{', kept' if heard.kept else ''}; reached: {reached or 'nothing'}"
    meant = vector.reached or (Reached(),)
    unsafe = came.flaw
    other = ""
    if not unsafe and len(came.messages) > len(meant):
        unsafe = f"{len(came.messages)} requests of {len(meant)}"
    if not unsafe and vector.reached is not None:
        unlike = [each for each, right in zip(came.messages, meant, strict=False) if each.body != right.body]
        other = "a body became another" if unlike else ""
        unsafe = "" if vector.doubtful else other
    if heard.stream.flaw:
        unsafe = unsafe or f"to the client: {heard.stream.flaw}"
    if not came.messages and _refused_well(vector, heard, strictly):
        wrong = "" if not (vector.closes and heard.kept) else "refused, but the connection goes on"
    elif vector.reached is None or len(came.messages) != len(meant) or came.unfinished:
        wrong = "neither refused as it should be, nor forwarded as it may be"
    else:
        wrong = next(filter(None, map(_unlike, came.messages, meant, [strictly] * len(meant))), "")
        if not wrong and [each.status for each in heard.finals] != [200] * len(meant):
            wrong = "forwarded, and not answered"
        elif not wrong and vector.closes and heard.kept:
            wrong = "the connection should have ended"
    if not wrong and vector.keeps and not heard.kept:
        wrong = "the connection should have been kept"
    wrong = wrong or (unsafe and "unsafe") or other or came.odd or heard.stream.odd
    return Verdict(what, wrong, unsafe, _kind_of_request(vector, heard, came, wrong, unsafe))


def _kind_of_request(vector: RequestVector, heard: Heard, came: Came, wrong: str, unsafe: str) -> Kind:
    meant = vector.reached or (Reached(),)
    if unsafe:
        return Kind.UNSAFE
    if not heard.status and not heard.closed:
        return Kind.SILENT
    if not came.messages and not (vector.closes and heard.kept) and (heard.status >= 400 or not heard.status):
        old = b" HTTP/1.0\r\n" in vector.sent and heard.status in UPGRADE
        return Kind.REFUSED if vector.refused or old else Kind.STRICT
    if not wrong:
        return Kind.MEANT
    same = vector.reached is not None and len(came.messages) == len(meant) and not came.unfinished and not came.odd
    answered = [each.status for each in heard.finals] == [200] * len(meant)
    if not same or not answered or (vector.closes and heard.kept):
        return Kind.LENIENT
    there = all(_same_place(message, right) for message, right in zip(came.messages, meant, strict=True))
    return Kind.MEANT if there else Kind.LENIENT


def _same_place(message: Message, right: Reached) -> bool:
    """Is it right but for the spelling of its target, which anybody may mend (RFC 3986 section 6.2.2), and for its
    trailers, which anybody may pass on (RFC 9110 section 6.5.1)?"""
    spelled = [target for target in right.targets if _spelling(target) == _spelling(message.start[1])]
    if not spelled or message.body != right.body:
        return False
    return not _unlike(Message((message.start[0], spelled[0]), message.fields, message.body), right, strictly=False)


def _spelling(target: bytes) -> bytes:
    """With every byte that a URI must not hold escaped, and all escapes in upper case."""
    escaped = re.sub(rb"[^!#$&-;=?-Z\[\]_a-z~%]", lambda found: b"%%%02X" % found[0][0], target)
    return re.sub(rb"%[0-9A-Fa-f]{2}", lambda found: found[0].upper(), escaped)


def _refused_well(vector: RequestVector, heard: Heard, strictly: bool) -> bool:
    statuses = vector.refused - ({CUT, 500, 502} if strictly else set())
    if not heard.status:
        return CUT in statuses and heard.closed
    return heard.status in statuses


def _unlike(message: Message, right: Reached, strictly: bool) -> str:
    method, target = message.start
    if method != right.method or target not in right.targets:
        return f"became {(method + b' ' + target)[:80]!r}"
    there = dict(right.fields)
    absent = set(right.absent)
    if strictly:
        there |= right.ours
        absent |= set(right.ours_absent)
    for name, value in there.items():
        if message.values(name) != [value]:
            return f"{name.decode()} is {message.values(name)}, not {value!r}"
    names = {name for name, _ in message.fields} | {b"trailer:" + name for name, _ in message.trailers}
    left = sorted(names & absent)
    return f"still has {b', '.join(left).decode()}" if left else ""


def judge_answer(vector: AnswerVector, heard: Heard, strictly: bool) -> Verdict:
    finals, stream = heard.finals, heard.stream
    rest = f", then {len(stream.rest)} bytes" if stream.rest else ""
    body = f" +{len(finals[0].body)}" if finals else ""
    what = f"{heard.status or 'no answer'}{body}{rest}{', closed' if heard.closed else ''}"
    unsafe = stream.flaw
    if any(each.status not in GATEWAY_FAULT for each in finals[1:]):
        unsafe = unsafe or "the next request got a wrong answer"
    if not finals:
        if heard.closed:
            silent = strictly and not stream.rest and not heard.reset
            wrong = "" if vector.cut and not silent else "closed without a word"
        else:
            wrong = "the client waits for ever"
    elif finals[0].status in GATEWAY_FAULT:
        wrong = "" if vector.faulty else "refused"
    elif vector.passed is None:
        wrong = "passed on"
        if vector.deceives:
            unsafe = unsafe or "a broken answer looks whole"
    else:
        wrong = _differs(finals, vector.passed)
        if wrong == "another body" and not vector.doubtful:
            unsafe = unsafe or wrong
    wrong = wrong or (unsafe and "unsafe") or stream.odd
    return Verdict(what, wrong, unsafe, _kind_of_answer(vector, heard, wrong, unsafe))


def _kind_of_answer(vector: AnswerVector, heard: Heard, wrong: str, unsafe: str) -> Kind:
    if unsafe:
        return Kind.UNSAFE
    if not heard.finals and not heard.stream.rest:
        return (Kind.REFUSED if vector.faulty else Kind.STRICT) if heard.closed else Kind.SILENT
    if heard.status in GATEWAY_FAULT:
        return Kind.REFUSED if vector.faulty else Kind.STRICT
    if heard.status in UPGRADE and b" HTTP/1.0\r\n" in vector.asked:
        return Kind.REFUSED
    if not wrong:
        return Kind.MEANT if heard.finals else Kind.REFUSED
    return Kind.LENIENT


def _differs(finals: Sequence[Message], right: Passed) -> str:
    message = finals[0]
    if message.status != right.status:
        return f"became {message.status}"
    if message.body != right.body:
        return "another body"
    for name, value in right.fields.items():
        if message.values(name) != [value]:
            return f"{name.decode()} is {message.values(name)}"
    left = sorted({name for name, _ in message.fields} & set(right.absent))
    return f"still has {b', '.join(left).decode()}" if left else ""
