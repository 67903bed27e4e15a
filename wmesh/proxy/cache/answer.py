"""Answers out of the store, written for one client: whole, in part, or as the news that there is no news."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmesh.policy.caching.conditions import not_modified, not_modified_lines, range_applies
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.ranges import WHOLE, content_range, part_of, unsatisfied
from wmesh.proxy.transport import GATHER

if TYPE_CHECKING:
    from wmesh.proxy.exchange import Exchange


def answer_stored(exchange: Exchange, entry: Entry, question: Question, told: bytes, now: float) -> None:
    """Answer with what is stored. `told` is the line that says where it came from."""
    plane = exchange.plane
    if question.plain:
        start, status, lines, body = entry.start, entry.status, entry.lines, entry.body
    else:
        start, status, lines, body = _answer(entry, question, exchange.head.method, plane.reactor.seconds())
    age = now - entry.born
    head = b"".join(
        (
            start,
            lines,
            b"Age: %d\r\n" % age if age > 0.0 else b"Age: 0\r\n",
            told,
            plane.via[1],
            exchange.request_id,
            b"\r\n" if status in (204, 304) else b"\r\nContent-Length: %d\r\n" % len(body),
            exchange.connection_line(),
            b"\r\n",
        )
    )
    down = exchange.down.transport
    exchange.status = status
    exchange.head_sent = True
    if down is not None:
        if not body or exchange.head.method == b"HEAD":
            down.write(head)
        elif len(body) < GATHER:
            down.write(head + body)
        else:
            down.writeSequence((head, body))
    exchange.finished(now)


def _answer(entry: Entry, question: Question, method: bytes, wall: float) -> tuple[bytes, int, bytes, bytes]:
    """(status line, status, field lines, body) for a request with conditions."""
    if not_modified(question, entry, wall):
        return b"HTTP/1.1 304 Not Modified", 304, not_modified_lines(entry), b""
    body = entry.body
    if question.range is None or entry.status != 200 or method != b"GET" or not range_applies(question, entry, wall):
        return entry.start, entry.status, entry.lines, body
    length = len(body)
    part = part_of(question.range, length)
    if part is None:
        lines = not_modified_lines(entry) + unsatisfied(length)
        return b"HTTP/1.1 416 Range Not Satisfiable", 416, lines, b""
    if part == WHOLE:
        return entry.start, entry.status, entry.lines, body
    start, end = part
    return b"HTTP/1.1 206 Partial Content", 206, entry.lines + content_range(start, end, length), body[start:end]
