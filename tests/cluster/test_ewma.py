"""Tests of wmesh.cluster.ewma."""

from __future__ import annotations

from math import exp

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.ewma import ENOUGH, PeakEwma


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

    def test_good_answers_in_a_row_overrule_it(self) -> None:
        """Where its level keeps requests from it, a few answers within the bar are enough, however soon they come."""
        ewma = PeakEwma(decay=10.0)
        ewma.observe(5.0, 0.0)
        ewma.question(0.030)
        for step in range(1, ENOUGH):
            ewma.observe(0.010, step * 0.02)
        self.assertGreater(ewma.value(0.1) or 0.0, 4.9)
        ewma.observe(0.010, 0.12)
        self.assertEqual((ewma.level, ewma.better), (0.030, 0))

    def test_only_in_a_row(self) -> None:
        """One that took longer, or failed, and the count begins again."""
        ewma = PeakEwma(decay=10.0)
        ewma.observe(5.0, 0.0)
        ewma.question(0.030)
        for bad in (lambda: ewma.observe(0.031, 1.0), lambda: ewma.charge(0.5, 1.0), lambda: ewma.observe(6.0, 1.0)):
            for _ in range(ENOUGH - 1):
                ewma.observe(0.010, 1.0)
            self.assertEqual(ewma.better, ENOUGH - 1)
            bad()
            self.assertEqual(ewma.better, 0)

    def test_nobody_asked(self) -> None:
        """Without a question, good answers bring it down by time alone, whatever their number."""
        ewma = PeakEwma(decay=10.0)
        ewma.observe(5.0, 0.0)
        for _ in range(10 * ENOUGH):
            ewma.observe(0.010, 0.1)
        self.assertGreater(ewma.value(0.1) or 0.0, 4.9)

    def test_what_began_in_another_life(self) -> None:
        """An answer that was on its way when all was forgotten does not bring the past back."""
        ewma = PeakEwma(since=100.0)
        ewma.observe(5.0, 101.0)
        self.assertIsNone(ewma.value(101.0))
        ewma.observe(0.5, 101.0)
        ewma.observe(3.0, 102.0)
        self.assertEqual(ewma.level, 0.5)

    def test_a_charge_is_no_discount(self) -> None:
        """A failure that counts as one second makes nobody better who counts as five."""
        ewma = PeakEwma(decay=10.0, since=0.0)
        ewma.charge(5.0, 0.001)
        ewma.charge(1.0, 0.001)
        self.assertEqual(ewma.value(0.001), 5.0)
