"""The terms on which an answer may be kept: whether at all, for how long, and what may be done with it when it is old.

RFC 9111 sections 3 (may it be stored), 4.2 (freshness, age, heuristics), 5.2.2; RFC 5861. An answer is worth keeping if
it will be fresh for a while, or if the instance can be asked whether it is still good.

What an answer does not say is filled in, in this order: `CacheSpec.ttl` (or `negative_ttl` for errors), a share of the
time since it was last changed, nothing. Such an assigned time is a guess, so it is never made for answers that look
personal: with Set-Cookie, or to a request with a Cookie.
"""

from __future__ import annotations

from wmesh.model import CacheSpec
from wmesh.policy.caching.dates import read_date, written_date
from wmesh.policy.caching.directives import ResponseDirectives, response_directives
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.vary import Names, vary_names
from wmesh.wire.fields import Fields, all_fields, without

UNDERSTOOD = frozenset(
    (200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 421, 451, 500, 501, 502, 503, 504)
)
"""Statuses whose rules for caching are followed here: all those that have none of their own (must-understand)."""

HEURISTIC = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501))
"""RFC 9110 section 15.1, less 206: what may be kept without having said for how long."""

LONGEST_GUESS = 86400.0
"""Seconds that a guess from Last-Modified is at most."""

_NEVER_KEPT = frozenset(
    (
        b"age",
        b"content-length",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"surrogate-control",
    )
)


class Terms:
    """`why` is empty if the answer may be kept, else why not, in a word for Cache-Status.

    Times are seconds. `age` is what it has already spent on its way, `lifetime` how long it is fresh in all. `lines`
    are those to keep. `error_allowed`: nothing forbids to use it when nobody answers.
    """

    __slots__ = (
        "age",
        "assigned",
        "date",
        "etag",
        "immutable",
        "language",
        "lifetime",
        "lines",
        "modified",
        "modified_line",
        "must_revalidate",
        "no_cache",
        "stale_if_error",
        "stale_while_revalidate",
        "tags",
        "vary",
        "why",
    )

    def __init__(
        self, question: Question, status: int, lines: bytes, spec: CacheSpec, wall: float, delay: float
    ) -> None:
        """`wall` is when the answer's head came, `delay` how many seconds after the question."""
        fields = all_fields(lines)
        said = response_directives(
            fields.get(b"cache-control", []), fields.get(b"cdn-cache-control"), fields.get(b"surrogate-control")
        )
        self.vary: Names | None = vary_names(fields)
        self.date = _date(fields, wall)
        self.age = initial_age(fields, self.date, wall, delay)
        self.modified_line = _first(fields, b"last-modified")
        self.modified = read_date(self.modified_line, wall) if self.modified_line else None
        if self.modified is None:
            self.modified_line = b""
        self.etag = _first(fields, b"etag")
        self.immutable = said.immutable
        self.no_cache = said.no_cache is not None and not said.no_cache
        explicit = explicit_lifetime(said, fields, self.date, wall)
        self.assigned = explicit is None
        self.lifetime = explicit if explicit is not None else self._guess(status, said, spec, question)
        self._stale(said, spec)
        self.language = _first(fields, b"content-language").lower()
        self.tags = tuple(tag for value in fields.get(b"surrogate-key", ()) for tag in value.split())
        dropped = _NEVER_KEPT | (said.no_cache or frozenset()) | (said.private or frozenset())
        self.lines = without(lines, set(dropped)) if not dropped.isdisjoint(fields) else lines
        if b"date" not in fields or b"date" in dropped:
            self.lines += b"Date: %b\r\n" % written_date(wall)
        cookie = b"set-cookie" in fields and b"set-cookie" not in dropped
        self.why = objection(question, status, said, explicit is not None) or self._useless(question, cookie, spec)

    @property
    def reusable(self) -> bool:
        """Is it good for other requests as it comes? Not if it has to be asked for each time (RFC 9111 section 4)."""
        return not self.no_cache and self.age < self.lifetime + self.stale_while_revalidate

    def _guess(self, status: int, said: ResponseDirectives, spec: CacheSpec, question: Question) -> float:
        if status not in HEURISTIC and not said.public:
            return 0.0
        given = spec.ttl if status < 400 else spec.negative_ttl
        if given > 0.0:
            return given
        if self.modified is not None and spec.heuristic > 0.0:
            return min(max(0.0, (self.date - self.modified) * spec.heuristic / 100.0), LONGEST_GUESS)
        return 0.0

    def _stale(self, said: ResponseDirectives, spec: CacheSpec) -> None:
        self.must_revalidate = said.must_revalidate or said.proxy_revalidate
        forbidden = self.must_revalidate or self.no_cache
        # s-maxage alone forbids stale answers, too (RFC 9111 section 5.2.2.10), unless the same hand allows them.
        silent = forbidden or said.s_maxage is not None
        self.stale_while_revalidate = _allowed(said.stale_while_revalidate, 0.0, forbidden, silent)
        self.stale_if_error = _allowed(said.stale_if_error, spec.stale_if_error, forbidden, silent)
        self.must_revalidate = silent

    def _useless(self, question: Question, cookie: bool, spec: CacheSpec) -> str:
        if self.vary is None:
            return "vary"
        if cookie and (self.assigned or not spec.set_cookie):
            return "set-cookie"
        if self.assigned and question.cookies and not spec.cookies:
            return "cookie"
        fresh = self.lifetime - self.age + self.stale_while_revalidate
        if not self.etag and not self.modified_line and (self.no_cache or fresh <= 0.0):
            return "no-freshness"
        return ""


def _allowed(said: int | None, usual: float, forbidden: bool, silent: bool) -> float:
    if forbidden:
        return 0.0
    if said is not None:
        return float(said)
    return 0.0 if silent else usual


def objection(question: Question, status: int, said: ResponseDirectives, explicit: bool) -> str:
    """Why RFC 9111 section 3 forbids to store the answer to this GET; empty if it does not."""
    if status < 200 or status in (206, 304):
        return "status"
    if said.must_understand:
        if status not in UNDERSTOOD:
            return "not-understood"
    elif said.no_store:
        return "no-store"
    if said.private is not None and not said.private:
        return "private"
    shared = said.public or said.must_revalidate or said.s_maxage is not None
    if question.authorized and not shared:
        return "authorization"
    if question.control is not None and question.control.no_store:
        return "request"
    if not explicit and not said.public and status not in HEURISTIC:
        return "no-freshness"
    return ""


def explicit_lifetime(said: ResponseDirectives, fields: Fields, date: int, wall: float) -> float | None:
    """RFC 9111 section 4.2.1, without guesses: what the answer itself says, or None."""
    if said.s_maxage is not None:
        return float(said.s_maxage)
    if said.max_age is not None:
        return float(said.max_age)
    if said.targeted:
        return None
    expires = fields.get(b"expires")
    if expires is None:
        return None
    dates = {read_date(value, wall) for value in expires}
    moment = dates.pop() if len(dates) == 1 else None
    # What cannot be read, or says two things, is over (RFC 9111 section 5.3).
    return 0.0 if moment is None else float(max(0, moment - date))


def _first(fields: Fields, name: bytes) -> bytes:
    values = fields.get(name)
    return values[0] if values else b""


def _date(fields: Fields, wall: float) -> int:
    value = _first(fields, b"date")
    known = read_date(value, wall) if value else None
    return int(wall) if known is None else known


def initial_age(fields: Fields, date: int, wall: float, delay: float) -> float:
    """How old the answer was when it came (RFC 9111 section 4.2.3). Of several Age values the first counts."""
    value = _first(fields, b"age").partition(b",")[0].strip(b" \t")
    said = min(int(value[:20]), 1 << 31) if value.isdigit() else 0
    return max(0.0, wall - date, said + delay)
