"""Tests of wmesh.metrics.recent: what was long ago is forgotten."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.metrics.recent import Recent


class RecentTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        self.assertEqual(Recent().quantile(0.9, 5.0), (0, None))

    def test_what_was_lately(self) -> None:
        """Of the last one to two spans, whatever was before; the share is told within a tenth."""
        recent = Recent(10.0)
        for number in range(100):
            recent.observe(0.01 if number < 90 else 1.0, 100.0)
        count, seconds = recent.quantile(0.85, 101.0)
        self.assertEqual((count, 0.008 <= (seconds or 0.0) <= 0.011), (100, True))
        self.assertGreater(recent.quantile(0.95, 101.0)[1] or 0.0, 0.7)
        for _ in range(50):
            recent.observe(0.01, 111.0)
        self.assertEqual(recent.quantile(0.5, 112.0)[0], 150)
        recent.observe(0.01, 122.0)
        self.assertEqual(recent.quantile(0.5, 122.0)[0], 51)

    def test_after_a_silence(self) -> None:
        """Asking alone forgets as well."""
        recent = Recent(10.0)
        recent.observe(1.0, 100.0)
        self.assertEqual(recent.quantile(0.5, 109.0)[0], 1)
        self.assertEqual(recent.quantile(0.5, 119.0)[0], 1)
        self.assertEqual(recent.quantile(0.5, 129.5), (0, None))
        recent.observe(1.0, 130.0)
        self.assertEqual(recent.quantile(0.5, 500.0), (0, None))
