"""What every strategy promises, whatever the members, their weights and their load."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_member, members
from wmesh.balance import STRATEGIES
from wmesh.balance.least_connections import SCAN_LIMIT, LeastConnections
from wmesh.balance.power_of_two import PowerOfTwo
from wmesh.balance.round_robin import RoundRobin
from wmesh.balance.weighted_round_robin import WeightedRoundRobin
from wmesh.cluster.member import Member

WEIGHTS = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 1000)), min_size=1, max_size=24)
NAMES = st.sampled_from(sorted(STRATEGIES))
SEEDS = st.integers(0, 2**32)

quick = settings(max_examples=60, deadline=None)


def load(member: Member) -> float:
    return (member.in_flight + 1) / member.weight


class EveryStrategyTests(SynchronousTestCase):
    @quick
    @given(NAMES, WEIGHTS, SEEDS, st.data())
    def test_tried_members_are_left_alone_and_untried_ones_are_found(
        self, name: str, weights: list[int], seed: int, data: st.DataObject
    ) -> None:
        """A retry never goes to an instance that was tried already, and never gives up while another is there."""
        all_members = members(weights)
        strategy = STRATEGIES[name](Random(seed))
        strategy.rebuild(all_members)
        for _ in range(6):
            tried = data.draw(st.lists(st.sampled_from(all_members), unique_by=id))
            picked = strategy.pick(b"client", tried, 1.0)
            self.assertNotIn(picked, tried)
            self.assertEqual(picked is None, len(tried) == len(all_members))
            self.assertIn(picked, [*all_members, None])

    @quick
    @given(NAMES, WEIGHTS, SEEDS)
    def test_a_request_can_try_every_member_once(self, name: str, weights: list[int], seed: int) -> None:
        """A request that fails everywhere has been everywhere, once."""
        all_members = members(weights)
        strategy = STRATEGIES[name](Random(seed))
        strategy.rebuild(all_members)
        tried: list[Member] = []
        while (member := strategy.pick(b"", tried, 1.0)) is not None:
            tried.append(member)
        self.assertEqual(sorted(map(id, tried)), sorted(map(id, all_members)))

    @quick
    @given(NAMES, WEIGHTS, WEIGHTS, SEEDS)
    def test_only_the_latest_members_are_picked(
        self, name: str, before: list[int], after: list[int], seed: int
    ) -> None:
        """Once an instance is out, it gets no more requests."""
        strategy = STRATEGIES[name](Random(seed))
        strategy.rebuild(members(before))
        strategy.pick(b"", (), 1.0)
        latest = members(after)
        strategy.rebuild(latest)
        for _ in range(10):
            self.assertIn(strategy.pick(b"", (), 1.0), latest)
        strategy.rebuild(())
        self.assertIsNone(strategy.pick(b"", (), 1.0))


class FairnessTests(SynchronousTestCase):
    @quick
    @given(WEIGHTS, SEEDS, st.integers(1, 400))
    def test_weighted_shares_hold_at_every_moment(self, weights: list[int], seed: int, picks: int) -> None:
        """At every moment each instance has had its share to within one request: heavy ones come in no bursts, and
        light ones are not served all at once."""
        strategy = WeightedRoundRobin(Random(seed))
        all_members = members(weights)
        strategy.rebuild(all_members)
        whole = sum(weights)
        had = dict.fromkeys(map(id, all_members), 0)
        for number in range(1, picks + 1):
            had[id(strategy.pick(b"", (), 0.0))] += 1
            for member in all_members:
                self.assertLess(abs(had[id(member)] * whole - number * member.weight), whole)

    @quick
    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), SEEDS)
    def test_a_whole_round_is_exact(self, weights: list[int], seed: int) -> None:
        """After as many requests as the weights add up to, everybody has had exactly as many as it weighs."""
        strategy = WeightedRoundRobin(Random(seed))
        all_members = members(weights)
        strategy.rebuild(all_members)
        for _ in range(2):
            had = dict.fromkeys(map(id, all_members), 0)
            for _ in range(sum(weights)):
                had[id(strategy.pick(b"", (), 0.0))] += 1
            self.assertEqual([had[id(member)] for member in all_members], weights)

    @quick
    @given(st.integers(1, 30), SEEDS, st.integers(0, 50))
    def test_round_robin_meets_everybody_in_every_round(self, count: int, seed: int, skip: int) -> None:
        """Any run of as many requests as there are instances reaches each of them once, weights or not."""
        strategy = RoundRobin(Random(seed))
        all_members = members(range(1, count + 1))
        strategy.rebuild(all_members)
        for _ in range(skip):
            strategy.pick(b"", (), 0.0)
        self.assertEqual({id(strategy.pick(b"", (), 0.0)) for _ in range(count)}, {id(m) for m in all_members})


LOADED = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 10)), min_size=2, max_size=20)


class LeastLoadedTests(SynchronousTestCase):
    def loaded(self, loads: list[tuple[int, int]]) -> list[Member]:
        return [a_member(f"m{i}", in_flight=busy, weight=weight) for i, (busy, weight) in enumerate(loads)]

    @quick
    @given(LOADED, SEEDS)
    def test_two_choices_never_end_at_the_busiest(self, loads: list[tuple[int, int]], seed: int) -> None:
        """Of two instances the busier one is never taken, so the one that is busier than all others gets nothing."""
        all_members = self.loaded(loads)
        strategy = PowerOfTwo(Random(seed))
        strategy.rebuild(all_members)
        most = max(map(load, all_members))
        busiest = [member for member in all_members if load(member) == most]
        for _ in range(20):
            picked = strategy.pick(b"", (), 0.0)
            self.assertFalse(len(busiest) == 1 and picked is busiest[0])

    @quick
    @given(LOADED, SEEDS)
    def test_least_connections_takes_the_least_of_few(self, loads: list[tuple[int, int]], seed: int) -> None:
        """With few instances the least busy for its weight is taken; with many, at least never the busiest."""
        all_members = self.loaded(loads)
        strategy = LeastConnections(Random(seed))
        strategy.rebuild(all_members)
        picked = strategy.pick(b"", (), 0.0)
        assert picked is not None
        loads_now = sorted(map(load, all_members))
        if len(all_members) <= SCAN_LIMIT:
            self.assertEqual(load(picked), loads_now[0])
        elif loads_now[-2] < loads_now[-1]:
            self.assertLess(load(picked), loads_now[-1])
