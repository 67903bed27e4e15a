"""Tests of wmesh.policy.caching.status."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.caching.status import cache_name, forward_line, hit_line


class StatusTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """RFC 9211: one member of a list, the cache's name and what it did."""
        self.assertEqual(hit_line(b"wmesh", 12.7), b"Cache-Status: wmesh; hit; ttl=12\r\n")
        self.assertEqual(hit_line(b"m", -3.0, b"x"), b"Cache-Status: m; hit; ttl=-3; detail=x\r\n")
        self.assertEqual(forward_line(b"m", "uri-miss"), b"Cache-Status: m; fwd=uri-miss\r\n")
        self.assertEqual(
            forward_line(b"m", "stale", 304, stored=True, collapsed=True, detail="y"),
            b"Cache-Status: m; fwd=stale; fwd-status=304; stored; collapsed; detail=y\r\n",
        )

    def test_names(self) -> None:
        """A name that is no token is quoted."""
        self.assertEqual(cache_name("wmesh"), b"wmesh")
        self.assertEqual(cache_name("2nd"), b'"2nd"')
