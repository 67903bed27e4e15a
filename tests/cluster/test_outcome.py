"""Tests of wmesh.cluster.outcome."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.model import BreakerSpec


class OutcomeTests(SynchronousTestCase):
    def test_failures_lie_between(self) -> None:
        """Whoever asks for a failure compares numbers: good answers are below all of them, cancelled ones above."""
        failures = [outcome for outcome in Outcome if Outcome.OK < outcome < Outcome.CANCELLED]
        self.assertEqual(len(failures), len(Outcome) - 2)

    def test_breakers_know_every_failure(self) -> None:
        """By default each of them counts; their names are the words of the configuration."""
        names = {outcome.name.lower() for outcome in Outcome if Outcome.OK < outcome < Outcome.CANCELLED}
        self.assertEqual(set(BreakerSpec().outcomes), names)


class RefusalTests(SynchronousTestCase):
    def test_nobody_waits_unless_it_passes(self) -> None:
        """A refusal is final, and worth coming back in a second, unless it says otherwise."""
        refusal = Refusal("no_instances", "no instance is registered")
        self.assertEqual((refusal.passing, refusal.retry_after), (False, 1))
