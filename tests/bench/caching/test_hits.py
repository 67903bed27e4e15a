"""The table of hits."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.caching.hits import Hit, hits_table


class HitsTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Medians, and the ratio to what nginx costs without a cache."""
        hits = [Hit("wmesh", "small", cpu, 1000.0) for cpu in (10.0, 30.0, 12.0)] + [Hit("nginx", "small", 24.0, 500.0)]
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in hits_table(hits).splitlines()]
        self.assertEqual(rows[2], ["small, wmesh", "12.0", "0.50", "1,000"])
        self.assertEqual(rows[3], ["small, nginx", "24.0", "1.00", "500"])

    def test_no_nginx(self) -> None:
        self.assertIn("–", hits_table([Hit("wmesh", "64k", 20.0, 1.0)]))
