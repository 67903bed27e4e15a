"""Tests of wmesh.balance.fill_first."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_spec, members, picked
from wmesh.balance.fill_first import LOOK, FillFirst
from wmesh.cluster.member import Member


class FillFirstTests(SynchronousTestCase):
    def strategy(self, fleet: list[Member], capacity: int = 3) -> FillFirst:
        strategy = FillFirst(a_spec(capacity=capacity), Random(1))
        strategy.rebuild(fleet)
        return strategy

    def load(self, strategy: FillFirst, count: int) -> None:
        for _ in range(count):
            picked(strategy).in_flight += 1

    def test_one_after_the_other(self) -> None:
        """The first is filled to the service's capacity, then the next; the others stay idle."""
        fleet = members([1] * 5)
        self.load(self.strategy(fleet), 8)
        self.assertEqual([member.in_flight for member in fleet], [3, 3, 2, 0, 0])

    def test_an_instances_own_limit_counts(self) -> None:
        """Where an instance has a limit it is full there; where it has none, by capacity, or earlier while it ramps."""
        fleet = members([1, 1, 0.5, 1])
        fleet[0].limit, fleet[1].limit = 2, 5
        self.load(self.strategy(fleet, capacity=4), 10)
        self.assertEqual([member.in_flight for member in fleet], [2, 5, 2, 1])

    def test_gaps_are_filled_first(self) -> None:
        """When a request ends at an early instance the next one goes there, so that late ones run dry."""
        fleet = members([1] * 5)
        strategy = self.strategy(fleet)
        self.load(strategy, 11)
        fleet[1].in_flight -= 1
        self.assertIs(picked(strategy), fleet[1])
        fleet[0].in_flight -= 2
        self.assertIs(picked(strategy), fleet[0])
        for member in fleet:
            member.in_flight = 0
        self.assertIs(picked(strategy), fleet[0])

    def test_a_gap_among_many_is_found(self) -> None:
        """One free place anywhere behind the edge is found within a few requests."""
        fleet = sorted(members([1] * 50), key=lambda member: member.record.id)
        strategy = self.strategy(fleet)
        self.load(strategy, 120)
        fleet[30].in_flight -= 1
        self.assertIn(fleet[30], [picked(strategy) for _ in range(40 // LOOK + 1)])

    def test_many_run_dry_too(self) -> None:
        """In a large fleet whose load falls, requests gather at few instances again."""
        fleet = sorted(members([1] * 200), key=lambda member: member.record.id)
        strategy = self.strategy(fleet)
        self.load(strategy, 450)
        self.assertEqual([member.in_flight for member in fleet], [3] * 150 + [0] * 50)
        random = Random(2)
        running = [member for member in fleet for _ in range(member.in_flight)]
        for step in range(6000):
            ended = running.pop(random.randrange(len(running)))
            ended.in_flight -= 1
            if len(running) < 60 or step % 10:
                member = picked(strategy)
                member.in_flight += 1
                running.append(member)
        self.assertLess(sum(member.in_flight > 0 for member in fleet), 20 + 2 * LOOK + 10)

    def test_beyond_capacity_the_less_full(self) -> None:
        """When all are full by capacity nobody is turned away, and what comes is spread."""
        fleet = members([1] * 4)
        self.load(self.strategy(fleet), 40)
        self.assertLess(max(member.in_flight for member in fleet), 14)

    def test_order_of_ids(self) -> None:
        """Every gateway fills the same one first: that with the lowest id."""
        fleet = members([1] * 3)
        strategy = self.strategy(fleet[::-1])
        self.assertIs(picked(strategy), fleet[0])
        self.assertEqual([score for _, score, _ in strategy.scores(b"", 0.0)], [0.0, 1.0, 2.0])
        self.assertEqual(strategy.scores(b"", 0.0)[0][2], "0 of 3 in flight")
