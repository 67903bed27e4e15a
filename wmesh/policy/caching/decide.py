"""What becomes of a request: answered from the cache, answered while the instance is asked, or not answered here.

    nothing stored ────────────────────────────────► MISS
    stored, fresh, and the request is content ─────► HIT
    stored, stale, within stale-while-revalidate ──► STALE: it is used, and asked for again behind the client's back
    stored, and must be asked for again ───────────► REVALIDATE
    only-if-cached, and not HIT or STALE ──────────► NONE: 504
    nothing that a cache could help with ──────────► BYPASS

RFC 9111 sections 4, 4.2.4, 5.2.1; RFC 5861 section 3; RFC 8246. `fwd` is why, in a word of RFC 9211 section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wmesh.model import CacheSpec
from wmesh.policy.caching.directives import RequestDirectives
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question

FAILURES = frozenset((500, 502, 503, 504))
"""Statuses that a stale answer may stand in for (RFC 5861 section 4)."""

MISS = 0
HIT = 1
STALE = 2
REVALIDATE = 3
NONE = 4
BYPASS = 5


class Decision(NamedTuple):
    """`entry` is the stored answer that it is about; None for MISS and BYPASS, and for NONE where there is none."""

    kind: int
    entry: Entry | None
    fwd: str


def decide(question: Question, entry: Entry | None, others: bool, now: float, spec: CacheSpec) -> Decision:
    """`entry` is the stored answer that suits the request, `others`: there are some for other requests of this URL."""
    if entry is not None and question.plain and now < entry.fresh_until and not entry.no_cache:
        return Decision(HIT, entry, "")
    control = question.control if spec.request_control else None
    if control is not None and control.no_store:
        return Decision(BYPASS, None, "request")
    if entry is not None and entry.assigned and question.cookies and not spec.cookies:
        entry, others = None, True
    if entry is None:
        kind = NONE if control is not None and control.only_if_cached else MISS
        return Decision(kind, None, "vary-miss" if others else "uri-miss")
    fwd = _obstacle(question, entry, now, spec)
    if not fwd:
        kind = HIT
    elif _may_wait(entry, fwd, now) and (control is None or not _strict_age(control)):
        kind = STALE
    elif control is not None and control.only_if_cached:
        kind = NONE
    else:
        kind = REVALIDATE
    return Decision(kind, entry, fwd)


def _may_wait(entry: Entry, fwd: str, now: float) -> bool:
    """Is it enough to ask the instance afterwards?"""
    return fwd == "stale" and not entry.no_cache and now < entry.revalidate_until


def _strict_age(control: RequestDirectives) -> bool:
    """Does the client say how old or how fresh an answer has to be? Then it gets no stale one behind its back."""
    return control.max_age is not None or control.min_fresh is not None


def _obstacle(question: Question, entry: Entry, now: float, spec: CacheSpec) -> str:
    """Why the stored answer cannot be used as it is; empty if it can."""
    if entry.no_cache:
        return "stale"
    control = question.control if spec.request_control else None
    if control is None:
        return "" if now < entry.fresh_until else "stale"
    if control.no_cache:
        return "request"
    fresh = entry.fresh_until - now
    bounded = control.max_age is not None and not (entry.immutable and fresh > 0.0)
    if bounded and now - entry.born > (control.max_age or 0):
        return "request"
    if control.min_fresh is not None and fresh < control.min_fresh:
        return "request"
    if fresh > 0.0:
        return ""
    if control.max_stale is not None and not entry.must_revalidate and -fresh <= control.max_stale:
        return ""
    return "stale"


def usable_on_error(question: Question, entry: Entry, now: float, spec: CacheSpec) -> bool:
    """May the stored answer stand in for an instance that does not answer? RFC 5861 section 4, RFC 9111 section 4.2.4.

    A fresh one that the client wanted to have checked may, too, unless it has to be asked for each time.
    """
    if entry.no_cache:
        return False
    if now < entry.error_until or now < entry.fresh_until:
        return True
    control = question.control if spec.request_control else None
    if control is None or control.stale_if_error is None or entry.must_revalidate:
        return False
    return now < entry.fresh_until + control.stale_if_error


def newest(entries: Iterable[Entry]) -> Entry | None:
    """Of several stored answers that suit a request, the one to use (RFC 9111 section 4)."""
    return max(entries, key=lambda entry: (entry.date, entry.born), default=None)
