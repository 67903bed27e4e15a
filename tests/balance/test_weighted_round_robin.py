"""Tests of wmesh.balance.weighted_round_robin; its fairness is held by tests.properties.test_balance."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, members, picked
from wmesh.balance.turns import SLOTS
from wmesh.balance.weighted_round_robin import WeightedRoundRobin


class WeightedRoundRobinTests(SynchronousTestCase):
    def strategy(self, *weights: int, seed: int = 1) -> WeightedRoundRobin:
        strategy = WeightedRoundRobin(SPEC, Random(seed))
        strategy.rebuild(members(weights))
        return strategy

    def picks(self, strategy: WeightedRoundRobin, count: int) -> str:
        """The numbers of the members picked: "0102"."""
        return "".join(picked(strategy).record.id[1:] for _ in range(count))

    def test_heavy_instances_come_in_no_bursts(self) -> None:
        """Weight five means five of seven requests, but never five in a row."""
        order = self.picks(self.strategy(5, 1, 1), 70)
        self.assertEqual([order.count(name) for name in "012"], [50, 10, 10])
        self.assertNotIn("0000", order)

    def test_light_instances_are_not_served_all_at_once(self) -> None:
        """Eight light instances beside a heavy one get their requests spread over the round."""
        order = self.picks(self.strategy(16, *[1] * 8), 48)
        self.assertEqual(order.count("0"), 32)
        self.assertNotIn("00000", order)
        self.assertFalse([pair for pair in pairwise(order) if "0" not in pair])

    def test_equal_weights_are_plain_turns(self) -> None:
        """With equal weights each run of three reaches all three."""
        order = self.picks(self.strategy(2, 2, 2), 30)
        self.assertTrue(all(len(set(order[at : at + 3])) == 3 for at in range(0, 30, 3)))

    def test_counting_starts_over_without_a_trace(self) -> None:
        """After a long time shares are as exact as on the first day."""
        strategy = self.strategy(3, 2)
        order = self.picks(strategy, 2 * SLOTS)
        self.assertEqual(order.count("0"), 2 * SLOTS * 3 // 5)
        self.assertEqual(order[:5], order[-5:])

    def test_a_retry_takes_nobodys_turn(self) -> None:
        """First attempts are spread the same way whether there are retries or not."""
        plain, retried = self.strategy(3, 2, 1), self.strategy(3, 2, 1)
        expected = self.picks(plain, 60)
        found = ""
        for _ in range(60):
            first = picked(retried)
            found += first.record.id[1:]
            self.assertIsNot(picked(retried, [first]), first)
        self.assertEqual(found, expected)

    def test_ties_differ_between_gateways(self) -> None:
        """Gateways that start together do not all begin with the same one of equal instances."""
        self.assertGreater(len({self.picks(self.strategy(1, 1, 1, seed=seed), 1) for seed in range(10)}), 1)

    def test_nobody_there(self) -> None:
        """A service without instances is no error."""
        self.assertIsNone(self.strategy().pick(b"", (), 0.0))
