"""Tests of wmesh.balance itself: the table of strategies."""

from __future__ import annotations

from inspect import signature
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, members
from wmesh.balance import STRATEGIES
from wmesh.interfaces import Strategy
from wmesh.model import ServiceSpec


class TableTests(SynchronousTestCase):
    def test_each_name_makes_a_strategy(self) -> None:
        """Whatever the configuration names can be made, and has the methods that the cluster calls."""
        for name, make in STRATEGIES.items():
            strategy = make(SPEC, Random(1))
            for method in ("rebuild", "pick", "scores"):
                promised = list(signature(getattr(Strategy, method)).parameters)[1:]
                self.assertEqual(list(signature(getattr(strategy, method)).parameters), promised, name)

    def test_each_cluster_gets_a_strategy_of_its_own(self) -> None:
        """Two services with the same strategy do not share its state."""
        for make in STRATEGIES.values():
            one, other = make(SPEC, Random(1)), make(SPEC, Random(1))
            one.rebuild(members([1]))
            self.assertIsNone(other.pick(b"", (), 0.0))

    def test_the_default_exists(self) -> None:
        """A service that names no strategy gets one that there is."""
        self.assertIn(ServiceSpec("any").strategy, STRATEGIES)
