"""Tests of wmesh.policy.hedging: how long to wait for the first instance, and when not to ask a second one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import HedgeSpec
from wmesh.policy.hedging import LEAST_SAMPLES, SOONEST, objection, patience


class PatienceTests(SynchronousTestCase):
    def test_off(self) -> None:
        """By default nobody is asked, whatever is known."""
        self.assertFalse(HedgeSpec().enabled)
        self.assertIsNone(patience(HedgeSpec(), 10_000, 0.5))

    def test_a_fixed_delay(self) -> None:
        """It holds whatever the answers take."""
        for samples, quantile in ((0, None), (10_000, 5.0)):
            self.assertEqual(patience(HedgeSpec(delay=0.2), samples, quantile), 0.2)

    def test_by_what_they_took(self) -> None:
        """The quantile, never sooner than the delay, nor than makes sense."""
        self.assertEqual(patience(HedgeSpec(quantile=95), LEAST_SAMPLES, 0.3), 0.3)
        self.assertEqual(patience(HedgeSpec(delay=0.5, quantile=95), LEAST_SAMPLES, 0.3), 0.5)
        self.assertEqual(patience(HedgeSpec(delay=0.1, quantile=95), LEAST_SAMPLES, 0.3), 0.3)
        self.assertEqual(patience(HedgeSpec(quantile=95), LEAST_SAMPLES, 0.00001), SOONEST)

    def test_too_little_is_known(self) -> None:
        """Then the delay holds, if there is one."""
        for samples, quantile in ((0, None), (LEAST_SAMPLES - 1, 0.3)):
            self.assertIsNone(patience(HedgeSpec(quantile=95), samples, quantile))
            self.assertEqual(patience(HedgeSpec(delay=0.2, quantile=95), samples, quantile), 0.2)


class ObjectionTests(SynchronousTestCase):
    def test_every_no_has_its_reason(self) -> None:
        may = {"bound": False, "begun": False, "replayable": True, "elsewhere": True}
        self.assertEqual(objection(**may), "")
        for name, word in (("bound", "bound"), ("begun", "begun"), ("replayable", "body"), ("elsewhere", "nobody")):
            self.assertIn(word, objection(**{**may, name: not may[name]}))
