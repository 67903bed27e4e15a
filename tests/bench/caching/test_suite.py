"""Counting what the public suite for caches said."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.caching.suite import LEAST, OPTIMAL, REQUIRED, Row, counts, good_enough, page

ROWS: list[Row] = [
    ("Vary", "vary-match", OPTIMAL, "✅", ""),
    ("Vary", "vary-star", REQUIRED, "⛔️", "Assertion: it comes from cache"),
    ("Others", "age", REQUIRED, "✅", ""),
    ("Others", "delay", "check", "N", "no"),
]


class SuiteTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """What passed, of how many; a check is no failure."""
        self.assertEqual(counts(ROWS), {OPTIMAL: (1, 1), REQUIRED: (1, 2), "check": (0, 1)})

    def test_page(self) -> None:
        lines = page(ROWS).splitlines()
        self.assertEqual([cell.strip() for cell in lines[2].split("|")[1:-1]], ["Vary", "0/1", "1/1"])
        self.assertEqual([cell.strip() for cell in lines[4].split("|")[1:-1]], ["all", "1/2", "1/1"])
        self.assertEqual(lines[-1], "- required vary-star: Assertion: it comes from cache")
        self.assertNotIn("delay", page(ROWS))

    def test_good_enough(self) -> None:
        """More than the least, of both kinds."""
        rows = [("a", str(n), kind, "✅", "") for kind, least in LEAST.items() for n in range(least + 1)]
        self.assertTrue(good_enough(rows))
        self.assertFalse(good_enough(rows[1:]))
        self.assertFalse(good_enough(rows[:-1]))
