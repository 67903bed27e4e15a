"""What a request's head means to a cache, read once for each different set of field lines.

Most requests carry nothing that concerns a cache, and one regex says so. What is read is remembered, because clients
send the same lines with request after request (`wmesh.wire.memo`).
"""

from __future__ import annotations

import re

from wmesh.policy.caching.directives import RequestDirectives, directives_of
from wmesh.policy.caching.vary import Names, variant_key
from wmesh.wire.fields import value_of, values_of, without
from wmesh.wire.memo import Memo

_CONCERNS = re.compile(
    rb"\n(?=[acirACIR])"
    rb"(?i:authorization|cache-control|cookie|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since"
    rb"|range):"
)

CONDITIONS = {b"if-none-match", b"if-modified-since", b"if-range", b"range"}
"""What a cache answers itself, and takes out of the question that it asks for all of its clients."""

_MOST_VARIANTS = 8


class Question:
    """What the lines of one request say. `plain`: nothing of all this.

    `none_match` is the joined value of If-None-Match, `modified_since` that of If-Modified-Since, `range` and
    `if_range` theirs; None where they are absent. `strict`: the conditions are such (If-Match, If-Unmodified-Since) as
    only the instance can judge. `bare` are the lines without the conditions.
    """

    __slots__ = (
        "authorized",
        "bare",
        "control",
        "cookies",
        "if_range",
        "lines",
        "modified_since",
        "none_match",
        "plain",
        "range",
        "strict",
        "variants",
    )

    def __init__(self, lines: bytes) -> None:
        self.lines = lines
        self.bare = lines
        self.plain = _CONCERNS.search(lines) is None
        self.authorized = False
        self.cookies = False
        self.strict = False
        self.variants: dict[Names, bytes] = {}
        self.control: RequestDirectives | None = None
        self.none_match: bytes | None = None
        self.modified_since: bytes | None = None
        self.range: bytes | None = None
        self.if_range: bytes | None = None
        if not self.plain:
            self._read(lines)

    def variant(self, names: Names) -> bytes:
        """See `variant_key`; worked out once for each set of names."""
        known = self.variants.get(names)
        if known is None:
            if len(self.variants) >= _MOST_VARIANTS:
                self.variants.clear()
            known = self.variants[names] = variant_key(self.lines, names)
        return known

    def _read(self, lines: bytes) -> None:
        names = {line.partition(b":")[0].lower() for line in lines.split(b"\r\n")}
        self.authorized = b"authorization" in names
        self.cookies = b"cookie" in names
        self.strict = b"if-match" in names or b"if-unmodified-since" in names
        if b"cache-control" in names:
            self.control = RequestDirectives(directives_of(values_of(lines, b"cache-control")))
        if b"if-none-match" in names:
            self.none_match = b", ".join(values_of(lines, b"if-none-match"))
        if b"if-modified-since" in names:
            self.modified_since = value_of(lines, b"if-modified-since")
        if b"range" in names:
            self.range = b", ".join(values_of(lines, b"range"))
        if b"if-range" in names:
            self.if_range = value_of(lines, b"if-range")
        if names & CONDITIONS:
            self.bare = without(lines, CONDITIONS)


NOTHING = Question(b"\r\n")
"""What a request without field lines says."""

_QUESTIONS: Memo[Question] = Memo(512, 2048)


def question_of(lines: bytes) -> Question:
    """What these field lines of a request say."""
    known = _QUESTIONS.get(lines)
    if known is None:
        known = Question(lines)
        _QUESTIONS.met(lines, known)
    return known
