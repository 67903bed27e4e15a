"""Tests of wmesh.balance.least_connections."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, a_member, members, picked
from wmesh.balance.least_connections import SCAN_LIMIT, LeastConnections


class LeastConnectionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.random = Random(2)

    def test_the_idle_one_is_taken(self) -> None:
        """A request goes where the fewest are in flight."""
        strategy = LeastConnections(SPEC, Random(1))
        busy, idle = a_member("busy", in_flight=5), a_member("idle", in_flight=1)
        strategy.rebuild([busy, idle])
        self.assertIs(strategy.pick(b"", (), 0.0), idle)
        self.assertIs(strategy.pick(b"", (idle,), 0.0), busy)

    def test_weight_two_carries_twice_as_much(self) -> None:
        """Requests that stay spread by weight: of thirty, twenty are at the instance of weight two."""
        strategy = LeastConnections(SPEC, Random(1))
        light, heavy = a_member("light"), a_member("heavy", weight=2)
        strategy.rebuild([light, heavy])
        for _ in range(30):
            picked(strategy).in_flight += 1
        self.assertEqual((light.in_flight, heavy.in_flight), (10, 20))

    def test_light_instances_are_neither_starved_nor_flooded(self) -> None:
        """In an idle fleet, and where a request or two are always under way, a light one gets about its part."""
        for busy in (0, 2):
            for weight in (2, 10):
                strategy = LeastConnections(SPEC, Random(1))
                light, heavy = fleet = members([1, weight])
                strategy.rebuild(fleet)
                for _ in range(busy):
                    picked(strategy).in_flight += 1
                counts: Counter[str] = Counter()
                for _ in range(4000):
                    member = picked(strategy)
                    counts[member.record.id] += 1
                    member.in_flight += 1
                    # Somebody's request ends, whoever's.
                    ending = light if light.in_flight and self.random.random() * 2 < light.in_flight else heavy
                    (ending if ending.in_flight else light).in_flight -= 1
                part = counts["m0"] / 4000 * (1 + weight)
                self.assertTrue(0.3 < part < 3.0, (busy, weight, part))

    def test_ties_go_round(self) -> None:
        """When nobody is busy, as with quick requests one after the other, all get the same number."""
        strategy = LeastConnections(SPEC, Random(1))
        strategy.rebuild(members([1, 1, 1]))
        order = [picked(strategy).record.id for _ in range(9)]
        self.assertEqual({name: order.count(name) for name in order}, {"m0": 3, "m1": 3, "m2": 3})

    def test_many_are_compared_by_two(self) -> None:
        """With many instances the cost stays flat and the load still stays even: nobody is far above the others."""
        strategy = LeastConnections(SPEC, Random(1))
        all_members = members([1] * (SCAN_LIMIT + 12))
        strategy.rebuild(all_members)
        for _ in range(2000):
            picked(strategy).in_flight += 1
        flights = [member.in_flight for member in all_members]
        self.assertLess(max(flights) - min(flights), 10)
