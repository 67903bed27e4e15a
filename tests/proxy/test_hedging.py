"""Tests of wmesh.proxy.hedging: what one route knows of its answers, and when it looks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import HedgeSpec
from wmesh.proxy.hedging import REVIEW, Hedging


class HedgingTests(SynchronousTestCase):
    def test_a_fixed_delay(self) -> None:
        """It is there from the first request on, and nothing is measured for it."""
        hedging = Hedging(HedgeSpec(delay=0.2))
        for _ in range(500):
            hedging.observe(5.0, 1.0)
        self.assertEqual((hedging.after(1.0), hedging.after(100.0), hedging.samples(100.0)), (0.2, 0.2, 0))

    def test_it_learns(self) -> None:
        """Nothing before enough is known; then what that share took, looked at now and then; and it forgets again."""
        hedging = Hedging(HedgeSpec(quantile=90))
        self.assertIsNone(hedging.after(10.0))
        for number in range(200):
            hedging.observe(2.0 if number % 20 == 0 else 0.05, 10.1)
        self.assertIsNone(hedging.after(10.0 + REVIEW / 2))
        self.assertEqual((hedging.after(10.0 + REVIEW), hedging.samples(11.0)), (hedging.after(11.5), 200))
        self.assertTrue(0.03 < (hedging.after(11.5) or 0.0) <= 0.051)
        self.assertIsNone(hedging.after(500.0))
