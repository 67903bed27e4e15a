"""Answers and questions for the tests of the cache's decisions: as few words as possible to each."""

from __future__ import annotations

from wmesh.model import CacheSpec
from wmesh.policy.caching.dates import written_date
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.terms import Terms
from wmesh.policy.caching.vary import variant_key

WALL = 1_800_000_000
"""When everything here happens, in seconds since 1970."""

SPEC = CacheSpec(enabled=True)
KEY = b"shop http://shop.example/a"


def lines(*fields: str) -> bytes:
    """Field lines as a head has them."""
    return b"\r\n" + b"".join(field.encode("latin-1") + b"\r\n" for field in fields)


def date(offset: float = 0) -> str:
    """The date `offset` seconds from WALL."""
    return written_date(WALL + offset).decode()


def asks(*fields: str) -> Question:
    return Question(lines(*fields))


def terms(
    *fields: str, status: int = 200, request: tuple[str, ...] = (), spec: CacheSpec = SPEC, dated: bool = True
) -> Terms:
    """Of an answer with these fields, and a Date of now unless it is not `dated`."""
    own = (f"Date: {date()}",) if dated and not any(field.lower().startswith("date:") for field in fields) else ()
    return Terms(asks(*request), status, lines(*own, *fields), spec, WALL, 0.0)


def stored(
    *fields: str,
    status: int = 200,
    request: tuple[str, ...] = (),
    spec: CacheSpec = SPEC,
    now: float = 0.0,
    key: bytes = KEY,
    body: bytes = b"0123456789",
) -> Entry:
    """What is kept of such an answer that came at `now`."""
    found = terms(*fields, status=status, request=request, spec=spec)
    variant = variant_key(lines(*request), found.vary or ())
    return Entry(key, variant, status, b"HTTP/1.1 %d OK" % status, found, body, now)
