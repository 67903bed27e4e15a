"""Tests of wmesh.balance.least_connections."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_member, members, picked
from wmesh.balance.least_connections import SCAN_LIMIT, LeastConnections


class LeastConnectionsTests(SynchronousTestCase):
    def test_the_idle_one_is_taken(self) -> None:
        """A request goes where the fewest are in flight."""
        strategy = LeastConnections(Random(1))
        busy, idle = a_member("busy", in_flight=5), a_member("idle", in_flight=1)
        strategy.rebuild([busy, idle])
        self.assertIs(strategy.pick(b"", (), 0.0), idle)
        self.assertIs(strategy.pick(b"", (idle,), 0.0), busy)

    def test_weight_two_carries_twice_as_much(self) -> None:
        """Requests that stay spread by weight: of thirty, twenty are at the instance of weight two."""
        strategy = LeastConnections(Random(1))
        light, heavy = a_member("light"), a_member("heavy", weight=2)
        strategy.rebuild([light, heavy])
        for _ in range(30):
            picked(strategy).in_flight += 1
        self.assertEqual((light.in_flight, heavy.in_flight), (10, 20))

    def test_ties_go_round(self) -> None:
        """When nobody is busy, as with quick requests one after the other, all get the same number."""
        strategy = LeastConnections(Random(1))
        strategy.rebuild(members([1, 1, 1]))
        order = [picked(strategy).record.id for _ in range(9)]
        self.assertEqual({name: order.count(name) for name in order}, {"m0": 3, "m1": 3, "m2": 3})

    def test_many_are_compared_by_two(self) -> None:
        """With many instances the cost stays flat and the load still stays even: nobody is far above the others."""
        strategy = LeastConnections(Random(1))
        all_members = members([1] * (SCAN_LIMIT + 12))
        strategy.rebuild(all_members)
        for _ in range(2000):
            picked(strategy).in_flight += 1
        flights = [member.in_flight for member in all_members]
        self.assertLess(max(flights) - min(flights), 10)
