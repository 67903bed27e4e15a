"""Tests of wmesh.policy.caching.entry."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import date, stored, terms
from wmesh.policy.caching.entry import OVERHEAD


class EntryTests(SynchronousTestCase):
    def test_times(self) -> None:
        """An answer that was old when it came has so much less time."""
        entry = stored("Cache-Control: max-age=60, stale-while-revalidate=5, stale-if-error=7", "Age: 20", now=100.0)
        self.assertEqual((entry.born, entry.fresh_until), (80.0, 140.0))
        self.assertEqual((entry.revalidate_until, entry.error_until), (145.0, 147.0))

    def test_what_it_takes(self) -> None:
        """All that grows with the answer counts."""
        entry = stored("Cache-Control: max-age=60", body=b"x" * 100)
        self.assertEqual(entry.size, OVERHEAD + 100 + len(entry.lines) + len(entry.key))

    def test_renewal(self) -> None:
        """A 304 starts its time anew."""
        entry = stored("Cache-Control: max-age=60", f"Last-Modified: {date(-5)}")
        entry.renew(terms("Cache-Control: max-age=10", 'ETag: "a"', "Surrogate-Key: a b"), 50.0)
        self.assertEqual((entry.fresh_until, entry.etag, entry.tags), (60.0, b'"a"', (b"a", b"b")))
        self.assertTrue(entry.validator)
