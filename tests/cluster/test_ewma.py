"""Tests of wmesh.cluster.ewma."""

from __future__ import annotations

from math import exp

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.ewma import PeakEwma


class PeakEwmaTests(SynchronousTestCase):
    def test_nothing_is_known_at_first(self) -> None:
        """Before the first answer there is no number to compare, rather than a flattering zero."""
        self.assertIsNone(PeakEwma().value(100.0))

    def test_it_jumps_up_at_once(self) -> None:
        """One slow answer is believed immediately: queues form faster than averages move."""
        ewma = PeakEwma()
        ewma.observe(0.010, 0.0)
        ewma.observe(2.0, 0.1)
        self.assertEqual(ewma.value(0.1), 2.0)

    def test_it_comes_down_with_time(self) -> None:
        """Faster answers bring it down by the time that has passed, however many of them there are."""
        few, many = PeakEwma(decay=10.0), PeakEwma(decay=10.0)
        for ewma in (few, many):
            ewma.observe(1.0, 0.0)
        few.observe(0.1, 10.0)
        for step in range(1, 101):
            many.observe(0.1, step * 0.1)
        expected = exp(-1.0) + 0.1 * (1.0 - exp(-1.0))
        self.assertAlmostEqual(few.value(10.0), expected)
        self.assertAlmostEqual(many.value(10.0), expected)

    def test_silence_is_forgiven(self) -> None:
        """Without traffic what was measured fades to nothing, so that the instance is tried again."""
        ewma = PeakEwma(decay=10.0)
        ewma.observe(1.0, 0.0)
        self.assertAlmostEqual(ewma.value(10.0), exp(-1.0))
        self.assertLess(ewma.value(120.0), 0.00001)

    def test_after_a_long_silence_only_the_new_answer_counts(self) -> None:
        """Yesterday's slowness is not mixed into today's first answer."""
        ewma = PeakEwma(decay=10.0)
        ewma.observe(5.0, 0.0)
        ewma.observe(0.2, 86400.0)
        self.assertAlmostEqual(ewma.value(86400.0), 0.2)
