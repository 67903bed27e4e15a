"""Tests of wmesh.balance.consistent_hash."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_spec, members, picked
from wmesh.balance.consistent_hash import ConsistentHash
from wmesh.cluster.member import Member


class ConsistentHashTests(SynchronousTestCase):
    def strategy(self, fleet: list[Member], factor: int = 150) -> ConsistentHash:
        strategy = ConsistentHash(a_spec(hash_balance_factor=factor), Random(1))
        strategy.rebuild(fleet)
        return strategy

    def test_a_key_stays_while_there_is_room(self) -> None:
        """As long as its instance has no more than the others, a key goes there."""
        fleet = members([1] * 6)
        strategy = self.strategy(fleet)
        home = picked(strategy)
        self.assertEqual({picked(strategy) for _ in range(50)}, {home})

    def test_a_hot_key_spills_and_comes_back(self) -> None:
        """All requests for one key fill nobody above the bound; when they end the key is at home again."""
        fleet = members([1] * 6)
        strategy = self.strategy(fleet, 125)
        home = picked(strategy)
        for number in range(1, 121):
            picked(strategy).in_flight += 1
            self.assertLessEqual(max(member.in_flight for member in fleet), -(-1.25 * number // 6))
        self.assertEqual(sum(member.in_flight for member in fleet), 120)
        for member in fleet:
            member.in_flight = 0
        self.assertIs(picked(strategy, now=2.0), home)

    def test_without_a_bound(self) -> None:
        """0 turns the bound off: a key stays, whatever happens."""
        strategy = self.strategy(members([1] * 6), 0)
        home = picked(strategy)
        home.in_flight = 1000
        self.assertIs(picked(strategy), home)
        self.assertIsNot(picked(strategy, [home]), home)

    def test_the_bound_goes_by_share(self) -> None:
        """A heavy instance may have more in flight, and the words say how much."""
        fleet = members([1, 3])
        strategy = self.strategy(fleet, 110)
        for _ in range(40):
            picked(strategy).in_flight += 1
        self.assertLessEqual(fleet[0].in_flight, 11)
        self.assertLessEqual(fleet[1].in_flight, 33)
        self.assertIn(f"{fleet[1].in_flight} in flight of at most 34", strategy.scores(b"x", 0.0)[1][2])

    def test_the_count_is_a_second_old_at_most(self) -> None:
        """When many requests have ended, the bound in a large fleet follows within a second."""
        fleet = members([1] * 80)
        strategy = self.strategy(fleet)
        home = picked(strategy)
        for member in fleet:
            member.in_flight = 10
        strategy.rebuild(fleet)
        picked(strategy)
        for member in fleet:
            member.in_flight = 0
        home.in_flight = 3
        self.assertIs(picked(strategy, now=0.5), home)
        self.assertIsNot(picked(strategy, now=1.5), home)

    def test_many_full_ones_cost_no_search(self) -> None:
        """In a large fleet whose key's choices are all full, somebody less busy is found without asking everybody."""
        fleet = members([1] * 300)
        strategy = self.strategy(fleet)
        ranked = strategy._ranks
        order: list[Member] = []
        for _ in range(100):
            member = ranked.best(b"client", order)
            assert member is not None
            member.in_flight = 100
            order.append(member)
        found = {picked(strategy).record.id for _ in range(30)}
        self.assertGreater(len(found - {member.record.id for member in order}), 10)

    def test_when_only_full_ones_are_left(self) -> None:
        """On a retry the bound never makes a request fail."""
        one, other = fleet = members([1, 1])
        strategy = self.strategy(fleet)
        other.in_flight = 50
        self.assertIs(picked(strategy, [one]), other)
