"""Was that right? What was sent, what reached the instance and what came back, against what a vector allows. Pure.

Two things are told apart. *Acceptable* is what the RFCs allow. *Unsafe* is worse than wrong: something was passed on
that two readers may read in two ways, or one message became two, or a broken answer looks whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.conformance.strict import Message, Stream
from tests.vectors.vector import CUT, GATEWAY_FAULT, AnswerVector, Passed, Reached, RequestVector


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wrong` says why it is not acceptable, `unsafe` why it is dangerous; empty where it is not."""

    what: str
    wrong: str = ""
    unsafe: str = ""


def judge_request(vector: RequestVector, heard: Heard, came: Came, strictly: bool) -> Verdict:
    """`strictly`: by what wmesh promises besides, which always says why it refuses."""
    refused = f"{heard.status}" if heard.status else "closed" if heard.closed else "silence"
    reached = ", ".join(f"{b' '.join(each.start)[:60].decode('latin-1')} +{len(each.body)}" for each in came.messages)
    what = f"{refused}{', kept' if heard.kept else ''}; reached: {reached or 'nothing'}"
    meant = vector.reached or (Reached(),)
    unsafe = came.flaw
    if not unsafe and len(came.messages) > len(meant):
        unsafe = f"{len(came.messages)} requests of {len(meant)}"
    if not unsafe and vector.reached is not None:
        unlike = [each for each, right in zip(came.messages, meant, strict=False) if each.body != right.body]
        unsafe = "a body became another" if unlike else ""
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
    return Verdict(what, wrong or (unsafe and "unsafe"), unsafe)


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
        unsafe = unsafe or "a broken answer looks whole"
    else:
        wrong = _differs(finals, vector.passed)
        if wrong == "another body":
            unsafe = unsafe or wrong
    return Verdict(what, wrong or (unsafe and "unsafe"), unsafe)


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
