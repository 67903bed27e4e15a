"""Tests of wmesh.balance.round_robin."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import members, picked
from wmesh.balance.round_robin import RoundRobin


class RoundRobinTests(SynchronousTestCase):
    def strategy(self, count: int, seed: int = 1) -> RoundRobin:
        self.members = members([1] * count)
        strategy = RoundRobin(Random(seed))
        strategy.rebuild(self.members)
        return strategy

    def test_each_in_turn(self) -> None:
        """Requests go round the instances in one fixed order."""
        strategy = self.strategy(3)
        first = [strategy.pick(b"", (), 0.0) for _ in range(3)]
        self.assertEqual([strategy.pick(b"", (), 0.0) for _ in range(6)], first * 2)
        self.assertEqual(len(set(map(id, first))), 3)

    def test_gateways_begin_at_different_places(self) -> None:
        """Ten gateways that start together do not all send their first request to the same instance."""
        firsts = {picked(self.strategy(4, seed)).record.id for seed in range(10)}
        self.assertGreater(len(firsts), 1)

    def test_a_retry_goes_to_the_next(self) -> None:
        """The instance that failed is passed over, and the turn after the retry goes on from there."""
        strategy = self.strategy(3)
        one = picked(strategy)
        other = picked(strategy, [one])
        third = strategy.pick(b"", (), 0.0)
        self.assertEqual(len({id(one), id(other), id(third)}), 3)

    def test_nobody_there(self) -> None:
        """A service without instances is no error."""
        self.assertIsNone(self.strategy(0).pick(b"", (), 0.0))
