"""Tests of wmesh.policy.caching.decide."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import SPEC, asks, date, stored
from wmesh.policy.caching.decide import (
    BYPASS,
    HIT,
    MISS,
    NONE,
    REVALIDATE,
    STALE,
    decide,
    newest,
    usable_on_error,
)
from wmesh.policy.caching.entry import Entry


class DecideTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.entry = stored("Cache-Control: max-age=60", 'ETag: "a"')

    def kind(self, *fields: str, at: float = 10.0, entry: Entry | None = None) -> tuple[int, str]:
        found = decide(asks(*fields), entry or self.entry, True, at, SPEC)
        return found.kind, found.fwd

    def test_freshness(self) -> None:
        """Fresh until its time, and not at it."""
        self.assertEqual(self.kind(at=59.9), (HIT, ""))
        self.assertEqual(self.kind(at=60.0), (REVALIDATE, "stale"))

    def test_nothing_stored(self) -> None:
        """For this URI, or for such a request."""
        self.assertEqual(decide(asks(), None, False, 0.0, SPEC).fwd, "uri-miss")
        self.assertEqual(decide(asks(), None, True, 0.0, SPEC).fwd, "vary-miss")
        self.assertEqual(decide(asks("Cache-Control: only-if-cached"), None, False, 0.0, SPEC).kind, NONE)

    def test_what_clients_ask_for(self) -> None:
        """RFC 9111 section 5.2.1, unless the operator does not let them."""
        for at, field, expected in (
            (10, "no-cache", (REVALIDATE, "request")),
            (10, "no-store", (BYPASS, "request")),
            (10, "max-age=9", (REVALIDATE, "request")),
            (10, "max-age=10", (HIT, "")),
            (10, "min-fresh=51", (REVALIDATE, "request")),
            (10, "min-fresh=50", (HIT, "")),
            (70, "max-stale=9", (REVALIDATE, "stale")),
            (70, "max-stale=10", (HIT, "")),
            (70, "max-stale", (HIT, "")),
            (70, "only-if-cached", (NONE, "stale")),
            (10, "only-if-cached", (HIT, "")),
        ):
            self.assertEqual(self.kind(f"Cache-Control: {field}", at=at), expected, field)
        deaf = replace(SPEC, request_control=False)
        for field in ("no-cache", "no-store", "max-age=0"):
            self.assertEqual(decide(asks(f"Cache-Control: {field}"), self.entry, True, 10.0, deaf).kind, HIT)

    def test_immutable(self) -> None:
        """What will not change is not asked for again by a reload; but it is by who insists."""
        entry = stored("Cache-Control: max-age=60, immutable")
        self.assertEqual(self.kind("Cache-Control: max-age=0", entry=entry), (HIT, ""))
        self.assertEqual(self.kind("Cache-Control: no-cache", entry=entry), (REVALIDATE, "request"))
        self.assertEqual(self.kind("Cache-Control: max-age=0", entry=entry, at=61.0), (REVALIDATE, "request"))

    def test_no_cache(self) -> None:
        """An answer with no-cache is never used unasked."""
        entry = stored("Cache-Control: no-cache, max-age=60", 'ETag: "a"')
        self.assertEqual(self.kind(entry=entry), (REVALIDATE, "stale"))
        self.assertEqual(self.kind("Cache-Control: max-stale", entry=entry), (REVALIDATE, "stale"))

    def test_must_revalidate(self) -> None:
        """No client can have it stale."""
        for said in ("must-revalidate", "proxy-revalidate", "s-maxage=60"):
            entry = stored(f"Cache-Control: max-age=60, {said}")
            self.assertEqual(self.kind("Cache-Control: max-stale", entry=entry, at=61.0), (REVALIDATE, "stale"), said)

    def test_stale_while_revalidate(self) -> None:
        """Within its window, and not for who wants to know how old it is."""
        entry = stored("Cache-Control: max-age=60, stale-while-revalidate=30")
        self.assertEqual(self.kind(entry=entry, at=89.0), (STALE, "stale"))
        self.assertEqual(self.kind(entry=entry, at=90.0), (REVALIDATE, "stale"))
        self.assertEqual(self.kind("Cache-Control: min-fresh=1", entry=entry, at=70.0)[0], REVALIDATE)

    def test_cookies(self) -> None:
        """What is only guessed to be fresh is not for requests with a Cookie."""
        guessed = stored(f"Last-Modified: {date(-1000)}")
        self.assertEqual(self.kind("Cookie: a=b", entry=guessed), (MISS, "vary-miss"))
        self.assertEqual(self.kind(entry=guessed), (HIT, ""))
        self.assertEqual(self.kind("Cookie: a=b"), (HIT, ""))

    def test_errors(self) -> None:
        """When nobody answers, a stale answer may stand in, for as long as it, the operator or the client allows."""
        self.assertTrue(usable_on_error(asks(), self.entry, 119.0, SPEC))
        self.assertFalse(usable_on_error(asks(), self.entry, 121.0, SPEC))
        self.assertTrue(usable_on_error(asks("Cache-Control: stale-if-error=600"), self.entry, 121.0, SPEC))
        strict = stored("Cache-Control: max-age=60, must-revalidate")
        self.assertTrue(usable_on_error(asks("Cache-Control: no-cache"), strict, 59.0, SPEC))
        self.assertFalse(usable_on_error(asks("Cache-Control: stale-if-error=600"), strict, 61.0, SPEC))
        never = stored("Cache-Control: no-cache", 'ETag: "a"')
        self.assertFalse(usable_on_error(asks(), never, 0.0, SPEC))

    def test_newest(self) -> None:
        """The date of the answer decides."""
        old = stored("Cache-Control: max-age=600", f"Date: {date(-100)}", now=5.0)
        self.assertIs(newest([old, self.entry]), self.entry)
        self.assertIsNone(newest([]))
