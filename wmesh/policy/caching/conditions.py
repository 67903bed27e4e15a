"""Conditions: those of a client, judged on a stored answer, and those that the gateway sends to have it validated.

RFC 9110 sections 8.8 (validators), 13 (conditions), 15.4.5 (304); RFC 9111 sections 3.2 and 4.3. Entity tags are
compared as they came: one that is not well-formed still equals itself.
"""

from __future__ import annotations

import re

from wmesh.policy.caching.dates import read_date
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.wire.fields import value_of, without

_TAG = re.compile(rb'[ \t,]*((?:W/)?"[^"]*"|[^ \t,]+)')

_OF_THE_BODY = {
    b"content-encoding",
    b"content-language",
    b"content-length",
    b"content-md5",
    b"content-range",
    b"content-type",
}
"""What a 304 leaves out: it describes a body that is not there."""

_NEVER_UPDATED = {b"content-encoding", b"content-length", b"content-range"}
"""What describes the stored bytes, which a 304 cannot change (RFC 9111 section 3.2)."""


def _weak(tag: bytes) -> bytes:
    return tag.removeprefix(b"W/")


def not_modified(question: Question, entry: Entry, wall: float) -> bool:
    """Does the client have this answer already? If-None-Match decides alone where it is given."""
    if not 200 <= entry.status < 300:
        return False
    if question.none_match is not None:
        if question.none_match.strip() == b"*":
            return True
        own = _weak(entry.etag)
        return bool(own) and any(_weak(tag) == own for tag in _TAG.findall(question.none_match))
    if question.modified_since is None:
        return False
    since = read_date(question.modified_since, wall)
    if since is None:
        return False
    changed = entry.modified if entry.modified is not None else entry.date
    return changed <= since


def not_modified_lines(entry: Entry) -> bytes:
    """The lines of a 304 in place of this answer."""
    return without(entry.lines, _OF_THE_BODY)


def range_applies(question: Question, entry: Entry, wall: float) -> bool:
    """If-Range: does the part that the client has belong to this very answer (RFC 9110 section 13.1.5)?"""
    value = question.if_range
    if value is None:
        return True
    if b'"' in value:
        return not value.startswith(b"W/") and value == entry.etag
    # A date is a strong validator only if it was not changed twice within its second.
    since = read_date(value, wall)
    return since is not None and since == entry.modified and entry.date - since >= 1


def validating(entry: Entry, lines: bytes) -> bytes:
    """The lines of a request, free of conditions, with those that ask whether the stored answer is still good."""
    added = b""
    if entry.etag:
        added += b"If-None-Match: %b\r\n" % entry.etag
    if entry.modified_line:
        added += b"If-Modified-Since: %b\r\n" % entry.modified_line
    return lines + added


def confirms(entry: Entry, lines: bytes) -> bool:
    """Does a 304 with these lines speak of the stored answer (RFC 9111 section 4.3.4)? Not with another strong tag."""
    tag = value_of(lines, b"etag")
    return tag is None or tag.startswith(b"W/") or not entry.etag or _weak(entry.etag) == tag


def updated(entry: Entry, lines: bytes) -> bytes:
    """The lines of the stored answer as the 304 with these lines has them."""
    news = without(lines, _NEVER_UPDATED)
    names = {line.partition(b":")[0].lower() for line in news.split(b"\r\n") if line}
    # An Age of the old answer is not stored; a Date always is. What the 304 does not name stays.
    return without(entry.lines, names) + news[2:]
