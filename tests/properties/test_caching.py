"""The cache's decisions against a slow and obvious reading of RFC 9111, over random histories.

The reference keeps every answer as a dictionary and works everything out anew at each request, rule by rule, in the
order and the words of the RFC. The cache and it see the same requests and the same answers at the same times; what
they say must be the same each time: which stored answer is used, or that an instance has to be asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import CacheSpec
from wmesh.policy.caching.dates import written_date
from wmesh.policy.caching.decide import BYPASS, HIT, MISS, NONE, REVALIDATE, STALE, decide, usable_on_error
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.question import Question
from wmesh.policy.caching.store import MemoryStore
from wmesh.policy.caching.terms import Terms
from wmesh.policy.caching.vary import variant_key

WALL = 1_800_000_000
KEY = b"shop http://h/"
SPEC = CacheSpec(enabled=True)
HEURISTIC = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}
UNDERSTOOD = HEURISTIC | {302, 303, 307, 400, 403, 421, 451, 500, 502, 503, 504}

Fields = dict[str, str]


# --- the reference


@dataclass
class Stored:
    """One answer as it came, and the request that it came for."""

    status: int
    fields: Fields
    request: Fields
    received: int
    control: dict[str, int | None] = field(default_factory=dict)


def control_of(text: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        found[name] = int(value) if value else None
    return found


class Reference:
    def __init__(self) -> None:
        self.stored: list[Stored] = []

    def suiting(self, request: Fields) -> list[Stored]:
        """Section 4.1: all that Vary names must be the same in both requests."""
        return [
            one
            for one in self.stored
            if all(request.get(name) == one.request.get(name) for name in varying(one.fields))
        ]

    def selected(self, request: Fields, now: int) -> Stored | None:
        """Section 4: the most recent one by its Date, and the younger one if they are of the same."""
        own = [one for one in self.suiting(request) if not (assigned(one) and "Cookie" in request)]
        latest = max(self.suiting(request), key=lambda one: (date(one), one.received - initial_age(one)), default=None)
        return latest if latest in own else None

    def decide(self, request: Fields, now: int) -> tuple[str, Stored | None]:
        control = control_of(request.get("Cache-Control", ""))
        one = self.selected(request, now)
        if "no-store" in control:
            # Our own reading of section 5.2.1.5: a plain hit has no such directive, so nothing is used either.
            return "ask", None
        if one is None:
            return ("504" if "only-if-cached" in control else "ask"), None
        age = now - one.received + initial_age(one)
        left = lifetime(one) - age
        if self.usable(one, control, age, left):
            return "use", one
        waits = left <= 0 and age < lifetime(one) + while_revalidating(one) and "no-cache" not in one.control
        if waits and not {"no-cache", "max-age", "min-fresh"} & set(control):
            return "use, and ask", one
        return ("504" if "only-if-cached" in control else "validate"), one

    @staticmethod
    def usable(one: Stored, control: dict[str, int | None], age: int, left: int) -> bool:
        if "no-cache" in one.control or "no-cache" in control:
            return False
        reload = "immutable" not in one.control or left <= 0  # RFC 8246
        if "max-age" in control and reload and age > (control["max-age"] or 0):
            return False
        if "min-fresh" in control and left < (control["min-fresh"] or 0):
            return False
        if left > 0:
            return True
        if "max-stale" not in control or prohibited(one):
            return False
        limit = control["max-stale"]
        return limit is None or -left <= limit

    def receive(self, one: Stored, validated: Stored | None) -> None:
        if validated is not None and one.status < 500 and validated in self.stored:
            self.stored.remove(validated)
        if not storable(one):
            return
        names = varying(one.fields)
        self.stored = [
            other
            for other in self.stored
            if varying(other.fields) != names or any(other.request.get(name) != one.request.get(name) for name in names)
        ]
        self.stored.append(one)


def varying(fields: Fields) -> list[str]:
    return sorted(name.strip() for name in fields.get("Vary", "").split(",") if name.strip())


def storable(one: Stored) -> bool:
    """Section 3, and then whether it will ever be of use."""
    control = one.control
    if one.status in (206, 304):
        return False
    if "must-understand" in control:
        if one.status not in UNDERSTOOD:
            return False
    elif "no-store" in control:
        return False
    if "private" in control or "no-store" in control_of(one.request.get("Cache-Control", "")):
        return False
    if "Authorization" in one.request and not {"public", "s-maxage", "must-revalidate"} & set(control):
        return False
    if explicit(one) is None and "public" not in control and one.status not in HEURISTIC:
        return False
    if "*" in varying(one.fields):
        return False
    if explicit(one) is None and "Cookie" in one.request:
        return False
    if "ETag" in one.fields or "Last-Modified" in one.fields:
        return True
    return "no-cache" not in control and lifetime(one) + while_revalidating(one) > initial_age(one)


def date(one: Stored) -> int:
    return WALL + one.received + int(one.fields.get("Date", "0"))


def initial_age(one: Stored) -> int:
    """Section 4.2.3, for an answer that took no time."""
    return max(0, -int(one.fields.get("Date", "0")), int(one.fields.get("Age", "0")))


def explicit(one: Stored) -> int | None:
    """Section 4.2.1. (Dates here are offsets from when the answer came.)"""
    for name in ("s-maxage", "max-age"):
        if name in one.control:
            return one.control[name] or 0
    if "Expires" in one.fields:
        return max(0, int(one.fields["Expires"]) - int(one.fields.get("Date", "0")))
    return None


def assigned(one: Stored) -> bool:
    return explicit(one) is None


def lifetime(one: Stored) -> int:
    known = explicit(one)
    if known is not None:
        return known
    if "Last-Modified" in one.fields and (one.status in HEURISTIC or "public" in one.control):
        since = int(one.fields.get("Date", "0")) - int(one.fields["Last-Modified"])
        return max(0, since // 10)
    return 0


def prohibited(one: Stored) -> bool:
    """Section 4.2.4."""
    return bool({"must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"} & set(one.control))


def while_revalidating(one: Stored) -> int:
    if {"must-revalidate", "proxy-revalidate", "no-cache"} & set(one.control):
        return 0
    return one.control.get("stale-while-revalidate") or 0


def on_error(one: Stored, now: int) -> bool:
    """RFC 5861 section 4, with a minute where nothing is said."""
    age = now - one.received + initial_age(one)
    if "no-cache" in one.control:
        return False
    if {"must-revalidate", "proxy-revalidate"} & set(one.control):
        return age < lifetime(one)
    if "stale-if-error" in one.control:
        extra = one.control["stale-if-error"] or 0
    else:
        extra = 0 if "s-maxage" in one.control else 60
    return age < lifetime(one) + extra


# --- histories


def lines_of(fields: Fields, at: int) -> bytes:
    text = b"\r\n"
    for name, value in fields.items():
        if name in ("Date", "Expires", "Last-Modified"):
            value = written_date(WALL + at + int(value)).decode()
        text += f"{name}: {value}\r\n".encode()
    return text


SECONDS = st.integers(0, 7).map(lambda n: n * 10)
TEN = st.integers(-60, 60).map(lambda n: n * 10)


def directives(*names: str) -> Any:
    one = st.sampled_from(names).flatmap(
        lambda name: SECONDS.map(lambda n: f"{name[:-1]}={n}") if name.endswith("=") else st.just(name)
    )
    return st.lists(one, max_size=3, unique_by=lambda text: text.partition("=")[0]).map(", ".join)


def some(**fields: Any) -> Any:
    optional = {name.replace("_", "-"): value.map(str) for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=optional).map(lambda found: {k: v for k, v in found.items() if v})


REQUESTS = some(
    A=st.integers(1, 2),
    B=st.integers(1, 2),
    Cookie=st.just("a=b"),
    Authorization=st.just("Basic x"),
    Cache_Control=directives("no-cache", "no-store", "max-age=", "min-fresh=", "max-stale=", "only-if-cached"),
)
ANSWERS = st.tuples(
    st.sampled_from((200, 200, 200, 204, 206, 301, 404, 500, 599)),
    some(
        Cache_Control=directives(
            *("max-age=", "max-age=", "s-maxage=", "no-store", "no-cache", "private", "public", "must-revalidate"),
            *("proxy-revalidate", "must-understand", "stale-while-revalidate=", "stale-if-error=", "immutable"),
        ),
        Expires=TEN,
        Date=TEN,
        Age=SECONDS,
        ETag=st.just('"a"'),
        Last_Modified=TEN.map(lambda n: n * 10),
        Vary=st.sampled_from(("A", "B", "A, B", "*", "")),
    ),
)
STEPS = st.lists(st.tuples(SECONDS, REQUESTS, ANSWERS), min_size=2, max_size=12)

WORDS = {HIT: "use", STALE: "use, and ask", REVALIDATE: "validate", MISS: "ask", BYPASS: "ask", NONE: "504"}


class HistoryTests(SynchronousTestCase):
    @settings(max_examples=600, deadline=None)
    @given(STEPS)
    def test_as_the_rfc_says(self, steps: list[tuple[int, Fields, tuple[int, Fields]]]) -> None:
        """The same answer out of the store, or the same need to ask, at every step."""
        store, reference = MemoryStore(10**9), Reference()
        twins: dict[int, Stored] = {}
        now = 0
        for passed, request, (status, fields) in steps:
            now += passed
            question = Question(lines_of(request, now))
            found, names = store.find(KEY, question)
            kind, entry, _ = decide(question, found, names is not None, float(now), SPEC)
            wanted, one = reference.decide(request, now)
            self.assertEqual(WORDS[kind], wanted, (now, request))
            self.assertIs(None if entry is None else twins[id(entry)], one, (now, request))
            if entry is not None and one is not None and kind == REVALIDATE and not request.get("Cache-Control"):
                self.assertEqual(usable_on_error(question, entry, float(now), SPEC), on_error(one, now), (now, one))
            if kind in (HIT, NONE):
                continue
            answer = Stored(status, fields, request, now, control_of(fields.get("Cache-Control", "")))
            reference.receive(answer, one)
            if entry is not None and status < 500:
                store.remove(entry)
            terms = Terms(question, status, lines_of(fields, now), SPEC, float(WALL + now), 0.0)
            self.assertEqual(not terms.why, storable(answer), (now, answer, terms.why))
            if not terms.why:
                variant = variant_key(question.lines, terms.vary or ())
                kept = Entry(KEY, variant, status, b"HTTP/1.1 200 OK", terms, b"", float(now))
                twins[id(kept)] = answer
                self.kept.append(kept)  # so that no other one gets its id
                store.add(kept)

    def setUp(self) -> None:
        self.kept: list[Entry] = []
